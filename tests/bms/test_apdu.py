"""The BACnet bytes: equal to those of the library, which others have tested against real devices."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from bacpypes3.apdu import (
    ReadPropertyACK,
    ReadPropertyMultipleACK,
    ReadPropertyMultipleRequest,
    ReadPropertyRequest,
    WritePropertyRequest,
)
from bacpypes3.basetypes import (
    BinaryPV,
    ErrorType,
    PropertyIdentifier,
    PropertyReference,
    ReadAccessResult,
    ReadAccessResultElement,
    ReadAccessResultElementChoice,
    ReadAccessSpecification,
)
from bacpypes3.constructeddata import Any as AnyValue
from bacpypes3.constructeddata import SequenceOf
from bacpypes3.primitivedata import Double, Null, ObjectIdentifier, Real, Unsigned
from hypothesis import given
from hypothesis import strategies as st

from ems.bms.apdu import (
    OBJECT_TYPES,
    PRIORITY_ARRAY,
    Property,
    PropertyFault,
    Reading,
    encode_value,
    read_answer,
    read_one_answer,
    read_one_request,
    read_request,
    write_request,
)

_PROPERTIES = st.builds(
    Property, st.sampled_from(sorted(OBJECT_TYPES.values())), st.integers(0, 4194302), st.just(85), st.none()
) | st.builds(
    Property, st.sampled_from(sorted(OBJECT_TYPES.values())), st.integers(0, 4194302), st.just(87), st.integers(1, 16)
)


def library_bytes(message: Any) -> bytes:
    return bytes(message.encode().pduData)


@given(st.lists(_PROPERTIES, min_size=1, max_size=20))
def test_the_request_is_the_library_s(wanted: list[Property]) -> None:
    specifications = [
        ReadAccessSpecification(
            objectIdentifier=ObjectIdentifier((item.object_type, item.instance)),
            listOfPropertyReferences=[
                PropertyReference(propertyIdentifier=PropertyIdentifier(item.property), propertyArrayIndex=item.index)
            ],
        )
        for item in wanted
    ]
    theirs = ReadPropertyMultipleRequest(listOfReadAccessSpecs=SequenceOf(ReadAccessSpecification)(specifications))
    assert read_request(wanted) == library_bytes(theirs)


def _answer(*results: tuple[Property, Any]) -> bytes:
    listed = []
    for item, value in results:
        choice = ReadAccessResultElementChoice()
        if isinstance(value, ErrorType):
            choice.propertyAccessError = value
        else:
            choice.propertyValue = AnyValue(value)
        element = ReadAccessResultElement(
            propertyIdentifier=PropertyIdentifier(item.property), propertyArrayIndex=item.index, readResult=choice
        )
        listed.append(
            ReadAccessResult(
                objectIdentifier=ObjectIdentifier((item.object_type, item.instance)), listOfResults=[element]
            )
        )
    return library_bytes(ReadPropertyMultipleACK(listOfReadAccessResults=listed))


@given(st.lists(st.tuples(_PROPERTIES, st.floats(width=32)), min_size=1, max_size=10, unique_by=lambda t: t[0]))
def test_reads_what_the_library_answers(values: list[tuple[Property, float]]) -> None:
    answer = _answer(*((item, _typed(item, value)) for item, value in values))
    found = read_answer(answer)
    assert list(found) == [item for item, _ in values]
    for item, value in values:
        wanted = float(_typed(item, value))
        assert found[item] == wanted or (math.isnan(wanted) and math.isnan(found[item]))  # type: ignore[arg-type]
    compiled = Reading([item for item, _ in values])
    assert compiled.request == read_request([item for item, _ in values])
    assert [repr(v) for v in compiled.values(answer)] == [repr(v) for v in found.values()]


def _typed(item: Property, value: float) -> Any:
    """A value as its object type has it."""
    if item.object_type <= 2:
        return Real(value)
    state = int(min(max(value, 0), 60000)) if math.isfinite(value) else 0
    return BinaryPV(state % 2) if item.object_type <= 5 else Unsigned(state)


@given(st.lists(_PROPERTIES, min_size=2, max_size=6, unique=True), st.integers(0, 400))
def test_a_compiled_read_takes_no_other_answer(items: list[Property], bit: int) -> None:
    """Missing, twice, another object, in another order, cut off, flipped: refused, or the same values."""
    values = {item: _typed(item, 1.0) for item in items}
    whole, compiled = _answer(*values.items()), Reading(items)
    wanted = compiled.values(whole)
    assert compiled.values(_answer(*reversed(values.items()))) == wanted
    other = Property(items[0].object_type, items[0].instance ^ 1, items[0].property, items[0].index)
    for wrong in (
        _answer(*list(values.items())[1:]),
        _answer(*values.items(), next(iter(values.items()))),
        *([] if other in values else [_answer((other, values[items[0]]), *list(values.items())[1:])]),
        whole[:-1],
        whole + b"\x00",
    ):
        with pytest.raises(ValueError):
            compiled.values(wrong)
    flipped = bytearray(whole)
    flipped[bit // 8 % len(whole)] ^= 1 << bit % 8
    try:
        found = compiled.values(bytes(flipped))
    except ValueError:
        return
    assert sum(a != b for a, b in zip(found, wanted, strict=True)) == 1  # one bit of one value, which nothing tells


@given(_PROPERTIES, st.floats(width=32, allow_nan=False) | st.none())
def test_a_single_read_is_the_library_s(item: Property, value: float | None) -> None:
    value = None if value is None else float(_typed(item, value))
    where = {
        "objectIdentifier": ObjectIdentifier((item.object_type, item.instance)),
        "propertyIdentifier": PropertyIdentifier(item.property),
        **({} if item.index is None else {"propertyArrayIndex": item.index}),
    }
    assert read_one_request(item) == library_bytes(ReadPropertyRequest(**where))
    answer = library_bytes(ReadPropertyACK(**where, propertyValue=Null(()) if value is None else _typed(item, value)))
    assert read_one_answer(answer, item) == value
    for cut in range(1, len(answer)):
        with pytest.raises(ValueError):
            read_one_answer(answer[:-cut], item)
    with pytest.raises(ValueError, match="another property"):
        read_one_answer(answer, Property(item.object_type, item.instance ^ 1, item.property, item.index))


def test_reads_states_empty_slots_and_errors() -> None:
    items = [Property(kind, 7, PRIORITY_ARRAY, 12) for kind in (2, 4, 14, 1, 5)]
    unknown = ErrorType(errorClass="object", errorCode="unknownObject")
    values = [Null(()), BinaryPV(1), Unsigned(3), Double(2.5), unknown]
    found = read_answer(_answer(*zip(items, values, strict=True)))
    assert list(found.values()) == [None, 1.0, 3.0, 2.5, PropertyFault(1, 31)]
    assert str(found[items[4]]) == "error unknown object (class 1)"


def test_a_value_of_another_type_is_no_value() -> None:
    """One flipped bit makes a Real an Unsigned of four bytes: a number, and a wrong one."""
    item = Property(0, 1)
    with pytest.raises(ValueError, match="application tag 2, which its type has not"):
        read_answer(_answer((item, Real(21.5))).replace(b"\x4e\x44", b"\x4e\x24"))
    with pytest.raises(ValueError, match="application tag 4"):
        read_answer(_answer((Property(4, 1), Real(1.0))))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read_answer(data)
    except ValueError:
        return
    assert all(value is None or isinstance(value, float | PropertyFault) for value in found.values())


@given(st.integers(1, 40))
def test_a_truncated_answer_is_refused(cut: int) -> None:
    whole = _answer((Property(0, 1), Real(21.5)), (Property(0, 2), Real(3.0)))
    if cut in (len(whole) // 2, 0) or cut >= len(whole):
        return  # what remains is a whole answer
    with pytest.raises(ValueError):
        read_answer(whole[:-cut])


@pytest.mark.parametrize(
    ("kind", "value", "theirs"),
    [("analog-output", 25.5, Real(25.5)), ("binary-output", 1.0, BinaryPV(1)), ("multi-state-output", 3.0, Unsigned(3)),
     ("analog-value", 65535.0, Real(65535.0)), ("analog-output", None, Null(()))],
)  # fmt: skip
def test_the_write_is_the_library_s(kind: str, value: float | None, theirs: Any) -> None:
    item = Property(OBJECT_TYPES[kind], 1234)
    message = WritePropertyRequest(
        objectIdentifier=ObjectIdentifier((item.object_type, item.instance)),
        propertyIdentifier=PropertyIdentifier(85),
        propertyValue=theirs,
        priority=12,
    )
    assert write_request(item, value, 12) == library_bytes(message)


@given(st.sampled_from(sorted(OBJECT_TYPES.values())), st.floats())
def test_no_wrong_value_is_ever_encoded(object_type: int, value: float) -> None:
    try:
        data = encode_value(object_type, value)
    except ValueError:
        return
    assert math.isfinite(value)
    if object_type <= 2:
        assert data == struct.pack(">Bf", 0x44, value)
    else:
        assert value == int(value) >= 0
        assert object_type > 5 or value in (0, 1)
