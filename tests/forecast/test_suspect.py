from __future__ import annotations

import numpy as np
import pytest

from ems.forecast.suspect import cleaned

DAY = 24
HOURS = np.arange(60 * DAY)
USUAL = 10 + 5 * np.sin(2 * np.pi * HOURS / DAY) + 0.3 * np.sin(HOURS * 1.7)


def test_what_a_meter_can_mean_is_left_alone() -> None:
    kept, found = cleaned(USUAL, DAY)
    np.testing.assert_array_equal(kept, USUAL)
    assert found == []


def test_a_frozen_meter_is_missing_for_as_long() -> None:
    values = USUAL.copy()
    values[500:560] = values[500]
    kept, found = cleaned(values, DAY)
    assert np.isnan(kept[500:560]).all()
    assert np.isfinite(kept).sum() == len(values) - 60
    assert found == ["frozen for 60 h"]


def test_spikes_and_rare_negative_values_are_missing() -> None:
    values = USUAL.copy()
    values[[100, 700]] = [9000, -9000]
    kept, found = cleaned(values, DAY)
    assert np.isnan(kept[[100, 700]]).all()
    assert found == ["1 negative values", "1 spikes"]


@pytest.mark.parametrize("times", [10.0, 0.1])
def test_a_lasting_jump_brings_the_older_values_to_the_new_level(times: float) -> None:
    values = USUAL.copy()
    values[: 50 * DAY] /= times
    kept, found = cleaned(values, DAY)
    np.testing.assert_allclose(kept, USUAL, rtol=0.02)
    assert found == [f"level x {times:.2g} 10 days ago"]


def test_a_fortnights_holiday_is_no_jump() -> None:
    values = USUAL.copy()
    values[30 * DAY : 44 * DAY] *= 0.2
    assert cleaned(values, DAY)[1] == []


def test_a_clock_that_slipped_is_noticed_and_its_week_not_learnt_from() -> None:
    values = USUAL.copy()
    values[-7 * DAY :] = 10 + 5 * np.sin(2 * np.pi * (HOURS[-7 * DAY :] - 6) / DAY)
    kept, found = cleaned(values, DAY)
    assert np.isnan(kept[-7 * DAY :]).all()
    assert found == ["days run +6.0 h shifted since a week"]


def test_nothing_known_is_said() -> None:
    assert cleaned(np.full(100, np.nan), DAY)[1] == ["no value is known"]
