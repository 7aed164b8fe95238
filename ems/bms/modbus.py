"""Modbus: blocks in, registers out, one request in flight and one connection per gateway or serial line.

Reads go over our own framing (`connection`, `serial_line`), several times as fast; over TCP writes with their
read-back go through pymodbus, and with `library_reads` everything does: tests hold both equal. Many gateways serve one
connection only, so the one is closed before the other opens. pymodbus keeps its transaction counter and a count of
silences per client and may close the connection of healthy units behind the same gateway, so a client that failed is
thrown away and a new one connects; its own retries are off.
"""

from __future__ import annotations

import logging
import math
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, assert_never

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from ems.bms.codec import code, encode, step
from ems.bms.connection import Connection, Transactions
from ems.bms.frames import EXCEPTIONS, Malformed, Question, Refusal
from ems.bms.health import Breaker, Patience
from ems.bms.line import Line, NoAnswerError
from ems.bms.reads import Block, blocks, register_of
from ems.bms.rtu import Order
from ems.bms.serial_line import SerialLine
from ems.bms.train import Answer, Asked, Silence, Train
from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Written
from ems.district import Bus, Wire
from ems.points import Quality, Sample

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # what it says, the health of the bus says too

TIMEOUT_S = 1.0
SILENCES_PER_SWEEP = 2  # then the rest of the bus waits for the next sweep
_FROM_GATEWAY = (10, 11)
_GOOD = Quality.GOOD  # looked up once: a sweep needs it for every point


class DeviceError(Exception):
    """A Modbus exception answer: the device is there and refuses."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}: {EXCEPTIONS.get(code, 'unknown')}")
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
        self.blocks = self.plan = plan
        self.mute = False  # whether it leaves spans unanswered while it answers others: a probe asks for them again
        self.breaker = Breaker()

    def split(self, block: Block) -> tuple[Block, ...]:
        """Remember that this device refuses a span, and read its points singly from now on."""
        singles = block.single()
        self.blocks = tuple(b for old in self.blocks for b in (singles if old is block else (old,)))
        return singles

    def put_last(self, block: Block) -> None:
        """A span was not answered: the next time others show first whether the device is there at all."""
        if block in self.blocks:
            self.blocks = (*(b for b in self.blocks if b is not block), block)

    def leave_out(self, block: Block) -> None:
        """A span that is not answered while others are is no silence of the device."""
        self.blocks = tuple(b for b in self.blocks if b is not block)
        self.mute = True


class ModbusLine(Line):
    """A gateway and the units behind it."""

    def __init__(
        self,
        bus: Bus,
        wires: Sequence[Wire],
        patience: Patience,
        timeout_s: float = TIMEOUT_S,
        *,
        library_reads: bool = False,
    ) -> None:
        super().__init__(bus, wires, patience)
        self.timeout_s = timeout_s
        self.library_reads = library_reads
        self.units = {number: Unit(number, plan) for number, plan in blocks(wires).items()}
        self._connection: Train | None = None
        self._transactions = Transactions()
        self._early: dict[Question, Answer] = {}  # answers of the running sweep's train that nobody has looked at yet
        self._train: list[Block] = []  # of the sweep that began without anybody waiting
        self._questions: list[Question] = []
        self._steady = False  # the last train brought in everything, and nothing has gone wrong since: it goes again
        self._answers: list[Answer] = []  # to it, once it has ended
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None

    # Reading

    async def begin(self, now: datetime, ended: Callable[[], None]) -> bool:
        """See `Line.begin`. A healthy gateway is read from callback to callback: a task for each of hundreds costs
        more than all their requests.
        """
        connection = self._connection
        self._early.clear()
        if connection is None or not connection.is_open or self.turn.locked() or self.breaker.is_open:
            return False
        await self.turn.acquire()  # nobody holds it: this does not wait
        self._site_now = now
        if not self._steady:
            self._train = [block for unit in self._willing() for block in unit.blocks]
            self._questions = [block.question for block in self._train]

        def through(answers: list[Answer]) -> None:
            self.turn.release()
            self._answers = answers
            ended()

        connection.begin(self._questions, through)
        return True

    def finish(self) -> dict[str, Sample] | None:
        """See `Line.finish`. Answers that are no registers wait for `read` and are not asked for again."""
        samples: dict[str, Sample] = {}
        for block, answer in zip(self._train, self._answers, strict=False):
            if not isinstance(answer, bytes):
                break
            samples |= self._samples(block, answer)
        if len(samples) < len(self.wires):
            self._early = dict(zip(self._questions, self._answers, strict=False))
            return None
        if not self._steady or self.breaker.failures:
            self._steady = True
            for unit in self.units.values():
                unit.breaker.answered()
            self.breaker.answered()
            self.note_health()
        return samples

    def _willing(self) -> list[Unit]:
        """The units to be asked, doubtful ones last: the healthy ones are read whatever happens."""
        willing = [unit for unit in self.units.values() if not unit.breaker.is_open]
        willing.sort(key=lambda unit: unit.breaker.failures)
        return willing

    async def sweep(self) -> dict[str, Sample]:
        self._steady = False
        willing = self._willing()
        if not self._early:
            await self._ask_ahead(willing)
        try:
            return await self._gather(willing)
        finally:
            self._early.clear()

    async def _gather(self, willing: list[Unit]) -> dict[str, Sample]:
        """The samples of units whose answers came early, and of the others by asking again."""
        samples: dict[str, Sample] = {}
        silences, why = 0, ""
        willing.sort(key=self._still_asks)  # what has answered is taken, whatever the others do
        waiting = deque(willing)
        while waiting and silences < SILENCES_PER_SWEEP:
            unit = waiting.popleft()
            if unit.breaker.is_open:
                continue  # a probe or a write found out meanwhile
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
        for block in unit.blocks:
            try:
                samples.update(await self.read_block(unit, block))
            except NoConnectionError:
                raise  # the gateway's fault, not the unit's
            except NoAnswerError as silence:
                unit.breaker.failed(str(silence))
                if not samples or not unit.breaker.is_open:
                    unit.put_last(block)
                    raise
                unit.leave_out(block)
        if samples:
            unit.breaker.answered()
        else:
            unit.breaker.failed(unit.breaker.last_error)
        return samples

    async def read_block(self, unit: Unit, block: Block) -> dict[str, Sample]:
        """Samples of one block. An exception answer for a span is asked again point by point."""
        try:
            data = await self.request(block)
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
        return self._samples(block, data)

    def _samples(self, block: Block, data: bytes) -> dict[str, Sample]:
        now = self.now
        samples = {
            point: Sample(value, _GOOD, now) if low <= value <= high else self.sample(point, value)
            for (point, low, high), value in zip(block.limits, block.codec.values(data), strict=True)
        }
        for offset, wire in block.coded:
            if samples[wire.point].value is None:  # which code it was that means nothing here
                register = register_of(wire)
                words = struct.unpack_from(f">{register.count}H", data, 2 * offset)
                samples[wire.point] = Sample(None, Quality.MISSING, now, code(register, words))
        return samples

    async def request(self, block: Block) -> bytes:
        """The registers of a block, two bytes each. Raises NoAnswerError, DeviceError or MalformedError."""
        if self.library_reads:
            return await self._request_by_library(block)
        answer = self._early.pop(block.question, None)
        return await self._ask(block.question) if answer is None else self._words(answer)

    async def _ask(self, asked: Asked) -> bytes:
        async with self.turn:
            (answer,) = await (await self._reader()).ask((asked,))
        return self._words(answer)

    def _words(self, answer: Answer) -> bytes:
        match answer:
            case bytes():
                return answer
            case Refusal(code):
                raise DeviceError(code)
            case Malformed(why):
                raise MalformedError(why)
            case Silence():
                raise NoAnswerError(f"{self.bus.name}: {answer}")
            case _:
                assert_never(answer)

    async def _ask_ahead(self, units: Iterable[Unit]) -> None:
        """All blocks of a sweep in one train, as far as it comes; `request` looks its answers up."""
        if self.library_reads:
            return
        train = [block.question for unit in units for block in unit.blocks]
        async with self.turn:
            answers = await (await self._reader()).ask(train)
        self._early.update(zip(train, answers, strict=False))

    def _still_asks(self, unit: Unit) -> bool:
        """Whether the train left a unit with anything to ask again."""
        return not all(isinstance(self._early.get(block.question), bytes) for block in unit.blocks)

    async def _request_by_library(self, block: Block) -> bytes:
        async with self.turn:
            client = await self.connected()
            ask = client.read_holding_registers if block.function == 3 else client.read_input_registers
            # Called in there: without a connection pymodbus raises at the call, before anything is awaited.
            call = partial(ask, block.address, count=block.count, device_id=block.unit)
            words = await self._answer(call, block.function, block.count)
        return struct.pack(f">{len(words)}H", *words)

    # Writing

    async def send(self, commands: Sequence[Command]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        silences = 0
        for command in commands:
            if silences >= SILENCES_PER_SWEEP:
                outcomes.append(Unreachable(f"{self.bus.name} fell silent while being written", sent=False))
                continue
            if (why := self.guard(command)) is not None:
                outcomes.append(Refused(why))
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
        """Write a register and read back what stands then, where the device shows it: Modbus has no priorities, so the
        last one to write holds it.
        """
        wire = self.wires[command.point]
        unit = self.units[wire.device.unit]
        register, limits = register_of(wire), wire.measure.write
        assert limits is not None
        value = limits.release if command.value is None else command.value
        if unit.breaker.is_open:
            return Unreachable(f"unit {unit.number} does not answer: {unit.breaker.last_error}", sent=False)
        if self.breaker.is_open:
            return Unreachable(f"{self.bus.name} does not answer: {self.breaker.last_error}", sent=False)
        try:
            words = list(encode(register, value))
        except ValueError as fault:
            return Refused(str(fault))
        own = Block(unit.number, register.function, register.address, register.count, ((0, wire),))
        taken = False
        try:
            # Flash wears with each write: what stands there already, whoever put it there, is not put there again.
            stands = await self._holds(own) if limits.wears_flash else math.nan
            if not abs(stands - value) <= step(register, value):
                await self._put(unit.number, register.written_address, words, limits.function)
                taken = True
                stands = await self._holds(own)
        except DeviceError as refusal:
            if refusal.code in _FROM_GATEWAY:
                return Unreachable(str(refusal))
            if taken:  # a register that cannot be read stands all the same
                return Unreachable(f"written, but {wire.point} could not be read back: {refusal}")
            return Refused(str(refusal))
        except MalformedError as fault:
            return Unreachable(str(fault))
        except NoConnectionError:
            raise
        except NoAnswerError as silence:
            self._steady = False
            unit.breaker.failed(str(silence))
            raise
        unit.breaker.answered()
        self.breaker.answered()
        if abs(stands - value) <= step(register, value):
            return Written(value if command.value is not None else stands)
        return Overridden(None if math.isnan(stands) else stands, "the device")

    async def _put(self, unit: int, address: int, words: list[int], function: int) -> None:
        if function == 6 and len(words) > 1:
            function = 16
        if self.bus.serial is not None and not self.library_reads:
            await self._ask(Order(unit, function, address, tuple(words)))
            return
        async with self.turn:
            client = await self.connected()
            if function == 6:
                await self._answer(partial(client.write_register, address, words[0], device_id=unit), 6, None)
            else:
                await self._answer(partial(client.write_registers, address, words, device_id=unit), 16, None)

    # The connection

    async def _holds(self, block: Block) -> float:
        """What a register holds, NaN when it says nothing, over the connection of the write: to open another one costs
        more. A serial line has only the one.
        """
        data = await (self._request_by_library(block) if self.bus.serial is None else self.request(block))
        (value,) = block.codec.values(data)
        return value

    async def connected(self) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        """A connected client. Raises NoAnswerError when the gateway does not take the connection."""
        if self._client is not None and self._client.connected:
            return self._client
        self.discard()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        client = self._new_client()
        if not await client.connect():
            client.close()
            raise NoConnectionError(f"{self.bus.name} at {self.bus.address} does not take a connection")
        self._client = client
        return client

    def _new_client(self) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        line = self.bus.serial
        if line is None:
            return AsyncModbusTcpClient(
                self.bus.host, port=self.bus.port, timeout=self.timeout_s, retries=0, reconnect_delay=0
            )
        return AsyncModbusSerialClient(
            line.port, baudrate=line.baud, parity=line.parity[0].upper(), stopbits=line.stop_bits,
            timeout=self.timeout_s, retries=0, reconnect_delay=0,
        )  # fmt: skip

    async def _reader(self) -> Train:
        """Our own connection. Raises NoConnectionError when the gateway, or the port, does not take it."""
        if self._connection is None or not self._connection.is_open:
            self.discard()
            try:
                if self.bus.serial is not None:
                    self._connection = SerialLine.open(self.bus, self.timeout_s)
                else:
                    self._connection = await Connection.connect(
                        self.bus.host, self.bus.port, self._transactions, self.timeout_s
                    )
            except OSError as fault:
                raise NoConnectionError(
                    f"{self.bus.name} at {self.bus.address} does not take a connection: {fault}"
                ) from None
        return self._connection

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

    async def identity(self, wire: Wire) -> dict[str, str]:
        """Read Device Identification (function 43/14), which few devices know."""
        if self.breaker.is_open:
            return {}
        try:
            async with self.turn:
                client = await self.connected()
                answer = await client.read_device_information(read_code=1, object_id=0, device_id=wire.device.unit)
        except (NoAnswerError, ModbusException, OSError):
            self.discard()
            return {}
        told = {} if answer.isError() else getattr(answer, "information", {})
        return {
            name: text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
            for number, name in enumerate(("vendor", "product", "revision"))
            if (text := told.get(number))
        }

    # Probing

    def silent(self) -> list[Hashable]:
        if self.breaker.is_open:
            return [None]
        return [unit.number for unit in self.units.values() if unit.breaker.is_open or unit.mute]

    async def answers(self, which: Hashable) -> bool:
        """Read one unit; for the bus, the one that failed least: another stands for it the next time."""
        if isinstance(which, int):
            unit = self.units[which]
        else:
            unit = min(self.units.values(), key=lambda u: u.breaker.failures)
        self._steady = False
        unit.blocks, unit.mute = unit.plan, False  # what comes back may be another device: its spans are tried again
        try:
            found = await self.read_unit(unit)
        except NoAnswerError:
            if unit.breaker.is_open:
                raise
            found = await self.read_unit(unit)  # one lost answer, or a span that goes on unanswered
        if not found:
            return False
        self.breaker.answered()
        return not unit.mute

    async def close(self) -> None:
        async with self.turn:
            self.discard()
            if self._connection is not None:
                self._connection.close()
                self._connection = None
