"""How well the plants work: what they make of electricity, day by day, against what physics lets expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from fastapi import Response

from ems.assets import Plant
from ems.assets.heat_pump import cop_cooling, cop_heating
from ems.store import StoreError
from ems.web.access import Permission
from ems.web.chart import Line
from ems.web.consumption import today
from ems.web.figures import Figure, days_axis, lines_chart
from ems.web.live import Live, Row
from ems.web.pages import Pages, Visit
from ems.web.past import Amounts, Past, summed

DAYS = 14
LEAST_KWH = 5.0  # electricity of a day below which its quotient says nothing
MOST_SHARE = 0.95  # of a day that must be known of all it is made of: what is made and taken have gaps of their own
WORSE_SHARE = 0.8  # of what is expected: below it the plant is shown as working badly (assumption)
MADE = ("heating_power_kw", "hot_water_power_kw", "cold_power_kw")
SHOWN = (
    "power_kw", "heating_power_kw", "hot_water_power_kw", "cold_power_kw", "recovered_power_kw", "compressors_count",
    "loop_entering_c", "loop_leaving_c", "heating_leaving_c", "hot_water_leaving_c", "cold_leaving_c", "run_h",
    "starts_count", "fault_on",
)  # fmt: skip


@dataclass(frozen=True)
class PlantView:
    """One plant: what it shows now, and per day the kWh made and taken, the quotient, and the one expected."""

    name: str
    rows: tuple[Row, ...]
    dates: tuple[str, ...]
    made_kwh: Amounts
    taken_kwh: Amounts
    quotient: list[float | None]
    expected: list[float | None]
    starts: Amounts
    figure: Figure | None

    @property
    def gaps(self) -> list[bool]:
        """Of which days a part of what was made or taken is missing."""
        return [m or t for m, t in zip(self.made_kwh.partly, self.taken_kwh.partly, strict=True)]

    @property
    def yesterday(self) -> tuple[float | None, float | None]:
        """Of the last day that is over: the quotient, and the one expected."""
        return (self.quotient[-1], self.expected[-1]) if self.quotient else (None, None)

    @property
    def worse(self) -> bool:
        """Whether it made much less than expected on the last day."""
        found, expected = self.yesterday
        return found is not None and expected is not None and found < WORSE_SHARE * expected


class Plants:
    """Adds the page of the plants."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        pages.route("/manager/plants", Permission.MANAGER, self.show, keep=True)

    def show(self, visit: Visit) -> Response:
        try:
            found = plants(self.pages, visit)
        except StoreError:
            found = []
        return self.pages.page(visit, "manager_plants.html", plants=found, days=DAYS)


def plants(pages: Pages, visit: Visit) -> list[PlantView]:
    """All plants over the last days that are over."""
    words, district = visit.words, pages.district
    last = today(pages.now(), pages.zone) - timedelta(days=1)
    past = Past(pages.store, last - timedelta(days=DAYS - 1), last, last + timedelta(days=1))
    live = Live(district, pages.samples(), pages.now())
    found = []
    for name, plant in district.of(Plant).items():
        kwh = {quantity: past.energy(f"{name}/{quantity}") for quantity in (*MADE, "power_kw")}
        loop = past.days(f"{name}/loop_entering_c")
        expected: list[float | None] = []
        for i in range(len(past.dates)):
            source = loop[i]
            expected.append(
                None if source is None else expected_quotient(plant, {q: kwh[q].days[i] for q in MADE}, source.mean)
            )
        measured = [q for q in MADE if kwh[q].total is not None] or [MADE[0]]
        made, taken = summed([kwh[q] for q in measured]), kwh["power_kw"]
        shares = [past.known(f"{name}/{q}") for q in (*measured, "power_kw")]
        quotients = [
            quotient(m, t) if min(of) >= MOST_SHARE else None
            for m, t, *of in zip(made.days, taken.days, *shares, strict=True)
        ]
        found.append(
            PlantView(
                name=name,
                rows=tuple(live.row(f"{name}/{q}") for q in SHOWN if f"{name}/{q}" in district.wires),
                dates=tuple(words.near_day(d) for d in past.dates),
                made_kwh=made,
                taken_kwh=taken,
                quotient=quotients,
                expected=expected,
                starts=past.counted(f"{name}/starts_count"),
                figure=_figure(quotients, expected, past, visit),
            )
        )
    return sorted(found, key=lambda p: not p.worse)


def quotient(made_kwh: float | None, taken_kwh: float | None) -> float | None:
    """Heat and cold made per electricity taken; None where too little ran to tell."""
    if made_kwh is None or taken_kwh is None or taken_kwh < LEAST_KWH:
        return None
    return made_kwh / taken_kwh


def expected_quotient(plant: Plant, made_kwh: dict[str, float | None], source_c: float) -> float | None:
    """What the law of the plant (`ems.assets.heat_pump`) lets expect of that mixture, pumps left out.

    At the leaving temperatures of the plant's file and the mean temperature of the loop.
    """
    cops = {
        "heating_power_kw": cop_heating(plant.heating_leaving_c, source_c, plant.carnot_share),
        "hot_water_power_kw": cop_heating(plant.hot_water_leaving_c, source_c, plant.carnot_share),
        "cold_power_kw": cop_cooling(plant.cold_leaving_c, source_c, plant.carnot_share),
    }
    known = [(kwh, float(cops[q])) for q, kwh in made_kwh.items() if kwh is not None and kwh > 0]
    taken = sum(kwh / cop for kwh, cop in known)
    return sum(kwh for kwh, _ in known) / taken if taken > 0 else None


def _figure(found: Sequence[float | None], expected: Sequence[float | None], past: Past, visit: Visit) -> Figure | None:
    words = visit.words
    if all(v is None for v in found):
        return None
    lines = [
        Line(words.text("Heat and cold per electricity"), found, "l1"),
        Line(words.text("as expected"), expected, "l2"),
    ]
    return lines_chart(
        lines,
        days_axis(past.dates, words),
        words,
        title=words.text("Heat and cold made per kWh of electricity, day by day"),
        name=lambda i: words.near_day(past.dates[i]),
        digits=1,
    )
