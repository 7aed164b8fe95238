"""The buildings and their meters: supply points with contract and subscribed power, and what each counter stands at."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Response

from ems.assets import Dwelling, Supply
from ems.district import Building
from ems.points import unit_suffix
from ems.web.access import Permission
from ems.web.live import KINDS, Live, Row
from ems.web.pages import Pages, Visit

COUNTED = ("kwh", "m3")  # units of counters


@dataclass(frozen=True)
class Meter:
    """One meter that counts: whose, what it is, and its counters now."""

    asset: str
    kind: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Metered:
    """One building: its supply points, its homes, and its other meters."""

    building: Building
    supplies: tuple[Supply, ...]
    homes: int
    home_points: tuple[tuple[str, int, int], ...]  # quantity, meters that answer well, all of them
    meters: tuple[Meter, ...]


class Meters:
    """Adds the page of buildings and meters. Of homes only how many meters answer."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        pages.route("/manager/meters", Permission.MANAGER, self.show, keep=True)

    def show(self, visit: Visit) -> Response:
        return self.pages.page(
            visit, "manager_meters.html", metered=metered(self.pages), contracts=self.pages.district.contracts
        )


def metered(pages: Pages) -> list[Metered]:
    """All buildings, in the order of their files."""
    district, samples = pages.district, pages.samples()
    live = Live(district, samples, pages.now())
    counters: dict[str, list[str]] = {}
    for point in district.wires:
        asset, _, quantity = point.rpartition("/")
        if unit_suffix(quantity) in COUNTED and not quantity.startswith("session"):
            counters.setdefault(asset, []).append(point)
    found = []
    for building in district.buildings.values():
        assets = [a for a in district.assets.values() if a.building == building.name]
        homes = [a for a in assets if isinstance(a, Dwelling)]
        of_homes: dict[str, list[str]] = {}
        for home in homes:
            for point in counters.get(home.name, ()):
                of_homes.setdefault(point.rpartition("/")[2], []).append(point)
        answering = [
            (quantity, sum(1 for p in points if p in samples and samples[p].usable is not None), len(points))
            for quantity, points in of_homes.items()
        ]
        meters = [
            Meter(a.name, KINDS.get(type(a), "base load"), tuple(live.row(p) for p in counters[a.name]))
            for a in assets
            if a.name in counters and not isinstance(a, Dwelling)
        ]
        supplies = tuple(a for a in assets if isinstance(a, Supply))
        found.append(Metered(building, supplies, len(homes), tuple(answering), tuple(meters)))
    return found
