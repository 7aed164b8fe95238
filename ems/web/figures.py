"""Drawings with their axes, and the words that describe them; the drawings and tables of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from ems.slots import SLOT, Slots
from ems.web.actual import Actual
from ems.web.chart import Area, Band, Bars, Chart, Limit, Line, draw
from ems.web.record import GROUPS, Record
from ems.web.words import Words

_ROOM = 12  # quarter-hours that a label needs on a phone
_SLOTS_SHORT = 60  # a drawing of a day has room for every mark
_LAST_SHARE = 0.16  # of the drawing's width, for the words of the last mark
_NARROW = 3  # a mark shorter than this has no room for words anywhere
_WEEK = 7
_MARK_HOURS = 6  # a mark on the time axis at 0, 6, 12 and 18 o'clock local time

LINES = ("l1", "l2", "l3", "l4", "l5")  # inks of lines that are told apart by colour and by stroke

# Groups and kinds of contract as people call them, translated when a page is made.
LABELS = {
    "homes": "Homes (forecast)",
    "buildings": "Buildings",
    "heat": "Heat pumps and sea loop",
    "cars": "Cars and bicycles",
    "battery": "Batteries",
    "sun": "Sun",
    "grid": "Grid",
    "landlord": "Common supply",
    "tertiary": "Offices and shops",
    "home": "Homes",
}

# The planner's cost terms as people call them; a term that is not here is shown by its own name.
COSTS = {
    "energy": "energy bought",
    "network": "network tariff",
    "carbon": "carbon",
    "exceedance": "above the subscribed power",
    "peak": "peak power",
    "wear": "battery wear",
    "stores": "left in the stores",
    "charging": "charging missed",
    "loop": "heat from the loop",
    "unserved": "not served",
    "curtailment": "sun not used",
    "part_load": "heat pumps at part load",
    "hot_water": "hot water missed",
    "comfort": "comfort missed",
    "leaving_plan": "leaving the last plan",
    "held": "what people hold",
    "quiet": "starts in quiet hours",
    "margins": "near the subscribed power",
    "ramping": "steps of power",
    "deferred": "appliances put off",
}


@dataclass(frozen=True)
class Figure:
    """A chart with its axes as words, and its legend as (ink, label)."""

    chart: Chart
    ticks: list[str]
    marks: Sequence[tuple[str, int, bool]]  # label, quarter-hours until the next one, whether a phone leaves it out
    legend: list[tuple[str, str]]
    title: str
    description: str


@dataclass(frozen=True)
class HourLine:
    """One hour of the table behind the chart: means in kW, price in euro per kWh."""

    at: str
    grid: float
    flows: dict[str, float]
    price: float | None


def balance(record: Record, words: Words, actual: Actual | None = None) -> Figure | None:
    """Where electricity comes from and goes to over the horizon; None without a plan.

    With `actual`, what was measured before stands to the left of now, and over it what had been planned then.
    """
    slots = record.slots
    if slots is None:
        return None
    past = [] if actual is None else list(actual.slots.flows)
    before: Mapping[str, Sequence[float | None]] = {} if actual is None else actual.flows
    rows = {g: [*before.get(g, ()), *record.flows[g]] for g in GROUPS}
    shown = [g for g in GROUPS if any(v is not None and abs(v) > 0.05 for v in rows[g])]
    areas = [Area(words.text(LABELS[g]), rows[g], g) for g in shown]
    grid: list[float | None] = [*([] if actual is None else actual.grid), *record.grid]
    lines = [Line(words.text("Grid"), grid, "l1")]
    if actual is not None and actual.planned is not None:
        lines.append(
            Line(words.text("Grid, as planned {hours} h ago", hours=_hours(actual.slots)), actual.planned, "l5")
        )
    doubt = record.grid_doubt
    band = None
    if doubt is not None:
        nothing: list[float | None] = [None] * len(past)
        band = Band(
            words.text("eight in ten"),
            [*nothing, *(low for low, _ in doubt)],
            [*nothing, *(top for _, top in doubt)],
            "l1",
        )
    title = words.text("Power balance, next {hours} hours, kW", hours=_hours(slots))
    told = _told(record, slots, words)
    if actual is not None:
        title = words.text(
            "Power balance, {past} h measured and {hours} h planned, kW", past=_hours(actual.slots), hours=_hours(slots)
        )
    description = " ".join(told)
    chart = draw(areas, lines, title=title, description=description, band=band, now=len(past) or None)
    legend = [(line.ink, line.label) for line in lines] + [(a.ink, a.label) for a in areas]
    legend += [("doubt", words.text("Grid, in eight cases of ten"))] if band is not None else []
    legend += [("now", words.text("Now"))] if past else []
    drawn = Slots(slots.at(-len(past)), slots.count + len(past), slots.minutes)
    return Figure(chart, [words.number(t) for t in chart.ticks], marks(drawn, words), legend, title, description)


def price_chart(record: Record, words: Words) -> Figure | None:
    """What a kWh costs over the horizon, by kind of contract."""
    slots = record.slots
    if slots is None or not record.prices:
        return None
    lines = [
        Line(words.text(LABELS[kind]), list(row), ink)
        for (kind, row), ink in zip(record.prices.items(), LINES, strict=False)
    ]
    title = words.text("Price of electricity, €/kWh")
    told = []
    for line in lines:
        known = [v for v in line.values if v is not None]
        cheapest = known.index(min(known))
        told.append(
            words.text(
                "{who}: from {low} to {high}, cheapest at {when}.",
                who=line.label,
                low=words.number(min(known), 3),
                high=words.number(max(known), 3),
                when=words.day(slots.at(cheapest)),
            )
        )
    description = " ".join(told)
    chart = draw([], lines, title=title, description=description)
    return Figure(
        chart, ticks(chart, words), marks(slots, words), [(x.ink, x.label) for x in lines], title, description
    )


def figures(record: Record, words: Words) -> list[HourLine]:
    """The same as numbers, hour by hour."""
    slots = record.slots
    if slots is None:
        return []
    price = next(iter(record.prices.values()), None)
    per_hour = round(1 / slots.hours)
    lines = []
    for i in range(0, slots.count - per_hour + 1, per_hour):
        part = slice(i, i + per_hour)
        lines.append(
            HourLine(
                at=words.day(slots.at(i)),
                grid=_mean(record.grid[part]),
                flows={g: _mean(record.flows[g][part]) for g in GROUPS},
                price=None if price is None else _mean(price[part]),
            )
        )
    return lines


def _told(record: Record, slots: Slots, words: Words) -> list[str]:
    """What the chart says, from the numbers themselves."""
    highest = max(slots.flows, key=lambda t: record.grid[t])
    told = [
        words.text(
            "The grid gives at most {power}, on {when}.",
            power=words.power(record.grid[highest]),
            when=words.day(slots.at(highest)),
        )
    ]
    sunniest = min(slots.flows, key=lambda t: record.flows["sun"][t])
    if record.flows["sun"][sunniest] < -0.05:
        told.append(
            words.text(
                "The sun gives at most {power}, on {when}.",
                power=words.power(-record.flows["sun"][sunniest]),
                when=words.day(slots.at(sunniest)),
            )
        )
    return told


@lru_cache(maxsize=100)
def marks(slots: Slots, words: Words) -> Sequence[tuple[str, int, bool]]:
    """Labels of the time axis with the quarter-hours each spans; a day of 23 or 25 hours keeps its place."""
    starts: list[tuple[int, str, bool]] = [(0, "", False)]
    for i, at in enumerate(slots):
        local = at.astimezone(words.zone)
        if local.minute == 0 and local.hour % _MARK_HOURS == 0:
            label = words.day(at).split(" ")[0].rstrip(".,") if local.hour == 0 else words.clock(at)
            minor = slots.count > 2 * _SLOTS_SHORT and local.hour % (2 * _MARK_HOURS) != 0
            mark = (i, label, minor)
            starts = [*starts, mark] if i else [mark]
    ends = [i for i, _, _ in starts[1:]] + [slots.count]
    per = slots.minutes / 15
    found = []
    for (begin, label, minor), end in zip(starts, ends, strict=True):
        span = round((end - begin) * per)
        room = (
            _ROOM if end < slots.count else max(_ROOM, _LAST_SHARE * slots.count)
        )  # nothing to its right to lean over
        found.append((label if span > _NARROW else "", span, minor or span < room))
    return tuple(found)


def amounts(
    values: Sequence[float | None],
    estimated: Sequence[bool],
    name: Callable[[int], str],
    axis: Sequence[tuple[str, int, bool]],
    words: Words,
    *,
    title: str,
    label: str,
    tell: Callable[[float | None], str],
    ink: str,
    doubt: str = "",
) -> Figure:
    """Bars of an amount; `name` is what one is called in the sentence below, `tell` writes an amount there.

    `doubt` is what those of `estimated` are called where they are more than that.
    """
    known = [(round(v, 6), i) for i, v in enumerate(values) if v is not None]  # of equals the first
    if known and max(known)[0] > 0:
        most, where = max(known, key=lambda pair: pair[0])
        description = words.text("The most: {amount}, {when}.", amount=tell(most), when=name(where))
    else:
        description = words.text("Nothing was measured.") if not known else words.text("Nothing was used.")
    bars = Bars(label, values, estimated, ink)
    chart = draw(bars=bars, title=title, description=description)
    legend = [(ink, label)]
    if any(e and v is not None for v, e in zip(values, estimated, strict=True)):
        legend.append((f"{ink} guess", doubt or words.text("estimated")))
    return Figure(chart, ticks(chart, words), axis, legend, title, description)


def temperatures(
    lines: Sequence[Line], slots: Slots, words: Words, *, title: str, limits: Sequence[Limit] = ()
) -> Figure:
    """Lines of degC, and levels to be kept. The sentence tells the lowest and the highest of the first line."""
    known = [(v, i) for i, v in enumerate(lines[0].values) if v is not None]
    if known:
        (low, first), (high, last) = min(known), max(known)
        lowest, highest = words.value("temperature_c", low), words.value("temperature_c", high)
        told = (
            words.text("{what}: {value} all the time.", what=lines[0].label, value=lowest)
            if lowest == highest
            else words.text(
                "{what}: lowest {low} ({then}), highest {high} ({when}).",
                what=lines[0].label,
                low=lowest,
                then=words.clock(slots.at(first)),
                high=highest,
                when=words.clock(slots.at(last)),
            )
        )
    else:
        told = words.text("Nothing was measured.")
    chart = draw(lines=lines, limits=limits, title=title, description=told, from_zero=False)
    legend = [(x.ink, x.label) for x in lines] + [(x.ink, x.label) for x in limits]
    return Figure(chart, ticks(chart, words), marks(slots, words), legend, title, told)


def lines_chart(
    lines: Sequence[Line],
    axis: list[tuple[str, int, bool]],
    words: Words,
    *,
    title: str,
    name: Callable[[int], str],
    digits: int,
    limits: Sequence[Limit] = (),
) -> Figure:
    """Lines over days or other steps; `name` is what one is called. The sentence tells the ends of the first line."""
    known = [(v, i) for i, v in enumerate(lines[0].values) if v is not None]
    told = words.text("Nothing was measured.")
    if known:
        (low, first), (high, last) = min(known), max(known)
        told = words.text(
            "{what}: lowest {low} ({then}), highest {high} ({when}).",
            what=lines[0].label,
            low=words.number(low, digits),
            then=name(first),
            high=words.number(high, digits),
            when=name(last),
        )
    chart = draw(lines=lines, limits=limits, title=title, description=told)
    legend = [(x.ink, x.label) for x in lines] + [(x.ink, x.label) for x in limits]
    return Figure(chart, ticks(chart, words), axis, legend, title, told)


def days_axis(dates: Sequence[date], words: Words) -> list[tuple[str, int, bool]]:
    """A mark for each week of consecutive days."""
    count = len(dates)
    few = count <= 2 * _WEEK  # a phone has room for two
    return [
        (words.near_day(dates[i]), min(_WEEK, count - i), count - i < 3 or not (few or i % (2 * _WEEK) == 0))
        for i in range(0, count, _WEEK)
    ]


def ticks(chart: Chart, words: Words) -> list[str]:
    """The axis with as many decimals as its step needs."""
    digits = next((d for d in range(4) if abs(chart.step * 10**d - round(chart.step * 10**d)) < 1e-6), 4)
    return [words.number(t, digits) for t in chart.ticks]


def quarter_name(start_slots: Slots, index: int, words: Words) -> str:
    """A quarter-hour in a sentence: `from 19:30 to 19:45`."""
    start = start_slots.at(index)
    return words.text("from {start} to {end}", start=words.clock(start), end=words.clock(start + SLOT))


def _hours(slots: Slots) -> int:
    return round(slots.count * slots.hours)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
