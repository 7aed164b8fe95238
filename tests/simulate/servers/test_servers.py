"""The simulated devices: what they hold, what they refuse, and what they do when nobody speaks to them any more."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bacpypes3.apdu import ErrorRejectAbortNack
from bacpypes3.app import Application
from bacpypes3.basetypes import PropertyIdentifier
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import Null, ObjectIdentifier, Real
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException

from ems.bms.codec import decode, encode
from ems.district import District, Register
from ems.simulate.servers import FieldServers
from ems.simulate.servers.gateway import Gateway
from ems.simulate.servers.station import Cell, ServedApplication, Station
from tests.served_district import StillWorld, part_of_district

NET = 125
OFFSET, TANK = "mistral/substation/heating_curve_offset_k", "mistral/tank/setpoint_c"
HEARTBEAT = "mistral/substation/heartbeat_count"
CHARGER = "parking/point-01/current_limit_a"


@pytest.fixture
def district() -> District:
    return part_of_district(NET)


@pytest.fixture
def world(district: District) -> StillWorld:
    return StillWorld(district)


@pytest.fixture
def servers(district: District, world: StillWorld) -> FieldServers:
    """Not started: the devices can be asked without a socket."""
    return FieldServers(district, world)


def gateway_of(servers: FieldServers, district: District, point: str) -> tuple[Gateway, int, Register]:
    wire = district.wires[point]
    gateway = servers.servers[wire.bus.name]
    assert isinstance(gateway, Gateway) and isinstance(wire.measure, Register)
    return gateway, wire.device.unit, wire.measure


def cell_of(servers: FieldServers, district: District, point: str) -> Cell:
    station = servers.servers[district.wires[point].bus.name]
    assert isinstance(station, Station)
    return station.cells[point]


def listening(district: District) -> list[str]:
    """Buses whose address is taken."""
    taken = []
    for bus in district.buses.values():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if bus.protocol == "bacnet" else socket.SOCK_STREAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, bus.protocol != "bacnet")
            try:
                s.bind((bus.host, bus.port))
            except OSError:
                taken.append(bus.name)
    return taken


# The whole


@pytest.mark.parametrize("host", ["192.168.1.20", "0.0.0.0", "controller.example"])
def test_devices_are_only_ever_simulated_on_loopback(district: District, world: StillWorld, host: str) -> None:
    buses = dict(district.buses)
    buses["creche/controller"] = replace(buses["creche/controller"], host=host)
    with pytest.raises(ValueError, match=f"creche/controller is at {host}; .* only served on loopback"):
        FieldServers(replace(district, buses=buses), world)


def test_they_start_stop_and_start_again(district: District, servers: FieldServers) -> None:
    async def twice() -> None:
        for _ in range(2):
            await servers.start()
            assert listening(district) == list(district.buses)
            await servers.stop()
            await asyncio.sleep(0.05)
            assert listening(district) == []

    asyncio.run(twice())


@pytest.mark.parametrize("bus", ["creche/controller", "mistral/heat"])
def test_a_taken_address_is_refused_and_nothing_is_left_behind(
    district: District, servers: FieldServers, bus: str
) -> None:
    taken = district.buses[bus]

    async def start() -> None:
        with socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM if taken.protocol == "bacnet" else socket.SOCK_STREAM
        ) as holder:
            holder.bind((taken.host, taken.port))
            if taken.protocol == "modbus":
                holder.listen()
            with pytest.raises(OSError, match=f"{bus}: {taken.address} cannot be taken"):
                await servers.start()
            await asyncio.sleep(0.05)
            assert listening(district) == [bus]

    asyncio.run(start())


def test_a_point_that_the_world_does_not_show_is_refused(district: District, world: StillWorld) -> None:
    del world.index["mistral/tank/top_temperature_c"]
    with pytest.raises(ValueError, match="mistral/tank/top_temperature_c is no point of the world"):
        FieldServers(district, world)


# A gateway


async def read(gateway: Gateway, unit: int, function: int, address: int, count: int) -> list[int] | ExcCodes:
    return await gateway.async_getValues(unit, function, address, count)


def test_registers_are_encoded_as_they_are_read(district: District, world: StillWorld, servers: FieldServers) -> None:
    point = "mistral/flat-0101/power_kw"
    gateway, unit, register = gateway_of(servers, district, point)
    for value in (1.5, -3.25, math.nan):
        world.show(point, value)
        words = asyncio.run(read(gateway, unit, 4, register.address, 2))
        assert isinstance(words, list)
        assert decode(register, words) == pytest.approx(value, nan_ok=True)


def test_a_request_may_begin_in_the_middle_of_a_number(
    district: District, world: StillWorld, servers: FieldServers
) -> None:
    point = "mistral/flat-0101/energy_kwh"
    world.show(point, 4321.0)
    gateway, unit, register = gateway_of(servers, district, point)
    whole = encode(register, 4321.0)
    assert asyncio.run(read(gateway, unit, 4, register.address + 1, 1)) == [whole[1]]
    assert asyncio.run(read(gateway, unit, 4, register.address - 1, 2)) == [0, whole[0]]


def test_holes_ends_and_strangers_answer_exceptions(district: District, servers: FieldServers) -> None:
    gateway, unit, register = gateway_of(servers, district, "plant-a/plant/power_kw")  # a device without gaps
    assert asyncio.run(read(gateway, unit, 3, register.address, 2)) == [0, 0]
    for function, address, count in ((3, register.address, 4), (3, 0, 1), (4, register.address, 2), (3, 65000, 2)):
        assert asyncio.run(read(gateway, unit, function, address, count)) == ExcCodes.ILLEGAL_ADDRESS
    assert asyncio.run(read(gateway, unit, 1, 0, 1)) == ExcCodes.ILLEGAL_FUNCTION
    with pytest.raises(NoSuchIdException):
        asyncio.run(read(gateway, 200, 3, 0, 1))


def test_a_write_is_taken_whole_or_not_at_all(district: District, world: StillWorld, servers: FieldServers) -> None:
    gateway, unit, register = gateway_of(servers, district, CHARGER)

    def write(address: int, *words: int) -> ExcCodes | None:
        return asyncio.run(gateway.async_setValues(unit, 16, address, list(words)))

    assert write(0x4100, *encode(register, 16.0)) is None
    assert asyncio.run(read(gateway, unit, 3, 0x400E, 2)) == [0, 16000]  # what it takes at 0x4100 it shows there, in mA
    assert asyncio.run(read(gateway, unit, 3, 0x4100, 2)) == ExcCodes.ILLEGAL_ADDRESS  # which only takes
    assert write(0x400E, *encode(register, 20.0)) == ExcCodes.ILLEGAL_ADDRESS  # and that one only shows
    assert world.commands == [(CHARGER, 16.0)]
    assert write(0x4100, *encode(register, 16.0)) is None  # a repetition tells the world nothing new
    assert write(0x4100, *encode(register, 33.0)) == ExcCodes.ILLEGAL_VALUE
    assert write(0x4100, 0) == ExcCodes.ILLEGAL_ADDRESS  # half a number
    assert write(0x4101, 0) == ExcCodes.ILLEGAL_ADDRESS
    assert write(16396, 0, 0) == ExcCodes.ILLEGAL_ADDRESS  # its state cannot be written
    assert world.commands == [(CHARGER, 16.0)]


def test_a_charger_shows_its_state_as_a_code_in_some_bits(
    district: District, world: StillWorld, servers: FieldServers
) -> None:
    gateway, unit, register = gateway_of(servers, district, CHARGER.replace("current_limit_a", "state_mode"))
    # Free is A, code 0; plugged and full are the lowest code for a car, 1; charging is C2, code 4: in bits 8 to 14.
    for state, word in ((0, 0x0000), (1, 0x0100), (2, 0x0400), (3, 0x0100)):
        world.show(CHARGER.replace("current_limit_a", "state_mode"), state)
        assert asyncio.run(read(gateway, unit, 3, register.address, 2)) == [0, word]


def test_a_register_falls_back_when_it_is_not_repeated(
    district: District, world: StillWorld, servers: FieldServers
) -> None:
    gateway, unit, register = gateway_of(servers, district, CHARGER)
    twenty = list(encode(register, 20.0))
    asyncio.run(gateway.async_setValues(unit, 16, register.written_address, twenty))
    world.pass_time(seconds=299)
    servers.tick()
    asyncio.run(gateway.async_setValues(unit, 16, register.written_address, twenty))  # just in time
    world.pass_time(seconds=299)
    servers.tick()
    assert gateway.commanded(district.wires[CHARGER]) == 20
    world.pass_time(seconds=1)
    servers.tick()
    assert gateway.commanded(district.wires[CHARGER]) is None
    assert world.commands == [(CHARGER, 20.0), (CHARGER, 10.0)]


# A station


def test_the_highest_slot_wins_and_the_world_hears_only_changes(
    district: District, world: StillWorld, servers: FieldServers
) -> None:
    cell = cell_of(servers, district, TANK)
    cell.put(16, 58.0)
    cell.put(12, 62.0)
    cell.put(12, 62.0)
    cell.put(8, 57.0)
    cell.put(12, None)
    cell.put(8, None)
    cell.put(16, None)
    assert world.commands == [(TANK, v) for v in (58.0, 62.0, 57.0, 58.0, 60.0)]
    assert cell.commanding is None and cell.value == 60.0


def test_a_heartbeat_that_stands_still_empties_our_slots_and_no_others(
    district: District, world: StillWorld, servers: FieldServers
) -> None:
    beat, tank, offset = (cell_of(servers, district, p) for p in (HEARTBEAT, TANK, OFFSET))
    tank.put(12, 62.0)
    offset.put(9, 1.0)
    offset.put(8, 2.0)
    offset.put(16, -1.0)
    for count in range(1, 31):
        beat.put(12, float(count))
        servers.tick()
        world.pass_time(minutes=10)
    assert tank.value == 62.0
    world.pass_time(minutes=4, seconds=59)
    servers.tick()
    assert tank.value == 62.0
    world.pass_time(seconds=1)
    servers.tick()
    assert tank.value == 60.0 and beat.value == 0
    assert [offset.slots[p - 1] for p in (8, 9, 16)] == [2.0, None, -1.0]
    tank.put(12, 63.0)  # without a heartbeat nothing of ours stands for long
    servers.tick()
    assert tank.value == 60.0
    beat.put(12, 1.0)
    servers.tick()
    tank.put(12, 63.0)
    world.pass_time(minutes=14)
    servers.tick()
    assert tank.value == 63.0


@given(st.binary(max_size=80))
def test_no_datagram_breaks_the_direct_way(data: bytes) -> None:
    app = ServedApplication()
    app.cells = {}
    for message in (data, b"\x81\x0a\x00\x50\x01\x04\x02\x44\x01\x0e" + data):
        assert app.direct(message) is None or data == b""


class StockClient:
    """The library's own client, with nothing of ours in its way."""

    def __init__(self, app: Any, district: District) -> None:
        self.app, self.district = app, district

    def where(self, point: str) -> tuple[Address, ObjectIdentifier]:
        wire = self.district.wires[point]
        return Address(wire.bus.address), ObjectIdentifier(wire.object_id)

    async def read(self, point: str, name: str, index: int | None = None) -> Any:
        return await self.app.read_property(*self.where(point), PropertyIdentifier(name), index)

    async def write(self, point: str, value: Any, priority: int) -> None:
        await self.app.write_property(*self.where(point), PropertyIdentifier("presentValue"), value, None, priority)


@pytest.fixture
def stock(district: District, servers: FieldServers) -> Iterator[tuple[asyncio.Runner, StockClient]]:
    with asyncio.Runner() as runner:

        async def start() -> StockClient:
            await servers.start()
            own = [
                DeviceObject(objectIdentifier=("device", 1), objectName="client"),
                NetworkPortObject(f"127.{NET}.255.1/32:47900", objectIdentifier=("network-port", 1), objectName="port"),
            ]
            return StockClient(Application.from_object_list(own), district)

        client = runner.run(start())
        yield runner, client
        client.app.close()
        runner.run(servers.stop())


def test_objects_describe_themselves(
    world: StillWorld, stock: tuple[asyncio.Runner, StockClient], servers: FieldServers
) -> None:
    runner, client = stock

    async def look() -> None:
        supply = "mistral/substation/supply_temperature_c"
        assert await client.read(supply, "objectName") == supply
        assert str(await client.read(supply, "units")) == "degrees-celsius"
        assert await client.read(supply, "maxPresValue") == 110
        assert await client.read(TANK, "relinquishDefault") == 60
        mode = next(p for p in client.district.wires if p.endswith("/occupancy_mode"))
        assert await client.read(mode, "numberOfStates") == 3
        properties = [str(p) for p in await client.read(TANK, "propertyList")]
        assert {"present-value", "priority-array", "relinquish-default", "units", "status-flags"} <= set(properties)
        world.show(supply, math.nan)
        assert list(await client.read(supply, "statusFlags")) == [0, 1, 0, 0]  # fault: no sensor
        cell = servers.servers["mistral/controller"].cells[TANK]  # type: ignore[union-attr]
        cell.put(12, 64.0)
        slots = await client.read(TANK, "priorityArray")
        assert [None if s.null is not None else s.real for s in slots] == [None] * 11 + [64.0] + [None] * 4
        assert (await client.read(TANK, "currentCommandPriority")).unsigned == 12

    runner.run(look())


def test_many_properties_at_once_go_the_long_way_too(
    world: StillWorld, stock: tuple[asyncio.Runner, StockClient]
) -> None:
    runner, client = stock

    async def look() -> None:
        address, tank = client.where(TANK)
        top = client.where("mistral/tank/top_temperature_c")[1]
        world.show("mistral/tank/top_temperature_c", 58.5)
        unknown = ObjectIdentifier(("analog-input", 4000))
        short = await client.app.read_property_multiple(address, [top, ["presentValue"]])
        long = await client.app.read_property_multiple(
            address, [top, ["presentValue", "statusFlags"], tank, ["presentValue"], unknown, ["presentValue"]]
        )
        assert [value for *_, value in short] == [58.5]
        assert [value for *_, value in long][0::2][:2] == [58.5, 60.0]
        assert str(long[-1][-1].errorCode) == "unknown-object"

    runner.run(look())


def test_writes_are_refused_as_a_device_refuses_them(
    world: StillWorld, stock: tuple[asyncio.Runner, StockClient]
) -> None:
    runner, client = stock

    async def refusal(point: str, value: Any) -> str:
        try:
            await client.write(point, value, 12)
        except ErrorRejectAbortNack as nack:
            return str(getattr(nack, "errorCode", nack))
        return "written"

    async def write() -> None:
        assert await refusal("mistral/tank/top_temperature_c", Real(50)) == "write-access-denied"
        assert await refusal("mistral/flat-0101/setpoint_c", Real(20)) == "write-access-denied"  # the resident's own
        for wrong in (math.nan, math.inf, 54.9, 65.1):
            assert await refusal(TANK, Real(wrong)) == "value-out-of-range"
        assert world.commands == []
        assert await refusal(TANK, Real(65)) == "written"
        assert await refusal(TANK, Null(())) == "written"
        assert world.commands == [(TANK, 65.0), (TANK, 60.0)]

    runner.run(write())


def test_time_outs_are_the_site_s(world: StillWorld, servers: FieldServers, district: District) -> None:
    """No real time passes in a watchdog: at speed 60, fifteen minutes are fifteen seconds."""
    cell = cell_of(servers, district, TANK)
    cell.put(12, 62.0)
    for _ in range(100):
        servers.tick()
    assert cell.value == 62.0
    world.now += timedelta(hours=1)
    servers.tick()
    servers.tick()
    assert cell.value == 60.0
