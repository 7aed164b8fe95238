"""What is really so, for performance figures and tests; nobody in service may look.

Temperatures in degC, heat and electricity in kW now and in kWh since the world was made (take differences; the warm-up
before its start is in them). Arrays are live: copy what you keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ems.series import Floats


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
