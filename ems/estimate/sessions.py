"""What the plugged cars and bicycles still need, and until when.

An AC charger knows that a car is there and how much it has taken, not how full it is. Until a driver says when and how
far (through the pages), a car is taken to need what a car may need, and to leave when visitors of its hour do.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ems.assets import BikeRoom, ChargePoint
from ems.district import District
from ems.snapshot import Session, Snapshot

PLUGGED, CHARGING = 1, 2  # states of a charge point; 0 free, 3 full, 4 fault
# Assumptions on the safe side: a car that needs less says so itself when it is full, one that was promised too little
# is found short at departure.
VISITOR_KWH = 35.0
SHARED_CAR_SHARE = 0.8  # of its battery
BIKE_KWH = 0.35
DAY_LEAVES_HOUR, NIGHT_LEAVES_HOUR = 17.5, 7.25  # local time


def sessions(district: District, snapshot: Snapshot, previous: Mapping[str, Session]) -> dict[str, Session]:
    """The sessions running at the snapshot's instant, by asset; `previous` keeps a departure once it was assumed."""
    zone = ZoneInfo(district.place.time_zone)
    found: dict[str, Session] = {}
    for name, point in district.of(ChargePoint).items():
        state = snapshot.value(point.point("state_mode"))
        if state is None or round(state) not in (PLUGGED, CHARGING):
            continue
        taken_kwh = snapshot.value(point.point("session_energy_kwh"))
        typical_kwh = point.shared_car_kwh * SHARED_CAR_SHARE if point.shared_car_kwh > 0 else VISITOR_KWH
        needed_kwh = typical_kwh if taken_kwh is None else max(typical_kwh - taken_kwh, 0.0)
        found[name] = Session(name, needed_kwh, _departure(name, snapshot.at, zone, previous))
    for name, room in district.of(BikeRoom).items():
        bikes = snapshot.value(room.point("bikes_count"))
        if bikes:
            found[name] = Session(name, bikes * BIKE_KWH, _departure(name, snapshot.at, zone, previous))
    return found


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
