"""Every scenario can be staged; the first hours of some run here. The whole of each: `make scenarios`."""

from pathlib import Path

import pytest

from ems.district import District
from ems.simulate.past import past
from ems.simulate.scenario import read_expected, read_scenario
from ems.study.change import changed
from ems.study.conditions import StagedWorld, with_periods
from ems.study.part import part
from tests.study.conftest import SMALL, played

SCENARIOS = sorted(p for p in Path("scenarios").iterdir() if p.is_dir())
STUDIED = [p for p in SCENARIOS if p.name not in ("ordinary", "replay")]
BY = {"year": "rules/"}  # whose figures are expected, where it is not ours
LISTED = {
    "winter-week", "heat-wave", "mid-season", "solar-sunday", "evening-peak", "dst-spring", "dst-autumn", "plant-out",
    "mistral-upwelling", "august-empty", "reopening", "override-wave", "tempo-red",
}  # fmt: skip


def test_all_scenarios_worth_having_are_there() -> None:
    assert {p.name for p in STUDIED} >= LISTED


@pytest.mark.parametrize("folder", STUDIED, ids=lambda p: p.name)
def test_a_scenario_says_why_stands_alone_and_expects_something(folder: Path, whole: District) -> None:
    scenario = read_scenario(folder)
    district, scenario = changed(whole, scenario, scenario.changes)
    with_periods(part(district, scenario.buildings), scenario)
    assert len(scenario.why) > 60
    assert any(name.startswith(BY.get(folder.name, "ours/")) for name in read_expected(folder))


@pytest.mark.parametrize("name", ["plant-out", "override-wave"])
def test_the_first_hours_of_a_scenario(name: str, whole: District) -> None:
    scenario = read_scenario(Path("scenarios") / name)
    scenario = scenario.model_copy(update={"days": 1.5 / 24, "buildings": SMALL})
    district = with_periods(part(whole, SMALL), scenario)
    known = past(district, end=scenario.start, days=1, seed=1)
    history = {point: (slots, values) for point, slots, values in known}
    done = played(district, scenario, "ours", history=history, horizon_slots=24)
    assert len(done.plan_seconds) >= 2
    assert done.refused == 0
    assert done.record.slots.count == 6
    assert done.figures.kpi["cool_outlet_minutes"] == 0
    assert done.figures.kpi["peak_over_subscribed"] < 1
    assert not [e for e in done.events if e.kind == "alarm"]


def test_the_rules_follow_a_scenario_through_a_change_of_clocks(whole: District) -> None:
    scenario = read_scenario(Path("scenarios/dst-spring"))
    start = scenario.start.replace(day=29, hour=0)  # 01:00 in Marseille; an hour later it is 03:00
    scenario = scenario.model_copy(update={"start": start, "days": 2 / 24, "buildings": SMALL})
    done = played(part(whole, SMALL), scenario, "rules-tuned")
    assert done.record.slots.count == 8
    assert done.refused == 0


def test_the_same_incidents_happen_to_everybody(whole: District) -> None:
    scenario = read_scenario(Path("scenarios/override-wave"))
    district = part(whole, SMALL)
    one, other = (StagedWorld(district, scenario, seed=1, start=scenario.start.replace(hour=15)) for _ in range(2))
    for world in (one, other):
        world.advance(scenario.start.replace(hour=16, minute=30))
    assert (one.asked_c == other.asked_c).all()
