"""The field against real servers: every point a sample, every command an outcome, whatever the devices do."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ems.bms import Field, Patience
from ems.bms.bacnet import BacnetLine, own_address
from ems.command import Command, Overridden, Refused, Unreachable, Written
from ems.district import Bus
from ems.points import Quality
from ems.simulate.servers import FieldServers
from ems.simulate.servers.gateway import Gateway
from ems.simulate.servers.station import Station
from tests.served_district import NOW, StillWorld, command, part_of_district

NET = 122
TIMEOUT_S = 1.0  # the tests share their cores: a shorter one would find healthy devices silent
STATION, GATEWAY = "creche/controller", "mistral/electricity"
OFFSET, TANK, ENABLE = (
    "mistral/substation/heating_curve_offset_k",
    "mistral/tank/setpoint_c",
    "plant-a/heat-pumps/enable_on",
)
CHARGER, BATTERY, ROOF = (
    "parking/point-01/current_limit_a",
    "plant-a/battery/power_setpoint_kw",
    "mistral/roof/limit_share",
)


class Site:
    """Servers before a still world, and the field that reads and writes them, in one loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.run = runner.run
        self.district = part_of_district(NET)
        self.world = StillWorld(self.district)
        self.servers = FieldServers(self.district, self.world)
        self.field = self.run(self.start())

    async def start(self) -> Field:
        await self.servers.start()
        field = Field(self.district.wires, patience=Patience(0.05, 0.2), timeout_s=TIMEOUT_S)
        await field.start()
        return field

    async def restart_field(self) -> None:
        await self.field.stop()
        self.field = Field(self.district.wires, patience=Patience(0.05, 0.2), timeout_s=TIMEOUT_S)
        await self.field.start()

    async def stop(self) -> None:
        await self.field.stop()
        await self.servers.stop()

    def points_of(self, bus: str) -> set[str]:
        return {point for point, wire in self.district.wires.items() if wire.bus.name == bus}

    async def recovered(self, bus: str, within_s: float = 5.0) -> bool:
        """Whether a probe finds the bus again."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while loop.time() < end:
            await asyncio.sleep(0.02)
            health = self.field.health[bus]
            if health.up and not health.silent_units:
                return True
        return False


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with asyncio.Runner() as runner:
        made = Site(runner)
        yield made
        runner.run(made.stop())


@pytest.fixture
def site(served: Site) -> Iterator[Site]:
    """The site in good health before and after each test."""
    yield served

    async def heal() -> None:
        for bus, server in served.servers.servers.items():
            await served.servers.restore(bus)
            if isinstance(server, Station):
                for cell in server.cells.values():
                    for priority in range(1, 17):
                        cell.put(priority, None)
            else:
                for unit in server._units.values():
                    unit.commands.clear()
        fresh = StillWorld(served.district)
        served.world.values[:], served.world.now = fresh.values, fresh.now
        served.world.commands.clear()
        await served.restart_field()

    served.run(heal())


def test_every_wired_point_is_read_as_the_world_shows_it(site: Site) -> None:
    samples = site.run(site.field.sweep(NOW))
    assert samples.keys() == site.district.wires.keys()
    for point, sample in samples.items():
        assert sample.quality is Quality.GOOD and sample.at == NOW, point
        assert sample.value == pytest.approx(site.world.values[site.world.index[point]], abs=0.5), point
    assert all(health.up for health in site.field.health.values())


def test_no_value_is_missing_and_an_impossible_one_is_no_number(site: Site) -> None:
    site.world.show("mistral/flat-0101/power_kw", math.nan)  # a float says NaN
    site.world.show("mistral/flat-0102/hot_water_m3", math.nan)  # a counter says 0xFFFFFFFF
    site.world.show("mistral/substation/supply_temperature_c", math.nan)
    site.world.show("mistral/substation/pump_on", math.nan)  # a state has no NaN: the device answers an error
    site.world.show("mistral/flat-0103/power_kw", 99.0)
    site.world.show("mistral/tank/top_temperature_c", 130.0)
    samples = site.run(site.field.sweep(NOW))
    for point in (
        "flat-0101/power_kw",
        "flat-0102/hot_water_m3",
        "substation/supply_temperature_c",
        "substation/pump_on",
    ):
        assert samples[f"mistral/{point}"].quality is Quality.MISSING, point
    for point in ("flat-0103/power_kw", "tank/top_temperature_c"):
        assert samples[f"mistral/{point}"].quality is Quality.IMPLAUSIBLE
    assert all(sample.value is None for sample in samples.values() if not sample.is_good)
    # What a value hides in one register does not hide its neighbours.
    assert samples["mistral/flat-0101/energy_kwh"].is_good


def test_the_libraries_read_what_our_own_framing_reads(site: Site) -> None:
    """pymodbus and BAC0 on the same servers, with values missing, impossible and refused: sample by sample the same."""
    site.world.show("mistral/flat-0101/power_kw", math.nan)
    site.world.show("mistral/flat-0102/hot_water_m3", math.nan)
    site.world.show("mistral/substation/pump_on", math.nan)
    site.world.show("mistral/tank/top_temperature_c", 130.0)
    site.world.show("parking/point-02/power_kw", math.nan)

    async def both() -> None:
        libraries = Field(site.district.wires, timeout_s=TIMEOUT_S, library_reads=True)
        await libraries.start()
        try:
            ours, theirs = await site.field.sweep(NOW), await libraries.sweep(NOW)
            assert ours == theirs
            assert {p: s.raw for p, s in ours.items()} == {p: s.raw for p, s in theirs.items()}
            assert {s.quality for s in ours.values()} >= {Quality.MISSING, Quality.IMPLAUSIBLE, Quality.UNREACHABLE}
        finally:
            await libraries.stop()

    site.run(both())


def test_a_register_that_answers_an_exception_leaves_its_neighbours(site: Site) -> None:
    site.world.show("parking/point-02/power_kw", math.nan)  # an integer without a sentinel: exception 4
    samples = site.run(site.field.sweep(NOW))
    assert samples["parking/point-02/power_kw"].quality is Quality.UNREACHABLE
    assert samples["parking/point-02/current_a"].is_good
    site.world.show("parking/point-02/power_kw", 3.0)
    assert site.run(site.field.sweep(NOW))["parking/point-02/power_kw"].value == 3


def test_writes_are_read_back_and_reach_the_world(site: Site) -> None:
    asked = [command(OFFSET, -2.0), command(TANK, 62.5), command(ENABLE, 0), command(CHARGER, 12.5),
             command(BATTERY, -80.25), command(ROOF, 0.4)]  # fmt: skip
    assert site.run(site.field.write(asked)) == [Written(c.value) for c in asked]
    assert set(site.world.commands) >= {(c.point, c.value) for c in asked}
    assert set(site.field.standing) == {c.point for c in asked}
    samples = site.run(site.field.sweep(NOW))
    assert [samples[c.point].value for c in asked] == [pytest.approx(c.value) for c in asked]


def test_none_gives_back(site: Site) -> None:
    points = (OFFSET, ENABLE, CHARGER, BATTERY)
    site.run(site.field.write([command(p, v) for p, v in zip(points, (2.0, 0, 0, 50), strict=True)]))
    released = [site.district.wires[p].measure.write.release for p in points]  # type: ignore[union-attr]
    assert site.run(site.field.write([command(p, None) for p in points])) == [Written(v) for v in released]
    assert [site.world.values[site.world.index[p]] for p in points] == released
    assert not site.field.standing


@pytest.mark.parametrize("value", [math.nan, math.inf, -5.001, 5.1, 1e9])
def test_no_wrong_value_leaves(site: Site, value: float) -> None:
    before = len(site.world.commands)
    assert isinstance(site.run(site.field.write([command(OFFSET, value)]))[0], Refused)
    assert len(site.world.commands) == before


def test_what_is_not_ours_is_refused_with_its_reason(site: Site) -> None:
    asked = [
        command("nowhere/at/all_kw", 1),
        command("mistral/substation/supply_temperature_c", 40),
        command(OFFSET, 1, priority=8),
        command(ENABLE, 0.5),
        command(BATTERY, 301),
    ]
    whys = [outcome.why for outcome in site.run(site.field.write(asked)) if isinstance(outcome, Refused)]
    assert len(whys) == len(asked)
    for why, word in zip(whys, ("not wired", "observe", "priority 8", "0 or 1", "outside"), strict=True):
        assert word in why


def test_an_expired_command_is_void(site: Site) -> None:
    site.run(site.field.sweep(NOW))
    late = command(OFFSET, 1, until=NOW)
    assert "expired" in site.run(site.field.write([late]))[0].why  # type: ignore[union-attr]


def test_the_guard_is_asked_with_each_command(site: Site) -> None:
    """Who may write no more may still give back, on either protocol."""
    points = (OFFSET, CHARGER)

    async def giving_back() -> None:
        await site.field.sweep(NOW)
        await site.field.write([command(p, 12.0 if p == CHARGER else 1.0) for p in points])
        site.field.guard_writes(lambda command: None if command.value is None else "run out")
        assert await site.field.write([command(p, 11.0 if p == CHARGER else 2.0) for p in points]) == [
            Refused("run out"),
            Refused("run out"),
        ]
        assert await site.field.write([command(p, None) for p in points]) == [Written(0.0), Written(10)]
        assert not site.field.standing

    try:
        site.run(giving_back())
    finally:
        site.field.guard_writes(lambda command: None)


def test_a_person_at_the_controller_stays_above_us(site: Site) -> None:
    site.run(site.servers.override(TANK, 57.0))
    assert site.run(site.field.write([command(TANK, 64)])) == [Overridden(57.0, "priority 8")]
    site.run(site.servers.override(TANK, None))
    assert site.world.values[site.world.index[TANK]] == 64  # our slot was filled all the time
    assert site.run(site.field.write([command(TANK, None)])) == [Written(60.0)]


def test_a_person_above_us_is_seen_whatever_stands_there(site: Site) -> None:
    """At our own value too, and where nothing of ours stands; a register has no priorities."""
    asked = [TANK, CHARGER, "nowhere/tank/setpoint_c"]
    assert site.run(site.field.holders(asked)) == {TANK: None}
    site.run(site.field.write([command(TANK, 57)]))
    assert site.run(site.field.holders(asked)) == {TANK: None}  # what is ours is not above us
    site.run(site.servers.override(TANK, 57.0))
    assert site.run(site.field.holders(asked)) == {TANK: (8, 57.0)}
    site.run(site.field.write([command(TANK, None)]))
    assert site.run(site.field.holders(asked)) == {TANK: (8, 57.0)}
    site.run(site.servers.silence(site.field.wires[TANK].bus.name))
    assert site.run(site.field.holders(asked)) == {}
    site.run(site.servers.restore(site.field.wires[TANK].bus.name))
    site.run(site.servers.override(TANK, None))
    assert site.run(site.field.holders(asked)) == {TANK: None}


def test_all_outputs_of_a_station_are_a_few_requests(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.run(site.field.sweep(NOW))  # it has told how much it takes at a time
    outputs = [p for p, w in site.field.wires.items() if w.bus.name == site.field.wires[TANK].bus.name and w.commanded]
    requests, ask = 0, BacnetLine._answer

    async def counted(self: BacnetLine, service: int, request: bytes) -> bytes:
        nonlocal requests
        requests += 1
        return await ask(self, service, request)

    monkeypatch.setattr(BacnetLine, "_answer", counted)
    assert len(site.run(site.field.holders(outputs))) == len(outputs)
    assert requests <= len(outputs) / 4


def test_an_input_and_a_register_cannot_be_held_by_hand(site: Site) -> None:
    for point in ("mistral/substation/supply_temperature_c", CHARGER):
        with pytest.raises(ValueError, match="no BACnet output"):
            site.run(site.servers.override(point, 1.0))


@pytest.mark.parametrize("bus", [STATION, GATEWAY])
def test_a_silent_bus_costs_its_own_points_twice_and_then_nothing(site: Site, bus: str) -> None:
    async def losing() -> None:
        await site.field.sweep(NOW)
        await site.servers.silence(bus)
        for n in range(2):
            samples = await site.field.sweep(NOW + timedelta(minutes=n))
            silent = {p for p, s in samples.items() if s.quality is Quality.UNREACHABLE}
            assert silent == site.points_of(bus)
            assert site.field.health[bus].failures == n + 1
        assert not site.field.health[bus].up
        assert site.field.health[bus].last_error
        await site.field.sweep(NOW + timedelta(minutes=3))
        assert site.field.health[bus].failures == 2  # nobody asked it: there is no third one
        point = next(p for p, w in site.district.wires.items() if w.bus.name == bus and w.commanded)
        assert isinstance((await site.field.write([command(point, None)]))[0], Unreachable)
        await site.servers.restore(bus)
        assert await site.recovered(bus)
        samples = await site.field.sweep(NOW + timedelta(minutes=4))
        assert all(sample.is_good for sample in samples.values())

    site.run(losing())


@pytest.mark.parametrize("bus", [STATION, GATEWAY])
def test_a_bus_that_only_answers_exceptions_gives_no_number(site: Site, bus: str) -> None:
    async def failing() -> None:
        await site.servers.failing(bus)
        for _ in range(2):
            samples = await site.field.sweep(NOW)
            assert {p for p, s in samples.items() if s.quality is Quality.UNREACHABLE} == site.points_of(bus)
        assert not site.field.health[bus].up
        await site.servers.restore(bus)
        assert await site.recovered(bus)

    site.run(failing())


def test_a_slow_bus_is_a_silent_one_when_it_is_slower_than_our_patience(site: Site) -> None:
    async def slow() -> None:
        await site.servers.slow(STATION, 0.05)
        assert all(s.is_good for p, s in (await site.field.sweep(NOW)).items() if p in site.points_of(STATION))
        await site.servers.slow(STATION, 3 * TIMEOUT_S)
        samples = await site.field.sweep(NOW)
        assert {samples[p].quality for p in site.points_of(STATION)} == {Quality.UNREACHABLE}

    site.run(slow())


def test_a_dead_unit_takes_nobody_along(site: Site) -> None:
    gateway = site.servers.servers[GATEWAY]
    assert isinstance(gateway, Gateway)
    dead = gateway._units.pop(3)  # the gateway answers: target did not respond
    points = {p for p, w in site.district.wires.items() if w.bus.name == GATEWAY and w.device.unit == 3}

    async def lost() -> None:
        for _ in range(2):
            samples = await site.field.sweep(NOW)
            assert {p for p, s in samples.items() if s.quality is Quality.UNREACHABLE} == points
        assert site.field.health[GATEWAY].up
        assert site.field.health[GATEWAY].silent_units == (3,)
        gateway._units[3] = dead
        assert await site.recovered(GATEWAY)
        assert all(sample.is_good for sample in (await site.field.sweep(NOW)).values())

    site.run(lost())


def test_a_gateway_that_is_gone_is_noticed_and_found_again(site: Site) -> None:
    gateway = site.servers.servers[GATEWAY]

    async def gone() -> None:
        await site.field.sweep(NOW)
        await gateway.stop()
        for _ in range(2):
            await site.field.sweep(NOW)
        assert not site.field.health[GATEWAY].up
        await gateway.start()
        assert await site.recovered(GATEWAY)
        samples = await site.field.sweep(NOW)
        assert all(samples[p].is_good for p in site.points_of(GATEWAY))

    site.run(gone())


def test_sweeps_do_not_overlap(site: Site) -> None:
    async def twice() -> None:
        first, second = await asyncio.gather(site.field.sweep(NOW), site.field.sweep(NOW + timedelta(seconds=1)))
        assert {s.at for s in first.values()} == {NOW}
        assert {s.at for s in second.values()} == {NOW + timedelta(seconds=1)}

    site.run(twice())


def test_heartbeats_keep_a_station_ours(site: Site) -> None:
    async def day() -> None:
        await site.field.sweep(site.world.now)
        assert await site.field.write([command(OFFSET, 3.0), command(CHARGER, 20)]) == [Written(3.0), Written(20)]
        for _ in range(20):  # 100 minutes: more than every time-out
            site.world.pass_time(seconds=100)
            outcomes = await site.field.refresh(site.world.now)
            assert all(isinstance(outcome, Written) for outcome in outcomes.values())
            site.servers.tick()
        assert site.world.values[site.world.index[OFFSET]] == 3.0
        assert site.world.values[site.world.index[CHARGER]] == 20

    site.run(day())


def test_who_may_not_write_keeps_nothing_alive(site: Site) -> None:
    """A process that leads no longer must not keep devices in commands that nobody answers for."""

    async def run_out() -> None:
        await site.field.sweep(site.world.now)
        asked = [command(p, v) for p, v in ((OFFSET, 3.0), (CHARGER, 20.0))]
        assert await site.field.write(asked) == [Written(c.value) for c in asked]
        await site.field.refresh(site.world.now)
        site.servers.tick()
        site.field.guard_writes(lambda command: "run out")
        for _ in range(10):  # 1000 s: more than either time-out
            site.world.pass_time(seconds=100)
            outcomes = await site.field.refresh(site.world.now)
            assert set(outcomes.values()) == {Refused("run out")}
            site.servers.tick()
        for point in (OFFSET, CHARGER):
            release = site.district.wires[point].measure.write.release  # type: ignore[union-attr]
            assert site.world.values[site.world.index[point]] == release

    try:
        site.run(run_out())
    finally:
        site.field.guard_writes(lambda command: None)
        site.run(site.field.write([command(OFFSET, None), command(CHARGER, None)]))


def test_without_us_the_devices_go_back_to_their_own(site: Site) -> None:
    async def silence() -> None:
        await site.field.sweep(site.world.now)
        asked = [command(p, v) for p, v in ((OFFSET, 3.0), (TANK, 64.0), (CHARGER, 20.0), (ROOF, 0.1), (BATTERY, 90.0))]
        assert await site.field.write(asked) == [Written(c.value) for c in asked]
        await site.field.refresh(site.world.now)
        site.servers.tick()
        for minutes, fallen in ((4, ()), (5, (CHARGER, BATTERY)), (10, (ROOF,)), (15, (OFFSET, TANK))):
            site.world.now = now + timedelta(minutes=minutes)
            site.servers.tick()
            for point in fallen:
                release = site.district.wires[point].measure.write.release  # type: ignore[union-attr]
                assert site.world.values[site.world.index[point]] == release, (minutes, point)

    now = site.world.now
    site.run(silence())


def test_only_what_falls_back_is_rewritten_and_only_when_due(site: Site) -> None:
    async def due() -> None:
        now = NOW
        await site.field.sweep(now)
        await site.field.write([command(OFFSET, 1.0), command(CHARGER, 20), command(ROOF, 0.5)])
        beats = set(await site.field.refresh(now + timedelta(seconds=99)))
        assert all(point.endswith("heartbeat_count") for point in beats)
        assert set(await site.field.refresh(now + timedelta(seconds=100))) - beats == {CHARGER}  # a third of 300 s
        assert set(await site.field.refresh(now + timedelta(seconds=200))) - beats == {CHARGER, ROOF}

    site.run(due())


def test_what_expires_is_given_back(site: Site) -> None:
    async def expiry() -> None:
        await site.field.sweep(NOW)
        until = NOW + timedelta(minutes=30)
        await site.field.write([command(OFFSET, 1.0, until=until), command(CHARGER, 20, until=until)])
        outcomes = await site.field.refresh(until)
        assert outcomes[OFFSET] == Written(0.0) and outcomes[CHARGER] == Written(10)
        assert not site.field.standing

    site.run(expiry())


def test_what_is_renewed_does_not_expire(site: Site) -> None:
    async def renewal() -> None:
        await site.field.sweep(NOW)
        until = NOW + timedelta(minutes=30)
        await site.field.write([command(OFFSET, 1.0, until=until), command(TANK, 62, until=until)])
        site.field.renew([OFFSET, "mistral/tank/charge_on"], until + timedelta(minutes=30))  # the second never stood
        outcomes = await site.field.refresh(until)
        assert OFFSET not in outcomes and outcomes[TANK] == Written(60.0)
        assert set(site.field.standing) == {OFFSET}

    site.run(renewal())


def test_a_refresh_never_puts_the_old_value_over_the_new_one(site: Site) -> None:
    async def race() -> None:
        for value in (6.0, 7.0, 8.0, 9.0):
            await site.field.write([command(CHARGER, value)])
            later = site.world.now + timedelta(seconds=value * 1000)
            site.world.now = later
            await asyncio.gather(site.field.refresh(later), site.field.write([command(CHARGER, value + 20)]))
            assert (await site.field.sweep(later))[CHARGER].value == value + 20

    site.run(race())


def test_a_register_that_wears_is_not_written_with_what_it_holds(site: Site) -> None:
    wire = site.district.wires[CHARGER]
    limits = wire.measure.write
    assert limits is not None
    object.__setattr__(limits, "wears_flash", True)
    gateway = site.servers.servers[wire.bus.name]
    assert isinstance(gateway, Gateway)
    try:

        async def twice() -> None:
            await site.field.write([command(CHARGER, 20)])
            written_at = gateway._units[wire.device.unit].commands[CHARGER].at
            site.world.pass_time(minutes=1)
            assert await site.field.write([command(CHARGER, 20)]) == [Written(20)]
            assert gateway._units[wire.device.unit].commands[CHARGER].at == written_at
            await site.restart_field()  # a process after this one remembers nothing, and asks the device
            assert await site.field.write([command(CHARGER, 20)]) == [Written(20)]
            assert gateway._units[wire.device.unit].commands[CHARGER].at == written_at
            assert CHARGER not in await site.field.refresh(site.world.now + timedelta(hours=1))
            assert await site.field.write([command(CHARGER, 21)]) == [Written(21)]

        site.run(twice())
    finally:
        object.__setattr__(limits, "wears_flash", False)


def test_all_outputs_are_written_at_once(site: Site) -> None:
    def other(point: str) -> Command:
        limits = site.district.wires[point].measure.write
        assert limits is not None
        return command(point, limits.maximum if limits.maximum != limits.release else limits.minimum)

    asked = [other(p) for p, w in site.district.wires.items() if w.commanded and not p.endswith("heartbeat_count")]
    assert len(asked) > 90

    assert site.run(site.field.write(asked)) == [Written(c.value) for c in asked]


def test_our_address_must_be_named_on_a_real_network() -> None:
    with pytest.raises(ValueError, match=r"192\.168\.7\.2; give the EMS its own BACnet address"):
        own_address([Bus("house/controller", "bacnet", "192.168.7.2", 47808, 1)])
    assert own_address([Bus("house/controller", "bacnet", "127.122.1.1", 47808, 1)]).startswith("127.122.255.1/32:")


def test_bac0_leaves_no_trace(tmp_path: Path) -> None:
    """Importing and starting it writes no file in the home folder, reads no .env and prints nothing."""
    (tmp_path / ".env").write_text("EMS_FROM_DOTENV=1\n")
    script = (
        "import asyncio, os\n"
        "from ems.bms.bacnet import Stack\n"
        "async def go():\n"
        "    stack = Stack('127.122.255.3/32:47777'); await stack.start(); await stack.stop()\n"
        "asyncio.run(go())\n"
        "assert 'EMS_FROM_DOTENV' not in os.environ\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == [".env"]
