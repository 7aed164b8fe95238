"""What one home used: quarter-hours of a day, days of a month, months of a year.

Meters count up, and what was used is the difference of two readings. A gap between two readings is shared out evenly
and called estimated: its total is measured, only its course is not. Where no later reading came, it is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ems.series import Floats
from ems.slots import SLOT, SLOT_SECONDS, Slots
from ems.store import Store

ELECTRICITY, HEAT, HOT_WATER = "energy_kwh", "heat_energy_kwh", "hot_water_m3"
METERS = (ELECTRICITY, HEAT, HOT_WATER)
TEMPERATURE, WISH = "temperature_c", "setpoint_c"
LITRES_PER_M3 = 1000


@dataclass(frozen=True)
class Use:
    """Amounts per slot (quarter-hour, day or month); None where nothing is known."""

    amounts: tuple[float | None, ...]
    estimated: tuple[bool, ...]

    @property
    def total(self) -> float | None:
        """What is known, summed; None when nothing is."""
        known = [a for a in self.amounts if a is not None]
        return sum(known) if known else None

    def upto(self, count: int) -> float | None:
        """The total of the first `count` slots; None unless all of them are known."""
        known = [a for a in self.amounts[:count] if a is not None]
        return sum(known) if len(known) == count and count else None


@dataclass(frozen=True)
class Day:
    """One local day of a home. `due` quarter-hours of it must be known by now."""

    date: date
    slots: Slots
    due: int
    use: dict[str, Use]  # by meter
    temperature: tuple[float | None, ...]
    wish: tuple[float | None, ...]

    @property
    def estimated(self) -> int:
        return sum(self.use[ELECTRICITY].estimated)

    @property
    def missing(self) -> int:
        return sum(1 for a in self.use[ELECTRICITY].amounts[: self.due] if a is None)

    @property
    def over(self) -> bool:
        return self.due == self.slots.count

    def without_electricity(self) -> Day:
        """The same for whom it is not to be shown."""
        return replace(self, due=0, use={**self.use, ELECTRICITY: _hidden(self.use[ELECTRICITY])})


@dataclass(frozen=True)
class Days:
    """Consecutive local days of a home, from the daily roll-ups."""

    dates: tuple[date, ...]
    use: dict[str, Use]
    temperature: tuple[float | None, ...]  # means
    partly: frozenset[date]  # days whose record has gaps, or that are not over

    def without_electricity(self) -> Days:
        """The same for whom it is not to be shown."""
        return replace(self, use={**self.use, ELECTRICITY: _hidden(self.use[ELECTRICITY])}, partly=frozenset())

    def whole(self) -> Days:
        """The same where one reading a day is all there is: nothing is missing within a day."""
        return replace(self, partly=frozenset())


def _hidden(use: Use) -> Use:
    count = len(use.amounts)
    return Use((None,) * count, (False,) * count)


def local_day(day: date, zone: ZoneInfo) -> Slots:
    """The quarter-hours of a civil day: 92, 96 or 100."""
    begins, ends = (datetime.combine(d, time(), zone).astimezone(UTC) for d in (day, day + timedelta(days=1)))
    return Slots(begins, int((ends - begins).total_seconds()) // SLOT_SECONDS)


def today(now: datetime, zone: ZoneInfo) -> date:
    return now.astimezone(zone).date()


def used(register: Sequence[float | None]) -> Use:
    """N + 1 readings of a counter to N amounts. A counter that went back (exchanged) leaves its step unknown."""
    amounts: list[float | None] = [None] * (len(register) - 1)
    estimated = [False] * (len(register) - 1)
    last, before = 0, None
    for i, reading in enumerate(register):
        if reading is None:
            continue
        if before is not None and reading >= before:
            if i - last == 1:
                amounts[last] = reading - before
            else:
                for j in range(last, i):
                    amounts[j] = (reading - before) / (i - last)
                    estimated[j] = True
        last, before = i, reading
    return Use(tuple(amounts), tuple(estimated))


def day(store: Store, home: str, which: date, now: datetime, zone: ZoneInfo) -> Day:
    """One day of a home, read from the quarter-hours."""
    slots = local_day(which, zone)
    rows = _readings(store, home, (*METERS, TEMPERATURE, WISH), slots)
    # A quarter-hour is known when the one after it is over: its end is the other's first reading.
    due = min(max((now - slots.start) // SLOT - 1, 0), slots.count)
    return Day(
        date=which,
        slots=slots,
        due=due,
        use={meter: used(rows[meter]) for meter in METERS},
        temperature=rows[TEMPERATURE][:-1],
        wish=rows[WISH][:-1],
    )


def electricity(store: Store, home: str, which: date, zone: ZoneInfo) -> Use:
    """What one day of a home took, read from the quarter-hours."""
    return used(_readings(store, home, (ELECTRICITY,), local_day(which, zone))[ELECTRICITY])


def _readings(store: Store, home: str, quantities: Sequence[str], slots: Slots) -> dict[str, tuple[float | None, ...]]:
    """By quantity, over these quarter-hours and the one after them, in which a counter ends the last."""
    points = [f"{home}/{quantity}" for quantity in quantities]
    found = store.history(points, Slots(slots.start, slots.count + 1)).values
    return {quantity: known(found[point]) for quantity, point in zip(quantities, points, strict=True)}


def days(store: Store, home: str, first: date, last: date, now: datetime, zone: ZoneInfo) -> Days:
    """The days from `first` to `last`, both included."""
    dates = tuple(first + timedelta(days=i) for i in range((last - first).days + 1))
    counted = {meter: daily(store, home, meter, first, last) for meter in METERS}
    warm = {d: (total, n) for d, n, _, total, *_ in store.daily(f"{home}/{TEMPERATURE}", number(first), number(last))}
    means = []
    for d in dates:
        total, n = warm.get(number(d), (None, 0))
        means.append(None if total is None or not n else total / n)
    gaps = counted[ELECTRICITY][1]
    return Days(dates, {meter: use for meter, (use, _) in counted.items()}, tuple(means), gaps - {today(now, zone)})


def daily(store: Store, home: str, meter: str, first: date, last: date) -> tuple[Use, frozenset[date]]:
    """What one meter counted on the days from `first` to `last`, and those of them whose record has gaps."""
    dates = [first + timedelta(days=i) for i in range((last - first).days + 2)]  # a day ends where the next begins
    found = {row[0]: row[1:] for row in store.daily(f"{home}/{meter}", number(first), number(dates[-1]))}
    rows = [found.get(number(d)) for d in dates]
    spent = used([None if row is None else row[3] for row in rows])
    amounts, gaps = list(spent.amounts), set()
    for i, (d, row) in enumerate(zip(dates[:-1], rows, strict=False)):
        if row is None:
            continue
        if amounts[i] is None:
            amounts[i] = alone([None if r is None else (r[3], r[4]) for r in rows[: i + 1]])  # nothing after it yet
        if row[0] < row[1]:
            gaps.add(d)
    return Use(tuple(amounts), spent.estimated), frozenset(gaps)


def alone(days: Sequence[tuple[float | None, float | None] | None]) -> float | None:
    """What the last of these days itself shows of a counter, each as its lowest and highest reading.

    None on the day on which the counter went back: lowest and highest are then of two meters.
    """
    *before, last = days
    lowest, highest = (None, None) if last is None else last
    stood = next((day[0] for day in reversed(before) if day is not None and day[0] is not None), None)
    if lowest is None or highest is None or (stood is not None and lowest < stood):
        return None
    return highest - lowest


def months(found: Days) -> list[tuple[date, dict[str, float | None], int]]:
    """(first day, amount by meter, days with a record) of each month in `found`."""
    firsts = sorted({d.replace(day=1) for d in found.dates})
    summed = []
    for first in firsts:
        of = [i for i, d in enumerate(found.dates) if d.replace(day=1) == first]
        amounts: dict[str, float | None] = {}
        for meter, use in found.use.items():
            known = [a for i in of if (a := use.amounts[i]) is not None]
            amounts[meter] = sum(known) if known else None
        recorded = sum(1 for i in of if any(use.amounts[i] is not None for use in found.use.values()))
        summed.append((first, amounts, recorded))
    return summed


def number(day: date) -> int:
    """A civil day as the store's daily sums name it: 20260329."""
    return day.year * 10_000 + day.month * 100 + day.day


def known(row: Floats) -> tuple[float | None, ...]:
    """A series as the pages hold it: None where nothing is known."""
    return tuple([None if value != value else value for value in row.tolist()])
