"""Sums are forecast with quantiles of their own: errors add up as far as they go together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.district import District, read_district
from ems.district.electricity import EVERYTHING, SUM, sums, uncommanded
from ems.forecast.sums import added, correlation, departures, summed
from ems.series import Forecast, History
from ems.slots import Slots

NOW = datetime(2026, 2, 3, 5, tzinfo=UTC)
PAST = Slots(NOW - timedelta(days=21), 21 * 96)
AHEAD = Slots(NOW, 192)
QUAI = "quai-offices"


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


def flat(point: str, low: float, median: float, high: float, fallback: str = "") -> Forecast:
    rows = (np.full(AHEAD.count, v) for v in (low, median, high))
    return Forecast(point, NOW, AHEAD, *rows, "trees", fallback)


def one(value: float, other: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[value], [other]])


@pytest.mark.parametrize(
    ("together", "low", "high"),
    [
        (1.0, 30 - 7, 30 + 14),  # alike: 3 + 4 below, 6 + 8 above
        (0.0, 30 - 5, 30 + 10),  # apart: the root of 9 + 16, of 36 + 64
        (-1.0, 30 - 1, 30 + 2),  # against each other: 4 - 3, 8 - 6
    ],
)
def test_errors_add_up_as_far_as_they_go_together(together: float, low: float, high: float) -> None:
    rho = np.array([[1.0, together], [together, 1.0]])
    found = added(one(7, 16), one(10, 20), one(16, 28), rho)
    assert [float(row[0]) for row in found] == pytest.approx([low, 30.0, high])


def test_what_departs_alike_is_told_from_what_departs_against_it() -> None:
    """Three meters: a second that departs twice as far as the first, and a third just as far the other way."""
    step = np.tile([1.0, -2.0, 0.5], PAST.count // 3)
    found, known = correlation(np.stack([step, 2 * step, -step]), History(PAST))
    np.testing.assert_allclose(found, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])
    assert known.all()
    step[6 * 96 :] = np.nan  # six days are too few
    found, known = correlation(np.stack([step, -step]), History(PAST))
    assert not known.any() and (found == 1).all()


def test_a_departure_is_from_the_same_local_time_a_week_before() -> None:
    """Across the night of 29 March at nine o'clock: 10 kW as ever, 13 kW on the last Monday."""
    slots = Slots(datetime(2026, 3, 23, tzinfo=UTC), 8 * 96)
    local_nine = [at.hour == (8 if at < datetime(2026, 3, 29, 1, tzinfo=UTC) else 7) for at in slots]
    values = np.where(local_nine, 10.0, 1.0)
    values[7 * 96 :] = np.where(local_nine, 13.0, 1.0)[7 * 96 :]
    departed = departures(values[None, :], History(slots), "Europe/Paris")[0]
    assert np.isnan(departed[: 7 * 96 - 4]).all()
    assert [departed[7 * 96 + 4 * h] for h in (6, 7, 8, 9)] == [0, 3, 0, 0]


def test_a_building_and_the_district_are_forecast(district: District) -> None:
    """All meters of an office building took 1 kW more or less by turns of weeks, each day anew, alike."""
    members = uncommanded(district)[QUAI]
    day = np.repeat([1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0] + [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0] * 2, 96)
    history = History(PAST, dict.fromkeys(members, 10 + day))
    forecasts = {m: flat(m, 8.0, 10.0, 13.0) for m in members}
    made = summed(district, history, forecasts)
    assert list(made) == [f"{QUAI}/{SUM}"]  # of the district most meters lack a forecast
    [found] = made.values()
    n = len(members)
    assert n > 1 and found.median[0] == 10 * n
    assert found.low[0] == pytest.approx(8 * n) and found.high[0] == pytest.approx(13 * n)
    assert found.fallback == ""


def test_what_is_not_known_is_taken_as_alike_and_said(district: District) -> None:
    every = sums(district)[f"{EVERYTHING}/{SUM}"]
    forecasts = {m: flat(m, -1.0, 0.0, 1.0, "dead" if k == 0 else "") for k, m in enumerate(every)}
    made = summed(district, History(PAST), forecasts)
    whole = made[f"{EVERYTHING}/{SUM}"]
    assert whole.high[0] == pytest.approx(len(every))
    assert f"1 of its {len(every)} meters have a stand-in" in whole.fallback
    assert "too little is known" in whole.fallback
    assert set(made) == set(sums(district))


def test_every_meter_is_in_one_building(district: District) -> None:
    by_building = uncommanded(district)
    every = [p for points in by_building.values() for p in points]
    assert len(every) == len(set(every)) and all(p.startswith(f"{b}/") for b, ps in by_building.items() for p in ps)


@given(st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=2, max_size=6), st.integers(0, 9))
def test_never_wider_than_added_up_and_always_in_order(moved: list[list[float]], seed: int) -> None:
    count = len(moved)
    departed = np.tile(np.array(moved), (1, PAST.count // 4))
    together, _ = correlation(departed, History(PAST))
    median = np.random.default_rng(seed).normal(0, 5, (count, 3))
    below, above = np.random.default_rng(seed + 1).gamma(1, 2, (2, count, 3))
    low, middle, high = added(median - below, median, median + above, together)
    assert (low <= middle).all() and (middle <= high).all()
    assert (middle - low <= below.sum(axis=0) + 1e-6).all() and (high - middle <= above.sum(axis=0) + 1e-6).all()
