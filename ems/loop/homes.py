"""What is kept of the electricity of homes: of each what it agreed to, and of all the sum of their building. Pure.

A private meter is read because the sum of a building must be known; its quarter-hours tell how people live. Without
agreement nothing of it is kept, with agreement to days one reading at midnight, with agreement to the load curve
everything. A sum is kept for buildings of ten homes and more; silent homes are counted like the others' mean, which
makes the sum a stand-in, and where less than half of them answered there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import numpy as np

from ems.district import District
from ems.loop.minutes import Reading
from ems.points import Quality
from ems.series import Floats
from ems.slots import Slots
from ems.store import ELECTRIC, REGISTER

SUMMED = "homes/power_kw"  # behind the building's name
LEAST = 10  # homes in a sum
ENOUGH = 0.5  # of them must have answered

Agreements = Mapping[str, frozenset[str]]  # by purpose, the homes that agreed to it
Series = tuple[str, Slots, Floats]


@dataclass(frozen=True)
class _Meter:
    home: str
    building: str
    quantity: str


class Homes:
    """The electricity meters of the homes of a district."""

    def __init__(self, district: District) -> None:
        self._zone = ZoneInfo(district.place.time_zone)
        self._meters = {
            f"{name}/{quantity}": _Meter(name, home.building, quantity)
            for name, home in district.dwellings.items()
            for quantity in ELECTRIC
            if f"{name}/{quantity}" in district.wires
        }
        self._count: dict[str, int] = {}
        for meter in self._meters.values():
            if meter.quantity == "power_kw":
                self._count[meter.building] = self._count.get(meter.building, 0) + 1
        self._count = {building: count for building, count in self._count.items() if count >= LEAST}
        self._past: dict[tuple[str, Slots], list[Floats]] = {}

    @property
    def sums(self) -> list[str]:
        """The points under which sums are kept."""
        return [f"{building}/{SUMMED}" for building in self._count]

    def of_readings(self, rows: Iterable[Reading], agreed: Agreements) -> list[Reading]:
        """What may be kept of a quarter-hour, and its sums."""
        kept: list[Reading] = []
        known: dict[tuple[str, int], list[float]] = {}
        stood_in: set[tuple[str, int]] = set()
        for point, at, value, quality in rows:
            meter = self._meters.get(point)
            if meter is not None and meter.quantity == "power_kw" and value is not None:
                known.setdefault((meter.building, at), []).append(value)
                if quality is not Quality.GOOD:
                    stood_in.add((meter.building, at))
            if meter is None or self._may(meter, agreed, at):
                kept.append((point, at, value, quality))
        for (building, at), powers in known.items():
            whole = self._count.get(building, 0)
            if whole and len(powers) >= ENOUGH * whole:
                measured = len(powers) == whole and (building, at) not in stood_in
                quality = Quality.GOOD if measured else Quality.SUBSTITUTED
                kept.append((f"{building}/{SUMMED}", at, sum(powers) * whole / len(powers), quality))
        return kept

    def of_series(self, given: Iterable[Series], agreed: Agreements) -> list[Series]:
        """The same for whole series, which come home by home: a building's sum comes with the last of its homes."""
        kept: list[Series] = []
        for point, slots, values in given:
            meter = self._meters.get(point)
            if meter is None or meter.home in agreed.get("load curve", ()):
                kept.append((point, slots, values))
            elif meter.quantity == REGISTER and meter.home in agreed.get("daily", ()):
                kept += [
                    (point, Slots(at, 1), values[i : i + 1]) for i, at in enumerate(slots) if self._is_midnight(at)
                ]  # fmt: skip
            if meter is not None and meter.quantity == "power_kw" and meter.building in self._count:
                rows = self._past.setdefault((meter.building, slots), [])
                rows.append(values)
                if len(rows) == self._count[meter.building]:
                    del self._past[meter.building, slots]
                    kept.append((f"{meter.building}/{SUMMED}", slots, _summed(np.stack(rows))))
        return kept

    def may_show(self, point: str, agreed: Agreements) -> bool:
        """Whether the last value of a point may be kept: power, for the sum, and of registers what was agreed to."""
        meter = self._meters.get(point)
        return meter is None or meter.quantity == "power_kw" or meter.home in agreed.get("load curve", ())

    def _may(self, meter: _Meter, agreed: Agreements, at: int) -> bool:
        if meter.home in agreed.get("load curve", ()):
            return True
        begins = self._is_midnight(datetime.fromtimestamp(at, tz=UTC))
        return meter.quantity == REGISTER and begins and meter.home in agreed.get("daily", ())

    def _is_midnight(self, at: datetime) -> bool:
        return at.astimezone(self._zone).time() == time()


def _summed(values: Floats) -> Floats:
    """The sum over homes [homes, slots]; NaN where less than half of them answered."""
    count = np.isfinite(values).sum(axis=0)
    total = np.nansum(values, axis=0) * len(values) / np.maximum(count, 1)
    return np.asarray(np.where(count >= ENOUGH * len(values), total, np.nan))
