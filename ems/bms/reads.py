"""The reading plan: which requests bring in all points of a bus, compiled once.

A request costs about as much as a hundred registers on TCP, so registers are read in spans and the holes between them
are read along, except on devices that answer holes with an exception (`no_gaps`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ems.district import Register, Wire

GAP_REGISTERS = 100  # a hole wider than this costs more than a second request
BATCH_OBJECTS = 50  # 16 bytes each in the answer: fits an APDU of 1024 bytes


@dataclass(frozen=True)
class Block:
    """One Modbus request, and the wires it answers. Offsets count from `address`."""

    unit: int
    function: int
    address: int
    count: int
    wires: tuple[tuple[int, Wire], ...]

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


def batches(wires: Sequence[Wire], size: int = BATCH_OBJECTS) -> tuple[tuple[Wire, ...], ...]:
    """The wires of a BACnet station in groups that fit one ReadPropertyMultiple and its answer."""
    if size < 1:
        raise ValueError(f"size is {size}; a batch holds at least one object")
    return tuple(tuple(wires[i : i + size]) for i in range(0, len(wires), size))


def _joins(span: Sequence[Wire], wire: Wire) -> bool:
    first, last, register = register_of(span[0]), register_of(span[-1]), register_of(wire)
    gap = register.address - (last.address + last.count)
    allowed = 0 if wire.device.type.no_gaps else GAP_REGISTERS
    return gap <= allowed and register.address + register.count - first.address <= wire.device.type.maximum_registers


def _block(unit: int, function: int, span: Sequence[Wire]) -> Block:
    start = register_of(span[0]).address
    last = register_of(span[-1])
    offsets = tuple((register_of(wire).address - start, wire) for wire in span)
    return Block(unit, function, start, last.address + last.count - start, offsets)
