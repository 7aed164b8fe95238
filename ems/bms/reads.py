"""The reading plan: which requests bring in all points of a bus, compiled once.

Registers are read in spans, and the holes between them along, as long as that costs less than another request: on TCP a
request is worth a hundred registers, on a serial line a dozen. Devices that answer holes with an exception (`no_gaps`)
are never asked for any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ems.bms.belief import Bounds
from ems.bms.codec import BlockCodec
from ems.bms.frames import Question
from ems.district import Register, Wire

GAP_REGISTERS = 100  # on TCP: a hole wider than this costs more than a second request
TURNAROUND_S = 0.005  # how long a device on a serial line thinks before it answers
OBJECT_BYTES = 18  # in an answer: a Real in a slot of a priority array, the longest that we ask for
APDU_BYTES = 480  # where a station does not say what it takes: the longest that fits an MS/TP frame


@dataclass(frozen=True)
class Block:
    """One Modbus request, and the wires it answers. Offsets count from `address`."""

    unit: int
    function: int
    address: int
    count: int
    wires: tuple[tuple[int, Wire], ...]

    @cached_property
    def question(self) -> Question:
        return Question(self.unit, self.function, self.address, self.count)

    @cached_property
    def limits(self) -> tuple[tuple[str, float, float], ...]:
        """Each point with the range within which its value is good at once."""
        bounds = [(wire.point, Bounds(wire.measure.minimum, wire.measure.maximum)) for _, wire in self.wires]
        return tuple((point, bound.low, bound.high) for point, bound in bounds)

    @cached_property
    def codec(self) -> BlockCodec:
        return BlockCodec([(offset, register_of(wire)) for offset, wire in self.wires], self.count)

    @cached_property
    def coded(self) -> tuple[tuple[int, Wire], ...]:
        """Those that show a state by a code of the device's own."""
        return tuple((offset, wire) for offset, wire in self.wires if register_of(wire).states)

    def single(self) -> tuple[Block, ...]:
        """The same points, a request each: for a device that refuses the span."""
        return tuple(
            Block(self.unit, self.function, self.address + offset, register_of(wire).count, ((0, wire),))
            for offset, wire in self.wires
        )


def register_of(wire: Wire) -> Register:
    """The Modbus register of a wire. Raises TypeError for a BACnet point."""
    if not isinstance(wire.measure, Register):
        raise TypeError(f"{wire.point} is a BACnet object, not a register")
    return wire.measure


def blocks(wires: Iterable[Wire]) -> dict[int, tuple[Block, ...]]:
    """The fewest Modbus requests per unit that read all the wires of one bus."""
    groups: dict[tuple[int, int], list[Wire]] = defaultdict(list)
    for wire in wires:
        groups[wire.device.unit, register_of(wire).function].append(wire)
    plan: dict[int, list[Block]] = defaultdict(list)
    for (unit, function), members in sorted(groups.items(), key=lambda item: item[0]):
        members.sort(key=lambda wire: register_of(wire).address)
        span: list[Wire] = []
        for wire in members:
            if span and not _joins(span, wire):
                plan[unit].append(_block(unit, function, span))
                span = []
            span.append(wire)
        plan[unit].append(_block(unit, function, span))
    return {unit: tuple(items) for unit, items in plan.items()}


def objects_in(apdu_bytes: int) -> int:
    """How many objects fit one ReadPropertyMultiple and its answer, by the longest APDU of the station."""
    return max(1, (apdu_bytes - 3) // OBJECT_BYTES)  # a question takes less than its answer


def gap_registers(baud: int | None) -> int:
    """How wide a hole is worth reading along; `baud` is that of the serial line, None for TCP alone.

    A request more costs 8 bytes of question, 5 around its answer, twice 3.5 characters of silence (Modbus over Serial
    Line V1.02, clause 2.5.1) and the device's turnaround; a register costs 2 bytes. A character has 11 bits.
    """
    if baud is None:
        return GAP_REGISTERS
    character_s = 11 / baud
    return round(((8 + 5 + 7) * character_s + TURNAROUND_S) / (2 * character_s))


def batches(wires: Sequence[Wire], size: int) -> tuple[tuple[Wire, ...], ...]:
    """The wires of a BACnet station in groups that fit one ReadPropertyMultiple and its answer."""
    if size < 1:
        raise ValueError(f"size is {size}; a batch holds at least one object")
    return tuple(tuple(wires[i : i + size]) for i in range(0, len(wires), size))


def _joins(span: Sequence[Wire], wire: Wire) -> bool:
    first, last, register = register_of(span[0]), register_of(span[-1]), register_of(wire)
    gap = register.address - (last.address + last.count)
    allowed = 0 if wire.device.type.no_gaps else gap_registers(wire.bus.baud)
    return (
        0 <= gap <= allowed and register.address + register.count - first.address <= wire.device.type.maximum_registers
    )


def _block(unit: int, function: int, span: Sequence[Wire]) -> Block:
    start = register_of(span[0]).address
    last = register_of(span[-1])
    offsets = tuple((register_of(wire).address - start, wire) for wire in span)
    return Block(unit, function, start, last.address + last.count - start, offsets)
