"""Cars that will come to a group of charge points and leave it, hour by hour, and what those take that come.

Days of the same kind tell: working days of working days, the others of the others. In each local hour the quantiles are
those of the days seen, placed so that another such day stays below them with their chance (rank over n + 1, after
Weibull 1939). Nothing is told before a dozen days were seen, and nothing of a group so small that it tells of persons.

An hour is one of UTC, as everywhere in France; each of its quarter-hours carries the value of the whole hour.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ems.assets import ChargePoint
from ems.district import District
from ems.estimate.habits import FAULT_FROM, PLUGGED_FROM, Group, group_of, is_working
from ems.series import Floats, Forecast, History, scaled_sum
from ems.slots import Slots

QUANTITIES = ("arrivals_count", "departures_count", "arriving_kwh")  # each of a whole hour
QUANTILES = (0.1, 0.5, 0.9)
NAME = "quantiles of like days"
LEAST_SOCKETS = 3
LEAST_DAYS = 12  # seen of every hour of the day, fewer tell nothing
LEAST_OF_KIND = 4  # days; for fewer all days stand in
ENOUGH_READ = 0.5  # of a group's sockets, that the others are counted like their mean


def traffic_points(district: District) -> dict[Group, list[str]]:
    """The points under which each group's traffic is told, those of QUANTITIES; groups of enough sockets."""
    return {
        (building, shared): [f"{building}/{'shared-cars' if shared else 'charge-points'}/{q}" for q in QUANTITIES]
        for (building, shared), sockets in _groups(district).items()
        if len(sockets) >= LEAST_SOCKETS
    }


def traffic(district: District, history: History) -> dict[str, Floats]:
    """What came, left and was taken by those that came, in the hour of each slot [T], by point; NaN is not known.

    What a car takes that is still there is not known yet, and so is that of the hour in which it came.
    """
    groups, found = _groups(district), {}
    for group, points in traffic_points(district).items():
        rows = [_of_socket(name, history) for name in groups[group]]
        came, went, taken = (np.stack([row[k] for row in rows]) for k in range(3))
        kwh = scaled_sum(taken, ENOUGH_READ)
        kwh[((came == 1) & ~np.isfinite(taken)).any(axis=0)] = np.nan
        for point, values in zip(
            points, (scaled_sum(came, ENOUGH_READ), scaled_sum(went, ENOUGH_READ), kwh), strict=True
        ):
            found[point] = _hourly(values, history.slots)
    return found


def expected_traffic(district: District, history: History, slots: Slots, issued_at: datetime) -> dict[str, Forecast]:
    """What will come, leave and be taken in the hour of each of `slots`, by point, from `history` alone."""
    if not traffic_points(district):
        return {}  # the days of five weeks take longer to tell than all else in the loop of a small district
    zone = ZoneInfo(district.place.time_zone)
    past_hour, past_works = _days(history.slots, zone)
    hour, works = _days(slots, zone)
    whole = np.array([at.minute == 0 for at in history.slots], dtype=bool)  # one slot stands for its hour
    made = {}
    for point, values in traffic(district, history).items():
        seen = whole & np.isfinite(values)
        if np.bincount(past_hour[seen], minlength=24).min() < LEAST_DAYS:
            continue
        quantiles, borrowed = np.zeros((3, slots.count)), False
        for of_hour, of_kind in {(int(h), bool(w)) for h, w in zip(hour, works, strict=True)}:
            alike = seen & (past_hour == of_hour)
            if (alike & (past_works == of_kind)).sum() >= LEAST_OF_KIND:
                alike &= past_works == of_kind
            else:
                borrowed = True
            told = np.quantile(values[alike], QUANTILES, method="weibull")
            quantiles[:, (hour == of_hour) & (works == of_kind)] = told[:, None]
        why = "few days of this kind were seen: all days stand in" if borrowed else ""
        low, median, high = quantiles
        made[point] = Forecast(point, issued_at, slots, low, median, high, NAME, why)
    return made


def _groups(district: District) -> dict[Group, list[str]]:
    found: dict[Group, list[str]] = {}
    for name, point in district.of(ChargePoint).items():
        found.setdefault(group_of(name, point), []).append(name)
    return found


def _of_socket(name: str, history: History) -> tuple[Floats, Floats, Floats]:
    """[T] whether a car came, whether it left, and what it takes that came, kWh; NaN where that was not read."""
    nothing = np.full(history.slots.count, np.nan)
    state, energy = (history.values.get(f"{name}/{q}", nothing) for q in ("state_mode", "session_energy_kwh"))
    there = (state > PLUGGED_FROM) & (state < FAULT_FROM)
    both = np.isfinite(state[1:]) & np.isfinite(state[:-1])
    came, went = nothing.copy(), nothing.copy()
    came[1:] = np.where(both, there[1:] & ~there[:-1], np.nan)
    went[:-1] = np.where(both, there[:-1] & ~there[1:], np.nan)
    taken = np.where(np.isfinite(came), 0.0, np.nan)
    ends = np.flatnonzero(there[:-1] & ~there[1:]) + 1
    for first in np.flatnonzero(came == 1):
        end = ends[ends > first][:1]
        # The session's counter stands at a slot's start: the first one may still be of the car before.
        counted = energy[first + 1 : int(end[0]) + 1] if len(end) else nothing[:0]
        taken[first] = np.nanmax(counted) if np.isfinite(counted).any() else np.nan
    return came, went, taken


def _hourly(values: Floats, slots: Slots) -> Floats:
    """[T] the sum over the hour that each slot lies in; NaN where a part of it is not known."""
    step_s = slots.minutes * 60
    hour = (int(slots.start.timestamp()) + step_s * np.arange(slots.count)) // 3600
    hour -= hour[0] if len(hour) else 0
    total = np.bincount(hour, weights=values)
    total[np.bincount(hour) * step_s < 3600] = np.nan
    return np.asarray(total[hour])


def _days(slots: Slots, zone: ZoneInfo) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """[T] the local hour of each slot, and whether its day is a working one."""
    local = [at.astimezone(zone) for at in slots]
    return np.array([at.hour for at in local], dtype=np.int64), np.array([is_working(at) for at in local], dtype=bool)
