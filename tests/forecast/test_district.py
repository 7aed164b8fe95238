from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ems.assets import BaseLoad, Photovoltaic, Tank, Zone
from ems.district import District, read_district
from ems.forecast import HISTORY_DAYS, forecast, history_points
from ems.series import Forecast, History
from ems.simulate.weather import Weather
from ems.slots import Slots

NOW = datetime(2026, 3, 10, 5, tzinfo=UTC)
HORIZON = Slots(NOW, 192)
PAST = Slots(NOW - timedelta(days=HISTORY_DAYS), HISTORY_DAYS * 96)
EQUIPMENT = "city-offices/equipment/power_kw"


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


@pytest.fixture(scope="module")
def service(district: District) -> dict[str, Forecast]:
    return Weather.of(district, 1).forecast(NOW, HORIZON)


def nothing(slots: Slots = PAST) -> History:
    return History(slots, {})


def test_expects_everything_the_plan_asks_for(district: District, service: dict[str, Forecast]) -> None:
    made = forecast(district, nothing(), service, HORIZON, NOW)
    wanted = {load.point("power_kw") for load in district.of(BaseLoad).values()}
    wanted |= {array.point("power_kw") for array in district.of(Photovoltaic).values()}
    wanted |= {tank.point("draw_kw") for tank in district.of(Tank).values()}
    wanted |= {zone.point("gains_kw") for zone in district.of(Zone).values()}
    wanted |= {f"{home.building}/homes/{q}" for home in district.dwellings.values() for q in ("power_kw", "gains_kw")}
    assert set(made) == wanted | set(service)
    for point, found in made.items():
        assert found.point == point
        assert found.slots == HORIZON
        assert found.fallback == ""
        assert found.model


def test_history_points_are_wired_and_enough(district: District) -> None:
    points = history_points(district)
    assert len(points) == len(set(points))
    assert [p for p in points if p not in district.wires] == []
    assert "horizon/flat-0101/power_kw" in points
    assert "horizon/flat-0101/hot_water_m3" in points
    assert "hotel/tank/charge_power_kw" in points
    assert "horizon/tank/top_temperature_c" in points
    assert "horizon/tank/charge_power_kw" not in points


def test_a_cold_start_is_climatology_of_the_right_size(district: District, service: dict[str, Forecast]) -> None:
    year = Slots(datetime(2026, 1, 1, tzinfo=UTC), 8760, 60)
    made = forecast(district, History(Slots(year.start - timedelta(days=1), 24, 60), {}), {}, year, year.start)
    for load in district.of(BaseLoad).values():
        assert made[load.point("power_kw")].median.sum() == pytest.approx(load.yearly_kwh, rel=0.03)
    for tank in district.of(Tank).values():
        # By hand: volume x 1.163 kWh/m3K x 45 K.
        daily = tank.daily_draw_m3 * 1.163 * (60 - tank.cold_water_c)
        assert made[tank.point("draw_kw")].median.sum() / 365 == pytest.approx(daily, rel=0.02)
    homes = sum(made[p].median.sum() for p in made if p.endswith("/homes/power_kw"))
    surface = sum(h.surface_m2 for h in district.dwellings.values())
    assert homes / surface == pytest.approx(27, rel=0.03)
    roof = district.asset("horizon/roof", Photovoltaic)
    assert -made[roof.point("power_kw")].median.sum() / roof.peak_kw == pytest.approx(1250, rel=0.15)  # kWh/kW a year


def test_without_a_feed_the_weather_is_climatology_and_says_so(district: District) -> None:
    made = forecast(district, nothing(), {}, HORIZON, NOW)
    outdoor = made["station/weather/outdoor_temperature_c"]
    assert outdoor.fallback == "no weather forecast for this point"
    assert made["horizon/roof/power_kw"].fallback == outdoor.fallback
    assert outdoor.median.mean() == pytest.approx(11, abs=1.5)  # March
    assert made["station/loop/seawater_temperature_c"].median.mean() == pytest.approx(13.2, abs=0.5)


def test_without_a_feed_the_last_days_are_remembered(district: District) -> None:
    measured = {"station/weather/outdoor_temperature_c": np.full(PAST.count, 3.0)}
    made = forecast(district, History(PAST, measured), {}, HORIZON, NOW)["station/weather/outdoor_temperature_c"]
    assert abs(made.median[:4].mean() - 3) < 3
    assert made.high[-1] - made.low[-1] > made.high[0] - made.low[0]


def test_a_feed_that_ends_early_is_carried_on_or_named(district: District, service: dict[str, Forecast]) -> None:
    def shifted(hours: float) -> Forecast:
        slots = Slots(NOW - timedelta(hours=hours), 192)
        early = Weather.of(district, 1).forecast(slots.start, slots)
        return forecast(district, nothing(), early, HORIZON, NOW)["station/weather/outdoor_temperature_c"]

    assert shifted(0).model == "weather service"
    assert shifted(0.5).fallback == ""
    assert "0.5 h carried on" in shifted(0.5).model
    assert shifted(8).fallback == "the weather forecast ends 8 h before the horizon"
    assert shifted(100).fallback == "the weather forecast does not reach the horizon"


def test_a_feed_from_the_future_is_not_used(district: District, service: dict[str, Forecast]) -> None:
    point = "station/weather/outdoor_temperature_c"
    late = {point: replace(service[point], issued_at=NOW + timedelta(hours=1))}
    assert "issued after" in forecast(district, nothing(), late, HORIZON, NOW)[point].fallback


def test_nothing_after_the_instant_of_issue_is_used(district: District, service: dict[str, Forecast]) -> None:
    rng = np.random.default_rng(0)
    longer = Slots(PAST.start, PAST.count + 192)
    known = {p: rng.random(longer.count) for p in history_points(district)}
    spoilt = {p: np.concatenate([v[: PAST.count], 1e6 + v[PAST.count :]]) for p, v in known.items()}
    at = NOW + timedelta(minutes=7)  # within a slot: that one has not ended
    one = forecast(district, History(longer, known), service, HORIZON, at)
    other = forecast(district, History(longer, spoilt), service, HORIZON, at)
    for point in one:
        np.testing.assert_array_equal(one[point].median, other[point].median)


def test_hot_water_is_reckoned_from_the_flats_meters(district: District, service: dict[str, Forecast]) -> None:
    # Every flat of Horizon draws 10 l in each quarter-hour; one meter was exchanged, one is silent.
    flats = [h for h in district.dwellings.values() if h.building == "horizon"]
    values = {f.point("hot_water_m3"): 0.01 * np.arange(PAST.count) for f in flats}
    values[flats[0].point("hot_water_m3")] = (
        np.where(np.arange(PAST.count) < 2000, 500.0, 0.0) + values[flats[1].point("hot_water_m3")]
    )
    values[flats[2].point("hot_water_m3")] = np.full(PAST.count, np.nan)
    made = forecast(district, History(PAST, values), service, HORIZON, NOW)["horizon/tank/draw_kw"]
    # By hand: 118 flats x 0.01 m3 x 1.163 kWh/m3K in a quarter of an hour, from 11 degC in February (15 - 4) to 60.
    np.testing.assert_allclose(made.median, len(flats) * 0.01 * 1.163 * (60 - 11) * 4, rtol=0.02)


def test_a_hotel_draw_is_what_went_in_and_did_not_stay(district: District, service: dict[str, Forecast]) -> None:
    tank = district.asset("hotel/tank", Tank)
    constant = {"charge_power_kw": 40.0, "heater_on": 0.0}
    constant |= {f"{layer}_temperature_c": 58.0 for layer in ("top", "middle", "bottom")}
    values = {tank.point(q): np.full(PAST.count, v) for q, v in constant.items()}
    made = forecast(district, History(PAST, values), service, HORIZON, NOW)[tank.point("draw_kw")]
    np.testing.assert_allclose(made.median, 40 - tank.recirculation_loss_kw - tank.standing_loss_kw)


def test_homes_are_summed_and_silent_flats_made_up_for(district: District, service: dict[str, Forecast]) -> None:
    flats = [h for h in district.dwellings.values() if h.building == "mistral"]
    values = {f.point("power_kw"): np.full(PAST.count, 0.4) for f in flats}
    for silent in flats[: len(flats) // 3]:
        values[silent.point("power_kw")] = np.full(PAST.count, np.nan)
    made = forecast(district, History(PAST, values), service, HORIZON, NOW)
    np.testing.assert_allclose(made["mistral/homes/power_kw"].median, 0.4 * len(flats))
    assert made["mistral/homes/gains_kw"].median.min() > 0


def test_a_meter_that_fell_silent_is_named(district: District, service: dict[str, Forecast]) -> None:
    values = np.full(PAST.count, 50.0)
    values[-30 * 4 :] = np.nan
    made = forecast(district, History(PAST, {EQUIPMENT: values}), service, HORIZON, NOW)[EQUIPMENT]
    assert made.fallback == "no measured value for 30 h"
    np.testing.assert_allclose(made.median, 50)


def test_an_array_is_learnt_from_its_bright_hours_and_not_from_curtailed_ones(
    district: District, service: dict[str, Forecast]
) -> None:
    weather = Weather.of(district, 1)
    roof = district.asset("horizon/roof", Photovoltaic)
    ghi = weather.minutes(PAST.start, PAST.count * 15).ghi_w_per_m2.reshape(-1, 15).mean(axis=1)
    base = forecast(district, nothing(), service, HORIZON, NOW)[roof.point("power_kw")]
    # A roof that gives half of what a level one would, shut off on every other day.
    power = -0.5 * ghi / 1000 * roof.performance_share * roof.peak_kw
    shut = np.arange(PAST.count) // 96 % 2 == 0
    values = {
        "station/weather/irradiance_w_per_m2": ghi,
        roof.point("power_kw"): np.where(shut, 0.0, power),
        roof.point("limit_share"): np.where(shut, 0.0, 1.0),
    }
    made = forecast(district, History(PAST, values), service, HORIZON, NOW)[roof.point("power_kw")]
    assert made.median.sum() / base.median.sum() == pytest.approx(0.5, rel=0.1)
    assert (made.high <= 0).all()
    night = [i for i, s in enumerate(HORIZON) if s.hour in (22, 23, 0, 1, 2, 3)]
    assert (made.low[night] == 0).all()


def test_grids_must_fit(district: District) -> None:
    with pytest.raises(ValueError, match="history has slots of 30 minutes"):
        forecast(district, nothing(Slots(PAST.start, 10, 30)), {}, HORIZON, NOW)
    with pytest.raises(ValueError, match="off the grid"):
        forecast(district, nothing(Slots(PAST.start + timedelta(minutes=5), 10)), {}, HORIZON, NOW)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 20),
    st.sampled_from([datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC), NOW]),
    st.integers(0, 3),
    st.booleans(),
)
def test_always_finite_and_ordered(district: District, days: int, now: datetime, seed: int, feed: bool) -> None:
    """Clock changes, little history, blocks of missing values, counters that reset, no feed: Forecast itself refuses
    what is not finite or not in order."""
    rng = np.random.default_rng(seed)
    past = Slots(now - timedelta(days=days, minutes=15), days * 96 + 1)
    values = {}
    for point in history_points(district):
        series = (
            np.cumsum(rng.poisson(0.1, past.count)) * 0.01 if point.endswith("_m3") else rng.gamma(2, 3, past.count)
        )
        at = int(rng.integers(0, past.count))
        series[at : at + int(rng.integers(0, 300))] = rng.choice([np.nan, 0.0, np.inf, -50.0])
        if rng.random() < 0.9:
            values[point] = series
    slots = Slots(now, 192)
    weather = Weather.of(district, seed).forecast(now, slots) if feed else {}
    made = forecast(district, History(past, values), weather, slots, now)
    for point, found in made.items():
        if point.endswith("power_kw") and ("roof" in point or "canopy" in point):
            assert (found.high <= 0).all()
        elif point.endswith("_kw"):
            assert (found.low >= 0).all()


def test_on_a_closing_day_an_office_takes_what_it_takes_on_a_sunday(district: District) -> None:
    """10 kW on weekdays and 2 kW on Sundays: 2 kW on the Wednesday that people close, and no gains but the base."""
    here = [at.astimezone(ZoneInfo("Europe/Paris")) for at in PAST]
    past = {EQUIPMENT: np.array([2.0 if at.isoweekday() == 7 else 10.0 for at in here])}
    room = next(n for n, z in district.of(Zone).items() if z.building == "city-offices" and z.use == "offices")
    wednesday = date(2026, 3, 11)
    as_ever = forecast(district, History(PAST, past), {}, HORIZON, NOW)
    made = forecast(district, History(PAST, past, {room: frozenset({wednesday})}), {}, HORIZON, NOW)
    shut = np.array([at.astimezone(ZoneInfo("Europe/Paris")).date() == wednesday for at in HORIZON])
    np.testing.assert_allclose(made[EQUIPMENT].median[shut], 2.0)
    np.testing.assert_array_equal(made[EQUIPMENT].median[~shut], as_ever[EQUIPMENT].median[~shut])
    assert made[EQUIPMENT].model.endswith("closed days as Sundays")
    gains = made[f"{room}/gains_kw"].median
    assert gains[shut].max() == pytest.approx(gains[shut].min()) and gains[~shut].max() > 3 * gains[shut].max()
    others = set(made) - {EQUIPMENT, f"{room}/gains_kw"}
    for point in others:
        np.testing.assert_array_equal(made[point].median, as_ever[point].median)
