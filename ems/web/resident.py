"""The resident's pages: a day, a month, a year of their own home. No address names a home; the session does."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import Photovoltaic
from ems.slots import SLOT, Slots
from ems.store import People, StoreError
from ems.web import consumption, normal
from ems.web.access import Permission
from ems.web.chart import Line
from ems.web.consumption import ELECTRICITY, HEAT, HOT_WATER, LITRES_PER_M3, Day, Days, Use
from ems.web.figures import Figure, amounts, marks, quarter_name, temperatures
from ems.web.money import Regulated
from ems.web.pages import Pages, Visit
from ems.web.words import Words

_EARLIEST_YEAR = 2000
_USUAL_DAYS = 7  # what a day is compared with
_FEWEST_DAYS = 4


@dataclass(frozen=True)
class Step:
    """A link to the period before or after, or to a part of this one."""

    path: str
    text: str


@dataclass(frozen=True)
class Line3:
    """One row of figures: what was used when."""

    step: Step
    electricity: str
    heat: str
    hot_water: str
    temperature: str
    note: str = ""


class Resident:
    """Adds the resident's pages."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        self.store = pages.store
        self.price = Regulated(pages.district)
        self.neighbours = normal.Neighbours(pages.store, people, pages.district)
        pages.route("/my-home", Permission.HOME, self.today, keep=True)
        pages.route("/my-home/day/{day}", Permission.HOME, self.day, keep=True)
        pages.route("/my-home/month", Permission.HOME, self.this_month, keep=True)
        pages.route("/my-home/month/{month}", Permission.HOME, self.month, keep=True)
        pages.route("/my-home/year", Permission.HOME, self.this_year, keep=True)
        pages.route("/my-home/year/{year}", Permission.HOME, self.year, keep=True)

    def today(self, visit: Visit) -> Response:
        return self._day(visit, self._today())

    def day(self, visit: Visit, day: str) -> Response:
        return self._day(visit, parsed(day, "%Y-%m-%d"))

    def this_month(self, visit: Visit) -> Response:
        return self._month(visit, self._today().replace(day=1))

    def month(self, visit: Visit, month: str) -> Response:
        return self._month(visit, parsed(month, "%Y-%m"))

    def this_year(self, visit: Visit) -> Response:
        return self._year(visit, self._today().year)

    def year(self, visit: Visit, year: str) -> Response:
        return self._year(visit, parsed(year, "%Y").year)

    # A day

    def _day(self, visit: Visit, which: date) -> Response:
        today = self._today()
        if which > today:
            raise HTTPException(404)
        words, now, zone = visit.words, self.pages.now(), self.pages.zone
        daily, curve = self._agreed(visit.home)
        judged, similar, group = [], "", None
        try:
            shown = consumption.day(self.store, visit.home, which, now, zone)
            before, usual = None, None
            if daily and shown.over:
                usual = self._usual(visit.home, which)
            elif daily:
                before = consumption.electricity(self.store, visit.home, which - timedelta(days=1), zone)
            sun = self._sun(visit.home, which - timedelta(days=1) if which == today else which, words)
            if which == today:
                judged = normal.week(self.store, self.pages.district, visit.home, today, now, zone, words, daily)
                month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
                similar = self.neighbours.sentence(visit.home, month, today, words)
                group = self.neighbours.group(visit.home)
        except StoreError:
            return self._away(visit)
        if not daily:
            shown = shown.without_electricity()
        return self.pages.page(
            visit,
            "home_day.html",
            day=shown,
            daily=daily,
            curve=curve,
            total=words.fine("energy_kwh", shown.use[ELECTRICITY].total),
            lead=_lead(shown, which == today, daily, words),
            compared=_compared(shown, before, usual, words),
            euros=self._euros(shown.slots, shown.use[ELECTRICITY].amounts, words) if curve else "",
            electricity=_electricity(shown, words) if curve else None,
            indoors=_indoors(shown, words),
            warmth=_warmth(shown, which == today, words),
            heat=normal.amount_of(HEAT, shown.use[HEAT].total, words),
            hot_water=normal.amount_of(HOT_WATER, shown.use[HOT_WATER].total, words),
            judged=judged,
            similar=similar,
            month=words.month(today.replace(day=1) - timedelta(days=1)),
            group="" if group is None else normal.described(group, self.pages.asset_name(group.building, words), words),
            sun=sun,
            quarters=_quarters(shown if curve else shown.without_electricity(), words),
            is_today=which == today,
            back=Step(f"/my-home/day/{which - timedelta(days=1)}", words.near_day(which - timedelta(days=1))),
            onward=None
            if which == today
            else Step(f"/my-home/day/{which + timedelta(days=1)}", words.near_day(which + timedelta(days=1))),
        )

    def _agreed(self, home: str) -> tuple[bool, bool]:
        """Whether days of electricity may be shown, and whether quarter-hours: the second includes the first."""
        agreed = self.people.asked.agreed(home)
        return "daily" in agreed, "load curve" in agreed

    def _euros(self, slots: Slots, amounts: Sequence[float | None], words: Words) -> str:
        """At the regulated price; empty where no contract of homes holds, or nothing was measured."""
        euro = self.price.euros(slots, amounts)
        return "" if euro is None else words.euro(euro)

    def _sun(self, home: str, which: date, words: Words) -> str:
        """What the roofs gave on a day that is over; empty where it was not measured."""
        arrays = self.pages.district.of(Photovoltaic)
        days = [consumption.number(d) for d in (which, which + timedelta(days=1))]
        read = self.store.registers([f"{name}/energy_kwh" for name in arrays], days)
        gave = {
            name: last - first
            for name in arrays
            for first, last in [read[f"{name}/energy_kwh"]]
            if first is not None and last is not None and last >= first
        }
        if len(gave) < len(arrays) or not arrays:
            return ""
        building = home.partition("/")[0]
        mine = sum(kwh for name, kwh in gave.items() if name.startswith(f"{building}/"))
        return words.text(
            "On {day} the sun on the district's roofs gave {all}, {mine} of it on your building.",
            day=words.long_day(which), all=words.fine("energy_kwh", sum(gave.values())),
            mine=words.fine("energy_kwh", mine),
        )  # fmt: skip

    def _usual(self, home: str, which: date) -> float | None:
        """Electricity of a day, mean of the week before; None when too little of it is known."""
        first, last = which - timedelta(days=_USUAL_DAYS), which - timedelta(days=1)
        use, gaps = consumption.daily(self.store, home, ELECTRICITY, first, last)
        known = [a for i, a in enumerate(use.amounts) if a is not None and first + timedelta(days=i) not in gaps]
        return sum(known) / len(known) if len(known) >= _FEWEST_DAYS else None

    # A month, a year

    def _month(self, visit: Visit, first: date) -> Response:
        words, today = visit.words, self._today()
        if first > today:
            raise HTTPException(404)
        last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        until, daily = min(last, today), self._agreed(visit.home)[0]
        meter = ELECTRICITY if daily else HEAT
        before = first - timedelta(days=1)
        try:
            found = self._days(visit.home, first, last)
            euros = self._month_euros(visit.home, first, until, words)
            compared = [
                self._earlier(
                    visit.home,
                    meter,
                    (other, _upto(other, until, last < today)),
                    words.month(other),
                    last < today,
                    words,
                )
                for other in (before.replace(day=1), first.replace(year=first.year - 1))
            ]
        except StoreError:
            return self._away(visit)
        axis = [(str(d), min(7, last.day + 1 - d), False) for d in range(1, last.day + 1, 7)]
        names = [words.text("on {day}", day=words.long_day(d)) for d in found.dates]
        lines = [
            Line3(
                Step(f"/my-home/day/{d}", words.short_day(d)),
                *_figures({m: found.use[m].amounts[i] for m in consumption.METERS}, found.temperature[i], words),
                note=words.text("with gaps") if d in found.partly or found.use[ELECTRICITY].estimated[i] else "",
            )
            for i, d in enumerate(found.dates)
            if d <= today
        ]
        after = last + timedelta(days=1)
        return self._period(
            visit,
            found,
            title=words.month(first),
            lead=_used_in(words.month(first), last < today, daily, words),
            meter=meter,
            euros=euros,
            compared=[told for told in compared if told],
            statement=_statement(first if last < today else before.replace(day=1), words),
            figures=[
                amounts(
                    found.use[meter].amounts, found.use[meter].estimated, names.__getitem__, axis, words,
                    title=words.text(title), label=words.text(label), tell=_telling(meter, words), ink=ink,
                )
                for meter, title, label, ink in _MONTHLY
                if found.use[meter].total is not None
            ],
            lines=lines,
            wider=Step(f"/my-home/year/{first.year}", str(first.year)),
            back=Step(f"/my-home/month/{before:%Y-%m}", words.month(before)),
            onward=None if after > today else Step(f"/my-home/month/{after:%Y-%m}", words.month(after)),
        )  # fmt: skip

    def _year(self, visit: Visit, year: int) -> Response:
        words, today = visit.words, self._today()
        if year > today.year:
            raise HTTPException(404)
        first, until = date(year, 1, 1), min(date(year, 12, 31), today)
        daily = self._agreed(visit.home)[0]
        meter = ELECTRICITY if daily else HEAT
        try:
            found = self._days(visit.home, first, date(year, 12, 31))
            days = date(year - 1, 1, 1), _upto(date(year - 1, until.month, 1), until, year < today.year)
            compared = self._earlier(visit.home, meter, days, str(year - 1), year < today.year, words)
        except StoreError:
            return self._away(visit)
        months = consumption.months(found)
        name = [words.text("in {month}", month=words.month(first)) for first, _, _ in months].__getitem__
        figures = []
        for drawn, title, label, ink in _YEARLY:
            values = [of[drawn] for _, of, _ in months]
            if any(v is not None for v in values):
                figures.append(
                    amounts(
                        values, [False] * 12, name, [(words.month_letter(m), 1, False) for m, _, _ in months], words,
                        title=words.text(title), label=words.text(label), tell=_telling(drawn, words), ink=ink,
                    )
                )  # fmt: skip
        lines = []
        for begins, of, recorded in months:
            length = calendar.monthrange(year, begins.month)[1]
            if begins <= today:
                note = words.text("{days} of {all} days", days=recorded, all=length) if recorded < length else ""
                step = Step(f"/my-home/month/{begins:%Y-%m}", words.month_name(begins))
                lines.append(Line3(step, *_figures(of, _mean_temperature(found, begins), words), note=note))
        return self._period(
            visit,
            found,
            title=str(year),
            lead=_used_in(str(year), year < today.year, daily, words),
            meter=meter,
            compared=[compared] if compared else [],
            figures=figures,
            lines=lines,
            back=Step(f"/my-home/year/{year - 1}", str(year - 1)),
            onward=None if year == today.year else Step(f"/my-home/year/{year + 1}", str(year + 1)),
        )

    def _period(
        self,
        visit: Visit,
        found: Days,
        *,
        title: str,
        lead: str,
        meter: str,
        figures: list[Figure],
        lines: list[Line3],
        compared: list[str],
        euros: str = "",
        statement: Step | None = None,
        wider: Step | None = None,
        back: Step,
        onward: Step | None,
    ) -> Response:
        words = visit.words
        return self.pages.page(
            visit,
            "home_period.html",
            title=title,
            lead=lead,
            daily=meter == ELECTRICITY,
            total=normal.amount_of(meter, found.use[meter].total, words),
            compared=compared,
            euros=euros,
            statement=statement,
            heat=normal.amount_of(HEAT, found.use[HEAT].total, words),
            hot_water=normal.amount_of(HOT_WATER, found.use[HOT_WATER].total, words),
            partly=len(found.partly),
            figures=figures,
            lines=lines,
            wider=wider,
            back=back,
            onward=onward,
        )

    def _earlier(self, home: str, meter: str, days: tuple[date, date], name: str, whole: bool, words: Words) -> str:
        """What the days from first to last came to, in a sentence; empty unless each of them is known."""
        amounts = self._days(home, *days).use[meter].amounts
        known = [a for a in amounts if a is not None]
        if len(known) < len(amounts):
            return ""
        amount = normal.amount_of(meter, sum(known), words)
        if whole:
            return words.text("In {month}: {amount}.", month=name, amount=amount)
        return words.text("In {month} by the same day: {amount}.", month=name, amount=amount)

    def _month_euros(self, home: str, first: date, until: date, words: Words) -> str:
        """Of the quarter-hours of a month, as far as they are agreed to and the price of one contract holds."""
        if not self._agreed(home)[1]:
            return ""
        begins = consumption.local_day(first, self.pages.zone).start
        slots = Slots(begins, (consumption.local_day(until, self.pages.zone).end - begins) // SLOT)
        point = f"{home}/{ELECTRICITY}"
        row = self.store.history([point], Slots(slots.start, slots.count + 1)).values[point]
        return self._euros(slots, consumption.used(consumption.known(row)).amounts, words)

    def _days(self, home: str, first: date, last: date) -> Days:
        """The days from first to last, without electricity unless it was agreed to."""
        found = consumption.days(self.store, home, first, last, self.pages.now(), self.pages.zone)
        daily, curve = self._agreed(home)
        if not daily:
            return found.without_electricity()
        return found if curve else found.whole()

    def _away(self, visit: Visit) -> Response:
        return self.pages.page(visit, "home_away.html", status=503)

    def _today(self) -> date:
        return consumption.today(self.pages.now(), self.pages.zone)


# Meter, title of its drawing, label, ink.
_MONTHLY = (
    (ELECTRICITY, "Electricity each day, kWh", "Electricity", "grid"),
    (HEAT, "Heat each day, kWh", "Heat", "heat"),
)
_YEARLY = (
    (ELECTRICITY, "Electricity each month, kWh", "Electricity", "grid"),
    (HEAT, "Heat each month, kWh", "Heat", "heat"),
)
TITLES = {text for _, title, label, _ in (*_MONTHLY, *_YEARLY) for text in (title, label)}


def parsed(text: str, pattern: str) -> date:
    """A civil day, month or year out of an address. 404 for anything else."""
    try:
        found = datetime.strptime(text, pattern).date()  # noqa: DTZ007 -- a civil day has no zone
    except ValueError:
        raise HTTPException(404) from None
    if found.year < _EARLIEST_YEAR or found.strftime(pattern) != text:
        raise HTTPException(404)
    return found


def _statement(month: date, words: Words) -> Step:
    """The way to the statement of a month that is over."""
    title = words.text("Statement of heat and hot water, {month}", month=words.month(month))
    return Step(f"/my-home/statement/{month:%Y-%m}", title)


def _upto(month: date, until: date, whole: bool) -> date:
    """The day of an earlier month that is as far as `until` in its own; its last one where the whole is meant."""
    longest = calendar.monthrange(month.year, month.month)[1]
    return month.replace(day=longest if whole else min(until.day, longest))


def _used_in(period: str, over: bool, daily: bool, words: Words) -> str:
    if not daily:
        text = words.text("Heat used in {month}", month=period)
        return text if over else words.text("Heat used in {month} so far", month=period)
    text = words.text("Electricity used in {month}", month=period)
    return text if over else words.text("Electricity used in {month} so far", month=period)


def _lead(day: Day, is_today: bool, daily: bool, words: Words) -> str:
    if not daily:
        return words.text("Heat you used today") if is_today else words.text("Heat you used on this day")
    if day.use[ELECTRICITY].total is None:
        if is_today:
            return words.text("Nothing was measured yet today.")
        return words.text("Nothing was measured on this day.")
    if is_today:
        until = words.clock(day.slots.at(_last(day.use[ELECTRICITY].amounts) + 1))
        return words.text("Electricity you used today until {time}", time=until)
    return words.text("Electricity you used on this day")


def _compared(day: Day, before: Use | None, usual: float | None, words: Words) -> str:
    """Against the same hours of the day before, or a whole day against the week before."""
    total = day.use[ELECTRICITY].total
    if total is None:
        return ""
    if not day.over:
        count = _last(day.use[ELECTRICITY].amounts) + 1
        same = before.upto(count) if before is not None and len(before.amounts) == day.slots.count else None
        return "" if same is None else words.text(
            "Yesterday by the same time: {amount}.", amount=words.fine("energy_kwh", same)
        )  # fmt: skip
    if usual is None or day.missing:
        return ""
    return words.text("A day of the week before: {amount} on average.", amount=words.fine("energy_kwh", usual))


def _electricity(day: Day, words: Words) -> Figure:
    use = day.use[ELECTRICITY]
    return amounts(
        use.amounts,
        use.estimated,
        lambda i: quarter_name(day.slots, i, words),
        marks(day.slots, words),
        words,
        title=words.text("Electricity each quarter-hour, kWh"),
        label=words.text("Electricity"),
        tell=_telling(ELECTRICITY, words),
        ink="grid",
    )


def _indoors(day: Day, words: Words) -> Figure | None:
    if all(v is None for v in day.temperature):
        return None
    lines = [
        Line(words.text("Temperature indoors"), day.temperature, "l3"),
        Line(words.text("Your wish"), day.wish, "l2"),
    ]
    return temperatures(lines, day.slots, words, title=words.text("Temperature indoors, °C"))


def _warmth(day: Day, is_today: bool, words: Words) -> str:
    """The last temperature of today in one sentence, beside the wish; the mean of an earlier day."""
    last = _last(day.temperature)
    if last < 0:
        return ""
    if not is_today:
        known = [t for t in day.temperature if t is not None]
        mean = words.value("temperature_c", sum(known) / len(known))
        return words.text("On average it was {temperature} in your home.", temperature=mean)
    measured = words.value("temperature_c", day.temperature[last])
    when = words.clock(day.slots.at(last + 1))
    asked = day.wish[last]
    if asked is None:
        return words.text("At {time} it was {temperature} in your home.", time=when, temperature=measured)
    return words.text(
        "At {time} it was {temperature} in your home; your thermostat asks for {wish}.",
        time=when,
        temperature=measured,
        wish=words.value("temperature_c", asked),
    )


def _quarters(day: Day, words: Words) -> list[tuple[str, str, str, str, bool]]:
    """The drawings as figures, hour by hour: (from, electricity, temperature, wish, estimated)."""
    use, rows, starts = day.use[ELECTRICITY], [], day.slots.starts
    for i in range(0, day.slots.count, 4):
        part = slice(i, i + 4)
        known = [a for a in use.amounts[part] if a is not None]
        warm = [t for t in day.temperature[part] if t is not None]
        wish = [w for w in day.wish[part] if w is not None]
        if known or warm:
            rows.append(
                (
                    words.clock(starts[i]),
                    words.number(sum(known) if known else None, 2),
                    words.number(sum(warm) / len(warm) if warm else None, 1),
                    words.number(wish[-1] if wish else None, 1),
                    any(use.estimated[part]) or len(known) < 4,
                )
            )
    return rows


def _figures(of: dict[str, float | None], temperature: float | None, words: Words) -> tuple[str, str, str, str]:
    litres = of[HOT_WATER]
    return (
        words.number(of[ELECTRICITY], 1),
        words.number(of[HEAT]),
        words.number(None if litres is None else litres * LITRES_PER_M3),
        words.number(temperature, 1),
    )


def _telling(meter: str, words: Words) -> Callable[[float | None], str]:
    """How an amount of this meter is written in a sentence."""
    return partial(normal.amount_of, meter, words=words)


def _mean_temperature(found: Days, first: date) -> float | None:
    of = zip(found.dates, found.temperature, strict=True)
    known = [t for d, t in of if t is not None and d.replace(day=1) == first]
    return sum(known) / len(known) if known else None


def _last(values: tuple[float | None, ...]) -> int:
    """The index of the last known value; -1 when there is none."""
    return max((i for i, v in enumerate(values) if v is not None), default=-1)
