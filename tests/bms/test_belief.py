"""What a series of readings may be believed. Readings come a minute apart unless a test says otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.bms.belief import Belief, Bounds, Event, Expectation, Finding, expectations
from ems.points import Quality, Sample
from ems.slots import SLOT
from tests.served_district import NOW, whole_district

POINT = "house/meter/energy_kwh"
COUNTER = Expectation(counter=True, jump_per_min=1.0)
THERMOMETER = Expectation(jump_per_min=2.0, frozen_after_h=6)


def shown(
    expectation: Expectation, values: Sequence[float], every: timedelta = timedelta(minutes=1)
) -> tuple[list[float | None], list[Finding], list[Sample]]:
    """What is believed of each value, what was found, and the samples."""
    belief = Belief({POINT: expectation})
    findings: list[Finding] = []
    samples = []
    for n, value in enumerate(values):
        sweep = {POINT: Sample(value, Quality.GOOD, NOW + n * every)}
        findings += belief.judge(sweep)
        samples.append(sweep[POINT])
    return [sample.value for sample in samples], findings, samples


def events(findings: Sequence[Finding]) -> list[Event]:
    return [finding.event for finding in findings]


def test_a_single_jump_is_not_believed_and_its_number_is_kept() -> None:
    believed, findings, samples = shown(THERMOMETER, [20.0, 20.5, 55.0, 20.6])
    assert believed == [20.0, 20.5, None, 20.6]
    assert samples[2].quality is Quality.IMPLAUSIBLE and samples[2].raw == 55.0
    assert findings == []


def test_a_new_level_is_believed_when_three_readings_agree() -> None:
    believed, findings, _ = shown(THERMOMETER, [20.0, 40.0, 40.5, 41.0, 41.2])
    assert believed == [20.0, None, None, 41.0, 41.2]
    assert events(findings) == [Event.STEP] and findings[0].before == 20.0


def test_noise_never_agrees_with_itself() -> None:
    believed, findings, _ = shown(THERMOMETER, [20.0, 80.0, -30.0, 65.0, 5.0, 90.0, 20.1])
    assert believed == [20.0, None, None, None, None, None, 20.1]
    assert findings == []


def test_a_wrong_reading_within_the_limits_does_not_turn_the_next_right_one_away() -> None:
    believed, findings, _ = shown(COUNTER, [5000.0, 5000.1, 5000.9, 5000.2, 5000.3])
    assert believed == [5000.0, 5000.1, 5000.9, 5000.2, 5000.3] and findings == []
    assert shown(THERMOMETER, [20.0, 21.9, 19.8])[0] == [20.0, 21.9, 19.8]


def test_a_longer_pause_allows_a_larger_change() -> None:
    # 2 K per minute: 25 K in a quarter-hour is possible, 31 K is not.
    believed, _, _ = shown(THERMOMETER, [20.0, 45.0, 76.0], every=timedelta(minutes=15))
    assert believed == [20.0, 45.0, None]


def test_a_value_that_never_moves_is_a_dead_sensor_until_it_moves() -> None:
    believed, findings, samples = shown(THERMOMETER, [20.0] * 9 + [20.1], every=timedelta(hours=1))
    assert believed == [20.0] * 6 + [None] * 3 + [20.1]
    assert samples[6].quality is Quality.STALE and samples[6].raw == 20.0
    assert events(findings) == [Event.FROZEN, Event.MOVES]


def test_a_counter_that_lost_its_memory_started_again() -> None:
    believed, findings, _ = shown(COUNTER, [5000.0, 5000.2, 0.0, 0.1, 0.2, 0.3])
    assert believed == [5000.0, 5000.2, None, None, 0.2, 0.3]
    assert events(findings) == [Event.RESTARTED]


def test_a_counter_that_goes_on_from_another_number_is_another_meter() -> None:
    for other in (1200.0, 90000.0):
        believed, findings, _ = shown(COUNTER, [5000.0, other, other, other + 0.1, other + 0.2])
        assert believed == [5000.0, None, None, other + 0.1, other + 0.2]
        assert events(findings) == [Event.EXCHANGED]
        assert "another meter" in str(findings[0])


def test_a_counter_that_turns_over_is_believed_at_once() -> None:
    counter = Expectation(counter=True, jump_per_min=1.0, turns_at=1000.0)
    believed, findings, _ = shown(counter, [999.5, 999.9, 0.3])
    assert believed == [999.5, 999.9, 0.3]
    assert events(findings) == [Event.TURNED]
    # From the middle of its range it does not turn over: that is a loss of memory.
    assert events(shown(counter, [500.0, 0.3, 0.3, 0.3])[1]) == [Event.RESTARTED]


def test_a_float_counter_may_step_back_by_its_last_digit() -> None:
    step = 65536.0 * 2.0**-23
    believed, _, _ = shown(COUNTER, [65536.0, 65536.0 - step, 65536.0])
    assert None not in believed


def test_a_single_backward_reading_of_a_counter_is_not_believed() -> None:
    believed, findings, _ = shown(COUNTER, [5000.0, 4000.0, 5000.3])
    assert believed == [5000.0, None, 5000.3]
    assert findings == []


def test_what_is_not_good_is_left_as_it_is() -> None:
    belief = Belief({POINT: COUNTER})
    silent = Sample(None, Quality.UNREACHABLE, NOW)
    sweep = {POINT: silent, "other": silent}
    assert belief.judge(sweep) == [] and sweep == {POINT: silent, "other": silent}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0, 1e6))
def test_an_honest_counter_is_always_believed(steps: list[float], start: float) -> None:
    values, total = [], start
    for step in steps:
        total += step
        values.append(total)
    believed, findings, _ = shown(COUNTER, values)
    assert believed == values and findings == []


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=40))
def test_what_is_believed_never_jumps_unseen(values: list[float]) -> None:
    """Between two believed readings lies no more than the limit, or a finding says otherwise."""
    expectation = Expectation(jump_per_min=2.0)
    believed, findings, samples = shown(expectation, values)
    told = {finding.at for finding in findings}
    last: Sample | None = None
    before: Sample | None = None
    for value, sample in zip(believed, samples, strict=True):
        if value is None:
            continue
        if last is not None and last.value is not None and sample.at not in told:
            minutes = (sample.at - last.at).total_seconds() / 60
            near = abs(value - last.value) <= 2.0 * minutes * (1 + 1e-6)
            assert near or (before is not None and abs(value - before.value) < abs(value - last.value))
        before, last = last, sample


@given(st.one_of(st.none(), st.floats(-1e6, 0)), st.one_of(st.none(), st.floats(0, 1e6)), st.floats())
def test_bounds_take_their_limits_in_and_nothing_beyond(low: float | None, high: float | None, value: float) -> None:
    sample = Bounds(low, high).sample(value, NOW)
    if not math.isfinite(value):
        assert sample.quality is Quality.MISSING and sample.value is None
    elif (low is None or low <= value) and (high is None or value <= high):
        assert sample.value == value
    elif (low is not None and value < low - 1 - abs(low) / 1e5) or (
        high is not None and value > high + 1 + abs(high) / 1e5
    ):
        assert sample.quality is Quality.IMPLAUSIBLE and sample.value is None and sample.raw == value


def test_stocks_and_set_points_are_no_counters() -> None:
    found = expectations(whole_district().wires.values())
    assert found["mistral/flat-0101/energy_kwh"].counter
    assert not found["plant-a/battery/stored_kwh"].counter
    assert not found["parking/point-01/session_energy_kwh"].counter
    assert "parking/point-01/current_limit_a" not in found
    # 2^32 tens of litres, as the register counts them.
    assert found["mistral/flat-0101/hot_water_m3"].turns_at == 0.01 * 2**32


def test_every_counter_that_ships_has_a_largest_step_so_that_another_meter_is_noticed() -> None:
    wires = whole_district().wires.values()
    assert [p for p, e in expectations(wires).items() if e.counter and e.jump_per_min is None] == []
    found = expectations(wires)
    assert found["mistral/flat-0101/hot_water_m3"].jump_per_min == 0.1  # as its file says
    # Its file says nothing; the largest plausible power of the meter is 200 kW.
    heat = found["mistral/flat-0101/heat_energy_kwh"]
    assert heat.jump_per_min == pytest.approx(200 / 60)


def test_a_meter_that_was_exchanged_for_one_that_counted_more_is_not_billed() -> None:
    heat = expectations(whole_district().wires.values())["mistral/flat-0101/heat_energy_kwh"]
    believed, findings, _ = shown(heat, [1000.0, 1001.0, 51_002.0, 51_003.0, 51_004.0], every=SLOT)
    assert believed == [1000.0, 1001.0, None, None, 51_004.0]
    assert events(findings) == [Event.EXCHANGED]
