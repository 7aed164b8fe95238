"""Fixed rules for when there is no plan: what a careful caretaker would set by the clock and one look at each tank.

They save nothing and risk nothing: tanks charge, plants stand ready, rooms follow their opening hours, batteries rest,
cars share their cable evenly. They need no forecast, no history and no solver.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ems.assets import Battery, ChargePoint, Feeder, Plant, Substation, Tank, Zone
from ems.assets.zone import is_shut
from ems.command import Setpoint
from ems.district import District
from ems.snapshot import Snapshot

WARMING_UP = timedelta(hours=2)  # before opening
OCCUPIED, UNOCCUPIED = 2.0, 3.0  # occupancy modes of a zone controller
WHY = "rule: there is no plan"


def rule_setpoints(district: District, snapshot: Snapshot, at: datetime) -> list[Setpoint]:
    """What shall stand in the slot that begins at `at`, for every point that is ours and wired."""
    wanted = [*_heat(district), *_zones(district, snapshot, at), *_electricity(district, snapshot)]
    return [Setpoint(point, value, WHY) for point, value in wanted if _is_ours(district, point)]


def _is_ours(district: District, point: str) -> bool:
    wire = district.wires.get(point)
    return wire is not None and wire.commanded


def _heat(district: District) -> Iterator[tuple[str, float]]:
    for tank in district.of(Tank).values():
        yield tank.point("charge_on"), 1.0
    for plant in district.of(Plant).values():
        yield plant.point("enable_on"), 1.0
        yield plant.point("capacity_share"), 1.0
    for station in district.of(Substation).values():
        yield station.point("heating_curve_offset_k"), 0.0
    for home in district.dwellings.values():
        yield home.point("setpoint_offset_k"), 0.0


def _zones(district: District, snapshot: Snapshot, at: datetime) -> Iterator[tuple[str, float]]:
    time_zone = district.place.time_zone
    soon = [(at + ahead).astimezone(ZoneInfo(time_zone)) for ahead in (timedelta(0), WARMING_UP)]
    for zone in district.of(Zone).values():
        occupied = any(
            _is_open(zone, local) and not is_shut(zone, local.date(), snapshot.closed, time_zone) for local in soon
        )
        yield zone.point("occupancy_mode"), OCCUPIED if occupied else UNOCCUPIED
        heat = zone.heating_occupied_c if occupied else zone.heating_unoccupied_c
        yield zone.point("heating_setpoint_c"), heat
        if zone.cooling_occupied_c is not None and zone.cooling_unoccupied_c is not None:
            yield zone.point("cooling_setpoint_c"), zone.cooling_occupied_c if occupied else zone.cooling_unoccupied_c


def _is_open(zone: Zone, local: datetime) -> bool:
    hour = local.hour + local.minute / 60
    return local.isoweekday() in zone.opening.days and zone.opening.from_hour <= hour < zone.opening.until_hour


def _electricity(district: District, snapshot: Snapshot) -> Iterator[tuple[str, float]]:
    for battery in district.of(Battery).values():
        yield battery.point("power_setpoint_kw"), 0.0
    points = district.of(ChargePoint)
    for name, feeder in district.of(Feeder).items():
        mine = [p for p in points.values() if p.feeder == name]
        even_a = feeder.limit_kw / sum(p.kw(1.0) for p in mine) if mine else 0.0
        for point in mine:
            share_a = float(math.floor(min(even_a, point.maximum_current_a)))  # chargers take whole amperes
            yield point.point("current_limit_a"), share_a if share_a >= point.minimum_current_a else 0.0
