"""Does the tests of devices that people ask for: a sweep now, and a rewrite of what stands, by the one way to write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from ems.command import Outcome, Overridden, Refused, Unreachable, Withheld, Written
from ems.dispatch import heartbeats
from ems.district import District
from ems.loop.hands import Hands
from ems.snapshot import Snapshot
from ems.store.checks import Check, Checked, Checks, Seen, Tried

TOO_LATE = timedelta(minutes=1)  # before its expiry a command is not written again


class DeviceChecks:
    """The tests of one site as the loop does them. Without a folder nobody can ask."""

    def __init__(self, folder: Path | None, district: District, hands: Hands) -> None:
        self._checks = None if folder is None else Checks(folder)
        self._district = district
        self._hands = hands
        self._beats = heartbeats(district)

    async def answer(self, seen_at: Callable[[datetime], Awaitable[Snapshot]]) -> None:
        """Does what was asked for. Raises LeadershipLost."""
        waiting = [] if self._checks is None else self._checks.waiting()
        if self._checks is None or not waiting:
            return
        await self._hands.sweep(self._hands.now())
        snapshot = await seen_at(self._hands.now())
        for check in waiting:
            self._checks.answer(check.number, await self._checked(check, snapshot))

    async def _checked(self, check: Check, snapshot: Snapshot) -> Checked:
        points = [p for p, w in self._district.wires.items() if w.device.asset == check.asset]
        samples = {p: snapshot.samples[p] for p in points if p in snapshot.samples}
        seen = [Seen(p, sample.value, sample.quality.value) for p, sample in samples.items()]
        tried = await self._tried(check, points, snapshot)
        return Checked(self._hands.now(), seen, tried)

    async def _tried(self, check: Check, points: list[str], snapshot: Snapshot) -> list[Tried]:
        """Writes again what we have standing there, so that the device's value is the one it has."""
        now, standing = self._hands.now(), self._hands.link.standing
        again = []
        for point in points:
            command, limits = standing.get(point), self._district.wires[point].measure.write
            if command is None or command.value is None or point in self._beats or limits is None:
                continue
            if limits.wears_flash or command.expires_at - now < TOO_LATE:
                continue
            again.append(replace(command, key=f"check-{check.number}:{point}", previous=snapshot.value(point)))
        if not again:
            return []
        delivery = await self._hands.write(again, snapshot, of_slot=False)
        refused = {c.key: r.why for c, r in delivery.permission.refused}
        return [
            Tried(c.point, c.value, "gate", why=refused[c.key])
            if c.key in refused
            else _tried(c.point, c.value, delivery.outcomes.get(c.key))
            for c in again
        ]


def _tried(point: str, value: float | None, outcome: Outcome | None) -> Tried:
    match outcome:
        case Written(found):
            return Tried(point, value, "written", found)
        case Overridden(found, holder):
            return Tried(point, value, "overridden", found, holder)
        case Refused(why):
            return Tried(point, value, "refused", why=why)
        case Unreachable(why):
            return Tried(point, value, "unreachable", why=why)
        case Withheld() | None:
            return Tried(point, value, "withheld")
