"""A forecast that ran away is not planned on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from ems.loop.forecasts import believed
from ems.series import Forecast, History
from ems.slots import Slots

NOW = datetime(2026, 1, 20, 5, 0, tzinfo=UTC)
POINT = "a/meter/power_kw"
AHEAD = Slots(NOW, 192)


def told(value: float) -> dict[str, Forecast]:
    row = np.full(192, value)
    return {POINT: Forecast(POINT, NOW, AHEAD, row, row, row, "trees")}


def past(days: int = 8) -> History:
    """Each day 1 kW in its first quarter-hour, 2 kW in its second and so on, to 96 kW; the day counted from NOW's."""
    slots = Slots(NOW - timedelta(days=days), 96 * days)
    return History(slots, {POINT: np.tile(np.arange(1.0, 97.0), days)})


def test_what_may_be_is_left_as_it_is() -> None:
    for value in (0.0, -50.0, 960.0):  # ten times the largest of 96 kW
        forecasts = told(value)
        assert believed(forecasts, past()) == (forecasts, {})


def test_what_cannot_be_gives_way_to_last_week_and_is_named() -> None:
    for value in (960.1, -1e6):
        kept, refused = believed(told(value), past())
        assert kept[POINT].median.tolist() == [*range(1, 97), *range(1, 97)]
        assert kept[POINT].model == "last week"
        assert "at most 96 was ever measured" in kept[POINT].fallback
        assert "last week stands in" in refused[POINT]
        assert (kept[POINT].low <= kept[POINT].median).all() and (kept[POINT].median <= kept[POINT].high).all()


def test_a_gap_in_last_week_is_filled_from_the_nearest_day_that_knows() -> None:
    history = past()
    history.values[POINT][96:192] = np.nan  # seven days ago
    history.values[POINT][-96:] += 0.5  # yesterday
    kept, _ = believed(told(1e6), history)
    assert kept[POINT].median[:96].tolist() == [k + 0.5 for k in range(1, 97)]
    assert kept[POINT].median[96:].tolist() == [*range(1, 97)]  # six days ago: yesterday does not reach that far


def test_nothing_is_judged_by_less_than_a_day_or_by_zeros() -> None:
    forecasts = told(1e6)
    short = History(Slots(NOW - timedelta(hours=23), 92), {POINT: np.ones(92)})
    nothing = History(past().slots, {POINT: np.zeros(96 * 8)})
    stranger = History(past().slots, {})
    for history in (short, nothing, stranger):
        assert believed(forecasts, history) == (forecasts, {})
