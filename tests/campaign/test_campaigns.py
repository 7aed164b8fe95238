"""Short forms of the campaigns; the full ones are `ems campaign …`."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ems.campaign.command import (
    CORES,
    DAYS_PER_COURSE,
    FALSE_ALARMS_PER_100_DAYS,
    app,
    full_days_of,
    run_swarm,
    smallest,
    summary,
)
from ems.campaign.course import START, Outcome, run_course
from ems.campaign.defects import DAYS, DEFECTS, SEEDS, found_by, hunt
from ems.campaign.invariants import Violation
from ems.campaign.kills import kill_everywhere
from ems.campaign.leaders import lead_everywhere
from ems.campaign.plant import Plant
from ems.campaign.power_cuts import cut_power
from ems.campaign.record import Asked, Record, RecordError, code_digest
from ems.campaign.swarm import small_district
from ems.campaign.time import SteppedClock, VirtualLoop, run_virtually
from ems.campaign.trouble import KINDS
from ems.loop.clock import RealClock

# Defects that need few courses; `ems campaign defects` hunts all of them.
QUICK = ("envelope-skipped", "nan-as-zero", "locks-ignored", "alarms-not-raised", "people-fought")


def test_virtual_time_passes_without_waiting_and_in_order() -> None:
    loop = VirtualLoop()
    clock = SteppedClock(loop, START)
    seen: list[str] = []

    async def sleep(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append(f"{name} {(clock.now() - START) / timedelta(hours=1):g}")

    async def both() -> None:
        await asyncio.gather(sleep("late", 7200), sleep("early", 3600))

    run_virtually(both(), loop)
    assert seen == ["early 1", "late 2"]


def test_waiting_for_nothing_is_an_error_and_no_hang() -> None:
    async def for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing is due"):
        run_virtually(for_ever(), VirtualLoop())


def test_three_hundred_days_of_faults_break_nothing_that_must_hold() -> None:
    outcomes = list(run_swarm(300, DAYS_PER_COURSE, 1, jobs=CORES))
    figures = summary(outcomes, 0.0)
    said = [f"seed {o.seed}: {line}" for o in outcomes for line in o.log if line.startswith("2026-")]
    wrong = figures["violations"] + figures["lost_readings"] + figures["missed_class_a_faults"]
    assert (figures["days"], wrong) == (300, 0), "\n".join(said)
    assert figures["false_alarms_per_100_days"] < FALSE_ALARMS_PER_100_DAYS, "\n".join(said)
    assert all(o.troubles and o.writes and o.readings for o in outcomes)
    assert set().union(*(o.troubles for o in outcomes)) == set(KINDS)


# Seeds that once failed: a spool cut short by a half drain, a ramp from where nobody knew, a rule that asked a charger
# for what its cable does not carry.
@pytest.mark.parametrize(
    ("seed", "days", "kinds"),
    [
        (1003, 3.0, 23),
        (1004, 3.0, 23),
        (7026, 5.0, 35),  # nothing can be put on record, so a device's watchdog is not fed
        (7072, 5.0, 35),  # an hour lived twice
        (7143, 5.0, 35),  # handed back while its bus was off: kept alive again when that came back
        (610275, 5.0, 35),  # frozen in a sweep: what it read afterwards stood in the quarter-hour before
    ],
)
def test_what_once_failed_holds(seed: int, days: float, kinds: int) -> None:
    outcome = run_course(seed, days, only=list(KINDS)[:kinds])  # the kinds of then: more would draw other troubles
    assert found_by(outcome) == "", "\n".join(outcome.log[-40:])


def test_a_rival_that_finds_the_database_held_does_not_even_start() -> None:
    outcome = run_course(2010, 5.0)
    assert outcome.troubles["rival"] and found_by(outcome) == "", "\n".join(outcome.log[-40:])


# The last one once failed: a person held a heating curve, and nobody was told.
@pytest.mark.parametrize(("seed", "days"), [(5, 0.25), (6, 0.25), (100_006, 0.75)])
def test_with_the_real_optimiser_too(seed: int, days: float) -> None:
    outcome = run_course(seed, days, real=True)
    assert found_by(outcome) == "", "\n".join(outcome.log[-40:])
    assert outcome.ways["plan"] > 0


def test_a_hold_at_what_would_stand_there_anyway_changes_nothing(tmp_path: Path) -> None:
    """Seed 500027: a person held a tank's charge on, as its plan did; nobody could be told of a difference."""
    district = small_district(1, tmp_path)
    plant = Plant(district, START, random.Random(1))
    point = next(p for p, wire in district.wires.items() if wire.writable)
    plant.manual[point] = plant.release(point)
    plant.advance(START + timedelta(minutes=15))
    assert not plant.against[point]
    plant.manual[point] = plant.release(point) + 1
    plant.advance(START + timedelta(minutes=25))
    assert plant.against[point] == [(START + timedelta(minutes=15), START + timedelta(minutes=25))]


def test_each_kind_of_trouble_happens() -> None:
    happened = {kind for kind in KINDS if run_course(10, 0.6, only=[kind]).planned}
    assert happened == set(KINDS)


def test_the_same_seed_gives_the_same_course() -> None:
    first, second, other = run_course(7, 1.0), run_course(7, 1.0), run_course(8, 1.0)
    assert first.log == second.log
    assert first.digest == second.digest != other.digest


@pytest.mark.parametrize("name", QUICK)
def test_a_missing_guard_is_found(name: str) -> None:
    [defect] = [d for d in DEFECTS if d.name == name]
    rule, _ = hunt(defect)
    assert rule


def test_there_are_twenty_defects_and_without_them_nothing_is_found() -> None:
    assert len({d.name for d in DEFECTS}) >= 20
    assert found_by(run_course(SEEDS[0], DAYS)) == ""


def test_killed_at_every_step_it_resumes() -> None:
    killed = kill_everywhere(1, RealClock())
    assert killed.kills > 40
    assert killed.is_clean, killed.said


def test_a_frozen_leader_writes_nothing_after_another_took_over() -> None:
    led = lead_everywhere(every=4)
    assert led.refused_rivals == led.rounds > 10
    assert led.fenced > 0
    assert led.is_clean, led.said


def test_a_power_cut_takes_nothing_that_was_acknowledged(needs_program: Callable[[str, str], str]) -> None:
    needs_program("strace", "apt-get install strace")
    assert shutil.which("strace")
    cut = cut_power(60, ticks=12)
    assert cut.acknowledged == 12
    assert cut.is_clean, cut.said


def test_a_failing_seed_is_made_smaller() -> None:
    def run(keep: tuple[int, ...]) -> Outcome:
        fails = 2 in keep
        return Outcome(1, 1.0, False, 5, missed=int(fails), planned=5)

    outcome, kept = smallest(run, run((0, 1, 2, 3, 4)))
    assert kept == (2,)
    assert summary([outcome], 60.0)["failing_seeds"] == [1]


def test_the_command_reports_each_kind_of_district_apart() -> None:
    asked = ["faults", "--days", "1", "--real-share", "0", "--full-days", "0", "--jobs", "1", "--json"]
    answer = CliRunner().invoke(app, asked)
    assert answer.exit_code == 0, answer.output
    figures = json.loads(answer.stdout.splitlines()[-1])
    assert [figures[part]["days"] for part in ("stub", "real", "full_size")] == [DAYS_PER_COURSE, 0, 0]
    assert figures["violations"] == figures["lost_readings"] == figures["missed_class_a_faults"] == 0


def test_a_campaign_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    file = tmp_path / "faults.jsonl"
    asked = Asked(7, DAYS_PER_COURSE, real=False, full_size=False)
    found = Violation(START, "limits", "a point = 9 outside 0..5")
    before = Outcome(7, DAYS_PER_COURSE, real=False, points=3, violations=[found], log=["1 nothing", str(found)])
    Record(file).take(asked, before)
    with file.open("a") as torn:
        torn.write('{"code": "half a li')
    known = Record(file).known
    assert list(known) == [asked]
    assert known[asked] == replace(before, log=[str(found)])  # of the log what did not hold
    command = ["faults", "--days", "5", "--seed", "7", "--real-share", "0", "--full-days", "0", "--jobs", "1", "--json"]
    answer = CliRunner().invoke(app, [*command, "--resume", str(file)])
    figures = json.loads(answer.stdout.splitlines()[-1])["stub"]
    assert answer.exit_code == 1 and (figures["failing_seeds"], figures["days_per_minute"]) == ([7], 0.0)


@pytest.mark.parametrize(
    ("line", "problem"),
    [('{"code": "0"}\n', "is no course"), ("[]\n", "is no course"), ("other", "was run by other code")],
)
def test_a_record_that_is_not_of_this_code_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "faults.jsonl"
    if line == "other":
        Record(file).take(Asked(7, 1.0, real=False, full_size=False), Outcome(7, 1.0, real=False, points=3))
        line = file.read_text().replace(code_digest(), "0123456789abcdef")
    file.write_text(line)
    with pytest.raises(RecordError, match=problem):
        Record(file)
    answer = CliRunner().invoke(app, ["faults", "--days", "1", "--resume", str(file)])
    assert answer.exit_code == 2 and file.read_text() == line


@pytest.mark.parametrize(("days", "full"), [(300, 0), (1700, 5), (10_000, 30)])
def test_days_at_full_size_come_on_top(days: float, full: float) -> None:
    assert full_days_of(days) == full
