"""One bus as the field sees it: one request at a time, a breaker, a probe, and no exception ever let out.

`ModbusLine` and `BacnetLine` know the protocols; here is what both owe: every wire gets a sample, every command an
outcome, and a line that does not answer is left alone until a probe finds it again.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from ems.bms.belief import Bounds
from ems.bms.health import Breaker, BusHealth, Patience
from ems.command import Command, Outcome, Refused, Unreachable
from ems.district import Bus, Wire
from ems.points import Quality, Sample

Holder = tuple[int, float]  # a BACnet priority, and the value that stands there
Guard = Callable[[Command], str | None]  # why this process may not send a command any more, or None


def _nobody_objects(command: Command) -> str | None:
    return None


class NoAnswerError(Exception):
    """Nothing came back, or nothing from the right device: what stands in it is not known."""


class Line(ABC):
    """A bus and its wires. `turn` is held for one request and its answer."""

    def __init__(self, bus: Bus, wires: Sequence[Wire], patience: Patience) -> None:
        self.bus = bus
        self.wires: Mapping[str, Wire] = {wire.point: wire for wire in wires}
        self.bounds = {wire.point: Bounds(wire.measure.minimum, wire.measure.maximum) for wire in wires}
        self.patience = patience
        self.breaker = Breaker()
        self.guard: Guard = _nobody_objects  # asked right before each write leaves
        self.turn = asyncio.Lock()
        self.defects = 0  # faults of ours, caught here so that they cost one bus
        self._probe: asyncio.Task[None] | None = None
        self._site_now: datetime | None = None
        self._up = False
        self._since: datetime | None = None

    # What a protocol adds

    @abstractmethod
    async def sweep(self) -> dict[str, Sample]:
        """Samples of the wires that were asked; missing ones become UNREACHABLE. Calls the breakers."""

    @abstractmethod
    async def send(self, commands: Sequence[Command]) -> list[Outcome]:
        """Write what passed `objection`, read it back, say what came of each. May raise NoAnswerError."""

    @abstractmethod
    def silent(self) -> list[Hashable]:
        """What a probe should ask for: the bus itself as None, else units whose breakers are open."""

    @abstractmethod
    async def answers(self, which: Hashable) -> bool:
        """One cheap read of the bus (None) or a unit; closes its breaker when an answer comes."""

    async def begin(self, now: datetime, ended: Callable[[], None]) -> bool:
        """Begin a sweep that needs nobody to wait for it; `ended` is called when `finish` has its samples.

        False, and nothing has begun, where the line cannot or something stands in its way: then `read` it.
        """
        return False

    def finish(self) -> dict[str, Sample] | None:
        """The samples of the sweep that began; None when it takes a `read` to bring in the rest."""
        return None

    async def identity(self, wire: Wire) -> dict[str, str]:
        """What the device of a wire says of itself; nothing where it says nothing."""
        return {}

    async def priorities(self, wire: Wire) -> dict[int, float] | None:
        """Who holds the point, by priority; None where there are no priorities or they cannot be read."""
        return None

    async def holders(self, points: Sequence[str]) -> dict[str, Holder | None]:
        """Who stands above our priority in each of these points, the highest; None: nobody. Never raises.

        Left out is what has no priorities, or did not answer.
        """
        return {}

    async def close(self) -> None:  # noqa: B027 - a line without a connection has nothing to close
        """Let go of the connection."""

    # What both share

    async def read(self, now: datetime) -> dict[str, Sample]:
        """A sample for every wire of the bus. Never raises; costs nothing while the breaker is open."""
        self._site_now = now
        samples: dict[str, Sample] = {}
        if not self.breaker.is_open:
            try:
                samples = await self.sweep()
            except NoAnswerError as why:
                self.breaker.failed(str(why))
            except Exception as fault:  # a defect here must cost one bus, not the loop
                self.defects += 1
                self.breaker.failed(f"{type(fault).__name__}: {fault}")
        self.note_health()
        if len(samples) == len(self.wires):
            return samples
        nothing = Sample(None, Quality.UNREACHABLE, now)
        return {point: samples.get(point, nothing) for point in self.wires}

    async def write(self, commands: Sequence[Command]) -> list[Outcome]:
        """An outcome for each command, in their order. Never raises."""
        outcomes: list[Outcome | None] = [self.objection(command) for command in commands]
        open_ones = [i for i, outcome in enumerate(outcomes) if outcome is None]
        if open_ones:
            try:
                sent = await self.send([commands[i] for i in open_ones])
            except NoAnswerError as why:
                self.breaker.failed(str(why))
                sent = [Unreachable(str(why))] * len(open_ones)
            except Exception as fault:
                self.defects += 1
                self.breaker.failed(f"{type(fault).__name__}: {fault}")
                sent = [Unreachable(self.breaker.last_error)] * len(open_ones)
            for i, outcome in zip(open_ones, sent, strict=True):
                outcomes[i] = outcome
        self.note_health()
        return [Unreachable("no outcome") if outcome is None else outcome for outcome in outcomes]

    def objection(self, command: Command) -> Outcome | None:
        """Why a command does not leave, or None: reach, priority, expiry, finiteness, limits: the last check."""
        wire = self.wires[command.point]
        limits = wire.measure.write
        if limits is None or not wire.commanded:
            return Refused(f"{command.point} is {wire.authority}, not ours to write")
        if not 9 <= command.priority <= 15:
            return Refused(f"priority {command.priority} is not ours; use 9 to 15")
        if self._site_now is not None and command.value is not None and command.expires_at <= self._site_now:
            return Refused(f"expired at {command.expires_at.isoformat()}")
        if command.value is not None and (
            isinstance(command.value, bool)
            or not isinstance(command.value, int | float)
            or not math.isfinite(command.value)
        ):
            return Refused(f"{command.value} is no value to write")
        if command.value is not None and not limits.minimum <= command.value <= limits.maximum:
            return Refused(f"{command.value} lies outside {limits.minimum}..{limits.maximum}")
        if self.breaker.is_open:
            return Unreachable(f"{self.bus.name} does not answer: {self.breaker.last_error}", sent=False)
        return None

    def sample(self, point: str, value: float) -> Sample:
        """A decoded value with its quality: NaN is MISSING, outside the plausible range IMPLAUSIBLE."""
        return self.bounds[point].sample(value, self.now)

    @property
    def now(self) -> datetime:
        """Site time as last told; the beginning of time before that."""
        return self._site_now or datetime.min.replace(tzinfo=UTC)

    @property
    def health(self) -> BusHealth:
        units = tuple(sorted(unit for unit in self.silent() if isinstance(unit, int)))
        return BusHealth(self.bus.name, self._up, self._since, self.breaker.failures, self.breaker.last_error, units)

    def tell(self, now: datetime) -> None:
        """Site time, for expiry of commands and for health."""
        self._site_now = now

    def note_health(self) -> None:
        """Keep `since` and start the probe when something stopped answering."""
        up = not self.breaker.failures
        if up != self._up or self._since is None:
            self._up, self._since = up, self._site_now
        if self.silent() and (self._probe is None or self._probe.done()):
            self._probe = asyncio.create_task(self._probe_until_all_answer(), name=f"probe {self.bus.name}")

    async def stop(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            with suppress(asyncio.CancelledError):
                await self._probe
        await self.close()

    async def _probe_until_all_answer(self) -> None:
        pauses = self.patience.pauses()
        turn = 0
        while silent := self.silent():
            await asyncio.sleep(next(pauses))
            # What comes back together is found together: go on while answers come, rest after the first silence.
            for _ in range(len(silent)):
                silent = self.silent()
                if not silent:
                    break
                which = silent[turn % len(silent)]
                try:
                    answered = await self.answers(which)
                except NoAnswerError:
                    answered = False
                except Exception as fault:
                    self.defects += 1
                    self.breaker.last_error = f"{type(fault).__name__}: {fault}"
                    answered = False
                if not answered:
                    turn += 1
                    break
                pauses = self.patience.pauses()
            self.note_health()
