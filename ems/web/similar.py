"""Similar homes: fixed groups that everybody may know, of which only sums over a whole month are told.

A group is a building's homes of one kind, those up to its median surface and those above. No home is in two groups, so
no two groups differ by fewer homes than they have. A group has at least ten homes besides one's own, or there is none.
What was told of a month is kept and told again, never reckoned anew: whoever moves away or is erased does not show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from statistics import median

from ems.district import District
from ems.store import Published

LEAST = 11  # homes: ten besides one's own


@dataclass(frozen=True)
class Group:
    """Homes of `building` from above `over_m2` to `upto_m2`; None where there is no such bound."""

    building: str
    over_m2: float | None
    upto_m2: float | None
    surface_m2: Mapping[str, float]  # by home
    kind: str = ""  # where the building has homes of several

    @property
    def name(self) -> str:
        where = f"{self.building}/{self.kind}" if self.kind else self.building
        return f"{where}:{self.over_m2 or 0:g}-{'' if self.upto_m2 is None else f'{self.upto_m2:g}'}"


def groups(district: District) -> dict[str, Group]:
    """The group of each home that is in one."""
    kinds: dict[tuple[str, str], dict[str, float]] = {}
    for name, home in district.dwellings.items():
        kinds.setdefault((home.building, home.use), {})[name] = home.surface_m2
    several = {building for building, use in kinds for other in kinds if other[0] == building and other[1] != use}
    found: dict[str, Group] = {}
    for (building, use), homes in kinds.items():
        kind = use if building in several else ""
        middle = median(homes.values())
        small = {n: m2 for n, m2 in homes.items() if m2 <= middle}
        large = {n: m2 for n, m2 in homes.items() if m2 > middle}
        halves = [Group(building, None, middle, small, kind), Group(building, middle, None, large, kind)]
        if min(len(small), len(large)) < LEAST:
            halves = [Group(building, None, None, homes, kind)] if len(homes) >= LEAST else []
        found |= {name: group for group in halves for name in group.surface_m2}
    return found


def summed(group: Group, month: date, quantity: str, registers: Mapping[str, tuple[float, float]]) -> Published | None:
    """What the measured homes of a group used between two readings of each; None when too few were measured."""
    known = {
        home: last - first for home, (first, last) in registers.items() if home in group.surface_m2 and last >= first
    }
    if len(known) < LEAST:
        return None
    surface_m2 = sum(group.surface_m2[home] for home in known)
    return Published(group.name, month, quantity, sum(known.values()), surface_m2, len(known))
