"""Commissioning: wrong units have names, nothing is written without a yes, and a report that was altered says so."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from ems.bms import Field
from ems.command import Command, Outcome, Unreachable
from ems.commission import Answers, AnswersError, PointRecord, Record, Verdict, Walk, check, compare, html, sealed
from ems.commission.command import may_not_write
from ems.commission.record import site_key
from ems.commission.walk import STANDS, place_of, trial_value
from ems.simulate.servers import FieldServers
from ems.simulate.servers.station import Station
from ems.store.requests import Handover
from tests.served_district import NOW, StillWorld, part_of_district, whole_district

NET = 65
PROJECT = Path(__file__).parents[2]
SUPPLY, CURVE, METER = (
    "creche/substation/supply_temperature_c",
    "creche/substation/heating_curve_offset_k",
    "creche/tenant/power_kw",
)


@pytest.mark.parametrize(
    ("quantity", "ours", "second", "verdict", "factor"),
    [
        ("power_kw", 12.0, 12.4, Verdict.AGREES, 1.0),  # within 5 %
        ("power_kw", -12.0, 12.0, Verdict.SIGN, 1.0),
        ("power_kw", 12000.0, 12.0, Verdict.FACTOR, 1000.0),
        ("power_kw", 0.012, 12.0, Verdict.FACTOR, 0.001),
        ("power_kw", -1.2, 12.0, Verdict.FACTOR, -0.1),
        ("energy_kwh", 360.0, 100.0, Verdict.FACTOR, 3.6),
        ("power_kw", 5.0, 12.0, Verdict.DIFFERS, 1.0),
        ("temperature_c", 21.5, 20.6, Verdict.AGREES, 1.0),
        ("temperature_c", 60.0, 62.0, Verdict.DIFFERS, 1.0),  # degrees have no proportion
        ("temperature_c", 215.0, 21.5, Verdict.FACTOR, 10.0),
        ("power_kw", 0.0, 0.05, Verdict.AGREES, 1.0),
        ("pump_on", 1.0, 0.0, Verdict.DIFFERS, 1.0),
    ],
)
def test_what_is_wrong_with_a_reading_has_a_name(
    quantity: str, ours: float, second: float, verdict: Verdict, factor: float
) -> None:
    found = compare(quantity, ours, second)
    assert (found.verdict, found.factor) == (verdict, pytest.approx(factor))


def test_a_trial_is_a_small_step_within_the_limits() -> None:
    for wire in whole_district().commanded.values():
        limits = wire.measure.write
        assert limits is not None
        for shown in (None, limits.minimum, limits.maximum, limits.release):
            value = trial_value(wire, shown)
            assert limits.minimum <= value <= limits.maximum, wire.point
            here = limits.release if shown is None else shown
            if limits.minimum < limits.maximum:
                assert value != here, (wire.point, shown)
            if limits.ramp_per_slot is not None:
                assert abs(value - here) <= limits.ramp_per_slot + 1e-9, wire.point


# A record and its seal


def a_record() -> Record:
    record = Record("creche", "Crèche", "2026-01-15T12:00:00+00:00", {"creche/tenant": {"file": "Schneider <iEM>"}})
    for n, point in enumerate((METER, SUPPLY, CURVE)):
        record.keep(PointRecord(point, "kind", "somewhere", "kW", f"at {n}", "good", 1.5 + n, result="passed"))
    return record


def test_a_sealed_report_is_whole_and_every_change_to_it_is_found(tmp_path: Path) -> None:
    key = site_key(tmp_path)
    assert key == site_key(tmp_path) and len(key) == 32
    assert (tmp_path / "commission.key").stat().st_mode & 0o077 == 0
    page = html(sealed(a_record(), "Léa Martin", "2026-01-15T13:00:00+00:00", key))
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    assert check(file, key) is None and check(file, None) is None
    assert "Léa Martin" in page and "http" not in page.replace("http-equiv", "")
    for was, now, word in (
        ('"value": 2.5', '"value": 2.6', SUPPLY),
        ("<td>2.5 kW</td>", "<td>2.6 kW</td>", "shows"),
        ('"signed_by": "Léa Martin"', '"signed_by": "Somebody"', "seal"),
        ("Schneider \\u003ciEM>", "Another", "seal"),
    ):
        assert was in page, was
        file.write_text(page.replace(was, now), encoding="utf-8")
        assert word in (check(file, key) or "")
    file.write_text(page, encoding="utf-8")
    assert "seal" in (check(file, bytes(32)) or "")
    file.write_text("<html></html>", encoding="utf-8")
    with pytest.raises(ValueError, match="is no report"):
        check(file, key)


def test_a_point_left_out_breaks_the_chain(tmp_path: Path) -> None:
    record = sealed(a_record(), "Léa", "now", bytes(32))
    del record.points[0]
    file = tmp_path / "report.html"
    file.write_text(html(record, "en"), encoding="utf-8")
    assert SUPPLY in (check(file, None) or "")


def test_what_is_walked_again_voids_the_seal_and_an_unsigned_one_says_so(tmp_path: Path) -> None:
    record = sealed(a_record(), "Léa", "now", bytes(32))
    record.keep(replace(record.points[0], value=7.0))
    assert record.seal == "" and len(record.points) == 3
    file = tmp_path / "report.html"
    file.write_text(html(record), encoding="utf-8")
    assert check(file, None) == "it was never signed"
    with pytest.raises(ValueError, match="type yours"):
        sealed(record, "  ", "now", bytes(32))


def test_a_record_comes_back_from_disk_and_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert Record.read(path) is None
    a_record().store(path)
    assert Record.read(path) == a_record()
    path.write_text('{"version": 9}')
    with pytest.raises(ValueError, match="move it away"):
        Record.read(path)


def test_answers_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.yaml"
    for wrong in ("sing: Léa", "points: {'*': {wirte: true}}", "points: {'*': 3}", "points: {'*': {write: 'yes'}}"):
        path.write_text(wrong)
        with pytest.raises(AnswersError):
            Answers(path, Console(quiet=True))


# Against simulated devices


def beside(
    answers: dict[str, object], test: Callable[[Walk, StillWorld, FieldServers, Field], Awaitable[None]], path: Path
) -> None:
    async def run() -> None:
        district = part_of_district(NET, ("creche",))
        world = StillWorld(district)
        servers = FieldServers(district, world)
        await servers.start()
        field = Field(district.wires, timeout_s=5.0)
        await field.start()
        path.write_text(yaml.safe_dump(answers))
        record = Record("creche", "Crèche", NOW.isoformat())
        person = Answers(path, Console(quiet=True))
        walk = Walk(record, district.wires, field, person, lambda: NOW, lambda r: None)
        try:
            await test(walk, world, servers, field)
        finally:
            await field.stop()
            await servers.stop()

    asyncio.run(asyncio.wait_for(run(), 100))


def test_a_point_that_reads_right_and_obeys_has_passed(tmp_path: Path) -> None:
    answers = {"points": {CURVE: {"second": 0, "write": True, "value": 1.5, "seen": "yes"}}}

    async def test(walk: Walk, world: StillWorld, servers: FieldServers, field: Field) -> None:
        made = await walk.point(walk.wires[CURVE])
        assert (made.result, made.why) == ("passed", "")
        assert (made.wrote, made.write, made.given_back) == (1.5, "read back 1.5", "read back 0")
        assert [value for point, value in world.commands if point == CURVE] == [1.5, 0.0]
        assert made.holders == {} and "analog-output" in made.place
        assert not field.standing

    beside(answers, test, tmp_path / "answers.yaml")


class Walker(Answers):
    """Goes to the device and looks: says what there was to see once `arrived`."""

    def __init__(self, answers: Answers, says: str) -> None:
        self.points, self.signs, self.out = answers.points, answers.signs, answers.out
        self.says, self.arrived = says, threading.Event()

    def seen(self, point: str, value: float) -> str:
        return self.says if self.arrived.wait(3) else "no"


def test_a_command_is_kept_alive_while_somebody_walks_to_the_device(tmp_path: Path) -> None:
    answers = {"points": {CURVE: {"second": 0, "write": True, "value": 1.5}}}

    async def test(walk: Walk, world: StillWorld, servers: FieldServers, field: Field) -> None:
        assert isinstance(walk.person, Answers)
        walker = walk.person = Walker(walk.person, "yes")
        refresh, beats = field.refresh, "creche/substation/heartbeat_count"
        station = servers.servers[field.wires[beats].bus.name]
        assert isinstance(station, Station)
        counter = next(cell for cell in station.cells.values() if cell.wire.point == beats)

        async def refreshed(now: datetime) -> dict[str, Outcome]:
            outcomes = await refresh(now)
            assert field.standing.keys() == {CURVE} and counter.commanding == 12
            walker.arrived.set()
            return outcomes

        field.refresh = refreshed  # type: ignore[method-assign]
        made = await walk.point(walk.wires[CURVE])
        assert (made.result, made.seen) == ("passed", "yes")
        assert field.standing == {} and counter.commanding is None

    beside(answers, test, tmp_path / "answers.yaml")


def test_a_command_that_nobody_came_back_to_is_given_back_and_no_fault_of_the_device(tmp_path: Path) -> None:
    answers = {"points": {CURVE: {"second": 0, "write": True, "value": 1.5}}}

    async def test(walk: Walk, world: StillWorld, servers: FieldServers, field: Field) -> None:
        assert isinstance(walk.person, Answers)
        walker = walk.person = Walker(walk.person, "no")
        refresh = field.refresh

        async def refreshed(now: datetime) -> dict[str, Outcome]:
            outcomes = await refresh(NOW + STANDS)
            walker.arrived.set()
            return outcomes

        field.refresh = refreshed  # type: ignore[method-assign]
        made = await walk.point(walk.wires[CURVE])
        assert (made.result, made.seen) == ("partly", "no") and "10 min" in made.why
        assert world.values[world.index[CURVE]] == 0.0

    beside(answers, test, tmp_path / "answers.yaml")


def test_nothing_is_written_without_a_yes(tmp_path: Path) -> None:
    answers = {"points": {"*": {"second": 1, "value": 1.5}}}

    async def test(walk: Walk, world: StillWorld, servers: FieldServers, field: Field) -> None:
        await walk.run()
        assert world.commands == []
        assert {item.point for item in walk.record.points} == set(walk.wires)
        assert {item.wrote for item in walk.record.points} == {None}
        facts = walk.record.devices["creche/substation"]
        assert facts["vendor name"] == "Smartseille simulation" and facts["firmware revision"] == "simulated"

    beside(answers, test, tmp_path / "answers.yaml")


def test_a_wrong_sign_and_a_missing_value_fail_with_their_names(tmp_path: Path) -> None:
    answers = {"points": {METER: {"second": "-8,0", "remark": "transformer turned"}}}

    async def test(walk: Walk, world: StillWorld, servers: FieldServers, field: Field) -> None:
        world.show(METER, 8.0)
        made = await walk.point(walk.wires[METER])
        assert (made.result, made.comparison, made.remark) == ("failed", "sign reversed", "transformer turned")
        world.show(SUPPLY, 400.0)
        made = await walk.point(walk.wires[SUPPLY])
        assert made.result == "failed" and made.why == "reads as implausible" and made.raw == 400.0

    beside(answers, test, tmp_path / "answers.yaml")


def test_another_point_can_be_the_second_source(tmp_path: Path) -> None:
    other = "creche/substation/return_temperature_c"
    answers = {"points": {SUPPLY: {"second": other}, METER: {"second": SUPPLY}}}

    async def test(walk: Walk, world: StillWorld, servers: FieldServers, field: Field) -> None:
        world.show(SUPPLY, 41.0)
        world.show(other, 40.5)
        assert (await walk.point(walk.wires[SUPPLY])).comparison == "agrees"
        made = await walk.point(walk.wires[METER])
        assert made.result == "partly" and "is a temperature" in made.why

    beside(answers, test, tmp_path / "answers.yaml")


def test_who_holds_a_point_is_seen_and_respected(tmp_path: Path) -> None:
    answers = {"points": {CURVE: {"second": 2, "write": True, "value": 1.0}}}

    async def test(walk: Walk, world: StillWorld, servers: FieldServers, field: Field) -> None:
        await servers.override(CURVE, 2.0)
        made = await walk.point(walk.wires[CURVE])
        assert made.holders == {"8": 2.0}
        assert made.result == "partly" and "priority 8 holds it" in made.why
        assert world.values[world.index[CURVE]] == 2.0

    beside(answers, test, tmp_path / "answers.yaml")


def test_a_point_that_is_not_given_back_is_shouted_about(tmp_path: Path) -> None:
    answers = {"points": {CURVE: {"second": 0, "write": True, "value": 1.0}}}

    async def test(walk: Walk, world: StillWorld, servers: FieldServers, field: Field) -> None:
        write = field.write

        async def deaf(commands: list[Command]) -> list[Outcome]:
            return [Unreachable("gone")] if commands[0].value is None else await write(commands)

        field.write = deaf  # type: ignore[method-assign, assignment]
        made = await walk.point(walk.wires[CURVE])
        assert made.result == "failed" and "NOT GIVEN BACK: unreachable: gone" in made.why
        assert CURVE in field.standing  # what the dead-man takes back

    beside(answers, test, tmp_path / "answers.yaml")


def test_nothing_is_written_beside_a_control_process(tmp_path: Path) -> None:
    assert may_not_write(tmp_path, "creche") is None
    lock = tmp_path / "site.db.lock"
    lock.touch()
    assert may_not_write(tmp_path, "creche") is None
    import fcntl

    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "ems release creche" in (may_not_write(tmp_path, "creche") or "")
        Handover(tmp_path).give("creche", "Léa", NOW, "commissioning")
        assert may_not_write(tmp_path, "creche") is None


def test_a_place_is_told_as_other_tools_take_it() -> None:
    wires = part_of_district(NET, ("creche", "parking")).wires
    limit = wires["parking/point-01/current_limit_a"]
    assert place_of(limit).endswith("function 3, register 16398, uint32, written at register 16640")
    assert "unit 1, function 3, register" in place_of(wires[METER])
    assert "device 112000, analog-input" in place_of(wires[SUPPLY])


def test_the_command_walks_signs_resumes_and_checks(tmp_path: Path) -> None:
    """`ems commission` in a process of its own against the servers of this one: broken off by --only, then the rest."""
    answers = tmp_path / "answers.yaml"
    answers.write_text(yaml.safe_dump({"sign": "Léa Martin", "points": {CURVE: {"second": 0, "write": True}}}))
    into, folder = tmp_path / "out", tmp_path / "site"

    async def ems(*line: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ems", "commission", *line, "--folder", str(folder), cwd=PROJECT,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def run() -> StillWorld:
        district = part_of_district(NET, ("creche",))
        world = StillWorld(district)
        servers = FieldServers(district, world)
        await servers.start()
        line = ("creche", "--answers", str(answers), "--into", str(into), "--network", str(NET))
        code, out = await ems(*line, "--only", "substation")
        assert code == 0, out
        first = json.loads((into / "record.json").read_text())
        assert first["signed_by"] == "Léa Martin" and len(first["points"]) < len(district.wires)
        code, out = await ems(*line)
        assert code == 0, out
        assert "points have a record already" not in out.splitlines()[-1]
        record = json.loads((into / "record.json").read_text())
        assert [p["point"] for p in record["points"][: len(first["points"])]] == [p["point"] for p in first["points"]]
        assert {p["point"] for p in record["points"]} == set(district.wires)
        code, out = await ems("--check", str(into / "report.html"))
        assert code == 0 and "as it was sealed" in out
        page = (into / "report.html").read_text()
        (into / "report.html").write_text(page.replace('"result": "partly"', '"result": "passed"', 1))
        code, out = await ems("--check", str(into / "report.html"))
        assert code == 1 and "was changed after it was recorded" in out
        await servers.stop()
        return world

    world = asyncio.run(run())
    assert [value for point, value in world.commands if point == CURVE][-1] == 0.0
    assert len([1 for point, _ in world.commands if point == CURVE]) == 2
    assert json.loads((into / "standing.json").read_text())["standing"] == []
