"""What the models are told of a meter, on days a person can reckon."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.forecast import boosting
from ems.forecast.calendar import calendar
from ems.forecast.experience import Experience
from ems.forecast.features import Signals
from ems.forecast.models import Past
from ems.forecast.protocol import forecast_many
from ems.slots import Slots

DAYS = 210  # so many that each of three is told about its latest month
LEVELS = ("weeks", "last week", "yesterday", "like days", "latest")


def days_of(levels_kw: list[float], swing_kw: float) -> Past:
    """Meters at two levels a day, half of it `swing_kw` below and half above theirs, week after week the same."""
    slots = Slots(datetime(2026, 1, 5, tzinfo=UTC), (DAYS + 2) * 24, 60)
    whole = calendar(slots, "UTC")
    day = np.where(whole.hour < 12, -swing_kw, swing_kw)[: DAYS * 24]
    values = np.array(levels_kw)[:, None] + day
    return Past(values, whole, np.broadcast_to(values[:, :1], (len(values), slots.count)), {})


@given(st.floats(0.0, 1000.0))
def test_a_base_load_hides_no_day(base_kw: float) -> None:
    """2 kW about 5 kW and about a tower's level are told alike: as so many swings about the latest month."""
    past = days_of([5.0, 5.0 + base_kw, 5.0], 2.0)
    rows = Signals(past).rows(np.array([DAYS * 24]), np.array([DAYS * 24 + 15]))  # in the afternoon
    if 2.0 / (5.0 + base_kw) > 0.02:  # steadier than that it is told in fiftieths of its level
        assert rows.scale[1, 0] == pytest.approx(2.0)
        for name in LEVELS:
            assert rows.x[:, 0, rows.names.index(name)] == pytest.approx([1.0, 1.0, 1.0], abs=2e-3)
    for name in LEVELS:  # and back in kW
        assert rows.told(name)[:, 0] == pytest.approx([7.0, 7.0 + base_kw, 7.0], rel=1e-4)


def test_a_meter_among_many_is_told_alike_in_whatever_part_it_is_reckoned() -> None:
    past = days_of([5.0, 9.0, 30.0], 2.0)
    at = np.array([DAYS * 24]), np.array([DAYS * 24 + 15])
    whole, part = Signals(past).rows(*at), Signals(past.only([2]), among=3).rows(*at)
    np.testing.assert_array_equal(whole.x[2], part.x[0])
    alone = Signals(past.only([2])).rows(*at)
    assert part.centre[0, 0] == pytest.approx(30.0)
    assert alone.centre[0, 0] == pytest.approx(30.0)  # the month's, the week's and its own mean are the same here


def test_what_is_told_about_the_month_has_another_name_than_what_is_told_about_the_level() -> None:
    """So that a model of 199 days is not asked in the words of 200."""
    at = np.array([150 * 24]), np.array([150 * 24 + 15])
    past = days_of([5.0, 9.0, 30.0], 2.0)
    slots = Slots(past.calendar.slots.start, (DAYS + 2) * 24 - 11 * 24, 60)
    younger = Past(past.values[:, : 199 * 24], calendar(slots, "UTC"), past.typical[:, : slots.count], {})
    assert set(Signals(past).rows(*at).names) ^ set(Signals(younger).rows(*at).names) == {"level", "month"}


def test_days_between_the_years_are_told() -> None:
    slots = Slots(datetime(2025, 12, 1, tzinfo=UTC), 40 * 24, 60)
    whole = calendar(slots, "UTC")
    past = Past(np.ones((1, 20 * 24)), whole, np.ones((1, 40 * 24)), {})
    end = Signals(past).year_end[12::24]  # at noon of each day since the 1st
    assert end[:21].tolist() == [0.0] * 21
    assert end[21:34].tolist() == [0.5, 0.5, *[1.0] * 9, 0.5, 0.0]  # 22 December to 3 January


def test_what_stood_still_between_the_years_does_so_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three offices closed from 24 December to 1 January; no public holiday says so of 29 and 30 December."""
    monkeypatch.setattr(boosting, "OUTER_TREES", 15)  # the ends are not asked for, and the machine is shared
    monkeypatch.setattr(boosting, "MOST_ROWS", 24_000)
    index = pd.date_range("2024-11-25", "2025-12-28 23:00", freq="1h", tz="UTC")
    ahead = pd.date_range("2025-12-29", periods=48, freq="1h", tz="UTC")
    closed = np.isin(index.strftime("%m-%d"), ["01-01", *(f"12-{d}" for d in range(24, 32))])
    works = (index.day_of_week < 5) & (index.hour >= 8) & (index.hour < 18) & ~closed
    histories = {}
    for k, name in enumerate("abc"):
        noise = np.random.default_rng(k).standard_normal(len(index))
        histories[name] = pd.DataFrame({"y": (k + 2.0) * (1 + 2.0 * works + 0.1 * noise)}, index)
        histories[name].attrs.update(series_id=name, kind="load", tz="Europe/London", step_min=60)
    futures = {name: pd.DataFrame(index=ahead) for name in histories}
    made = forecast_many(histories, futures, 48, (0.1, 0.5, 0.9), Experience())
    for k, name in enumerate("abc"):
        noon = made[name].loc["2025-12-30 12:00", 0.5] / (k + 2.0)
        assert noon < 1.7  # 3 when they work, 1 when closed
