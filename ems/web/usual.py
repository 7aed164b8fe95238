"""Is it normal? A home's last days against its own past in the same weather. Pure arithmetic, and simple on purpose.

Heat of a day = so much each day + so much for each degree below 18 degC outdoors: the straight line closest to the days
before (least squares; degree days to 18 degC as French weather services publish them). What heats nothing, electricity
and hot water here, is compared with its own mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

HEATING_BELOW_C = 18.0
WEEK = 7  # days that are judged
PAST = 42  # days before them
FEWEST = 14  # of the past that must be known
USUAL_SHARE = 0.15  # what differs by less is about the same (assumption)
SURE = 2.0  # standard errors of a week within which it is about the same


class Verdict(Enum):
    """What a week was, against what was to be expected."""

    LESS = "less than usual"
    SAME = "about the same"
    MORE = "more than usual"


@dataclass(frozen=True)
class Habit:
    """What a home uses in a day, and for each degree day; `spread` is by how much single days differ from that."""

    each_day: float
    each_degree: float
    spread: float

    def expected(self, degrees: Sequence[float]) -> float:
        """Over days of these degree days."""
        return self.each_day * len(degrees) + self.each_degree * sum(degrees)

    def usual(self, degrees: Sequence[float]) -> tuple[float, float]:
        """From how much to how much counts as usual over days of these degree days."""
        wanted = self.expected(degrees)
        allowed = max(USUAL_SHARE * wanted, SURE * self.spread * math.sqrt(len(degrees)))
        return max(wanted - allowed, 0.0), wanted + allowed

    def verdict(self, used: float, degrees: Sequence[float]) -> Verdict:
        low, high = self.usual(degrees)
        return Verdict.LESS if used < low else Verdict.MORE if used > high else Verdict.SAME


def degree_day(outdoor_c: float) -> float:
    """By how much a day's mean lies below 18 degC, K."""
    return max(HEATING_BELOW_C - outdoor_c, 0.0)


def habit(days: Sequence[tuple[float, float]]) -> Habit | None:
    """From days of (used, degree day); None when they are too few. A home does not use less because it is colder."""
    count = len(days)
    if count < FEWEST:
        return None
    mean_used, mean_degree = (sum(column) / count for column in zip(*days, strict=True))
    width = sum((degree - mean_degree) ** 2 for _, degree in days)
    both = sum((used - mean_used) * (degree - mean_degree) for used, degree in days)
    slope = max(both / width, 0.0) if width > 1e-9 else 0.0
    foot = mean_used - slope * mean_degree
    if foot < 0:  # a home that uses nothing on warm days: the line through nothing at 18 degC
        squares = sum(degree**2 for _, degree in days)
        foot, slope = 0.0, sum(used * degree for used, degree in days) / squares if squares > 1e-9 else 0.0
    spread = math.sqrt(sum((used - foot - slope * degree) ** 2 for used, degree in days) / (count - 2))
    return Habit(foot, slope, spread)
