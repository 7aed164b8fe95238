"""The tempered loop floats with the sea; its pumps draw by the cube of what they carry."""

from __future__ import annotations

import pytest

from ems.assets import Loop
from ems.assets.loop import WATER_KWH_PER_M3_K, next_temperature_c, pump_power_kw, source_c
from ems.optimise import Plan, plan
from ems.optimise.plan import outlook_of
from tests.optimise.small import HOURLY, district, forecasts, snapshot, supply


def planned(loop_c: float, sea_c: float, held_c: float | None = None, **changes: float) -> Plan:
    """A loop of 100 kWh/K behind an exchanger of 50 kW/K, and nobody who takes from it; held where the sea is."""
    figures = {
        "volume_m3": 100 / WATER_KWH_PER_M3_K, "heat_limit_kw": 1000.0, "cold_limit_kw": 1000.0,
        "exchanger_kw_per_k": 50.0, "pump_kw": 10.0,
    } | changes  # fmt: skip
    here = district(supply(), Loop(name="house/loop", supply="house/meter", **figures), prices=[0.2])
    known = snapshot(house__loop__temperature_c=loop_c, house__loop__setpoint_c=sea_c if held_c is None else held_c)
    return plan(here, known, forecasts(house__loop__seawater_temperature_c=sea_c), HOURLY)


def test_comes_near_the_sea_by_a_third_each_hour() -> None:
    """50 kW/K against 100 kWh/K: T' = (100 T + 50 sea) / 150, so 20 -> 16.67 -> 14.44 above a sea of 10."""
    result = planned(20.0, 10.0)
    assert result.state("house/loop", "temperature_c")[:3] == pytest.approx([20.0, 50 / 3, 130 / 9], abs=1e-6)
    assert result.flow("house/loop", "heat_to_sea_kw")[0] == pytest.approx(50 * (50 / 3 - 10))
    assert result.flow("house/loop", "heat_from_sea_kw") == pytest.approx([0.0] * 24, abs=1e-9)


def test_pumps_by_the_cube_of_their_flow() -> None:
    """333 of 1000 kW are a third of the flow: on the chord from 0 to 0.4 that is 0.16 x 0.333 of 10 kW."""
    assert planned(20.0, 10.0).flow("house/loop", "power_kw")[0] == pytest.approx(10 * 0.16 / 3)
    assert pump_power_kw(0.7, 10.0) == pytest.approx(3.43)
    assert pump_power_kw(1.0, 10.0) == pytest.approx(10.0)


def test_beyond_its_exchanger_s_limit_is_named() -> None:
    """333 kW want to leave, 300 may: 33 kWh in the first hour; from the second on 222 kW are no matter."""
    (shortfall,) = planned(20.0, 10.0, cold_limit_kw=300.0).shortfalls
    assert (shortfall.en, shortfall.unit) == ("beyond the exchanger's limit", "kWh")
    assert shortfall.amount == pytest.approx(100 / 3, abs=1e-3)


def test_heat_from_the_sea_costs_what_its_operator_bills() -> None:
    """10 K below the sea and 100 kWh/K: 1000 kWh in all, less the share (2/3)^24 that is still missing after a day."""
    result = planned(10.0, 20.0, heat_price_per_kwh=0.03)
    taken = 1000 * (1 - (2 / 3) ** 24)
    assert result.flow("house/loop", "heat_from_sea_kw").sum() == pytest.approx(taken, abs=1e-3)
    assert result.cost_terms["loop"] == pytest.approx(taken * 0.03, abs=0.02)


def test_the_law() -> None:
    assert next_temperature_c(16.0, 50.0, 30.0, 10.0, 0.5) == pytest.approx(17.0)


def test_between_its_set_point_and_the_sea_it_floats() -> None:
    """Held at 16 in a sea of 22: at 19 nothing is exchanged or pumped; at 25 it is cooled towards the sea."""
    result = planned(19.0, 22.0, held_c=16.0)
    assert result.state("house/loop", "temperature_c") == pytest.approx([19.0] * 25)
    assert result.flow("house/loop", "power_kw") == pytest.approx([0.0] * 24, abs=1e-6)
    cooled = planned(25.0, 22.0, held_c=16.0)
    assert cooled.state("house/loop", "temperature_c")[:3] == pytest.approx([25.0, 24.0, 70 / 3])  # a third of 3, of 2
    assert planned(19.0, 13.0, held_c=16.0).state("house/loop", "temperature_c")[1] == pytest.approx(18.0)


def test_plants_count_on_the_loop_where_it_floats() -> None:
    def source(loop_c: float) -> float:
        loop = Loop(
            name="house/loop", supply="house/meter", volume_m3=50, heat_limit_kw=500, cold_limit_kw=500,
            exchanger_kw_per_k=100, pump_kw=0,
        )  # fmt: skip
        known = snapshot(house__loop__temperature_c=loop_c, house__loop__setpoint_c=16.0)
        expected = forecasts(house__loop__seawater_temperature_c=22.0)
        return float(source_c(loop, outlook_of(district(supply(), loop), known, expected, HOURLY))[-1])

    assert source(19.0) == pytest.approx(19.0)
    assert source(12.0) == pytest.approx(16.0)
    assert source(30.0) == pytest.approx(22.0)
