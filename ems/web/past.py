"""What the daily sums tell of the past: amounts counted, highest powers, means. Civil days of the site.

A day of which a part is missing keeps what is known of it, and says so.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ems.slots import SLOT_SECONDS
from ems.store import Store
from ems.web.consumption import alone, used

_HOURS = SLOT_SECONDS / 3600


def number_of(day: date) -> int:
    """A civil day as the store counts them: 20261024."""
    return day.year * 10_000 + day.month * 100 + day.day


def month_of(first: date) -> tuple[date, date]:
    """First and last day of the month of a day."""
    return first.replace(day=1), first.replace(day=monthrange(first.year, first.month)[1])


def month_before(day: date) -> date:
    """The first day of the month before."""
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


@dataclass(frozen=True)
class DayOf:
    """One day of one point: how many quarter-hours are known of how many, their sum, the lowest and the highest."""

    n: int
    of: int
    total: float
    lowest: float
    highest: float

    over: bool = True  # today is not

    @property
    def mean(self) -> float:
        return self.total / self.n

    @property
    def known(self) -> float:
        """The share of the day's quarter-hours that are known, 0-1."""
        return self.n / self.of

    @property
    def partly(self) -> bool:
        """Whether a part of it is missing; what has not come yet is not missing."""
        return self.over and self.n < self.of


@dataclass(frozen=True)
class Amounts:
    """One amount per day: None where nothing is known; `partly` where a part of the day is missing or its share of a
    longer gap was estimated."""

    days: tuple[float | None, ...]
    partly: tuple[bool, ...]

    @property
    def total(self) -> float | None:
        return total(self.days)

    @property
    def missing(self) -> int:
        """Days of which nothing is known."""
        return sum(1 for d in self.days if d is None)

    @property
    def gaps(self) -> int:
        """Days of which a part is known."""
        return sum(self.partly)


class Past:
    """The days from `first` to `last`, both included; None where nothing is known. `today` is not over."""

    def __init__(self, store: Store, first: date, last: date, today: date) -> None:
        self.store = store
        self.dates = tuple(first + timedelta(days=i) for i in range((last - first).days + 1))
        self._today = number_of(today)

    def days(self, point: str, beyond: int = 0) -> list[DayOf | None]:
        """One per date, and `beyond` days more."""
        dates = [*self.dates, *(self.dates[-1] + timedelta(days=i + 1) for i in range(beyond))]
        rows = {}
        for day, n, of, total, lowest, highest in self.store.daily(point, number_of(dates[0]), number_of(dates[-1])):
            if n and total is not None and lowest is not None and highest is not None:
                rows[day] = DayOf(n, of, total, lowest, highest, over=day < self._today)
        return [rows.get(number_of(d)) for d in dates]

    def known(self, point: str) -> list[float]:
        """The share of each day that is known, 0-1."""
        return [0.0 if d is None else d.known for d in self.days(point)]

    def counted(self, point: str) -> Amounts:
        """Of a counter, the amount of each day: what it stood at when the next day began, less what it began with.

        A gap is shared out evenly over its days. Of a day with nothing after it, what the day itself shows.
        """
        days = self.days(point, beyond=1)
        spent = used([None if d is None else d.lowest for d in days])
        amounts, partly = list(spent.amounts), list(spent.estimated)
        for i, d in enumerate(days[:-1]):
            if d is not None:
                if amounts[i] is None:
                    amounts[i] = alone([None if e is None else (e.lowest, e.highest) for e in days[: i + 1]])
                    partly[i] = d.over  # its end is not known
                partly[i] = partly[i] or d.partly
        return Amounts(tuple(amounts), tuple(partly))

    def energy(self, point: str) -> Amounts:
        """Of a power in kW, the kWh of each day, as far as its quarter-hours are known."""
        days = self.days(point)
        return Amounts(
            tuple(None if d is None else d.total * _HOURS for d in days),
            tuple(d is not None and d.partly for d in days),
        )


def total(amounts: Sequence[float | None]) -> float | None:
    """What is known, summed; None when nothing is."""
    known = [a for a in amounts if a is not None]
    return sum(known) if known else None


def summed(rows: Sequence[Amounts]) -> Amounts:
    """Several rows added up, day by day; None where none of them is known, and a part where not all of them are."""
    columns = list(zip(*(row.days for row in rows), strict=True))
    days = tuple(total(column) for column in columns)
    torn = tuple(any(column) for column in zip(*(row.partly for row in rows), strict=True))
    lacking = tuple(d is not None and None in column for d, column in zip(days, columns, strict=True))
    return Amounts(days, tuple(a or b for a, b in zip(torn, lacking, strict=True)))
