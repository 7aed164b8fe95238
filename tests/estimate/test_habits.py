"""What cars do is learnt from stays: by arrivals of the same hour, and by who left before it was full."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.district import District, read_district
from ems.estimate import habits, sessions
from ems.estimate.habits import MORE_KWH, Stays
from ems.points import good
from ems.series import History
from ems.slots import Slots
from ems.snapshot import Snapshot

PARIS = ZoneInfo("Europe/Paris")
MONDAY = datetime(2026, 1, 12, 0, 0, tzinfo=PARIS)
POINT = "parking/point-01"


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(Path("buildings"))


def history_of(stays: list[tuple[datetime, datetime, float, bool]], slots: Slots) -> History:
    """What one charge point showed: who came, left, took how much, and whether it was full at the end."""
    state, energy = np.zeros(slots.count), np.zeros(slots.count)
    for came, left, kwh, full in stays:
        first, end = ((at - slots.start) // slots.length for at in (came, left))
        state[first:end] = 2.0
        if full:
            state[end - 1] = 3.0
        energy[first + 1 : end + 1] = np.linspace(kwh / (end - first), kwh, end - first)
        energy[end + 1 :] = kwh  # stands until the next car comes
    return History(slots, {f"{POINT}/state_mode": state, f"{POINT}/session_energy_kwh": energy})


def working_days(count: int) -> list[datetime]:
    days = [MONDAY + timedelta(days=k) for k in range(2 * count)]
    return [d for d in days if d.weekday() < 5][:count]


def test_who_comes_like_others_leaves_when_they_left_and_needs_what_they_needed(district: District) -> None:
    """15 working days from 9 to 17 h, 12 kWh, full: that is what a sixteenth car at 9 h is expected to do."""
    days = working_days(15)
    stays = [(d + timedelta(hours=9), d + timedelta(hours=17), 12.0, True) for d in days]
    slots = Slots(MONDAY.astimezone(UTC), 96 * 40)
    known = habits(district, history_of(stays, slots))
    at = (days[-1] + timedelta(days=7, hours=9, minutes=15)).astimezone(UTC)
    samples = {f"{POINT}/state_mode": good(2, at), f"{POINT}/session_energy_kwh": good(4.0, at)}
    snapshot = Snapshot(at=at, samples=samples)
    snapshot = Snapshot(at=at, samples=samples, sessions=sessions(district, snapshot, {}))
    [session] = known.informed(district, snapshot).sessions.values()
    assert session.may_need_kwh == (8.0,) * 5  # 12 less the 4 it has
    local = session.departs_at.astimezone(PARIS)
    assert abs(local - at.astimezone(PARIS).replace(hour=16, minute=52)) < timedelta(minutes=8)
    assert session.may_depart_at[-1] == session.departs_at
    assert session.may_leave_per_h == 0.0


def test_whoever_said_something_is_believed(district: District) -> None:
    stays = [(d + timedelta(hours=9), d + timedelta(hours=17), 12.0, True) for d in working_days(15)]
    known = habits(district, history_of(stays, Slots(MONDAY.astimezone(UTC), 96 * 40)))
    at = (MONDAY + timedelta(days=28, hours=9)).astimezone(UTC)
    samples = {f"{POINT}/state_mode": good(2, at)}
    seen = sessions(district, Snapshot(at=at, samples=samples), {})[POINT]
    told = type(seen)(POINT, 3.0, at + timedelta(hours=2))
    snapshot = Snapshot(at=at, samples=samples, sessions={POINT: told})
    assert known.informed(district, snapshot).sessions[POINT] == told


def test_too_few_stays_tell_nothing(district: District) -> None:
    stays = [(d + timedelta(hours=9), d + timedelta(hours=17), 12.0, True) for d in working_days(11)]
    known = habits(district, history_of(stays, Slots(MONDAY.astimezone(UTC), 96 * 40)))
    at = (MONDAY + timedelta(days=28, hours=9)).astimezone(UTC)
    samples = {f"{POINT}/state_mode": good(2, at)}
    snapshot = Snapshot(at=at, samples=samples)
    snapshot = Snapshot(at=at, samples=samples, sessions=sessions(district, snapshot, {}))
    assert known.informed(district, snapshot) == snapshot


def test_a_stay_with_a_hole_or_without_its_beginning_tells_nothing(district: District) -> None:
    slots = Slots(MONDAY.astimezone(UTC), 96 * 3)
    day = [MONDAY + timedelta(days=k) for k in range(3)]
    history = history_of([(d + timedelta(hours=9), d + timedelta(hours=17), 12.0, True) for d in day], slots)
    history.values[f"{POINT}/state_mode"][35] = np.nan  # just before the first one
    history.values[f"{POINT}/state_mode"][: 4 * 9 - 1] = np.nan
    [seen] = habits(district, history).stays.values()
    assert len(seen.left_h) == 2


def stays(taken: list[float], full: list[bool]) -> Stays:
    n = len(taken)
    return Stays(np.full(n, 9.0), np.full(n, 17.0), np.full(n, True), np.array(taken), np.array(full))


def test_who_left_hungry_wanted_more_than_it_took() -> None:
    """Ten of 10 kWh and ten of 30, all full: half of all cars want 30. Twenty more left hungry at 9: no less does."""
    sure = stays([10.0] * 10 + [30.0] * 10, [True] * 20)
    found = sure.needs_kwh(0.0)
    assert found is not None
    assert found.tolist() == [10.0, 10.0, 30.0, 30.0, 30.0]
    censored = stays([10.0] * 10 + [30.0] * 10 + [9.0] * 20, [True] * 20 + [False] * 20)
    again = censored.needs_kwh(0.0)
    assert again is not None
    assert again.tolist() == found.tolist()


def test_who_has_taken_more_than_most_is_one_of_the_empty_ones() -> None:
    sure = stays([10.0] * 99 + [50.0], [True] * 100)
    first, later, beyond = sure.needs_kwh(0.0), sure.needs_kwh(12.0), sure.needs_kwh(55.0)
    assert first is not None and later is not None and beyond is not None
    assert first.tolist() == [10.0] * 5
    assert later.tolist() == [38.0] * 5
    assert beyond.tolist() == [MORE_KWH] * 5


@given(
    taken=st.lists(st.tuples(st.floats(0.5, 80), st.booleans()), min_size=1, max_size=60),
    had=st.floats(0, 100),
)
def test_needs_ascend_and_are_never_negative(taken: list[tuple[float, bool]], had: float) -> None:
    found = stays([k for k, _ in taken], [f for _, f in taken]).needs_kwh(had)
    if sum(f for _, f in taken) < 12:
        assert found is None
    else:
        assert found is not None
        assert np.isfinite(found).all() and (found >= 0).all() and (np.diff(found) >= 0).all()
