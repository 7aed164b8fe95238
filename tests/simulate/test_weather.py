from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.district import Place
from ems.simulate.weather import COLDEST_C, WARMEST_C, Weather
from ems.slots import Slots

MARSEILLE = Place(latitude_deg=43.33, longitude_deg=5.365, altitude_m=12)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
QUANTITIES = (
    "outdoor_c",
    "humidity_share",
    "wind_m_per_s",
    "ghi_w_per_m2",
    "dni_w_per_m2",
    "dhi_w_per_m2",
    "seawater_c",
)


@pytest.fixture(scope="module")
def year() -> dict[str, np.ndarray]:
    """Four seeds of one year, [seed, day, minute]."""
    made = [Weather(MARSEILLE, seed).minutes(NEW_YEAR, 365 * 1440) for seed in range(4)]
    return {q: np.array([getattr(m, q).reshape(365, 1440) for m in made]) for q in QUANTITIES}


@settings(max_examples=25, deadline=None)
@given(st.integers(-2000, 40_000), st.integers(0, 1439), st.integers(1, 3000), st.integers(0, 5))
def test_a_minute_does_not_depend_on_where_one_began(day: int, minute: int, count: int, seed: int) -> None:
    at = datetime(1990, 1, 1, tzinfo=UTC) + timedelta(days=day, minutes=minute)
    alone = Weather(MARSEILLE, seed).minutes(at, count)
    within = Weather(MARSEILLE, seed).minutes(at - timedelta(minutes=777), count + 800).part(777, 777 + count)
    for q in QUANTITIES:
        assert len(getattr(alone, q)) == count
        assert np.isfinite(getattr(alone, q)).all()
        np.testing.assert_array_equal(getattr(alone, q), getattr(within, q))


def test_midnight_is_no_seam(year: dict[str, np.ndarray]) -> None:
    for q in ("outdoor_c", "humidity_share", "wind_m_per_s", "seawater_c"):
        steps = np.abs(np.diff(year[q].reshape(4, -1), axis=1))
        over_midnight = steps[:, 1439::1440]
        assert over_midnight.max() <= steps.max() * 1.000001
        assert over_midnight.mean() < 2 * steps.mean()


def test_seeds_differ_and_agree_with_themselves() -> None:
    one, same, other = (Weather(MARSEILLE, s).minutes(NEW_YEAR, 1440).outdoor_c for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.5


def test_months_are_those_of_marignane(year: dict[str, np.ndarray]) -> None:
    month = np.array([(NEW_YEAR + timedelta(days=d)).month for d in range(365)])
    for m in range(12):
        days = year["outdoor_c"][:, month == m + 1]
        assert days.mean() == pytest.approx((COLDEST_C[m] + WARMEST_C[m]) / 2, abs=2.0)  # four years only
    assert year["outdoor_c"].mean() == pytest.approx(np.mean([COLDEST_C, WARMEST_C]), abs=0.5)
    assert -10 < year["outdoor_c"].min() < 2
    assert 33 < year["outdoor_c"].max() < 43


def test_days_remember_the_day_before(year: dict[str, np.ndarray]) -> None:
    mean = year["outdoor_c"].mean(axis=2)
    season = np.array([np.convolve(np.pad(m, 30, "wrap"), np.ones(61) / 61, "valid") for m in mean])
    left = mean - season
    assert left.std() == pytest.approx(2.4, abs=0.5)
    assert np.corrcoef(left[:, 1:].ravel(), left[:, :-1].ravel())[0, 1] == pytest.approx(0.8, abs=0.1)


def test_sun_of_marseille(year: dict[str, np.ndarray]) -> None:
    ghi, dni, dhi = year["ghi_w_per_m2"], year["dni_w_per_m2"], year["dhi_w_per_m2"]
    assert ghi.min() >= 0
    assert dni.min() >= 0
    assert dhi.min() >= -1e-9
    assert (ghi + 1e-9 >= dhi).all()
    assert ghi.max() < 1150
    assert (dni > 120).sum() / 60 / 4 == pytest.approx(2860, rel=0.1)  # sunshine hours a year (WMO: above 120 W/m2)
    assert ghi.sum() / 60_000 / 4 == pytest.approx(1550, rel=0.1)  # kWh/m2 a year (assumption)


def test_mistral_days_are_windy_clear_and_cold_and_cool_the_sea(year: dict[str, np.ndarray]) -> None:
    wind = year["wind_m_per_s"]
    days = (wind >= 15).any(axis=2)
    assert 20 <= days.sum() / 4 <= 80
    mean = year["outdoor_c"].mean(axis=2)
    season = np.array([np.convolve(np.pad(m, 30, "wrap"), np.ones(61) / 61, "valid") for m in mean])
    assert (mean - season)[days].mean() < (mean - season)[~days].mean() - 1.5
    sun = year["dni_w_per_m2"].sum(axis=2)
    assert sun[days].mean() > 1.2 * sun[~days].mean()
    drop = np.diff(year["seawater_c"].mean(axis=2), axis=1)
    assert (drop.min(axis=1) < -1.5).all()
    three_days = year["seawater_c"][:, 3:].mean(axis=2) - year["seawater_c"][:, :-3].mean(axis=2)
    assert (three_days.min(axis=1) < -3).all()


def test_the_sea_stays_in_its_range(year: dict[str, np.ndarray]) -> None:
    sea = year["seawater_c"]
    assert sea.min() >= 12
    assert sea.max() <= 28
    assert sea[:, 45:60].mean() < 15
    assert sea[:, 205:235].mean() > 22


class TestForecast:
    SLOTS = Slots(datetime(2026, 3, 3, 6, tzinfo=UTC), 192)

    def test_is_deterministic_and_ordered(self) -> None:
        once, again = (Weather(MARSEILLE, 3).forecast(self.SLOTS.start, self.SLOTS) for _ in range(2))
        assert set(once) == {
            "station/weather/outdoor_temperature_c",
            "station/weather/irradiance_w_per_m2",
            "station/weather/humidity_share",
            "station/weather/wind_m_per_s",
            "station/loop/seawater_temperature_c",
        }
        for point, forecast in once.items():
            np.testing.assert_array_equal(forecast.median, again[point].median)
            assert forecast.issued_at == self.SLOTS.start

    def test_error_grows_with_lead_time_and_the_band_holds_it(self) -> None:
        weather = Weather(MARSEILLE, 5)
        errors, inside = [], []
        for day in range(0, 360, 8):
            slots = Slots(NEW_YEAR + timedelta(days=day, hours=day % 24), 192)
            truth = weather.minutes(slots.start, 192 * 15).outdoor_c.reshape(192, 15).mean(axis=1)
            forecast = weather.forecast(slots.start, slots)["station/weather/outdoor_temperature_c"]
            errors.append(forecast.median - truth)
            inside.append((forecast.low <= truth) & (truth <= forecast.high))
        spread = np.array(errors).std(axis=0)
        assert spread[:8].mean() < 0.8
        assert spread[96:].mean() > 1.5 * spread[:8].mean()
        assert np.mean(inside) == pytest.approx(0.8, abs=0.08)

    def test_nights_are_dark(self) -> None:
        forecast = Weather(MARSEILLE, 3).forecast(self.SLOTS.start, self.SLOTS)["station/weather/irradiance_w_per_m2"]
        night = [i for i, s in enumerate(self.SLOTS) if s.hour in (22, 23, 0, 1, 2, 3)]
        assert (forecast.high[night] == 0).all()
        assert forecast.median.max() > 100
