"""Values over slots: a measured or known series, and a forecast that knows when it was issued."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from ems.slots import Slots

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One value per slot, in the unit of the quantity; NaN is missing."""

    slots: Slots
    values: Floats

    def __post_init__(self) -> None:
        if self.values.shape != (self.slots.count,):
            raise ValueError(f"{self.values.shape[0]} values for {self.slots.count} slots")


@dataclass(frozen=True)
class Forecast:
    """What is expected of one point (or of one asset's need), as three quantiles over slots.

    `low`, `median` and `high` are the 10, 50 and 90 % quantiles, in the unit of the quantity, low <= median <= high.
    `model` names what won; `fallback` says in words what was missing when it is not the first choice, else "".
    `issued_at` is the instant after which nothing was known.
    """

    point: str
    issued_at: datetime
    slots: Slots
    low: Floats
    median: Floats
    high: Floats
    model: str
    fallback: str = ""

    def __post_init__(self) -> None:
        for label in ("low", "median", "high"):
            values = getattr(self, label)
            if values.shape != (self.slots.count,):
                raise ValueError(f"{self.point}: {label} has {values.shape[0]} values for {self.slots.count} slots")
            if not np.isfinite(values).all():
                raise ValueError(f"{self.point}: {label} has a value that is not finite")
        if (self.low > self.median + 1e-9).any() or (self.median > self.high + 1e-9).any():
            raise ValueError(f"{self.point}: quantiles are not in order; low <= median <= high in every slot")


@dataclass(frozen=True)
class History:
    """Quarter-hour means of the past for many points, on one grid.

    `values[point]` has one value per slot of `slots`; NaN is missing. Nothing in it is later than the instant it was
    asked for. `closed` are the local days, past and to come, on which people said that a room stays shut, by asset.
    """

    slots: Slots
    values: dict[str, Floats] = field(default_factory=dict)
    closed: Mapping[str, frozenset[date]] = field(default_factory=dict)


def scaled_sum(values: Floats, least_share: float) -> Floats:
    """The sum over the rows of [M, N], made up for those missing; NaN where too few of them are known."""
    count = np.isfinite(values).sum(axis=0)
    total = np.nansum(values, axis=0)
    return np.where(count >= least_share * len(values), total * len(values) / np.maximum(count, 1), np.nan)
