"""Modbus/TCP frames: a question as bytes, and what an answer to it is worth. Pure: no socket, no clock.

Modbus Messaging on TCP/IP Implementation Guide V1.0b, clause 3.1.3 (the seven bytes before a function code); Modbus
Application Protocol V1.1b3, clauses 4.1 and 6 (functions, lengths, exceptions). An answer is only taken when
transaction, unit, function, byte count and length are those of the question; nothing else in it can be checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

_QUESTION = Struct(">HHHBBHH")
_HEAD = Struct(">HHHBB")
_BEFORE_REGISTERS = Struct(">HHHBBB")
HEAD_BYTES = 6  # transaction, protocol, length: what comes before the bytes that `length` counts
LONGEST = 254  # unit and a PDU of at most 253 bytes
EXCEPTIONS = {
    1: "illegal function", 2: "illegal address", 3: "illegal value", 4: "device failure", 5: "acknowledge",
    6: "device busy", 7: "negative acknowledge", 8: "memory parity error", 10: "gateway path unavailable",
    11: "gateway target did not answer",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A read of `count` registers from `address` of a unit; function 3 or 4. Equal only to itself: it is asked once."""

    unit: int
    function: int
    address: int
    count: int

    def frame(self, transaction: int) -> bytes:
        return _QUESTION.pack(transaction, 0, 6, self.unit, self.function, self.address, self.count)

    def head(self, transaction: int) -> bytes:
        """What a whole answer with registers begins with; the registers follow, and nothing else."""
        size = 2 * self.count
        return _BEFORE_REGISTERS.pack(transaction, 0, 3 + size, self.unit, self.function, size)

    @property
    def length(self) -> int:
        """Of such an answer, bytes."""
        return 9 + 2 * self.count


@dataclass(frozen=True, slots=True)
class Refusal:
    """An exception answer: the device is there and refuses."""

    code: int

    def __str__(self) -> str:
        return f"exception {self.code}: {EXCEPTIONS.get(self.code, 'unknown')}"


@dataclass(frozen=True, slots=True)
class Malformed:
    """An answer that does not fit the question."""

    why: str


@dataclass(frozen=True, slots=True)
class Stale:
    """An answer to another question, perhaps a late one: not ours, and the right one may still come."""


class BrokenStreamError(Exception):
    """What came is no Modbus: where the next frame starts cannot be known any more."""


def frame_length(data: bytes | bytearray) -> int | None:
    """How long the frame at the start of `data` is; None while that cannot be known. Raises BrokenStreamError."""
    if len(data) < HEAD_BYTES:
        return None
    protocol, length = data[2] << 8 | data[3], data[4] << 8 | data[5]
    if protocol != 0 or not 3 <= length <= LONGEST:
        raise BrokenStreamError(f"a frame of protocol {protocol} and length {length} came")
    return HEAD_BYTES + length


def answer(frame: bytes | bytearray, transaction: int, asked: Question) -> bytes | Refusal | Malformed | Stale:
    """The registers' bytes in a whole frame, two per register; or why there are none."""
    if len(frame) < 9:
        return Malformed(f"a frame of {len(frame)} bytes came")
    theirs, protocol, length, unit, function = _HEAD.unpack_from(frame)
    if theirs != transaction:
        return Stale()
    if protocol != 0 or length + HEAD_BYTES != len(frame):
        return Malformed(f"protocol {protocol} and length {length} stand over {len(frame)} bytes")
    if unit != asked.unit:
        return Malformed(f"asked unit {asked.unit}, unit {unit} answered")
    if function == asked.function | 0x80:
        if length != 3 or not frame[8]:
            return Malformed(f"an exception of {length} bytes, code {frame[8]}, came")
        return Refusal(frame[8])
    if function != asked.function:
        return Malformed(f"asked function {asked.function}, function {function} answered")
    if frame[8] != 2 * asked.count or length != 3 + 2 * asked.count:
        return Malformed(f"asked for {asked.count} registers, {frame[8]} bytes in a frame of {length} came")
    return bytes(frame[9:])
