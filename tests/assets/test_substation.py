"""A substation carries heat within its limit, and its pumps draw for it."""

from __future__ import annotations

import numpy as np
import pytest

from ems.assets import Dwelling, Fabric, Loop, Plant, Substation, WeatherStation
from ems.assets.substation import curve_c, emitter_share, pump_power_kw, supply_c
from ems.optimise import Plan, plan
from tests.optimise.small import HOURLY, district, forecasts, snapshot, supply

FABRIC = Fabric(
    loss_w_per_k_m2=1.0, light_wh_per_k_m2=15, mass_wh_per_k_m2=50, coupling_w_per_k_m2=6.5, solar_aperture_share=0.0,
    gains_w_per_m2=0, heating_w_per_m2=60,
)  # fmt: skip
FLAT = Dwelling(
    name="house/flat", floor=0, surface_m2=200, rooms=5, orientation="south", prm="30000000000009",
    substation="house/station", fabric=FABRIC,
)  # fmt: skip
PLANT = Plant(name="house/pumps", supply="house/meter", loop="house/loop", circuits=2, heat_kw=50, cold_kw=50)
LOOP = Loop(
    name="house/loop", supply="house/meter", volume_m3=50, heat_limit_kw=500, cold_limit_kw=500, exchanger_kw_per_k=100,
    pump_kw=0,
)  # fmt: skip


def planned(*, asked_c: float = 19.0, **changes: float) -> Plan:
    """A flat of 200 m2 that loses 0.2 kW/K, all of it at 18.5 degC, where its band begins, and 8.5 degC outside."""
    figures = {"heat_limit_kw": 10.0, "pump_kw": 2.0} | changes
    station = Substation(name="house/station", plant="house/pumps", supply="house/meter", **figures)
    here = district(supply(), PLANT, LOOP, station, FLAT, WeatherStation(name="house/sky"), prices=[0.2])
    expected = forecasts(
        house__sky__outdoor_temperature_c=8.5, house__sky__irradiance_w_per_m2=0.0, house__homes__gains_kw=0.0,
        house__flat__gains_kw=0.0, house__loop__seawater_temperature_c=16.0,
    )  # fmt: skip
    known = snapshot(
        house__flat__temperature_c=18.5, house__flat__setpoint_c=asked_c, house__loop__temperature_c=16.0
    )  # fmt: skip
    return plan(here, known, expected, HOURLY)


def test_carries_what_the_rooms_lose_and_pumps_in_proportion() -> None:
    """10 K x 0.2 kW/K are 2 kW, a fifth of the limit: the pumps draw a fifth of 2 kW."""
    result = planned()
    assert result.flow("house/station", "heating_kw") == pytest.approx([2.0] * 24, abs=1e-3)
    assert result.flow("house/station", "power_kw") == pytest.approx([0.4] * 24, abs=1e-3)
    assert result.shortfalls == ()


def test_below_what_is_lost_the_rooms_fall_short_and_say_so() -> None:
    """1 kW in place of 2: full load all day, and colder by the hour."""
    result = planned(heat_limit_kw=1.0)
    assert result.flow("house/station", "heating_kw") == pytest.approx([1.0] * 24)
    assert result.flow("house/station", "power_kw") == pytest.approx([2.0] * 24)
    assert {s.en for s in result.shortfalls} == {"too cold"}


@pytest.mark.parametrize(("asked_c", "as_cool_as_the_load_allows"), [(19.0, True), (19.5, False)])
def test_while_a_home_is_colder_than_asked_the_water_is_as_warm_as_the_curve(
    asked_c: float, as_cool_as_the_load_allows: bool
) -> None:
    """At 18.5 degC half a kelvin below 19 may be waited for, a whole one below 19.5 not: no less than the curve."""
    offsets = {s.point: s.value for s in planned(asked_c=asked_c).setpoints}
    assert (offsets["house/station/heating_curve_offset_k"] < 0) is as_cool_as_the_load_allows


def test_its_laws() -> None:
    station = Substation(
        name="s", plant="p", supply="m", heat_limit_kw=100, cold_limit_kw=50, design_supply_c=40, design_outdoor_c=-3,
        neutral_outdoor_c=17, neutral_supply_c=25,
    )  # fmt: skip
    assert curve_c(station, np.array([-10.0, -3.0, 7.0, 17.0, 25.0])) == pytest.approx([40, 40, 32.5, 25, 25])
    assert emitter_share(station, supply_c(station, 0.3)) == pytest.approx(0.3)
    assert pump_power_kw(50, 10, 4.0, 100, 50) == pytest.approx(4 * (0.5 + 0.2))
