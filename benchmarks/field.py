"""How fast the field is read, against named references on the same loopback peers in one run.

Peers live in another process: 45 Modbus gateways of 10 units, 450 of one, 12 points each, as the simulated district
serves them (pymodbus) and, as `canned`, as bare as an answer can be; 40 canned BACnet stations of 30 points. Values
change all the time and are checked. The references: raw sockets with one request in flight (select, struct, nothing
else), pymodbus, BAC0. Rounds are interleaved, and of each its quicker fifth is taken: what it takes while nobody else
is on the machine. `--json` prints one line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import selectors
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

import numpy as np  # noqa: E402
from pymodbus.client import AsyncModbusTcpClient  # noqa: E402

from ems.bms import Field, Patience  # noqa: E402
from ems.bms.bacnet import quiet_bac0  # noqa: E402
from ems.bms.modbus import ModbusLine  # noqa: E402
from ems.district import Bus, Device, DeviceType, Wire  # noqa: E402
from ems.simulate.servers.gateway import Gateway as ServedGateway  # noqa: E402

NETWORK = 57
CANNED, CANNED_FLAT, SERVED, SERVED_FLAT = 1, 2, 3, 4  # third numbers of the gateways' addresses
POINTS, UNITS, GATEWAYS, FLAT, STATIONS, OBJECTS = 12, 10, 45, 450, 40, 30
START = datetime(2026, 1, 15, 12, tzinfo=UTC)
DEAD_GATEWAYS, DEAD_STATIONS = 2, 2  # five in a hundred
TIMEOUT_S = 1.0

METER = DeviceType.model_validate({
    "maker": "benchmark", "model": "meter", "source": "made up", "verified": False, "protocol": "modbus",
    "registers": {
        f"phase_{n}_kw": {
            "function": 3, "address": 2 * n, "type": "float32", "unit": "kW", "minimum": -1e6, "maximum": 1e6,
        }
        for n in range(POINTS)
    },
})  # fmt: skip
CONTROLLER = DeviceType.model_validate({
    "maker": "benchmark", "model": "controller", "source": "made up", "verified": False, "protocol": "bacnet",
    "objects": {
        f"zone_{n}_c": {"object": "analog-input", "instance": n, "unit": "degC", "minimum": -1e6, "maximum": 1e6}
        for n in range(OBJECTS)
    },
})  # fmt: skip


def gateways(count: int, net: int) -> list[Bus]:
    return [
        Bus(f"bench/gateway-{net}-{n}", "modbus", f"127.{NETWORK}.{net}.{n % 250 + 1}", 5020 + n // 250)
        for n in range(count)
    ]


def stations() -> list[Bus]:
    return [Bus(f"bench/station-{n}", "bacnet", f"127.{NETWORK}.9.{n + 1}", 47808, n + 1) for n in range(STATIONS)]


def meters(buses: Sequence[Bus], units: int) -> dict[str, Wire]:
    wires = {}
    for bus in buses:
        for unit in range(1, units + 1):
            device = Device(f"{bus.name}-{unit}", METER, bus, unit=unit)
            wires |= {
                f"{device.asset}/{q}": Wire(f"{device.asset}/{q}", device, m, "observe")
                for q, m in METER.registers.items()
            }
    return wires


def controllers(buses: Sequence[Bus]) -> dict[str, Wire]:
    wires = {}
    for bus in buses:
        device = Device(bus.name, CONTROLLER, bus)
        wires |= {
            f"{bus.name}/{q}": Wire(f"{bus.name}/{q}", device, m, "observe") for q, m in CONTROLLER.objects.items()
        }
    return wires


# The canned peers: as little as answers at all. A value tells its place, and the whole of an answer the same count.


class Gateway(asyncio.Protocol):
    """Register pair n of unit u holds the float 100 u + n + count / 1024."""

    silent = False
    served = 0

    def __init__(self, of: list[Gateway]) -> None:
        of.append(self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if Gateway.silent and self.transport.get_extra_info("sockname")[0] in silent_hosts():
            return
        for at in range(0, len(data), 12):
            transaction, _, _, unit, function, address, count = struct.unpack_from(">HHHBBHH", data, at)
            Gateway.served += 1
            share = Gateway.served % 1024 / 1024
            values = [100 * unit + n + share for n in range(address // 2, (address + count) // 2)]
            self.transport.write(
                struct.pack(f">HHHBBB{len(values)}f", transaction, 0, 3 + 2 * count, unit, function, 2 * count, *values)
            )


class Station(asyncio.DatagramProtocol):
    """A canned answer: analog inputs in order, each its instance + count / 1024."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.host = transport.get_extra_info("sockname")[0]
        self.served = 0

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if Gateway.silent and self.host in silent_hosts():
            return
        if data[6:8] == b"\x10\x08":  # Who-Is: I-Am, 1476 bytes, no segments
            identifier = (8 << 22 | int(self.host.rpartition(".")[2])).to_bytes(4, "big")
            answer = b"\x01\x00\x10\x00\xc4" + identifier + b"\x22\x05\xc4\x91\x03\x21\x00"
            self.transport.sendto(b"\x81\x0a" + struct.pack(">H", 4 + len(answer)) + answer, addr)
            return
        if data[4:6] != b"\x01\x04" or data[6] >> 4:
            return
        invoke, service, body = data[8], data[9], data[10:]
        if service == 12:  # how long an APDU it takes, or a probe
            device = int.from_bytes(body[1:5], "big") >> 22 == 8
            answer = body + (b"\x3e\x22\x05\xc4\x3f" if device else b"\x3e\x44" + bytes(4) + b"\x3f")
        else:
            self.served += 1
            share = self.served % 1024 / 1024
            parts = []
            for at in range(0, len(body), 9):
                value = (int.from_bytes(body[at + 1 : at + 5], "big") & 0x3FFFFF) + share
                parts.append(body[at : at + 5] + struct.pack(">IBfH", 0x1E29554E, 0x44, value, 0x4F1F))
            answer = b"".join(parts)
        self.transport.sendto(
            b"\x81\x0a" + struct.pack(">H", 9 + len(answer)) + bytes([1, 0, 0x30, invoke, service]) + answer, addr
        )


def silent_hosts() -> frozenset[str]:
    return _SILENT


_SILENT = frozenset([bus.host for bus in stations()[:DEAD_STATIONS]])


class Moving:
    """The world behind the served gateways: each value tells its place, and what comes after the point moves."""

    def __init__(self, wires: dict[str, Wire]) -> None:
        self.now = START
        self.index = {point: n for n, point in enumerate(wires)}
        self.places = np.array(
            [100 * w.device.unit + int(w.quantity.split("_")[1]) for w in wires.values()], dtype=float
        )
        self.values = self.places.copy()
        self.turns = 0

    def command(self, point: str, value: float) -> None:
        """Nobody writes."""

    async def move(self) -> None:
        while True:
            await asyncio.sleep(0.004)
            self.turns += 1
            self.values = self.places + self.turns % 1024 / 1024


def serve(pipe: Connection) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        connections: list[Gateway] = []
        for bus in [*gateways(GATEWAYS, CANNED), *gateways(FLAT, CANNED_FLAT)]:
            await loop.create_server(lambda: Gateway(connections), bus.host, bus.port, backlog=64)
        for bus in stations():
            await loop.create_datagram_endpoint(Station, local_addr=(bus.host, bus.port))
        served: list[ServedGateway] = []
        moving = []
        for buses, units in ((gateways(GATEWAYS, SERVED), UNITS), (gateways(FLAT, SERVED_FLAT), 1)):
            wires = meters(buses, units)
            world = Moving(wires)
            moving.append(asyncio.create_task(world.move()))
            for bus in buses:
                mine = [wire for wire in wires.values() if wire.bus == bus]
                served.append(ServedGateway(bus, mine, world))
                await served[-1].start()
        pipe.send("up")
        while (word := await asyncio.to_thread(pipe.recv)) != "stop":
            Gateway.silent = word == "silence"
            for gateway in served[:DEAD_GATEWAYS]:
                gateway.silent = Gateway.silent
            pipe.send(word)
        for task in moving:
            task.cancel()

    asyncio.run(run())


# The references


class RawSockets:
    """Blocking sockets and select, one request in flight each, floats out: the least that a sweep can be."""

    def __init__(self, buses: Sequence[Bus], units: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.units = units
        self.sockets = []
        for bus in buses:
            made = socket.create_connection((bus.host, bus.port))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(made, selectors.EVENT_READ)
            self.sockets.append(made)

    def sweep(self) -> float:
        began = time.perf_counter()
        at = dict.fromkeys(self.sockets, 1)
        values: dict[tuple[socket.socket, int], tuple[float, ...]] = {}
        for made in self.sockets:
            made.send(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, 2 * POINTS))
        open_ones = len(self.sockets)
        unpack = struct.Struct(f">{POINTS}f").unpack
        while open_ones:
            for key, _ in self.selector.select():
                made: Any = key.fileobj
                data = made.recv(512)
                unit = at[made]
                values[made, unit] = unpack(data[9:])
                if unit == self.units:
                    open_ones -= 1
                else:
                    at[made] = unit + 1
                    made.send(struct.pack(">HHHBBHH", unit + 1, 0, 6, unit + 1, 3, 0, 2 * POINTS))
        took = time.perf_counter() - began
        assert len(values) == len(self.sockets) * self.units
        assert all(
            int(row[0]) == 100 * unit and int(row[-1]) == 100 * unit + POINTS - 1 for (_, unit), row in values.items()
        )
        return took

    def close(self) -> None:
        for made in self.sockets:
            made.close()


class Library:
    """pymodbus as it is: a client per gateway, all at once, the units of one after each other."""

    def __init__(self, buses: Sequence[Bus], units: int) -> None:
        self.clients = [
            AsyncModbusTcpClient(b.host, port=b.port, timeout=TIMEOUT_S, retries=0, reconnect_delay=0) for b in buses
        ]
        self.units = units

    async def start(self) -> None:
        await asyncio.gather(*(client.connect() for client in self.clients))

    async def sweep(self, singly: bool = False) -> float:
        began = time.perf_counter()
        rows = await asyncio.gather(*(self._gateway(client, singly) for client in self.clients))
        took = time.perf_counter() - began
        assert all(int(row[u][-1]) == 100 * (u + 1) + POINTS - 1 for row in rows for u in range(self.units) if row[u])
        return took

    async def _gateway(self, client: AsyncModbusTcpClient, singly: bool) -> list[list[float]]:
        rows = []
        for unit in range(1, self.units + 1):
            row: list[float] = []
            for address in range(0, 2 * POINTS, 2) if singly else (0,):
                try:
                    if not client.connected:
                        await client.connect()
                    answer = await client.read_holding_registers(
                        address, count=2 if singly else 2 * POINTS, device_id=unit
                    )
                except Exception:
                    row = []
                    break
                found = client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
                row += found if isinstance(found, list) else [found]
            rows.append(row)
        return rows

    def close(self) -> None:
        for client in self.clients:
            client.close()


# The measurements


async def rounds(count: int, **sweeps: Callable[[], Awaitable[float] | float]) -> dict[str, float]:
    """Seconds of each, taken in turn so that the machine's moods meet all alike; the first round warms up."""
    taken: dict[str, list[float]] = {name: [] for name in sweeps}
    for n in range(count + 1):
        for name, sweep in sweeps.items():
            took = sweep()
            seconds = await took if isinstance(took, Awaitable) else took
            if n:
                taken[name].append(seconds)
    return {name: undisturbed(times) for name, times in taken.items()}


def undisturbed(times: Sequence[float]) -> float:
    """The quicker fifth of the times."""
    return sorted(times)[len(times) // 5]


class Ours:
    """The whole of our own: requests, checks, quality, belief, samples."""

    def __init__(self, wires: dict[str, Wire], timeout_s: float = 10.0) -> None:
        self.field = Field(wires, patience=Patience(2, 40), timeout_s=timeout_s)
        self.wires = wires
        self.now = START
        self.last: dict[str, float] = {}

    async def sweep(self, dead: int = 0) -> float:
        self.now += timedelta(minutes=1)
        began = time.perf_counter()
        samples = await self.field.sweep(self.now)
        took = time.perf_counter() - began
        values = {point: sample.value for point, sample in samples.items() if sample.value is not None}
        assert len(values) == len(self.wires) - dead, f"{len(values)} of {len(self.wires)} points"
        for point, value in values.items():
            wire = self.wires[point]
            measure: Any = wire.measure
            place = measure.instance if wire.bus.protocol == "bacnet" else 100 * wire.device.unit + measure.address // 2
            assert int(value) == place, f"{point} is {value}"
        fresh = sum(value != self.last.get(point) for point, value in values.items())
        assert fresh > 0.95 * len(values)  # the share after the point comes round after 1024 answers
        self.last = values
        return took


async def modbus(buses: Sequence[Bus], units: int, count: int) -> dict[str, float]:
    raw, library, ours = RawSockets(buses, units), Library(buses, units), Ours(meters(buses, units))
    await library.start()
    found = await rounds(count, raw=raw.sweep, library=library.sweep, ours=ours.sweep)
    raw.close()
    library.close()
    await ours.field.stop()
    return found


async def per_point(buses: Sequence[Bus]) -> dict[str, float]:
    """Each client with blocks and with one request per point."""
    library, ours, single = Library(buses, UNITS), Ours(meters(buses, UNITS)), Ours(meters(buses, UNITS))
    for line in single.field._lines.values():
        assert isinstance(line, ModbusLine)
        for unit in line.units.values():
            unit.blocks = tuple(one for block in unit.blocks for one in block.single())
    await library.start()
    found = await rounds(
        5,
        ours=ours.sweep,
        single=single.sweep,
        library=library.sweep,
        library_single=lambda: library.sweep(singly=True),
    )
    library.close()
    await ours.field.stop()
    await single.field.stop()
    return found


async def bacnet() -> dict[str, float]:
    buses = stations()
    ours = Ours(controllers(buses))
    await ours.field.start()
    bac0 = quiet_bac0()
    async with bac0.start(ip=f"127.{NETWORK}.255.7/32:47999", ping=False) as client:
        client_app = client.this_application.app
        client_app.device_object.apduTimeout, client_app.device_object.numberOfApduRetries = 500, 1
        asked = {f"analogInput:{n}": ["presentValue"] for n in range(OBJECTS)}

        async def library() -> float:
            began = time.perf_counter()
            for bus in buses:
                found = await client.readMultiple("", request_dict={"address": bus.address, "objects": asked})
                row = [float(properties[0][1]) for properties in found.values()]
                assert [int(value) for value in row] == list(range(OBJECTS))
            return time.perf_counter() - began

        found = await rounds(5, ours=ours.sweep, bac0=library)
    await ours.field.stop()
    return found


async def whole(pipe: Connection) -> dict[str, float]:
    """Both protocols at once, healthy, then with five in a hundred dead, and a client without a breaker beside it."""
    buses = gateways(GATEWAYS, SERVED)
    ours = Ours({**meters(buses, UNITS), **controllers(stations())}, TIMEOUT_S)
    await ours.field.start()
    naive = Library(buses, UNITS)
    await naive.start()
    healthy = await rounds(11, ours=ours.sweep, naive=naive.sweep)
    spent = time.process_time()
    for _ in range(20):
        await ours.sweep()
    cpu_s = (time.process_time() - spent) / 20
    pipe.send("silence")
    pipe.recv()
    dead = DEAD_GATEWAYS * UNITS * POINTS + DEAD_STATIONS * OBJECTS
    first = [await ours.sweep(dead) for _ in range(3)]
    pipe.send("go on")
    pipe.recv()
    for _ in range(400):  # real probes, real pauses
        if all(health.up for health in ours.field.health.values()):
            break
        await asyncio.sleep(0.05)
    healthy_again: list[float] = []
    sick: list[float] = []
    worst = 0.0
    for _ in range(3):  # healthy and sick in turn, on the same machine in the same mood
        healthy_again += [await ours.sweep() for _ in range(25)]
        pipe.send("silence")
        pipe.recv()
        for _ in range(2):
            worst = max(worst, await ours.sweep(dead))
        sick += [await ours.sweep(dead) for _ in range(25)]
        pipe.send("go on")
        pipe.recv()
        for _ in range(400):
            if all(health.up and not health.silent_units for health in ours.field.health.values()):
                break
            await asyncio.sleep(0.05)
    pipe.send("silence")
    pipe.recv()
    naive_dead = await naive.sweep()
    pipe.send("go on")
    pipe.recv()
    naive.close()
    await ours.field.stop()
    return {
        "full_sweep_s": healthy["ours"],
        "dead5_vs_healthy": undisturbed(sick) / undisturbed(healthy_again),
        "first_dead_sweep_s": max(*first, worst),
        "naive_dead5_vs_healthy": naive_dead / healthy["naive"],
        "cpu_per_sweep_s": cpu_s,
        "cpu_share_minute_poll": cpu_s / 60,
        "full_sweep_points": float(len(ours.wires)),
    }


async def everything(pipe: Connection) -> dict[str, Any]:
    nested = await modbus(gateways(GATEWAYS, SERVED), UNITS, 25)
    flat = await modbus(gateways(FLAT, SERVED_FLAT), 1, 15)
    canned = await modbus(gateways(GATEWAYS, CANNED), UNITS, 25)
    canned_flat = await modbus(gateways(FLAT, CANNED_FLAT), 1, 15)
    singly = await per_point(gateways(GATEWAYS, SERVED))
    rooms = await bacnet()
    await asyncio.sleep(1.3)  # the library's address is free again a second later
    figures: dict[str, Any] = {
        "modbus_sweep_vs_raw": nested["raw"] / nested["ours"],
        "modbus_sweep_flat_vs_raw": flat["raw"] / flat["ours"],
        "pymodbus_sweep_vs_raw": nested["raw"] / nested["library"],
        "pymodbus_sweep_flat_vs_raw": flat["raw"] / flat["library"],
        "canned_sweep_vs_raw": canned["raw"] / canned["ours"],
        "canned_sweep_flat_vs_raw": canned_flat["raw"] / canned_flat["ours"],
        "canned_pymodbus_sweep_vs_raw": canned["raw"] / canned["library"],
        "canned_pymodbus_sweep_flat_vs_raw": canned_flat["raw"] / canned_flat["library"],
        "modbus_sweep_s": nested["ours"],
        "modbus_sweep_flat_s": flat["ours"],
        "raw_sweep_s": nested["raw"],
        "raw_sweep_flat_s": flat["raw"],
        "coalesced_vs_per_point": singly["single"] / singly["ours"],
        "pymodbus_coalesced_vs_per_point": singly["library_single"] / singly["library"],
        "bacnet_fast_vs_bac0": rooms["bac0"] / rooms["ours"],
        "bacnet_points_per_s": STATIONS * OBJECTS / rooms["ours"],
        "bac0_points_per_s": STATIONS * OBJECTS / rooms["bac0"],
        **await whole(pipe),
    }
    return {key: round(value, 4) for key, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON line")
    as_json = parser.parse_args().json
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    assert ours.recv() == "up"
    figures = asyncio.run(everything(ours))
    ours.send("stop")
    process.join(10)
    if as_json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key.replace('_', ' '):<34} {value}")


if __name__ == "__main__":
    main()
