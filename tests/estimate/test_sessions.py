"""Who is plugged in, what they need and when they leave."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ems.district import District, read_district
from ems.estimate import sessions
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
