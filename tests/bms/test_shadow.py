"""Shadow mode at real peers: they are read as ever, and see no write, no heartbeat and no release."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from ems.bms import Field, ShadowField, StandingError
from ems.bms.apdu import WRITE_PROPERTY
from ems.bms.shadow import WHY
from ems.command import Refused, Withheld
from ems.district import District
from tests.served_district import NOW, command, part_of_district

NETWORK = 63
CHARGER, BATTERY = "parking/point-01/current_limit_a", "parking/battery/power_setpoint_kw"
CURVE, HEARTBEAT = "mistral/substation/heating_curve_offset_k", "mistral/substation/heartbeat_count"
READS = {3, 4}


class Ear:
    """A Modbus gateway and a BACnet station, written here from the frames' layout, that note what they are asked.

    Modbus: every register reads 1. BACnet: every request is answered with an error, so nothing is ever believed.
    """

    def __init__(self) -> None:
        self.functions: Counter[int] = Counter()
        self.services: Counter[int] = Counter()

    async def modbus(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(8)
                transaction, _, length, unit, function = struct.unpack(">HHHBB", head)
                body = await reader.readexactly(length - 2)
                self.functions[function] += 1
                if function in READS:
                    count = struct.unpack(">H", body[2:4])[0]
                    answer = struct.pack(">BBB", unit, function, 2 * count) + b"\x00\x01" * count
                else:
                    answer = struct.pack(">BB", unit, function) + body[:4]
                writer.write(struct.pack(">HHH", transaction, 0, len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Station(asyncio.DatagramProtocol):
    def __init__(self, ear: Ear) -> None:
        self.ear = ear

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        # BVLC 4 bytes, NPDU 2 (no addresses on loopback), then the APDU: type 0 is a confirmed request.
        apdu = data[6:]
        if len(apdu) > 3 and apdu[0] >> 4 == 0:
            self.ear.services[apdu[3]] += 1
            error = bytes([0x50, apdu[2], apdu[3], 0x91, 1, 0x91, 31])
            packet = bytes([0x81, 0x0A, 0, 6 + len(error), 1, 0]) + error
            self.transport.sendto(packet, addr)  # type: ignore[attr-defined]


@asynccontextmanager
async def listening(district: District) -> AsyncIterator[Ear]:
    """Every bus of a district, as an ear."""
    ear, loop = Ear(), asyncio.get_running_loop()
    servers = [
        await asyncio.start_server(ear.modbus, bus.host, bus.port)
        for bus in district.buses.values()
        if bus.protocol == "modbus"
    ]
    stations = [
        (await loop.create_datagram_endpoint(lambda: Station(ear), local_addr=(bus.host, bus.port)))[0]
        for bus in district.buses.values()
        if bus.protocol == "bacnet"
    ]
    try:
        yield ear
    finally:
        for station in stations:
            station.close()
        for server in servers:
            server.close()


def test_peers_are_read_and_never_written() -> None:
    district = part_of_district(NETWORK, ("parking", "mistral"))
    commands = [command(CHARGER, 16.0), command(BATTERY, 20.0), command(CURVE, 1.0), command(CURVE, None)]

    async def go() -> Ear:
        async with listening(district) as ear:
            link = Field(district.wires, timeout_s=20.0)
            await link.start()
            shadow = ShadowField(link)
            try:
                samples = await shadow.sweep(NOW)
                assert samples[CHARGER].is_good
                assert await shadow.write(commands) == [Withheld(16.0), Withheld(20.0), Withheld(1.0), Withheld(None)]
                for minutes in (1, 5, 20, 60):
                    assert await shadow.refresh(NOW + timedelta(minutes=minutes)) == {}
                shadow.adopt([])
                shadow.renew([CHARGER], NOW + timedelta(hours=1))
                shadow.guard_writes(lambda command: None)  # the loop's own guard opens nothing
                assert shadow.standing == {}
                assert await link.write([command(CHARGER, 16.0)]) == [Refused(WHY)]
                assert shadow.findings() == []
                assert shadow.health[district.wires[CHARGER].bus.name].up
            finally:
                await shadow.stop()
            return ear

    ear = asyncio.run(go())
    assert set(ear.functions) <= READS and sum(ear.functions.values()) > 0
    assert WRITE_PROPERTY not in ear.services and sum(ear.services.values()) > 0


def test_without_shadow_the_same_peers_hear_of_it() -> None:
    district = part_of_district(NETWORK, ("parking",))

    async def go() -> Ear:
        async with listening(district) as ear:
            link = Field(district.wires, timeout_s=20.0)
            await link.start()
            try:
                await link.sweep(NOW)
                await link.write([command(CHARGER, 16.0)])
            finally:
                await link.stop()
            return ear

    assert asyncio.run(go()).functions[16] >= 1  # else the ears above were deaf


def test_shadow_does_not_begin_while_an_earlier_run_still_commands() -> None:
    district = part_of_district(NETWORK, ("parking",))
    left = replace(command(CHARGER, 16.0), key="1:point")

    async def go() -> None:
        ShadowField(Field(district.wires)).adopt([left])

    with pytest.raises(StandingError, match=r"1 commands of an earlier run still stand.*point-01"):
        asyncio.run(go())
