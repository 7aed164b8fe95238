"""What the daily sums tell of the past: amounts counted, highest powers, means. Civil days of the site."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ems.slots import SLOT_SECONDS
from ems.store import Store
from ems.web.consumption import used

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

    @property
    def mean(self) -> float:
        return self.total / self.n


class Past:
    """The days from `first` to `last`, both included; None where nothing is known."""

    def __init__(self, store: Store, first: date, last: date) -> None:
        self.store = store
        self.dates = tuple(first + timedelta(days=i) for i in range((last - first).days + 1))

    def days(self, point: str, beyond: int = 0) -> list[DayOf | None]:
        """One per date, and `beyond` days more."""
        dates = [*self.dates, *(self.dates[-1] + timedelta(days=i + 1) for i in range(beyond))]
        rows = {}
        for day, n, of, total, lowest, highest in self.store.daily(point, number_of(dates[0]), number_of(dates[-1])):
            if n and total is not None and lowest is not None and highest is not None:
                rows[day] = DayOf(n, of, total, lowest, highest)
        return [rows.get(number_of(d)) for d in dates]

    def counted(self, point: str) -> list[float | None]:
        """Of a counter, the amount of each day: what it stood at when the next day began, less what it began with.

        A gap is shared out evenly over its days. Of a day with nothing after it, what the day itself shows.
        """
        days = self.days(point, beyond=1)
        amounts = list(used([None if d is None else d.lowest for d in days]).amounts)
        for i, d in enumerate(days[:-1]):
            if amounts[i] is None and d is not None:
                amounts[i] = d.highest - d.lowest
        return amounts

    def energy(self, point: str) -> list[float | None]:
        """Of a power in kW, the kWh of each day, as far as its quarter-hours are known."""
        return [None if d is None else d.total * _HOURS for d in self.days(point)]


def total(amounts: Sequence[float | None]) -> float | None:
    """What is known, summed; None when nothing is."""
    known = [a for a in amounts if a is not None]
    return sum(known) if known else None


def summed(rows: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Several rows added up, day by day; None where none of them is known."""
    return [total(column) for column in zip(*rows, strict=True)] if rows else []
