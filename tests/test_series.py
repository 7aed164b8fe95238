"""Series and forecasts fit their slots; quantiles are in order."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from ems.series import Floats, Forecast, Series
from ems.slots import Slots

SLOTS = Slots(datetime(2026, 1, 15, tzinfo=UTC), 3)


def forecast(low: Floats, median: Floats, high: Floats) -> Forecast:
    return Forecast("a/b/power_kw", SLOTS.start, SLOTS, low, median, high, model="same time yesterday")


def test_a_series_has_one_value_per_slot() -> None:
    assert np.isnan(Series(SLOTS, np.array([1.0, np.nan, 3.0])).values[1])  # a hole is allowed, and stays a hole
    with pytest.raises(ValueError, match="2 values for 3 slots"):
        Series(SLOTS, np.zeros(2))


def test_a_forecast_has_no_holes_and_its_quantiles_are_in_order() -> None:
    one, two, three = np.ones(3), np.full(3, 2.0), np.full(3, 3.0)
    assert forecast(one, two, three).fallback == ""
    with pytest.raises(ValueError, match="a/b/power_kw: quantiles are not in order"):
        forecast(two, one, three)
    with pytest.raises(ValueError, match="a/b/power_kw: median has a value that is not finite"):
        forecast(one, np.array([2.0, np.nan, 2.0]), three)
    with pytest.raises(ValueError, match="a/b/power_kw: low has 2 values for 3 slots"):
        forecast(np.zeros(2), two, three)
