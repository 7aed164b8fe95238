"""The drawings and tables of a plan, with the words that describe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ems.slots import Slots
from ems.web.chart import Area, Chart, Line, draw
from ems.web.record import GROUPS, Record
from ems.web.words import Words

_ROOM = 12  # quarter-hours that a label needs on a phone
_MARK_HOURS = 6  # a mark on the time axis at 0, 6, 12 and 18 o'clock local time

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
}


@dataclass(frozen=True)
class Figure:
    """A chart with its axes as words, and its legend as (ink, label)."""

    chart: Chart
    ticks: list[str]
    marks: list[tuple[str, int, bool]]  # label, quarter-hours until the next one, whether a phone leaves it out
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


def balance(record: Record, words: Words) -> Figure | None:
    """Where electricity comes from and goes to over the horizon; None without a plan."""
    slots = record.slots
    if slots is None:
        return None
    shown = [g for g in GROUPS if any(abs(v) > 0.05 for v in record.flows[g])]
    areas = [Area(words.text(LABELS[g]), record.flows[g], g) for g in shown]
    title = words.text("Power balance, next {hours} hours, kW", hours=round(slots.count * slots.hours))
    description = " ".join(_told(record, slots, words))
    chart = draw(areas, [Line(words.text("Grid"), list(record.grid), "grid")], title=title, description=description)
    legend = [("grid", words.text("Grid"))] + [(a.ink, a.label) for a in areas]
    return Figure(chart, [words.number(t) for t in chart.ticks], _marks(slots, words), legend, title, description)


def price_chart(record: Record, words: Words) -> Figure | None:
    """What a kWh costs over the horizon, by kind of contract."""
    slots = record.slots
    if slots is None or not record.prices:
        return None
    lines = [Line(words.text(LABELS[kind]), list(row), f"price-{kind}") for kind, row in record.prices.items()]
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
    ticks = [words.number(t, 2) for t in chart.ticks]
    return Figure(chart, ticks, _marks(slots, words), [(x.ink, x.label) for x in lines], title, description)


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


def _marks(slots: Slots, words: Words) -> list[tuple[str, int, bool]]:
    """Labels of the time axis with the quarter-hours each spans; a day of 23 or 25 hours keeps its place."""
    starts: list[tuple[int, str, bool]] = [(0, "", False)]
    for i in slots.flows:
        local = slots.at(i).astimezone(words.zone)
        if local.minute == 0 and local.hour % _MARK_HOURS == 0:
            label = words.day(slots.at(i)).split(" ")[0].rstrip(".,") if local.hour == 0 else words.clock(slots.at(i))
            mark = (i, label, local.hour % (2 * _MARK_HOURS) != 0)
            starts = [*starts, mark] if i else [mark]
    ends = [i for i, _, _ in starts[1:]] + [slots.count]
    per = slots.minutes / 15
    marks = []
    for (begin, label, minor), end in zip(starts, ends, strict=True):
        span = round((end - begin) * per)
        marks.append((label, span, minor or span < _ROOM))
    return marks


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
