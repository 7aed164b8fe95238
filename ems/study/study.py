"""A study: several seeds under several controllers, in parallel, resumable; and what the comparison says."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import ems
from ems.assets import BaseLoad, Battery, BikeRoom, ChargePoint, Photovoltaic, Plant
from ems.district import District
from ems.series import Floats
from ems.simulate.scenario import read_scenario
from ems.slots import Slots
from ems.study.kpi import CHANGES, TERMS, slot_prices
from ems.study.record import Record
from ems.study.run import PLANNING, Case, Past, run, simulated_past, staged, summary
from ems.workers import deaf_to_ctrl_c, workers

Result = dict[str, Any]
OURS, BASELINE, ORACLE = "ours", "rules-tuned", "oracle"

# How much worse somebody may be off than under `rules-tuned` before it is said, per day of the run.
COLDER_K_H, HOTTER_K_H = 0.5, 0.5
MINUTES, MISSING_KWH, STARTS, TURNS = 5.0, 1.0, 2.0, 4.0


@dataclass(frozen=True)
class Question:
    """What a study is asked."""

    case: Case  # its controller and seed do not matter
    seeds: tuple[int, ...]
    controllers: tuple[str, ...]
    folder: Path  # finished runs are kept here
    workers: int = 2

    def cases(self) -> list[Case]:
        """Longest first, so that no core waits at the end."""
        order = sorted(self.controllers, key=lambda c: (c != OURS, c != ORACLE))
        return [replace(self.case, controller=c, seed=s) for c in order for s in self.seeds]


def study(
    question: Question, *, on_done: Callable[[Case, bool], None] = lambda case, known: None
) -> dict[tuple[str, int], Result]:
    """All runs of a question; finished ones are taken from the folder. `on_done(case, was known)` as they end."""
    question.folder.mkdir(parents=True, exist_ok=True)
    base = digest(question.case)
    found: dict[tuple[str, int], Result] = {}
    waiting: list[tuple[Case, Path]] = []
    for case in question.cases():
        file = question.folder / f"{case.scenario.name}-{case.controller}-{case.seed}-{key_of(case, base)}.json"
        if file.is_file():
            found[case.controller, case.seed] = json.loads(file.read_text(encoding="utf-8"))
            on_done(case, True)
        else:
            waiting.append((case, file))
    if question.workers <= 1 or len(waiting) <= 1:
        for case, file in waiting:
            found[case.controller, case.seed] = perform(case, file)
            on_done(case, False)
        return found
    with workers(min(question.workers, len(waiting))) as pool:
        with deaf_to_ctrl_c():  # as the workers, which start here, stay
            running = {pool.submit(perform, case, file): case for case, file in waiting}
        while running:
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                case = running.pop(done)
                found[case.controller, case.seed] = done.result()
                on_done(case, False)
    return found


def perform(case: Case, file: Path) -> Result:
    """One run, kept in a file that is complete or absent."""
    history = _kept_past(case, file.parent) if case.controller in PLANNING else None
    done = run(case, history=history)
    result = summary(done) | {"series": series(done.district, done.record)}
    torn = file.with_suffix(".tmp")
    torn.write_text(json.dumps(result), encoding="utf-8")
    torn.replace(file)
    known: Result = json.loads(json.dumps(result))  # as whoever resumes will read it
    return known


def _kept_past(case: Case, folder: Path) -> Past:
    """The simulated days before the start, which are the same for every length of run and plan rhythm."""
    district, scenario = staged(case)
    name = hashlib.sha256(
        json.dumps([digest(case), case.seed, scenario.history_days, case.changes]).encode()
    ).hexdigest()
    file = folder / f"past-{case.scenario.name}-{case.seed}-{name[:12]}.npz"
    days = max(scenario.history_days, 1)
    slots = Slots(scenario.start - timedelta(days=days), 96 * days)
    if file.is_file():
        with np.load(file) as kept:
            return {str(p): (slots, row) for p, row in zip(kept["points"], kept["values"], strict=True)}
    known = simulated_past(district, scenario, case.seed)
    if known:
        torn = file.with_suffix(f".{os.getpid()}.npz")  # two studies may make the same past at once
        np.savez_compressed(torn, points=np.array(list(known)), values=np.array([row for _, row in known.values()]))
        torn.replace(file)
    return known


def digest(case: Case) -> str:
    """Of everything on disk that a run depends on: our code, the buildings, the scenario."""
    whole = hashlib.sha256()
    for root, pattern in (
        (Path(ems.__file__).parent, "*.py"),
        (case.buildings, "*.yaml"),
        (case.scenario, "scenario.yaml"),
    ):
        for path in sorted(root.rglob(pattern)):
            whole.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    whole.update((Path(__file__).parent / "tuned.yaml").read_bytes())
    return whole.hexdigest()


def key_of(case: Case, base: str) -> str:
    content = [
        base,
        case.controller,
        case.seed,
        case.hours,
        case.changes,
        case.replan_every,
        case.horizon_slots,
        str(case.data),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


# What a comparison says


def compare(question: Question, found: Mapping[tuple[str, int], Result]) -> dict[str, Any]:
    """The figures of a study: J and every KPI per controller, what could be saved, what was, and who is worse off."""
    seeds = question.seeds
    present = [c for c in question.controllers if all((c, s) in found for s in seeds)]
    answer: dict[str, Any] = {
        "scenario": question.case.scenario.name,
        "hours": question.case.hours or 24 * read_scenario(question.case.scenario).days,
        "seeds": list(seeds),
        "changes": list(question.case.changes),
        "replan_every_slots": question.case.replan_every,
        "J": {c: _spread(found[c, s]["J"] for s in seeds) for c in present},
        "cost": {c: {t: _middle(found[c, s]["cost"][t] for s in seeds) for t in TERMS} for c in present},
        "uncontrollable_eur": _middle(sum(found[present[0], s]["uncontrollable"].values()) for s in seeds),
        "kpi": {c: medians([found[c, s]["kpi"] for s in seeds]) for c in present},
        "fallbacks": {c: sum(found[c, s]["fallbacks"] for s in seeds) for c in present},
        "refused": {c: sum(found[c, s]["refused"] for s in seeds) for c in present},
        "saving": None,
        "saving_possible": None,
        "saving_captured": None,
        "worse_for_anybody": None,
    }
    if {OURS, BASELINE} <= set(present):
        saved = [found[BASELINE, s]["J"] - found[OURS, s]["J"] for s in seeds]
        answer["saving"] = _saving(saved, [found[BASELINE, s]["J"] for s in seeds])
        answer["worse_for_anybody"] = [
            entry for s in seeds for entry in worse(found[OURS, s], found[BASELINE, s], answer["hours"] / 24, s)
        ]
    if {BASELINE, ORACLE} <= set(present):
        possible = [found[BASELINE, s]["J"] - found[ORACLE, s]["J"] for s in seeds]
        answer["saving_possible"] = _saving(possible, [found[BASELINE, s]["J"] for s in seeds])
        if OURS in present:
            answer["saving_captured"] = captured(
                [found[OURS, s]["J"] for s in seeds],
                [found[BASELINE, s]["J"] for s in seeds],
                [found[ORACLE, s]["J"] for s in seeds],
            )
    return answer


def captured(ours: Sequence[float], baseline: Sequence[float], oracle: Sequence[float]) -> dict[str, float | None]:
    """(J_baseline - J_ours) / (J_baseline - J_oracle) per seed: median and worst.

    A seed on which even the oracle saves nothing has no share; without any, both are None.
    """
    shares = [(b - o) / (b - best) for o, b, best in zip(ours, baseline, oracle, strict=True) if b - best > 1e-6]
    if not shares:
        return {"median": None, "worst": None}
    return {"median": round(median(shares), 4), "worst": round(min(shares), 4)}


def _saving(euros: Sequence[float], of: Sequence[float]) -> dict[str, float]:
    shares = [e / abs(j) if abs(j) > 1e-9 else 0.0 for e, j in zip(euros, of, strict=True)]
    return {
        "median_eur": round(median(euros), 2),
        "worst_eur": round(min(euros), 2),
        "median_share": round(median(shares), 4),
        "worst_share": round(min(shares), 4),
    }


def _spread(values: Iterable[float]) -> dict[str, Any]:
    known = [round(v, 4) for v in values]
    return {"median": median(known), "by_seed": known}


def _middle(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each figure, over the seeds that have it. Set points of a kind that nobody changed were changed 0 times."""
    none = {n: 0.0 for run_ in runs for n in run_ if n.startswith(CHANGES)}
    names = dict.fromkeys(n for run_ in runs for n in run_)
    return {n: round(median(r[n] for r in ({**none, **r} for r in runs) if n in r), 4) for n in names}


def worse(ours: Result, other: Result, days: float, seed: int) -> list[dict[str, Any]]:
    """Everybody and everything that is worse off under `ours` than under the other controller, beyond a tolerance."""
    said = []

    def say(who: str, what: str, mine: float, theirs: float, tolerance: float) -> None:
        if mine > theirs + tolerance:
            said.append(
                {"who": who, "what": what, "ours": round(mine, 2), "rules_tuned": round(theirs, 2), "seed": seed}
            )

    for name, home in ours["homes"].items():
        than = other["homes"][name]
        say(name, "K.h too cold", home["too_cold_k_h"], than["too_cold_k_h"], COLDER_K_H * days)
        say(name, "K.h too hot", home["too_hot_k_h"], than["too_hot_k_h"], HOTTER_K_H * days)
    mine, theirs = ours["kpi"], other["kpi"]
    for kpi, what, tolerance in (
        ("tdis_cold_homes_p95", "K.h too cold, 95th percentile of homes", COLDER_K_H * days),
        ("cool_outlet_minutes", "minutes of hot water below 45 degC", MINUTES * days),
        ("cool_return_minutes", "minutes of hot-water return below 50 degC", MINUTES * days),
        ("hot_water_unmet_kwh", "kWh of hot water missing", MISSING_KWH * days),
        ("charging_missing_kwh", "kWh missing in cars", MISSING_KWH * days),
        ("cars_not_ready", "cars not ready", 0.5),
        ("starts_per_day", "compressor starts a day", STARTS),
    ):
        say("all", what, mine[kpi], theirs[kpi], tolerance)
    turns = f"{CHANGES}Dwelling"
    homes = max(ours["dwellings"], 1)
    say(
        "dwellings",
        "set-point changes a day and home",
        mine.get(turns, 0.0) / homes,
        theirs.get(turns, 0.0) / homes,
        TURNS,
    )
    return said


# Series for the report


def series(district: District, record: Record) -> dict[str, Any]:
    """What the report draws: kW, degC, euro per kWh; one value per slot."""
    hours = record.slots.hours
    power = {name: record.device_kwh[:, k] / hours for k, name in enumerate(record.devices)}

    def of(*kinds: type) -> Floats:
        return sum(
            (power[n] for n, a in district.assets.items() if isinstance(a, kinds) and n in power),
            np.zeros(record.slots.count),
        )

    known = of(BaseLoad, Photovoltaic, Battery, Plant, ChargePoint, BikeRoom)
    homes = np.arange(record.homes)
    ranked = (
        homes[np.lexsort((-record.zone_c[:, homes].mean(axis=0), record.too_cold_k_h[homes]))]
        if record.homes
        else homes
    )
    shown = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]} if record.homes else {}
    plant = next(iter(district.of(Plant).values()))
    return {
        "start": record.slots.start.isoformat(),
        "count": record.slots.count,
        "import_kw": _rounded((record.import_kwh.sum(axis=1) - record.export_kwh.sum(axis=1)) / hours),
        "loads_kw": _rounded(of(BaseLoad)),
        "sun_kw": _rounded(of(Photovoltaic)),
        "battery_kw": _rounded(of(Battery)),
        "plants_kw": _rounded(of(Plant)),
        "cars_kw": _rounded(of(ChargePoint, BikeRoom)),
        "other_kw": _rounded(sum(power.values(), np.zeros(record.slots.count)) - known),
        "battery_kwh": _rounded(record.battery_kwh),
        "homes_c": {
            label: {"name": record.zones[k], "values": _rounded(record.zone_c[:, k], 2)} for label, k in shown.items()
        },
        "zones_c": {record.zones[k]: _rounded(record.zone_c[:, k], 2) for k in range(record.homes, len(record.zones))},
        "tank_c": {n: _rounded(record.tank_top_c[:, k], 2) for k, n in enumerate(record.tanks[:1])},
        "return_c": {n: _rounded(record.tank_return_c[:, k], 2) for k, n in enumerate(record.tanks[:1])},
        "outdoor_c": _rounded(record.outdoor_c, 2),
        "seawater_c": _rounded(record.seawater_c, 2),
        "price_per_kwh": _rounded(slot_prices(district, plant.supply, record.slots), 4),
        "recovered_kw": _rounded(record.recovered_kwh / hours),
    }


def _rounded(values: Floats, digits: int = 1) -> list[float]:
    return [round(float(v), digits) + 0.0 for v in values]
