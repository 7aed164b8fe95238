"""Modbus RTU: frames as the documents print them, and a line of a pseudo-terminal with real peers at its other end."""

from __future__ import annotations

import asyncio
import math
import os
import struct
import tty
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.bms import Field, Patience, deadman, rtu
from ems.bms.frames import BrokenStreamError, Malformed, Question, Refusal, Stale
from ems.bms.mirror import release_entry
from ems.bms.serial_line import SerialLine
from ems.bms.train import Silence
from ems.command import Refused, Written
from ems.district import Bus, Device, District, Serial, Wire
from ems.points import Quality
from ems.simulate.servers import FieldServers
from tests.bms.cable import Cable
from tests.bms.test_device_types import TYPES, shown
from tests.bms.test_independent_clients import polled, program
from tests.served_district import NOW, StillWorld, command, whole_district

ASKED = Question(unit=17, function=3, address=107, count=3)
DATA = bytes.fromhex("022b00000064")
GOOD = b"\x11\x03\x06" + DATA + rtu.crc(b"\x11\x03\x06" + DATA)
METERS = ("eastron-sdm630", "carlo-gavazzi-em24", "heidelberg-energy-control")  # floats, little words, writes
BAUD = 19200


# Frames


def test_the_checksum_is_that_of_the_document() -> None:
    # MODBUS over Serial Line V1.02, appendix B: 02 07 gives 1241 hex, sent low byte first.
    assert rtu.crc(b"\x02\x07") == b"\x41\x12"
    assert rtu.frame(ASKED) == bytes.fromhex("1103006b0003") + b"\x76\x87"


def test_an_answer_is_taken_and_an_exception_is_a_refusal() -> None:
    assert rtu.answer(GOOD, ASKED) == DATA
    refusal = b"\x11\x83\x02"
    assert rtu.answer(refusal + rtu.crc(refusal), ASKED) == Refusal(2)


def test_an_order_is_answered_by_its_echo() -> None:
    one, two = rtu.Order(17, 6, 1, (3,)), rtu.Order(17, 16, 1, (10, 258))
    assert rtu.frame(one)[:-2] == bytes.fromhex("110600010003")
    assert rtu.frame(two)[:-2] == bytes.fromhex("1110000100020 4000a0102".replace(" ", ""))
    assert rtu.answer(rtu.frame(one), one) == b""
    taken = bytes.fromhex("111000010002")
    assert rtu.answer(taken + rtu.crc(taken), two) == b""
    other = bytes.fromhex("110600010004")
    assert isinstance(rtu.answer(other + rtu.crc(other), one), Malformed)


@pytest.mark.parametrize("unit", [0, 248, 255])
def test_nobody_is_broadcast_to(unit: int) -> None:
    with pytest.raises(ValueError, match=f"unit is {unit}; on a serial line they are 1 to 247"):
        rtu.frame(replace(ASKED, unit=unit))


def test_what_does_not_fit_is_no_answer() -> None:
    def framed(body: bytes) -> bytes:
        return body + rtu.crc(body)

    assert rtu.answer(framed(b"\x12" + GOOD[1:-2]), ASKED) == Stale()
    for body in (b"\x11\x04" + GOOD[2:-2], b"\x11\x03\x04" + DATA[:4], b"\x11\x83\x00", b"\x11\x84\x02"):
        assert isinstance(rtu.answer(framed(body), ASKED), Malformed)
    with pytest.raises(BrokenStreamError):
        rtu.frame_length(b"\x11\x07\x00")


@given(st.integers(0, len(GOOD) * 8 - 1))
def test_one_flipped_bit_is_always_found(bit: int) -> None:
    frame = bytearray(GOOD)
    frame[bit // 8] ^= 1 << bit % 8
    assert isinstance(rtu.answer(frame, ASKED), Malformed)


def test_silences_by_baud() -> None:
    assert rtu.gap_s(9600) == pytest.approx(3.5 * 11 / 9600)  # 4.01 ms
    assert rtu.gap_s(115200) == 0.00175
    assert rtu.wire_s(8, 9600) == pytest.approx(0.009167, abs=1e-5)


# A line with simulated devices


def district_on(port: str, names: tuple[str, ...] = METERS) -> District:
    bus = Bus("bench/line", "modbus", "", 0, None, BAUD, Serial(port, BAUD, "none", 2))
    devices = tuple(Device(f"bench/{name}", TYPES[name], bus, unit=n) for n, name in enumerate(names, 1))
    wires = {
        f"{device.asset}/{q}": Wire(f"{device.asset}/{q}", device, m, "ours" if m.write else "observe")
        for device in devices
        for q, m in device.type.points.items()
    }
    return replace(whole_district(), buses={bus.name: bus}, devices=devices, wires=wires)


def beside(test: Callable[[Cable, District, StillWorld, FieldServers], Awaitable[None]]) -> None:
    """Simulated devices at the far end of a cable; a test stands at the near end."""

    async def run() -> None:
        async with Cable() as cable:
            far, near = district_on(cable.theirs), district_on(cable.ours)
            world = StillWorld(far)
            for n, (point, wire) in enumerate(far.wires.items()):
                world.show(point, wire.measure.write.release if wire.measure.write else shown(wire, n))
            servers = FieldServers(far, world)
            await servers.start()
            try:
                await test(cable, near, world, servers)
            finally:
                await servers.stop()

    asyncio.run(asyncio.wait_for(run(), 120))


def test_a_line_of_meters_is_read_and_written() -> None:
    async def test(cable: Cable, district: District, world: StillWorld, servers: FieldServers) -> None:
        field = Field(district.wires, timeout_s=5.0)
        samples = await field.sweep(NOW)
        for point, sample in samples.items():
            assert sample.quality is Quality.GOOD, point
            assert sample.value == pytest.approx(world.values[world.index[point]], rel=1e-6), point
        assert field.health["bench/line"].up
        point = next(p for p, w in district.wires.items() if w.quantity == "current_limit_a")
        assert await field.write([command(point, 10.0)]) == [Written(10.0)]
        assert (point, 10.0) in world.commands
        assert (await field.sweep(NOW))[point].value == 10.0
        assert isinstance((await field.write([command(point, 99.0)]))[0], Refused)
        await field.stop()

    beside(test)


def test_the_library_reads_the_same_from_the_line() -> None:
    async def test(cable: Cable, district: District, world: StillWorld, servers: FieldServers) -> None:
        world.show(next(p for p, w in district.wires.items() if w.quantity == "power_kw"), math.nan)
        ours = Field(district.wires, timeout_s=5.0)
        mine = await ours.sweep(NOW)
        await ours.stop()
        library = Field(district.wires, timeout_s=5.0, library_reads=True)
        assert await library.sweep(NOW) == mine
        await library.stop()

    beside(test)


def test_mbpoll_reads_what_we_serve_on_a_line(needs_program: Callable[[str, str], str]) -> None:
    path = needs_program("mbpoll", "apt-get install mbpoll")

    async def test(cable: Cable, district: District, world: StillWorld, servers: FieldServers) -> None:
        line = [path, "-m", "rtu", "-b", str(BAUD), "-P", "none", "-s", "2", "-0", "-1", "-q"]
        meter = next(w for w in district.wires.values() if w.device.type.name == METERS[0] and w.quantity == "power_kw")
        out = await program(*line, "-a", "1", "-t", "3:float", "-B", "-r", str(meter.measure.address), cable.ours)  # type: ignore[union-attr]
        (found,) = polled(out).values()
        assert found / 1000 == pytest.approx(world.values[world.index[meter.point]], rel=1e-3)
        out = await program(*line, "-a", "9", "-t", "3", "-r", "0", "-o", "0.5", cable.ours)
        assert "timed out" in out  # nobody answers for a unit that is not there

    beside(test)


def test_a_dead_unit_on_a_line_takes_nobody_along() -> None:
    async def test(cable: Cable, district: District, world: StillWorld, servers: FieldServers) -> None:
        gateway = servers.servers["bench/line"]
        del gateway._units[2]  # type: ignore[union-attr]
        field = Field(district.wires, patience=Patience(30, 30), timeout_s=1.0)
        for _ in range(2):
            samples = await field.sweep(NOW)
        assert {p for p, s in samples.items() if not s.is_good} == {
            p for p in samples if p.startswith("bench/" + METERS[1])
        }
        assert field.health["bench/line"].silent_units == (2,)
        await field.stop()

    beside(test)


def test_the_dead_man_takes_a_command_on_a_line_back() -> None:
    async def test(cable: Cable, district: District, world: StillWorld, servers: FieldServers) -> None:
        point = next(p for p, w in district.wires.items() if w.quantity == "current_limit_a")
        field = Field(district.wires, timeout_s=5.0)
        assert await field.write([command(point, 10.0)]) == [Written(10.0)]
        await field.stop()
        entry = release_entry(district.wires[point], 12)
        assert await asyncio.to_thread(deadman.take_back, entry)
        limits = district.wires[point].measure.write
        assert limits is not None and world.values[world.index[point]] == limits.release
        assert not await asyncio.to_thread(deadman.take_back, {**entry, "host": "/dev/pts/nowhere"})

    beside(test)


def test_a_port_that_is_not_there_is_a_silent_bus() -> None:
    async def run() -> None:
        field = Field(district_on("/dev/pts/99999").wires, patience=Patience(30, 30))
        samples = await field.sweep(NOW)
        assert {s.quality for s in samples.values()} == {Quality.UNREACHABLE}
        assert "/dev/pts/99999" in field.health["bench/line"].last_error
        await field.stop()

    asyncio.run(run())


# A line whose other end says what a test says


class Unruly:
    """The far end of a line: answers with the parts that a test gives for each question."""

    def __init__(self, answers: Callable[[bytes], list[bytes]]) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.answers = answers
        self.heard: list[bytes] = []
        asyncio.get_running_loop().add_reader(self.master, self.answer)

    def answer(self) -> None:
        question = os.read(self.master, 4096)
        self.heard.append(question)
        for part in self.answers(question):
            os.write(self.master, part)

    def line(self, timeout_s: float) -> SerialLine:
        port = os.ttyname(self.slave)
        return SerialLine.open(
            Bus("bench/line", "modbus", "", 0, None, 115200, Serial(port, 115200, "none")), timeout_s
        )

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)


def framed(unit: int, words: list[int], function: int = 3) -> bytes:
    body = struct.pack(f">BBB{len(words)}H", unit, function, 2 * len(words), *words)
    return body + rtu.crc(body)


def against(answers: Callable[[bytes], list[bytes]], test: Callable[[Unruly, SerialLine], Awaitable[None]]) -> None:
    async def run() -> None:
        unruly = Unruly(answers)
        line = unruly.line(0.2)
        try:
            await test(unruly, line)
        finally:
            line.close()
            unruly.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_one_question_is_on_the_line_at_a_time() -> None:
    async def test(unruly: Unruly, line: SerialLine) -> None:
        train = [Question(unit, 3, 0, 1) for unit in range(1, 9)]
        assert await line.ask(train) == [struct.pack(">H", n) for n in range(1, 9)]
        assert [len(heard) for heard in unruly.heard] == [8] * 8

    against(lambda q: [framed(q[0], [q[0]])[i : i + 1] for i in range(7)], test)


@pytest.mark.parametrize(
    ("what", "parts"),
    [
        ("a wrong checksum", [framed(1, [7])[:-1] + b"\x00"]),
        ("another count", [framed(1, [7, 8])]),
        ("another function", [framed(1, [7], 4)]),
        ("an unheard-of function", [b"\x01\x2b\x0e\x01"]),
    ],
)
def test_a_frame_that_lies_is_no_number_and_the_next_is_read(what: str, parts: list[bytes]) -> None:
    lies = [parts]

    async def test(unruly: Unruly, line: SerialLine) -> None:
        (first,) = await line.ask([Question(1, 3, 0, 1)])
        assert isinstance(first, Malformed), what
        assert await line.ask([Question(1, 3, 0, 1)]) == [b"\x00\x05"]

    against(lambda q: lies.pop() if lies else [framed(1, [5])], test)


def test_a_late_answer_never_meets_another_question() -> None:
    """Unit 1 falls silent and answers after its time: its words must not pass for those of another register."""
    first = [True]

    async def test(unruly: Unruly, line: SerialLine) -> None:
        assert isinstance((await line.ask([Question(1, 3, 0, 1)]))[0], Silence)
        asyncio.get_running_loop().call_later(0.05, os.write, unruly.master, framed(1, [666]))
        assert await line.ask([Question(2, 3, 50, 1), Question(1, 3, 70, 1)]) == [b"\x00\x02", b"\x00\x01"]

    def answers(question: bytes) -> list[bytes]:
        if first and question[0] == 1:
            first.pop()
            return []
        return [framed(question[0], [question[0]])]

    against(answers, test)


def test_what_stands_behind_an_answer_meets_nobody() -> None:
    async def test(unruly: Unruly, line: SerialLine) -> None:
        train = [Question(1, 3, 0, 1), Question(1, 3, 9, 1)]
        assert await line.ask(train) == [b"\x00\x01", b"\x00\x01"]

    against(lambda q: [framed(1, [1]) + framed(1, [666]) + b"\x01\x03"], test)


def test_another_unit_s_frame_is_passed_over() -> None:
    async def test(unruly: Unruly, line: SerialLine) -> None:
        assert await line.ask([Question(1, 3, 0, 1)]) == [b"\x00\x01"]

    against(lambda q: [framed(9, [9]), framed(1, [1])], test)


def test_a_line_that_is_pulled_out_ends_in_silence() -> None:
    async def test(unruly: Unruly, line: SerialLine) -> None:
        assert await line.ask([Question(1, 3, 0, 1)]) == [b"\x00\x01"]
        line.close()
        assert isinstance((await line.ask([Question(1, 3, 0, 1)]))[0], Silence)
        assert not line.is_open

    against(lambda q: [framed(1, [1])], test)
