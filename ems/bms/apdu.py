"""The BACnet services we live on, as bytes: ReadPropertyMultiple, ReadProperty where that is all, and WriteProperty.

Formats: ANSI/ASHRAE 135, clause 20.2 (encoding of tags) and clause 21 (the services). The library's own codec builds an
object per tag and reads 2 000 points a second; this one only knows the primitive values that points have, and takes
microseconds. Transactions, retries and segmentation stay with the library.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

READ_PROPERTY = 12
READ_PROPERTY_MULTIPLE = 14
WRITE_PROPERTY = 15
PRESENT_VALUE = 85
PRIORITY_ARRAY = 87
MAX_APDU_LENGTH_ACCEPTED = 62
DEVICE = 8  # object type

OBJECT_TYPES = {
    "analog-input": 0, "analog-output": 1, "analog-value": 2, "binary-input": 3, "binary-output": 4, "binary-value": 5,
    "multi-state-input": 13, "multi-state-output": 14, "multi-state-value": 19,
}  # fmt: skip


@dataclass(frozen=True)
class Property:
    """One property of one object: the object's type number and instance, and perhaps an index into an array."""

    object_type: int
    instance: int
    property: int = PRESENT_VALUE
    index: int | None = None


@dataclass(frozen=True)
class PropertyFault:
    """The device's own error in place of a value (ASHRAE 135, clause 18): error class and code."""

    error_class: int
    error_code: int

    def __str__(self) -> str:
        name = _ERROR_CODES.get(self.error_code, str(self.error_code))
        return f"error {name} (class {self.error_class})"


# The application tag of a present value: Real, Enumerated, Unsigned.
_TAGS = {kind: 4 if kind <= 2 else 9 if kind <= 5 else 2 for kind in OBJECT_TYPES.values()} | {
    8: 2
}  # a device's numbers
_REAL = struct.Struct(">f")
_ERROR_CODES = {
    9: "invalid data type", 25: "operational problem", 31: "unknown object", 32: "unknown property",
    36: "unsupported object type", 37: "value out of range", 40: "write access denied", 42: "invalid array index",
    50: "property is no array", 72: "value not initialized",
}  # fmt: skip
VALUE_NOT_INITIALIZED = 72

Value = float | None  # None is BACnet's Null: an empty slot


def read_request(properties: Iterable[Property]) -> bytes:
    """ReadPropertyMultiple-Request for properties, one read access specification each."""
    out = bytearray()
    for item in properties:
        out += struct.pack(">BI", 0x0C, item.object_type << 22 | item.instance)
        out += b"\x1e" + _unsigned(0, item.property)
        if item.index is not None:
            out += _unsigned(1, item.index)
        out += b"\x1f"
    return bytes(out)


class Reading:
    """A ReadPropertyMultiple compiled: its request, and its answer's values in the order of `wanted`."""

    def __init__(self, wanted: Sequence[Property]) -> None:
        self.wanted = tuple(wanted)
        self.request = read_request(wanted)
        self._heads = [
            struct.pack(">BIB", 0x0C, item.object_type << 22 | item.instance, 0x1E)
            + _unsigned(2, item.property)
            + (b"" if item.index is None else _unsigned(3, item.index))
            + b"\x4e"
            for item in self.wanted
        ]
        self._kinds = [
            (len(head), head, _TAGS[item.object_type]) for head, item in zip(self._heads, self.wanted, strict=True)
        ]

    def values(self, data: bytes) -> list[Value | PropertyFault]:
        """Raises ValueError when the answer is malformed, or is not to these properties, each once."""
        found: list[Value | PropertyFault] = []
        at, real = 0, _REAL.unpack_from
        try:
            for size, head, kind in self._kinds:
                if not data.startswith(head, at):
                    break
                at += size
                tag = data[at]
                if tag == 0x44 and kind == 4:
                    found.append(real(data, at + 1)[0])
                    at += 5
                elif tag == kind << 4 | 1:
                    found.append(float(data[at + 1]))
                    at += 2
                else:
                    break
                if data[at] != 0x4F or data[at + 1] != 0x1F:
                    break
                at += 2
        except (IndexError, struct.error) as error:
            raise ValueError(f"the answer ends in the middle: {error}") from None
        if len(found) == len(self.wanted) and at == len(data):
            return found
        return self._slowly(data)

    def _slowly(self, data: bytes) -> list[Value | PropertyFault]:
        known = read_answer(data)
        if known.keys() != set(self.wanted):
            other = next(iter(known.keys() - set(self.wanted)), None)
            raise ValueError("an answer for other objects came" if other else "not all that was asked was answered")
        return [known[item] for item in self.wanted]


def read_answer(data: bytes) -> dict[Property, Value | PropertyFault]:
    """What a ReadPropertyMultiple-ACK says about each property. Raises ValueError when it is malformed."""
    found: dict[Property, Value | PropertyFault] = {}
    at = 0
    try:
        while at < len(data):
            if data[at] != 0x0C or data[at + 5] != 0x1E:
                raise ValueError(f"byte {at} of the answer starts no object")
            identifier = int.from_bytes(data[at + 1 : at + 5], "big")
            at += 6
            while data[at] != 0x1F:
                number, at = _context_unsigned(data, at, 2)
                index = None
                if data[at] >> 4 == 3 and data[at] & 0x08 and data[at] & 7 < 6:
                    index, at = _context_unsigned(data, at, 3)
                item = Property(identifier >> 22, identifier & 0x3FFFFF, number, index)
                if data[at] == 0x4E:
                    if item in found:
                        raise ValueError(f"{item} is answered twice")
                    tag = data[at + 1] >> 4
                    value, at = _primitive(data, at + 1)
                    if data[at] != 0x4F:
                        raise ValueError(f"the value of {item} is no single number")
                    if tag not in (0, _TAGS.get(item.object_type), 5 if item.object_type <= 2 else 0):
                        raise ValueError(f"the value of {item} has application tag {tag}, which its type has not")
                    found[item] = value
                elif data[at] == 0x5E:
                    error_class, at = _primitive(data, at + 1)
                    error_code, at = _primitive(data, at)
                    if data[at] != 0x5F or error_class is None or error_code is None:
                        raise ValueError(f"the error of {item} is malformed")
                    found[item] = PropertyFault(int(error_class), int(error_code))
                else:
                    raise ValueError(f"byte {at} of the answer is neither value nor error")
                at += 1
            at += 1
    except (IndexError, struct.error) as error:
        raise ValueError(f"the answer ends in the middle: {error}") from None
    return found


def read_one_request(item: Property) -> bytes:
    """ReadProperty-Request, for a device that knows no ReadPropertyMultiple."""
    out = struct.pack(">BI", 0x0C, item.object_type << 22 | item.instance) + _unsigned(1, item.property)
    return out if item.index is None else out + _unsigned(2, item.index)


def read_one_answer(data: bytes, asked: Property) -> Value:
    """The value in a ReadProperty-ACK. Raises ValueError when it is malformed, or answers another question."""
    try:
        head = read_one_request(asked) + b"\x3e"
        if not data.startswith(head):
            raise ValueError("the answer is for another property")
        tag = data[len(head)] >> 4
        value, at = _primitive(data, len(head))
        if data[at] != 0x3F or at + 1 != len(data):
            raise ValueError("the value is no single number")
        if tag not in (0, _TAGS.get(asked.object_type), 5 if asked.object_type <= 2 else 0):
            raise ValueError(f"the value has application tag {tag}, which its type has not")
    except (IndexError, struct.error) as error:
        raise ValueError(f"the answer ends in the middle: {error}") from None
    return value


def write_request(item: Property, value: Value, priority: int) -> bytes:
    """WriteProperty-Request at a priority; None relinquishes. Raises ValueError for what the type cannot hold."""
    out = bytearray(struct.pack(">BI", 0x0C, item.object_type << 22 | item.instance))
    out += _unsigned(1, item.property)
    if item.index is not None:
        out += _unsigned(2, item.index)
    out += b"\x3e" + encode_value(item.object_type, value) + b"\x3f"
    return bytes(out) + _unsigned(4, priority)


def present_value(data: bytes, at: int, object_type: int) -> tuple[Value, int]:
    """The application-tagged present value of an object of this type at `at`, and where it ends.

    Raises ValueError for a type that it cannot have, IndexError or struct.error where it is cut off.
    """
    tag = data[at] >> 4
    value, end = _primitive(data, at)
    if tag not in (0, _TAGS.get(object_type), 5 if object_type <= 2 else 0):
        raise ValueError(f"a present value has application tag {tag}, which its type has not")
    return value, end


def error_of(body: bytes) -> PropertyFault:
    """Class and code in an Error-PDU of a read or a write. Raises ValueError when it is malformed."""
    try:
        error_class, at = _primitive(body, 0)
        error_code, at = _primitive(body, at)
    except (IndexError, struct.error) as error:
        raise ValueError(f"the error ends in the middle: {error}") from None
    if error_class is None or error_code is None or at != len(body):
        raise ValueError("the error is malformed")
    return PropertyFault(int(error_class), int(error_code))


def encode_value(object_type: int, value: Value) -> bytes:
    """The application-tagged present value of an object of this type: Real, Enumerated or Unsigned; None is Null."""
    if value is None:
        return b"\x00"
    if not math.isfinite(value):
        raise ValueError(f"{value} is no value to write")
    if object_type <= 2:
        try:
            return struct.pack(">Bf", 0x44, value)
        except OverflowError:
            raise ValueError(f"{value} does not fit a BACnet Real") from None
    number = int(value)
    if number != value or number < 0 or (object_type in (3, 4, 5) and number > 1):
        raise ValueError(f"{value} is no state; give {'0 or 1' if object_type <= 5 else '1, 2, 3...'}")
    size = max(1, (number.bit_length() + 7) // 8)
    return bytes([(0x90 if object_type <= 5 else 0x20) | size]) + number.to_bytes(size, "big")


def _unsigned(tag: int, number: int) -> bytes:
    size = max(1, (number.bit_length() + 7) // 8)
    return bytes([tag << 4 | 0x08 | size]) + number.to_bytes(size, "big")


def _context_unsigned(data: bytes, at: int, tag: int) -> tuple[int, int]:
    size = data[at] & 7
    if data[at] >> 4 != tag or not data[at] & 0x08 or not 1 <= size <= 4:
        raise ValueError(f"byte {at} of the answer is not context tag {tag}")
    end = at + 1 + size
    if end > len(data):
        raise IndexError(f"{end} of {len(data)} bytes")
    return int.from_bytes(data[at + 1 : end], "big"), end


def _primitive(data: bytes, at: int) -> tuple[Value, int]:
    """An application-tagged number or Null, and where it ends."""
    head = data[at]
    kind, size = head >> 4, head & 7
    if head & 0x08:
        raise ValueError(f"byte {at} of the answer is no application tag")
    if kind == 0:
        return None, at + 1
    if kind == 1:
        return float(size), at + 1  # a Boolean's length is its value
    if kind == 5 and size == 5 and data[at + 1] == 8:  # a Double announces its eight bytes
        return float(struct.unpack(">d", data[at + 2 : at + 10])[0]), at + 10
    end = at + 1 + size
    if size > 4 or end > len(data):
        raise ValueError(f"byte {at} of the answer holds no number")
    body = data[at + 1 : end]
    if kind in (2, 9):
        return float(int.from_bytes(body, "big")), end
    if kind == 3:
        return float(int.from_bytes(body, "big", signed=True)), end
    if kind == 4:
        return float(struct.unpack(">f", body)[0]), end
    raise ValueError(f"byte {at} of the answer has application tag {kind}, which is no number")
