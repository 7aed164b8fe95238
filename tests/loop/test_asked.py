"""What people ask for reaches the snapshot: within the band, by what is left to charge, and given back at its end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ems.district import District, read_district
from ems.estimate.sessions import Trip, sessions
from ems.loop.asked import Wanted
from ems.loop.memory import dump_snapshot, load_snapshot
from ems.points import Quality, Sample
from ems.snapshot import Session, Snapshot
from ems.store import Closing, ComfortWish, Departure, Hold, People, Reservation, Store
from tests.loop.test_cycle import WINTER, Site
from tests.small_district import copy_small_district

NOW = datetime(2026, 1, 20, 5, 0, tzinfo=UTC)
HOME = "horizon/flat-0101"
OFFSET = f"{HOME}/setpoint_offset_k"
CAR = "parking/point-04"  # three phases of 32 A at 230 V: 22.08 kW


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


def snapshot(values: dict[str, float], sessions: dict[str, Session] | None = None) -> Snapshot:
    return Snapshot(NOW, {p: Sample(v, Quality.GOOD, NOW) for p, v in values.items()}, sessions or {})


@pytest.mark.parametrize(
    ("setpoint_c", "offset_k", "held_k"),
    [
        (19.0, 1.0, 1.0),
        (20.5, 1.0, 0.5),  # the ceiling is 21
        (22.0, 1.0, 0.0),  # chosen at the thermostat: not pushed further
        (18.4, -1.0, -0.4),  # the floor is 18
        (17.0, -1.0, 0.0),
        (None, 1.0, 0.0),  # a thermostat that cannot be read
    ],
)
def test_a_wish_stays_within_the_band(
    district: District, setpoint_c: float | None, offset_k: float, held_k: float
) -> None:
    seen = snapshot({} if setpoint_c is None else {f"{HOME}/setpoint_c": setpoint_c})
    found = Wanted(wishes={HOME: ComfortWish(offset_k, True, NOW)}).setpoints(district, seen)
    assert found[OFFSET].value == pytest.approx(held_k)


def test_heat_at_once_comes_before_the_wish_and_no_wish_leaves_the_plan_free(district: District) -> None:
    seen = snapshot({f"{HOME}/setpoint_c": 19.0})
    cooler = {HOME: ComfortWish(-0.5, False, NOW)}
    until = NOW + timedelta(hours=2)
    at_once = Wanted(wishes=cooler, heating={HOME: until}).setpoints(district, seen)[OFFSET]
    assert at_once.value == 1.0 and at_once.reason.endswith("heat at once")
    assert Wanted(wishes=cooler).setpoints(district, seen)[OFFSET].value == -0.5
    assert Wanted(wishes={HOME: ComfortWish(0.0, True, NOW)}).setpoints(district, seen) == {}
    unshifted = Wanted(wishes={HOME: ComfortWish(0.0, False, NOW)}).setpoints(district, seen)
    assert unshifted[OFFSET].value == 0.0
    assert Wanted(wishes={"nowhere/flat": ComfortWish(1.0, True, NOW)}).setpoints(district, seen) == {}


def test_a_managers_hold_is_held_where_we_may_write(district: District) -> None:
    until = NOW + timedelta(hours=1)
    holds = {p: Hold(p, 5.0, "chief", "works", NOW, until) for p in ("parking/battery/power_setpoint_kw", "a/b/c_kw")}
    found = Wanted(holds=holds).setpoints(district, snapshot({}))
    assert list(found) == ["parking/battery/power_setpoint_kw"] and "chief, works" in found[next(iter(found))].reason


@pytest.mark.parametrize(
    ("taken_kwh", "at_once", "needed_kwh", "hours"),
    [(4.0, False, 18.0, 10), (10.0, False, 12.0, 10), (30.0, False, 0.0, 10), (4.0, True, 18.0, 18 / 22.08)],
)
def test_what_a_driver_said_stands_against_what_was_taken_since(
    district: District, taken_kwh: float, at_once: bool, needed_kwh: float, hours: float
) -> None:
    said = Departure(CAR, 1, 100.0, 18.0, 4.0, at_once, NOW, NOW + timedelta(hours=10))
    assumed = Session(CAR, 35.0, NOW + timedelta(hours=2))
    seen = snapshot({f"{CAR}/session_energy_kwh": taken_kwh}, {CAR: assumed})
    found = Wanted(departures={CAR: said}).sessions(district, seen)[CAR]
    assert found.needed_kwh == pytest.approx(needed_kwh)
    assert (found.departs_at - NOW) / timedelta(hours=1) == pytest.approx(hours)
    assert Wanted(departures={CAR: said}).sessions(district, snapshot({})) == {}  # not plugged in


def test_the_plan_is_told_what_will_stand_and_until_when(district: District) -> None:
    """A manager's hold ends when it says, heating at once within hours, a wish when its home changes it."""
    battery, until = "parking/battery/power_setpoint_kw", NOW + timedelta(hours=5)
    other = "horizon/flat-0102"
    wanted = Wanted(
        wishes={HOME: ComfortWish(0.5, True, NOW)},
        heating={other: NOW + timedelta(hours=2)},
        holds={battery: Hold(battery, -20.0, "anne", "test", NOW, until)},
    )
    found = wanted.overrides(district, snapshot({f"{HOME}/setpoint_c": 19.0, f"{other}/setpoint_c": 19.0}))
    assert (found[battery].value, found[battery].until, found[battery].by) == (-20.0, until, "anne")
    assert found[f"{other}/setpoint_offset_k"].until == NOW + timedelta(hours=2)
    assert found[OFFSET].value == 0.5 and found[OFFSET].until > NOW + timedelta(days=2)
    assert not found[OFFSET].reason.startswith("held")


def test_the_loop_holds_what_a_manager_holds_and_gives_it_back(tmp_path: Path) -> None:
    """From the people's database to the field and back: held in the plan's place, and no longer than asked."""
    small = read_district(copy_small_district(tmp_path))
    site = Site(small, tmp_path)
    point = "mistral/substation/heating_curve_offset_k"
    with People.open(f"sqlite:///{tmp_path}/people.db") as people:
        until = WINTER + timedelta(hours=4)
        people.asked.hold(Hold(point, 1.0, "chief", "cold corner", WINTER, until), "manager")
        people.asked.take_out("mistral/tank", "descaling", ("chief", "manager"), WINTER)
        site.run(1)
        with Store.read_only(site.url) as store:
            record = store.last_decision()
        assert record is not None
        sent = {one["point"]: one for one in record["sent"]}
        assert sent[point]["value"] == 1.0 and "chief, cold corner" in sent[point]["reason"]
        assert not any(p.startswith("mistral/tank/") for p in sent)
        people.asked.end_hold(point, ("chief", "manager"), WINTER)
        people.asked.put_in("mistral/tank", ("chief", "manager"), WINTER)
        site.run(2)
        with Store.read_only(site.url) as store:
            record = store.last_decision()
        assert record is not None
        assert not any("cold corner" in str(one["reason"]) for one in record["sent"])


def test_closing_days_reach_the_plan(tmp_path: Path, district: District) -> None:
    """From the people's database to the snapshot of a plan, through the journal and back."""
    room, christmas = "city-offices/rooms", date(2026, 12, 24)
    with People.open(f"sqlite:///{tmp_path}/people.db") as people:
        for first, last in ((christmas, christmas + timedelta(days=1)), (date(2027, 1, 1), date(2027, 1, 1))):
            assert people.asked.close_room(Closing(0, room, first, last, "", "chief"), ("chief", "manager"), NOW)
        wanted = Wanted(closings=people.asked.closings())
    closed = {room: frozenset({christmas, date(2026, 12, 25), date(2027, 1, 1)})}
    assert wanted.closed == closed
    kept = load_snapshot(dump_snapshot(Snapshot(NOW, {}, closed=wanted.closed)))
    assert kept.closed == closed


HOUR = timedelta(hours=1)
SHARED, BIKES = "parking/point-33", "horizon/bikes"


def reserved(asset: str, begins: float, ends: float, needed_kwh: float = 10.0) -> Reservation:
    return Reservation(1, asset, 1, 50.0, needed_kwh, NOW + begins * HOUR, NOW + ends * HOUR)


def test_a_reserved_car_is_charged_for_the_next_trip_also_while_it_is_away(district: District) -> None:
    trips = Wanted(reservations=[reserved(SHARED, 5, 8, 6.0), reserved(SHARED, 9, 10), reserved(SHARED, -1, 2)]).trips(
        NOW
    )
    assert trips == {SHARED: Trip(NOW + 5 * HOUR, 6.0, NOW + 2 * HOUR)}
    away = sessions(district, snapshot({f"{SHARED}/state_mode": 0.0}), {}, trips)[SHARED]
    assert (away.needed_kwh, away.departs_at, away.arrives_at) == (6.0, NOW + 5 * HOUR, NOW + 2 * HOUR)
    there = snapshot({f"{SHARED}/state_mode": 1.0, f"{SHARED}/session_energy_kwh": 1.5})
    assert sessions(district, there, {}, trips)[SHARED].needed_kwh == 4.5
    assert Wanted(reservations=[reserved(SHARED, -1, 2)]).trips(NOW) == {}  # back, and nobody has it after


def test_bicycles_are_ready_when_the_first_reserved_place_is_left(district: District) -> None:
    room = Session(BIKES, 1.4, NOW + 8 * HOUR)
    seen = snapshot({}, {BIKES: room})
    for places, hours in (
        ([reserved(BIKES, -1, 3), reserved(BIKES, -2, 5)], 3),
        ([reserved(BIKES, 1, 3)], 8),  # it stands there later
        ([reserved(BIKES, -1, 9)], 8),
    ):
        assert Wanted(reservations=places).sessions(district, seen)[BIKES].departs_at == NOW + hours * HOUR
