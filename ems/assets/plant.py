"""A plant room: water-source heat-pump circuits between the tempered loop and a block of buildings.

A plant is a set of circuits; each circuit is in one mode at a time: off, heating, hot water, cold, or one compressor
serving both sides (heating and cold, hot water and cold). power_kw > 0 is the compressors' electricity; loop_kw > 0 is
heat taken from the loop into the plant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pydantic import Field

from ems.assets.asset import Asset, Celsius, NotNegative, Positive, Share
from ems.assets.heat_pump import REFERENCE_SOURCE_C, SOURCE_DROP_K, cop_cooling, cop_heating, heat_capacity_kw
from ems.assets.loop import Loop, source_c
from ems.assets.outlook import Cost, OnOff, Outlook, Part, Planned, Port, both, index_fleet, price_words
from ems.assets.substation import (
    Substation,
    cold_homes,
    curve_c,
    rated_heating_kw,
    running_cold_supply_c,
    running_supply_c,
)
from ems.assets.tables import Table, per_name, per_slot
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
    node_loss_kw_per_k: NotNegative = 0.12  # of each buffer with its pipes to a plant room of 20 degC (assumption)
    # Local hours in which no circuit should start, such as 22 to 7; what runs may go on. None: at any hour.
    quiet_from_hour: float | None = Field(default=None, ge=0, le=24)
    quiet_until_hour: float | None = Field(default=None, ge=0, le=24)


TYPES = (Plant,)

# Below its minimum stage a circuit cycles. Of the order seen on the simulated plant: 1.5 starts an hour, each at about
# 0.17 kWh: over the loads from nothing to one whole circuit 0.02 euro per circuit and hour (assumption).
PART_LOAD_PER_CIRCUIT_H = 0.02
IDLE_PUMP_SHARE = 0.25  # of the pumps' power while a plant is enabled; the rest follows the load
PLANT_ROOM_C = 20.0
QUIET_START = 20.0  # euro per circuit that starts in quiet hours: more than prices can gain, less than warmth is worth
HOT_WATER_MARGIN_K = 5.0  # leaving water above the tank's set point
HEATING_MARGIN_K = 2.0


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
    rates = {
        k: np.zeros((len(fleet), len(MODES), slots.count)) for k in ("heating", "hot_water", "cold", "power", "loop")
    }
    for i, plant in enumerate(fleet.values()):
        loop = loops[plant.loop]
        source = source_c(loop, outlook)
        duties = duties_kw(plant, heating_leaving_c(plant, outlook), source)
        for mode, duty in duties.items():
            for what, numbers in rates.items():
                numbers[i, MODES.index(mode)] = duty.get(what, 0.0)
    for what, numbers in rates.items():
        table = Table(tuple(fleet), numbers, MODES)
        block.add_component(
            f"{what}_per_circuit_kw", pyo.Param(block.fleet, block.modes, block.flows, initialize=table)
        )
    serves = {n: float(outlook.in_service(n) and not _faulty(a, outlook)) for n, a in fleet.items()}
    serving = {n: serves[n] * _allowed_circuits(a, outlook) for n, a in fleet.items()}
    quiet = {n: _quiet(a, outlook) for n, a in fleet.items()}
    standing = {n: {k: serves[n] * v for k, v in standing_loss_kw(a, outlook).items()} for n, a in fleet.items()}
    idle = {n: np.full(slots.count, serves[n] * IDLE_PUMP_SHARE * a.pump_kw) for n, a in fleet.items()}
    block.circuits = pyo.Param(block.fleet, block.flows, initialize=per_slot(serving))
    block.idle_kw = pyo.Param(block.fleet, block.flows, initialize=per_slot(idle))
    for side in ("heating", "hot_water"):
        lost = {n: sides[side] for n, sides in standing.items()}
        block.add_component(f"{side}_loss_kw", pyo.Param(block.fleet, block.flows, initialize=per_slot(lost)))
    hushed = [n for n in fleet if quiet[n].any()]
    block.hushed = pyo.Set(initialize=hushed, ordered=True)
    block.changes = pyo.RangeSet(0, slots.count - 2)  # from each slot to the next
    block.all_circuits = pyo.Param(block.fleet, initialize=per_name({n: a.circuits for n, a in fleet.items()}))
    block.pump_kw = pyo.Param(block.fleet, initialize=per_name({n: a.pump_kw for n, a in fleet.items()}))
    block.running_share = pyo.Var(block.fleet, block.modes, block.flows, bounds=(0, None))
    block.started_share = pyo.Var(block.hushed, block.changes, bounds=(0, None))
    for quantity in ("made_heating_kw", "made_hot_water_kw", "made_cold_kw", "running_power_kw"):
        block.add_component(quantity, pyo.Var(block.fleet, block.flows, bounds=(0, None)))
    block.loop_kw = pyo.Var(block.fleet, block.flows)

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def has_so_many_circuits(b: Any, n: Any, t: Any) -> Any:
        return sum(b.running_share[n, m, t] for m in b.modes) <= b.circuits[n, t]

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
        return b.running_power_kw[n, t] == sum(
            (b.power_per_circuit_kw[n, m, t] + (1 - IDLE_PUMP_SHARE) * b.pump_kw[n] / b.all_circuits[n])
            * b.running_share[n, m, t]
            for m in b.modes
        )

    @block.Constraint(block.hushed, block.changes)  # type: ignore[untyped-decorator]
    def starts_at_a_price_in_quiet_hours(b: Any, n: Any, t: Any) -> Any:
        before = sum(b.running_share[n, m, t] for m in b.modes)
        return sum(b.running_share[n, m, t + 1] for m in b.modes) - before <= b.started_share[n, t]

    own = {n: n for n in fleet}
    least, shape = [a.minimum_load_share for a in fleet.values()], (len(fleet), len(MODES), slots.count)
    return Part(
        ports=(
            Port("heating", block.made_heating_kw, own, gives=True),
            Port("hot_water", block.made_hot_water_kw, own, gives=True),
            Port("cold", block.made_cold_kw, own, gives=True),
            Port("heating", block.heating_loss_kw, own, firm=True),
            Port("hot_water", block.hot_water_loss_kw, own, firm=True),
            Port("electricity", block.running_power_kw, {n: a.supply for n, a in fleet.items()}),
            Port("electricity", block.idle_kw, {n: a.supply for n, a in fleet.items()}, firm=True),
            Port("loop", block.loop_kw, {n: a.loop for n, a in fleet.items()}),
        ),
        costs=(
            Cost("part_load", block.running_share, PART_LOAD_PER_CIRCUIT_H * slots.hours),
            Cost("quiet", block.started_share, QUIET_START * np.array([quiet[n][1:] for n in hushed], dtype=float)),
        ),
        on_off=(OnOff(block.running_share, np.broadcast_to(np.array(least)[:, None, None], shape).copy()),),
    )


def standing_loss_kw(plant: Plant, outlook: Outlook) -> dict[str, Floats]:
    """Heat that buffers and pipes of a plant lose while they are held warm, kW per slot: heating and hot_water."""
    count = outlook.slots.count
    stations = [s for s in outlook.of(Substation).values() if s.plant == plant.name]
    outdoor = outdoor_c(outlook)
    heated = np.any([outdoor < s.neutral_outdoor_c for s in stations], axis=0) if stations else np.zeros(count)
    warm = plant.node_loss_kw_per_k * (heating_leaving_c(plant, outlook) - PLANT_ROOM_C)
    hot = plant.node_loss_kw_per_k * (plant.hot_water_leaving_c - PLANT_ROOM_C)
    filled = any(t.plant == plant.name for t in outlook.of(Tank).values())
    return {"heating": np.where(heated, np.maximum(warm, 0.0), 0.0), "hot_water": np.full(count, hot * filled)}


def _allowed_circuits(plant: Plant, outlook: Outlook) -> Floats:
    """Circuits that may run in each slot: none while somebody holds the plant off, fewer while its capacity is held."""
    share = outlook.capped(plant.point("capacity_share"), 1.0)
    return plant.circuits * np.where(outlook.held(plant.point("enable_on")) == 0, 0.0, share)


def _quiet(plant: Plant, outlook: Outlook) -> NDArray[np.bool_]:
    """In which slots no circuit should start, by local time."""
    begins, ends = plant.quiet_from_hour, plant.quiet_until_hour
    if begins is None or ends is None:
        return np.zeros(outlook.slots.count, dtype=bool)
    here = ZoneInfo(outlook.time_zone)
    hour = np.array([at.hour + at.minute / 60 for at in (start.astimezone(here) for start in outlook.slots)])
    return (hour >= begins) & (hour < ends) if begins < ends else (hour >= begins) | (hour < ends)


def _faulty(plant: Plant, outlook: Outlook) -> bool:
    if outlook.snapshot.value(plant.point("fault_on")) == 1:
        outlook.note(f"{plant.name} reports a fault: planned without it")
        return True
    return False


def actuate(planned: Planned, fleet: Mapping[str, Plant], outlook: Outlook) -> list[Setpoint]:
    """Enable, capacity limit and leaving temperatures. Staging, reversing and interlocks stay local."""
    setpoints = []
    outdoor, rated, cold = outdoor_c(outlook), rated_heating_kw(outlook), cold_homes(outlook)
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
            (
                running_supply_c(planned, n, s, outdoor, rated.get(n, s.heat_limit_kw), n in cold)
                for n, s in stations.items()
            ),
            default=plant.heating_leaving_c,
        )
        hot = max(
            (running_setpoint_c(planned, n, t, outlook) for n, t in tanks.items()),
            default=plant.hot_water_leaving_c - HOT_WATER_MARGIN_K,
        )
        chilled = min(
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
                round(chilled - 1.0, 1),
                both("la sous-station la plus exigeante moins 1 K", "the most demanding substation less 1 K"),
            ),
        ]
    return setpoints
