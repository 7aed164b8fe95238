"""Frames as the Modbus documents print them, and what may not pass for an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.bms.frames import BrokenStreamError, Malformed, Question, Refusal, Stale, answer, frame_length

# Modbus Application Protocol V1.1b3, clause 6.3: registers 108 to 110 (0-based 107) hold 555, 0 and 100.
ASKED = Question(unit=17, function=3, address=107, count=3)
DATA = bytes.fromhex("022b00000064")
GOOD = bytes.fromhex("00070000000911") + b"\x03\x06" + DATA


def test_a_question_and_its_answer_as_printed() -> None:
    assert ASKED.frame(7) == bytes.fromhex("000700000006110300 6b0003".replace(" ", ""))
    assert answer(GOOD, 7, ASKED) == DATA


@given(
    unit=st.integers(0, 255),
    function=st.sampled_from((3, 4)),
    count=st.integers(1, 125),
    transaction=st.integers(0, 65535),
    data=st.data(),
)
def test_a_whole_answer_is_known_by_its_head_and_its_length(
    unit: int, function: int, count: int, transaction: int, data: st.DataObject
) -> None:
    """The short way of a connection says what `answer` says: of an honest frame, and of one with some bytes changed."""
    asked = Question(unit, function, 0, count)
    frame = bytearray(asked.head(transaction) + data.draw(st.binary(min_size=2 * count, max_size=2 * count)))
    assert len(frame) == asked.length
    assert answer(frame, transaction, asked) == frame[9:]
    for at in data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=2)):
        frame[at] ^= data.draw(st.integers(0, 255))
    frame += data.draw(st.binary(max_size=1))
    short = len(frame) == asked.length and frame.startswith(asked.head(transaction))
    assert isinstance(answer(frame, transaction, asked), bytes) == short


def test_an_exception_is_a_refusal() -> None:
    assert answer(bytes.fromhex("000700000003118302"), 7, ASKED) == Refusal(2)
    assert str(Refusal(2)) == "exception 2: illegal address"


@pytest.mark.parametrize(
    ("what", "frame"),
    [
        ("another unit", GOOD[:6] + b"\x12" + GOOD[7:]),
        ("another function", GOOD[:7] + b"\x04" + GOOD[8:]),
        ("another function's exception", bytes.fromhex("000700000003118402")),
        ("an exception without a code", bytes.fromhex("000700000003118300")),
        ("a byte count that is not ours", GOOD[:8] + b"\x04" + GOOD[9:]),
        ("a shorter frame", bytes.fromhex("00070000000711030422220000")),
        ("a longer frame", bytes.fromhex("00070000000b110308") + bytes(8)),
        ("a byte count that belies the length", bytes.fromhex("00070000000b110306") + bytes(8)),
        ("another protocol", GOOD[:2] + b"\x00\x01" + GOOD[4:]),
        ("a stump", GOOD[:8]),
    ],
)
def test_what_does_not_fit_the_question_is_malformed(what: str, frame: bytes) -> None:
    assert isinstance(answer(frame, 7, ASKED), Malformed), what


def test_another_transaction_is_another_question_s() -> None:
    assert answer(GOOD, 8, ASKED) == Stale()


def test_a_frame_s_length_is_known_after_six_bytes() -> None:
    assert frame_length(GOOD[:5]) is None
    assert frame_length(GOOD) == frame_length(GOOD[:6]) == len(GOOD)
    for broken in ("00070001000911", "00070000ffff11", "00070000000211"):
        with pytest.raises(BrokenStreamError):
            frame_length(bytes.fromhex(broken))


@given(st.binary(max_size=40))
def test_no_bytes_break_it(noise: bytes) -> None:
    assert isinstance(answer(noise, 7, ASKED), bytes | Malformed | Stale | Refusal)


@given(st.integers(0, len(GOOD) * 8 - 1))
def test_one_flipped_bit_is_found_or_lies_in_the_data(bit: int) -> None:
    frame = bytearray(GOOD)
    frame[bit // 8] ^= 1 << bit % 8
    if isinstance(answer(frame, 7, ASKED), bytes):
        assert bit // 8 >= 9  # only a checksum, which TCP has and Modbus/TCP has not, could tell
