"""Clocks that keep summer time, and how much of an irradiance that is told is to be believed."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.forecast.geometry import ahead, found_clock, on_planes, restamped, sky_over
from ems.forecast.irradiance import habits, weighed
from ems.forecast.photovoltaic import SeriesWeather, expect_sun, learn_sun
from ems.series import Floats
from ems.slots import Slots

MARSEILLE = (43.3, 5.4)
YEAR = Slots(datetime(2025, 1, 1, tzinfo=UTC), 365 * 24, 60)
SPREAD = np.full(48, 0.2)


def plant_kw(slots: Slots, clearness: Floats | float = 1.0) -> Floats:
    """A flat roof of 10 kW in Marseille."""
    sky = sky_over(slots, MARSEILLE)
    planes = on_planes(sky, sky.ghi * clearness, sky.dni * clearness, sky.dhi * clearness)
    return np.asarray(planes[:, 0] / planes[:, 0].max() * 10)


def late_in_summer(values: Floats, slots: Slots) -> Floats:
    """What a clock on the wall in Marseille makes of it, read as if it kept winter time."""
    at = np.arange(slots.count) - ahead(slots, "Europe/Paris")
    return np.asarray(values[np.maximum(at, 0)])


def test_a_clock_with_summer_time_is_an_hour_ahead_of_one_without_from_march_to_october() -> None:
    quarters = Slots(datetime(2026, 3, 28, 22, tzinfo=UTC), 16)  # it changes on the 29th at 01:00 UTC
    assert ahead(quarters, "Europe/Paris").tolist() == [0] * 12 + [4] * 4
    assert ahead(quarters, "").tolist() == [0] * 16
    assert set(ahead(YEAR, "Australia/Sydney")[:24]) == {1}  # it is summer there
    # What the wall called two o'clock was one o'clock; of the last hour nothing is known yet.
    assert np.array_equal(restamped(np.array([5.0, 6.0, 7.0]), np.array([1, 1, 1])), [6.0, 7.0, np.nan], equal_nan=True)


@pytest.mark.parametrize("summer", [False, True])
def test_the_sun_tells_where_a_plant_lies_and_which_clock_it_keeps(summer: bool) -> None:
    power = plant_kw(YEAR)
    (latitude, longitude), rule = found_clock(late_in_summer(power, YEAR) if summer else power, YEAR, "Etc/GMT")
    assert rule == ("Europe/Paris" if summer else "")
    assert abs(latitude - MARSEILLE[0]) <= 6 and abs(longitude - MARSEILLE[1]) <= 6


def test_a_plant_on_summer_time_is_forecast_by_its_own_clock() -> None:
    """Both clocks see the same sun: by the clock on the wall its forecast is an hour late in summer, and no worse."""
    whole = YEAR
    cloudy = np.repeat(np.random.default_rng(5).uniform(0.3, 1.0, 365), 24)
    ghi, power = sky_over(whole, MARSEILLE).ghi * cloudy, plant_kw(whole, cloudy)
    for known in (240 * 24 + 7, 297 * 24 + 14):  # at the end of August; on the day before the clocks go back
        slots = Slots(whole.start, known + 48, 60)
        weather = SeriesWeather.of({"ghi_wm2": ghi[: slots.count]}, known)
        errors = []
        for shown in (power, late_in_summer(power, whole)):
            array = learn_sun(shown[:known], weather, slots, "Etc/GMT", 10.0, 48)
            expected = expect_sun(array, shown[:known], weather, slots)[1]
            truth = shown[known : slots.count]
            errors.append(np.abs(expected - truth).sum() / truth.sum())
        assert array.summer == "Europe/Paris"
        assert errors[1] < errors[0] + 0.03 < 0.2


def test_what_is_told_over_a_clear_sky_by_a_fifth_all_day_is_the_error_of_who_tells_it() -> None:
    always_clear = habits(np.clip(np.random.default_rng(1).normal(1.0, 0.02, 5000), 0, 1.05))
    told = np.full((1, 48), 1.2)
    factor, doubt = weighed(told, np.array([1.0]), always_clear, SPREAD, 0.95)
    assert factor[0, 6:] == pytest.approx(1 / 1.2, abs=0.03)
    assert (doubt < 0.1).all()


def test_at_night_nothing_is_learnt_of_an_error_and_its_doubt_grows() -> None:
    always_clear = habits(np.ones(1000))
    told = np.full((1, 48), np.nan)
    told[0, 0] = 1.0
    factor, doubt = weighed(told, np.array([1.0]), always_clear, SPREAD, 0.95)
    assert factor[0, 0] == pytest.approx(1.0, abs=0.05)
    assert doubt[0, 1] < doubt[0, 12] < doubt[0, 47]


@settings(deadline=None, max_examples=40)
@given(
    told=st.lists(st.one_of(st.just(np.nan), st.floats(0, 3)), min_size=2, max_size=30),
    last=st.one_of(st.just(np.nan), st.floats(0, 3)),
    past=st.lists(st.one_of(st.just(np.nan), st.floats(0, 3)), min_size=2, max_size=50),
)
def test_what_is_believed_is_always_a_number_within_what_an_error_can_be(
    told: list[float], last: float, past: list[float]
) -> None:
    factor, doubt = weighed(np.array([told]), np.array([last]), habits(np.array(past)), np.full(len(told), 0.3), 0.95)
    assert np.isfinite(factor).all() and np.isfinite(doubt).all()
    assert (factor >= 1 / 1.9).all() and (factor <= 10).all() and (doubt >= 0).all()
