"""Killed with -9 at every step of a quarter-hour, and resumed: nothing twice, nothing mixed, nothing left open."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ems.campaign.forked import Round, SignalledLife
from ems.campaign.swarm import small_district
from ems.district import District
from ems.loop.clock import Clock
from ems.slots import SLOT_SECONDS
from ems.store import Store


@dataclass
class Killed:
    """The figures of the campaign."""

    steps: int = 0
    kills: int = 0
    duplicate_writes: int = 0
    mixed_plans: int = 0
    stuck_runs: int = 0
    failed_resumes: int = 0
    resume_s: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {
            "steps": self.steps,
            "kills": self.kills,
            "duplicate_writes": self.duplicate_writes,
            "mixed_plans": self.mixed_plans,
            "stuck_runs": self.stuck_runs,
            "failed_resumes": self.failed_resumes,
            "resume_p100_s": round(max(self.resume_s, default=0.0), 3),
        }

    @property
    def is_clean(self) -> bool:
        return not (self.duplicate_writes or self.mixed_plans or self.stuck_runs or self.failed_resumes)


def kill_everywhere(per_step: int, clock: Clock, seed: int = 10) -> Killed:
    """Each step of a cycle `per_step` times. `clock` times the resumes."""
    result = Killed()
    with tempfile.TemporaryDirectory(prefix="ems-kills-", dir=quick_folder()) as name:
        folder = Path(name)
        district = small_district(seed, folder / "buildings")
        Store.open(f"sqlite:///{folder / 'new.db'}").close()
        result.steps = count_steps(district, folder, seed)
        for number in range(per_step):
            for step in range(1, result.steps + 1):
                _kill_at(step, district, folder, seed + number, result, clock)
    return result


def quick_folder() -> Path | None:
    """Memory, where the machine has such a place."""
    shm = Path("/dev/shm")
    return shm if shm.is_dir() else None


def new_round(district: District, folder: Path, seed: int) -> Round:
    """A site that has just been set up."""
    for old in folder.glob("site.db*"):
        old.unlink()
    shutil.copy(folder / "new.db", folder / "site.db")
    return Round(district, folder, seed)


def count_steps(district: District, folder: Path, seed: int) -> int:
    """How many steps an undisturbed cycle has: the first at which a kill comes too late."""
    low, high = 1, 2
    while _survives(district, folder, seed, high) is False:
        low, high = high, high * 2
    while low + 1 < high:
        middle = (low + high) // 2
        if _survives(district, folder, seed, middle):
            high = middle
        else:
            low = middle
    return low


def _survives(district: District, folder: Path, seed: int, step: int) -> bool:
    one = new_round(district, folder, seed)
    status = one.serve(one.fork(SignalledLife(1, step)))
    one.close()
    return not os.WIFSIGNALED(status)


def _kill_at(step: int, district: District, folder: Path, seed: int, result: Killed, clock: Clock) -> None:
    one = new_round(district, folder, seed)
    status = one.serve(one.fork(SignalledLife(1, step)))
    if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
        one.close()
        return  # this seed's cycle was over by then
    result.kills += 1
    begun: datetime = clock.now()
    status = one.serve(one.fork(SignalledLife(2, None)))
    result.resume_s.append((clock.now() - begun).total_seconds())
    one.close()
    if os.WEXITSTATUS(status) != 0:
        result.failed_resumes += 1
        result.said.append(f"step {step}, seed {seed}: the resumed process ended with {status}")
    _judge(one, step, result)


def _judge(one: Round, step: int, result: Killed) -> None:
    times: Counter[str] = Counter()
    values: dict[str, set[float | None]] = {}
    for landed in one.plant.landed:
        watchdog = one.district.wires[landed.command.point].device.type.watchdog
        if watchdog is None or watchdog.kind != "rewrite":  # those are told the same again, to keep them content
            times[landed.command.key] += 1
        values.setdefault(landed.command.point, set()).add(landed.command.value)
    twice = [key for key, count in times.items() if count > 1]
    mixed = [point for point, found in values.items() if len(found) > 1]
    result.duplicate_writes += len(twice)
    result.mixed_plans += len(mixed)
    with sqlite3.connect(one.folder / "site.db") as database:
        states = dict(database.execute("SELECT slot, state FROM run").fetchall())
        open_intents = database.execute("SELECT count(*) FROM command WHERE state = 'intended'").fetchone()[0]
    database.close()
    if states != {one.slot: "done"} or open_intents:
        result.stuck_runs += 1
    if twice or mixed or states != {one.slot: "done"}:
        at = datetime.fromtimestamp(one.slot * SLOT_SECONDS, tz=one.at.tzinfo)
        result.said.append(f"step {step} of {at:%H:%M}: twice {twice}, mixed {mixed}, runs {states}")
