"""All buses of a district: sweeps, writes and watchdogs, bus by bus in parallel."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from ems.bms.bacnet import BacnetLine, Stack, own_address
from ems.bms.belief import Belief, Finding, expectations
from ems.bms.health import BusHealth, Patience
from ems.bms.line import Guard, Holder, Line
from ems.bms.mirror import Mirror
from ems.bms.modbus import TIMEOUT_S, ModbusLine
from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Written
from ems.district import Bus, Wire
from ems.points import Sample

FINDINGS_KEPT = 1000  # for somebody who asks; a district that jumps everywhere is told of in part

LineMaker = Callable[[Bus, Sequence[Wire], Patience], Line]


class FieldLink(Protocol):
    """The way to the devices: over sockets (`Field`), or without any in a study."""

    @property
    def health(self) -> Mapping[str, BusHealth]:
        """How each bus is doing, by name."""

    async def start(self) -> None:
        """Open what has to be open before the first sweep."""

    async def stop(self) -> None:
        """Let go of every connection. Commands stay where they are: relinquish first."""

    async def sweep(self, now: datetime) -> dict[str, Sample]:
        """A sample of every wired point, stamped with the site time `now`. Never raises."""

    async def write(self, commands: Sequence[Command]) -> list[Outcome]:
        """Write, read back, and say what came of each command, in their order. Never raises."""

    async def refresh(self, now: datetime) -> dict[str, Outcome]:
        """Count heartbeats and rewrite what falls back otherwise. What was written, by point."""

    @property
    def standing(self) -> Mapping[str, Command]:
        """The commands that stand in devices because of us, by point."""

    def adopt(self, commands: Sequence[Command]) -> None:
        """Take over what a process before this one left standing: kept alive and expired as our own."""

    def renew(self, points: Collection[str], until: datetime) -> None:
        """Let the standing commands of `points` hold until `until`; what nobody renews is given back."""

    def findings(self) -> list[Finding]:
        """What the sweeps since the last call have shown about points."""

    async def holders(self, points: Collection[str]) -> dict[str, Holder | None]:
        """Who stands above our priority in each of these points; None: nobody. Never raises.

        Left out is what has no priorities, or did not answer.
        """

    def guard_writes(self, guard: Guard) -> None:
        """Ask `guard` right before each write leaves; a reason refuses it."""


@dataclass
class _Standing:
    """A command that stands in a device because of us, and when it was last written, in site time."""

    command: Command
    at: datetime | None
    sure: bool = True  # else it left and no answer came: never rewritten, but it expires and is given back
    leaving: bool = False  # it was to be given back, which did not arrive: tried again, and never renewed


class Field:
    """Every bus behind the wires, over real sockets.

    `bacnet_address` is our own BACnet device, such as `192.168.1.10/24:47808`; without it one is chosen, which only
    works while all stations are on loopback. `timeout_s` is how long a request may take, real seconds.
    `line_of` makes another kind of line for a bus, for a field that is simulated below this class.
    `mirror` has every command on disk before its device hears of it, for the dead-man.
    `library_reads` reads through pymodbus and BAC0 instead of our own framing: slower, and what tests compare with.
    """

    def __init__(
        self,
        wires: Mapping[str, Wire],
        *,
        bacnet_address: str | None = None,
        patience: Patience | None = None,
        timeout_s: float = TIMEOUT_S,
        library_reads: bool = False,
        line_of: LineMaker | None = None,
        mirror: Mirror | None = None,
    ) -> None:
        self.wires = dict(wires)
        patience = patience or Patience()
        by_bus: dict[str, list[Wire]] = defaultdict(list)
        for wire in self.wires.values():
            by_bus[wire.bus.name].append(wire)
        stations = [group[0].bus for group in by_bus.values() if group[0].bus.protocol == "bacnet" and line_of is None]
        self._stack = (
            Stack(bacnet_address or own_address(stations), timeout_s, library_reads=library_reads) if stations else None
        )
        self._lines: dict[str, Line] = {}
        for name, group in by_bus.items():
            bus = group[0].bus
            if line_of is not None:
                self._lines[name] = line_of(bus, group, patience)
            elif self._stack is not None and bus.protocol == "bacnet":
                self._lines[name] = BacnetLine(bus, group, patience, self._stack)
            else:
                self._lines[name] = ModbusLine(bus, group, patience, timeout_s, library_reads=library_reads)
        self._line_of = {wire.point: self._lines[wire.bus.name] for wire in self.wires.values()}
        self._belief = Belief(expectations(self.wires.values()))
        self._findings: deque[Finding] = deque(maxlen=FINDINGS_KEPT)
        self._heartbeats = _heartbeats(self.wires)
        self._beats = dict.fromkeys(self._heartbeats, 0.0)
        self._standing: dict[str, _Standing] = {}
        self._mirror = mirror
        self._sweeping = asyncio.Lock()
        self._writing = asyncio.Lock()  # a refresh must not put an older command over a newer one
        self._site_now: datetime | None = None

    def guard_writes(self, guard: Guard) -> None:
        """Ask `guard` right before each write leaves; a reason refuses it."""
        for line in self._lines.values():
            line.guard = guard

    async def start(self) -> None:
        """Take our BACnet address. Modbus connections open with the first sweep."""
        if self._stack is not None:
            await self._stack.start()

    async def stop(self) -> None:
        """Close every connection. Commands stay in the devices until they relinquish or their watchdogs fire."""
        await asyncio.gather(*(line.stop() for line in self._lines.values()))
        if self._stack is not None:
            await self._stack.stop()

    @property
    def health(self) -> Mapping[str, BusHealth]:
        return {name: line.health for name, line in self._lines.items()}

    @property
    def standing(self) -> Mapping[str, Command]:
        """The commands that stand in devices because of us, or may, by point."""
        return {point: item.command for point, item in self._standing.items()}

    async def sweep(self, now: datetime) -> dict[str, Sample]:
        """A sample of every wired point. A second sweep waits for the first; nothing is ever asked twice at a time."""
        self._tell(now)
        async with self._sweeping:
            samples = await _Sweep(tuple(self._lines.values()), now).run()
        self._findings += self._belief.judge(samples)
        return samples

    def findings(self) -> list[Finding]:
        """What the readings showed beyond their values since this was last asked."""
        found = list(self._findings)
        self._findings.clear()
        return found

    async def write(self, commands: Sequence[Command]) -> list[Outcome]:
        """Write and read back, buses in parallel; None relinquishes (Modbus: writes the release value)."""
        async with self._writing:
            unsafe = await self._mirror_before(commands)
            outcomes = await self._deliver(commands) if unsafe is None else await self._only_releases(commands, unsafe)
            for command, outcome in zip(commands, outcomes, strict=True):
                self._remember(command, outcome)
            await self._mirror_after()
        return outcomes

    async def refresh(self, now: datetime) -> dict[str, Outcome]:
        """Keep watchdogs content: count heartbeats, rewrite commands of `rewrite` devices at a third of their time-out.

        What has expired is given back. Call it at least each third of the shortest time-out, in site time.
        """
        self._tell(now)
        async with self._writing:
            return await self._refresh(now)

    def adopt(self, commands: Sequence[Command]) -> None:
        """Take over what a process before this one left standing: kept alive and expired as our own."""
        for command in commands:
            if command.point in self.wires and command.value is not None:
                self._standing.setdefault(command.point, _Standing(command, None))

    def renew(self, points: Collection[str], until: datetime) -> None:
        """Let the standing commands of `points` hold until `until`; what nobody renews is given back."""
        for point in points:
            if (item := self._standing.get(point)) is not None and not item.leaving:
                item.command = replace(item.command, expires_at=until)

    async def holders(self, points: Collection[str]) -> dict[str, Holder | None]:
        """Who stands above our priority: the outputs of a station many at a time, stations in parallel."""
        groups: dict[str, list[str]] = defaultdict(list)
        for point in points:
            if point in self.wires:
                groups[self.wires[point].bus.name].append(point)
        found: dict[str, Holder | None] = {}
        for part in await asyncio.gather(*(self._lines[bus].holders(group) for bus, group in groups.items())):
            found |= part
        return found

    # For a person who commissions

    async def identity(self, point: str) -> dict[str, str]:
        """What the device of a point says of itself: maker, model, firmware; nothing where it says nothing."""
        return await self._line_of[point].identity(self.wires[point])

    async def priorities(self, point: str) -> dict[int, float] | None:
        """Who holds a BACnet output at which value, by priority; None where there are no priorities or no answer."""
        return await self._line_of[point].priorities(self.wires[point])

    # Inside

    def _tell(self, now: datetime) -> None:
        self._site_now = now
        for line in self._lines.values():
            line.tell(now)

    async def _refresh(self, now: datetime) -> dict[str, Outcome]:
        # What was adopted, and what another process wrote over, is told to the dead-man before anything is due.
        await self._mirror_before(())
        beats, due, expired = [], [], []
        for point in self._heartbeats:
            limits = self.wires[point].measure.write
            assert limits is not None
            self._beats[point] = limits.minimum + (self._beats[point] + 1 - limits.minimum) % (
                limits.maximum - limits.minimum + 1
            )
            beats.append(Command(f"heartbeat {point}", point, self._beats[point], now + timedelta(hours=1)))
        for point, item in self._standing.items():
            if item.leaving or item.command.expires_at <= now:
                expired.append(replace(item.command, value=None, reason="expired"))
            elif self._is_due(point, item, now):
                due.append(item.command)
        counted, rewritten = await asyncio.gather(
            asyncio.gather(*(self._count(beat) for beat in beats)), self._deliver([*due, *expired])
        )
        for command, outcome in zip([*due, *expired], rewritten, strict=True):
            self._remember(command, outcome)
        if expired:
            await self._mirror_after()
        results = {beat.point: outcome for beat, outcome in zip(beats, counted, strict=True)}
        results.update((c.point, o) for c, o in zip([*due, *expired], rewritten, strict=True))
        return results

    async def _deliver(self, commands: Sequence[Command]) -> list[Outcome]:
        outcomes: list[Outcome] = [Refused(f"{command.point} is not wired") for command in commands]
        groups: dict[str, list[int]] = defaultdict(list)
        for i, command in enumerate(commands):
            if command.point in self.wires:
                groups[self.wires[command.point].bus.name].append(i)
        results = await asyncio.gather(
            *(self._lines[bus].write([commands[i] for i in group]) for bus, group in groups.items())
        )
        for group, result in zip(groups.values(), results, strict=True):
            for i, outcome in zip(group, result, strict=True):
                outcomes[i] = outcome
        return outcomes

    async def _mirror_before(self, commands: Sequence[Command]) -> str | None:
        """Puts what stands and what is about to on disk. Why that failed, if it did."""
        if self._mirror is None:
            return None
        all_of_them = [*(item.command for item in self._standing.values()), *commands]
        wired = [
            (self.wires[c.point], c) for c in all_of_them if c.point in self.wires and self.wires[c.point].commanded
        ]
        try:
            await self._mirror.before(wired)
        except OSError as fault:
            return f"the dead-man's file cannot be written: {fault}"
        return None

    async def _mirror_after(self) -> None:
        if self._mirror is not None:
            with suppress(OSError):  # an entry too many does no harm, and the next command is told of it
                await self._mirror.after(self._standing)

    async def _only_releases(self, commands: Sequence[Command], why: str) -> list[Outcome]:
        """Without the dead-man's file nothing new may stand; what stands may be taken back."""
        releases = [c for c in commands if c.value is None]
        given = iter(await self._deliver(releases))
        return [next(given) if c.value is None else Refused(why) for c in commands]

    async def _count(self, beat: Command) -> Outcome:
        line = self._line_of[beat.point]
        if (why := line.guard(beat)) is not None:  # who leads no longer must not keep alive what another has commanded
            return Refused(why)
        if isinstance(line, BacnetLine):
            return await line.count(beat)
        return (await line.write([beat]))[0]

    def _remember(self, command: Command, outcome: Outcome) -> None:
        match outcome:
            case Written() | Overridden() if command.value is None:
                self._standing.pop(command.point, None)
            case Written() | Overridden():
                stood = self._standing.get(command.point)
                if stood is not None and stood.command.key == command.key:
                    # A rewrite of what was renewed meanwhile: the later expiry holds.
                    until = max(stood.command.expires_at, command.expires_at)
                    command = replace(command, expires_at=until)
                self._standing[command.point] = _Standing(command, self._site_now)
            case Unreachable(sent=True) if command.value is not None:  # this one, or what stood before it
                self._standing.setdefault(command.point, _Standing(command, None, sure=False))
            case Refused() | Unreachable():  # what stood before may still stand
                if command.value is None and (stood := self._standing.get(command.point)) is not None:
                    stood.leaving = True

    def _is_due(self, point: str, item: _Standing, now: datetime) -> bool:
        wire = self.wires[point]
        watchdog, limits = wire.device.type.watchdog, wire.measure.write
        if watchdog is None or watchdog.kind != "rewrite" or limits is None or limits.wears_flash or not item.sure:
            return False
        # A clock that went back makes it due too.
        return item.at is None or not timedelta(0) <= now - item.at < timedelta(seconds=watchdog.timeout_s / 3)


class _Sweep:
    """One sweep under way: lines with nothing in their way end in a callback, the others in a task, and all of it in
    one future.
    """

    def __init__(self, lines: Sequence[Line], now: datetime) -> None:
        self._lines = lines
        self._now = now
        self._parts: list[dict[str, Sample]] = [{} for _ in lines]  # in the order of the lines, however they end
        self._left = len(lines)
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> dict[str, Sample]:
        try:
            for n, line in enumerate(self._lines):
                if not await line.begin(self._now, partial(self._ended, n, line)):
                    self._read(n, line)
            if self._lines:
                await self._done
        finally:
            for task in self._tasks:
                task.cancel()
        samples: dict[str, Sample] = {}
        for part in self._parts:
            samples |= part
        return samples

    def _ended(self, n: int, line: Line) -> None:
        try:
            found = line.finish()
        except Exception:
            found = None  # `read` meets the same defect, and counts it
        if found is None:
            self._read(n, line)
        else:
            self._keep(n, found)

    def _read(self, n: int, line: Line) -> None:
        if not self._done.done():
            task = asyncio.create_task(self._read_all(n, line))
            self._tasks.add(task)
            task.add_done_callback(self._through)

    async def _read_all(self, n: int, line: Line) -> None:
        self._keep(n, await line.read(self._now))

    def _through(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None and not self._done.done():
            self._done.set_exception(fault)

    def _keep(self, n: int, samples: dict[str, Sample]) -> None:
        self._parts[n] = samples
        self._left -= 1
        if not self._left and not self._done.done():
            self._done.set_result(None)


def _heartbeats(wires: Mapping[str, Wire]) -> tuple[str, ...]:
    """The points that we count up so that a device knows we are alive."""
    return tuple(
        wire.point
        for wire in wires.values()
        if (watchdog := wire.device.type.watchdog) is not None
        and watchdog.kind == "counter"
        and wire.quantity == watchdog.quantity
        and wire.commanded
    )
