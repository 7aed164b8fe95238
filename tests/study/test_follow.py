"""What a plan says for four hours is what then happens: the laws of the planner against the plant, found apart.

The oracle plans once and its plan is followed: weather, draws and gains are known, walls stand near the air (winter)
or where two days of measurements show them (summer). So what differs are the laws, the true figures of rooms and
machines, their local control, and cars that nobody could know of.
"""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from ems.assets import Plant, Substation
from ems.district import District
from ems.simulate.scenario import Scenario
from ems.study.controllers import Oracle
from ems.study.part import part
from ems.study.run import Case, Run, planner_of, run_with, simulated_past
from tests.study.conftest import BUILDINGS

BLOCK = ("mistral", "city-offices", "plant-c", "parking", "station")
FOUR_HOURS = 16
WITHIN = 0.15


def followed(whole: District, start: str, days_before: int) -> tuple[District, Oracle, Run]:
    """Four hours of one block under one plan of the oracle's, with some days of measurements before them."""
    scenario = Scenario.model_validate(
        {
            "name": "four-hours",
            "start": start,
            "days": 4 / 24,
            "history_days": days_before,
            "warm_up_hours": max(24 * days_before, 10),
            "buildings": BLOCK,
        }
    )
    district = part(whole, BLOCK)
    case = Case(BUILDINGS, Path("scenarios/four-hours"), "oracle", 1, replan_every=FOUR_HOURS, horizon_slots=64)
    made: list[Oracle] = []

    def planner(world: object) -> Oracle:
        oracle = planner_of(replace(case), district, scenario, world)  # type: ignore[arg-type]
        assert isinstance(oracle, Oracle)
        made.append(oracle)
        return oracle

    done = run_with(case, district, scenario, planner, history=simulated_past(district, scenario, 1))
    assert len(made[0].plan_seconds) == 1
    return district, made[0], done


@pytest.mark.parametrize(
    ("start", "side", "days_before"),
    [
        ("2026-01-13T04:00:00Z", "heat", 0),  # Tuesday 5 to 9 h: offices and homes are warmed for the day
        ("2026-07-15T12:00:00Z", "cold", 2),  # Wednesday 14 to 18 h: offices are cooled
    ],
)
def test_four_hours_follow_the_plan(whole: District, start: str, side: str, days_before: int) -> None:
    district, oracle, done = followed(whole, start, days_before)
    plan, record = oracle.solved, done.record
    assert plan is not None
    assert plan.slots.start == datetime.fromisoformat(start)
    hours = plan.slots.hours

    planned = sum(plan.flow(n, "power_kw")[:FOUR_HOURS].sum() * hours for n in district.of(Plant))
    drawn = sum(record.device_kwh[:, record.devices.index(n)].sum() for n in district.of(Plant))
    assert planned > 50
    assert drawn == pytest.approx(planned, rel=WITHIN)

    quantity, given = ("heating_kw", record.heat_kwh) if side == "heat" else ("cold_kw", record.cold_kwh)
    planned = sum(plan.flow(n, quantity)[:FOUR_HOURS].sum() * hours for n in district.of(Substation))
    assert planned > 500
    assert given.sum() == pytest.approx(planned, rel=WITHIN)
