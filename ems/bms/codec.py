"""Between a Modbus register and a value: words on the wire, raw number, value in the unit of the point's name.

raw x scale = value, where raw may be some bits of the register. Codes of states are looked up, and one that the device
file does not know is no value. An integer takes the nearest raw step; what does not fit is refused, never clipped or
wrapped.
Bytes are big-endian within a word, as Modbus says; the order of words is the device type's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import itemgetter
from struct import Struct, error

from ems.district import Register

_FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
    "float32": "f", "float64": "d",
}  # fmt: skip
_VALUES = {kind: Struct(">" + letter) for kind, letter in _FORMATS.items()}
_WORDS = {kind: Struct(f">{packer.size // 2}H") for kind, packer in _VALUES.items()}


def decode(register: Register, words: Sequence[int]) -> float:
    """The value of a register, in the unit of its point's name; NaN when the device says it has none, and for a code of
    which the device file does not say what it means.

    Raises ValueError when there are not as many words as the type takes.
    """
    raw = _raw(register, words)
    return math.nan if raw == register.nan else _meaning(register, raw)


def code(register: Register, words: Sequence[int]) -> float:
    """The number in a register, or in its bits, before anything is made of it. Raises as `decode`."""
    return _cut(register, _raw(register, words))


def _raw(register: Register, words: Sequence[int]) -> float:
    if len(words) != register.count:
        raise ValueError(f"{register.type} takes {register.count} words and {len(words)} came")
    ordered = words if register.words == "big" else words[::-1]
    raw: float = _VALUES[register.type].unpack(_WORDS[register.type].pack(*ordered))[0]
    return raw


def _cut(register: Register, raw: float) -> float:
    if register.bits is None:
        return raw
    return int(raw) >> register.bits[0] & (1 << register.width) - 1


def _meaning(register: Register, raw: float) -> float:
    number = _cut(register, raw)
    if register.states:
        return float(register.states.get(int(number), math.nan))
    return float(number * register.scale) + 0.0  # -0.0 with a negative scale is just 0


def encode(register: Register, value: float) -> tuple[int, ...]:
    """The words for a value; NaN becomes the device's own sign for "not available". Of several codes for a state it is
    the lowest, and bits that are not the value's are 0: only a simulated device encodes those.

    Raises ValueError for infinity, for NaN where the type has no sign for it, for a value outside the type's range, for
    a state without a code, and for one that would be read as "not available".
    """
    packed = _VALUES[register.type]
    raw: float | int
    if math.isnan(value):
        if register.type.startswith("float"):
            raw = math.nan
        elif register.nan is not None:
            raw = register.nan
        else:
            raise ValueError(f"NaN has no place in {register.type} without a nan sentinel")
    elif math.isinf(raw := value / register.scale):
        raise ValueError(f"{value} at scale {register.scale} is infinite; no register holds that")
    else:
        if not register.type.startswith("float"):
            raw = _placed(register, round(raw))
            if raw == register.nan:
                raise ValueError(f"{value} would be read as not available; raw {raw} is the nan sentinel")
    try:
        words = _WORDS[register.type].unpack(packed.pack(raw))
    except (error, OverflowError) as fault:
        raise ValueError(f"{value} at scale {register.scale} does not fit {register.type}: {fault}") from None
    return words if register.words == "big" else words[::-1]


def _placed(register: Register, number: int) -> int:
    """The raw integer that shows a number in the bits of a register."""
    if register.states:
        codes = [code for code, state in register.states.items() if state == number]
        if not codes:
            raise ValueError(f"no code means state {number}; there are codes for {sorted({*register.states.values()})}")
        number = min(codes)
    if register.bits is None:
        return number
    if not 0 <= number < 1 << register.width:
        raise ValueError(f"{number} does not fit bits {register.bits[0]} to {register.bits[1]}")
    return number << register.bits[0]


class BlockCodec:
    """The registers of one block, compiled: between the words of an answer and values in the units of their points.

    `registers` with their offsets in words from the block's start, in order and without overlap; `count` words in all.
    Gives exactly what `decode` and `encode` give for each.
    """

    def __init__(self, registers: Sequence[tuple[int, Register]], count: int) -> None:
        layout, end = ">", 0
        order = list(range(2 * count))
        for offset, register in registers:
            if offset < end:
                raise ValueError(f"{register.type} at word {offset} overlaps the one before it, which ends at {end}")
            layout += "x" * 2 * (offset - end) + _FORMATS[register.type]
            end = offset + register.count
            if register.words == "little":
                words = [order[2 * word : 2 * word + 2] for word in range(offset, end)]
                order[2 * offset : 2 * end] = [place for word in reversed(words) for place in word]
        self._registers = registers
        self._layout, self._words = Struct(layout + "x" * 2 * (count - end)), Struct(f">{count}H")
        self._unpack = self._layout.unpack
        self._whole = [not register.type.startswith("float") for _, register in registers]
        self._swap = None if order == list(range(2 * count)) else itemgetter(*order)
        self._scales = [register.scale for _, register in registers]
        self._nans = [register.nan for _, register in registers]
        self._partial = [(i, r) for i, (_, r) in enumerate(registers) if r.bits is not None or r.states]
        self._plain = not self._partial and all(nan is None for nan in self._nans)

    def values(self, data: bytes) -> list[float]:
        """A value for each register, as `decode` gives it."""
        raws = self._unpack(data if self._swap is None else bytes(self._swap(data)))
        if self._plain:
            return [raw * scale + 0.0 for raw, scale in zip(raws, self._scales, strict=True)]
        values = [
            math.nan if raw == nan else raw * scale + 0.0
            for raw, scale, nan in zip(raws, self._scales, self._nans, strict=True)
        ]
        for i, register in self._partial:
            if raws[i] != register.nan:
                values[i] = _meaning(register, raws[i])
        return values

    def words(self, values: Sequence[float]) -> tuple[int, ...]:
        """The words of the whole block for a value of each register, 0 where no register is. Raises as `encode`."""
        raws: list[float] = [value / scale for value, scale in zip(values, self._scales, strict=True)]
        if self._partial or not math.isfinite(sum(raws)):
            return self._one_by_one(values)
        raws = [round(raw) if whole else raw for raw, whole in zip(raws, self._whole, strict=True)]
        if not self._plain and any(raw == nan for raw, nan in zip(raws, self._nans, strict=True)):
            return self._one_by_one(values)
        try:
            data = self._layout.pack(*raws)
        except (error, OverflowError):
            return self._one_by_one(values)
        return self._words.unpack(data if self._swap is None else bytes(self._swap(data)))

    def _one_by_one(self, values: Sequence[float]) -> tuple[int, ...]:
        """The same for values of which one is none, or does not fit."""
        words = [0] * (self._words.size // 2)
        for (offset, register), value in zip(self._registers, values, strict=True):
            words[offset : offset + register.count] = encode(register, value)
        return tuple(words)


def step(register: Register, value: float) -> float:
    """How far a value read back may lie from the one written: one raw step, or the float's own precision."""
    if register.type == "float32":
        return max(abs(value) * 2.0**-23, 1e-9)
    if register.type == "float64":
        return max(abs(value) * 2.0**-50, 1e-12)
    return register.resolution / 2 * (1 + 1e-9)
