"""Hot water: charged when power is cheap, never below its safe minimum without saying so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from ems.assets import Loop, Plant, Tank
from ems.assets.heat_pump import cop_heating
from ems.assets.outlook import Outlook
from ems.assets.pasteurisation import extra_now_kwh
from ems.assets.tank import (
    WORKING_C,
    doubt_kwh,
    energy_now_kwh,
    hot_energy_kwh,
    next_energy_kwh,
    price_of_heat_per_kwh,
    setpoint_c,
)
from ems.optimise import Plan, plan
from ems.optimise.plan import outlook_of
from ems.slots import Slots
from ems.snapshot import Override
from tests.optimise.small import HOURLY, MIDNIGHT, district, forecasts, snapshot, supply

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


def planned(
    prices: list[float], draw: float = 3.0, overrides: dict[str, Override] | None = None, **measured: float
) -> Plan:
    layers = {"top": 60.0, "middle": 60.0, "bottom": 60.0} | measured
    known = snapshot(
        **{f"house__tank__{k}_temperature_c": v for k, v in layers.items()},
        house__loop__temperature_c=15.0, house__loop__seawater_temperature_c=15.0,
    )  # fmt: skip
    expected = forecasts(house__tank__draw_kw=draw, house__loop__seawater_temperature_c=15.0)
    known = replace(known, overrides=overrides or {})
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
    assert charge[11:14].sum() > 50
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
    assert points[0] == TANK.minimum_c + 3 and points[-1] == WORKING_C < TANK.maximum_c


def test_a_charge_that_somebody_holds_back_is_planned_around() -> None:
    """Held back until noon, it fills in the afternoon, and is short of nothing."""
    point = "house/tank/charge_on"
    held = {point: Override(point, 0.0, "anne", "leak", MIDNIGHT + timedelta(hours=12))}
    result = planned([0.05] * 12 + [0.3] * 12, overrides=held)
    assert result.flow("house/tank", "charge_kw")[:12] == pytest.approx([0.0] * 12)
    assert result.flow("house/tank", "charge_kw")[12:].sum() > 10


def test_a_margin_is_what_may_be_drawn_within_the_last_hour_and_at_most_half_of_the_tank() -> None:
    """Once in ten times 2 kW more: 2 kWh an hour later. In quarter-hours sqrt(4) x 0.5 kWh = 1 kWh."""
    for slots, more, expected in ((HOURLY, 2.0, 2.0), (Slots(MIDNIGHT, 96), 2.0, 1.0), (HOURLY, 1e4, None)):
        draw = forecasts(slots, house__tank__draw_kw=3.0)["house/tank/draw_kw"]
        draw = replace(draw, high=draw.median + more)
        here = district(supply(), TANK)
        outlook = Outlook(slots, here.assets, snapshot(slots), {draw.point: draw}, {}, here.comfort, here.values, "UTC")
        doubt = doubt_kwh(TANK, outlook)
        assert doubt[0] == 0.0
        assert doubt[-1] == pytest.approx(expected or 0.5 * (TANK.full_kwh - TANK.empty_kwh))


TREATED = TANK.model_copy(update={"heater_kw": 12.0, "pasteurise_days": (3,), "pasteurise_hours": (2.0, 5.0)})


def treated(**changes: float) -> Plan:
    """14 January 2026 is a Wednesday; 10 K above 60 degC are 23.26 kWh."""
    known = snapshot(
        **{f"house__tank__{k}_temperature_c": 60.0 for k in ("top", "middle", "bottom")},
        house__loop__temperature_c=15.0,
    )  # fmt: skip
    expected = forecasts(house__tank__draw_kw=3.0, house__loop__seawater_temperature_c=15.0)
    tank = TREATED.model_copy(update=changes)
    return plan(district(supply(), tank, PLANT, LOOP, prices=[0.3, 0.3, 0.3, 0.1, 0.3]), known, expected, HOURLY)


def test_is_heated_through_in_its_window_by_the_heater() -> None:
    """23.26 kWh at 12 kW: most of it in the hour at 0.10, the rest in one at 0.30; then it serves the taps."""
    result = treated()
    treating = result.flow("house/tank", "treating_kw")
    assert treating[3] == pytest.approx(12.0) and treating[2:5].sum() == pytest.approx(23.26, abs=0.01)
    assert treating.sum() == pytest.approx(treating[2:5].sum())
    assert result.state("house/tank", "energy_kwh")[5] == pytest.approx(TREATED.full_kwh, abs=0.01)
    assert result.flow("house/tank", "released_kw")[5:].sum() == pytest.approx(23.26, abs=0.01)
    assert result.shortfalls == ()


def test_a_heater_too_small_for_it_is_named() -> None:
    """3 h at 5 kW are 15 kWh of the 23.26."""
    (shortfall,) = treated(heater_kw=5.0).shortfalls
    assert (shortfall.asset, shortfall.en) == ("house/tank", "not heated through")
    assert shortfall.amount == pytest.approx(23.26 - 15, abs=0.01)


def test_its_set_point_is_on_while_the_plan_heats_through() -> None:
    tank = TREATED.model_copy(update={"pasteurise_hours": (0.0, 2.0)})
    known = snapshot(**{f"house__tank__{k}_temperature_c": 60.0 for k in ("top", "middle", "bottom")})
    result = plan(
        district(supply(), tank, PLANT, LOOP, prices=[0.1, 0.3]), known, forecasts(house__tank__draw_kw=3.0), HOURLY
    )
    (on,) = [s for s in result.setpoints if s.point == "house/tank/pasteurisation_on"]
    assert on.value == 1.0 and "70 °C" in on.reason


def test_what_is_already_above_its_working_temperature_counts() -> None:
    assert extra_now_kwh(TREATED, [70.0, 70.0, 70.0]) == pytest.approx(23.26, abs=0.01)
    assert extra_now_kwh(TREATED, [75.0, 60.0, 60.0]) == pytest.approx(2.326 * 5)
    assert extra_now_kwh(TREATED, [70.0, None, 70.0]) == 0.0


def test_a_kwh_in_the_tank_is_worth_what_its_plant_would_draw_for_it() -> None:
    """0.20 a kWh at the COP of 65 degC from a sea of 15."""
    here = district(supply(), TANK, PLANT, LOOP, prices=[0.20])
    outlook = outlook_of(here, snapshot(), forecasts(house__loop__seawater_temperature_c=15.0), HOURLY)
    assert price_of_heat_per_kwh(TANK, outlook) == pytest.approx(0.20 / float(cop_heating(65.0, 15.0, 0.47)))


def test_a_previous_plan_that_is_kept_rounded_fills_no_tank_beyond_full() -> None:
    """Plans are kept with two decimals, so what one foresees of a full tank may lie 4 Wh above full."""
    here = district(supply(), TANK)
    outlook = Outlook(HOURLY, here.assets, snapshot(), {}, {}, here.comfort, here.values, "UTC")
    outlook = replace(outlook, foreseen={"house/tank/energy_kwh": TANK.full_kwh + 0.004})
    assert energy_now_kwh(TANK, outlook) == TANK.full_kwh
