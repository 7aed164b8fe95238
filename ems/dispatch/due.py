"""Turns wanted set points into commands: shaped to what the device can follow, and only where something changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from ems.command import Command, Setpoint
from ems.district import District, Wire
from ems.points import dimension
from ems.slots import slot_number
from ems.snapshot import Snapshot

SAME = 2.0**-13  # values nearer than this are one: a device gives back what it was told as a float32

# What a person would notice or a device can resolve, by dimension: set points are rounded to it, so that reading back
# is exact and a plan that differs by less writes nothing.
STEPS = {
    "temperature": 0.1,
    "temperature difference": 0.1,
    "power": 0.1,
    "current": 0.1,
    "share": 0.01,
    "state": 1.0,
    "count": 1.0,
}


def heartbeats(district: District) -> frozenset[str]:
    """The points that only say that we are alive. They are counted up by the adapters and planned by nobody."""
    return frozenset(
        f"{device.asset}/{device.type.watchdog.quantity}"
        for device in district.devices
        if device.type.watchdog is not None and device.type.watchdog.quantity is not None
    )


def due(
    wanted: Iterable[Setpoint],
    *,
    district: District,
    snapshot: Snapshot,
    standing: Mapping[str, float],
    overridden: Mapping[str, float] = MappingProxyType({}),
    expires_at: datetime,
) -> list[Command]:
    """The commands that make the field stand where the plan wants it.

    `standing` holds what we last had confirmed per point. A point is left alone while a person holds it
    (`snapshot.overrides`, or `overridden` by somebody at the device, with what we hold below), while its asset is out
    of service, and when it already stands there by our command. A large change is taken in steps of the device's ramp.
    """
    commands: list[Command] = []
    slot = slot_number(snapshot.at)
    for setpoint in wanted:
        wire = district.wires[setpoint.point]
        asset = setpoint.point.rpartition("/")[0]
        if setpoint.point in snapshot.overrides or asset in snapshot.out_of_service:
            continue
        found = snapshot.value(setpoint.point)
        value = shaped(setpoint.value, wire, found)
        ours = standing.get(setpoint.point)
        if _stands(value, ours, found, wire):
            continue
        below = overridden.get(setpoint.point)
        if below is not None and found is not None and not _same(found, below):
            continue  # somebody still holds it higher: we do not fight, we look again next slot
        commands.append(
            Command(
                key=f"{slot}:{setpoint.point}",
                point=setpoint.point,
                value=value,
                expires_at=expires_at,
                previous=found,
                reason=setpoint.reason,
            )
        )
    return commands


def shaped(value: float, wire: Wire, found: float | None) -> float:
    """A set point as the device can follow it: at most one ramp from where it stands, on the device's own step."""
    limits = wire.measure.write
    assert limits is not None, f"{wire.point} cannot be written"
    if not math.isfinite(value):
        return value  # the gate refuses it, with a word
    low, high = limits.minimum, limits.maximum
    if limits.ramp_per_slot is not None and found is not None:
        low, high = max(low, found - limits.ramp_per_slot), min(high, found + limits.ramp_per_slot)
    step = step_of(wire)
    steps = min(max(value, low), high) / step
    # A limit of a current is a ceiling: rounded up, those on one cable would together be more than it carries.
    value = (math.floor(steps + 1e-6) if dimension(wire.quantity) == "current" else round(steps)) * step
    if value > high + 1e-9:  # rounding left the ramp or the range by less than a step
        value -= step
    elif value < low - 1e-9:
        value += step
    return round(min(max(value, limits.minimum), limits.maximum), 6)


def step_of(wire: Wire) -> float:
    """The smallest change that is worth a write, in the unit of the point."""
    return max(wire.measure.resolution, STEPS.get(dimension(wire.quantity), 0.0)) or 1e-6


def _stands(value: float, ours: float | None, found: float | None, wire: Wire) -> bool:
    """Whether the point stands at what is wanted by our command, or so near that it is not worth a write."""
    write = wire.measure.write
    assert write is not None, f"{wire.point} cannot be written"
    if ours is None or found is None or not _same(found, ours):
        return False
    return _same(value, ours) or (value != 0 and abs(value - ours) <= write.dead_band)


def _same(a: float, b: float) -> bool:
    return abs(a - b) < SAME
