"""`ems campaign …`: each campaign ends in one line of figures, as JSON on request, and in exit code 1 if it failed."""

from __future__ import annotations

import json
import math
import os
import resource
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ems import defaults
from ems.campaign.course import Outcome, run_course
from ems.campaign.defects import DEFECTS, hunt
from ems.campaign.kills import kill_everywhere
from ems.campaign.leaders import lead_everywhere
from ems.campaign.power_cuts import cut_power
from ems.campaign.record import Asked, Record, RecordError, findings
from ems.loop.clock import RealClock
from ems.workers import deaf_to_ctrl_c, workers

DAYS_PER_COURSE = 5.0
REAL_DAYS = 1.0  # of one course with the real optimiser, whose plans take most of the time
FULL_SIZE_SHARE = 0.003  # of the days, on top of them: thirty in ten thousand
FALSE_ALARMS_PER_100_DAYS = 1.0
CORES = len(os.sched_getaffinity(0))

app = typer.Typer(help="Seeded campaigns against the running loop: faults, defects, kills, power cuts, rivals.")
err = Console(stderr=True, soft_wrap=True)

FULL_SIZE = typer.Option("--full-size", help="The district that ships, with every dwelling; half a minute a day.")
AsJson = Annotated[bool, typer.Option("--json", help="End with one JSON line of figures.")]


def run_swarm(
    days: float,
    length: float,
    seed: int,
    *,
    real: bool = False,
    full_size: bool = False,
    jobs: int = 1,
    record: Record | None = None,
) -> Iterator[Outcome]:
    """Courses of `length` days until they make `days`, seed after seed, and as they come; `jobs` at a time.

    `full_size`: in the district that ships instead of small ones. What stands in `record` is not run again.
    """
    count = math.ceil(days / length - 1e-9)
    asked = [Asked(seed + number, length, real, full_size) for number in range(count)]
    known = {} if record is None else record.known
    yield from [known[a] for a in asked if a in known]
    missing = [a for a in asked if a not in known]
    for one, outcome in zip(missing, _run(missing, jobs), strict=True):
        if record is not None:
            record.take(one, outcome)
        yield outcome


def _run(asked: list[Asked], jobs: int) -> Iterator[Outcome]:
    if jobs == 1 or len(asked) < 2:
        yield from map(Asked.run, asked)
        return
    with workers(min(jobs, len(asked))) as pool:
        with deaf_to_ctrl_c():  # as the workers, which start here, stay
            outcomes = pool.map(Asked.run, asked)
        yield from outcomes


def full_days_of(days: float) -> float:
    """How many days at full size belong to so many small ones: whole courses."""
    return DAYS_PER_COURSE * (days * FULL_SIZE_SHARE // DAYS_PER_COURSE)


def summary(outcomes: list[Outcome], seconds: float, recalled_days: float = 0.0) -> dict[str, Any]:
    """The figures of some courses, which took `seconds` altogether but for those recalled from a record."""
    days, cpu_s = sum(o.days for o in outcomes), sum(o.cpu_s for o in outcomes)
    return {
        "days": days,
        "courses": len(outcomes),
        "points": [min(o.points for o in outcomes), max(o.points for o in outcomes)] if outcomes else [],
        "violations": sum(len(o.violations) for o in outcomes),
        "lost_readings": sum(o.lost_readings for o in outcomes),
        "missed_class_a_faults": sum(o.missed for o in outcomes),
        "false_alarms_per_100_days": round(100 * sum(o.false_alarms for o in outcomes) / days, 2) if days else 0.0,
        "troubles": sum(sum(o.troubles.values()) for o in outcomes),
        "writes": sum(o.writes for o in outcomes),
        "readings": sum(o.readings for o in outcomes),
        "ways": dict(sum((o.ways for o in outcomes), Counter())),
        "readings_since_backup": sum(o.since_backup for o in outcomes),
        "days_per_minute": round(60 * (days - recalled_days) / seconds, 1) if seconds else 0.0,
        "days_per_cpu_minute": round(60 * days / cpu_s, 1) if cpu_s else 0.0,
        "failing_seeds": [o.seed for o in outcomes if o.violations or o.lost_readings or o.missed],
    }


@app.command()
def faults(
    days: Annotated[float, typer.Option(min=1, help="Simulated days in all.")] = 300,
    seed: Annotated[int, typer.Option(help="The first seed; one per course.")] = 1,
    real_share: Annotated[float, typer.Option(min=0, max=1, help="Share of days with the real optimiser.")] = 0.1,
    jobs: Annotated[int, typer.Option(min=1, help="Courses at a time, each in a process.")] = CORES,
    full_days: Annotated[
        float | None,
        typer.Option(
            min=0, help="Days of the district that ships, half a minute each; left out: 3 in 1000, whole courses."
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Keep each course in this file, and go on where it ends: ten thousand days take hours."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A swarm of small districts, and the one that ships, in which something is always broken; then all heals."""
    try:
        record = Record(resume)
    except (RecordError, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="--resume") from error
    whole = full_days_of(days) if full_days is None else full_days
    parts = {
        "stub": (days * (1 - real_share), DAYS_PER_COURSE, seed),
        "real": (days * real_share, REAL_DAYS, seed + 100_000),
        "full_size": (whole, DAYS_PER_COURSE, seed + 200_000),
    }
    figures: dict[str, Any] = {"campaign": "faults"}
    for name, (length, each, first) in parts.items():
        swarm = run_swarm(
            length, each, first, real=name == "real", full_size=name == "full_size", jobs=jobs, record=record
        )
        begun, recalled = RealClock().now(), {id(outcome) for outcome in record.known.values()}
        outcomes: list[Outcome] = []
        with Bar(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:g} of {task.total:g} days"),
                 TimeRemainingColumn(), console=err, disable=not err.is_terminal) as bar:  # fmt: skip
            task = bar.add_task(name.replace("_", " "), total=length)
            try:
                for outcome in swarm:
                    outcomes.append(outcome)
                    bar.advance(task, outcome.days)
                    for line in findings(outcome):
                        err.print(f"seed {outcome.seed}: {line}", highlight=False)
            except KeyboardInterrupt:
                kept = "give --resume FILE to keep them" if resume is None else f"in {resume}; the same line goes on"
                err.print(f"Broken off with {len(record.known)} courses run: {kept}.", highlight=False)
                raise typer.Exit(130) from None
        recalled_days = sum(o.days for o in outcomes if id(o) in recalled)
        figures[name] = summary(outcomes, (RealClock().now() - begun).total_seconds(), recalled_days)
    made = [figures[name] for name in parts]
    for key in ("violations", "lost_readings", "missed_class_a_faults"):
        figures[key] = sum(part[key] for part in made)
    figures["false_alarms_per_100_days"] = max(part["false_alarms_per_100_days"] for part in made)
    sums = figures["violations"] + figures["lost_readings"] + figures["missed_class_a_faults"]
    _end(figures, as_json, clean=sums == 0 and figures["false_alarms_per_100_days"] < FALSE_ALARMS_PER_100_DAYS)


@app.command()
def defects(as_json: AsJson = False) -> None:
    """Defects of our own, switched on one at a time: the fault campaign must find every one."""
    found = {}
    for defect in DEFECTS:
        rule, courses = hunt(defect)
        found[defect.name] = rule
        err.print(f"{defect.name}: {rule or 'NOT FOUND'} in course {courses}", highlight=False)
    missed = [name for name, rule in found.items() if not rule]
    figures = {"campaign": "defects", "defects": len(found), "found": len(found) - len(missed), "not_found": missed}
    _end(figures, as_json, clean=not missed)


@app.command()
def kills(
    per_step: Annotated[int, typer.Option(min=1, help="Kills at every step of the cycle.")] = 1, as_json: AsJson = False
) -> None:
    """Killed with -9 at every step of a quarter-hour, and resumed."""
    killed = kill_everywhere(per_step, RealClock())
    _end({"campaign": "kills", **killed.to_json()}, as_json, clean=killed.is_clean, said=killed.said)


@app.command()
def leaders(as_json: AsJson = False) -> None:
    """Started twice, frozen at every step while a rival takes over, lease over."""
    led = lead_everywhere()
    _end({"campaign": "leaders", **led.to_json()}, as_json, clean=led.is_clean, said=led.said)


@app.command("power-cuts")
def power_cuts(
    points: Annotated[int, typer.Option(min=1, help="Cut points.")] = 1000, seed: int = 1, as_json: AsJson = False
) -> None:
    """Cuts in the recorded writes and syncs of a real process; needs strace."""
    cut = cut_power(points, seed)
    _end({"campaign": "power-cuts", **cut.to_json()}, as_json, clean=cut.is_clean, said=cut.said)


@app.command()
def replay(
    seed: Annotated[int, typer.Argument(help="A seed that failed.")],
    days: Annotated[float, typer.Option(min=1)] = DAYS_PER_COURSE,
    real: Annotated[bool, typer.Option("--real", help="With the real optimiser.")] = False,
    full_size: Annotated[bool, FULL_SIZE] = False,
    minimise: Annotated[bool, typer.Option("--minimise", help="Leave out what is not needed to fail.")] = False,
) -> None:
    """One seed again, with its whole log; `--minimise` finds the fewest troubles under which it fails."""
    asked = Asked(seed, days, real, full_size)
    outcome = asked.run()
    kept: tuple[int, ...] | None = None
    if minimise:
        outcome, kept = smallest(asked.run, outcome)
    for line in outcome.log:
        err.print(line, highlight=False)
    figures = {"seed": seed, "digest": outcome.digest, "kept": kept, **summary([outcome], 0.0)}
    _end(figures, True, clean=not figures["failing_seeds"])


def smallest(run: Callable[[tuple[int, ...]], Outcome], failing: Outcome) -> tuple[Outcome, tuple[int, ...]]:
    """The troubles, by their place in the plan, that are enough to fail: one after another is left out."""
    kept = tuple(range(failing.planned))
    for number in range(failing.planned):
        without = tuple(k for k in kept if k != number)
        tried = run(without)
        if tried.violations or tried.lost_readings or tried.missed:
            failing, kept = tried, without
    return failing, kept


@app.command()
def soak(
    days: Annotated[int, typer.Option(min=2, help="Simulated days.")] = 30,
    seed: Annotated[int, typer.Option(help="The district, and what goes wrong in it.")] = 10,
    full_size: Annotated[bool, FULL_SIZE] = False,
    as_json: AsJson = False,
) -> None:
    """One district for a month, small or at full size: memory, open files, log of the database."""
    buildings = defaults.folder("buildings") if full_size else None
    outcome = run_course(seed, days, watch_memory=True, buildings=buildings)
    half = len(outcome.memory_mb) // 2
    grown = outcome.memory_mb[-1] - outcome.memory_mb[half]
    figures: dict[str, Any] = {
        "campaign": "soak",
        "memory_slope_mb_per_day": round(grown / max(len(outcome.memory_mb) - 1 - half, 1), 3),
        "open_files": [outcome.open_files[0], outcome.open_files[-1]],
        "largest_log_mb": round(max(outcome.log_mb), 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        **summary([outcome], 0.0),
    }
    small = figures["memory_slope_mb_per_day"] < 1.0 and figures["largest_log_mb"] < 64
    _end(figures, as_json, clean=small and not figures["failing_seeds"])


def _end(figures: Mapping[str, Any], as_json: bool, *, clean: bool, said: list[str] | None = None) -> None:
    for line in said or []:
        err.print(line, highlight=False)
    if as_json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key.replace('_', ' ')}: {value}")
    if not clean:
        raise typer.Exit(1)
