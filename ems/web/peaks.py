"""The highest power at each supply point, this month and last, against what is subscribed there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from fastapi import Response

from ems.assets import Supply
from ems.slots import SLOT
from ems.store import StoreError
from ems.web.access import Permission
from ems.web.consumption import today
from ems.web.live import Live, Row
from ems.web.pages import Pages, Visit
from ems.web.past import Past, month_before, month_of

FAR = 0.7  # below it a supply point gets one line
NEAR = 0.9  # of the subscribed power: from here a supply point is shown as near it


@dataclass(frozen=True)
class Peak:
    """A quarter-hour's mean power, kW, and when."""

    kw: float
    day: date
    gaps: int = 0  # days on which a part was not measured: it may have been more


@dataclass(frozen=True)
class SupplyView:
    """One supply point: now, its peaks, and the highest that is planned with the quarter-hour it is planned for."""

    supply: Supply
    now: Row
    this_month: Peak | None
    last_month: Peak | None
    planned_kw: float | None
    planned_at: str

    def share(self, peak: Peak | None) -> float | None:
        return None if peak is None else peak.kw / self.supply.subscribed_kw

    @property
    def highest(self) -> float:
        """Of what is subscribed, the highest share reached this month or planned; 0 where nothing is known."""
        planned = 0.0 if self.planned_kw is None else self.planned_kw / self.supply.subscribed_kw
        reached = self.share(self.this_month)
        return max(planned, 0.0 if reached is None else reached)


class Peaks:
    """Adds the page of peaks."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        pages.route("/manager/peaks", Permission.MANAGER, self.show, keep=True)

    def show(self, visit: Visit) -> Response:
        try:
            found = supplies(self.pages, visit)
        except StoreError:
            found = []
        first = today(self.pages.now(), self.pages.zone)
        return self.pages.page(
            visit, "manager_peaks.html", supplies=found, near=NEAR, far=FAR, first=first, before=month_before(first)
        )


def supplies(pages: Pages, visit: Visit) -> list[SupplyView]:
    """All supply points, those nearest to their subscribed power first."""
    day = today(pages.now(), pages.zone)
    this = Past(pages.store, month_of(day)[0], day, day)
    last = Past(pages.store, month_before(day), month_of(day)[0] - timedelta(days=1), day)
    live = Live(pages.district, pages.samples(), pages.now())
    record = pages.record(visit.words.language)
    found = []
    for name, supply in pages.district.of(Supply).items():
        planned_kw, planned_at = None, ""
        row = record.flow(f"{name}/power_kw")
        if record.slots is not None and row:
            planned_kw = max(row)
            planned_at = visit.words.day(record.slots.start + row.index(planned_kw) * SLOT)
        point = f"{name}/power_kw"
        found.append(SupplyView(supply, live.row(point), peak(this, point), peak(last, point), planned_kw, planned_at))
    return sorted(found, key=lambda s: -s.highest)


def peak(past: Past, point: str) -> Peak | None:
    """The highest quarter-hour of some days; None when nothing was measured."""
    days = [(d, day) for d, day in zip(past.days(point), past.dates, strict=True) if d is not None]
    kw, day = max(((d.highest, day) for d, day in days), default=(0.0, past.dates[0]))
    return Peak(kw, day, sum(d.partly for d, _ in days)) if days else None
