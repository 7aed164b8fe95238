"""A plant room: Carnot's share, modes, and heat recovered when both sides call."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.assets import Dwelling, Fabric, Loop, Opening, Plant, Substation, Tank, WeatherStation, Zone
from ems.assets.heat_pump import cop_cooling, cop_heating, heat_capacity_kw
from ems.assets.plant import IDLE_PUMP_SHARE, MODES, PART_LOAD_PER_CIRCUIT_H, PLANT_ROOM_C, duties_kw
from ems.optimise import Plan, plan
from ems.series import Floats
from ems.simulate.plant.heat_pumps import PlantRoom
from ems.snapshot import Override
from tests.optimise.small import HOURLY, MIDNIGHT, district, forecasts, snapshot, supply

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


TANK = Tank(
    name="house/tank", plant="house/pumps", supply="house/meter", volume_m3=2, charge_limit_kw=60,
    recirculation_loss_kw=1, standing_loss_kw=0, daily_draw_m3=2,
)  # fmt: skip


def with_tank(plant: Plant, prices: list[float], overrides: dict[str, Override] | None = None) -> Plan:
    """A tank of 104.7 kWh that may fall to 37.2, 4 kW of draw and loss, and a loop at 15 degC."""
    known = snapshot(
        house__tank__top_temperature_c=60.0, house__tank__middle_temperature_c=60.0,
        house__tank__bottom_temperature_c=60.0, house__loop__temperature_c=15.0,
    )  # fmt: skip
    expected = forecasts(house__tank__draw_kw=3.0, house__loop__seawater_temperature_c=15.0)
    here = district(supply(), TANK, plant, LOOP, prices=prices)
    return plan(here, replace(known, overrides=overrides or {}), expected, HOURLY)


def test_a_plant_without_work_draws_a_quarter_of_its_pumps() -> None:
    result = plan(district(supply(), PLANT, LOOP, prices=[0.2]), snapshot(house__loop__temperature_c=16.0),
                  forecasts(house__loop__seawater_temperature_c=16.0), HOURLY)  # fmt: skip
    assert result.flow("house/pumps", "power_kw") == pytest.approx([1.0] * 24)
    assert result.flow("house/pumps", "hot_water_running_share").sum() == pytest.approx(0.0)


def test_makes_what_the_tank_takes_and_its_own_pipes_lose() -> None:
    """0.12 kW/K from 65 degC to a plant room of 20 are 5.4 kW, at the COP of 65 degC from 15."""
    result = with_tank(PLANT, [0.2])
    made, charged = (result.flow("house/pumps", "made_hot_water_kw"), result.flow("house/tank", "charge_kw"))
    assert made - charged == pytest.approx([5.4] * 24)
    cop = float(cop_heating(65.0, 15.0, 0.47))
    circuits = made / float(heat_capacity_kw(50, 65.0, 15.0))
    assert result.flow("house/pumps", "power_kw") == pytest.approx(made / cop + 1.0 + 0.75 * 4 * circuits / 2)


NIGHT_CHEAP = [0.30] * 3 + [0.05] * 3 + [0.30] * 16 + [0.05] * 2


def test_starts_nothing_in_quiet_hours_though_power_is_cheap() -> None:
    """Asked for quiet from 22 to 7 h, what was running at 21 h may go on, and nothing is added to it."""
    loud, quiet = PLANT, PLANT.model_copy(update={"quiet_from_hour": 22.0, "quiet_until_hour": 7.0})

    def running(plant: Plant) -> Floats:
        result = with_tank(plant, NIGHT_CHEAP)
        return np.sum([result.flow("house/pumps", f"{m}_running_share") for m in MODES], axis=0)

    assert np.diff(running(loud)[:7]).max() > 0.3
    assert np.diff(running(quiet)[:7]).max() < 1e-6
    assert np.diff(running(quiet)[21:]).max() < 1e-6


def test_a_plant_that_somebody_holds_off_is_planned_around() -> None:
    """Off until 6 h: nothing runs, and then it makes up for it."""
    point = "house/pumps/enable_on"
    held = {point: Override(point, 0.0, "anne", "service", MIDNIGHT + timedelta(hours=6))}
    result = with_tank(PLANT, [0.1] * 6 + [0.3] * 18, held)
    assert result.flow("house/pumps", "made_hot_water_kw")[:6] == pytest.approx([0.0] * 6)
    assert result.flow("house/pumps", "made_hot_water_kw")[6:].sum() > 40


def simulated(side: str, mode: str, load_kw: float) -> tuple[float, float]:
    """Electricity of a day at a steady load: as the simulated plant draws it, and as the planner's law has it, kWh."""
    plant = Plant(name="p/p", supply="s/s", loop="l/l", circuits=4, heat_kw=212, cold_kw=170)
    room, leaving = PlantRoom(plant, 1.0, 1.0), {"heating": 36.0, "hot_water": 65.0, "cold": 8.0}
    room.node_c.update(leaving)
    for minute in range(1440):
        room.step(
            minute,
            18.0,
            {k: load_kw * (k == side) for k in leaving},
            {k: k == side for k in leaving},
            leaving,
            True,
            1.0,
        )
    duty = duties_kw(plant, 36.0, 18.0)[mode]
    lost = 0.0 if side == "cold" else plant.node_loss_kw_per_k * (leaving[side] - PLANT_ROOM_C)
    circuits = (load_kw + lost) / float(duty[side])
    power = circuits * float(duty["power"]) + plant.pump_kw * (
        IDLE_PUMP_SHARE + (1 - IDLE_PUMP_SHARE) * circuits / plant.circuits
    )
    return room.compressor_kwh + room.pumps_kwh, 24 * power


@pytest.mark.parametrize("side", ["heating", "hot_water", "cold"])
@pytest.mark.parametrize("load_kw", [20.0, 60.0, 160.0, 400.0])
def test_the_law_is_near_a_plant_that_cycles(side: str, load_kw: float) -> None:
    """Within 15 %, from a tenth of one circuit to two whole ones."""
    drawn, planned = simulated(side, side, load_kw)
    assert drawn == pytest.approx(planned, rel=0.15)


def test_cycling_costs_about_what_its_price_says() -> None:
    """At a twentieth of a circuit the plant starts over and over: what it draws beyond the law."""
    drawn, planned = simulated("hot_water", "hot_water", 5.0)
    assert 0.0 < (drawn - planned) / 24 * 0.15 < 3 * PART_LOAD_PER_CIRCUIT_H
