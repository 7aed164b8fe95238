"""Every file of buildings/devices: served from itself, read by us and by a program that shares no code with us.

Values go out through the simulated device's encoder and come back through our decoder and, word by word, through
mbpoll, decoded here by hand; BACnet objects through a stack in TypeScript.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ems.bms import Field
from ems.bms.mirror import release_entry
from ems.command import Written
from ems.district import Bus, Device, DeviceType, District, Register, Wire
from ems.points import Quality, Sample
from ems.simulate.servers import FieldServers
from ems.simulate.servers.gateway import Gateway
from tests.bms.test_independent_clients import INSTALL, MODULES
from tests.conftest import absence
from tests.served_district import NOW, StillWorld, command, whole_district

NET = 123
TYPES = whole_district().device_types
MODBUS = sorted(name for name, kind in TYPES.items() if kind.protocol == "modbus")
BACNET = sorted(name for name, kind in TYPES.items() if kind.protocol == "bacnet")
NEEDED = {
    "eastron-sdm630", "eastron-sdm72", "schneider-iem3155", "carlo-gavazzi-em24", "carlo-gavazzi-em340", "janitza-b23",
    "kamstrup-multical-403", "sunspec-inverter", "sunspec-storage", "sma-inverter", "sma-storage",
    "fronius-gen24", "victron-gx", "keba-p30", "alfen-eve",
    "abb-terra-ac", "heidelberg-energy-control", "webasto-next", "nibe-s", "daikin-homehub", "sg-ready-heat-pump",
    "room-controller", "plant-controller",
}  # fmt: skip
NUMBERS = {"analog-input": 0, "analog-output": 1, "analog-value": 2, "binary-input": 3, "binary-output": 4,
           "binary-value": 5, "multi-state-input": 13, "multi-state-output": 14, "multi-state-value": 19}  # fmt: skip


def alone(name: str, unit: int = 7) -> tuple[District, dict[str, Wire]]:
    """One device of a type, alone on its bus; all that can be written is ours."""
    kind: DeviceType = TYPES[name]
    bus = Bus("bench/bus", kind.protocol, f"127.{NET}.4.1", 15040 if kind.protocol == "modbus" else 47808, 4711)
    device = Device("bench/device", kind, bus, unit=unit)
    wires = {
        f"bench/device/{q}": Wire(f"bench/device/{q}", device, m, "ours" if m.write else "observe")
        for q, m in kind.points.items()
    }
    return replace(whole_district(), buses={bus.name: bus}, devices=(device,), wires=wires), wires


def shown(wire: Wire, n: int) -> float:
    """A value that the point can have, another for each: within its range and on its raw step."""
    measure = wire.measure
    low = -50.0 if measure.minimum is None else measure.minimum
    high = low + 100 if measure.maximum is None else measure.maximum
    value = low + (high - low) * (0.31 + 0.043 * (n % 9))
    if isinstance(measure, Register) and not measure.type.startswith("float"):
        value = round(value / measure.scale) * measure.scale
    elif not isinstance(measure, Register) and not measure.object.startswith("analog"):
        value = float(max(round(value), 0 if measure.object.startswith("binary") else 1))
    else:
        value = struct.unpack(">f", struct.pack(">f", value))[0]
    return value


def beside(name: str, test: Callable[[dict[str, Wire], dict[str, float], Field, StillWorld], Awaitable[None]]) -> None:
    async def run() -> None:
        district, wires = alone(name)
        world = StillWorld(district)
        values = {}
        for n, (point, wire) in enumerate(wires.items()):
            limits = wire.measure.write
            values[point] = limits.release if limits else shown(wire, n)
            world.show(point, values[point])
        servers = FieldServers(district, world)
        await servers.start()
        field = Field(wires)
        await field.start()
        try:
            await test(wires, values, field, world)
        finally:
            await field.stop()
            await servers.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def by_hand(register: Register, words: list[int]) -> float:
    """A register's value from its words, as its file says; not by the code on trial."""
    if register.words == "little":
        words = words[::-1]
    number = 0
    for word in words:
        number = number * 65536 + word
    bits = 16 * len(words)
    if register.type == "float32":
        raw: float = struct.unpack("<f", number.to_bytes(4, "little"))[0]
    elif register.type == "float64":
        raw = struct.unpack("<d", number.to_bytes(8, "little"))[0]
    else:
        raw = number - (1 << bits) if register.type.startswith("int") and number >> (bits - 1) else number
    if register.bits is not None:
        first, last = register.bits
        raw = raw // 2**first % 2 ** (last + 1 - first)
    if register.states:
        return register.states[int(raw)]
    return raw * register.scale


def test_the_types_that_a_french_district_meets_are_there() -> None:
    assert TYPES.keys() >= NEEDED
    for name, kind in TYPES.items():
        assert len(kind.source) > 9, name
        assert not kind.verified, f"{name}: who has read a real one with it? say so in its source, and here"


async def polled(path: str, bus: Bus, unit: int, function: int, address: int, count: int) -> list[int]:
    """Words as mbpoll prints them."""
    process = await asyncio.create_subprocess_exec(
        path, "-m", "tcp", "-p", str(bus.port), "-0", "-1", "-q", "-a", str(unit),
        "-t", f"{4 if function == 3 else 3}:hex", "-r", str(address), "-c", str(count), bus.host,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    return [int(word, 16) for word in re.findall(r"\[\d+\]:\s+0x([0-9A-Fa-f]+)", out.decode())]


@pytest.mark.parametrize("name", MODBUS)
def test_a_modbus_type_is_read_as_it_is_served(name: str, needs_program: Callable[[str, str], str]) -> None:
    path = needs_program("mbpoll", "apt-get install mbpoll")

    async def test(wires: dict[str, Wire], values: dict[str, float], field: Field, world: StillWorld) -> None:
        samples = await field.sweep(NOW)
        for point, wire in wires.items():
            register = wire.measure
            assert isinstance(register, Register)
            assert samples[point].quality is Quality.GOOD, (point, samples[point])
            assert samples[point].value == pytest.approx(values[point], rel=1e-6), point
            words = await polled(path, wire.bus, wire.device.unit, register.function, register.address, register.count)
            assert by_hand(register, words) == pytest.approx(values[point], rel=1e-6), point

    beside(name, test)


@pytest.mark.parametrize("name", [n for n in MODBUS if any(m.write for m in TYPES[n].points.values())])
def test_what_we_write_to_a_modbus_type_stands_in_its_registers(
    name: str, needs_program: Callable[[str, str], str]
) -> None:
    path = needs_program("mbpoll", "apt-get install mbpoll")

    async def test(wires: dict[str, Wire], values: dict[str, float], field: Field, world: StillWorld) -> None:
        for point, wire in wires.items():
            register, limits = wire.measure, wire.measure.write
            if limits is None:
                continue
            assert isinstance(register, Register)
            for value in (limits.maximum, limits.minimum):
                assert await field.write([command(point, value)]) == [Written(value)]
                words = await polled(path, wire.bus, wire.device.unit, 3, register.address, register.count)
                assert by_hand(register, words) == pytest.approx(value, rel=1e-6, abs=abs(register.scale) / 2), point
            assert await field.write([command(point, None)]) == [Written(limits.release)]

    beside(name, test)


@pytest.mark.parametrize("name", [n for n in MODBUS if any(r.nan is not None for r in TYPES[n].registers.values())])
def test_what_a_device_has_not_is_missing(name: str) -> None:
    async def test(wires: dict[str, Wire], values: dict[str, float], field: Field, world: StillWorld) -> None:
        measured = {p: w.measure for p, w in wires.items() if not w.writable}  # what is written is there
        without = [p for p, m in measured.items() if isinstance(m, Register) and m.nan is not None]
        for point in without:
            world.show(point, math.nan)
        samples = await field.sweep(NOW)
        assert {p for p, s in samples.items() if s.quality is Quality.MISSING} == set(without)

    beside(name, test)


def test_a_code_that_no_file_knows_is_missing_and_says_which_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(wires: dict[str, Wire], values: dict[str, float], field: Field, world: StillWorld) -> None:
        state = "bench/device/state_mode"

        async def shows(word: int) -> Sample:
            async def answers(self: Gateway, unit: int, function: int, address: int, count: int = 1) -> list[int]:
                return [word if address + i == 0x400D else 0 for i in range(count)]

            monkeypatch.setattr(Gateway, "async_getValues", answers)
            return (await field.sweep(NOW))[state]

        assert await shows(0x0400) == Sample(2.0, Quality.GOOD, NOW)  # bits 8 to 14 of 0x0400: code 4, charging
        assert await shows(0x0500) == Sample(1.0, Quality.GOOD, NOW)  # 5: its session stands still, the car waits
        strange = await shows(0x0600)
        assert (strange.value, strange.quality, strange.raw) == (None, Quality.MISSING, 6)
        assert await shows(0x8400) == Sample(2.0, Quality.GOOD, NOW)  # bit 15 says something else

    beside("abb-terra-ac", test)


def test_a_limit_is_written_beside_where_it_is_read_and_taken_back_there() -> None:
    async def test(wires: dict[str, Wire], values: dict[str, float], field: Field, world: StillWorld) -> None:
        limit = "bench/device/current_limit_a"
        assert await field.write([command(limit, 16.0)]) == [Written(16.0)]
        assert world.commands == [(limit, 16.0)]
        assert (await field.sweep(NOW))[limit].value == 16.0
        # What the dead-man sends: function 16, register 0x4100, 2 words of 4 bytes, 10 000 mA = 0x2710.
        assert release_entry(wires[limit], 12)["request"].endswith("10" + "4100" + "0002" + "04" + "00002710")

    beside("abb-terra-ac", test)


def test_an_input_register_may_show_what_a_single_one_beside_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    write = {"address": 10, "function": 6, "minimum": 0, "maximum": 32, "release": 8}
    shown = {"function": 4, "address": 10, "type": "uint16", "unit": "A", "authority": "ours", "write": write}
    kind = {"maker": "generic", "model": "apart", "source": "assumption", "verified": False, "protocol": "modbus",
            "registers": {"current_limit_a": shown}, "watchdog": {"kind": "none"}}  # fmt: skip
    monkeypatch.setitem(TYPES, "apart", DeviceType.model_validate(kind))

    async def test(wires: dict[str, Wire], values: dict[str, float], field: Field, world: StillWorld) -> None:
        limit = "bench/device/current_limit_a"
        assert await field.write([command(limit, 16.0)]) == [Written(16.0)]
        assert (await field.sweep(NOW))[limit].value == 16.0
        assert release_entry(wires[limit], 12)["request"].endswith("06" + "000a" + "0008")

    beside("apart", test)


@pytest.mark.parametrize("name", BACNET)
def test_a_bacnet_type_is_read_as_it_is_served(name: str, needs_program: Callable[[str, str], str]) -> None:
    node = needs_program("node", "apt-get install nodejs")
    if not (MODULES / "@bacnet-js" / "client").is_dir():
        absence(f"the BACnet client for node is not in var/npm; install it with: {INSTALL}")

    async def test(wires: dict[str, Wire], values: dict[str, float], field: Field, world: StillWorld) -> None:
        samples = await field.sweep(NOW)
        process = await asyncio.create_subprocess_exec(
            node, str(Path(__file__).with_name("bacnet_client.js")), f"127.{NET}.255.9", "47998",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(MODULES)},
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        address = next(iter(wires.values())).bus.address
        wanted = [[NUMBERS[w.object_id[0]], w.object_id[1]] for w in wires.values()]
        process.stdin.write(json.dumps({"do": "multiple", "address": address, "wanted": wanted}).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        process.stdin.close()
        await process.wait()
        for (point, value), theirs in zip(values.items(), answer["found"], strict=True):
            assert samples[point].quality is Quality.GOOD, point
            assert samples[point].value == pytest.approx(value, rel=1e-6), point
            assert theirs == pytest.approx(value, rel=1e-6), point

    beside(name, test)
