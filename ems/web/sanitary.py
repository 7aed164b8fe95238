"""The sanitary log of hot water: of each tank and day the lowest and highest, and how long a limit was not kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from fastapi import Response

from ems.assets import Tank
from ems.slots import SLOT
from ems.store import Store, StoreError
from ems.web.access import Permission
from ems.web.consumption import local_day, today
from ems.web.hot_water import MIXED_C, OUTLET_C, RETURN_C
from ems.web.pages import Pages, Visit
from ems.web.past import DayOf, Past

LENGTH = 31  # days

# Quantity, what is looked at, its limit.
_WATCHED = (
    ("top_temperature_c", "lowest", OUTLET_C),
    ("return_temperature_c", "lowest", RETURN_C),
    ("mixed_temperature_c", "highest", MIXED_C),
)


@dataclass(frozen=True)
class SanitaryDay:
    """One day of a tank: degC reached, and how long a limit was not kept. None: not measured."""

    date: date
    outlet_c: float | None
    return_c: float | None
    mixed_c: float | None
    beyond: dict[str, timedelta]
    known: float  # share of the day's quarter-hours with an outlet temperature
    pasteurised: timedelta

    @property
    def kept(self) -> bool | None:
        """None: nothing was measured."""
        return None if self.known == 0 else not self.beyond


class Sanitary:
    """Adds the page of the log: the last days of all tanks."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        pages.route("/manager/sanitary", Permission.MANAGER, self.show, keep=True)

    def show(self, visit: Visit) -> Response:
        last = today(self.pages.now(), self.pages.zone)
        found = []
        try:
            for tank in tanks_of(self.pages):
                days = log(self.pages, tank, last - timedelta(days=LENGTH - 1), last)
                found.append((tank, days, sum(1 for d in days if d.kept is False)))
        except StoreError:
            found = []
        found.sort(key=lambda one: -one[2])
        return self.pages.page(visit, "manager_sanitary.html", tanks=found, length=LENGTH)


def log(pages: Pages, tank: str, first: date, last: date) -> list[SanitaryDay]:
    """The days from `first` to `last` of one tank. Raises StoreError."""
    past = Past(pages.store, first, last, today(pages.now(), pages.zone))
    days = {quantity: past.days(f"{tank}/{quantity}") for quantity, *_ in _WATCHED}
    heated = past.days(f"{tank}/pasteurisation_on")
    found = []
    for i, day in enumerate(past.dates):
        values: dict[str, float | None] = {}
        beyond = {}
        for quantity, what, limit in _WATCHED:
            of: DayOf | None = days[quantity][i]
            values[quantity] = None if of is None else of.lowest if what == "lowest" else of.highest
            if of is not None and (of.lowest < limit if what == "lowest" else of.highest > limit):
                beyond[quantity] = _beyond(pages.store, f"{tank}/{quantity}", day, what, limit, pages)
        outlet, warm = days["top_temperature_c"][i], heated[i]
        found.append(
            SanitaryDay(
                date=day,
                outlet_c=values["top_temperature_c"],
                return_c=values["return_temperature_c"],
                mixed_c=values["mixed_temperature_c"],
                beyond=beyond,
                known=0.0 if outlet is None else outlet.n / outlet.of,
                pasteurised=timedelta() if warm is None else warm.total * SLOT,
            )
        )
    return found


def _beyond(store: Store, point: str, day: date, what: str, limit: float, pages: Pages) -> timedelta:
    row = store.history([point], local_day(day, pages.zone)).values[point]
    with np.errstate(invalid="ignore"):
        return int((row < limit).sum() if what == "lowest" else (row > limit).sum()) * SLOT


def tanks_of(pages: Pages, building: str | None = None) -> list[str]:
    return [n for n, t in pages.district.of(Tank).items() if building is None or t.building == building]
