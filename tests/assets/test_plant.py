"""A plant room: Carnot's share, modes, and heat recovered when both sides call."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.assets import Dwelling, Fabric, Loop, Opening, Plant, Substation, WeatherStation, Zone
from ems.assets.plant import cop_cooling, cop_heating, duties_kw
from ems.optimise import plan
from tests.optimise.small import HOURLY, district, forecasts, snapshot, supply

PLANT = Plant(name="house/pumps", supply="house/meter", loop="house/loop", circuits=2, heat_kw=50, cold_kw=50)
LOOP = Loop(
    name="house/loop", supply="house/meter", volume_m3=50, heat_limit_kw=500, cold_limit_kw=500, exchanger_kw_per_k=100,
    pump_kw=10,
)  # fmt: skip
FABRIC = Fabric(
    loss_w_per_k_m2=0.9, light_wh_per_k_m2=15, mass_wh_per_k_m2=50, coupling_w_per_k_m2=6.5, solar_aperture_share=0.0,
    gains_w_per_m2=0, heating_w_per_m2=50, cooling_w_per_m2=60,
)  # fmt: skip


def test_cop_is_a_share_of_carnot() -> None:
    """Heating water at 40, loop at 16: 315.15 K over a lift of 42 - 11.5 = 30.5 K, times 0.47."""
    assert float(cop_heating(40.0, 16.0, 0.47)) == pytest.approx(0.47 * 315.15 / 30.5)
    assert float(cop_cooling(8.0, 16.0, 0.47)) == pytest.approx(0.47 * 279.15 / 14.5, abs=0.05)


@given(st.floats(-2, 32), st.floats(25, 60))
def test_first_law_holds_in_every_mode(source: float, leaving: float) -> None:
    for duty in duties_kw(PLANT, leaving, source).values():
        made = duty.get("heating", 0.0) + duty.get("hot_water", 0.0)
        assert made == pytest.approx(duty.get("cold", 0.0) + duty["loop"] + duty["power"], abs=1e-9)
        assert duty["power"] > 0


def test_recovers_heat_when_both_sides_call() -> None:
    """A cold flat and a hot office: one compressor on both sides needs less power than two."""
    station = Substation(
        name="house/station", plant="house/pumps", supply="house/meter", heat_limit_kw=100, cold_limit_kw=100, pump_kw=0
    )
    flat = Dwelling(
        name="house/flat", floor=0, surface_m2=200, rooms=5, orientation="south", prm="30000000000009",
        substation="house/station", fabric=FABRIC,
    )  # fmt: skip
    office = Zone(
        name="house/office", use="offices", surface_m2=500, substation="house/station", fabric=FABRIC,
        opening=Opening(days=(1, 2, 3, 4, 5, 6, 7), from_hour=0, until_hour=24), cooling_occupied_c=26,
    )  # fmt: skip
    here = district(supply(), PLANT, LOOP, station, flat, office, WeatherStation(name="house/sky"))
    expected = forecasts(
        house__sky__outdoor_temperature_c=10.0, house__sky__irradiance_w_per_m2=0.0, house__homes__gains_kw=0.0,
        house__office__gains_kw=20.0, house__loop__seawater_temperature_c=16.0,
    )  # fmt: skip
    known = snapshot(
        house__flat__temperature_c=19.0, house__flat__setpoint_c=19.0, house__office__temperature_c=26.0,
        house__loop__temperature_c=16.0,
    )  # fmt: skip
    result = plan(here, known, expected, HOURLY)
    assert result.flow("house/pumps", "heating_and_cold_running_share").sum() > 0.5
    assert result.flow("house/pumps", "heating_running_share")[5:].sum() < 0.1
    assert any(r.asset == "house/pumps" and "heat and cold at once" in r.en for r in result.reasons)
    assert np.all(result.flow("house/office", "cold_kw") >= -1e-9)
    assert result.notes == ()
