"""Changes of value: what a station tells is believed for a while, what it does not tell is found out, and polled."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.bms import Field, Patience
from ems.bms.apdu import Property
from ems.bms.bacnet import BacnetLine
from ems.bms.cov import Following, Notice, notice, subscribe_request
from ems.district import Bus, Device, DeviceType, District, Wire
from ems.points import Quality
from ems.simulate.servers import FieldServers
from ems.simulate.servers.station import Station
from tests.served_district import NOW, StillWorld, whole_district

NET = 66
ROOM, PUMP, STATE, PLAIN, OUTPUT = (
    "house/room/temperature_c",
    "house/room/pump_on",
    "house/room/occupancy_mode",
    "house/room/power_kw",
    "house/room/setpoint_c",
)
KIND = DeviceType.model_validate({
    "maker": "generic", "model": "room that tells", "source": "made up", "verified": False, "protocol": "bacnet",
    "cov": {"lifetime_s": 60, "floor_s": 600}, "watchdog": {"kind": "none"},
    "objects": {
        "temperature_c": {"object": "analog-input", "instance": 0, "unit": "degC", "cov_increment": 0.5, "minimum": -10,
                          "maximum": 60},
        "pump_on": {"object": "binary-input", "instance": 0, "unit": "state"},
        "occupancy_mode": {"object": "multi-state-input", "instance": 0, "unit": "state", "minimum": 1, "maximum": 3},
        "power_kw": {"object": "analog-input", "instance": 1, "unit": "kW"},
        "setpoint_c": {"object": "analog-output", "instance": 0, "unit": "degC", "cov_increment": 0.1,
                       "write": {"minimum": 10, "maximum": 25, "release": 20}},
    },
})  # fmt: skip
# Process 8, device 77, analog input 0, 60 s; present value 21.5, status flags: nothing wrong.
TOLD = bytes.fromhex("810a0028 0100 1002 0908 1c0200004d 2c00000000 393c 4e 0955 2e 4441ac0000 2f 096f 2e 820400 2f 4f")


def test_a_notification_is_read_byte_by_byte() -> None:
    assert len(TOLD) == 0x28
    assert notice(TOLD) == Notice(8, 77, (0, 0), 21.5, False)
    faulty = TOLD[:-3] + b"\x40" + TOLD[-2:]
    assert notice(faulty) == Notice(8, 77, (0, 0), 21.5, True)


@given(st.integers(0, len(TOLD) - 1))
def test_half_a_notification_is_none(cut: int) -> None:
    assert notice(TOLD[:cut]) is None
    short = TOLD[:2] + cut.to_bytes(2, "big") + TOLD[4:cut]
    assert notice(short) is None


@given(st.binary(max_size=60))
def test_no_bytes_break_it(noise: bytes) -> None:
    found = notice(b"\x81\x0a" + (len(noise) + 8).to_bytes(2, "big") + b"\x01\x00\x10\x02" + noise)
    assert found is None or isinstance(found, Notice)


def test_a_subscription_and_its_end_as_bytes() -> None:
    item = Property(0, 3)
    assert subscribe_request(8, item, 60).hex(" ") == "0c 00 00 00 08 1c 00 00 00 03 29 00 3c 00 00 00 3c"
    assert subscribe_request(8, item, None).hex(" ") == "0c 00 00 00 08 1c 00 00 00 03"


# What is believed, without any network


def wires() -> dict[str, Wire]:
    bus = Bus("house/controller", "bacnet", f"127.{NET}.1.1", 47808, 77)
    device = Device("house/room", KIND, bus)
    return {f"house/room/{q}": Wire(f"house/room/{q}", device, m, "observe") for q, m in KIND.objects.items()}


def following() -> Following:
    items = {point: Property(0, n) for n, point in enumerate(wires())}
    made = Following.of(wires().values(), items)
    assert made is not None
    return made


def test_states_and_what_has_an_increment_are_followed_and_nothing_that_can_be_written() -> None:
    assert set(following().items) == {ROOM, PUMP, STATE}


def test_a_value_is_sure_between_a_confirmation_and_the_floor() -> None:
    f = following()
    assert f.sure(ROOM, NOW, 0.0) is None
    f.subscribed(ROOM, 0.0)
    f.read(ROOM, 21.0, NOW, 0.0)
    assert f.sure(ROOM, NOW + timedelta(seconds=599), 1.0) == 21.0
    assert f.sure(ROOM, NOW + timedelta(seconds=600), 1.0) is None  # the floor
    assert f.sure(ROOM, NOW, 60.0) is None  # the subscription's end
    f.told(Notice(1, 77, (0, 0), 22.0, False), 77, NOW + timedelta(seconds=599))
    assert f.sure(ROOM, NOW + timedelta(seconds=700), 1.0) == 22.0
    f.told(Notice(1, 78, (0, 0), 99.0, False), 77, NOW)  # another device
    assert f.sure(ROOM, NOW + timedelta(seconds=700), 1.0) == 22.0
    f.told(Notice(1, 77, (0, 0), 22.0, True), 77, NOW)  # it doubts its own sensor
    assert f.sure(ROOM, NOW + timedelta(seconds=1), 1.0) is None


def test_a_change_that_nobody_told_twice_over_ends_in_polling() -> None:
    f = following()
    value = 20.0
    for loss in range(2):
        f.subscribed(ROOM, 0.0)
        f.read(ROOM, value, NOW, 1.0)
        value += 1
        f.read(ROOM, value, NOW, 1.0)  # perhaps its notice is under way
        assert f.sure(ROOM, NOW, 1.0) is None and ROOM not in f.polled, loss
        f.read(ROOM, value, NOW, 1.0)  # it was not
    assert f.polled == {ROOM: "the station did not tell of 2 changes"}


def test_a_change_within_the_increment_needs_no_notice() -> None:
    f = following()
    f.subscribed(ROOM, 0.0)
    for value in (20.0, 20.4, 20.8, 21.2):  # each within half a degree of what was read before
        f.read(ROOM, value, NOW, 1.0)
        assert f.sure(ROOM, NOW, 1.0) == value


# Against a station


def beside(test: Callable[[Station, StillWorld, Field, BacnetLine], Awaitable[None]]) -> None:
    async def run() -> None:
        made = wires()
        bus = made[ROOM].bus
        district: District = replace(whole_district(), buses={bus.name: bus}, devices=(made[ROOM].device,), wires=made)
        world = StillWorld(district)
        for point, value in ((ROOM, 20.0), (PUMP, 0.0), (STATE, 1.0), (PLAIN, 3.0)):
            world.show(point, value)
        servers = FieldServers(district, world)
        await servers.start()
        station = servers.servers[bus.name]
        assert isinstance(station, Station)
        field = Field(made, patience=Patience(0.05, 0.1), timeout_s=2.0)
        await field.start()
        line = field._lines[bus.name]
        assert isinstance(line, BacnetLine)
        try:
            await test(station, world, field, line)
        finally:
            await field.stop()
            await servers.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


async def until(what: Callable[[], bool]) -> None:
    for _ in range(2000):
        if what():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


async def all_followed(station: Station, line: BacnetLine) -> None:
    assert line.following is not None
    loop = asyncio.get_running_loop()
    await until(lambda: len(station.notices.subscriptions) == 3)
    await until(lambda: not line.following.due(loop.time()))  # type: ignore[union-attr]
    await until(lambda: station.notices.sent >= 3)
    await asyncio.sleep(0.05)


def test_what_is_told_is_in_the_next_sweep_without_being_asked() -> None:
    async def test(station: Station, world: StillWorld, field: Field, line: BacnetLine) -> None:
        assert (await field.sweep(NOW))[ROOM].value == 20.0
        await all_followed(station, line)
        asked: list[int] = []
        pass_on = line._ask

        async def counted(reading):  # type: ignore[no-untyped-def]
            asked.append(len(reading.wanted))
            return await pass_on(reading)

        line._ask = counted  # type: ignore[method-assign]
        assert (await field.sweep(NOW + timedelta(minutes=1)))[ROOM].value == 20.0
        assert asked == [2]  # the power and the set point; what is followed is not asked
        world.show(ROOM, 20.4)
        station.tick()  # less than half a degree: nothing is told
        world.show(PUMP, 1.0)
        world.show(STATE, 3.0)
        station.tick()
        await until(lambda: line.following.sure(STATE, NOW + timedelta(minutes=2), 0.0) == 3.0)  # type: ignore[union-attr]
        samples = await field.sweep(NOW + timedelta(minutes=2))
        assert [samples[p].value for p in (ROOM, PUMP, STATE)] == [20.0, 1.0, 3.0]
        assert all(s.quality is Quality.GOOD and s.at == NOW + timedelta(minutes=2) for s in samples.values())
        samples = await field.sweep(NOW + timedelta(minutes=12))  # the floor
        assert samples[ROOM].value == pytest.approx(20.4)
        assert asked[-1] == 3

    beside(test)


def test_a_station_that_refuses_is_polled_and_named() -> None:
    async def test(station: Station, world: StillWorld, field: Field, line: BacnetLine) -> None:
        station.notices.refused = True
        await field.sweep(NOW)
        await until(lambda: len(field.health["house/controller"].polled) == 3)
        assert field.health["house/controller"].polled[0].startswith(f"{ROOM}: error ")
        world.show(ROOM, 25.0)
        assert (await field.sweep(NOW + timedelta(minutes=1)))[ROOM].value == 25.0
        assert field.health["house/controller"].up

    beside(test)


def test_a_value_that_a_station_doubts_is_read_and_missing() -> None:
    async def test(station: Station, world: StillWorld, field: Field, line: BacnetLine) -> None:
        await field.sweep(NOW)
        await all_followed(station, line)
        world.show(PUMP, math.nan)
        world.show(ROOM, math.nan)
        station.tick()
        await until(lambda: line.following.sure(PUMP, NOW, 0.0) is None)  # type: ignore[union-attr]
        samples = await field.sweep(NOW + timedelta(minutes=1))
        assert samples[PUMP].quality is Quality.MISSING and samples[ROOM].quality is Quality.MISSING
        assert samples[STATE].is_good

    beside(test)


def test_a_station_that_is_gone_is_noticed_though_everything_is_followed() -> None:
    async def test(station: Station, world: StillWorld, field: Field, line: BacnetLine) -> None:
        await field.sweep(NOW)
        await all_followed(station, line)
        for point in (PLAIN, OUTPUT):  # nothing is left to poll
            line.wires = {p: w for p, w in line.wires.items() if p != point}
        line._plan(line.batch_size)
        assert not line.batches and len(line.followed_batches) == 1
        station.silent = True
        for n in range(1, 3):
            samples = await field.sweep(NOW + timedelta(minutes=n))
            assert {samples[p].quality for p in line.wires} == {Quality.UNREACHABLE}
        station.silent = False
        await until(lambda: field.health["house/controller"].up)
        assert (await field.sweep(NOW + timedelta(minutes=3)))[ROOM].is_good

    beside(test)


def test_we_end_our_subscriptions_when_we_go() -> None:
    async def test(station: Station, world: StillWorld, field: Field, line: BacnetLine) -> None:
        await field.sweep(NOW)
        await all_followed(station, line)
        await line.stop()
        await until(lambda: not station.notices.subscriptions)

    beside(test)


def test_a_modbus_device_tells_of_nothing() -> None:
    wrong = {
        "maker": "x", "model": "y", "source": "made up", "verified": False, "protocol": "modbus", "cov": {},
        "registers": {"power_kw": {"address": 0, "type": "int16", "unit": "W", "scale": 0.001}},
    }  # fmt: skip
    with pytest.raises(ValueError, match="cov is given, but protocol is modbus"):
        DeviceType.model_validate(wrong)
