"""Who is plugged in, what they need and when they leave."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ems.assets import ChargePoint
from ems.district import District, read_district
from ems.estimate import Trip, sessions
from ems.estimate.sessions import usual_departure
from ems.points import good
from ems.snapshot import Snapshot

PARIS = ZoneInfo("Europe/Paris")
EVENING = datetime(2026, 1, 20, 18, 0, tzinfo=UTC)  # 19 h in Marseille
POINT = "parking/point-01"
SHARED = "parking/point-40"  # home of a shared car with 50 kWh


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(Path("buildings"))


def test_a_car_needs_what_it_has_not_taken_yet(district: District) -> None:
    at = EVENING
    samples = {f"{POINT}/state_mode": good(2, at), f"{POINT}/session_energy_kwh": good(4.0, at)}
    [session] = sessions(district, Snapshot(at=at, samples=samples), {}).values()
    assert session.needed_kwh == 31.0  # 35 - 4
    assert session.departs_at.astimezone(PARIS) == datetime(2026, 1, 21, 7, 15, tzinfo=PARIS)


def test_a_shared_car_needs_its_share(district: District) -> None:
    samples = {f"{SHARED}/state_mode": good(1, EVENING), f"{SHARED}/session_energy_kwh": good(0.0, EVENING)}
    [session] = sessions(district, Snapshot(at=EVENING, samples=samples), {}).values()
    assert session.needed_kwh == 40.0  # 0.8 x 50


@pytest.mark.parametrize("state", [0, 3, 4])
def test_free_full_and_faulty_points_have_no_session(district: District, state: float) -> None:
    samples = {f"{POINT}/state_mode": good(state, EVENING)}
    assert sessions(district, Snapshot(at=EVENING, samples=samples), {}) == {}


def test_an_unread_point_has_no_session(district: District) -> None:
    assert sessions(district, Snapshot(at=EVENING, samples={}), {}) == {}


def test_a_departure_once_assumed_stays(district: District) -> None:
    samples = {f"{POINT}/state_mode": good(2, EVENING), f"{POINT}/session_energy_kwh": good(1.0, EVENING)}
    first = sessions(district, Snapshot(at=EVENING, samples=samples), {})
    later = datetime(2026, 1, 21, 5, 30, tzinfo=UTC)  # 6.30 h: somebody plugging in now would leave in the afternoon
    again = sessions(district, Snapshot(at=later, samples=samples), first)
    assert again[POINT].departs_at == first[POINT].departs_at


def test_a_trip_that_somebody_announced_says_when_and_how_much(district: District) -> None:
    trip = Trip(leaves_at=EVENING + timedelta(hours=3), needed_kwh=12.0)
    samples = {f"{SHARED}/state_mode": good(2, EVENING), f"{SHARED}/session_energy_kwh": good(5.0, EVENING)}
    [session] = sessions(district, Snapshot(at=EVENING, samples=samples), {}, {SHARED: trip}).values()
    assert (session.needed_kwh, session.departs_at) == (7.0, trip.leaves_at)


def test_a_shared_car_that_is_away_is_planned_for_from_its_return(district: District) -> None:
    trip = Trip(EVENING + timedelta(hours=9), 20.0, returns_at=EVENING + timedelta(hours=2))
    samples = {f"{SHARED}/state_mode": good(0, EVENING)}
    [session] = sessions(district, Snapshot(at=EVENING, samples=samples), {}, {SHARED: trip}).values()
    assert (session.arrives_at, session.departs_at, session.needed_kwh) == (trip.returns_at, trip.leaves_at, 20.0)
    late = EVENING + timedelta(hours=3)
    assert sessions(district, Snapshot(at=late, samples=samples), {}, {SHARED: trip}) == {}


def test_a_car_that_tells_how_full_it_is_needs_the_rest(district: District) -> None:
    point = district.asset(POINT, ChargePoint).model_copy(update={"give_back_current_a": 16.0})
    here = replace(district, assets={**district.assets, POINT: point})
    told = {"state_mode": 3.0, "stored_kwh": 30.0, "capacity_kwh": 50.0, "session_energy_kwh": 3.0}
    samples = {f"{POINT}/{q}": good(v, EVENING) for q, v in told.items()}
    [session] = sessions(here, Snapshot(at=EVENING, samples=samples), {}).values()
    assert (session.needed_kwh, session.stored_kwh, session.capacity_kwh) == (10.0, 30.0, 50.0)


def seen(taken_a: float, allowed_a: float) -> Snapshot:
    values = {"state_mode": 2, "session_energy_kwh": 1.0, "current_a": taken_a, "current_limit_a": allowed_a}
    return Snapshot(at=EVENING, samples={f"{POINT}/{q}": good(v, EVENING) for q, v in values.items()})


@pytest.mark.parametrize(
    ("taken_a", "allowed_a", "most_kw"),
    [
        (6.0, 6.0, None),  # its socket holds it back: nobody knows
        (16.0, 16.0, None),
        (15.9, 20.0, 3.68),  # a usual car: 16 A at 230 V
        (20.0, 20.0, 7.36),  # more than a usual one: counted on for all that the socket gives
        (10.0, 20.0, 2.3),
        (0.0, 20.0, None),  # does not charge
    ],
)
def test_a_car_shows_what_it_takes(district: District, taken_a: float, allowed_a: float, most_kw: float | None) -> None:
    [session] = sessions(district, seen(taken_a, allowed_a), {}).values()
    assert session.most_kw == (None if most_kw is None else pytest.approx(most_kw))


def test_what_a_car_has_shown_stays_known(district: District) -> None:
    first = sessions(district, seen(20.0, 20.0), {})
    held_back = sessions(district, seen(6.0, 6.0), first)
    nearly_full = sessions(district, seen(8.0, 32.0), held_back)
    assert nearly_full[POINT].most_kw == pytest.approx(7.36)
    assert nearly_full[POINT].may_leave_per_h > 0


def test_bicycles_count_together(district: District) -> None:
    samples = {"horizon/bikes/bikes_count": good(10, EVENING)}
    [session] = sessions(district, Snapshot(at=EVENING, samples=samples), {}).values()
    assert session.needed_kwh == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("plugged", "leaves"),
    [
        (datetime(2026, 1, 20, 9, 0, tzinfo=PARIS), datetime(2026, 1, 20, 17, 30, tzinfo=PARIS)),
        (datetime(2026, 1, 20, 2, 0, tzinfo=PARIS), datetime(2026, 1, 20, 7, 15, tzinfo=PARIS)),
        # The night before the clocks go forward is an hour shorter, and breakfast is still at breakfast.
        (datetime(2026, 3, 28, 20, 0, tzinfo=PARIS), datetime(2026, 3, 29, 7, 15, tzinfo=PARIS)),
    ],
)
def test_people_leave_by_the_clock_on_the_wall(plugged: datetime, leaves: datetime) -> None:
    assert usual_departure(plugged.astimezone(UTC), PARIS) == leaves
