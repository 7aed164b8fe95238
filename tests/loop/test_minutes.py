"""One reading per point and quarter-hour, from minute samples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ems.loop.minutes import Minutes
from ems.points import Quality, Sample, good
from ems.slots import SLOT_SECONDS, slot_number

START = datetime(2026, 1, 20, 7, 0, tzinfo=UTC)
POWER, ENERGY = "a/b/power_kw", "a/b/energy_kwh"
SLOT = slot_number(START)


def sweep(minute: int, power: float | None, energy: float = 100.0) -> tuple[dict[str, Sample], int]:
    at = START + timedelta(minutes=minute)
    sample = good(power, at) if power is not None else Sample(None, Quality.UNREACHABLE, at)
    return {POWER: sample, ENERGY: good(energy + minute, at)}, slot_number(at)


def test_a_slot_closes_with_the_first_sweep_after_it() -> None:
    minutes = Minutes(frozenset({POWER, ENERGY}))
    assert minutes.add(*sweep(0, 1.0)) == []
    assert minutes.add(*sweep(5, 2.0)) == []
    assert minutes.add(*sweep(10, 6.0)) == []
    readings = {point: (at, value, quality) for point, at, value, quality in minutes.add(*sweep(15, 9.0))}
    # The mean of 1, 2 and 6 kW; the counter as it stood at the start.
    assert readings[POWER] == (SLOT * SLOT_SECONDS, 3.0, Quality.GOOD)
    assert readings[ENERGY] == (SLOT * SLOT_SECONDS, 100.0, Quality.GOOD)


def test_missing_samples_do_not_count_as_zero() -> None:
    minutes = Minutes(frozenset({POWER}))
    minutes.add(*sweep(0, 4.0))
    minutes.add(*sweep(5, None))
    [(_, _, value, quality)] = minutes.add(*sweep(15, None))
    assert (value, quality) == (4.0, Quality.GOOD)


def test_a_slot_without_a_good_sample_says_why() -> None:
    minutes = Minutes(frozenset({POWER}))
    minutes.add(*sweep(0, None))
    [(_, _, value, quality)] = minutes.add(*sweep(15, 1.0))
    assert (value, quality) == (None, Quality.UNREACHABLE)
