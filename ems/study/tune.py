"""The search behind `rules-tuned`: one figure of the rule book after the other, on seeds and weeks no scenario uses.

    python -m ems.study.tune buildings ems/study/tuned.yaml

Coordinate descent: from the usual figures, or from what the file holds already, each figure in turn takes the value of
its list with the lowest score J, summed over the days below, for one round; call it again until nothing changes. The
seeds are not those of the scenarios, and neither are the weeks; the part of the district is the one that they use.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import yaml

from ems.district import District
from ems.study.conditions import StagedWorld
from ems.study.opponents import RuleBook, Rules
from ems.study.run import Case, run_with, staged

SEEDS = (101,)
STARTS = ("2026-02-03T05:00:00Z", "2026-04-21T04:00:00Z", "2026-07-15T04:00:00Z")
DAYS = 1.0
BUILDINGS = ("mistral", "city-offices", "plant-c", "parking", "station")
CHOICES: Mapping[str, Sequence[float]] = {
    "battery_grid_share": (0.2, 0.5, 0.9),
    "tank_full_c": (57.0, 58.0, 60.0, 63.0),
    "evening_from_h": (13.0, 16.0, 18.0, 24.0),
    "curve_offset_k": (-3.0, -2.0, -1.0, 0.0, 1.5),
    "preheat_h_per_k": (0.25, 0.5, 1.0, 2.0),
    "leaving_margin_k": (1.0, 1.5, 2.0, 4.0),
    "hot_water_margin_k": (3.0, 4.0, 6.0),
    "cold_supply_c": (8.0, 10.0, 12.0, 14.0),
    "stop_early_h": (0.0, 0.5),
    "home_night_k": (-0.5, 0.0),
}


def score(buildings: Path, folders: Sequence[Path], book: RuleBook) -> float:
    """J of a rule book, euro, summed over all days of the search."""
    total = 0.0
    for folder in folders:
        for seed in SEEDS:
            case = Case(buildings, folder, "rules", seed)
            district, scenario = staged(case)
            total += run_with(case, district, scenario, partial(_rules, district, book)).figures.score
    return total


def _rules(district: District, book: RuleBook, world: StagedWorld) -> Rules:
    return Rules(district, book)


def search(
    buildings: Path, folders: Sequence[Path], workers: int, begin: RuleBook
) -> Iterator[tuple[RuleBook, float, float]]:
    """Better and better rule books, with their score and that of the usual figures."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        usual, lowest = pool.map(score, *_same(buildings, folders, [RuleBook(), begin]))
        best = begin
        yield best, lowest, usual
        for name, values in CHOICES.items():
            books = [replace(best, **{name: v}) for v in values if v != getattr(best, name)]
            for book, found in zip(books, pool.map(score, *_same(buildings, folders, books)), strict=True):
                if found < lowest - 0.01:
                    best, lowest = book, found
            yield best, lowest, usual


def _same(
    buildings: Path, folders: Sequence[Path], books: Sequence[RuleBook]
) -> tuple[list[Path], list[Sequence[Path]], Sequence[RuleBook]]:
    return [buildings] * len(books), [folders] * len(books), books


def main(buildings: Path, target: Path, workers: int = 2) -> None:
    with tempfile.TemporaryDirectory() as root:
        folders = []
        for k, start in enumerate(STARTS):
            folder = Path(root) / f"week-{k}"
            folder.mkdir()
            content = {"start": start, "days": DAYS, "buildings": list(BUILDINGS), "history_days": 0}
            (folder / "scenario.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
            (folder / "why.md").write_text("A day of the search for the tuned rules.", encoding="utf-8")
            folders.append(folder)
        begin = (
            RuleBook(**yaml.safe_load(target.read_text(encoding="utf-8"))["rule_book"])
            if target.is_file()
            else RuleBook()
        )
        for book, found, first in search(buildings, folders, workers, begin):
            sys.stderr.write(f"{found:9.2f} EUR  {book}\n")
            kept = {
                "found_by": "python -m ems.study.tune: coordinate descent over ems/study/tune.py CHOICES",
                "seeds": list(SEEDS),
                "days": list(STARTS),
                "buildings": list(BUILDINGS),
                "score_of_the_usual_figures_eur": round(first, 2),
                "score_found_eur": round(found, 2),
                "rule_book": book.to_json(),
            }
            target.write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 2)
