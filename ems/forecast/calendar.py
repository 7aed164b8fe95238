"""Local days over the UTC grid: people live by the wall clock, so "the same time last week" is a local time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from vacances_scolaires_france import SchoolHolidayDates

from ems.public_holidays import PARIS, country_of, public_holidays
from ems.slots import Slots

Ints = NDArray[np.int64]

WORKDAY, SATURDAY, SUNDAY = 0, 1, 2  # kinds of day; a public holiday is lived like a Sunday


@dataclass(frozen=True)
class Calendar:
    """What each slot of a stretch is on the wall clock. Slots are numbered from 0, the first one.

    `local` counts slots of the wall clock (it jumps when the clocks change), `kind` is workday, Saturday or Sunday,
    `weekday` is ISO (1 is Monday), `hour` is the local hour of the middle of the slot.
    """

    slots: Slots
    local: Ints
    kind: Ints
    weekday: Ints
    hour: NDArray[np.float64]
    month: Ints
    year_day: Ints
    school: NDArray[np.bool_] | None = None  # no school in zone B (Aix-Marseille), where the clock is that of Paris

    @property
    def per_day(self) -> int:
        return 1440 // self.slots.minutes

    @property
    def seconds(self) -> Ints:
        """UTC epoch seconds of the middle of each slot."""
        step = self.slots.minutes * 60
        return np.asarray(int(self.slots.start.timestamp()) + step // 2 + step * np.arange(self.slots.count))


def on_days(calendar: Calendar, days: Collection[date]) -> NDArray[np.bool_]:
    """Which slots lie on these local days."""
    since = [(day - date(1970, 1, 1)).days for day in days]
    return np.isin(calendar.local // calendar.per_day, np.array(sorted(since), dtype=np.int64))


def closed_on(calendar: Calendar, closed: NDArray[np.bool_]) -> Calendar:
    """The calendar of somebody for whom these slots are like those of a Sunday."""
    return replace(calendar, kind=np.where(closed, SUNDAY, calendar.kind))


# Whose public holidays a clock may follow, by its zone or else by its offset in hours; what fits the meters is chosen.
COUNTRIES_BY_ZONE = {
    "Europe/Paris": ("FR",), "Europe/Copenhagen": ("DK",), "Europe/Rome": ("IT",), "Europe/London": ("GB",),
    "Europe/Berlin": ("DE",), "Europe/Madrid": ("ES",), "Europe/Brussels": ("BE",), "Europe/Amsterdam": ("NL",),
    "Europe/Zurich": ("CH",), "Europe/Lisbon": ("PT",), "Europe/Dublin": ("IE",),
}  # fmt: skip
COUNTRIES_BY_OFFSET = {
    0: ("GB", "IE", "PT"), 1: ("FR", "IT", "DE", "ES", "DK", "BE"), 2: ("FI", "GR"),
    -5: ("US", "CA"), -6: ("US", "CA"), -7: ("US", "CA"), -8: ("US", "CA"),
}  # fmt: skip


SCHOOL_ZONE = "B"  # Aix-Marseille's
NOBODY = "none"  # the country without holidays


def countries_of(time_zone: str) -> tuple[str, ...]:
    """Countries whose holidays people may keep where the clock is `time_zone`; empty where that is not known."""
    if time_zone in COUNTRIES_BY_ZONE:
        return COUNTRIES_BY_ZONE[time_zone]
    offset = pd.Timestamp("2024-01-15", tz=time_zone).utcoffset()
    return COUNTRIES_BY_OFFSET.get(round(offset.total_seconds() / 3600), ()) if offset is not None else ()


def calendar(slots: Slots, time_zone: str, country: str | None = None) -> Calendar:
    """The calendar of `slots` with the public holidays of `country`; by default France where the clock is of Paris."""
    step = slots.minutes * 60
    starts = int(slots.start.timestamp()) + step * np.arange(slots.count, dtype=np.int64)
    wall = pd.DatetimeIndex(pd.to_datetime(starts, unit="s", utc=True)).tz_convert(time_zone).tz_localize(None)
    local = np.asarray(wall.as_unit("s").asi8, dtype=np.int64) // step
    day = local // (86400 // step)
    weekday = (day + 3) % 7 + 1  # 1970-01-01 was a Thursday
    kind = np.where(weekday == 6, SATURDAY, np.where(weekday == 7, SUNDAY, WORKDAY))
    country = country_of(time_zone) if country is None else country
    if country is not None and country != NOBODY:
        kind = np.where(np.isin(day, holiday_days(country, int(wall[0].year), int(wall[-1].year))), SUNDAY, kind)
    hour = (local % (86400 // step) + 0.5) * step / 3600
    school = None
    if time_zone == PARIS:
        school = np.isin(day, school_holiday_days(int(wall[0].year), int(wall[-1].year)))
    return Calendar(slots, local, kind, weekday, hour, wall.month.to_numpy(), wall.day_of_year.to_numpy(), school)


@lru_cache(maxsize=64)
def holiday_days(country: str, first_year: int, last_year: int) -> Ints:
    """Days since 1970 that are public holidays in a country (all of it)."""
    days = public_holidays(country, first_year, last_year)
    return np.array(sorted((pd.Timestamp(d) - pd.Timestamp(0)).days for d in days), dtype=np.int64)


@lru_cache(maxsize=64)
def school_holiday_days(first_year: int, last_year: int) -> Ints:
    """Days since 1970 without school in zone B, weekends among them.

    After the last day that the table knows, and before the first, those of the nearest whole year at the same
    weekdays: the dates move by some days from year to year, so that is an assumption, and better than a summer full of
    school.
    """
    table = SchoolHolidayDates()

    def known(year: int) -> list[int]:
        return [(pd.Timestamp(d) - pd.Timestamp(0)).days for d in table.holidays_for_year_and_zone(year, SCHOOL_ZONE)]

    last_known = max(known(table.max_year))
    days: set[int] = set()
    for year in range(first_year, last_year + 1):
        whole = min(max(year, table.min_year), table.max_year - 1)
        moved = 7 * round((year - whole) * 365.2425 / 7)
        if year == table.max_year:
            days.update(known(year))
        days.update(d + moved for d in known(whole) if year < table.max_year or d + moved > last_known)
    return np.array(sorted(days), dtype=np.int64)
