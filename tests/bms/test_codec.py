"""Registers and values: what goes in comes out, what does not fit is refused."""

from __future__ import annotations

import math
import struct
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ems.bms.codec import BlockCodec, code, decode, encode, step
from ems.district import Register
from ems.district.device import RegisterType

_INTEGERS = {"int16": (-(2**15), 2**15 - 1), "uint16": (0, 2**16 - 1), "int32": (-(2**31), 2**31 - 1),
             "uint32": (0, 2**32 - 1), "int64": (-(2**53), 2**53), "uint64": (0, 2**53)}  # fmt: skip
_SCALES = st.sampled_from([1.0, 0.1, 0.01, 0.001, -0.001, 10.0, 0.5])


def register(kind: str, **keys: object) -> Register:
    return Register.model_validate({"address": 0, "type": kind, "unit": "W", **keys})


def test_decodes_what_a_manual_shows() -> None:
    assert decode(register("uint16"), [0x00FF]) == 255
    assert decode(register("int16"), [0xFFFF]) == -1
    assert decode(register("int32", scale=0.001), [0x0000, 0x04D2]) == pytest.approx(1.234)
    assert decode(register("float32"), [0x41C8, 0x0000]) == 25.0
    assert decode(register("float32", words="little"), [0x0000, 0x41C8]) == 25.0
    assert decode(register("uint64"), [0, 0, 1, 0]) == 65536


def test_generation_counts_negative_and_zero_has_no_sign() -> None:
    inverter = register("int32", scale=-0.001)
    assert decode(inverter, [0, 5000]) == -5.0
    assert math.copysign(1, decode(inverter, [0, 0])) == 1


def test_the_sentinel_is_no_number() -> None:
    meter = register("uint32", nan=0xFFFFFFFF)
    assert math.isnan(decode(meter, [0xFFFF, 0xFFFF]))
    assert encode(meter, math.nan) == (0xFFFF, 0xFFFF)
    with pytest.raises(ValueError, match="not available"):
        encode(meter, 0xFFFFFFFF)
    with pytest.raises(ValueError, match="NaN has no place"):
        encode(register("uint32"), math.nan)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("uint16", -1), ("uint16", 65536), ("int16", 40000), ("uint32", 2.0**32), ("uint64", 2.0**64),
     ("float32", 1e39), ("float32", math.inf), ("int32", math.inf)],
)  # fmt: skip
def test_refuses_what_does_not_fit(kind: str, value: float) -> None:
    with pytest.raises(ValueError):
        encode(register(kind), value)


CODES = {0: 0, 1: 1, 2: 1, 3: 1, 4: 2}


def test_a_state_is_a_code_in_some_bits_of_a_register() -> None:
    charger = register("uint32", unit="state", bits=[8, 14], states=CODES)
    # 0x0400 >> 8 = 4, which means 2; bit 15 above and bits 0 to 7 below are not its own.
    assert decode(charger, [0, 0x0400]) == 2
    assert decode(charger, [0xFFFF, 0x84FF]) == 2
    assert decode(charger, [0, 0x0300]) == 1
    assert math.isnan(decode(charger, [0, 0x0500]))  # 5 means nothing
    assert code(charger, [0, 0x8500]) == 5
    assert encode(charger, 2) == (0, 0x0400)
    assert encode(charger, 1) == (0, 0x0100)  # the lowest of three codes
    with pytest.raises(ValueError, match=r"no code means state 3; there are codes for \[0, 1, 2\]"):
        encode(charger, 3)


def test_a_number_may_lie_in_some_bits_of_a_register() -> None:
    tap = register("uint16", bits=[4, 7], scale=0.5)
    assert decode(tap, [0xFF6F]) == 3.0  # 6 x 0.5
    assert encode(tap, 3.0) == (0x0060,)
    with pytest.raises(ValueError, match="16 does not fit bits 4 to 7"):
        encode(tap, 8.0)


@given(st.data(), st.sampled_from(["uint16", "uint32"]), st.sampled_from(["big", "little"]))
def test_bits_come_back_whatever_lies_beside_them(data: st.DataObject, kind: str, words: str) -> None:
    width = 16 if kind == "uint16" else 32
    first = data.draw(st.integers(0, width - 1))
    last = data.draw(st.integers(first, width - 1))
    number = data.draw(st.integers(0, 2 ** (last - first + 1) - 1))
    item = register(kind, words=words, bits=[first, last])
    alone = encode(item, number)
    assert decode(item, alone) == number
    mask = sum(2**bit for bit in range(first, last + 1))
    beside = data.draw(st.integers(0, 2**width - 1)) & ~mask
    plain = register(kind, words=words)
    assert decode(item, encode(plain, beside + number * 2**first)) == number


def test_refuses_a_wrong_number_of_words() -> None:
    with pytest.raises(ValueError, match="takes 2 words and 1 came"):
        decode(register("float32"), [1])


@given(st.data(), st.sampled_from(sorted(_INTEGERS)), st.sampled_from(["big", "little"]), _SCALES)
def test_encode_undoes_decode_for_integers(data: st.DataObject, kind: str, words: str, scale: float) -> None:
    low, high = _INTEGERS[kind]
    raw = data.draw(st.integers(low, high))
    # Above 2^50 the product with a scale may round to a neighbour in a float64: no step there has a value of its own.
    assume(scale == 1.0 or abs(raw) < 2**50)
    item = register(kind, words=words, scale=scale)
    plain = register(kind)
    sent = [int(word) for word in encode(plain, raw)]
    sent = sent if words == "big" else sent[::-1]
    assert list(encode(item, decode(item, sent))) == sent


@given(st.sampled_from(sorted(_INTEGERS)), st.floats(-30000, 30000), _SCALES)
def test_the_nearest_step_is_taken(kind: str, value: float, scale: float) -> None:
    item = register(kind, scale=scale)
    low, high = _INTEGERS[kind]
    assume(low <= round(value / scale) <= high)
    assert abs(decode(item, encode(item, value)) - value) <= step(item, value) + 1e-9


@given(st.sampled_from(["float32", "float64"]), st.floats(-1e6, 1e6, width=32), st.sampled_from(["big", "little"]))
def test_floats_come_back(kind: str, value: float, words: str) -> None:
    item = register(kind, words=words)
    assert decode(item, encode(item, value)) == value


@given(st.sampled_from(sorted(get_args(RegisterType))), st.floats(allow_nan=True, allow_infinity=True), _SCALES)
def test_any_number_is_encoded_or_refused(kind: str, value: float, scale: float) -> None:
    item = register(kind, scale=scale)
    try:
        words = encode(item, value)
    except ValueError:
        return
    assert len(words) == item.count
    assert all(0 <= word <= 0xFFFF for word in words)


def drawn_block(data: st.DataObject) -> tuple[list[tuple[int, Register]], int]:
    """Registers of any type, order, scale and sentinel, with holes between them; and how many words."""
    placed, at = [], 0
    for _ in range(data.draw(st.integers(1, 8))):
        kind = data.draw(st.sampled_from(sorted(get_args(RegisterType))))
        nan = None if kind.startswith("float") else data.draw(st.sampled_from([None, 0, 65535, -32768]))
        words = data.draw(st.sampled_from(["big", "little"]))
        part: dict[str, object] = {}
        if kind.startswith("uint") and data.draw(st.booleans()):
            part = data.draw(st.sampled_from([{"bits": [3, 9]}, {"bits": [8, 14], "unit": "state", "states": CODES}]))
        scale = 1.0 if "states" in part else data.draw(_SCALES)
        item = register(kind, scale=scale, words=words, nan=nan, **part)
        at += data.draw(st.integers(0, 3))
        placed.append((at, item))
        at += item.count
    return placed, at + data.draw(st.integers(0, 2))


@given(st.data())
def test_a_compiled_block_says_what_each_register_says(data: st.DataObject) -> None:
    placed, count = drawn_block(data)
    sent = data.draw(st.lists(st.sampled_from([0, 1, 0x7FC0, 0x8000, 0xFFFF, 0x41C8]), min_size=count, max_size=count))
    found = BlockCodec(placed, count).values(struct.pack(f">{count}H", *sent))
    for (offset, item), value in zip(placed, found, strict=True):
        wanted = decode(item, sent[offset : offset + item.count])
        assert value == wanted or (math.isnan(value) and math.isnan(wanted))


@given(st.data())
def test_a_compiled_block_writes_what_each_register_would(data: st.DataObject) -> None:
    """Values that fit and others: none, infinite, too large, the sentinel itself."""
    placed, count = drawn_block(data)
    value = st.sampled_from([0.0, 1.0, -1.0, 21.5, 250.0, 65535.0, -32768.0, 1e40, math.nan, math.inf])
    values = data.draw(st.lists(value, min_size=len(placed), max_size=len(placed)))
    wanted = [0] * count
    try:
        for (offset, item), one in zip(placed, values, strict=True):
            wanted[offset : offset + item.count] = encode(item, one)
    except ValueError as fault:
        with pytest.raises(ValueError) as said:
            BlockCodec(placed, count).words(values)
        assert str(said.value) == str(fault)
    else:
        assert BlockCodec(placed, count).words(values) == tuple(wanted)


def test_a_compiled_block_refuses_registers_that_overlap() -> None:
    with pytest.raises(ValueError, match="overlaps"):
        BlockCodec([(0, register("float32")), (1, register("uint16"))], 2)
