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
    found = read_answer(_answer(*((item, Real(value)) for item, value in values)))
    assert list(found) == [item for item, _ in values]
    for item, value in values:
        assert found[item] == value or (math.isnan(value) and math.isnan(found[item]))  # type: ignore[arg-type]


@given(_PROPERTIES, st.floats(width=32, allow_nan=False) | st.none())
def test_a_single_read_is_the_library_s(item: Property, value: float | None) -> None:
    where = {
        "objectIdentifier": ObjectIdentifier((item.object_type, item.instance)),
        "propertyIdentifier": PropertyIdentifier(item.property),
        **({} if item.index is None else {"propertyArrayIndex": item.index}),
    }
    assert read_one_request(item) == library_bytes(ReadPropertyRequest(**where))
    answer = library_bytes(ReadPropertyACK(**where, propertyValue=Null(()) if value is None else Real(value)))
    assert read_one_answer(answer) == value
    for cut in range(1, len(answer)):
        with pytest.raises(ValueError):
            read_one_answer(answer[:-cut])


def test_reads_states_empty_slots_and_errors() -> None:
    items = [Property(1, n, PRIORITY_ARRAY, 12) for n in range(5)]
    unknown = ErrorType(errorClass="object", errorCode="unknownObject")
    values = [Null(()), BinaryPV(1), Unsigned(3), Double(2.5), unknown]
    found = read_answer(_answer(*zip(items, values, strict=True)))
    assert list(found.values()) == [None, 1.0, 3.0, 2.5, PropertyFault(1, 31)]
    assert str(found[items[4]]) == "error unknown object (class 1)"


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
