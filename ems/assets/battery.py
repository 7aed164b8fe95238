"""A battery: takes in electricity, gives back a little less.

power_kw > 0 charges, as everywhere: positive flows into the asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo

from ems.assets.asset import Asset, NotNegative, Positive, Share
from ems.assets.outlook import Cost, Outlook, Part, Planned, Port, both, index_fleet, per_name, price_words
from ems.command import Setpoint


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


def next_energy_kwh(energy_kwh: Any, charge_kw: Any, discharge_kw: Any, one_way_efficiency: float, hours: float) -> Any:
    """Energy at the end of a slot: the planner's law, for numbers, arrays and Pyomo expressions alike."""
    return energy_kwh + hours * (one_way_efficiency * charge_kw - discharge_kw / one_way_efficiency)


def value_at_end_per_kwh(battery: Battery, import_per_kwh: Any) -> float:
    """What a stored kWh is worth after the horizon: the mean purchase it will spare, less losses and wear.

    A hair above, so that at a flat price, where nothing is to be gained, the battery rests instead of emptying.
    """
    spared = battery.one_way_efficiency * float(np.mean(import_per_kwh)) - battery.wear_per_kwh
    return max(spared, 0.0) + 0.001


def build(block: Any, fleet: Mapping[str, Battery], outlook: Outlook) -> Part:
    """Variables and rules for all batteries at once."""
    slots = outlook.slots
    index_fleet(block, fleet, slots)
    block.efficiency = pyo.Param(
        block.fleet, initialize=per_name({n: max(a.one_way_efficiency, 0.01) for n, a in fleet.items()})
    )
    block.at_start_kwh = pyo.Param(block.fleet, initialize={n: stored_kwh(a, outlook) for n, a in fleet.items()})

    def limit(kw: str) -> Any:
        limits = {n: float(getattr(a, kw)) * outlook.in_service(n) for n, a in fleet.items()}
        return lambda _, n, t: (0.0, limits[n])

    band = {n: (a.minimum_share * a.capacity_kwh, a.maximum_share * a.capacity_kwh) for n, a in fleet.items()}
    block.charge_kw = pyo.Var(block.fleet, block.flows, bounds=limit("charge_limit_kw"))
    block.discharge_kw = pyo.Var(block.fleet, block.flows, bounds=limit("discharge_limit_kw"))
    block.energy_kwh = pyo.Var(block.fleet, block.stocks, bounds=lambda _, n, t: band[n])

    @block.Constraint(block.fleet)  # type: ignore[untyped-decorator]
    def starts_as_measured(b: Any, n: Any) -> Any:
        return b.energy_kwh[n, 0] == b.at_start_kwh[n]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def keeps_energy(b: Any, n: Any, t: Any) -> Any:
        return b.energy_kwh[n, t + 1] == next_energy_kwh(
            b.energy_kwh[n, t], b.charge_kw[n, t], b.discharge_kw[n, t], b.efficiency[n], slots.hours
        )

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
        costs=(Cost("wear", block.discharge_kw, wear), Cost("stores", block.energy_kwh, at_end)),
        holds=(block.charge_kw, block.discharge_kw),
    )


def stored_kwh(battery: Battery, outlook: Outlook) -> float:
    """What the battery holds now, kWh, clipped into its band; half full when nobody knows."""
    low, high = battery.minimum_share * battery.capacity_kwh, battery.maximum_share * battery.capacity_kwh
    point = battery.point("stored_kwh")
    return outlook.bounded(point, outlook.measured(point, (low + high) / 2, battery.point("energy_kwh")), low, high)


def actuate(planned: Planned, fleet: Mapping[str, Battery], outlook: Outlook) -> list[Setpoint]:
    """The signed power of the running slot, kW."""
    setpoints = []
    for name, battery in fleet.items():
        power_kw = round(float(planned.flow(name, "power_kw")[0]), 2) + 0.0
        fr, en = price_words(outlook.tariffs.get(battery.supply))
        if power_kw > 0.05:
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
