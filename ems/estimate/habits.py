"""How long cars stay and how much they need, learnt from the stays that a group of charge points has seen.

A charger tells neither. But whoever comes to a car park at nine on a working day mostly leaves when the others of that
hour left, and who has taken 30 kWh and still charges is probably one of the few that came empty. A group is the
charge points of one building, those with a shared car apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from statsmodels.duration.survfunc import SurvfuncRight

from ems.assets import ChargePoint
from ems.assets.charging import OUTCOMES
from ems.district import District
from ems.public_holidays import public_holidays
from ems.series import Floats, History
from ems.slots import SLOT
from ems.snapshot import Session, Snapshot

Group = tuple[str, bool]  # the building, and whether shared cars live there
Truths = NDArray[np.bool_]

# Outcomes that are taken for equally probable. A departure stands in the middle of its share; a need at the upper edge
# of its own, because too little is found out at departure and too much when the car says it is full.
DEPARTURES = tuple((k + 0.5) / 10 for k in range(10))
NEEDS = tuple(min((k + 1) / OUTCOMES, 0.98) for k in range(OUTCOMES))
ENOUGH = 12  # stays, fewer tell nothing
ALIKE_H = 1.5  # arrivals of about the same hour
MORE_KWH = 10.0  # what a car that has taken more than any before it still needs, at a guess (assumption)
PLUGGED_FROM, FULL_FROM, FAULT_FROM = 0.01, 2.99, 3.01  # of a slot's mean state: 1 plugged, 2 charging, 3 full, 4 fault


@dataclass(frozen=True)
class Stays:
    """What was seen in one group: one value per stay."""

    came_h: Floats  # local hour of the arrival
    left_h: Floats  # hours from the local midnight before the arrival to the departure
    working: Truths  # arrived on a working day
    taken_kwh: Floats
    full: Truths  # it took all it wanted; the others wanted at least what they took

    def departures(self, came_h: float, working: bool, now_h: float) -> Floats | None:
        """Hours, from the midnight before the arrival, at which who came like this left; None when too few did."""
        apart = np.abs((self.came_h - came_h + 12) % 24 - 12)
        like = self.left_h[(self.working == working) & (apart <= ALIKE_H)]
        still = like[like > now_h]
        if len(like) < ENOUGH or len(still) == 0:
            return None
        found: Floats = np.quantile(still, DEPARTURES)
        return found

    def needs_kwh(self, taken_kwh: float) -> Floats | None:
        """What a car still needs that has taken so much and is not full, kWh, ascending; None when too few were seen.

        The survival curve of Kaplan and Meier (1958): who left before it was full wanted more than it took.
        """
        if int(self.full.sum()) < ENOUGH:
            return None
        curve = SurvfuncRight(self.taken_kwh, self.full)
        times, above = curve.surv_times, curve.surv_prob  # P(need > time)
        reached = np.searchsorted(times, taken_kwh, side="right")
        here = 1.0 if reached == 0 else float(above[reached - 1])
        if here <= 1e-9 or reached == len(times):
            return np.full(len(NEEDS), MORE_KWH)
        rest, gone = times[reached:] - taken_kwh, 1 - above[reached:] / here
        # Where even the longest stays left hungry the curve ends above zero: the last share needs more than was seen.
        needs = [rest[k] if (k := int(np.searchsorted(gone, p))) < len(rest) else rest[-1] + MORE_KWH for p in NEEDS]
        return np.array(needs)


def group_of(name: str, point: ChargePoint) -> Group:
    return name.partition("/")[0], point.shared_car_kwh > 0


def habit_points(district: District) -> list[str]:
    """The points that tell of stays."""
    return [p.point(q) for p in district.of(ChargePoint).values() for q in ("state_mode", "session_energy_kwh")]


@dataclass(frozen=True)
class Habits:
    """The stays of every group, and since when who stands there now has stood there."""

    stays: Mapping[Group, Stays]
    since: Mapping[str, datetime]

    def informed(self, district: District, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what is to be expected of cars whose drivers said nothing."""
        zone = ZoneInfo(district.place.time_zone)
        found = dict(snapshot.sessions)
        for name, session in snapshot.sessions.items():
            point = district.assets.get(name)
            if not session.guessed or not isinstance(point, ChargePoint):
                continue
            stays = self.stays.get(group_of(name, point))
            if stays is not None:
                found[name] = self._expected(session, stays, snapshot, point, zone)
        return replace(snapshot, sessions=found)

    def _expected(
        self, session: Session, stays: Stays, snapshot: Snapshot, point: ChargePoint, zone: ZoneInfo
    ) -> Session:
        came = self.since.get(session.asset, snapshot.at).astimezone(zone)
        midnight = came.replace(hour=0, minute=0, second=0, microsecond=0)
        now_h = (snapshot.at - midnight) / timedelta(hours=1)
        left_h = stays.departures((came - midnight) / timedelta(hours=1), is_working(came), now_h)
        if left_h is not None:
            leaves = tuple(snapshot.at + timedelta(hours=float(h) - now_h) for h in left_h)
            session = replace(session, departs_at=leaves[-1], may_depart_at=leaves, may_leave_per_h=0.0)
        if session.stored_kwh is None:  # else the car tells itself
            needs = stays.needs_kwh(snapshot.value(point.point("session_energy_kwh")) or 0.0)
            if needs is not None:
                session = replace(session, needed_kwh=float(needs[-1]), may_need_kwh=tuple(float(n) for n in needs))
        return session


NO_HABITS = Habits({}, {})


def habits(district: District, history: History) -> Habits:
    """The stays in a history, by group. Stays that began before it, or were not read in the middle, tell nothing."""
    zone = ZoneInfo(district.place.time_zone)
    rows: dict[Group, list[tuple[float, float, bool, float, bool]]] = {}
    since: dict[str, datetime] = {}
    for name, point in district.of(ChargePoint).items():
        state = history.values.get(point.point("state_mode"))
        energy = history.values.get(point.point("session_energy_kwh"))
        if state is None or energy is None:
            continue
        there = (state > PLUGGED_FROM) & (state < FAULT_FROM)
        edges = np.diff(np.concatenate([[False], there, [False]]).astype(np.int8))
        for first, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
            came = history.slots.start + int(first) * SLOT + SLOT / 2
            if end == len(there):
                since[name] = came
                continue
            # The session's counter stands at a slot's start: the first one may still be of the car before.
            counted = energy[first + 1 : end + 1]
            if first == 0 or not np.isfinite(state[[first - 1, end]]).all() or not np.isfinite(counted).any():
                continue
            local = came.astimezone(zone)
            midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
            left_h = (history.slots.start + int(end) * SLOT - SLOT / 2 - midnight) / timedelta(hours=1)
            row = (
                (local - midnight) / timedelta(hours=1), max(left_h, (came - midnight) / timedelta(hours=1)),
                is_working(local), float(np.nanmax(counted)), bool(state[first:end].max() >= FULL_FROM),
            )  # fmt: skip
            rows.setdefault(group_of(name, point), []).append(row)
    return Habits({g: _stays(seen) for g, seen in rows.items()}, since)


def _stays(seen: list[tuple[float, float, bool, float, bool]]) -> Stays:
    came, left, working, taken, full = zip(*seen, strict=True)
    return Stays(np.array(came), np.array(left), np.array(working), np.array(taken), np.array(full))


def is_working(local: datetime) -> bool:
    """Monday to Friday, no public holiday."""
    return local.weekday() < 5 and local.date() not in public_holidays("FR", local.year, local.year)
