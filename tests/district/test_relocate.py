"""Two districts side by side: loopback hosts move, everything else stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ems.district import relocate
from tests.served_district import whole_district


def test_moves_every_loopback_host_and_nothing_else() -> None:
    district = whole_district()
    moved = relocate(district, 77)
    for name, bus in district.buses.items():
        assert bus.host.startswith("127.0.")
        assert moved.buses[name] == replace(bus, host="127.77." + bus.host.removeprefix("127.0."))
    assert moved.wires.keys() == district.wires.keys()
    for point, wire in moved.wires.items():
        assert wire.bus is moved.buses[wire.bus.name]
        assert replace(wire, device=district.wires[point].device) == district.wires[point]
    assert {id(wire.device) for wire in moved.wires.values()} == {id(device) for device in moved.devices}
    assert relocate(moved, 0) == district


def test_a_real_address_stays_where_it_is() -> None:
    district = whole_district()
    name = "creche/controller"
    buses = {**district.buses, name: replace(district.buses[name], host="192.168.4.7")}
    assert relocate(replace(district, buses=buses), 9).buses[name].host == "192.168.4.7"


@pytest.mark.parametrize("net", [-1, 256])
def test_refuses_what_is_no_byte(net: int) -> None:
    with pytest.raises(ValueError, match="0 to 255"):
        relocate(whole_district(), net)
