"""What would it cost if: two plans from the same readings, and a question about what is not there is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ems.assets import Battery, Photovoltaic, Plant, Supply
from ems.assets.battery import value_at_end_per_kwh
from ems.district import District, read_district
from ems.dry_run import Known, from_scenario, from_site, planned
from ems.forecast import forecast
from ems.loop.clock import RealClock
from ems.loop.site import Site
from ems.market import prices
from ems.optimise import NOT_AT_ALL
from ems.points import good
from ems.slots import Slots, floor
from ems.store import Closing, Hold, People, Store
from ems.store.questions import Question, Questions
from ems.what_if import QuestionError, answer_all, answered, otherwise
from tests.small_district import copy_small_district

SCENARIO = Path(__file__).parents[1] / "scenarios" / "ordinary"
COUNT = 24  # quarter-hours


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> District:
    return read_district(copy_small_district(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def known(district: District) -> Known:
    return from_scenario(district, SCENARIO, 1)


def test_a_dry_run_of_a_site_knows_its_closing_days(district: District, tmp_path: Path) -> None:
    at, room, day = datetime(2026, 1, 20, 5, tzinfo=UTC), "mistral/rooms", date(2026, 1, 21)
    with Store.open(f"sqlite:///{tmp_path}/site.db") as store:
        store.save_latest({next(iter(district.wires)): good(20.0, at)})
    assert from_site(district, Site(tmp_path)).snapshot.closed == {}
    with People.open(f"sqlite:///{tmp_path}/people.db") as people:
        people.asked.close_room(Closing(0, room, day, day, "", "chief"), ("chief", "manager"), at)
    known = from_site(district, Site(tmp_path))
    assert known.snapshot.closed == known.history.closed == {room: frozenset({day})}


def test_a_dry_run_of_a_site_knows_what_people_hold_and_what_they_work_at(district: District, tmp_path: Path) -> None:
    """A plant that is being mended is not planned with, and a battery that somebody holds stands where it is held."""
    at = datetime(2026, 1, 20, 5, tzinfo=UTC)
    battery, plant = next(iter(district.of(Battery))), next(iter(district.of(Plant)))
    point = f"{battery}/power_setpoint_kw"
    with Store.open(f"sqlite:///{tmp_path}/site.db") as store:
        store.save_latest({next(iter(district.wires)): good(20.0, at)})
    with People.open(f"sqlite:///{tmp_path}/people.db") as people:
        people.asked.take_out(plant, "new pump", ("chief", "manager"), at)
        people.asked.hold(Hold(point, 20.0, "chief", "a test", at, at + timedelta(hours=2)), "manager")
    seen = from_site(district, Site(tmp_path)).snapshot
    assert seen.out_of_service == {plant}
    assert {p: (h.value, h.until) for p, h in seen.holds.items()} == {point: (20.0, at + timedelta(hours=2))}


def test_twice_as_many_roofs_are_expected_to_give_twice_as_much(district: District, known: Known) -> None:
    """What an array was seen to give of its data sheet is that of the roofs that are there."""
    slots = Slots(floor(known.snapshot.at), 96)

    def expected_kwh(of: District, seen: Known) -> float:
        made = forecast(of, seen.history, seen.weather, slots, seen.snapshot.at)
        return -sum(float(made[f"{array}/power_kw"].median.sum()) / 4 for array in of.of(Photovoltaic))

    there = expected_kwh(district, known)
    assert there > 10
    for times in (0.0, 0.5, 2.0):
        assert expected_kwh(*otherwise(district, known, question(known, "sun", times))) == pytest.approx(times * there)


def question(known: Known, what: str, amount: float = 0.0, subject: str = "") -> Question:
    at = known.snapshot.at
    return Question(1, what, subject, amount, "chief", at, at + timedelta(hours=2))  # type: ignore[arg-type]


def test_dearer_energy_costs_more_and_is_compared_with_the_same_day(district: District, known: Known) -> None:
    """Energy twice as dear: the same kWh would cost twice as much, and a plan may only do better than that."""
    found = answered(district, known, question(known, "price", 2.0), COUNT)
    now, asked = found.cases["now"], found.cases["asked"]
    assert found.start is not None and len(now.grid_kw) == len(asked.grid_kw) == COUNT
    assert now.terms["energy"] < asked.terms["energy"] <= 2 * now.terms["energy"] * 1.05
    assert found.more_euro is not None and found.more_euro > 0
    assert now.peak_kw == pytest.approx(max(now.grid_kw), abs=0.1)
    assert now.bought_kwh >= sum(now.grid_kw) / 4 - 0.1  # what is sold elsewhere is not taken off


def test_a_battery_held_still_does_not_make_the_plan_cheaper(district: District, known: Known) -> None:
    battery = next(iter(district.of(Battery)))
    asked = question(known, "hold", 0.0, f"{battery}/power_setpoint_kw")
    other, seen = otherwise(district, known, asked)
    assert other is district and seen.snapshot.holds[asked.subject].value == 0
    found = answered(district, known, asked, COUNT)
    assert found.more_euro is not None and found.doubt_euro is not None
    assert found.more_euro >= -found.doubt_euro - 0.01


def test_a_larger_battery_is_given_nothing_to_begin_with(district: District, known: Known) -> None:
    """At its minimum of 10 % it holds 50 kWh, one twice as large would hold 100: 50 kWh that nobody has paid for."""
    [battery] = district.of(Battery).values()
    at = known.snapshot.at
    low = good(battery.minimum_share * battery.capacity_kwh, at)
    emptied = replace(known.snapshot, samples={**known.snapshot.samples, battery.point("stored_kwh"): low})
    known = replace(known, snapshot=emptied)
    asked = question(known, "battery", 2.0)
    found = answered(district, known, asked, 4)
    other, seen = otherwise(district, known, asked)
    larger = planned(other, replace(seen, previous=None), 4, NOT_AT_ALL)
    contract = district.contracts[district.asset(battery.supply, Supply).contract]
    worth = value_at_end_per_kwh(battery, prices(contract, larger.slots).import_per_kwh)
    gift = battery.minimum_share * battery.capacity_kwh * worth
    assert gift > 1
    assert found.cases["asked"].euro == pytest.approx(larger.cost + gift, abs=0.2)


def test_what_is_asked_is_changed_and_nothing_else(district: District, known: Known) -> None:
    battery, plant = next(iter(district.of(Battery))), next(iter(district.of(Plant)))
    other, _ = otherwise(district, known, question(known, "battery", 2.0))
    assert other.asset(battery, Battery).capacity_kwh == 2 * district.asset(battery, Battery).capacity_kwh
    assert other.asset(plant, Plant) == district.asset(plant, Plant)
    _, seen = otherwise(district, known, question(known, "battery", 0.0))
    assert seen.snapshot.out_of_service == frozenset(district.of(Battery))
    _, seen = otherwise(district, known, question(known, "plant", subject=plant))
    assert seen.snapshot.out_of_service == {plant}
    other, _ = otherwise(district, known, question(known, "comfort", 1.0))
    assert other.comfort["home"].floor_c == district.comfort["home"].floor_c + 1
    assert other.comfort["offices"] == district.comfort["offices"]


def test_what_the_district_does_not_have_is_refused(district: District, known: Known) -> None:
    for asked in (question(known, "plant", subject="x/y"), question(known, "hold", 1.0, "x/y/power_setpoint_kw")):
        with pytest.raises(QuestionError, match="x/y"):
            otherwise(district, known, asked)
    battery = next(iter(district.of(Battery)))
    endless = replace(question(known, "hold", 1.0, f"{battery}/power_setpoint_kw"), until=None)
    with pytest.raises(QuestionError):
        otherwise(district, known, endless)


def test_who_asks_where_no_site_has_run_is_told_so(district: District, tmp_path: Path) -> None:
    questions = Questions(tmp_path)
    number = questions.ask("price", "", 1.2, "chief", RealClock().now())
    assert answer_all(district, Site(tmp_path), RealClock().now) == 1
    answer = questions.answer_of(number)
    assert answer is not None and "site.db" in answer.trouble and questions.waiting() == []
