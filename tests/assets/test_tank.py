"""Hot water: charged when power is cheap, never below its safe minimum without saying so."""

from __future__ import annotations

import numpy as np
import pytest

from ems.assets import Loop, Plant, Tank
from ems.assets.tank import hot_energy_kwh, next_energy_kwh, setpoint_c
from ems.optimise import Plan, plan
from tests.optimise.small import HOURLY, district, forecasts, snapshot, supply

TANK = Tank(
    name="house/tank", plant="house/pumps", supply="house/meter", volume_m3=2, charge_limit_kw=60,
    recirculation_loss_kw=1, standing_loss_kw=0, daily_draw_m3=2,
)  # fmt: skip
PLANT = Plant(
    name="house/pumps", supply="house/meter", loop="house/loop", circuits=2, heat_kw=50, cold_kw=50, pump_kw=0
)
LOOP = Loop(
    name="house/loop", supply="house/meter", volume_m3=50, heat_limit_kw=500, cold_limit_kw=500, exchanger_kw_per_k=100,
    pump_kw=0,
)  # fmt: skip
NOON_CHEAP = [0.30] * 11 + [0.05] * 3 + [0.30] * 10


def planned(prices: list[float], draw: float = 3.0, **measured: float) -> Plan:
    layers = {"top": 60.0, "middle": 60.0, "bottom": 60.0} | measured
    known = snapshot(
        **{f"house__tank__{k}_temperature_c": v for k, v in layers.items()},
        house__loop__temperature_c=15.0, house__loop__seawater_temperature_c=15.0,
    )  # fmt: skip
    expected = forecasts(house__tank__draw_kw=draw, house__loop__seawater_temperature_c=15.0)
    return plan(district(supply(), TANK, PLANT, LOOP, prices=prices), known, expected, HOURLY)


def test_mixed_lukewarm_water_is_no_hot_water() -> None:
    """2 m3 hold 2.326 kWh/K. All at 60: 45 K above cold water. All at 40: none of it serves a tap."""
    assert hot_energy_kwh([60, 60, 60], 2.326, 15) == pytest.approx(2.326 * 45)
    assert hot_energy_kwh([40, 40, 40], 2.326, 15) == 0.0
    assert hot_energy_kwh([60, 30, 15], 2.326, 15) == pytest.approx(2.326 * 45 / 3)


def test_the_law() -> None:
    assert next_energy_kwh(50.0, 20.0, 0.0, 6.0, 2.0, 0.5) == pytest.approx(56.0)


def test_is_charged_at_noon_when_noon_is_cheap() -> None:
    """It holds 104.7 kWh and may fall to 37.2: 4 kW of draw and loss take it to noon; noon fills it for the night."""
    result = planned(NOON_CHEAP)
    charge = result.flow("house/tank", "charge_kw")
    assert charge[:11].sum() == pytest.approx(0.0, abs=1e-6)
    assert charge[11:14].sum() > 60
    assert result.shortfalls == ()
    assert result.state("house/tank", "energy_kwh")[-1] >= TANK.empty_kwh - 1e-6


def test_is_not_emptied_at_the_end_at_a_flat_price() -> None:
    """A kWh left is worth what the plant would draw for it, or a little more: it is not sold off."""
    energy = planned([0.20]).state("house/tank", "energy_kwh")
    assert energy[-1] >= TANK.empty_kwh - 1e-6


def test_a_cold_tank_is_charged_at_once_and_says_so() -> None:
    """Within the first hour it must take up its safe 37.2 kWh and the 4 kWh that are drawn and lost meanwhile."""
    result = planned([0.20], top=30.0, middle=20.0, bottom=15.0)
    assert result.flow("house/tank", "charge_kw")[0] == pytest.approx(TANK.empty_kwh + 4.0)
    assert any(s.asset == "house/tank" and s.en == "tank below its safe minimum" for s in result.shortfalls)
    values = {s.point: s.value for s in result.setpoints}
    assert values["house/tank/charge_on"] == 1.0
    assert values["house/pumps/enable_on"] == 1.0
    assert values["house/pumps/hot_water_leaving_setpoint_c"] >= values["house/tank/setpoint_c"] + 4.9


def test_a_tank_too_hot_is_clipped_and_noted() -> None:
    result = planned([0.20], top=90.0, middle=90.0, bottom=90.0)
    assert result.state("house/tank", "energy_kwh")[0] == pytest.approx(TANK.full_kwh)
    assert any("house/tank/hot_energy_kwh" in note for note in result.notes)


def test_set_point_rises_with_what_it_shall_hold() -> None:
    levels = np.linspace(0, TANK.full_kwh * 1.2, 20)
    points = [setpoint_c(TANK, e) for e in levels]
    assert points == sorted(points)
    assert points[0] == TANK.minimum_c + 4 and points[-1] == TANK.maximum_c
