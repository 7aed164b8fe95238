"""The days ahead that are not like the others: holidays, clock changes, tariff seasons, and days a room stays shut.

A manager adds and removes closing days; the loop takes them up with its next plan, and the forecasts with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
from fastapi import Response
from starlette.exceptions import HTTPException
from vacances_scolaires_france import SchoolHolidayDates

from ems.assets import Zone
from ems.market import Contract
from ems.market.contract import period_at
from ems.public_holidays import country_of
from ems.store import Closing, People
from ems.web.access import Permission
from ems.web.consumption import today
from ems.web.figures import LABELS
from ems.web.live import Live, Row
from ems.web.pages import Pages, Visit
from ems.web.words import Words

AHEAD = 180  # days
LONGEST, FURTHEST = timedelta(days=100), timedelta(days=550)  # of closing days: a summer, and the year after this one
ZONE = "B"  # of Aix-Marseille's schools
KINDS = ("public holiday", "school holidays", "clocks change", "tariff season", "contract ends")


@dataclass(frozen=True)
class Entry:
    """Something that holds on a day, or from a day to another, both included."""

    first: date
    last: date
    kind: str
    name: str

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


class Calendars:
    """Adds the page of calendars."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        self.rooms = [name for name in pages.district.of(Zone) if f"{name}/occupancy_mode" in pages.district.wires]
        pages.route("/manager/calendar", Permission.MANAGER, self.show, keep=True)
        pages.route("/manager/calendar", Permission.MANAGER, self.ask, "POST")

    def show(self, visit: Visit) -> Response:
        return self._show(visit)

    def ask(self, visit: Visit) -> Response:
        """Add closing days, or take some back."""
        now = self.pages.now()
        match visit.given("do", 12):
            case "close":
                wanted = self._wanted(visit)
                if wanted is None:
                    trouble = visit.words.text("Give a last day that is neither past nor before the first.")
                    return self._show(visit, trouble, 422)
                if not self.people.asked.close_room(wanted, visit.by, now):
                    raise HTTPException(422)
            case "open":
                key = visit.given("key", 12)
                if not key.isascii() or not key.isdigit():
                    raise HTTPException(404)
                if not self.people.asked.open_room(int(key), visit.by, now):
                    raise HTTPException(404)
            case _:
                raise HTTPException(422)
        return visit.to("/manager/calendar")

    def _wanted(self, visit: Visit) -> Closing | None:
        """What the form asks for; None for days that cannot be."""
        asset, reason = visit.given("room", 80), visit.given("reason", 80)
        if asset not in self.rooms:
            raise HTTPException(422)
        try:
            first, last = (date.fromisoformat(visit.given(name, 10)) for name in ("first", "last"))
        except ValueError:
            return None
        day = today(self.pages.now(), self.pages.zone)
        if not (first <= last >= day and last - first < LONGEST and first - day < FURTHEST):
            return None
        return Closing(0, asset, first, last, reason, visit.who.name)

    def _show(self, visit: Visit, trouble: str = "", status: int = 200) -> Response:
        day = today(self.pages.now(), self.pages.zone)
        found = entries(self.pages, day, day + timedelta(days=AHEAD), visit.words)
        contracts = [(c, stretches(c, day)) for c in self.pages.district.contracts.values()]
        return self.pages.page(
            visit,
            "manager_calendar.html",
            status=status,
            trouble=trouble,
            closings=[c for c in self.people.asked.closings() if c.last >= day],
            choices=self.rooms,
            chosen={name: visit.form.get(name, "") for name in ("room", "first", "last", "reason")},
            entries=found,
            today=day,
            contracts=contracts,
            rooms=self._rooms(),
            resting=self._resting(visit),
            known_until=school_known_until(),
            labels=LABELS,
        )

    def _resting(self, visit: Visit) -> list[str]:
        """Rooms to which nobody comes on a public holiday, as people name them; none where it is not known whose."""
        if country_of(self.pages.district.place.time_zone) is None:
            return []
        zones = self.pages.district.of(Zone)
        return [self.pages.asset_name(n, visit.words) for n in self.rooms if zones[n].closed_on_holidays]

    def _rooms(self) -> list[tuple[str, Row, Row]]:
        """Rooms that are used by the hour: their mode now, and their temperature."""
        live = Live(self.pages.district, self.pages.samples(), self.pages.now())
        return [(name, live.row(f"{name}/occupancy_mode"), live.row(f"{name}/temperature_c")) for name in self.rooms]


def entries(pages: Pages, first: date, last: date, words: Words) -> list[Entry]:
    """Everything between two days, in the order of their beginning."""
    found = []
    turns: dict[date, list[str]] = {}
    years = range(first.year, last.year + 1)
    language = "fr" if words.language == "fr" else "en_US"
    for day, name in holidays.country_holidays("FR", years=years, language=language).items():
        found.append(Entry(day, day, "public holiday", str(name)))
    found += [Entry(a, b, "school holidays", name) for a, b, name in _school(years.start, years.stop)]
    day = first
    while day <= last:
        noon, before = (datetime.combine(d, time(12), pages.zone) for d in (day, day - timedelta(days=1)))
        change = (noon.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
        if change:
            hours = 24 - change.total_seconds() / 3600
            found.append(Entry(day, day, "clocks change", words.text("a day of {hours} hours", hours=f"{hours:g}")))
        day += timedelta(days=1)
    for contract in pages.district.contracts.values():
        called = words.text(LABELS[contract.kind])
        found.append(Entry(contract.valid_until, contract.valid_until, "contract ends", called))
        for turn in _turns(contract, first, last):
            turns.setdefault(turn, []).append(called)
    found += [Entry(day, day, "tariff season", ", ".join(dict.fromkeys(names))) for day, names in turns.items()]
    return sorted((e for e in found if e.last >= first and e.first <= last), key=lambda e: (e.first, e.kind, e.name))


@lru_cache(maxsize=1)
def _table() -> SchoolHolidayDates:
    return SchoolHolidayDates()


def school_known_until() -> int:
    """The last year of which school holidays are known."""
    return int(_table().max_year)


@lru_cache(maxsize=8)
def _school(first_year: int, stop_year: int) -> list[tuple[date, date, str]]:
    """Stretches of school holidays, as (first, last, name)."""
    days: dict[date, str] = {}
    for year in range(max(first_year, _table().min_year), min(stop_year, school_known_until() + 1)):
        days |= {d: row["nom_vacances"] for d, row in _table().holidays_for_year_and_zone(year, ZONE).items()}
    found: list[tuple[date, date, str]] = []
    for day in sorted(days):
        if found and found[-1][1] == day - timedelta(days=1) and found[-1][2] == days[day]:
            found[-1] = (found[-1][0], day, days[day])
        else:
            found.append((day, day, days[day]))
    return found


@dataclass(frozen=True)
class Stretch:
    """Hours of a day in one price period, and what a kWh costs then, energy and network together, euro."""

    begins: int
    ends: int
    period: str
    per_kwh: float


def stretches(contract: Contract, day: date) -> list[Stretch]:
    """The price periods of a day, from midnight to midnight, by whole hours of the wall clock."""
    found: list[Stretch] = []
    for hour in range(24):
        period = period_at(contract, datetime.combine(day, time(hour), ZoneInfo(contract.time_zone)))
        price = contract.periods[period].energy_per_kwh + contract.periods[period].network_per_kwh
        if found and found[-1].period == period:
            found[-1] = Stretch(found[-1].begins, hour + 1, period, price)
        else:
            found.append(Stretch(hour, hour + 1, period, price))
    return found


def _turns(contract: Contract, first: date, last: date) -> list[date]:
    """The days between two on which a contract begins to have other periods: the first of some months."""
    turns, day = [], first.replace(day=1)
    while day <= last:
        here, before = ({s.period for s in stretches(contract, d)} for d in (day, day - timedelta(days=1)))
        if day >= first and here != before:
            turns.append(day)
        day = (day + timedelta(days=32)).replace(day=1)
    return turns
