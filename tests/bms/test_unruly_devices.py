"""Devices as they also are: wrong, late, cut off, small or old. None of it may become a number."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ems.bms import Field, Patience
from ems.bms.apdu import READ_PROPERTY_MULTIPLE, read_one_request, read_request
from ems.bms.bacnet import BacnetLine, DeviceError
from ems.bms.modbus import ModbusLine
from ems.bms.reads import APDU_BYTES, objects_in, register_of
from ems.command import Overridden, Refused, Unreachable, Written
from ems.district import Bus, Device, Wire
from ems.points import Quality, Sample
from ems.simulate.servers import FieldServers
from ems.simulate.servers.station import Station
from tests.served_district import NOW, StillWorld, command, part_of_district

NET = 124
QUICK = Patience(0.05, 0.1)
TIMEOUT_S = 0.25

Answer = Callable[[int, int, int, int, int], bytes | None]  # transaction, unit, function, address, count


def registers(transaction: int, unit: int, function: int, words: list[int]) -> bytes:
    body = struct.pack(f">BBB{len(words)}H", unit, function, 2 * len(words), *words)
    return struct.pack(">HHH", transaction, 0, len(body)) + body


def honest(transaction: int, unit: int, function: int, address: int, count: int) -> bytes:
    if function in (6, 16):
        return struct.pack(">HHHBBHH", transaction, 0, 6, unit, function, address, count)
    return registers(transaction, unit, function, [0] * count)


class UnrulyGateway:
    """A Modbus server that answers what a test says, and counts how many questions were open at once."""

    def __init__(self, port: int) -> None:
        self.bus = Bus("house/meters", "modbus", f"127.{NET}.9.1", port)
        self.answer: Answer = honest
        self.delay_s = 0.0
        self.asked: list[int] = []  # units
        self.open = self.most_open = self.connections = self.connected = 0

    async def __aenter__(self) -> UnrulyGateway:
        self.server = await asyncio.start_server(self.serve, self.bus.host, self.bus.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.connected += 1
        replies: set[asyncio.Task[None]] = set()
        try:
            while True:
                head = await reader.readexactly(6)
                transaction, _, length = struct.unpack(">HHH", head)
                body = await reader.readexactly(length)
                replies.add(asyncio.create_task(self.reply(writer, transaction, *struct.unpack(">BBHH", body[:6]))))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connected -= 1
            writer.close()

    async def reply(self, writer: Any, transaction: int, unit: int, function: int, address: int, count: int) -> None:
        self.asked.append(unit)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(self.delay_s)
        self.open -= 1
        answer = self.answer(transaction, unit, function, address, count)
        if answer == b"":
            writer.close()
        elif answer is not None and not writer.is_closing():
            writer.write(answer)

    def line(self, units: int = 3, *, library_reads: bool = False) -> ModbusLine:
        """A line to real meters' registers behind this gateway."""
        wires = [w for w in part_of_district(NET).wires.values() if w.device.type.name == "eastron-sdm72"]
        device = wires[0].device
        made = []
        for unit in range(1, units + 1):
            mine = Device(f"house/flat-{unit}", device.type, self.bus, unit=unit)
            made += [
                Wire(f"house/flat-{unit}/{w.quantity}", mine, w.measure, "observe") for w in wires if w.device is device
            ]
        return ModbusLine(self.bus, made, QUICK, TIMEOUT_S, library_reads=library_reads)


def against(port: int, test: Callable[[UnrulyGateway, ModbusLine], Awaitable[None]], units: int = 3) -> None:
    async def run() -> None:
        async with UnrulyGateway(port) as gateway:
            line = gateway.line(units)
            try:
                await test(gateway, line)
            finally:
                await line.stop()

    asyncio.run(asyncio.wait_for(run(), 20))


def qualities(samples: dict[str, Sample], unit: int) -> set[Quality]:
    return {s.quality for p, s in samples.items() if p.startswith(f"house/flat-{unit}/")}


def of_unit_2(lie: Answer) -> Answer:
    return lambda t, unit, f, a, n: (lie if unit == 2 else honest)(t, unit, f, a, n)


LIES: list[Any] = [
    pytest.param(lambda t, u, f, a, n: registers(t, u, f, [0] * (n - 1)), Quality.IMPLAUSIBLE, id="too-few-words"),
    pytest.param(lambda t, u, f, a, n: registers(t, u, f, [0] * (n + 1)), Quality.IMPLAUSIBLE, id="too-many-words"),
    pytest.param(lambda t, u, f, a, n: registers(t, u, 3, [0] * n), Quality.IMPLAUSIBLE, id="another-function"),
    pytest.param(lambda t, u, f, a, n: registers(t, 77, f, [0] * n), Quality.IMPLAUSIBLE, id="another-unit"),
    pytest.param(lambda t, u, f, a, n: registers(t + 1, u, f, [0] * n), Quality.UNREACHABLE, id="another-question"),
    pytest.param(lambda t, u, f, a, n: b"\xff" * 20, Quality.UNREACHABLE, id="noise"),
    pytest.param(lambda t, u, f, a, n: None, Quality.UNREACHABLE, id="silence"),
    pytest.param(lambda t, u, f, a, n: b"", Quality.UNREACHABLE, id="hangs-up"),
]


@pytest.mark.parametrize(("lie", "quality"), LIES)
def test_a_lie_is_no_number_and_costs_nobody_else(lie: Answer, quality: Quality) -> None:
    async def test(gateway: UnrulyGateway, line: ModbusLine) -> None:
        gateway.answer = of_unit_2(lie)
        for n in range(4):
            samples = await line.read(NOW + timedelta(minutes=n))
            assert qualities(samples, 2) == {quality}
            assert qualities(samples, 1) == qualities(samples, 3) == {Quality.GOOD}
        gateway.answer = honest
        for _ in range(200):
            await asyncio.sleep(0.02)
            if not line.health.silent_units:
                break
        assert qualities(await line.read(NOW), 2) == {Quality.GOOD}
        assert line.health.up

    against(15021, test)


@pytest.mark.parametrize(("lie", "quality"), LIES)
def test_the_library_reads_what_our_own_framing_reads(lie: Answer, quality: Quality) -> None:
    """The same words from the same gateway, honest and lying: the same numbers, and a number from neither."""

    async def run() -> None:
        dice = random.Random(7)
        async with UnrulyGateway(15029) as gateway:
            own, library = gateway.line(), gateway.line(library_reads=True)
            for n in range(3):
                words = [dice.getrandbits(16) for _ in range(125)]
                gateway.answer = lambda t, u, f, a, n, words=words: registers(t, u, f, words[a : a + n])
                now = NOW + timedelta(minutes=n)
                assert await own.read(now) == await library.read(now)
            gateway.answer = of_unit_2(lie)
            ours, theirs = await own.read(NOW), await library.read(NOW)
            assert {p: s.value for p, s in ours.items()} == {p: s.value for p, s in theirs.items()}
            await own.stop()
            await library.stop()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_gateway_never_sees_two_connections_of_ours() -> None:
    async def run() -> None:
        district = part_of_district(NET)
        wire = district.wires["parking/point-01/current_limit_a"]
        async with UnrulyGateway(15030) as gateway:
            line = ModbusLine(gateway.bus, [replace(wire, device=replace(wire.device, bus=gateway.bus))], QUICK)
            for _ in range(3):
                await line.read(NOW)
                await line.write([command(wire.point, 16)])
                await asyncio.sleep(0.01)
                assert gateway.connected <= 1
            await line.stop()

    asyncio.run(run())


def test_a_late_answer_is_never_taken_for_the_next_one() -> None:
    async def test(gateway: UnrulyGateway, line: ModbusLine) -> None:
        gateway.delay_s = 1.5 * TIMEOUT_S
        gateway.answer = lambda t, u, f, a, n: registers(t, u, f, [0x4000] * n)
        assert qualities(await line.read(NOW), 1) == {Quality.UNREACHABLE}
        gateway.delay_s, gateway.answer = 0.0, honest
        samples = await line.read(NOW)
        assert {s.value for s in samples.values()} == {0.0}

    against(15022, test)


def test_one_question_at_a_time_on_a_bus() -> None:
    async def test(gateway: UnrulyGateway, line: ModbusLine) -> None:
        gateway.delay_s = 0.005
        await asyncio.gather(line.read(NOW), line.read(NOW), *(line.answers(unit) for unit in (1, 2, 3)))
        assert gateway.most_open == 1
        assert gateway.connections == 1

    against(15023, test)


def test_one_lost_answer_is_asked_for_again() -> None:
    async def test(gateway: UnrulyGateway, line: ModbusLine) -> None:
        lost = [2]
        gateway.answer = lambda t, u, f, a, n: None if u in lost and not lost.remove(u) else honest(t, u, f, a, n)  # type: ignore[func-returns-value]
        assert {s.quality for s in (await line.read(NOW)).values()} == {Quality.GOOD}
        assert gateway.asked == [1, 2, 3, 2]

    against(15027, test)


def test_what_a_gateway_says_at_once_costs_no_patience() -> None:
    """Exception 11 for most units: the others are read in the same sweep."""

    async def test(gateway: UnrulyGateway, line: ModbusLine) -> None:
        gateway.answer = lambda t, u, f, a, n: (
            struct.pack(">HHHBBB", t, 0, 3, u, f | 0x80, 11) if u <= 9 else honest(t, u, f, a, n)
        )
        for _ in range(2):
            samples = await line.read(NOW)
            assert qualities(samples, 10) == qualities(samples, 12) == {Quality.GOOD}
            assert qualities(samples, 1) == {Quality.UNREACHABLE}
        assert line.health.up
        assert line.health.silent_units == tuple(range(1, 10))

    against(15028, test, units=12)


def test_many_dead_units_cost_two_silences_a_sweep_until_they_are_known() -> None:
    async def test(gateway: UnrulyGateway, line: ModbusLine) -> None:
        alive = {1, 5, 12}
        gateway.answer = lambda t, u, f, a, n: honest(t, u, f, a, n) if u in alive else None
        for n in range(12):
            before = len(gateway.asked)
            samples = await line.read(NOW + timedelta(minutes=n))
            # Two silences of its own, and those of probes that came between: not one from each of nine.
            assert sum(unit not in alive for unit in gateway.asked[before:]) <= 2 + 2
            if n > 6:  # the doubtful come last, so those that answer are soon always read
                assert all(qualities(samples, unit) == {Quality.GOOD} for unit in alive)
        assert line.health.up

    against(15024, test, units=12)


def test_when_nobody_answers_it_is_the_bus() -> None:
    async def test(gateway: UnrulyGateway, line: ModbusLine) -> None:
        gateway.answer = lambda t, u, f, a, n: None
        await line.read(NOW)
        await line.read(NOW)
        assert not line.health.up and line.breaker.is_open
        asked = len(gateway.asked)
        await line.read(NOW)
        assert len(gateway.asked) <= asked + 1  # a probe at most
        gateway.answer = honest
        for _ in range(200):
            await asyncio.sleep(0.02)
            if line.health.up and not line.health.silent_units:
                break
        assert {s.quality for s in (await line.read(NOW)).values()} == {Quality.GOOD}

    against(15025, test)


def test_a_register_that_keeps_its_own_value_is_said_to_be_overridden() -> None:
    async def test() -> None:
        district = part_of_district(NET)
        wire = district.wires["parking/point-01/current_limit_a"]
        async with UnrulyGateway(15026) as gateway:
            device = replace(wire.device, bus=gateway.bus)
            line = ModbusLine(gateway.bus, [replace(wire, device=device)], QUICK, TIMEOUT_S)
            gateway.answer = lambda t, u, f, a, n: (
                honest(t, u, f, a, n) if f == 16 else registers(t, u, f, [0, 6000][:n])
            )
            assert await line.write([command(wire.point, 16)]) == [Overridden(6.0, "the device")]
            assert await line.write([command(wire.point, 6)]) == [Written(6)]
            gateway.answer = lambda t, u, f, a, n: None
            assert isinstance((await line.write([command(wire.point, 16)]))[0], Unreachable)
            await line.stop()

    asyncio.run(test())


def before_charger(port: int, test: Callable[[UnrulyGateway, Field, str], Awaitable[None]]) -> None:
    """A test on one charge point behind an unruly gateway; its release value is 10 A."""

    async def run() -> None:
        wire = part_of_district(NET).wires["parking/point-01/current_limit_a"]
        async with UnrulyGateway(port) as gateway:
            field = Field(
                {wire.point: replace(wire, device=replace(wire.device, bus=gateway.bus))},
                patience=QUICK,
                timeout_s=TIMEOUT_S,
            )
            try:
                await test(gateway, field, wire.point)
            finally:
                await field.stop()

    asyncio.run(asyncio.wait_for(run(), 20))


def amperes(value: int) -> Answer:
    """Takes every write, and shows this current, mA."""
    return lambda t, u, f, a, n: honest(t, u, f, a, n) if f == 16 else registers(t, u, f, [0, 1000 * value][:n])


@pytest.mark.parametrize("mute", [3, 4])  # the first span of the device, and the last one
def test_a_device_that_leaves_one_span_unanswered_is_read_and_commanded_all_the_same(mute: int) -> None:
    """It has its measurements under function 4, and the set point under function 3."""

    async def test() -> None:
        wires = [w for p, w in part_of_district(NET).wires.items() if p.startswith("plant-a/battery/")]
        async with UnrulyGateway(15034 + mute) as gateway:
            device = replace(wires[0].device, bus=gateway.bus)
            line = ModbusLine(gateway.bus, [replace(w, device=device) for w in wires], QUICK, TIMEOUT_S)
            gateway.answer = lambda t, u, f, a, n: None if f == mute else honest(t, u, f, a, n)
            for n in range(4):
                samples = await line.read(NOW + timedelta(minutes=n))
                good = {w.point for w in wires if samples[w.point].is_good}
                assert good == {w.point for w in wires if register_of(w).function != mute}
            assert line.health.up and line.health.silent_units == (device.unit,)
            if mute == 4:
                assert await line.write([command("plant-a/battery/power_setpoint_kw", 0)]) == [Written(0)]
            gateway.answer = honest
            for _ in range(200):
                await asyncio.sleep(0.02)
                if not line.health.silent_units:
                    break
            assert all(sample.is_good for sample in (await line.read(NOW)).values())
            await line.stop()

    asyncio.run(asyncio.wait_for(test(), 20))


def test_a_command_whose_answer_was_lost_may_stand_and_is_given_back_when_it_expires() -> None:
    async def test(gateway: UnrulyGateway, field: Field, point: str) -> None:
        gateway.answer = lambda t, u, f, a, n: None  # it may have been taken all the same
        (outcome,) = await field.write([command(point, 16, until=NOW + timedelta(minutes=30))])
        assert isinstance(outcome, Unreachable) and outcome.sent
        assert field.standing.keys() == {point}
        gateway.answer = amperes(10)
        assert await field.refresh(NOW + timedelta(minutes=29)) == {}  # nobody writes again what nobody confirmed
        assert await field.refresh(NOW + timedelta(minutes=30)) == {point: Written(10)}
        assert field.standing == {}

    before_charger(15031, test)


def test_a_command_that_never_left_stands_nowhere() -> None:
    async def test(gateway: UnrulyGateway, field: Field, point: str) -> None:
        field._lines[gateway.bus.name].breaker.failures = 2
        (outcome,) = await field.write([command(point, 16)])
        assert isinstance(outcome, Unreachable) and not outcome.sent
        assert field.standing == {}

    before_charger(15032, test)


def test_a_register_that_takes_a_value_and_cannot_be_read_stands_all_the_same() -> None:
    async def test(gateway: UnrulyGateway, field: Field, point: str) -> None:
        gateway.answer = lambda t, u, f, a, n: (
            honest(t, u, f, a, n) if f == 16 else struct.pack(">HHHBBB", t, 0, 3, u, f | 0x80, 2)
        )
        (outcome,) = await field.write([command(point, 16)])
        assert isinstance(outcome, Unreachable) and "could not be read back" in outcome.why
        assert field.standing.keys() == {point}
        gateway.answer = lambda t, u, f, a, n: struct.pack(">HHHBBB", t, 0, 3, u, f | 0x80, 2)
        assert isinstance((await field.write([command(point, 8)]))[0], Refused)  # this one was not taken

    before_charger(15033, test)


# BACnet


def with_station(test: Callable[[Any, Field, StillWorld], Awaitable[None]]) -> None:
    """A test on the served application of one station, the field before it, and the world behind."""

    async def run() -> None:
        district = part_of_district(NET, ("mistral",))
        wires = {p: w for p, w in district.wires.items() if w.bus.protocol == "bacnet"}
        district = replace(district, wires=wires, buses={"mistral/controller": district.buses["mistral/controller"]})
        world = StillWorld(district)
        servers = FieldServers(district, world)
        await servers.start()
        field = Field(wires, patience=QUICK)
        await field.start()
        station = servers.servers["mistral/controller"]
        assert isinstance(station, Station)
        try:
            await test(station._app, field, world)
        finally:
            await field.stop()
            await servers.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def line_of(field: Field) -> BacnetLine:
    line = field._lines["mistral/controller"]
    assert isinstance(line, BacnetLine)
    return line


def test_a_station_without_multiple_reads_is_read_one_by_one() -> None:
    async def test(app: Any, field: Field, world: StillWorld) -> None:
        app.direct = lambda message: None
        app.do_ReadPropertyMultipleRequest = None
        for _ in range(2):
            samples = await field.sweep(NOW)
            assert all(sample.is_good for sample in samples.values())
        assert line_of(field).batch_size == 1
        offset = "mistral/substation/heating_curve_offset_k"
        assert await field.write([command(offset, 2.0)]) == [Written(2.0)]
        cell = next(c for c in app.cells.values() if c.wire.point == offset)
        cell.put(8, 1.0)
        assert await field.write([command(offset, 2.0)]) == [Overridden(1.0, "priority 8")]

    with_station(test)


@pytest.mark.parametrize("reason", [1, 4, 11])  # buffer overflow, segmentation not supported, APDU too long
def test_a_station_with_short_messages_gets_short_questions(reason: int) -> None:
    async def test(app: Any, field: Field, world: StillWorld) -> None:
        whole = app.direct

        def short(message: bytes) -> bytes | None:
            if len(message) > 10 + 13 * 9:  # an object takes nine bytes
                return bytes([0x81, 0x0A, 0, 9, 0x01, 0x00, 0x71, message[8], reason])
            answer: bytes | None = whole(message)
            return answer

        app.direct = short
        for _ in range(2):
            samples = await field.sweep(NOW)
            assert all(sample.is_good for sample in samples.values())
        assert line_of(field).batch_size == 7  # 56 fit what it says it takes; halved until it answers

    with_station(test)


def test_a_station_whose_long_answers_are_lost_on_their_way_is_asked_for_short_ones() -> None:
    """A tunnel that drops the fragments of a datagram: what is probed is short and comes through."""

    async def test(app: Any, field: Field, world: StillWorld) -> None:
        line, whole, tunnel = line_of(field), app.direct, 600
        assert line.stack._datagrams is not None
        line.stack._datagrams.timeout_s = 0.1

        def short(message: bytes) -> bytes | None:
            answer: bytes | None = whole(message)
            return b"" if answer is not None and len(answer) > tunnel else answer

        app.direct = short
        line.patience = Patience(60, 60)  # a probe when the test says so
        for _ in range(2):
            await field.sweep(NOW)
        assert line.breaker.is_open and await line.answers(None)
        await field.sweep(NOW)
        assert all(sample.is_good for sample in (await field.sweep(NOW)).values())
        assert line.batch_size == objects_in(APDU_BYTES)
        tunnel = 1500
        line.breaker.failures = 2
        assert await line.answers(None)  # after an outage it is asked again what it takes
        await field.sweep(NOW)
        assert line.batch_size > objects_in(APDU_BYTES)

    with_station(test)


def test_one_object_that_a_station_does_not_know_takes_no_others_along() -> None:
    """Some stations refuse the whole question instead of answering with an error in place of the one value."""

    async def test(app: Any, field: Field, world: StillWorld) -> None:
        offset, tank = "mistral/substation/heating_curve_offset_k", "mistral/tank/setpoint_c"
        unknown = line_of(field).properties[tank]
        asked, whole = 0, app.direct

        def strict(message: bytes) -> bytes | None:
            nonlocal asked
            asked += 1
            if message[9] == READ_PROPERTY_MULTIPLE and read_request([unknown])[:5] in message:
                return bytes.fromhex("810a000d 0100 50") + message[8:10] + bytes.fromhex("9101 911f")
            answer: bytes | None = whole(message)
            return answer

        app.direct = strict
        for _ in range(2):
            before = asked
            samples = await field.sweep(NOW)
            assert [p for p, s in samples.items() if not s.is_good] == [tank]
        assert asked - before <= 10  # for 147 objects: found out once, not in each sweep
        given, refused = await field.write([command(offset, 2.0), command(tank, 57)])
        assert given == Written(2.0)
        assert isinstance(refused, Unreachable) and "read back" in refused.why
        assert field.standing.keys() == {offset, tank}

    with_station(test)


@pytest.mark.parametrize("body", [b"", b"\x0c\x00", b"\x0c\x00\x00\x00\x01\x1e\x29\x55\x4e\x44\x41", b"\xff" * 30])
def test_a_malformed_answer_is_implausible(body: bytes) -> None:
    async def test(app: Any, field: Field, world: StillWorld) -> None:
        app.direct = lambda message: (
            b"\x81\x0a" + struct.pack(">H", len(body) + 9) + b"\x01\x00\x30" + message[8:9] + b"\x0e" + body
        )
        samples = await field.sweep(NOW)
        assert not any(sample.is_good or sample.value is not None for sample in samples.values())

    with_station(test)


def test_a_value_that_a_station_rounds_stands_in_our_slot_and_is_given_back() -> None:
    async def test(app: Any, field: Field, world: StillWorld) -> None:
        offset = "mistral/substation/heating_curve_offset_k"
        cell = next(c for c in app.cells.values() if c.wire.point == offset)
        put = cell.put
        cell.put = lambda priority, value: put(priority, None if value is None else float(round(value)))
        assert await field.write([command(offset, 1.6)]) == [Overridden(2.0, "the device")]
        assert field.standing.keys() == {offset}
        assert await field.write([command(offset, None)]) == [Written(0.0)]
        assert field.standing == {} and cell.commanding is None

    with_station(test)


def test_a_station_that_refuses_one_object_is_found_again_by_another() -> None:
    async def test(app: Any, field: Field, world: StillWorld) -> None:
        line = line_of(field)
        whole, refused = line.stack.read, read_one_request(next(iter(line.properties.values())))

        async def read(address: Any, service: int, data: bytes) -> bytes | None:
            if data == refused:
                raise DeviceError("error unknown object")
            return await whole(address, service, data)

        line.stack.read = read  # type: ignore[method-assign]
        line.breaker.failures = 2
        assert [await line.answers(None) for _ in range(2)] == [False, True]
        assert not line.breaker.is_open

    with_station(test)


def test_another_station_s_answer_is_not_ours() -> None:
    """An answer for other objects leaves ours without a value."""

    async def test(app: Any, field: Field, world: StillWorld) -> None:
        honest_answer = app.direct
        shift = 1 << 10  # every object instance in the answer moved
        app.direct = lambda message: _moved(honest_answer(message), shift)
        samples = await field.sweep(NOW)
        assert not any(sample.is_good for sample in samples.values())

    def _moved(reply: bytes, shift: int) -> bytes:
        moved, at = bytearray(reply), 9
        while at < len(moved):
            number = int.from_bytes(moved[at + 1 : at + 5], "big") + shift
            moved[at + 1 : at + 5] = number.to_bytes(4, "big")
            at = moved.index(b"\x4f\x1f", at) + 2
        return bytes(moved)

    with_station(test)
