"""A plant room: water-source heat-pump circuits between the tempered loop and a block of buildings.

A plant is a set of circuits; each circuit is in one mode at a time: off, heating, hot water, cold, or one compressor
serving both sides (heating and cold, hot water and cold). power_kw > 0 is the compressors' electricity; loop_kw > 0 is
heat taken from the loop into the plant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo
from pydantic import Field

from ems.assets.asset import Asset, Celsius, NotNegative, Positive, Share
from ems.assets.loop import Loop, sea_c, temperature_now_c
from ems.assets.outlook import Cost, Outlook, Part, Planned, Port, both, index_fleet, per_name, price_words
from ems.assets.substation import Substation, curve_c, rated_heating_kw, running_cold_supply_c, running_supply_c
from ems.assets.tank import Tank, may_charge, running_setpoint_c
from ems.assets.weather_station import outdoor_c
from ems.command import Setpoint
from ems.series import Floats

MODES = ("heating", "hot_water", "cold", "heating_and_cold", "hot_water_and_cold")


class Plant(Asset):
    """Several equal circuits with heating, hot-water and cold duty.

    Capacity is per circuit, at the leaving temperatures named here.
    """

    type: Literal["plant"] = "plant"
    supply: str
    loop: str
    circuits: int = Field(ge=1, le=8)
    heat_kw: Positive  # per circuit
    cold_kw: Positive  # per circuit
    carnot_share: Share = 0.47
    heating_leaving_c: Celsius = 40.0
    hot_water_leaving_c: Celsius = 65.0
    cold_leaving_c: Celsius = 8.0
    minimum_load_share: Share = 0.25  # of one circuit
    pump_kw: NotNegative = 4.0
    minimum_run_minutes: int = Field(default=10, ge=0)
    minimum_rest_minutes: int = Field(default=10, ge=0)
    starts_per_hour: int = Field(default=4, ge=1)
    heating_buffer_m3: Positive = 3.0
    cold_buffer_m3: Positive = 2.0


TYPES = (Plant,)

APPROACH_K = 2.0  # between a leaving water temperature and its refrigerant
SOURCE_DROP_K = 5.0  # the loop's water is this much colder (warmer) when it leaves the plant
SMALLEST_LIFT_K = 8.0  # below it a compressor gains nothing more
LARGEST_COP = 9.0
KELVIN = 273.15
REFERENCE_SOURCE_C, REFERENCE_LEAVING_C = 16.0, 40.0
CAPACITY_PER_SOURCE_K, CAPACITY_PER_LEAVING_K = 0.02, 0.006  # relative change of heat per kelvin (assumption)
PART_LOAD_PER_CIRCUIT_H = 0.02  # euro: breaks ties in favour of fewer running circuits
HOT_WATER_MARGIN_K = 5.0  # leaving water above the tank's set point
HEATING_MARGIN_K = 2.0


def cop_heating(leaving_c: Any, source_c: Any, carnot_share: float) -> Any:
    """Heat per electricity: a share of Carnot between the two refrigerant temperatures.

    Carnot: COP = T_hot / (T_hot - T_cold), kelvin (any textbook of thermodynamics).
    """
    hot = leaving_c + APPROACH_K + KELVIN
    lift = np.maximum(hot - (source_c - SOURCE_DROP_K / 2 - APPROACH_K + KELVIN), SMALLEST_LIFT_K)
    return np.minimum(carnot_share * hot / lift, LARGEST_COP)


def cop_cooling(leaving_c: Any, sink_c: Any, carnot_share: float) -> Any:
    """Cold per electricity: Carnot's T_cold / (T_hot - T_cold), a share of it."""
    cold = leaving_c - APPROACH_K + KELVIN
    lift = np.maximum(sink_c + SOURCE_DROP_K / 2 + APPROACH_K + KELVIN - cold, SMALLEST_LIFT_K)
    return np.minimum(carnot_share * cold / lift, LARGEST_COP)


def heat_capacity_kw(heat_kw: float, leaving_c: Any, source_c: Any) -> Any:
    """Heat of one circuit, kW: more from a warmer source, less at a hotter leaving temperature."""
    source = 1 + CAPACITY_PER_SOURCE_K * (source_c - REFERENCE_SOURCE_C)
    leaving = 1 - CAPACITY_PER_LEAVING_K * (leaving_c - REFERENCE_LEAVING_C)
    return heat_kw * np.clip(source, 0.5, 1.3) * np.clip(leaving, 0.5, 1.1)


def duties_kw(plant: Plant, heating_leaving_c: Any, source_c: Any) -> dict[str, dict[str, Any]]:
    """What one whole circuit does in each mode, kW: heating, hot_water, cold, power, and loop (taken from the loop).

    One compressor on both sides takes its heat from the cold side at cold_leaving_c and leaves the loop alone.
    """
    share, source = plant.carnot_share, np.asarray(source_c, dtype=float)
    zero = np.zeros_like(source)
    hot_leaving = zero + plant.hot_water_leaving_c
    heating_leaving = zero + heating_leaving_c
    cold_side = plant.cold_leaving_c + SOURCE_DROP_K / 2 + zero  # the mean of the water that is being cooled
    heat = heat_capacity_kw(plant.heat_kw, heating_leaving, source)
    water = heat_capacity_kw(plant.heat_kw, hot_leaving, source)
    cold = zero + plant.cold_kw
    duties = {}
    power = heat / cop_heating(heating_leaving, source, share)
    duties["heating"] = {"heating": heat, "power": power, "loop": heat - power}
    power = water / cop_heating(hot_leaving, source, share)
    duties["hot_water"] = {"hot_water": water, "power": power, "loop": water - power}
    power = cold / cop_cooling(zero + plant.cold_leaving_c, source, share)
    duties["cold"] = {"cold": cold, "power": power, "loop": -(cold + power)}
    for medium, leaving in (("heating", heating_leaving), ("hot_water", hot_leaving)):
        made = heat_capacity_kw(plant.heat_kw, leaving, cold_side)
        power = made / cop_heating(leaving, cold_side, share)
        duties[f"{medium}_and_cold"] = {medium: made, "cold": made - power, "power": power, "loop": zero}
    return duties


def heating_leaving_c(plant: Plant, outlook: Outlook) -> Floats:
    """The most demanding substation's curve and a little more, degC per slot."""
    outdoor = outdoor_c(outlook)
    curves = [curve_c(s, outdoor) for s in outlook.of(Substation).values() if s.plant == plant.name]
    highest = np.max(curves, axis=0) if curves else np.full(outlook.slots.count, plant.heating_leaving_c)
    return np.asarray(highest + HEATING_MARGIN_K, dtype=float)


def build(block: Any, fleet: Mapping[str, Plant], outlook: Outlook) -> Part:
    """Circuits shared out over modes; what they make, draw and take from the loop follows from the mode."""
    slots = outlook.slots
    index_fleet(block, fleet, slots)
    block.modes = pyo.Set(initialize=MODES, ordered=True)
    loops = outlook.of(Loop)
    rates: dict[str, dict[tuple[str, str, int], float]] = {
        k: {} for k in ("heating", "hot_water", "cold", "power", "loop")
    }
    for n, plant in fleet.items():
        loop = loops[plant.loop]
        # The loop drifts from where it stands to the sea's temperature within the hour.
        drift = 0.5 ** np.arange(slots.count)
        sea = sea_c(loop, outlook)
        source = sea + (temperature_now_c(loop, outlook) - sea[0]) * drift
        duties = duties_kw(plant, heating_leaving_c(plant, outlook), source)
        for mode, duty in duties.items():
            for what, numbers in rates.items():
                row = np.broadcast_to(np.asarray(duty.get(what, 0.0), dtype=float), (slots.count,))
                numbers.update({(n, mode, t): v for t, v in enumerate(row.tolist())})
    for what, numbers in rates.items():
        block.add_component(
            f"{what}_per_circuit_kw", pyo.Param(block.fleet, block.modes, block.flows, initialize=numbers)
        )
    serving = {n: float(a.circuits) * outlook.in_service(n) * (not _faulty(a, outlook)) for n, a in fleet.items()}
    block.circuits = pyo.Param(block.fleet, initialize=per_name(serving))
    block.all_circuits = pyo.Param(block.fleet, initialize=per_name({n: a.circuits for n, a in fleet.items()}))
    block.pump_kw = pyo.Param(block.fleet, initialize=per_name({n: a.pump_kw for n, a in fleet.items()}))
    block.running_share = pyo.Var(block.fleet, block.modes, block.flows, bounds=(0, None))
    for quantity in ("made_heating_kw", "made_hot_water_kw", "made_cold_kw", "power_kw"):
        block.add_component(quantity, pyo.Var(block.fleet, block.flows, bounds=(0, None)))
    block.loop_kw = pyo.Var(block.fleet, block.flows)

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def has_so_many_circuits(b: Any, n: Any, t: Any) -> Any:
        return sum(b.running_share[n, m, t] for m in b.modes) <= b.circuits[n]

    def makes(quantity: str, rate: str) -> Any:
        def rule(b: Any, n: Any, t: Any) -> Any:
            per_circuit, made = b.component(f"{rate}_per_circuit_kw"), b.component(quantity)
            return made[n, t] == sum(per_circuit[n, m, t] * b.running_share[n, m, t] for m in b.modes)

        return rule

    block.makes_heat = pyo.Constraint(block.fleet, block.flows, rule=makes("made_heating_kw", "heating"))
    block.makes_hot_water = pyo.Constraint(block.fleet, block.flows, rule=makes("made_hot_water_kw", "hot_water"))
    block.makes_cold = pyo.Constraint(block.fleet, block.flows, rule=makes("made_cold_kw", "cold"))
    block.takes_from_loop = pyo.Constraint(block.fleet, block.flows, rule=makes("loop_kw", "loop"))

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def draws_power(b: Any, n: Any, t: Any) -> Any:
        return b.power_kw[n, t] == sum(
            (b.power_per_circuit_kw[n, m, t] + b.pump_kw[n] / b.all_circuits[n]) * b.running_share[n, m, t]
            for m in b.modes
        )

    own = {n: n for n in fleet}
    return Part(
        ports=(
            Port("heating", block.made_heating_kw, own, gives=True),
            Port("hot_water", block.made_hot_water_kw, own, gives=True),
            Port("cold", block.made_cold_kw, own, gives=True),
            Port("electricity", block.power_kw, {n: a.supply for n, a in fleet.items()}),
            Port("loop", block.loop_kw, {n: a.loop for n, a in fleet.items()}),
        ),
        costs=(Cost("part_load", block.running_share, PART_LOAD_PER_CIRCUIT_H * slots.hours),),
    )


def _faulty(plant: Plant, outlook: Outlook) -> bool:
    if outlook.snapshot.value(plant.point("fault_on")) == 1:
        outlook.note(f"{plant.name} reports a fault: planned without it")
        return True
    return False


def actuate(planned: Planned, fleet: Mapping[str, Plant], outlook: Outlook) -> list[Setpoint]:
    """Enable, capacity limit and leaving temperatures. Staging, reversing and interlocks stay local."""
    setpoints = []
    outdoor, rated = outdoor_c(outlook), rated_heating_kw(outlook)
    for name, plant in fleet.items():
        tanks = {n: t for n, t in outlook.of(Tank).items() if t.plant == name}
        stations = {n: s for n, s in outlook.of(Substation).items() if s.plant == name}
        charging = {n: t for n, t in tanks.items() if may_charge(planned, n, t, outlook)}
        shares = {m: planned.flow(name, f"{m}_running_share") for m in MODES}
        now = {m: float(s[0]) for m, s in shares.items()}
        soon = float(np.sum([s[:3] for s in shares.values()], axis=0).max())
        enabled = outlook.in_service(name) and (soon > 0.01 or bool(charging))
        # What the tanks may take must always fit under the limit: hot water is never starved by a plan that erred.
        source = REFERENCE_SOURCE_C
        per_circuit = float(heat_capacity_kw(plant.heat_kw, plant.hot_water_leaving_c, source))
        for_tanks = sum(t.charge_limit_kw for t in charging.values()) / per_circuit / plant.circuits
        running = sum(now.values()) / plant.circuits
        capacity = running + for_tanks + 0.15 if sum(now.values()) < 0.9 * plant.circuits else 1.0
        capacity = min(1.0, max(math.ceil(20 * capacity) / 20, 1.0 / plant.circuits))
        made = " + ".join(f"{planned.flow(name, f'made_{q}_kw')[0]:.0f}" for q in ("heating", "hot_water", "cold"))
        both_sides = now["heating_and_cold"] + now["hot_water_and_cold"]
        fr, en = price_words(outlook.tariffs.get(plant.supply))
        why = both(f"chaud + ECS + froid {made} kW {fr}", f"heat + hot water + cold {made} kW {en}")
        if both_sides > 0.01:
            why = both(f"{why.split(' | ')[0]}, froid récupéré", f"{why.split(' | ')[1]}, cold recovered")
        if not outlook.in_service(name):
            why = both("hors service", "out of service")
        elif not enabled:
            why = both("rien à produire dans les trois quarts d'heure", "nothing to make for three quarters of an hour")
        heating = max(
            (running_supply_c(planned, n, s, outdoor, rated.get(n, s.heat_limit_kw)) for n, s in stations.items()),
            default=plant.heating_leaving_c,
        )
        hot = max(
            (running_setpoint_c(planned, n, t) for n, t in tanks.items()),
            default=plant.hot_water_leaving_c - HOT_WATER_MARGIN_K,
        )
        cold = min(
            (running_cold_supply_c(planned, n, s) for n, s in stations.items() if s.cold_limit_kw > 0),
            default=plant.cold_leaving_c + 1.0,
        )
        setpoints += [
            Setpoint(plant.point("enable_on"), float(enabled), why),
            Setpoint(plant.point("capacity_share"), round(capacity, 2), why),
            Setpoint(
                plant.point("heating_leaving_setpoint_c"),
                round(heating + HEATING_MARGIN_K, 1),
                both("la sous-station la plus exigeante et 2 K", "the most demanding substation and 2 K"),
            ),
            Setpoint(
                plant.point("hot_water_leaving_setpoint_c"),
                round(hot + HOT_WATER_MARGIN_K, 1),
                both("le ballon le plus chaud et 5 K", "the hottest tank and 5 K"),
            ),
            Setpoint(
                plant.point("cold_leaving_setpoint_c"),
                round(cold - 1.0, 1),
                both("la sous-station la plus exigeante moins 1 K", "the most demanding substation less 1 K"),
            ),
        ]
    return setpoints
