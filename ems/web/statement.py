"""The monthly statement of heat and hot water, which every home has without being asked: a sheet to read or to print.

Since 1 January 2022 whoever lives where meters are read from afar is told each month what they used (décret 2020-886).
It needs no consent: it is written from the meters by which heat and hot water are shared out. It is no bill.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from fastapi import Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from ems.store import People, StoreError
from ems.web import consumption, normal
from ems.web.access import Permission
from ems.web.consumption import HEAT, HOT_WATER, number
from ems.web.pages import Pages, Visit
from ems.web.paper import can_print
from ems.web.resident import Step, parsed
from ems.web.usual import degree_day
from ems.web.words import Words


@dataclass(frozen=True)
class Meter:
    """One meter over a month: its readings, what it counted, and what it counted in months before."""

    title: str
    first: str
    last: str
    used: str
    each_m2: str
    month_before: str
    year_before: str


class Statement:
    """Adds the statement of a month that is over."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.neighbours = normal.Neighbours(pages.store, people, pages.district)
        pages.route("/my-home/statement", Permission.HOME, self.latest)
        pages.route("/my-home/statement/{month}.pdf", Permission.HOME, self.paper)
        pages.route("/my-home/statement/{month}", Permission.HOME, self.show, keep=True)

    def latest(self, visit: Visit) -> Response:
        """The last month that is over."""
        return visit.to(f"/my-home/statement/{_before(self._today().replace(day=1)):%Y-%m}")

    def paper(self, visit: Visit, month: str) -> Response:
        """The same as PDF."""
        page = self.show(visit, month)
        return page if page.status_code != 200 else self.pages.printed(visit, page, f"statement-{month}")

    def show(self, visit: Visit, month: str) -> HTMLResponse:
        first, words, home = parsed(month, "%Y-%m"), visit.words, visit.home
        following = _after(first)
        if following > self._today():
            raise HTTPException(404)
        dwelling = self.pages.district.dwellings[home]
        others = (first, _before(first), first.replace(year=first.year - 1))
        try:
            meters = [
                self._meter(home, meter, title, others, dwelling.surface_m2, words)
                for meter, title in ((HEAT, words.text("Heat, kWh")), (HOT_WATER, words.text("Hot water, m³")))
            ]
            degrees = [self._degrees(other) for other in others]
            similar = self.neighbours.sentence(home, first, self._today(), words)
        except StoreError:
            return self.pages.page(visit, "home_away.html", status=503)
        group = self.neighbours.group(home)
        onward = _after(following) <= self._today()
        return self.pages.page(
            visit,
            "home_statement.html",
            title=words.text("Statement of heat and hot water, {month}", month=words.month(first)),
            meters=meters,
            names=[words.month(other) for other in others],
            degrees=[words.number(d) for d in degrees],
            complete=all(meter.used != "–" for meter in meters),
            similar=similar,
            group="" if group is None else normal.described(group, self.pages.asset_name(group.building, words), words),
            surface=words.number(dwelling.surface_m2, 1),
            pdf=f"/my-home/statement/{month}.pdf" if can_print() else "",
            back=Step(f"/my-home/statement/{_before(first):%Y-%m}", words.month(_before(first))),
            onward=Step(f"/my-home/statement/{following:%Y-%m}", words.month(following)) if onward else None,
        )

    def _meter(
        self, home: str, meter: str, title: str, months: tuple[date, date, date], surface_m2: float, words: Words
    ) -> Meter:
        digits = 0 if meter == HEAT else 2
        readings = [self._readings(home, meter, month) for month in months]
        # A meter that went back was exchanged: what it counted is not known.
        used = [
            None if first is None or last is None or last < first else last - first for first, last in readings
        ]  # fmt: skip
        mine = used[0]
        return Meter(
            title,
            first=words.number(readings[0][0], digits),
            last=words.number(readings[0][1], digits),
            used=words.number(mine, digits),
            each_m2=words.number(None if mine is None else mine / surface_m2, 2),
            month_before=words.number(used[1], digits),
            year_before=words.number(used[2], digits),
        )

    def _readings(self, home: str, meter: str, month: date) -> tuple[float | None, float | None]:
        """What the meter showed when the month began, and when the next one did."""
        point = f"{home}/{meter}"
        first, last = self.pages.store.registers([point], [number(month), number(_after(month))])[point]
        return first, last

    def _degrees(self, month: date) -> float | None:
        """Degree days of a month; None unless each of its days was measured outdoors."""
        last = _after(month) - timedelta(days=1)
        known = normal.outdoor(self.pages.store, self.pages.district, month, last)
        return sum(degree_day(c) for c in known.values()) if len(known) == last.day else None

    def _today(self) -> date:
        return consumption.today(self.pages.now(), self.pages.zone)


def _before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def _after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)
