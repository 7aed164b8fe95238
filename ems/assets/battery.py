"""A battery: takes in electricity, gives back a little less.

power_kw > 0 charges, as everywhere: positive flows into the asset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo

from ems.assets.asset import Asset, NotNegative, Positive, Share
from ems.assets.outlook import (
    NOT_AS_HELD_PER_KWH,
    Cost,
    Outlook,
    Part,
    Planned,
    Port,
    both,
    index_fleet,
    price_words,
)
from ems.assets.tables import between, per_name, per_slot, upper
from ems.command import Setpoint
from ems.series import Floats


class Battery(Asset):
    """A stationary battery behind one supply point."""

    type: Literal["battery"] = "battery"
    supply: str
    capacity_kwh: Positive
    charge_limit_kw: Positive
    discharge_limit_kw: Positive
    one_way_efficiency: Share = 0.95
    minimum_share: Share = 0.1
    maximum_share: Share = 0.95
    wear_per_kwh: NotNegative = 0.03  # euro per kWh discharged


TYPES = (Battery,)

NOTHING_KW = 1.0  # a planned exchange below it means that the battery makes up for all the rest


def next_energy_kwh(energy_kwh: Any, charge_kw: Any, discharge_kw: Any, one_way_efficiency: float, hours: float) -> Any:
    """Energy at the end of a slot: the planner's law, for numbers, arrays and Pyomo expressions alike."""
    return energy_kwh + hours * (one_way_efficiency * charge_kw - discharge_kw / one_way_efficiency)


def value_at_end_per_kwh(battery: Battery, import_per_kwh: Any) -> float:
    """What a stored kWh is worth after the horizon: the mean purchase it will spare, less losses and wear.

    A hair above, so that at a flat price, where nothing is to be gained, the battery rests instead of emptying.
    """
    spared = battery.one_way_efficiency * float(np.mean(import_per_kwh)) - battery.wear_per_kwh
    return max(spared, 0.0) + 0.001


def may_spare_per_kwh(battery: Battery, import_per_kwh: Any) -> float:
    """What a kWh stored now can spare of the purchases ahead, less losses and wear, euro.

    A purchase after a cheaper refill is worth no more than that refill.
    """
    price = np.asarray(import_per_kwh, dtype=float)
    spared = battery.one_way_efficiency * price - battery.wear_per_kwh
    refilled = np.minimum.accumulate(price) / battery.one_way_efficiency
    return float(np.minimum(spared, refilled).max())


def build(block: Any, fleet: Mapping[str, Battery], outlook: Outlook) -> Part:
    """Variables and rules for all batteries at once."""
    slots = outlook.slots
    index_fleet(block, fleet, slots)
    block.efficiency = pyo.Param(
        block.fleet, initialize=per_name({n: max(a.one_way_efficiency, 0.01) for n, a in fleet.items()})
    )
    block.at_start_kwh = pyo.Param(
        block.fleet, initialize=per_name({n: stored_kwh(a, outlook) for n, a in fleet.items()})
    )

    held = {n: outlook.held(a.point("power_setpoint_kw")) for n, a in fleet.items()}
    charge = {n: _within(a.charge_limit_kw * outlook.in_service(n), held[n]) for n, a in fleet.items()}
    discharge = {n: _within(a.discharge_limit_kw * outlook.in_service(n), -held[n]) for n, a in fleet.items()}
    empty = {n: a.minimum_share * a.capacity_kwh for n, a in fleet.items()}
    full = {n: a.maximum_share * a.capacity_kwh for n, a in fleet.items()}
    zero, count = dict.fromkeys(fleet, 0.0), slots.count
    block.charge_kw = pyo.Var(block.fleet, block.flows, bounds=between(zero, charge, count))
    block.discharge_kw = pyo.Var(block.fleet, block.flows, bounds=between(zero, discharge, count))
    followed = {n: np.nan_to_num(np.abs(row)) for n, row in held.items()}
    charging = [(n, t) for n in fleet for t in slots.flows if held[n][t] > 0]
    giving = [(n, t) for n in fleet for t in slots.flows if held[n][t] < 0]
    block.held_charging = pyo.Set(initialize=charging, dimen=2, ordered=True)
    block.held_giving = pyo.Set(initialize=giving, dimen=2, ordered=True)
    block.held_kw = pyo.Param(block.fleet, block.flows, initialize=per_slot(followed))
    block.unfollowed_kw = pyo.Var(block.fleet, block.flows, bounds=upper(followed))
    block.energy_kwh = pyo.Var(block.fleet, block.stocks, bounds=between(empty, full, count + 1))

    @block.Constraint(block.fleet)  # type: ignore[untyped-decorator]
    def starts_as_measured(b: Any, n: Any) -> Any:
        return b.energy_kwh[n, 0] == b.at_start_kwh[n]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def keeps_energy(b: Any, n: Any, t: Any) -> Any:
        return b.energy_kwh[n, t + 1] == next_energy_kwh(
            b.energy_kwh[n, t], b.charge_kw[n, t], b.discharge_kw[n, t], b.efficiency[n], slots.hours
        )

    # A power that a person holds is followed until the battery is full or empty.
    @block.Constraint(block.held_charging)  # type: ignore[untyped-decorator]
    def charges_as_held(b: Any, n: Any, t: Any) -> Any:
        return b.charge_kw[n, t] + b.unfollowed_kw[n, t] >= b.held_kw[n, t]

    @block.Constraint(block.held_giving)  # type: ignore[untyped-decorator]
    def gives_as_held(b: Any, n: Any, t: Any) -> Any:
        return b.discharge_kw[n, t] + b.unfollowed_kw[n, t] >= b.held_kw[n, t]

    at_end = np.zeros((len(fleet), slots.count + 1))
    for i, (_, asset) in enumerate(fleet.items()):
        at_end[i, -1] = -value_at_end_per_kwh(asset, outlook.tariffs[asset.supply].import_per_kwh)
    wear = np.array([[a.wear_per_kwh * slots.hours] * slots.count for a in fleet.values()])
    node = {n: a.supply for n, a in fleet.items()}
    return Part(
        ports=(
            Port("electricity", block.charge_kw, node),
            Port("electricity", block.discharge_kw, node, gives=True),
        ),
        costs=(
            Cost("wear", block.discharge_kw, wear),
            Cost("stores", block.energy_kwh, at_end),
            Cost("held", block.unfollowed_kw, NOT_AS_HELD_PER_KWH * slots.hours),
        ),
        holds=(block.charge_kw, block.discharge_kw),
    )


def _within(limit_kw: float, held_kw: Floats) -> Floats:
    """A limit per slot in one direction, where a person may hold the power: to it, or to 0 if it goes the other way."""
    return np.where(np.isnan(held_kw), limit_kw, np.clip(held_kw, 0.0, limit_kw)).astype(float)


def stored_kwh(battery: Battery, outlook: Outlook) -> float:
    """What the battery holds now, kWh, clipped into its band; half full when nobody knows."""
    low, high = battery.minimum_share * battery.capacity_kwh, battery.maximum_share * battery.capacity_kwh
    point = battery.point("stored_kwh")
    return outlook.bounded(point, outlook.measured(point, (low + high) / 2, battery.point("energy_kwh")), low, high)


def followed_kw(planned: Planned, name: str, battery: Battery, outlook: Outlook) -> float:
    """The planned power, put right by what its supply point really exchanges now, kW.

    Clouds, kettles and cars to come are not in a plan: where it takes up all of a surplus, the battery takes what there
    is; where it spares a purchase, it gives no more than is bought; and what is left over is stored while a kWh may
    spare more than its sale brings.
    """
    power_kw = float(planned.flow(name, "power_kw")[0])
    supply = outlook.assets[battery.supply]
    total_kw, own_kw = (outlook.snapshot.value(a.point("power_kw")) for a in (supply, battery))
    if total_kw is None or own_kw is None or not outlook.in_service(name):
        return power_kw
    rest_kw = total_kw - own_kw  # what everything else there takes
    bought_kw = float(planned.flow(battery.supply, "import_kw")[0] - planned.flow(battery.supply, "export_kw")[0])
    tariff = outlook.tariffs[battery.supply]
    worth = may_spare_per_kwh(battery, tariff.import_per_kwh) > tariff.export_per_kwh[0] / battery.one_way_efficiency
    if abs(bought_kw) < NOTHING_KW:
        wanted_kw = -rest_kw
    elif rest_kw < 0 and power_kw >= 0:
        wanted_kw = max(power_kw, -rest_kw) if worth or bought_kw > 0 else min(power_kw, -rest_kw)
    elif power_kw < 0 < bought_kw:
        wanted_kw = max(power_kw, -max(rest_kw, 0.0))
    else:
        wanted_kw = power_kw if bought_kw > 0 else min(power_kw, 0.0)
    held_kwh, hours = stored_kwh(battery, outlook), outlook.slots.hours
    room_kw = (battery.maximum_share * battery.capacity_kwh - held_kwh) / hours / battery.one_way_efficiency
    left_kw = (held_kwh - battery.minimum_share * battery.capacity_kwh) / hours * battery.one_way_efficiency
    most_kw, least_kw = min(battery.charge_limit_kw, room_kw), -min(battery.discharge_limit_kw, left_kw)
    return min(max(wanted_kw, least_kw), most_kw)


def actuate(planned: Planned, fleet: Mapping[str, Battery], outlook: Outlook) -> list[Setpoint]:
    """The signed power of the running slot, kW."""
    setpoints = []
    for name, battery in fleet.items():
        # In tenths, and never past what the battery can do: what a device resolves is no finer.
        power_kw = math.trunc(round(followed_kw(planned, name, battery, outlook) * 10, 3)) / 10 + 0.0
        fr, en = price_words(outlook.tariffs.get(battery.supply))
        if outlook.snapshot.value(battery.point("stored_kwh")) is None:
            power_kw = 0.0
            reason = both("au repos : son contenu n'est pas connu", "rests: nobody knows what it holds")
        elif power_kw > 0.05:
            reason = both(f"charge {fr}", f"charges {en}")
        elif power_kw < -0.05:
            reason = both(f"décharge {fr}", f"discharges {en}")
        else:
            reason = both(
                f"au repos {fr} : rien à gagner après pertes et usure",
                f"rests {en}: nothing to gain after losses and wear",
            )
        setpoints.append(Setpoint(battery.point("power_setpoint_kw"), power_kw, reason))
    return setpoints
