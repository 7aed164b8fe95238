"""Two processes on one site: started twice, one frozen while another takes over, one whose lease is over.

The lock file keeps rivals out on one machine. To ask the fence too, the lock is taken away from under a frozen leader,
as a shared disk or a restarted database may do; then it wakes up, and nothing it still wanted may reach a device.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from ems.campaign.forked import FENCED, LEASE, Round, SignalledLife
from ems.campaign.kills import count_steps, new_round, quick_folder
from ems.campaign.plant import Landed
from ems.campaign.swarm import small_district
from ems.store import HeldBy, Store


@dataclass
class Led:
    """The figures of the campaign."""

    rounds: int = 0
    refused_rivals: int = 0
    fenced: int = 0
    overtaken: int = 0  # rounds in which the frozen one became the newer leader after all
    double_slots: int = 0
    stale_writes: int = 0
    said: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {k: v for k, v in vars(self).items() if k != "said"}

    @property
    def is_clean(self) -> bool:
        return not (self.double_slots or self.stale_writes)


def lead_everywhere(seed: int = 10, every: int = 1) -> Led:
    """A leader frozen at each `every`-th step of its cycle, with a rival that takes over meanwhile."""
    result = Led()
    with tempfile.TemporaryDirectory(prefix="ems-leaders-", dir=quick_folder()) as name:
        folder = Path(name)
        district = small_district(seed, folder / "buildings")
        Store.open(f"sqlite:///{folder / 'new.db'}").close()
        steps = count_steps(district, folder, seed)
        for step in range(1, steps + 1, every):
            _freeze_at(step, new_round(district, folder, seed), result)
    return result


def _freeze_at(step: int, one: Round, result: Led) -> None:
    result.rounds += 1
    frozen = one.fork(SignalledLife(1, step, signal.SIGSTOP))
    status = one.serve(frozen)
    if not os.WIFSTOPPED(status):
        one.close()
        return
    result.refused_rivals += _is_refused(one)
    one.timer.move(2 * LEASE.total_seconds())  # it sleeps for longer than its lease
    (one.folder / "site.db.lock").unlink(missing_ok=True)
    one.serve(one.fork(SignalledLife(2, None)))
    taken_over = len(one.plant.landed)
    os.kill(frozen, signal.SIGCONT)
    status = one.serve(frozen)
    one.close()
    result.fenced += os.WIFEXITED(status) and os.WEXITSTATUS(status) == FENCED
    with sqlite3.connect(one.folder / "site.db") as database:
        [owner] = database.execute("SELECT owner FROM leadership").fetchone()
    database.close()
    if owner == "life 1":  # it froze before it had asked for the lock, and is the newer leader now
        result.overtaken += 1
        return
    stale = [w for w in one.plant.landed[taken_over:] if w.life == 1]
    result.stale_writes += len(stale)
    told = [w.command.key for w in one.plant.landed if not _is_rewritten(one, w)]
    result.double_slots += len(told) != len(set(told))
    if stale or len(told) != len(set(told)):
        result.said.append(f"step {step}: {len(stale)} stale writes, {len(told) - len(set(told))} told twice")


def _is_rewritten(one: Round, landed: Landed) -> bool:
    """Whether the device is told the same again and again, to keep its watchdog content."""
    watchdog = one.district.wires[landed.command.point].device.type.watchdog
    return watchdog is not None and watchdog.kind == "rewrite"


def _is_refused(one: Round) -> bool:
    """A second process is started by mistake while the first one holds the lock, frozen or not."""
    with Store.open(f"sqlite:///{one.folder / 'site.db'}", busy_timeout_s=0.0, attempts=1) as store:
        taken = store.leadership.take("rival", one.timer.real())
        refused = isinstance(taken, HeldBy)
        if not refused:
            store.leadership.close()
    return refused
