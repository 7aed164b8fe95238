"""The reading plan: few requests, none that a device refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.bms.reads import Block, batches, blocks, gap_registers, register_of
from ems.district import Bus, Device, DeviceType, Register, Wire
from tests.served_district import part_of_district, whole_district

BUS = Bus("house/meters", "modbus", "127.0.0.1", 5020)


def wired(registers: Mapping[str, Register], unit: int = 1, **keys: object) -> list[Wire]:
    kind = DeviceType.model_validate(
        {"maker": "m", "model": "m", "source": "assumption", "verified": False, "protocol": "modbus",
         "registers": registers, **keys}
    )  # fmt: skip
    device = Device("house/meter", kind, BUS, unit=unit)
    return [Wire(f"house/meter/{quantity}", device, r, "observe") for quantity, r in kind.registers.items()]


def at(address: int, kind: str = "float32", function: int = 3) -> Register:
    return Register.model_validate({"address": address, "type": kind, "unit": "kW", "function": function})


def spans(plan: Mapping[int, tuple[Block, ...]]) -> list[tuple[int, int, int]]:
    return [(b.function, b.address, b.count) for items in plan.values() for b in items]


def test_reads_over_a_small_hole() -> None:
    assert spans(blocks(wired({"a_kw": at(52), "b_kw": at(72), "c_kw": at(74)}))) == [(3, 52, 24)]


def test_splits_at_a_wide_hole_and_at_the_limit_of_a_request() -> None:
    assert spans(blocks(wired({"a_kw": at(0), "b_kw": at(103)}))) == [(3, 0, 2), (3, 103, 2)]
    assert spans(blocks(wired({"a_kw": at(0), "b_kw": at(20)}, maximum_registers=21))) == [(3, 0, 2), (3, 20, 2)]
    assert spans(blocks(wired({"a_kw": at(0), "b_kw": at(20)}, maximum_registers=22))) == [(3, 0, 22)]


def test_a_slow_line_reads_few_registers_along() -> None:
    # 9600 baud: 20 characters of 1.146 ms and 5 ms of turnaround against 2.29 ms a register; 115200: 6.9 ms, 0.19 ms.
    assert (gap_registers(9600), gap_registers(115200), gap_registers(None)) == (12, 36, 100)
    wires = wired({"a_kw": at(0), "b_kw": at(14), "c_kw": at(29)})
    slow = [replace(w, device=replace(w.device, bus=replace(BUS, baud=9600))) for w in wires]
    assert spans(blocks(slow)) == [(3, 0, 16), (3, 29, 2)]
    assert spans(blocks(wires)) == [(3, 0, 31)]


def test_what_overlaps_is_read_apart() -> None:
    assert spans(blocks([*wired({"a_kw": at(0)}), *wired({"b_kw": at(1)})])) == [(3, 0, 2), (3, 1, 2)]


def test_never_touches_a_hole_where_the_device_forbids_it() -> None:
    assert spans(blocks(wired({"a_kw": at(0), "b_kw": at(2), "c_kw": at(6)}, no_gaps=True))) == [(3, 0, 4), (3, 6, 2)]


def test_functions_and_units_are_apart() -> None:
    plan = blocks([*wired({"a_kw": at(0), "b_kw": at(2, function=4)}), *wired({"a_kw": at(0)}, unit=2)])
    assert spans(plan) == [(3, 0, 2), (4, 2, 2), (3, 0, 2)]
    assert list(plan) == [1, 2]


@given(
    st.lists(st.integers(0, 600), min_size=1, max_size=30, unique=True), st.integers(2, 125), st.booleans()
)  # registers of two words at even addresses: none overlap
def test_every_register_is_read_once_within_limits(slots: list[int], limit: int, no_gaps: bool) -> None:
    wires = wired({f"q{n}_kw": at(2 * n) for n in slots}, maximum_registers=limit, no_gaps=no_gaps)
    plan = blocks(wires)[1]
    read = [(block.address + offset, wire) for block in plan for offset, wire in block.wires]
    assert sorted(wire.point for _, wire in read) == sorted(wire.point for wire in wires)
    assert all(address == register_of(wire).address for address, wire in read)
    for block in plan:
        assert block.count <= limit
        assert all(offset >= 0 and offset + register_of(wire).count <= block.count for offset, wire in block.wires)
        if no_gaps:
            assert sum(register_of(wire).count for _, wire in block.wires) == block.count


def test_the_whole_district_takes_few_requests() -> None:
    modbus = [w for w in whole_district().wires.values() if w.bus.protocol == "modbus"]
    by_bus: dict[str, list[Wire]] = {}
    for wire in modbus:
        by_bus.setdefault(wire.bus.name, []).append(wire)
    requests = sum(len(spans(blocks(wires))) for wires in by_bus.values())
    units = sum(len(blocks(wires)) for wires in by_bus.values())
    assert units <= requests <= 1.1 * units
    assert len(modbus) > 3 * requests


def test_a_bacnet_point_is_no_register() -> None:
    wire = next(w for w in part_of_district(21).wires.values() if w.bus.protocol == "bacnet")
    with pytest.raises(TypeError, match=wire.point):
        register_of(wire)


def test_batches_hold_all_and_no_more_than_their_size() -> None:
    wires = [w for w in part_of_district(21).wires.values() if w.bus.protocol == "bacnet"]
    found = batches(wires, 50)
    assert [w for batch in found for w in batch] == wires
    assert max(len(batch) for batch in found) == 50
    with pytest.raises(ValueError, match="at least one"):
        batches(wires, 0)
