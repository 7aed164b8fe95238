"""A part of the default district on real sockets, before a world whose values a test sets by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np

from ems.command import Command
from ems.district import District, read_district, relocate

BUILDINGS = Path(__file__).parents[1] / "buildings"
NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
PART = ("creche", "mistral", "parking", "plant-a")  # every protocol and device type but the weather station's


@cache
def whole_district() -> District:
    return read_district(BUILDINGS)


def part_of_district(net: int, buildings: tuple[str, ...] = PART) -> District:
    """The buses of some buildings, on 127.net.x.y."""
    district = whole_district()
    buses = {name: bus for name, bus in district.buses.items() if name.partition("/")[0] in buildings}
    part = replace(
        district,
        buses=buses,
        devices=tuple(device for device in district.devices if device.bus.name in buses),
        wires={point: wire for point, wire in district.wires.items() if wire.bus.name in buses},
    )
    return relocate(part, net)


class StillWorld:
    """A world that changes only when a test says so, and keeps what it was commanded."""

    def __init__(self, district: District) -> None:
        self.now = NOW
        self.index = {point: i for i, point in enumerate(district.wires)}
        self.values = np.zeros(len(self.index))
        self.commands: list[tuple[str, float]] = []
        for point, wire in district.wires.items():
            measure = wire.measure
            low = 0.0 if measure.minimum is None else measure.minimum
            high = low + 8 if measure.maximum is None else measure.maximum
            self.show(point, measure.write.release if measure.write else float(round((low + high) / 2)))

    def show(self, point: str, value: float) -> None:
        self.values[self.index[point]] = value

    def command(self, point: str, value: float) -> None:
        self.commands.append((point, value))
        self.show(point, value)

    def pass_time(self, **of_timedelta: float) -> None:
        self.now += timedelta(**of_timedelta)


def command(point: str, value: float | None, priority: int = 12, until: datetime | None = None) -> Command:
    """A command as the loop would give it."""
    return Command(f"test {point}", point, value, until or NOW + timedelta(days=2), priority)
