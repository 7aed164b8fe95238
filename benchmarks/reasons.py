"""Whether reasons hold: how many decisions carry one, and whether an ordinary Pyomo model finds the same figures.

Small districts are drawn and planned, every second one after a previous plan. Of each some sentences are drawn, and
what they claim (euro and kg of CO2 against doing nothing or the previous plan, or for more room at a limit) is reckoned
again by `tests/optimise/monolith.py`: an ordinary ConcreteModel, solved by Pyomo's own interface to HiGHS.
A sentence is contradicted when its euro differ by more than 5 % (or a cent), or when its kg of CO2 cannot be had at
that cost. `--json` prints one line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

import numpy as np  # noqa: E402

from ems.optimise import AT_LENGTH, Effort, Memory  # noqa: E402
from ems.optimise.divide import find  # noqa: E402
from ems.optimise.plan import outlook_of, plan  # noqa: E402
from ems.optimise.why import Trial, Why, explain  # noqa: E402
from tests.optimise.drawn import drawn  # noqa: E402
from tests.optimise.monolith import Monolith  # noqa: E402

SHARE, CENT = 0.05, 0.01


@dataclass
class Count:
    """What has been found so far; `wrong` tells of every contradiction."""

    districts: int = 0
    worthy: int = 0
    explained: int = 0
    sampled: int = 0
    against: dict[str, int] = field(default_factory=dict)
    worst_share: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, object]:
        return {
            "districts": self.districts,
            "decisions_worthy": self.worthy,
            "reasons_share": round(self.explained / self.worthy, 4) if self.worthy else None,
            "reasons_sampled": self.sampled,
            "sampled_against": self.against,
            "reasons_contradicted": len(self.wrong),
            "largest_difference": round(self.worst_share, 5),
            "contradictions": self.wrong[:20],
        }


def examine(seed: int, count: Count, most: int = 4) -> None:
    """Plan one district, and reckon `most` of its sentences again."""
    here = drawn(seed)
    slots, known, expected, previous = here.slots, here.known, here.expected, None
    if seed % 2:
        previous = plan(here.district, known, expected, slots, effort=Effort(0, 0.0))
        slots, known, expected = here.later, here.known_later, here.expected_later
    outlook = outlook_of(here.district, known, expected, slots, previous)
    held = previous.on(slots) if previous else None
    found = find(outlook, held, Memory())
    why = explain(found.first, held, AT_LENGTH)
    count.districts += 1
    count.worthy += why.worthy
    count.explained += why.explained
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(why.trials))[:most]
    if not chosen.size:
        return
    monolith = Monolith(outlook, held, found.first.matrix)
    for trial in (why.trials[i] for i in chosen):
        count.sampled += 1
        count.against[trial.against] = count.against.get(trial.against, 0) + 1
        wrong = contradicted(monolith, why, trial, count)
        if wrong:
            count.wrong.append(f"seed {seed}, {trial.asset} {trial.kind} against {trial.against}: {wrong}")


def contradicted(monolith: Monolith, why: Why, trial: Trial, count: Count) -> str | None:
    """What the ordinary model says against a sentence; None where it agrees."""
    assert why.planned is not None
    claimed = trial.found.cost - why.planned.cost
    without = monolith.without(trial)
    if monolith.planned is None or without is None:
        return "the ordinary model has no plan"
    truth = without - monolith.planned
    allowed = max(SHARE * abs(truth), CENT)
    count.worst_share = max(count.worst_share, abs(claimed - truth) / max(abs(truth), 0.2))
    if abs(claimed - truth) > allowed:
        return f"claimed {claimed:.4f} EUR, found {truth:.4f}"
    if trial.limit is None:
        for cost, least, kg in (
            (monolith.planned_with(why.planned.kg_co2), monolith.planned, why.planned.kg_co2),
            (monolith.without(trial, trial.found.kg_co2), without, trial.found.kg_co2),
        ):
            if cost is None or cost - least > allowed:
                return f"{kg:.3f} kg CO2 cannot be had at that cost ({cost} instead of {least:.4f})"
    return None


def measure(samples: int, first_seed: int = 1) -> Count:
    """Draw districts until so many sentences have been reckoned again."""
    count, seed = Count(), first_seed
    while count.sampled < samples:
        examine(seed, count, min(4, samples - count.sampled))
        seed += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one line")
    options = parser.parse_args()
    begun = time.monotonic()
    figures = measure(options.samples, options.seed).figures() | {"seconds": round(time.monotonic() - begun, 1)}
    print(json.dumps(figures) if options.json else "\n".join(f"{k}: {v}" for k, v in figures.items()))


if __name__ == "__main__":
    main()
