"""What was really measured in the hours before now, in the groups of the plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ems.assets import BaseLoad, Battery, BikeRoom, ChargePoint, Dwelling, Loop, Photovoltaic, Plant, Supply
from ems.district import District
from ems.series import Floats, History
from ems.slots import SLOT, Slots, floor
from ems.store import Store, StoreError
from ems.web.record import Record

HOURS = 4
_ENOUGH = 0.9  # of a group's meters: below that a sum says too little

_GROUP_OF: dict[type, str] = {
    Dwelling: "homes",
    BaseLoad: "buildings",
    Plant: "heat",
    Loop: "heat",
    ChargePoint: "cars",
    BikeRoom: "cars",
    Battery: "battery",
    Photovoltaic: "sun",
}


@dataclass(frozen=True)
class Actual:
    """kW by group for each quarter-hour before now; None where too few meters are known.

    `planned` is what the plan of the first of these slots had foreseen of the grid.
    """

    slots: Slots
    flows: dict[str, list[float | None]]
    grid: list[float | None]
    planned: list[float | None] | None


def actual(district: District, store: Store, record: Record) -> Actual | None:
    """The last hours before the plan of `record` begins; None without a plan, or when nothing was measured."""
    if record.slots is None:
        return None
    count = round(HOURS / record.slots.hours)
    start = floor(record.slots.start)
    slots = Slots(start - count * SLOT, count)
    points: dict[str, list[str]] = {}
    for name, asset in district.assets.items():
        group = _GROUP_OF.get(type(asset))
        point = f"{name}/power_kw"
        if point in district.wires:
            if group is not None:
                points.setdefault(group, []).append(point)
            if isinstance(asset, Supply | Dwelling):
                points.setdefault("grid", []).append(point)
    try:
        history = store.history([p for group in points.values() for p in group], slots)
        earlier = Record(store.decision(record.slot - count), district, record.now, record.language)
    except StoreError:
        return None
    sums = {group: _sum(history, of) for group, of in points.items()}
    if all(v is None for row in sums.values() for v in row):
        return None
    grid = sums.pop("grid", [None] * count)
    same_grid = earlier.slots is not None and earlier.slots.start == slots.start and earlier.slots.minutes == 15
    planned: list[float | None] | None = [*earlier.grid[:count]] if same_grid else None
    return Actual(slots, sums, grid, planned)


def _sum(history: History, points: list[str]) -> list[float | None]:
    """Power of a group's meters; the few that are missing are taken as the mean of the others."""
    rows: Floats = np.array([history.values[p] for p in points])
    known = np.isfinite(rows).sum(axis=0)
    total = np.nansum(rows, axis=0) * len(points) / np.maximum(known, 1)
    return [float(t) if n >= _ENOUGH * len(points) else None for t, n in zip(total, known, strict=True)]
