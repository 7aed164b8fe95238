"""The field without sockets: the same points, qualities and outcomes straight from the simulated plant.

For studies and for tests of the loop, where protocols would only cost time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from ems.bms import BusHealth, Finding, Holder
from ems.command import Command, Outcome, Refused, Written
from ems.dispatch import heartbeats
from ems.district import District
from ems.points import Quality, Sample
from ems.simulate.plant import World


class DirectField:
    """Reads and commands a `World` as the adapters would through its servers."""

    def __init__(self, district: District, world: World) -> None:
        self.district = district
        self.world = world
        self.health: Mapping[str, BusHealth] = {}
        self._held: dict[str, float] = {}
        self._standing: dict[str, Command] = {}
        self._beats = heartbeats(district)

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        return None

    async def sweep(self, now: datetime) -> dict[str, Sample]:
        values = self.world.values
        return {point: self._sample(point, float(values[i]), now) for point, i in self.world.index.items()}

    def _sample(self, point: str, value: float, now: datetime) -> Sample:
        measure = self.district.wires[point].measure
        if measure.write is not None:
            return Sample(self._held.get(point, measure.write.release), Quality.GOOD, now)
        if math.isnan(value):
            return Sample(None, Quality.MISSING, now)
        low, high = measure.minimum, measure.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            return Sample(None, Quality.IMPLAUSIBLE, now)
        return Sample(value, Quality.GOOD, now)

    async def write(self, commands: Sequence[Command]) -> list[Outcome]:
        return [self._write(command) for command in commands]

    def _write(self, command: Command) -> Outcome:
        write = self.district.wires[command.point].measure.write
        if write is None:
            return Refused("the point cannot be written")
        if command.value is None:
            self._standing.pop(command.point, None)
            self._held.pop(command.point, None)
            value = write.release
        elif not write.minimum <= command.value <= write.maximum:
            return Refused(f"{command.value} is outside {write.minimum}..{write.maximum}")
        else:
            value = self._held[command.point] = command.value
            self._standing[command.point] = command
        if command.point not in self._beats:
            self.world.command(command.point, value)
        return Written(command.value)

    @property
    def standing(self) -> Mapping[str, Command]:
        return dict(self._standing)

    def adopt(self, commands: Sequence[Command]) -> None:
        self._standing |= {c.point: c for c in commands}

    def renew(self, points: Collection[str], until: datetime) -> None:
        return None

    def guard_writes(self, guard: Callable[[Command], str | None]) -> None:
        return None

    async def holders(self, points: Collection[str]) -> dict[str, Holder | None]:
        """Nobody is told: a plant without its servers has no priorities."""
        return {}

    def findings(self) -> list[Finding]:
        return []

    async def refresh(self, now: datetime) -> dict[str, Outcome]:
        return {}
