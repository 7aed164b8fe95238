"""Local days over the UTC grid: people live by the wall clock, so "the same time last week" is a local time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import holidays
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ems.slots import Slots

Ints = NDArray[np.int64]

WORKDAY, SATURDAY, SUNDAY = 0, 1, 2  # kinds of day; a public holiday is lived like a Sunday


@dataclass(frozen=True)
class Calendar:
    """What each slot of a stretch is on the wall clock. Slots are numbered from 0, the first one.

    `local` counts slots of the wall clock (it jumps when the clocks change), `kind` is workday, Saturday or Sunday,
    `weekday` is ISO (1 is Monday), `hour` is the local hour of the middle of the slot.
    """

    slots: Slots
    local: Ints
    kind: Ints
    weekday: Ints
    hour: NDArray[np.float64]
    month: Ints
    year_day: Ints

    @property
    def per_day(self) -> int:
        return 1440 // self.slots.minutes

    @property
    def seconds(self) -> Ints:
        """UTC epoch seconds of the middle of each slot."""
        step = self.slots.minutes * 60
        return np.asarray(int(self.slots.start.timestamp()) + step // 2 + step * np.arange(self.slots.count))


def calendar(slots: Slots, time_zone: str) -> Calendar:
    """The calendar of `slots`. French public holidays where the clock is that of Paris, else none."""
    step = slots.minutes * 60
    starts = int(slots.start.timestamp()) + step * np.arange(slots.count, dtype=np.int64)
    wall = pd.DatetimeIndex(pd.to_datetime(starts, unit="s", utc=True)).tz_convert(time_zone).tz_localize(None)
    local = np.asarray(wall.as_unit("s").asi8, dtype=np.int64) // step
    day = local // (86400 // step)
    weekday = (day + 3) % 7 + 1  # 1970-01-01 was a Thursday
    kind = np.where(weekday == 6, SATURDAY, np.where(weekday == 7, SUNDAY, WORKDAY))
    if time_zone == "Europe/Paris":
        free = _holidays_of_france(int(wall[0].year), int(wall[-1].year))
        kind = np.where(np.isin(day, free), SUNDAY, kind)
    hour = (local % (86400 // step) + 0.5) * step / 3600
    return Calendar(slots, local, kind, weekday, hour, wall.month.to_numpy(), wall.day_of_year.to_numpy())


@lru_cache(maxsize=32)
def _holidays_of_france(first_year: int, last_year: int) -> Ints:
    """Days since 1970 that are public holidays in (mainland) France."""
    days = holidays.country_holidays("FR", years=range(first_year, last_year + 1))
    return np.array([(pd.Timestamp(d) - pd.Timestamp(0)).days for d in days], dtype=np.int64)
