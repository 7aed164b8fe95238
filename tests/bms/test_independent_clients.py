"""What others see: programs that share no code with us read our servers, and find what we wrote in them.

mbpoll is a C program on libmodbus; @bacnet-js/client is a BACnet stack in TypeScript. An error that our encoder and
decoder share would show here.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ems.bms import Field
from ems.command import Written
from ems.simulate.servers import FieldServers
from tests.conftest import absence
from tests.served_district import NOW, StillWorld, command, part_of_district

NET = 121
MODULES = Path(__file__).parents[2] / "var" / "npm" / "node_modules"
INSTALL = 'npm install --prefix var/npm "@bacnet-js/client@3.3.2"'
REAL, NULL, ENUMERATED = 4, 0, 9  # application tags
ANALOG_OUTPUT, BINARY_OUTPUT, ANALOG_INPUT, DEVICE = 1, 4, 0, 8
PRESENT_VALUE, PRIORITY_ARRAY, RELINQUISH_DEFAULT, OBJECT_LIST, VENDOR_NAME = 85, 87, 104, 76, 121


class Site:
    """Servers, the field before them, and the loop both live in."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.run = runner.run
        self.district = part_of_district(NET)
        self.world = StillWorld(self.district)
        runner.get_loop()
        self.servers = FieldServers(self.district, self.world)
        self.field = self.run(self._start())

    async def _start(self) -> Field:
        await self.servers.start()
        field = Field(self.district.wires)
        await field.start()
        await field.sweep(NOW)
        return field

    async def stop(self) -> None:
        await self.field.stop()
        await self.servers.stop()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with asyncio.Runner() as runner:
        made = Site(runner)
        yield made
        runner.run(made.stop())


async def program(*line: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    return out.decode()


@pytest.fixture
def poll(site: Site, needs_program: Callable[[str, str], str]) -> Callable[..., str]:
    """mbpoll on the bus of a point: `poll(point, "-t", "4:float", "-r", "0")`, with values to write at the end."""
    path = needs_program("mbpoll", "apt-get install mbpoll")

    def run(point: str, *options: str, write: tuple[str, ...] = ()) -> str:
        wire = site.district.wires[point]
        unit, host, port = wire.device.unit, wire.bus.host, wire.bus.port
        line = [path, "-m", "tcp", "-p", str(port), "-0", "-1", "-q", "-a", str(unit), *options, host, *write]
        return site.run(program(*line))

    return run


def polled(text: str) -> dict[int, float]:
    return {int(a): float(v) for a, v in re.findall(r"\[(\d+)\]:\s+(-?[\d.]+)", text)}


def test_mbpoll_reads_a_meter_as_its_maker_describes_it(site: Site, poll: Callable[..., str]) -> None:
    site.world.show("mistral/flat-0101/power_kw", 1.5)
    site.world.show("mistral/flat-0101/energy_kwh", 4321.0)
    assert polled(poll("mistral/flat-0101/power_kw", "-t", "3:float", "-B", "-r", "52"))[52] == 1500  # W
    assert polled(poll("mistral/flat-0101/energy_kwh", "-t", "3:float", "-B", "-r", "72"))[72] == 4321
    site.world.show("mistral/flat-0101/heat_energy_kwh", 77.0)
    assert polled(poll("mistral/flat-0101/heat_energy_kwh", "-t", "4:int", "-B", "-r", "20"))[20] == 77


def test_mbpoll_sees_our_command_and_its_release(site: Site, poll: Callable[..., str]) -> None:
    point = "parking/point-01/current_limit_a"
    limit = ("-t", "4:int", "-B", "-r", "16398")  # 0x400E: what holds
    assert site.run(site.field.write([command(point, 16)])) == [Written(16)]
    assert polled(poll(point, *limit))[16398] == 16000  # mA
    assert site.run(site.field.write([command(point, None)])) == [Written(10)]
    assert polled(poll(point, *limit))[16398] == 10000


def test_mbpoll_writes_and_we_see_it(site: Site, poll: Callable[..., str]) -> None:
    point = "plant-a/battery/power_setpoint_kw"
    poll(point, "-t", "4:int", "-B", "-r", "100", write=("--", "-50000"))
    assert site.run(site.field.sweep(NOW))[point].value == -50
    assert (point, -50.0) in site.world.commands
    refused = poll(point, "-t", "4:int", "-B", "-r", "100", write=("900000",))
    assert "Illegal data value" in refused
    assert site.run(site.field.sweep(NOW))[point].value == -50


def test_mbpoll_is_told_of_holes_inputs_and_unknown_units(site: Site, poll: Callable[..., str]) -> None:
    assert "Illegal data address" in poll("plant-a/plant/power_kw", "-t", "4:float", "-B", "-r", "3061")
    assert "Illegal" in poll("plant-a/battery/power_kw", "-t", "4:int", "-B", "-r", "0", write=("1",))
    wire = site.district.wires["plant-a/plant/power_kw"]
    line = ["mbpoll", "-m", "tcp", "-p", str(wire.bus.port), "-0", "-1", "-q", "-a", "99", "-r", "0", wire.bus.host]
    assert "Target device failed to respond" in site.run(program(*line))


class Node:
    """The JavaScript client, one process for a test."""

    def __init__(self, site: Site, process: asyncio.subprocess.Process) -> None:
        self.site, self.process = site, process

    def ask(self, point_or_bus: str, do: str, **order: Any) -> Any:
        """The answer to an order; the bus is that of the point."""
        wire = self.site.district.wires.get(point_or_bus)
        bus = wire.bus if wire is not None else self.site.district.buses[point_or_bus]
        return self.site.run(self._ask({"do": do, "address": bus.address, **order}))

    async def _ask(self, order: dict[str, Any]) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(self.process.stdout.readline(), 10))
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["found"]

    def read(self, point: str, number: int, property_number: int, index: int | None = None) -> Any:
        instance = self.site.district.wires[point].object_id[1]
        order = {"object": [number, instance], "property": property_number}
        return self.ask(point, "read", **order, **({} if index is None else {"index": index}))


@pytest.fixture
def node(site: Site, needs_program: Callable[[str, str], str]) -> Iterator[Node]:
    path = needs_program("node", "apt-get install nodejs")
    if not (MODULES / "@bacnet-js" / "client").is_dir():
        absence(f"the BACnet client for node is not in var/npm; install it with: {INSTALL}")

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            path, str(Path(__file__).with_name("bacnet_client.js")), f"127.{NET}.255.9", "47999",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(MODULES)},
        )  # fmt: skip

    client = Node(site, site.run(start()))
    yield client
    assert client.process.stdin is not None
    client.process.stdin.close()
    site.run(asyncio.wait_for(client.process.wait(), 10))


def test_another_bacnet_stack_finds_the_device_and_its_objects(site: Site, node: Node) -> None:
    bus = site.district.buses["creche/controller"]
    assert node.ask(bus.name, "whois") == bus.device_instance
    device = [DEVICE, bus.device_instance]
    listed = node.ask(bus.name, "read", object=device, property=OBJECT_LIST)
    wires = [w for w in site.district.wires.values() if w.bus.name == bus.name]
    assert len(listed) == len(wires) + 2  # and the device and its port
    assert node.ask(bus.name, "read", object=device, property=VENDOR_NAME)[0]["value"] == "Smartseille simulation"


def test_another_bacnet_stack_reads_what_the_world_shows(site: Site, node: Node) -> None:
    point = next(p for p in site.district.wires if p.startswith("creche/") and p.endswith("/temperature_c"))
    site.world.show(point, 21.5)
    assert node.read(point, ANALOG_INPUT, PRESENT_VALUE) == [{"type": REAL, "value": 21.5}]
    instance = site.district.wires[point].object_id[1]
    assert node.ask(point, "multiple", wanted=[[ANALOG_INPUT, instance]]) == [21.5]


def test_another_bacnet_stack_sees_our_slot_and_then_the_default(site: Site, node: Node) -> None:
    point = "mistral/substation/heating_curve_offset_k"
    assert site.run(site.field.write([command(point, -1.5)])) == [Written(-1.5)]
    assert node.read(point, ANALOG_OUTPUT, PRESENT_VALUE)[0]["value"] == -1.5
    slots = node.read(point, ANALOG_OUTPUT, PRIORITY_ARRAY)
    assert [slot["value"] for slot in slots] == [None] * 11 + [-1.5] + [None] * 4
    assert site.run(site.field.write([command(point, None)])) == [Written(0.0)]
    assert node.read(point, ANALOG_OUTPUT, PRESENT_VALUE)[0]["value"] == 0
    assert node.read(point, ANALOG_OUTPUT, RELINQUISH_DEFAULT)[0]["value"] == 0
    assert {slot["type"] for slot in node.read(point, ANALOG_OUTPUT, PRIORITY_ARRAY)} == {NULL}


def test_another_bacnet_stack_overrides_us_and_lets_go(site: Site, node: Node) -> None:
    point = "mistral/tank/charge_on"
    instance = site.district.wires[point].object_id[1]
    where = {"object": [BINARY_OUTPUT, instance], "priority": 8}
    node.ask(point, "write", **where, tag=ENUMERATED, value=0)
    assert (point, 0.0) in site.world.commands
    outcome = site.run(site.field.write([command(point, 1)]))[0]
    assert outcome.__class__.__name__ == "Overridden" and outcome.holder == "priority 8"  # type: ignore[union-attr]
    node.ask(point, "write", **where, tag=NULL, value=None)
    assert site.run(site.field.write([command(point, 1)])) == [Written(1)]


@pytest.mark.parametrize("confirmed", [False, True])
def test_another_bacnet_stack_is_told_of_changes(site: Site, node: Node, confirmed: bool) -> None:
    point = "mistral/tank/charge_on"
    instance = site.district.wires[point].object_id[1]
    assert site.run(site.field.write([command(point, None)]))
    node.ask(point, "follow", object=[BINARY_OUTPUT, instance], confirmed=confirmed)
    assert [values[0] for values in node.ask(point, "told")] == [1]  # released
    assert site.run(site.field.write([command(point, 0)])) == [Written(0)]

    async def tick() -> None:
        site.servers.tick()

    site.run(tick())
    assert [values[0] for values in node.ask(point, "told")] == [0]
    site.run(site.field.write([command(point, None)]))
    site.servers.servers[site.district.wires[point].bus.name].notices.subscriptions.clear()  # type: ignore[union-attr]


def test_another_bacnet_stack_is_refused_where_it_should_be(site: Site, node: Node) -> None:
    cold = "mistral/substation/supply_temperature_c"
    instance = site.district.wires[cold].object_id[1]
    with pytest.raises(RuntimeError, match="40"):  # write access denied
        node.ask(cold, "write", object=[ANALOG_INPUT, instance], tag=REAL, value=99, priority=8)
    point = "mistral/tank/setpoint_c"
    instance = site.district.wires[point].object_id[1]
    with pytest.raises(RuntimeError, match="37"):  # value out of range
        node.ask(point, "write", object=[ANALOG_OUTPUT, instance], tag=REAL, value=90, priority=8)
