from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.forecast import MODELS, Past, race
from ems.forecast.calendar import SUNDAY, WORKDAY, calendar
from ems.forecast.models import days_before
from ems.slots import Slots

DAY = 96
MONDAY = datetime(2026, 2, 2, tzinfo=UTC)  # 01:00 on the wall clock of Paris
BY_NAME = {m.name: m for m in MODELS}


def past_of(values: np.ndarray, *, start: datetime = MONDAY, ahead: int = 192, typical: float = 5.0) -> Past:
    """Meters [M, T] from `start`, with a flat climatology, and `ahead` slots to forecast."""
    meters, length = values.shape
    whole = calendar(Slots(start, length + ahead), "Europe/Paris")
    return Past(values, whole, np.full((meters, length + ahead), typical))


def targets_of(past: Past) -> np.ndarray:
    return np.arange(past.length, past.calendar.slots.count)


def said(name: str, past: Past) -> np.ndarray:
    return BY_NAME[name].expects(past, past.length, targets_of(past))[0]


class TestModels:
    def test_last_week_and_yesterday_repeat_what_was(self) -> None:
        # Each slot holds its own number, so that a copy tells where it comes from.
        past = past_of(np.arange(10 * DAY, dtype=float)[None, :])
        np.testing.assert_array_equal(said("same time last week", past), np.arange(10 * DAY, 12 * DAY) - 7 * DAY)
        # Tomorrow's "yesterday" is today, not yet known, so it is the day before.
        expected = np.concatenate([np.arange(9 * DAY, 10 * DAY), np.arange(9 * DAY, 10 * DAY)])
        np.testing.assert_array_equal(said("yesterday", past), expected)

    def test_means_take_days_of_the_same_kind(self) -> None:
        # Two weeks from a Monday: working days at 10, 20 in the second week; weekends at 1.
        days = [10.0] * 5 + [1.0] * 2 + [20.0] * 5 + [1.0] * 2
        past = past_of(np.repeat(days, DAY)[None, :], start=MONDAY - timedelta(hours=1))
        # By hand: of the last eight working days five are at 20 and three at 10.
        np.testing.assert_allclose(said("mean of like days", past), (5 * 20 + 3 * 10) / 8)
        np.testing.assert_allclose(said("mean of four weeks", past), (20 + 10) / 2)

    def test_a_public_holiday_is_a_sunday(self) -> None:
        easter = calendar(Slots(datetime(2026, 4, 5, 22, tzinfo=UTC), 2 * DAY), "Europe/Paris")
        assert set(easter.kind[:DAY]) == {SUNDAY}  # Easter Monday
        assert set(easter.weekday[:DAY]) == {1}
        assert set(easter.kind[DAY:]) == {WORKDAY}
        assert calendar(Slots(datetime(2026, 4, 6, 12, tzinfo=UTC), 4), "UTC").kind[0] == WORKDAY

    @pytest.mark.parametrize("change", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)])
    def test_the_same_time_is_the_same_on_the_wall_clock(self, change: datetime) -> None:
        past = past_of(np.zeros((1, 7 * DAY)), start=change - timedelta(days=6, hours=12))
        hour = past.calendar.hour
        targets = targets_of(past)
        for days in (1, 2, 3, 7):
            at = days_before(past, targets, np.full(len(targets), days))
            known = at >= 0
            same = np.isclose(hour[at[known]], hour[targets[known]])
            assert same.mean() > 0.97  # an hour that does not exist, or exists twice, has no twin

    def test_nobody_looks_past_what_is_known(self) -> None:
        values = np.random.default_rng(1).random((2, 20 * DAY))
        known = 12 * DAY
        changed = values.copy()
        changed[:, known:] = 1e6
        targets = np.arange(known, known + 192)
        for model in MODELS:
            before, after = (model.expects(past_of(v), known, targets) for v in (values, changed))
            np.testing.assert_array_equal(before, after)
        one, other = (race(past_of(v), targets, known=known)[0] for v in (values, changed))
        np.testing.assert_array_equal(one.high, other.high)


class TestRace:
    def test_the_best_on_its_own_past_wins(self) -> None:
        rng = np.random.default_rng(0)
        slots = np.arange(35 * DAY)
        # A pattern of the week that no working day shares, with little noise: last week is right, like days are not.
        weekly = 10 + 5 * np.sin(2 * np.pi * (slots // DAY % 7) / 7) + 0.01 * rng.standard_normal(len(slots))
        # The same day every day, with much noise: a mean is right.
        daily = 20 + 15 * np.sin(2 * np.pi * slots / DAY) + 3 * rng.standard_normal(len(slots))
        found = race(past_of(np.stack([weekly, daily])), np.arange(35 * DAY, 37 * DAY))
        assert found[0].model in ("same time last week", "mean of four weeks")
        assert found[1].model == "mean of like days"
        assert found[0].loss < 0.05
        error = 20 + 15 * np.sin(2 * np.pi * np.arange(2 * DAY) / DAY) - found[1].median
        assert np.abs(error).mean() < 1.5

    def test_the_interval_holds_four_in_five(self) -> None:
        rng = np.random.default_rng(3)
        noise = rng.standard_normal((20, 37 * DAY))
        values = np.maximum(20 + 4 * np.sin(2 * np.pi * np.arange(37 * DAY) / DAY) + 2 * noise, 0)
        found = race(past_of(values[:, : 35 * DAY]), np.arange(35 * DAY, 37 * DAY))
        truth = values[:, 35 * DAY :]
        inside = [(o.low <= t) & (t <= o.high) for o, t in zip(found, truth, strict=True)]
        assert np.mean(inside) == pytest.approx(0.8, abs=0.05)

    def test_a_cold_start_is_climatology_with_a_stated_spread(self) -> None:
        outlook = race(past_of(np.full((1, 0), np.nan)), np.arange(192))[0]
        assert outlook.model == "climatology"
        np.testing.assert_allclose(outlook.median, 5)
        np.testing.assert_allclose(outlook.low, 5 * 0.55)
        assert np.isnan(outlook.loss)

    def test_one_day_moves_climatology_to_its_level(self) -> None:
        outlook = race(past_of(np.full((1, DAY), 8.0)), np.arange(DAY, DAY + 192))[0]
        assert outlook.model == "climatology"
        np.testing.assert_allclose(outlook.median, 8)

    def test_a_gap_a_week_ago_is_filled_by_the_next_and_says_so(self) -> None:
        rng = np.random.default_rng(0)
        slots = np.arange(35 * DAY)
        values = (10 + 5 * (slots // DAY % 7) + 0.01 * rng.standard_normal(len(slots)))[None, :]
        values[0, -6 * DAY : -6 * DAY + 20] = np.nan
        past = past_of(values)
        models = [BY_NAME["same time last week"], BY_NAME["climatology"]]
        outlook = race(past, targets_of(past), models=models)[0]
        assert outlook.model == "same time last week, gaps: climatology"
        assert np.isfinite(outlook.median).all()

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(0, 36 * DAY),
        st.sampled_from(["noise", "constant", "zero", "spike", "jump", "missing", "block", "negative"]),
        st.integers(0, 1000),
        st.integers(0, 800),
    )
    def test_always_finite_ordered_and_plausible(self, length: int, what: str, seed: int, day: int) -> None:
        rng = np.random.default_rng(seed)
        values = rng.gamma(2, 3, length)
        at = int(rng.integers(0, max(length, 1)))
        match what:
            case "constant":
                values[:] = 7.0
            case "zero":
                values[:] = 0.0
            case "spike" if length:
                values[at] = 1e4
            case "negative" if length:
                values[at] = -1e4
            case "jump":
                values[at:] *= 10
            case "missing":
                values[:] = np.nan
            case "block":
                values[at : at + 500] = np.nan
        start = datetime(2025, 1, 1, 13, 15, tzinfo=UTC) + timedelta(days=day)
        past = past_of(values[None, :], start=start)
        outlook = race(past, targets_of(past))[0]
        assert np.isfinite([outlook.low, outlook.median, outlook.high]).all()
        assert (outlook.low >= 0).all()
        assert (outlook.low <= outlook.median).all()
        assert (outlook.median <= outlook.high).all()
        seen = np.abs(values[np.isfinite(values)])
        assert outlook.high.max() <= 1.5 * max(seen.max(initial=0), 5.0 if len(seen) < 7 * DAY else 0) + 1e-9
