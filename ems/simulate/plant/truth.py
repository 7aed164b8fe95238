"""What is really so, for performance figures and tests; nobody in service may look.

Temperatures in degC, heat and electricity in kW now and in kWh since the world was made (take differences; the warm-up
before its start is in them). Arrays are live: copy what you keep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ems.series import Floats
from ems.simulate.plant.day import MINUTES
from ems.simulate.plant.heat_pumps import SIDES, PlantRoom
from ems.simulate.plant.physics import Physics


@dataclass(frozen=True)
class ZoneTruth:
    """Dwellings first, then large zones; `cold_*` and `cooling_c` of the large zones alone.

    Per zone: stored change = heat + gain - loss - neighbour (- cold).
    """

    names: tuple[str, ...]
    homes: int
    surface_m2: Floats
    temperature_c: Floats
    mass_c: Floats
    emitter_c: Floats
    heating_c: Floats  # the set point that the controller follows
    cooling_c: Floats
    present: NDArray[np.bool_]  # in dwellings
    window: Floats
    occupied: Floats  # large zones: share of their people
    heat_kw: Floats  # from the water
    cold_kw: Floats
    gain_kw: Floats
    heat_kwh: Floats
    cold_kwh: Floats
    gain_kwh: Floats  # people, equipment and sun
    loss_kwh: Floats
    neighbour_kwh: Floats
    stored_kwh: Floats


@dataclass(frozen=True)
class TankTruth:
    """Stored change = charge + heater - draw - riser loss - standing."""

    names: tuple[str, ...]
    layers_c: Floats  # (tanks, layers), top first
    return_c: Floats
    charge_kw: Floats
    draw_kw: Floats  # useful heat
    charge_kwh: Floats
    draw_kwh: Floats
    heater_kwh: Floats
    riser_loss_kwh: Floats
    standing_kwh: Floats
    unmet_kwh: Floats  # people wanted 40 degC and got less
    cool_minutes: Floats  # outlet below 45 degC
    return_cool_minutes: Floats  # return below 50 degC
    stored_kwh: Floats


@dataclass(frozen=True)
class PlantTruth:
    """`made_kwh`, `loss_kwh`, `stored_kwh` by side: heating, hot_water, cold; arrays by plant.

    made(heating) + made(hot_water) - made(cold) = compressor + loop.
    """

    names: tuple[str, ...]
    node_c: Mapping[str, Floats]
    made_kwh: Mapping[str, Floats]
    loss_kwh: Mapping[str, Floats]
    stored_kwh: Mapping[str, Floats]
    compressor_kw: Floats
    compressor_kwh: Floats
    pumps_kwh: Floats
    loop_kwh: Floats  # heat taken out of the loop
    recovered_kwh: Floats  # heat out of the cold buffer that became useful heat
    starts: Floats
    run_h: Floats


@dataclass(frozen=True)
class LoopTruth:
    """Stored change = sea + ground - plants."""

    temperature_c: float
    sea_kwh: float
    ground_kwh: float
    plants_kwh: float
    pump_kw: float
    stored_kwh: float


@dataclass(frozen=True)
class ElectricTruth:
    """`devices` stand behind `supply_of` (an index into `supplies`); power flows into the asset."""

    supplies: tuple[str, ...]
    supply_kw: Floats
    import_kwh: Floats
    export_kwh: Floats
    devices: tuple[str, ...]
    supply_of: NDArray[np.int64]
    device_kw: Floats
    device_kwh: Floats
    homes: tuple[str, ...]
    home_kw: Floats
    home_kwh: Floats
    battery_kwh: Floats  # stored
    battery_loss_kwh: Floats
    curtailed_kwh: Floats  # of each photovoltaic array


@dataclass(frozen=True)
class CarTruth:
    """Sessions since the world was made, and what stands at each charge point now."""

    names: tuple[str, ...]
    plugged: NDArray[np.bool_]
    needed_kwh: Floats  # still
    announced: NDArray[np.int64]  # announced departure, minutes since the epoch
    delivered_kwh: Floats
    missing_kwh: Floats  # at departures so far
    sessions: int
    not_ready: int


@dataclass(frozen=True)
class Truth:
    """Everything."""

    outdoor_c: float
    seawater_c: float
    zones: ZoneTruth
    tanks: TankTruth
    plants: PlantTruth
    loop: LoopTruth
    electric: ElectricTruth
    cars: CarTruth


def truth_of(physics: Physics) -> Truth:
    """What is really so now."""
    rooms, tanks, plants, loop, cars = physics.rooms, physics.tanks, physics.plants, physics.loop, physics.points

    def per_plant(read: Callable[[PlantRoom], float]) -> Floats:
        return np.array([read(p) for p in plants])

    def sides(read: Callable[[PlantRoom, str], float]) -> Mapping[str, Floats]:
        return {side: np.array([read(p, side) for p in plants]) for side in SIDES}

    minute = (physics.minute - 1) % MINUTES
    return Truth(
        outdoor_c=physics.weather_now("outdoor_c"),
        seawater_c=physics.weather_now("seawater_c"),
        zones=ZoneTruth(
            names=physics.homes + physics.zones,
            homes=rooms.homes,
            surface_m2=rooms.surface_m2,
            temperature_c=rooms.light_c,
            mass_c=rooms.mass_c,
            emitter_c=rooms.emitter_c,
            heating_c=np.concatenate([physics.residents.setpoint_c + physics.home_offset_k, physics.large.heating_c]),
            cooling_c=physics.large.cooling_c,
            present=physics.home.present[minute],
            window=rooms.window,
            occupied=physics.large.occupied,
            heat_kw=rooms.heat_kw,
            cold_kw=rooms.cold_kw,
            gain_kw=rooms.gain_kw,
            heat_kwh=rooms.heat_kwh,
            cold_kwh=rooms.cold_kwh,
            gain_kwh=rooms.gain_kwh,
            loss_kwh=rooms.loss_kwh,
            neighbour_kwh=rooms.neighbour_kwh,
            stored_kwh=rooms.stored_kwh(),
        ),
        tanks=TankTruth(
            names=tuple(t.name for t in tanks.tanks),
            layers_c=tanks.layers_c,
            return_c=tanks.riser_c,
            charge_kw=tanks.charge_kw,
            draw_kw=tanks.draw_kw,
            charge_kwh=tanks.charge_kwh,
            draw_kwh=tanks.draw_kwh,
            heater_kwh=tanks.heater_kwh,
            riser_loss_kwh=tanks.riser_loss_kwh,
            standing_kwh=tanks.standing_kwh,
            unmet_kwh=tanks.unmet_kwh,
            cool_minutes=tanks.cool_minutes,
            return_cool_minutes=tanks.return_cool_minutes,
            stored_kwh=tanks.stored_kwh(),
        ),
        plants=PlantTruth(
            names=physics.plant_names,
            node_c=sides(lambda p, s: p.node_c[s]),
            made_kwh=sides(lambda p, s: p.made_kwh[s]),
            loss_kwh=sides(lambda p, s: p.loss_kwh[s]),
            stored_kwh=sides(lambda p, s: p.stored_kwh(s)),
            compressor_kw=per_plant(lambda p: p.compressor_kw),
            compressor_kwh=per_plant(lambda p: p.compressor_kwh),
            pumps_kwh=per_plant(lambda p: p.pumps_kwh),
            loop_kwh=per_plant(lambda p: p.loop_kwh),
            recovered_kwh=per_plant(lambda p: p.recovered_kwh),
            starts=per_plant(lambda p: float(sum(c.start_count for c in p.circuits))),
            run_h=per_plant(lambda p: sum(c.run_minutes for c in p.circuits) / 60),
        ),
        loop=LoopTruth(
            temperature_c=loop.temperature_c,
            sea_kwh=loop.sea_kwh,
            ground_kwh=loop.ground_kwh,
            plants_kwh=loop.plants_kwh,
            pump_kw=loop.pump_kw,
            stored_kwh=loop.stored_kwh(),
        ),
        electric=ElectricTruth(
            supplies=physics.supplies,
            supply_kw=physics.meters.now_kw("supplies"),
            import_kwh=physics.meters.import_kwh("supplies"),
            export_kwh=physics.meters.export_kwh("supplies"),
            devices=physics.devices,
            supply_of=physics.supply_of,
            device_kw=physics.device_kw,
            device_kwh=physics.device_kwh,
            homes=physics.homes,
            home_kw=physics.meters.now_kw("homes"),
            home_kwh=physics.meters.import_kwh("homes"),
            battery_kwh=physics.batteries.stored_kwh,
            battery_loss_kwh=physics.batteries.loss_kwh,
            curtailed_kwh=physics.arrays.curtailed_kwh,
        ),
        cars=CarTruth(
            names=tuple(p.name for p in cars.points),
            plugged=cars.plugged,
            needed_kwh=cars.needed_kwh,
            announced=cars.announced,
            delivered_kwh=cars.delivered_kwh,
            missing_kwh=cars.missing_kwh,
            sessions=cars.sessions,
            not_ready=cars.not_ready,
        ),
    )
