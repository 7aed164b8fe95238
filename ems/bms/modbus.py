"""Modbus/TCP through pymodbus: blocks in, registers out, one request in flight per connection.

pymodbus keeps its transaction counter and a count of silences per client and may close the connection of healthy units
behind the same gateway, so a client that failed is thrown away and a new one connects; its own retries are off.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Any

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient

from ems.bms.codec import decode, encode, step
from ems.bms.health import Breaker, Patience
from ems.bms.line import Line, NoAnswerError
from ems.bms.reads import Block, blocks, register_of
from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Written
from ems.district import Bus, Wire
from ems.points import Quality, Sample

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # what it says, the health of the bus says too

TIMEOUT_S = 1.0
SILENCES_PER_SWEEP = 2  # then the rest of the bus waits for the next sweep
_EXCEPTIONS = {
    1: "illegal function", 2: "illegal address", 3: "illegal value", 4: "device failure", 5: "acknowledge",
    6: "device busy", 10: "gateway path unavailable", 11: "gateway target did not answer",
}  # fmt: skip
_FROM_GATEWAY = (10, 11)


class DeviceError(Exception):
    """A Modbus exception answer: the device is there and refuses."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}: {_EXCEPTIONS.get(code, 'unknown')}")
        self.code = code


class MalformedError(Exception):
    """An answer that does not fit the question."""


class NoConnectionError(NoAnswerError):
    """The gateway itself is not there."""


class TargetSilentError(NoAnswerError):
    """The gateway says, at once, that the unit behind it does not answer."""


class Unit:
    """One unit behind a gateway: its blocks, and whether it answers."""

    def __init__(self, number: int, plan: tuple[Block, ...]) -> None:
        self.number = number
        self.blocks = plan
        self.breaker = Breaker()

    def split(self, block: Block) -> tuple[Block, ...]:
        """Remember that this device refuses a span, and read its points singly from now on."""
        singles = block.single()
        self.blocks = tuple(b for old in self.blocks for b in (singles if old is block else (old,)))
        return singles


class ModbusLine(Line):
    """A gateway and the units behind it."""

    def __init__(self, bus: Bus, wires: Sequence[Wire], patience: Patience, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(bus, wires, patience)
        self.timeout_s = timeout_s
        self.units = {number: Unit(number, plan) for number, plan in blocks(wires).items()}
        self._client: AsyncModbusTcpClient | None = None
        self._standing: dict[str, float] = {}  # last value each register was seen to hold after our write

    # Reading

    async def sweep(self) -> dict[str, Sample]:
        samples: dict[str, Sample] = {}
        silences, why = 0, ""
        # Doubtful units last: the healthy ones are read whatever happens.
        waiting = deque(sorted(self.units.values(), key=lambda unit: unit.breaker.failures))
        while waiting and silences < SILENCES_PER_SWEEP:
            unit = waiting.popleft()
            if unit.breaker.is_open:
                continue
            try:
                found = await self.read_unit(unit)
            except NoConnectionError:
                if not samples:
                    raise
                break
            except TargetSilentError as silence:
                why = str(silence)
            except NoAnswerError as silence:
                silences, why = silences + 1, str(silence)
                waiting.append(unit)  # once more when the others are through: one lost answer is no dead device
            else:
                why = why or unit.breaker.last_error
                samples.update(found)
        if samples:
            self.breaker.answered()
        elif why:
            raise NoAnswerError(why)
        return samples

    async def read_unit(self, unit: Unit) -> dict[str, Sample]:
        """Samples of one unit; none when it refuses everything. Tells its breaker. Raises NoAnswerError."""
        samples: dict[str, Sample] = {}
        try:
            for block in unit.blocks:
                samples.update(await self.read_block(unit, block))
        except NoConnectionError:
            raise  # the gateway's fault, not the unit's
        except NoAnswerError as silence:
            unit.breaker.failed(str(silence))
            raise
        if samples:
            unit.breaker.answered()
        else:
            unit.breaker.failed(unit.breaker.last_error)
        return samples

    async def read_block(self, unit: Unit, block: Block) -> dict[str, Sample]:
        """Samples of one block. An exception answer for a span is asked again point by point."""
        try:
            words = await self.request(block)
        except MalformedError as fault:
            self.breaker.last_error = str(fault)
            return {wire.point: Sample(None, Quality.IMPLAUSIBLE, self.now) for _, wire in block.wires}
        except DeviceError as refusal:
            if refusal.code in _FROM_GATEWAY:
                raise TargetSilentError(f"unit {unit.number}: {refusal}") from None
            unit.breaker.last_error = str(refusal)
            if len(block.wires) == 1:
                return {}
            samples: dict[str, Sample] = {}
            for single in unit.split(block) if refusal.code == 2 else block.single():
                samples.update(await self.read_block(unit, single))
            return samples
        samples = {}
        for offset, wire in block.wires:
            register = register_of(wire)
            value = decode(register, words[offset : offset + register.count])
            samples[wire.point] = self.sample(wire, value, self.now)
        return samples

    async def request(self, block: Block) -> list[int]:
        """The words of a block. Raises NoAnswerError, DeviceError or MalformedError."""
        async with self.turn:
            client = await self.connected()
            ask = client.read_holding_registers if block.function == 3 else client.read_input_registers
            # Called in there: without a connection pymodbus raises at the call, before anything is awaited.
            call = partial(ask, block.address, count=block.count, device_id=block.unit)
            return await self._answer(call, block.function, block.count)

    # Writing

    async def send(self, commands: Sequence[Command]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        silences = 0
        for command in commands:
            if silences >= SILENCES_PER_SWEEP:
                outcomes.append(Unreachable(f"{self.bus.name} fell silent while being written"))
                continue
            try:
                outcomes.append(await self._write_one(command))
            except NoAnswerError as silence:
                silences += 1
                outcomes.append(Unreachable(str(silence)))
        if silences and not any(isinstance(o, Written | Overridden | Refused) for o in outcomes):
            self.breaker.failed(f"{silences} writes without an answer")
        return outcomes

    async def _write_one(self, command: Command) -> Outcome:
        """Write a register and read it back: Modbus has no priorities, so the last one to write holds it."""
        wire = self.wires[command.point]
        unit = self.units[wire.device.unit]
        register, limits = register_of(wire), wire.measure.write
        assert limits is not None
        value = limits.release if command.value is None else command.value
        if unit.breaker.is_open:
            return Unreachable(f"unit {unit.number} does not answer: {unit.breaker.last_error}")
        if self.breaker.is_open:
            return Unreachable(f"{self.bus.name} does not answer: {self.breaker.last_error}")
        try:
            words = list(encode(register, value))
        except ValueError as fault:
            return Refused(str(fault))
        own = Block(unit.number, register.function, register.address, register.count, ((0, wire),))
        try:
            if not (limits.wears_flash and self._standing.get(command.point) == value):
                await self._put(unit.number, register.address, words, limits.function)
            found = decode(register, await self.request(own))
        except DeviceError as refusal:
            if refusal.code in _FROM_GATEWAY:
                return Unreachable(str(refusal))
            return Refused(str(refusal))
        except MalformedError as fault:
            return Unreachable(str(fault))
        except NoConnectionError:
            raise
        except NoAnswerError as silence:
            unit.breaker.failed(str(silence))
            raise
        unit.breaker.answered()
        self.breaker.answered()
        self._standing[command.point] = found
        if abs(found - value) <= step(register, value):
            return Written(value if command.value is not None else found)
        return Overridden(found if found == found else None, "the device")

    async def _put(self, unit: int, address: int, words: list[int], function: int) -> None:
        async with self.turn:
            client = await self.connected()
            if function == 6 and len(words) == 1:
                await self._answer(partial(client.write_register, address, words[0], device_id=unit), 6, None)
            else:
                await self._answer(partial(client.write_registers, address, words, device_id=unit), 16, None)

    # The connection

    async def connected(self) -> AsyncModbusTcpClient:
        """A connected client. Raises NoAnswerError when the gateway does not take the connection."""
        if self._client is not None and self._client.connected:
            return self._client
        self.discard()
        client = AsyncModbusTcpClient(
            self.bus.host, port=self.bus.port, timeout=self.timeout_s, retries=0, reconnect_delay=0
        )
        if not await client.connect():
            client.close()
            raise NoConnectionError(f"{self.bus.name} at {self.bus.address} does not take a connection")
        self._client = client
        return client

    def discard(self) -> None:
        """Throw the client away: nothing late or half-read may meet the next question."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _answer(self, call: Callable[[], Awaitable[Any]], function: int, count: int | None) -> list[int]:
        try:
            answer = await call()
        except (ModbusException, OSError) as fault:
            self.discard()
            raise NoAnswerError(f"{self.bus.name}: {fault}") from None
        except BaseException:
            self.discard()
            raise
        if answer.isError():
            raise DeviceError(answer.exception_code)
        if answer.function_code != function or (count is not None and len(answer.registers) != count):
            self.discard()
            raise MalformedError(
                f"asked function {function} for {count} registers; function {answer.function_code} with "
                f"{len(answer.registers)} came"
            )
        return list(answer.registers)

    # Probing

    def silent(self) -> list[Hashable]:
        if self.breaker.is_open:
            return [None]
        return [unit.number for unit in self.units.values() if unit.breaker.is_open]

    async def answers(self, which: Hashable) -> bool:
        """Read one unit; for the bus, the one that failed least: another stands for it the next time."""
        if isinstance(which, int):
            unit = self.units[which]
        else:
            unit = min(self.units.values(), key=lambda u: u.breaker.failures)
        if not await self.read_unit(unit):
            return False
        self.breaker.answered()
        return True

    async def close(self) -> None:
        async with self.turn:
            self.discard()
