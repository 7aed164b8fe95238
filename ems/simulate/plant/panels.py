"""What every device of the district shows and takes, from the physics behind it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ems.assets import Battery, ChargePoint, Deferrable, Substation, Tank
from ems.series import Floats
from ems.simulate.plant.cars import TWO_WAY_CAR_KWH
from ems.simulate.plant.chance import chance
from ems.simulate.plant.heat_pumps import OFF, PlantRoom
from ems.simulate.plant.panel import Counter, Panel
from ems.simulate.plant.physics import Physics

IDLE_PIPE_C = 21.0  # what a sensor shows where no cold is distributed


def panels(physics: Physics) -> list[Panel]:
    """The fronts of all devices."""
    rooms, large, tanks, loop = physics.rooms, physics.large, physics.tanks, physics.loop
    meters = physics.meters
    residents, subs, cars = physics.residents, physics.substations, physics.points
    homes = rooms.homes
    draw = chance(physics.seed, "thermostat-steps")
    step_k = draw.choice([0.1, 0.2, 0.5], homes, p=[0.5, 0.3, 0.2])
    batteries = tuple(physics.district.of(Battery))
    age = chance(physics.seed, "battery-age").uniform(400, 900, len(batteries))
    starts = chance(physics.seed, "starts").integers(3000, 9000, len(physics.plants)).astype(float)

    def plant(read: Callable[[PlantRoom], float]) -> Callable[[], Floats]:
        return lambda: np.array([read(p) for p in physics.plants])

    def weather(name: str) -> Callable[[], Floats]:
        return lambda: np.full(len(physics.stations), physics.weather_now(name))

    return [
        Panel(
            physics.homes,
            {
                "temperature_c": lambda: np.round((rooms.light_c[:homes] + rooms.bias_k[:homes]) / step_k) * step_k,
                "setpoint_c": lambda: residents.setpoint_c,
            },
            commands={"setpoint_offset_k": physics.home_offset_k},
        ),
        meters.panel("homes"),
        physics.heat_meters.panel(),
        physics.water_meters.panel(),
        Panel(
            physics.zones,
            {
                "temperature_c": lambda: rooms.light_c[homes:] + rooms.bias_k[homes:],
                "humidity_share": lambda: _indoor_humidity(physics),
                "co2_ppm": lambda: large.co2_ppm,
            },
            commands={
                "occupancy_mode": large.mode,
                "heating_setpoint_c": large.heating_setpoint_c,
                "cooling_setpoint_c": large.cooling_setpoint_c,
            },
        ),
        Panel(
            tuple(physics.district.of(Substation)),
            {
                "supply_temperature_c": lambda: subs.supply_c,
                "return_temperature_c": lambda: subs.return_c,
                "heat_flow_m3_per_h": lambda: subs.flow_m3_per_h,
                "heat_power_kw": lambda: subs.heat_kw,
                "pump_on": lambda: subs.pump_on * 1.0,
                "cold_supply_temperature_c": lambda: np.where(subs.cooled, subs.cold_supply_c, IDLE_PIPE_C),
                "cold_power_kw": lambda: subs.cold_kw,
            },
            commands={
                "heating_curve_offset_k": subs.offset_k,
                "cold_supply_setpoint_c": subs.cold_setpoint_c,
                "heartbeat_count": subs.heartbeat,
            },
        ),
        Panel(
            tuple(physics.district.of(Tank)),
            {
                "top_temperature_c": lambda: tanks.layers_c[:, 0],
                "middle_temperature_c": lambda: tanks.layers_c[:, 2:4].mean(axis=1),
                "bottom_temperature_c": lambda: tanks.layers_c[:, -1],
                "return_temperature_c": lambda: tanks.riser_c,
                "mixed_temperature_c": tanks.mixed_c,
                "charge_power_kw": lambda: tanks.charge_kw,
                "recirculation_on": lambda: np.ones(tanks.count),
                "heater_on": lambda: tanks.heating * 1.0,
            },
            commands={
                "setpoint_c": tanks.setpoint_c,
                "charge_on": tanks.charge_on,
                "pasteurisation_on": tanks.pasteurise,
            },
        ),
        meters.panel("plants"),
        Panel(
            physics.plant_names,
            {
                "heating_leaving_c": plant(lambda p: p.node_c["heating"]),
                "hot_water_leaving_c": plant(lambda p: p.node_c["hot_water"]),
                "cold_leaving_c": plant(lambda p: p.node_c["cold"]),
                "loop_entering_c": plant(lambda p: p.loop_entering_c),
                "loop_leaving_c": plant(lambda p: p.loop_leaving_c),
                "loop_flow_m3_per_h": plant(lambda p: p.loop_flow_m3_per_h),
                "heating_power_kw": plant(lambda p: p.made_kw["heating"]),
                "hot_water_power_kw": plant(lambda p: p.made_kw["hot_water"]),
                "cold_power_kw": plant(lambda p: p.made_kw["cold"]),
                "recovered_power_kw": plant(lambda p: p.recovered_kw),
                "compressors_count": plant(lambda p: float(sum(c.mode != OFF for c in p.circuits))),
                "fault_on": plant(lambda p: float(p.fault)),
            },
            {
                "starts_count": Counter(starts, plant(lambda p: float(sum(c.start_count for c in p.circuits)))),
                "run_h": Counter(starts * 1.8, plant(lambda p: sum(c.run_minutes for c in p.circuits) / 60)),
            },
            {
                "enable_on": physics.enable,
                "capacity_share": physics.capacity,
                "heating_leaving_setpoint_c": physics.setpoints["heating"],
                "hot_water_leaving_setpoint_c": physics.setpoints["hot_water"],
                "cold_leaving_setpoint_c": physics.setpoints["cold"],
                "heartbeat_count": physics.plant_heartbeat,
            },
        ),
        Panel(
            (physics.loop_name,),
            {
                "seawater_temperature_c": lambda: np.array([physics.weather_now("seawater_c")]),
                "temperature_c": lambda: np.array([loop.temperature_c]),
                "flow_m3_per_h": lambda: np.array([loop.flow_m3_per_h()]),
                "heat_power_kw": lambda: np.array([loop.sea_kw]),
            },
            commands={"setpoint_c": physics.loop_setpoint, "pump_share": physics.loop_pump},
        ),
        Panel(
            physics.stations,
            {
                "outdoor_temperature_c": weather("outdoor_c"),
                "humidity_share": weather("humidity_share"),
                "irradiance_w_per_m2": weather("ghi_w_per_m2"),
                "wind_m_per_s": weather("wind_m_per_s"),
            },
        ),
        meters.panel("supplies"),
        meters.panel("loads"),
        Panel(
            meters.assets["arrays"],
            {"power_kw": lambda: meters.shown_kw("arrays")},
            {"energy_kwh": meters.exported("arrays", 1.0)},
            {"limit_share": physics.arrays.limit_share},
        ),
        Panel(
            batteries,
            {"power_kw": lambda: physics.batteries.power_kw, "stored_kwh": lambda: physics.batteries.stored_kwh},
            {
                "charged_energy_kwh": Counter(
                    age * physics.batteries.capacity_kwh, lambda: physics.batteries.charged_kwh
                ),
                "discharged_energy_kwh": Counter(
                    0.9 * age * physics.batteries.capacity_kwh, lambda: physics.batteries.discharged_kwh
                ),
            },
            {"power_setpoint_kw": physics.batteries.setpoint_kw},
        ),
        Panel(
            meters.assets["bikes"],
            {"power_kw": lambda: meters.shown_kw("bikes"), "bikes_count": lambda: physics.bikes.bikes},
            {"energy_kwh": meters.imported("bikes")},
            {"power_limit_kw": physics.bikes.device_limit_kw},
        ),
        Panel(
            tuple(physics.district.of(ChargePoint)),
            {
                "state_mode": cars.state,
                "current_a": lambda: cars.current_a,
                "power_kw": lambda: cars.power_kw,
                "session_energy_kwh": lambda: cars.session_kwh,
                "stored_kwh": lambda: np.where(cars.two_way & cars.plugged, cars.stored_kwh, np.nan),
                "capacity_kwh": lambda: np.where(cars.two_way & cars.plugged, TWO_WAY_CAR_KWH, np.nan),
            },
            commands={"current_limit_a": cars.limit_a, "give_back_current_a": cars.give_a},
        ),
        Panel(
            tuple(physics.district.of(Deferrable)),
            {
                "power_kw": lambda: physics.machines.power_kw,
                "running_on": lambda: physics.machines.running * 1.0,
                "done_h": lambda: physics.machines.done_h,
            },
            commands={"run_on": physics.machines.run_on},
        ),
    ]


def _indoor_humidity(physics: Physics) -> Floats:
    """Outdoor vapour, a little more where people are, at the room's temperature."""
    outdoor = np.array([physics.weather_now("outdoor_c")])
    vapour = physics.weather_now("humidity_share") * _saturation_hpa(outdoor) + 2.0 * physics.large.occupied
    return np.asarray(np.clip(vapour / _saturation_hpa(physics.rooms.light_c[physics.rooms.homes :]), 0.05, 1.0))


def _saturation_hpa(temperature_c: Floats) -> Floats:
    """Magnus formula over water."""
    return np.asarray(6.112 * np.exp(17.62 * temperature_c / (243.12 + temperature_c)))
