"""The month of a building: energy, peaks, comfort and the hot water's log, to read, to print, and as a table.

Of homes only sums over all of a building's, and only where they are ten or more.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import xlsxwriter
from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import Asset, Battery, BikeRoom, Dwelling, Photovoltaic, Plant, Substation, Supply, Zone
from ems.district import Building
from ems.points import unit_label
from ems.store import StoreError
from ems.web.access import Permission
from ems.web.consumption import today
from ems.web.figures import Figure, amounts, days_axis
from ems.web.live import FEWEST_HOMES, KINDS
from ems.web.pages import Pages, Visit
from ems.web.past import Amounts, Past, month_before, month_of, summed
from ems.web.peaks import Peak, peak
from ems.web.sanitary import SanitaryDay, log, tanks_of
from ems.web.words import Words

MONTHS = 13  # back from this one
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_EARLIEST = date(2000, 1, 1)

# What counts up on each kind of asset, and what a power makes.
_COUNTERS: dict[type[Asset], tuple[tuple[str, str], ...]] = {
    Supply: (("energy_kwh", "bought"), ("export_energy_kwh", "sold")),
    Photovoltaic: (("energy_kwh", "made"),),
    Battery: (("charged_energy_kwh", "charged"), ("discharged_energy_kwh", "discharged")),
    BikeRoom: (("energy_kwh", "taken"),),
    Plant: (("energy_kwh", "taken"),),
}
_POWERS: dict[type[Asset], tuple[tuple[str, str], ...]] = {
    Plant: (
        ("heating_power_kw", "heating made"),
        ("hot_water_power_kw", "hot water made"),
        ("cold_power_kw", "cold made"),
        ("recovered_power_kw", "recovered"),
    ),
    Substation: (("heat_power_kw", "heat"), ("cold_power_kw", "cold")),
}
_HOMES = (
    ("energy_kwh", "electricity"),
    ("heat_energy_kwh", "heat"),
    ("hot_water_m3", "hot water"),
    ("cold_water_m3", "cold water"),
)
WAYS = tuple(dict.fromkeys(w for table in (_COUNTERS, _POWERS) for rows in table.values() for _, w in rows)) + tuple(
    w for _, w in _HOMES
)


@dataclass(frozen=True)
class Line:
    """Amounts by day: of which asset (empty: all homes), their way, their unit."""

    asset: str
    kind: str
    way: str
    unit: str
    amounts: Amounts

    @property
    def total(self) -> float | None:
        return self.amounts.total


@dataclass(frozen=True)
class Warmth:
    """Of one kind of rooms: how many are read; of homes, on how many of their days a quarter-hour was below the floor.

    Other rooms may be colder while nobody is in them: of these the lowest and the highest.
    """

    kind: str
    rooms: int
    floor_c: float
    cold_days: int | None
    days: int
    gaps: int  # of these days: a part was not measured
    lowest_c: float | None
    highest_c: float | None


@dataclass(frozen=True)
class Report:
    """One month of one building; the last day may not be over."""

    building: Building
    dates: tuple[date, ...]
    lines: tuple[Line, ...]
    peaks: tuple[tuple[Supply, Peak | None], ...]
    warmth: tuple[Warmth, ...]
    hygiene: tuple[tuple[str, list[SanitaryDay]], ...]

    @property
    def empty(self) -> bool:
        return all(line.total is None for line in self.lines)


class Reports:
    """Adds the pages of reports."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        pages.route("/manager/reports", Permission.REPORTS, self.index, keep=True)
        pages.route("/manager/reports/{building}/{month}", Permission.REPORTS, self.show, keep=True)
        pages.route("/manager/reports/{building}/{month}/table.csv", Permission.REPORTS, self.table)
        pages.route("/manager/reports/{building}/{month}/book.xlsx", Permission.REPORTS, self.book)

    def index(self, visit: Visit) -> Response:
        this = today(self.pages.now(), self.pages.zone).replace(day=1)
        asked = visit.request.query_params.get("month")
        first = this if asked is None else self._first(asked)
        months = [this]
        while len(months) < MONTHS:
            months.append(month_before(months[-1]))
        return self.pages.page(
            visit, "manager_reports.html", buildings=list(self.pages.district.buildings.values()), first=first,
            months=[(f"{m:%Y-%m}", visit.words.month(m)) for m in months],
        )  # fmt: skip

    def show(self, visit: Visit, building: str, month: str) -> Response:
        found = self._report(building, month)
        first = found.dates[0]
        onward = month_of(first)[1] + timedelta(days=1)
        return self.pages.page(
            visit,
            "manager_report.html",
            report=found,
            month=month,
            first=first,
            before=month_before(first),
            onward=onward if onward <= today(self.pages.now(), self.pages.zone) else None,
            figure=_figure(found, visit.words),
            least=FEWEST_HOMES,
        )

    def table(self, visit: Visit, building: str, month: str) -> Response:
        found = self._report(building, month)
        buffer = io.StringIO()
        for i, (_, rows) in enumerate(sheets(found, visit.words, self.pages)):
            if i:
                buffer.write("\r\n")
            csv.writer(buffer).writerows(["" if cell is None else cell for cell in row] for row in rows)
        return _file(buffer.getvalue().encode("utf-8-sig"), "text/csv; charset=utf-8", f"{building}-{month}.csv")

    def book(self, visit: Visit, building: str, month: str) -> Response:
        found = self._report(building, month)
        buffer = io.BytesIO()
        with xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False}) as book:
            bold = book.add_format({"bold": True})
            for title, rows in sheets(found, visit.words, self.pages):
                sheet = book.add_worksheet(title[:31])
                for i, row in enumerate(rows):
                    for j, cell in enumerate(row):
                        if cell is not None:
                            sheet.write(i, j, cell, bold if i == 0 else None)
                sheet.freeze_panes(1, 1)
                sheet.autofit()
        return _file(buffer.getvalue(), _XLSX, f"{building}-{month}.xlsx")

    def _first(self, month: str) -> date:
        first = first_of(month)
        if first is None or first > today(self.pages.now(), self.pages.zone):
            raise HTTPException(404)
        return first

    def _report(self, building: str, month: str) -> Report:
        if building not in self.pages.district.buildings:
            raise HTTPException(404)
        try:
            return report(self.pages, building, self._first(month))
        except StoreError as error:
            raise HTTPException(503) from error


def first_of(month: str) -> date | None:
    """The first day of a month given as 2026-10; None for what is none, or lies before everything."""
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        return None
    return first if first >= _EARLIEST else None


def report(pages: Pages, name: str, first: date) -> Report:
    """The month that begins with `first`, until today. Raises StoreError."""
    this_day = today(pages.now(), pages.zone)
    last = min(month_of(first)[1], this_day)
    past, district = Past(pages.store, first, last, this_day), pages.district
    assets = [a for a in district.assets.values() if a.building == name]
    lines = []
    for asset in assets:
        for table, read in ((_COUNTERS, past.counted), (_POWERS, past.energy)):
            for quantity, way in table.get(type(asset), ()):
                point = asset.point(quantity)
                if point in district.wires:
                    unit = unit_label("energy_kwh")
                    lines.append(Line(asset.name, KINDS[type(asset)], way, unit, read(point)))
    homes = [a for a in assets if isinstance(a, Dwelling)]
    if len(homes) >= FEWEST_HOMES:
        for quantity, way in _HOMES:
            rows = [past.counted(h.point(quantity)) for h in homes if h.point(quantity) in district.wires]
            rows = [row for row in rows if row.total is not None]
            if len(rows) >= FEWEST_HOMES:
                lines.append(Line("", "dwellings together", way, unit_label(quantity), summed(rows)))
    peaks = tuple((a, peak(past, a.point("power_kw"))) for a in assets if isinstance(a, Supply))
    hygiene = tuple((tank, log(pages, tank, first, last)) for tank in tanks_of(pages, name))
    return Report(
        district.buildings[name], past.dates, tuple(lines), peaks, tuple(_warmth(pages, past, assets)), hygiene
    )


def _warmth(pages: Pages, past: Past, assets: Sequence[Asset]) -> list[Warmth]:
    """Rooms against the floor of their comfort; of homes nothing but counts, and none below ten."""
    found = []
    for kind in (Dwelling, Zone):
        rooms = [a for a in assets if isinstance(a, kind) and a.point("temperature_c") in pages.district.wires]
        if not rooms or (kind is Dwelling and len(rooms) < FEWEST_HOMES):
            continue
        floor_c = min(pages.district.comfort[room.use].floor_c for room in rooms)
        days = [d for room in rooms for d in past.days(room.point("temperature_c")) if d is not None]
        one_by_one = kind is Zone
        found.append(
            Warmth(
                kind="dwellings" if kind is Dwelling else "rooms",
                rooms=len(rooms),
                floor_c=floor_c,
                cold_days=None if one_by_one else sum(1 for d in days if d.lowest < floor_c),
                days=len(days),
                gaps=sum(d.partly for d in days),
                lowest_c=min((d.lowest for d in days), default=None) if one_by_one else None,
                highest_c=max((d.highest for d in days), default=None) if one_by_one else None,
            )
        )
    return found


def _figure(found: Report, words: Words) -> Figure | None:
    """What the building bought, day by day."""
    rows = [line.amounts for line in found.lines if line.way == "bought"]
    if not rows or all(row.total is None for row in rows):
        return None
    bought = summed(rows)
    return amounts(
        bought.days,
        bought.partly,
        lambda i: words.long_day(found.dates[i]),
        days_axis(found.dates, words),
        words,
        title=words.text("Electricity bought for common parts, tenants and plants, kWh a day"),
        label=words.text("bought"),
        tell=lambda kwh: words.fine("energy_kwh", kwh),
        ink="grid",
        doubt=words.text("estimated or with gaps"),
    )


Cell = str | float | None


def sheets(found: Report, words: Words, pages: Pages) -> list[tuple[str, list[list[Cell]]]]:
    """The report as tables with a line of heads each; the same in both files. Numbers stay numbers."""
    text = words.text
    energy: list[list[Cell]] = [
        [
            text("Of what"),
            text("What"),
            text("Unit"),
            text("Total"),
            text("Days with gaps"),
            *(d.isoformat() for d in found.dates),
        ]
    ]
    for line in found.lines:
        who = text(line.kind) if not line.asset else pages.asset_name(line.asset, words)
        energy.append([who, text(line.way), line.unit, line.total, line.amounts.gaps, *line.amounts.days])
    peaks: list[list[Cell]] = [
        [text("Supply point"), "PRM", text("Highest, kW"), text("Day"), text("Subscribed, kW"), text("Days with gaps")]
    ]
    for supply, most in found.peaks:
        kw, day, gaps = (None, None, None) if most is None else (most.kw, most.day.isoformat(), most.gaps)
        peaks.append([pages.asset_name(supply.name, words), supply.prm, kw, day, supply.subscribed_kw, gaps])
    warmth: list[list[Cell]] = [
        [
            text("Rooms"),
            text("Count"),
            text("Floor, °C"),
            text("Room-days below it"),
            text("Room-days measured"),
            text("Days with gaps"),
        ]
    ]
    warmth += [[text(w.kind), w.rooms, w.floor_c, w.cold_days, w.days, w.gaps] for w in found.warmth]
    hygiene: list[list[Cell]] = [
        [
            text("Tank"), text("Day"), text("Outlet, lowest, °C"), text("Return, lowest, °C"),
            text("Mixed, highest, °C"), text("Minutes beyond a limit"), text("Pasteurised, minutes"),
        ]
    ]  # fmt: skip
    for tank, days in found.hygiene:
        for d in days:
            beyond = sum(length.total_seconds() for length in d.beyond.values()) / 60
            hygiene.append(
                [pages.asset_name(tank, words), d.date.isoformat(), d.outlet_c, d.return_c, d.mixed_c,
                 beyond if d.known else None, d.pasteurised.total_seconds() / 60 if d.known else None]
            )  # fmt: skip
    named = [(text("Energy"), energy), (text("Peaks"), peaks), (text("Comfort"), warmth), (text("Hot water"), hygiene)]
    return [(title, rows) for title, rows in named if len(rows) > 1]


def _file(content: bytes, kind: str, name: str) -> Response:
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
