"""What runs at night though everybody sleeps: water, electricity and heat of each building, and water of each home.

Between two and five o'clock little is used, and what is used is the same from night to night. Each building and each
home is compared with its own nights before. Of a home only water is looked at, and only where it runs all night: that
is damage, and its resident is told that somebody looked.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from fastapi import Response

from ems.assets import Dwelling, Substation, Supply, WeatherStation
from ems.slots import as_utc
from ems.store import People, StoreError
from ems.web.access import Permission
from ems.web.consumption import today
from ems.web.pages import Pages, Visit

BEGINS, ENDS = time(2), time(5)  # local; in the one night of the year that has no two o'clock, from three
HOURS = 3.0
RECENT, BEFORE = 3, 14  # nights
ENOUGH = 2  # of the recent ones, and of those before three times as many
RISES = 1.25  # against the nights before (assumption)
WATER_L_PER_H = 6.0  # of a home: two steps of a meter that counts 10 l, in three hours (assumption)
WARMER_K = 2.0  # a night colder by more than this may need more heat

# What is looked at of a building: what it is called, the unit, and what is too little to talk of.
KINDS = {
    "water": ("Water of the homes", "l/h", 20.0),
    "electricity": ("Electricity of common parts and tenants", "kW", 0.5),
    "heat": ("Heat sent into the building", "kW", 2.0),
}


@dataclass(frozen=True)
class Night:
    """One thing that runs at night: the median of the last nights and of those before; None where too few are known."""

    subject: str
    kind: str
    unit: str
    recent: float | None
    before: float | None
    rises: bool
    colder: bool = False  # the nights were colder: heat may rise for that


class Leaks:
    """Adds the page of leaks. Of each home that is shown, the look is noted, and told to the home."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/manager/leaks", Permission.MANAGER, self.show)

    def show(self, visit: Visit) -> Response:
        try:
            homes, buildings = homes_with_water(self.pages), nights(self.pages)
        except StoreError:
            homes, buildings = [], []
        for night in homes:
            self.people.note(visit.who, "water at night of a home", night.subject, self.pages.clock())
        return self.pages.page(
            visit,
            "manager_leaks.html",
            homes=homes,
            known=any(n.kind == "water" and n.recent is not None for n in buildings),
            buildings=buildings,
            kinds=KINDS,
            recent=RECENT,
            before=BEFORE,
        )


def homes_with_water(pages: Pages) -> list[Night]:
    """The homes in which water ran through each of the last nights, more than in the nights before; most first."""
    district = pages.district
    meters = {
        home: [p for q in ("cold_water_m3", "hot_water_m3") if (p := f"{home}/{q}") in district.wires]
        for home in district.dwellings
    }
    ran = _counted(pages, [p for points in meters.values() for p in points], 1000.0)
    found = []
    for home, points in meters.items():
        rows = [ran[p] for p in points]
        litres = [None if any(v is None for v in column) else sum(v for v in column if v is not None)
                  for column in zip(*rows, strict=True)]  # fmt: skip
        recent, before = _medians(litres)
        least = min((v for v in litres[-RECENT:] if v is not None), default=0.0)
        if recent is None or least < WATER_L_PER_H or (before is not None and recent < RISES * before):
            continue
        found.append(Night(home, "water", "l/h", recent, before, True))
    return sorted(found, key=lambda n: -(n.recent or 0.0))


def nights(pages: Pages) -> list[Night]:
    """What runs at night in each building, what rises first."""
    district = pages.district
    found = []
    outdoors = [_means(pages, a.point("outdoor_temperature_c")) for a in district.of(WeatherStation).values()]
    colder = bool(outdoors) and _is_colder(*_medians(outdoors[0]))
    for building in district.buildings:
        assets = [a for a in district.assets.values() if a.building == building]
        homes = [a for a in assets if isinstance(a, Dwelling)]
        rows: dict[str, list[list[float | None]]] = {"water": [], "electricity": [], "heat": []}
        if len(homes) >= 10:
            points = [h.point(q) for h in homes for q in ("cold_water_m3", "hot_water_m3")]
            rows["water"] = list(_counted(pages, [p for p in points if p in district.wires], 1000.0).values())
        for asset in assets:
            if isinstance(asset, Supply):
                rows["electricity"].append(_means(pages, asset.point("power_kw")))
            elif isinstance(asset, Substation):
                rows["heat"].append(_means(pages, asset.point("heat_power_kw")))
        for kind, (_, unit, least) in KINDS.items():
            known = [row for row in rows[kind] if any(v is not None for v in row)]
            if not known:
                continue
            recent, before = _medians([_sum(column, len(known)) for column in zip(*known, strict=True)])
            rises = recent is not None and before is not None and recent > RISES * before and recent - before > least
            found.append(Night(building, kind, unit, recent, before, rises, colder and kind == "heat"))
    return sorted(found, key=lambda n: not n.rises)


def _dates(pages: Pages) -> list[date]:
    last = today(pages.now(), pages.zone)
    if pages.now().astimezone(pages.zone).time() < ENDS:
        last -= timedelta(days=1)
    return [last - timedelta(days=i) for i in reversed(range(RECENT + BEFORE))]


def _instants(pages: Pages, at: time) -> list[datetime]:
    """One per night, in UTC."""
    return [as_utc(datetime.combine(day, at, pages.zone)) for day in _dates(pages)]


def _counted(pages: Pages, points: Sequence[str], per_unit: float) -> dict[str, list[float | None]]:
    """What counters went on by in each night, per hour, in units of which there are `per_unit` in the counter's."""
    begins, ends = (_instants(pages, at) for at in (BEGINS, ENDS))
    stood = pages.store.at_hours(points, [*begins, *ends])
    count = len(begins)
    found = {}
    for point, row in stood.items():
        both = zip(row[:count], row[count:], strict=True)
        found[point] = [None if a is None or b is None or b < a else (b - a) * per_unit / HOURS for a, b in both]
    return found


def _means(pages: Pages, point: str) -> list[float | None]:
    """The lowest hourly level of each night: what never stops."""
    rows = [pages.store.at_hours([point], _instants(pages, time(hour)))[point] for hour in (2, 3, 4)]
    return [min((v for v in column if v is not None), default=None) for column in zip(*rows, strict=True)]


def _medians(nights: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Of the last nights, and of those before; None where too few are known."""
    recent = [v for v in nights[-RECENT:] if v is not None]
    before = [v for v in nights[:-RECENT] if v is not None]
    return (
        statistics.median(recent) if len(recent) >= ENOUGH else None,
        statistics.median(before) if len(before) >= 3 * ENOUGH else None,
    )


def _is_colder(recent_c: float | None, before_c: float | None) -> bool:
    return recent_c is not None and before_c is not None and recent_c < before_c - WARMER_K


def _sum(column: Sequence[float | None], count: int) -> float | None:
    """All meters together; None where one in ten or more is missing, which would look like a fall."""
    known = [v for v in column if v is not None]
    return sum(known) * count / len(known) if len(known) > 0.9 * count else None
