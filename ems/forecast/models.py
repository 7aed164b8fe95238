"""The models of the race: each says what it expects of every meter at some slots, knowing only what lies before.

A model is a name and one call. Persistence (`same time last week`, `yesterday`) is a model like any other, and so is
climatology, which needs no history. A model that cannot say leaves NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ems.forecast.calendar import Calendar, Ints
from ems.series import Floats

LONGEST_DAYS = 35  # how far back a model looks
LIKE_DAYS = 8  # how many days of the same kind a mean takes


@dataclass(frozen=True)
class Past:
    """What was measured of M meters on one grid: `values` [M, T], NaN is missing.

    `calendar`, `typical` [M, L] and each of `weather` [M or 1, L] reach beyond the past over the slots to be forecast:
    L >= T. Weather is measured over the past and expected beyond it.
    """

    values: Floats
    calendar: Calendar
    typical: Floats
    weather: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return int(self.values.shape[1])

    def only(self, meters: Sequence[int]) -> Past:
        """The same of some meters."""
        rows = np.asarray(meters, dtype=np.int64)
        weather = {n: v if len(v) == 1 else v[rows] for n, v in self.weather.items()}
        return Past(self.values[rows], self.calendar, self.typical[rows], weather)


@dataclass(frozen=True)
class Model:
    """`expects(past, known, targets)` gives [M, len(targets)]; it may use values before slot `known` only."""

    name: str
    expects: Callable[[Past, int, Ints], Floats]


def days_before(past: Past, targets: Ints, days: Ints) -> Ints:
    """The slot that lies `days` local days before each target, at the same time on the wall clock."""
    local, per_day = past.calendar.local, past.calendar.per_day
    guess = targets - days * per_day
    at = np.clip(guess, 0, len(local) - 1)
    found = guess + (local[targets] - days * per_day - local[at])  # differs where clocks changed in between
    return np.where(guess < 0, -1, found)


def taken(past: Past, known: int, at: Ints) -> Floats:
    """Values at slots `at`, NaN where that is before the past or not yet known."""
    end = min(known, past.length)
    if end <= 0:
        return np.full((past.values.shape[0], len(at)), np.nan)
    inside = (at >= 0) & (at < end)
    return np.where(inside, past.values[:, np.where(inside, at, 0)], np.nan)


def _nearest(past: Past, known: int, targets: Ints, period_days: int) -> Ints:
    """The most recent known slot that lies whole periods before each target."""
    days = np.full(len(targets), period_days, dtype=np.int64)
    for _ in range(LONGEST_DAYS // period_days):
        late = days_before(past, targets, days) >= known
        if not late.any():
            break
        days = np.where(late, days + period_days, days)
    return days_before(past, targets, days)


def _last_week(past: Past, known: int, targets: Ints) -> Floats:
    return taken(past, known, _nearest(past, known, targets, 7))


def _yesterday(past: Past, known: int, targets: Ints) -> Floats:
    return taken(past, known, _nearest(past, known, targets, 1))


def _mean(past: Past, known: int, targets: Ints, days: range, most: int) -> Floats:
    """Mean at the same time over the last `most` days of the target's kind among `days`; NaN where none is known."""
    kind = past.calendar.kind
    total = np.zeros((past.values.shape[0], len(targets)))
    count = np.zeros_like(total)
    for day in days:
        at = days_before(past, targets, np.full(len(targets), day))
        alike = (at >= 0) & (kind[np.clip(at, 0, None)] == kind[targets])
        values = np.where(alike, taken(past, known, at), np.nan)
        use = np.isfinite(values) & (count < most)
        total += np.where(use, values, 0.0)
        count += use
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _mean_of_weeks(past: Past, known: int, targets: Ints) -> Floats:
    return _mean(past, known, targets, range(7, LONGEST_DAYS + 1, 7), 4)


def _mean_of_like_days(past: Past, known: int, targets: Ints) -> Floats:
    return _mean(past, known, targets, range(1, LONGEST_DAYS + 1), LIKE_DAYS)


def like_days(past: Past, known: int, targets: Ints) -> Floats:
    """The mean of the last days of the target's kind; climatology where none of them is known."""
    found = _mean_of_like_days(past, known, targets)
    return np.where(np.isfinite(found), found, past.typical[:, targets])


def _climatology(past: Past, known: int, targets: Ints) -> Floats:
    return past.typical[:, targets]


CLIMATOLOGY = Model("climatology", _climatology)

# A new model: its call, and a line here. Where two score alike, the earlier one wins.
MODELS: tuple[Model, ...] = (
    Model("mean of like days", _mean_of_like_days),
    Model("mean of four weeks", _mean_of_weeks),
    Model("same time last week", _last_week),
    Model("yesterday", _yesterday),
    CLIMATOLOGY,
)
