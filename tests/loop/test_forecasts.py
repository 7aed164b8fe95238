"""A forecast that ran away is not planned on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ems.district import read_district
from ems.district.electricity import EVERYTHING, SUM, sums
from ems.estimate.habits import habit_points
from ems.loop import memory
from ems.loop.forecasts import believed, for_people
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


def test_people_are_told_of_sums_and_cars_with_their_quantiles() -> None:
    """Each meter 3 kW, of which 1 to 5; no car in a fortnight. A record keeps the quantiles of both."""
    district = read_district(Path("buildings"))
    wanted = sums(district)
    members = wanted[f"{EVERYTHING}/{SUM}"]
    row = np.full(192, 3.0)
    forecasts = {m: Forecast(m, NOW, AHEAD, row - 2, row, row + 2, "trees") for m in members}
    slots = Slots(NOW - timedelta(days=14), 96 * 14)
    history = History(slots, {p: np.zeros(slots.count) for p in habit_points(district)})
    told = for_people(district, history, forecasts, AHEAD, NOW)
    cars = {p for p in told if p.startswith("parking/") and not p.endswith("_kw")}
    assert set(told) == set(wanted) | cars and len(cars) == 6
    assert told[f"{EVERYTHING}/{SUM}"].median[0] == 3 * len(members)
    record = memory.decision(
        slot=0, now=NOW, plan=None, forecasts=told, commands=[], outcomes={}, refused=[], deviations=[], events=[],
        counts={}, seconds={},
    )["forecasts"]  # fmt: skip
    assert record["parking/charge-points/arrivals_count"]["high"] == [0.0] * 192
    assert record[f"{EVERYTHING}/{SUM}"]["low"][0] == pytest.approx(
        len(members), abs=1e-3
    )  # nothing known: as if alike


def test_a_sum_is_made_of_what_stands_in_for_a_meter_that_ran_away() -> None:
    """One meter told 1e6 kW: the plan is not made on it, nor is the district's sum."""
    district = read_district(Path("buildings"))
    members = sums(district)[f"{EVERYTHING}/{SUM}"]
    row = np.full(192, 3.0)
    forecasts = {m: Forecast(m, NOW, AHEAD, row, row, row, "trees") for m in members}
    forecasts[members[0]] = replace(forecasts[members[0]], high=row + 1e6)
    history = History(past().slots, {members[0]: past().values[POINT]})
    kept, _ = believed(forecasts, history)
    whole = for_people(district, history, kept, AHEAD, NOW)[f"{EVERYTHING}/{SUM}"]
    assert whole.high.max() < 3 * len(members) + 96
    assert "1 of its" in whole.fallback
