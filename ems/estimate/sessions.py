"""What the plugged cars and bicycles still need, and until when.

An AC charger knows that a car is there and how much it has taken, not how full it is. Until a driver says when and how
far (through the pages), or habits were seen (habits.py), a car is taken to need what a car may need, and to leave when
visitors of its hour do. How much it can take shows once its socket allows it more than it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from ems.assets import BikeRoom, ChargePoint
from ems.district import District
from ems.snapshot import Session, Snapshot

PLUGGED, CHARGING, FULL = 1, 2, 3  # states of a charge point; 0 free, 4 fault
# Assumptions on the safe side: a car that needs less says so itself when it is full, one that was promised too little
# is found short at departure.
VISITOR_KWH = 35.0
SHARED_CAR_SHARE = 0.8  # of its battery
READY_SHARE = 0.8  # of its battery, for a car that tells how full it is
BIKE_KWH = 0.35
LEAVES_EARLY_PER_H = 0.01  # chance per hour that a driver comes back before the usual time (assumption)
USUAL_CAR_A, ABOVE_USUAL_A = 16.0, 17.0  # who takes more than the second is no usual car
HELD_A = 1.0  # a car that takes less than its socket allows by more than this is at its own limit
DAY_LEAVES_HOUR, NIGHT_LEAVES_HOUR = 17.5, 7.25  # local time
NO_TRIPS: Mapping[str, Trip] = MappingProxyType({})


@dataclass(frozen=True)
class Trip:
    """A reservation, or what a driver said: with how many kWh more than at arrival the car leaves, and when.

    `returns_at`: when it comes back from the trip before, for a car that is not there.
    """

    leaves_at: datetime
    needed_kwh: float
    returns_at: datetime | None = None


def sessions(
    district: District, snapshot: Snapshot, previous: Mapping[str, Session], trips: Mapping[str, Trip] = NO_TRIPS
) -> dict[str, Session]:
    """The sessions at the snapshot's instant and those announced, by asset.

    `previous` keeps a departure once it was assumed; `trips` are each socket's next departure where somebody named it.
    """
    zone = ZoneInfo(district.place.time_zone)
    found: dict[str, Session] = {}
    for name, point in district.of(ChargePoint).items():
        state = snapshot.value(point.point("state_mode"))
        there = (PLUGGED, CHARGING, FULL) if point.give_back_current_a > 0 else (PLUGGED, CHARGING)
        trip = trips.get(name)
        if state is None or round(state) not in there:
            if trip is not None and trip.returns_at is not None and snapshot.at < trip.returns_at < trip.leaves_at:
                found[name] = Session(name, trip.needed_kwh, trip.leaves_at, arrives_at=trip.returns_at)
            continue
        taken_kwh = snapshot.value(point.point("session_energy_kwh"))
        typical_kwh = point.shared_car_kwh * SHARED_CAR_SHARE if point.shared_car_kwh > 0 else VISITOR_KWH
        needed_kwh = typical_kwh if taken_kwh is None else max(typical_kwh - taken_kwh, 0.0)
        departs_at = _departure(name, snapshot.at, zone, previous)
        stored_kwh, capacity_kwh = (snapshot.value(point.point(q)) for q in ("stored_kwh", "capacity_kwh"))
        if trip is not None and trip.leaves_at > snapshot.at:
            needed_kwh, departs_at = (
                max(trip.needed_kwh - (0.0 if taken_kwh is None else taken_kwh), 0.0),
                trip.leaves_at,
            )
        elif stored_kwh is not None and capacity_kwh is not None:
            needed_kwh = max(READY_SHARE * capacity_kwh - stored_kwh, 0.0)
        found[name] = Session(
            name,
            needed_kwh,
            departs_at,
            stored_kwh=stored_kwh,
            capacity_kwh=capacity_kwh,
            most_kw=most_kw(point, snapshot, previous.get(name)),
            may_leave_per_h=LEAVES_EARLY_PER_H,
            guessed=trip is None or trip.leaves_at <= snapshot.at,
        )
    for name, room in district.of(BikeRoom).items():
        bikes = snapshot.value(room.point("bikes_count"))
        if bikes:
            found[name] = Session(name, bikes * BIKE_KWH, _departure(name, snapshot.at, zone, previous))
    return found


def most_kw(point: ChargePoint, snapshot: Snapshot, before: Session | None) -> float | None:
    """What the car at a socket takes at most, kW, as far as it has shown it; the most that it was ever seen to take.

    A car that stays below what its socket allows is at its own limit, or nearly full, which only comes later; so the
    first that is seen stands, unless more is seen.
    """
    known = None if before is None else before.most_kw
    taken_a = snapshot.value(point.point("current_a"))
    allowed_a = snapshot.value(point.point("current_limit_a"))
    if taken_a is None or taken_a < point.minimum_current_a:
        return known
    if taken_a > ABOVE_USUAL_A:  # as much as its socket gives, then
        return point.limit_kw
    if allowed_a is None or taken_a >= allowed_a - HELD_A:
        return known
    shown = point.kw(USUAL_CAR_A if taken_a > USUAL_CAR_A - HELD_A else taken_a)
    return shown if known is None else max(known, shown)


def _departure(name: str, now: datetime, zone: ZoneInfo, previous: Mapping[str, Session]) -> datetime:
    if (known := previous.get(name)) is not None and known.departs_at > now:
        return known.departs_at
    return usual_departure(now, zone)


def usual_departure(now: datetime, zone: ZoneInfo) -> datetime:
    """Whoever plugs in before noon leaves at the end of the afternoon, everybody else the next morning."""
    local = now.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if 5 <= local.hour < 13:
        return _at(midnight, DAY_LEAVES_HOUR).astimezone(now.tzinfo)
    days = 0 if local.hour < 5 else 1
    return _at(midnight + timedelta(days=days), NIGHT_LEAVES_HOUR).astimezone(now.tzinfo)


def _at(midnight: datetime, hour: float) -> datetime:
    return midnight.replace(hour=int(hour), minute=round(hour % 1 * 60))
