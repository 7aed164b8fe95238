"""One reading per point and quarter-hour, from minute samples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ems.loop.minutes import Minutes, Reading
from ems.points import Quality, Sample, good
from ems.slots import SLOT_SECONDS, slot_number

START = datetime(2026, 1, 20, 7, 0, tzinfo=UTC)
POWER, ENERGY = "a/b/power_kw", "a/b/energy_kwh"
FIRST_S = slot_number(START) * SLOT_SECONDS


def sweep(minutes: Minutes, minute: float, power: float | None) -> dict[str, Reading]:
    """One sweep, with a counter that starts at 100 kWh and counts one a minute."""
    at = START + timedelta(minutes=minute)
    sample = good(power, at) if power is not None else Sample(None, Quality.UNREACHABLE, at)
    return {r[0]: r for r in minutes.add({POWER: sample, ENERGY: good(100 + minute, at)}, at)}


def test_a_slot_closes_with_the_sweep_at_its_end() -> None:
    minutes = Minutes(frozenset({POWER, ENERGY}))
    assert sweep(minutes, 0, 50.0) == {}  # of the slot before, of which nothing else is known
    assert sweep(minutes, 5, 1.0) == {}
    assert sweep(minutes, 10, 2.0) == {}
    readings = sweep(minutes, 15, 6.0)
    # The mean of 1, 2 and 6 kW; the counter as it stood at the start.
    assert readings[POWER] == (POWER, FIRST_S, 3.0, Quality.GOOD)
    assert readings[ENERGY] == (ENERGY, FIRST_S, 100.0, Quality.GOOD)


def test_a_sweep_after_the_boundary_belongs_to_the_new_slot() -> None:
    minutes = Minutes(frozenset({POWER, ENERGY}))
    sweep(minutes, 1, 4.0)
    assert sweep(minutes, 15.1, 9.0)[POWER] == (POWER, FIRST_S, 4.0, Quality.GOOD)


def test_missing_samples_do_not_count_as_zero() -> None:
    minutes = Minutes(frozenset({POWER}))
    sweep(minutes, 5, 4.0)
    sweep(minutes, 10, None)
    assert sweep(minutes, 15, None)[POWER] == (POWER, FIRST_S, 4.0, Quality.GOOD)


def test_a_slot_without_a_good_sample_says_why() -> None:
    minutes = Minutes(frozenset({POWER}))
    sweep(minutes, 5, None)
    assert sweep(minutes, 15, None)[POWER] == (POWER, FIRST_S, None, Quality.UNREACHABLE)


def test_slots_nobody_saw_leave_no_reading() -> None:
    minutes = Minutes(frozenset({POWER}))
    sweep(minutes, 5, 4.0)
    closed = sweep(minutes, 60, 8.0)
    assert closed[POWER] == (POWER, FIRST_S, 4.0, Quality.GOOD)  # and nothing for the three slots after it


def test_a_counter_first_seen_late_is_not_the_start_s() -> None:
    minutes = Minutes(frozenset({ENERGY}))
    sweep(minutes, 7, 1.0)
    assert sweep(minutes, 15, 1.0) == {}  # nothing is known of the start, so nothing is stored


def test_one_stand_in_among_the_samples_makes_a_stand_in_of_their_mean() -> None:
    minutes = Minutes(frozenset({POWER, ENERGY}))
    for minute, quality in ((0, Quality.GOOD), (5, Quality.GOOD), (10, Quality.SUBSTITUTED), (14, Quality.GOOD)):
        at = START + timedelta(minutes=minute)
        minutes.add({POWER: Sample(4.0, quality, at), ENERGY: Sample(7.0, Quality.SUBSTITUTED, at)}, at)
    readings = {r[0]: r for r in minutes.add({}, START + timedelta(minutes=15))}
    assert readings[POWER] == (POWER, FIRST_S, 4.0, Quality.SUBSTITUTED)
    assert readings[ENERGY] == (ENERGY, FIRST_S, 7.0, Quality.SUBSTITUTED)


def test_an_unusable_sample_among_good_ones_leaves_the_mean_good() -> None:
    """It is left out of the mean, and nothing stands in for it."""
    minutes = Minutes(frozenset({POWER}))
    sweep(minutes, 5, None)
    sweep(minutes, 10, 4.0)
    assert sweep(minutes, 15, 8.0)[POWER] == (POWER, FIRST_S, 6.0, Quality.GOOD)
