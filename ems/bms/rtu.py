"""Modbus RTU frames: a question as bytes with its checksum, and what an answer to it is worth. Pure: no port, no clock.

MODBUS over Serial Line V1.02, clauses 2.2 (units), 2.3 and 2.5.1 (broadcast, framing, silent intervals, CRC). RTU has
no transaction numbers: an answer belongs to a question by unit, function and length alone, so that a late one from the
same unit must be kept away by waiting (see `serial_line`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ems.bms.frames import BrokenStreamError, Malformed, Question, Refusal, Stale

CHARACTER_BITS = 11  # start, eight, parity or a second stop, stop
LAST_UNIT = 247  # 0 is everybody, 248-255 are nobody
_FIXED_GAP_S = 0.00175  # above 19 200 baud


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_TABLE = _table()


def crc(data: bytes | bytearray) -> bytes:
    """The checksum as it stands on the wire, low byte first (clause 6.2.2)."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return struct.pack("<H", value)


def gap_s(baud: int) -> float:
    """How long the line is silent between two frames: 3.5 characters, and a fixed time on quick lines."""
    return _FIXED_GAP_S if baud > 19200 else 3.5 * CHARACTER_BITS / baud


def wire_s(count: int, baud: int) -> float:
    """How long so many bytes take on the line."""
    return count * CHARACTER_BITS / baud


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """A write of words from `address` of a unit; function 6 (one word) or 16."""

    unit: int
    function: int
    address: int
    words: tuple[int, ...]


def frame(asked: Question | Order) -> bytes:
    """The bytes of a question or an order. Raises ValueError for a unit that is everybody or nobody."""
    if not 1 <= asked.unit <= LAST_UNIT:
        raise ValueError(
            f"unit is {asked.unit}; on a serial line they are 1 to {LAST_UNIT}, and nobody is broadcast to"
        )
    head = struct.pack(">BBH", asked.unit, asked.function, asked.address)
    match asked:
        case Question(count=count):
            body = head + struct.pack(">H", count)
        case Order(function=6, words=(word,)):
            body = head + struct.pack(">H", word)
        case Order(words=words):
            body = head + struct.pack(f">HB{len(words)}H", len(words), 2 * len(words), *words)
    return body + crc(body)


def answer_bytes(asked: Question | Order) -> int:
    """How long the answer to it is, when nothing is refused."""
    return 5 + 2 * asked.count if isinstance(asked, Question) else 8


def frame_length(data: bytes | bytearray) -> int | None:
    """How long the answer at the start of `data` is by its own function and byte count; None while that is not known.

    Raises BrokenStreamError for a function that nobody was asked for.
    """
    if len(data) < 3:
        return None
    function = data[1]
    if function & 0x80:
        return 5
    if function in (3, 4):
        return 5 + data[2]
    if function in (6, 16):
        return 8
    raise BrokenStreamError(f"function {function} came, which nobody asked for")


def answer(data: bytes | bytearray, asked: Question | Order) -> bytes | Refusal | Malformed | Stale:
    """The registers' bytes in a whole frame (none for an order that was taken); or why there are none."""
    if len(data) < 5 or crc(data[:-2]) != data[-2:]:
        return Malformed(f"a frame of {len(data)} bytes came whose checksum is wrong")
    unit, function = data[0], data[1]
    if unit != asked.unit:
        return Stale()  # whole and right, and of another unit: late
    if function == asked.function | 0x80:
        return Refusal(data[2]) if len(data) == 5 and data[2] else Malformed(f"an exception of {len(data)} bytes came")
    if function != asked.function:
        return Malformed(f"asked function {asked.function}, function {function} answered")
    if isinstance(asked, Order):
        owed = frame(asked)[:6]
        if bytes(data[:6]) != owed:
            return Malformed(f"ordered {owed.hex(' ')}, {bytes(data[:6]).hex(' ')} was taken")
        return b""
    if data[2] != 2 * asked.count or len(data) != 5 + data[2]:
        return Malformed(f"asked for {asked.count} registers, {data[2]} bytes in a frame of {len(data)} came")
    return bytes(data[3:-2])
