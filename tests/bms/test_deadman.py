"""When the control process is gone, devices are given back by a process that shares nothing with it but a file."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import select
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ems.bms import Field, Mirror, Patience, dead_man, deadman
from ems.bms.mirror import release_entry
from ems.command import Refused, Written
from ems.district import District
from ems.simulate.servers import FieldServers
from ems.simulate.servers.station import Station
from tests.served_district import NOW, StillWorld, command, part_of_district

NET = 124
PROJECT = Path(__file__).parents[2]
COMMANDS = {
    "mistral/substation/heating_curve_offset_k": 2.0,
    "mistral/tank/setpoint_c": 62.0,
    "mistral/tank/charge_on": 0.0,
    "mistral/flat-0101/setpoint_offset_k": 0.5,
    "parking/point-01/current_limit_a": 16.0,
    "parking/point-02/current_limit_a": 8.0,
    "plant-a/battery/power_setpoint_kw": -40.0,
}
CONTROL = """
import asyncio, sys
from pathlib import Path
from ems.bms import Field, dead_man
from tests.bms.test_deadman import COMMANDS, NET
from tests.served_district import command, part_of_district

async def control():
    async with dead_man(Path(sys.argv[1]), hang_s=float(sys.argv[2])) as mirror:
        field = Field(part_of_district(NET).wires, mirror=mirror)
        await field.start()
        outcomes = await field.write([command(p, v) for p, v in COMMANDS.items()])
        print([o for o in outcomes if type(o).__name__ != "Written"], flush=True)
        if sys.argv[3] == "hang":
            import time
            time.sleep(600)
        await asyncio.sleep(600)

asyncio.run(control())
"""


def beside_servers(test: Callable[[District, StillWorld, FieldServers], Awaitable[None]]) -> None:
    async def run() -> None:
        district = part_of_district(NET)
        world = StillWorld(district)
        servers = FieldServers(district, world)
        await servers.start()
        try:
            await test(district, world, servers)
        finally:
            await servers.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


async def control_process(folder: Path, hang_s: float = 90, then: str = "sleep") -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CONTROL, str(folder), str(hang_s), then,
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip() == "[]", "not all were written"
    return process


def held(world: StillWorld) -> dict[str, float]:
    """What devices apply of our commands, as the world was last told."""
    last = dict(world.commands)
    return {point: last[point] for point in COMMANDS if point in last}


async def until(what: Callable[[], bool], seconds: float = 15) -> bool:
    for _ in range(int(seconds / 0.05)):
        if what():
            return True
        await asyncio.sleep(0.05)
    return False


def releases(district: District) -> dict[str, float]:
    found = {}
    for point in COMMANDS:
        limits = district.wires[point].measure.write
        assert limits is not None
        found[point] = limits.release
    return found


def last_words(folder: Path) -> dict[str, Any]:
    words: dict[str, Any] = json.loads((folder / "deadman.log").read_text().splitlines()[-1])
    return words


def test_after_kill_9_every_device_is_back_and_nothing_is_left_to_resolve(tmp_path: Path) -> None:
    async def test(district: District, world: StillWorld, servers: FieldServers) -> None:
        process = await control_process(tmp_path)
        assert held(world) == COMMANDS
        assert len(json.loads((tmp_path / "standing.json").read_text())["standing"]) == len(COMMANDS)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert await until(lambda: held(world) == releases(district))
        assert await until((tmp_path / "deadman.log").exists)
        words = last_words(tmp_path)
        assert (words["why"], words["taken_back"], words["unanswered"]) == ("ended", len(COMMANDS), 0)
        assert json.loads((tmp_path / "standing.json").read_text())["standing"] == []
        station = servers.servers["mistral/controller"]
        assert isinstance(station, Station)
        assert all(slot is None for cell in station.cells.values() for slot in cell.slots)

    beside_servers(test)


def test_a_control_process_that_hangs_loses_the_field(tmp_path: Path) -> None:
    async def test(district: District, world: StillWorld, servers: FieldServers) -> None:
        # Long enough that a loaded machine, stalled between two beats, is not taken for hung while it still writes.
        process = await control_process(tmp_path, hang_s=4, then="hang")
        assert await until(lambda: held(world) == releases(district))
        assert await until((tmp_path / "deadman.log").exists)
        assert last_words(tmp_path)["why"] == "hung"
        process.kill()
        await process.wait()

    beside_servers(test)


def test_a_device_that_is_silent_is_asked_until_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In rounds; a gateway that is silent costs one time-out a round, and the others are given back at once."""

    async def test(district: District, world: StillWorld, servers: FieldServers) -> None:
        field = Field(
            district.wires, patience=Patience(0.05, 0.1), mirror=(mirror := Mirror(tmp_path / "standing.json"))
        )
        await field.start()
        await field.write([command(p, v) for p, v in COMMANDS.items()])
        await field.stop()
        await servers.silence("parking/chargers")
        monkeypatch.setattr(deadman, "TIMEOUT_S", 0.2)
        monkeypatch.setattr(deadman, "PAUSE_S", 0.1)
        giving = asyncio.create_task(asyncio.to_thread(deadman.take_all_back, mirror.path, mirror.owner, 200))
        assert await until(lambda: held(world)["plant-a/battery/power_setpoint_kw"] == 0)
        assert held(world)["parking/point-01/current_limit_a"] == 16
        await servers.restore("parking/chargers")
        assert await giving == (len(COMMANDS), 0)
        assert held(world) == releases(district)

    beside_servers(test)


def test_on_a_full_disk_a_silent_device_is_asked_again_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = tmp_path / "standing.json", []
    entries = [{"point": point, "host": point, "port": 502} for point in ("answers", "answers late")]
    deadman.store(path, "mine", entries)

    def full(file: Path, owner: str, left: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    def take_back(entry: dict[str, Any]) -> bool:
        asked.append(entry["point"])
        return entry["point"] == "answers" or len(asked) > 4

    monkeypatch.setattr(deadman, "store", full)
    monkeypatch.setattr(deadman, "take_back", take_back)
    monkeypatch.setattr(deadman, "PAUSE_S", 0.0)
    assert deadman.take_all_back(path, "mine", 200) == (2, 0)
    assert asked == ["answers"] + 4 * ["answers late"]  # who has answered is left alone


def test_the_file_of_another_is_left_alone(tmp_path: Path) -> None:
    """A control process that started again leads: the dead-man of the one before takes nothing from it."""
    path = tmp_path / "standing.json"
    deadman.store(path, "newer", [{"point": "a/b/c_kw"}])
    assert deadman.take_all_back(path, "older", 1) == (0, 0)
    assert deadman.standing(path, "newer") == [{"point": "a/b/c_kw"}]
    assert deadman.standing(tmp_path / "nothing.json", "newer") == []


def test_a_disk_that_went_before_the_control_process_did_leaves_what_was_known(tmp_path: Path) -> None:
    """One cause ends both; the dead-man has read the file with each beat."""

    async def end(district: District, world: StillWorld, servers: FieldServers) -> None:
        site, (beats, beat) = tmp_path / "site", os.pipe()
        mirror, dead = Mirror(site / "standing.json"), None
        site.mkdir()
        try:
            await mirror.before([(district.wires[p], command(p, v)) for p, v in COMMANDS.items()])
            command_line = [str(mirror.path), mirror.owner, "90", "1"]
            dead = await asyncio.create_subprocess_exec(sys.executable, deadman.__file__, *command_line, stdin=beats)
            os.write(beat, b".")
            assert await until(lambda: not select.select([beats], [], [], 0)[0])  # it was heard
            os.write(beat, b".")
            assert await until(lambda: not select.select([beats], [], [], 0)[0])  # and what came with it done
            site.rename(tmp_path / "away")
            site.mkdir()  # the mount point
        finally:
            os.close(beat)
            os.close(beats)
        assert await dead.wait() == 0
        assert last_words(site) == {"why": "ended", "taken_back": len(COMMANDS), "unanswered": 0}

    beside_servers(end)


def test_a_clean_end_sends_the_dead_man_home(tmp_path: Path) -> None:
    async def run() -> None:
        async with dead_man(tmp_path) as mirror:
            assert mirror.points == frozenset()

    asyncio.run(asyncio.wait_for(run(), 10))
    assert not (tmp_path / "deadman.log").exists()


def test_what_is_given_back_leaves_the_mirror(tmp_path: Path) -> None:
    async def test(district: District, world: StillWorld, servers: FieldServers) -> None:
        mirror = Mirror(tmp_path / "standing.json")
        field = Field(district.wires, mirror=mirror)
        await field.start()
        assert await field.write([command(p, v) for p, v in COMMANDS.items()]) == [
            Written(v) for v in COMMANDS.values()
        ]
        assert mirror.points == COMMANDS.keys()
        await field.write([command(p, None) for p in COMMANDS])
        assert mirror.points == frozenset() and deadman.standing(mirror.path, mirror.owner) == []
        await field.stop()

    beside_servers(test)


def test_who_was_taken_for_hung_and_goes_on_tells_the_dead_man_again(tmp_path: Path) -> None:
    async def run() -> None:
        mirror = Mirror(tmp_path / "standing.json")
        wire = part_of_district(NET).wires["parking/point-01/current_limit_a"]
        await mirror.before([(wire, command(wire.point, 16.0))])
        deadman.store(mirror.path, mirror.owner, [])
        await mirror.before([(wire, command(wire.point, 16.0))])
        (entry,) = deadman.standing(mirror.path, mirror.owner)
        assert entry["point"] == wire.point

    asyncio.run(run())


def test_what_was_adopted_is_told_to_the_dead_man_and_what_another_wrote_over_is_told_again(tmp_path: Path) -> None:
    async def run() -> None:
        point = "parking/point-01/current_limit_a"
        mirror = Mirror(tmp_path / "standing.json")
        field = Field({point: part_of_district(NET).wires[point]}, mirror=mirror)
        field.adopt([command(point, 16.0)])
        await field.refresh(NOW)  # nobody is there to hear it
        assert [entry["point"] for entry in deadman.standing(mirror.path, mirror.owner)] == [point]
        deadman.store(mirror.path, "a second one that did not get the lead", [])
        await field.refresh(NOW)
        assert [entry["point"] for entry in deadman.standing(mirror.path, mirror.owner)] == [point]
        await field.stop()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_without_the_file_nothing_new_is_written_and_what_stands_is_given_back(tmp_path: Path) -> None:
    async def test(district: District, world: StillWorld, servers: FieldServers) -> None:
        (tmp_path / "site").mkdir()
        field = Field(district.wires, mirror=Mirror(tmp_path / "site" / "standing.json"))
        await field.start()
        first, second = list(COMMANDS.items())[:2]
        assert await field.write([command(*first)]) == [Written(first[1])]
        (tmp_path / "site" / "standing.json").unlink()
        (tmp_path / "site").rmdir()
        (refused,) = await field.write([command(*second)])
        assert isinstance(refused, Refused) and "dead-man's file" in refused.why
        assert second[0] not in held(world)
        assert await field.write([command(first[0], None)]) == [Written(releases(district)[first[0]])]
        await field.stop()

    beside_servers(test)


def test_an_entry_holds_the_very_bytes() -> None:
    """By hand: Null into slot 12 of an analog output's present value; 10 A into two registers of unit 1."""
    district = part_of_district(NET)
    offset = release_entry(district.wires["mistral/substation/heating_curve_offset_k"], 12)
    kind, instance = district.wires["mistral/substation/heating_curve_offset_k"].object_id
    assert kind == "analog-output" and offset["transport"] == "udp"
    body = "0c" + f"{1 << 22 | instance:08x}" + "1955" + "3e003f" + "490c"
    assert offset["request"] == "810a0016" + "0104" + "0005ee0f" + body
    assert offset["owed"] == "810a0009" + "0100" + "20ee0f"
    wire = district.wires["parking/point-01/current_limit_a"]
    charger = release_entry(wire, 12)
    assert charger["request"] == "0ead0000000b" + f"{wire.device.unit:02x}" + "10" + "4100" + "0002" + "04" + "00002710"
    assert charger["owed"] == "0ead00000006" + f"{wire.device.unit:02x}" + "1041000002"
