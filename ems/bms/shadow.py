"""The field in shadow mode: everything is read as ever, and nothing is written, whoever asks.

It stands where `Field` stands, so that the loop, the gate and the journal work as they will one day: what passed the
gate comes back as `Withheld` and is on record as such. Nothing of ours stands in a device, so there is nothing to keep
alive, to renew or to give back; heartbeats rest, and devices go on under their own control.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from ems.bms.belief import Finding
from ems.bms.field import FieldLink
from ems.bms.health import BusHealth
from ems.bms.line import Guard, Holder
from ems.command import Command, Outcome, Withheld
from ems.points import Sample

WHY = "in shadow mode nothing is written"


class StandingError(Exception):
    """Commands of an earlier run still stand in devices, by the journal: only a run that writes can take them back."""


class ShadowField:
    """A field link that keeps what it is told to write to itself."""

    def __init__(self, link: FieldLink) -> None:
        self._link = link
        link.guard_writes(lambda command: WHY)  # and were it asked all the same, no line would let it out

    @property
    def health(self) -> Mapping[str, BusHealth]:
        return self._link.health

    async def start(self) -> None:
        await self._link.start()

    async def stop(self) -> None:
        await self._link.stop()

    async def sweep(self, now: datetime) -> dict[str, Sample]:
        return await self._link.sweep(now)

    def findings(self) -> list[Finding]:
        return self._link.findings()

    async def holders(self, points: Collection[str]) -> dict[str, Holder | None]:
        return await self._link.holders(points)

    async def write(self, commands: Sequence[Command]) -> list[Outcome]:
        """What would have been written, as it was told; no device hears of it."""
        return [Withheld(command.value) for command in commands]

    async def refresh(self, now: datetime) -> dict[str, Outcome]:
        """No heartbeat is counted: a device that heard one would think itself commanded."""
        return {}

    @property
    def standing(self) -> Mapping[str, Command]:
        return MappingProxyType({})

    def adopt(self, commands: Sequence[Command]) -> None:
        """Raises StandingError when an earlier run left commands: to look on while they stand would be no shadow."""
        if commands:
            raise StandingError(
                f"{len(commands)} commands of an earlier run still stand by the journal, first {commands[0].point}; "
                "start `ems run` without --shadow and end it with Ctrl-C, which gives them back"
            )

    def renew(self, points: Collection[str], until: datetime) -> None:
        """Nothing stands that could expire."""

    def guard_writes(self, guard: Guard) -> None:
        """Nothing leaves, so nobody has to be asked."""
