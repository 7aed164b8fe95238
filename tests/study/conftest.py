"""The small district that studies are tried on: one block of dwellings, its plant room, the car park and the loop."""

from dataclasses import replace
from pathlib import Path

import pytest

from ems.district import District, read_district
from ems.simulate.scenario import Scenario
from ems.study.opponents import opponent
from ems.study.part import part
from ems.study.run import Case, Past, Run, planner_of, run_with

BUILDINGS = Path("buildings")
SMALL = ("mistral", "plant-c", "parking", "station")


@pytest.fixture(scope="session")
def whole() -> District:
    return read_district(BUILDINGS)


@pytest.fixture(scope="session")
def small(whole: District) -> District:
    return part(whole, SMALL)


@pytest.fixture(scope="session")
def evening() -> Scenario:
    """A Tuesday in January from 17:00 to 20:00 in Marseille: the dear hours before the night tariff."""
    return Scenario.model_validate(
        {"name": "evening", "start": "2026-01-20T16:00:00Z", "days": 3 / 24, "history_days": 0, "buildings": SMALL}
    )


def played(
    district: District,
    scenario: Scenario,
    controller: str,
    *,
    seed: int = 1,
    history: Past | None = None,
    horizon_slots: int = 32,
) -> Run:
    """A run on a district that is read already."""
    case = replace(Case(BUILDINGS, Path("scenarios") / scenario.name, controller, seed), horizon_slots=horizon_slots)
    if controller in ("local", "rules", "rules-tuned"):
        return run_with(case, district, scenario, lambda world: opponent(controller, district))
    return run_with(
        case, district, scenario, lambda world: planner_of(case, district, scenario, world), history=history
    )
