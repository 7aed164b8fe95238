"""A Modbus gateway with its units on a socket of its own, or the units of a serial line.

pymodbus carries the protocol; what the units hold is answered here, from the device files and the world, instead of by
its register blocks, whose layout rules have traps (holes, string lengths, unknown units as device failures).
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from ems.bms.codec import BlockCodec, decode, encode, step
from ems.bms.reads import register_of
from ems.district import Bus, Register, Wire
from ems.simulate.plant.cars import FULL, WAITING
from ems.simulate.servers.plant import Plant

_WRITE_FUNCTIONS = (6, 16, 22, 23)


@dataclass
class _Command:
    """What somebody wrote into a register, and when, in site time."""

    value: float
    at: datetime


@dataclass
class _Unit:
    """One device: the registers that are read, by function, those that are written, and what was written into them."""

    no_gaps: bool
    registers: dict[int, list[tuple[Register, Wire]]]
    written: list[tuple[Register, Wire]]
    commands: dict[str, _Command] = field(default_factory=dict)
    spans: dict[tuple[int, int, int], list[tuple[int, Register, Wire]] | None] = field(default_factory=dict)
    blocks: dict[tuple[int, int, int], BlockCodec | None] = field(default_factory=dict)

    def span(self, function: int, address: int, count: int) -> list[tuple[int, Register, Wire]] | None:
        """The registers that a request touches, with their offsets in it; None where the device has a hole or ends."""
        key = (function, address, count)
        if key not in self.spans:
            self.spans[key] = self._find(function, address, count)
        return self.spans[key]

    def taken(self, address: int, count: int) -> list[tuple[int, Register, Wire]] | None:
        """The registers that a write fills, with their offsets in it; None where it fills less, or anything else."""
        touched = [(r.written_address - address, r, w) for r, w in self.written]
        touched = [(offset, r, w) for offset, r, w in touched if -r.count < offset < count]
        inside = all(0 <= offset <= count - r.count for offset, r, _ in touched)
        return touched if inside and sum(r.count for _, r, _ in touched) == count else None

    def block(self, function: int, address: int, count: int) -> BlockCodec | None:
        """What writes the words of a span at once; None where it cuts a register in two, or two share a word."""
        key = (function, address, count)
        if key not in self.blocks:
            touched = self.span(*key) or []
            inside = all(offset >= 0 and offset + r.count <= count for offset, r, _ in touched)
            apart = all(a + one.count <= b for (a, one, _), (b, _, _) in pairwise(touched))
            self.blocks[key] = BlockCodec([(o, r) for o, r, _ in touched], count) if inside and apart else None
        return self.blocks[key]

    def _find(self, function: int, address: int, count: int) -> list[tuple[int, Register, Wire]] | None:
        known = self.registers.get(function, [])
        if not known:
            return None
        end = address + count
        first, last = known[0][0].address, known[-1][0].address + known[-1][0].count
        touched = [(r.address - address, r, w) for r, w in known if r.address < end and address < r.address + r.count]
        covered = sum(min(end, r.address + r.count) - max(address, r.address) for _, r, _ in touched)
        if address < first or end > last or (self.no_gaps and covered < count):
            return None
        return touched


class Gateway:
    """The units of one bus. `silent`, `delay_s` and `failing` are faults on demand."""

    def __init__(self, bus: Bus, wires: Sequence[Wire], plant: Plant) -> None:
        self.bus = bus
        self.plant = plant
        self.silent = False
        self.failing = False
        self.delay_s = 0.0
        self._units: dict[int, _Unit] = {}
        layout: dict[int, dict[int, list[tuple[Register, Wire]]]] = defaultdict(lambda: defaultdict(list))
        for wire in wires:
            register = register_of(wire)
            layout[wire.device.unit][register.function].append((register, wire))
        for wire in wires:
            unit = wire.device.unit
            if unit not in self._units:
                for members in layout[unit].values():
                    members.sort(key=lambda item: item[0].address)
                self._units[unit] = _Unit(wire.device.type.no_gaps, dict(layout[unit]), [])
            if wire.writable:
                self._units[unit].written.append((register_of(wire), wire))
        self._watched = [w for w in wires if w.writable and w.device.type.watchdog is not None]
        self._server: ModbusTcpServer | ModbusSerialServer | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        nothing = SimDevice(id=0, simdata=[SimData(0, values=[0], datatype=DataType.REGISTERS)])
        line = self.bus.serial
        server: ModbusTcpServer | ModbusSerialServer
        if line is None:
            server = ModbusTcpServer([nothing], address=(self.bus.host, self.bus.port), ignore_missing_devices=False)
        else:  # on a line nobody answers for a unit that is not there
            server = ModbusSerialServer(
                [nothing], framer=FramerType.RTU, port=line.port, baudrate=line.baud, parity=line.parity[0].upper(),
                stopbits=line.stop_bits, ignore_missing_devices=True,
            )  # fmt: skip
        server.context = self
        try:
            await server.serve_forever(background=True)
        except RuntimeError as fault:
            raise OSError(f"{self.bus.name}: {self.bus.address} cannot be taken: {fault}") from None
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()
            self._server = None

    def tick(self) -> None:
        """Let commands fall back that were not repeated within their device's time-out."""
        for wire in self._watched:
            watchdog, commands = wire.device.type.watchdog, self._units[wire.device.unit].commands
            command = commands.get(wire.point)
            if watchdog is None or watchdog.kind != "rewrite" or command is None:
                continue
            if self.plant.now - command.at >= timedelta(seconds=watchdog.timeout_s):
                del commands[wire.point]
                self.plant.command(wire.point, _release(wire))

    def commanded(self, wire: Wire) -> float | None:
        """What somebody last wrote into a register and still stands, or None."""
        command = self._units[wire.device.unit].commands.get(wire.point)
        return None if command is None else command.value

    # What pymodbus asks of a context

    def device_ids(self) -> list[int]:
        return list(self._units)

    async def async_getValues(  # noqa: N802 - pymodbus' name
        self, device_id: int, func_code: int, address: int, count: int = 1
    ) -> list[int] | ExcCodes:
        """The words of a read, or the exception that the device answers."""
        unit = await self._reach(device_id)
        if self.failing:
            return ExcCodes.DEVICE_FAILURE
        if func_code == 6 and (echoed := unit.taken(address, count)):  # pymodbus asks what to answer to a write
            return [word for _, register, wire in echoed for word in encode(register, self._shown(unit, wire))]
        span = (3 if func_code in _WRITE_FUNCTIONS else func_code, address, count)
        touched, block = unit.span(*span), unit.block(*span)
        if not touched:
            return ExcCodes.ILLEGAL_FUNCTION if func_code in (1, 2) else ExcCodes.ILLEGAL_ADDRESS
        if block is not None:
            try:
                return list(block.words([self._shown(unit, wire) for _, _, wire in touched]))
            except ValueError:
                return ExcCodes.DEVICE_FAILURE  # no value, and no way to say so in this register
        words = [0] * count
        for offset, register, wire in touched:
            try:
                encoded = encode(register, self._shown(unit, wire))
            except ValueError:
                return ExcCodes.DEVICE_FAILURE
            for i, word in enumerate(encoded):
                if 0 <= offset + i < count:
                    words[offset + i] = word
        return words

    async def async_setValues(  # noqa: N802 - pymodbus' name
        self, device_id: int, func_code: int, address: int, values: list[int]
    ) -> ExcCodes | None:
        """Take a write whole or not at all: whole registers, writable, within their limits."""
        unit = await self._reach(device_id)
        if self.failing:
            return ExcCodes.DEVICE_FAILURE
        if func_code not in _WRITE_FUNCTIONS:
            return ExcCodes.ILLEGAL_FUNCTION
        touched = unit.taken(address, len(values))
        if not touched:
            return ExcCodes.ILLEGAL_ADDRESS
        taken: list[tuple[Wire, float]] = []
        for offset, register, wire in touched:
            limits = wire.measure.write
            assert limits is not None  # `taken` gives writable ones alone
            value = decode(register, values[offset : offset + register.count])
            slack = step(register, value)
            if not math.isfinite(value) or not limits.minimum - slack <= value <= limits.maximum + slack:
                return ExcCodes.ILLEGAL_VALUE
            taken.append((wire, value))
        for wire, value in taken:
            before = unit.commands.get(wire.point)
            unit.commands[wire.point] = _Command(value, self.plant.now)
            if before is None or before.value != value:
                self.plant.command(wire.point, value)
        return None

    async def _reach(self, number: int) -> _Unit:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        server = self._server
        if server is not None:
            server.ignore_missing_devices = self.silent or self.bus.serial is not None
        if self.silent or number not in self._units:
            raise NoSuchIdException(f"unit {number}")
        return self._units[number]

    def _shown(self, unit: _Unit, wire: Wire) -> float:
        """What a register shows: a writable one what stands in it, another what the world says."""
        if wire.writable:
            command = unit.commands.get(wire.point)
            return _release(wire) if command is None else command.value
        value = float(self.plant.values[self.plant.index[wire.point]])
        states = register_of(wire).states
        if value == FULL and states and wire.quantity == "state_mode" and FULL not in states.values():
            return float(WAITING)  # a charger without a code for a full car shows one that is plugged in
        return value


def _release(wire: Wire) -> float:
    assert wire.measure.write is not None
    return wire.measure.write.release
