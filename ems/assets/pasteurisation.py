"""Heating a tank through once in a while, where hygiene asks for more than an outlet that is always hot.

On the days and in the window that the tank names, all of its water comes to a temperature that the heat pump does not
reach; the electric heater does the rest. The heat above the tank's working temperature is a store of its own: filled by
the heater in the window, and given to the taps after it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyomo.environ as pyo

from ems.assets.outlook import Cost, Outlook, Part, Port, Slack
from ems.assets.tables import between, per_name, upper
from ems.slots import as_utc

if TYPE_CHECKING:
    from ems.assets.tank import Tank

RELEASED_WITHIN_H = 2.0  # what was heated above the working temperature is there for the taps after the window


def windows(tank: Tank, outlook: Outlook) -> list[tuple[int, int]]:
    """First and last slot of each window that ends within the horizon; one that runs now begins with slot 0."""
    slots, here, found = outlook.slots, ZoneInfo(outlook.time_zone), []
    midnight = slots.start.astimezone(here).replace(hour=0, minute=0, second=0, microsecond=0)
    while as_utc(midnight) < slots.end:
        if midnight.isoweekday() in tank.pasteurise_days:
            edges = (midnight.replace(hour=int(h), minute=round(h % 1 * 60)) for h in tank.pasteurise_hours)
            begin, end = ((as_utc(edge) - slots.start) / slots.length for edge in edges)
            first, last = max(math.ceil(begin), 0), math.floor(end) - 1
            if first <= last < slots.count:
                found.append((first, last))
        midnight = (midnight + timedelta(days=1)).replace(hour=0)
    return found


def extra_kwh(tank: Tank) -> float:
    """Heat between the working temperature and the one that kills, kWh."""
    return tank.kwh_per_k * max(tank.pasteurisation_c - tank.working_c, 0.0)


def extra_now_kwh(tank: Tank, sensors_c: list[float | None]) -> float:
    """How much of that is in the tank now; nothing where a sensor is silent."""
    if any(s is None for s in sensors_c):
        return 0.0
    above = np.clip(np.array(sensors_c, dtype=float) - tank.working_c, 0, None)
    return min(float(tank.kwh_per_k * above.mean()), extra_kwh(tank))


def build(block: Any, fleet: Mapping[str, Tank], outlook: Outlook) -> Part:
    """Rules beside a tank's own, whose `heater_kw` and `energy_kwh` stand; leaves `released_kw` for its balance."""
    slots = outlook.slots
    treated = {n: windows(a, outlook) if outlook.in_service(n) else [] for n, a in fleet.items()}
    inside, after, most, start = {}, {}, {}, {}
    for n, a in fleet.items():
        inside[n], after[n] = np.zeros(slots.count), np.zeros(slots.count)
        sensors = [outlook.snapshot.value(a.point(f"{k}_temperature_c")) for k in ("top", "middle", "bottom")]
        start[n] = extra_now_kwh(a, sensors) if a.pasteurise_days else 0.0
        most[n] = extra_kwh(a) if treated[n] or start[n] > 0 else 0.0
        after[n][:] = most[n] / RELEASED_WITHIN_H
        for first, last in treated[n]:
            inside[n][first : last + 1], after[n][first : last + 1] = a.heater_kw, 0.0
    block.treated = pyo.Set(initialize=[(n, last + 1) for n in fleet for _, last in treated[n]], dimen=2, ordered=True)
    block.hot_through_kwh = pyo.Param(
        block.fleet, initialize=per_name({n: a.full_kwh + extra_kwh(a) for n, a in fleet.items()})
    )
    block.extra_at_start_kwh = pyo.Param(block.fleet, initialize=per_name(start))
    block.heater_limit_kw = pyo.Param(
        block.fleet, initialize=per_name({n: a.heater_kw * outlook.in_service(n) for n, a in fleet.items()})
    )
    block.treating_kw = pyo.Var(block.fleet, block.flows, bounds=upper(inside))
    block.released_kw = pyo.Var(block.fleet, block.flows, bounds=upper(after))
    zero = dict.fromkeys(fleet, 0.0)
    block.extra_kwh = pyo.Var(block.fleet, block.stocks, bounds=between(zero, most, slots.count + 1))
    ends = {n: np.zeros(slots.count + 1) for n in fleet}
    for n, e in block.treated:
        ends[n][e] = np.inf
    block.untreated_kwh = pyo.Var(block.fleet, block.stocks, bounds=upper(ends))

    @block.Constraint(block.fleet)  # type: ignore[untyped-decorator]
    def begins_as_hot_as_measured(b: Any, n: Any) -> Any:
        return b.extra_kwh[n, 0] == b.extra_at_start_kwh[n]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def keeps_extra_heat(b: Any, n: Any, t: Any) -> Any:
        return b.extra_kwh[n, t + 1] == b.extra_kwh[n, t] + slots.hours * (b.treating_kw[n, t] - b.released_kw[n, t])

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def heats_and_treats_with_one_heater(b: Any, n: Any, t: Any) -> Any:
        return b.heater_kw[n, t] + b.treating_kw[n, t] <= b.heater_limit_kw[n]

    @block.Constraint(block.treated)  # type: ignore[untyped-decorator]
    def is_hot_through(b: Any, n: Any, e: Any) -> Any:
        return b.energy_kwh[n, e] + b.extra_kwh[n, e] + b.untreated_kwh[n, e] >= b.hot_through_kwh[n]

    return Part(
        ports=(Port("electricity", block.treating_kw, {n: a.supply for n, a in fleet.items()}),),
        costs=(Cost("hot_water", block.untreated_kwh, outlook.worth.unserved_per_kwh),),
        slacks=(
            Slack(
                block.untreated_kwh,
                "choc thermique incomplet",
                "not heated through",
                "kWh",
                1.0,
                "allonger la plage, ou un appoint plus puissant",
                "widen the window, or a larger heater",
            ),
        ),
    )
