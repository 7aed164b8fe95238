"""A load that must run so long (or take so much) within a daily window, and may choose when: laundry, pumps, pools.

power_kw >= 0. Its device takes a permission, `run_on`: it runs while permitted, in its window, until it has done its
daily work. A contiguous one finishes what it has begun, permitted or not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pydantic import Field

from ems.assets.asset import Asset, NotNegative, Positive
from ems.assets.outlook import (
    NOT_AS_HELD_PER_KWH,
    Cost,
    OnOff,
    Outlook,
    Part,
    Planned,
    Port,
    Slack,
    both,
    index_fleet,
    price_words,
)
from ems.assets.tables import per_name, per_slot, upper
from ems.command import Setpoint
from ems.series import Floats
from ems.slots import Slots, as_utc


class Deferrable(Asset):
    """One load behind one supply point. Either `run_h` or `energy_kwh` says what it has to do in each window."""

    type: Literal["deferrable"] = "deferrable"
    supply: str
    running_kw: Positive
    run_h: Positive | None = None
    energy_kwh: Positive | None = None
    contiguous: bool = False
    days: tuple[int, ...] = Field(default=(1, 2, 3, 4, 5, 6, 7), min_length=1, strict=False)  # of the window's start
    from_hour: float = Field(default=0.0, ge=0, le=24)  # local time
    until_hour: float = Field(default=24.0, ge=0, le=24)  # not after from_hour: on the next day
    missed_per_kwh: NotNegative = 1.0  # euro, what a kWh that is not run is worth

    @property
    def work_h(self) -> float:
        """How long it has to run in each window, h."""
        if self.run_h is not None:
            return self.run_h
        return (self.energy_kwh or 0.0) / self.running_kw


TYPES = (Deferrable,)


@dataclass(frozen=True)
class Task:
    """One window of one load: slots `first` to `last`, what is left to do, and how much of it may wait for later.

    `share` is how much of each slot lies in the window.
    """

    asset: str
    first: int
    last: int
    work_h: float
    share: Floats
    later_h: float = 0.0  # may be done in what the window leaves after the horizon
    running: bool = False
    at_once: bool = False  # begins with the window: it runs already, or somebody holds it on


def next_done_h(done_h: Any, on_share: Any, kept: Any, hours: float) -> Any:
    """Work done in the running window at the end of a slot; `kept` is 0 where a new window begins."""
    return kept * (done_h + hours * on_share)


def windows(load: Deferrable, slots: Slots, time_zone: str) -> list[tuple[datetime, datetime]]:
    """Its windows that overlap the slots, by local time, UTC instants."""
    here, found = ZoneInfo(time_zone), []
    midnight = slots.start.astimezone(here).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    while as_utc(midnight) < slots.end:
        if midnight.isoweekday() in load.days:
            days = 1 if load.until_hour <= load.from_hour else 0
            begin, end = _local(midnight, load.from_hour, 0), _local(midnight, load.until_hour, days)
            if end > slots.start and begin < slots.end:
                found.append((begin, end))
        midnight = (midnight + timedelta(days=1)).replace(hour=0)
    return found


def _local(midnight: datetime, hour: float, days: int) -> datetime:
    """A wall-clock hour of the day (24 is the next midnight) as UTC."""
    minutes = round(hour * 60)
    day = midnight + timedelta(days=days + minutes // 1440)
    return as_utc(day.replace(hour=minutes % 1440 // 60, minute=minutes % 60))


def tasks(load: Deferrable, outlook: Outlook) -> list[Task]:
    """What it has to do in the horizon, and what of it a window leaves room for after the horizon."""
    slots, found = outlook.slots, []
    number, held_on = np.arange(slots.count), outlook.held(load.point("run_on")) == 1
    for begin, end in windows(load, slots, outlook.time_zone):
        at, until = ((edge - slots.start) / slots.length for edge in (begin, end))
        share: Floats = np.maximum(np.clip(until - number, 0, 1) - np.clip(at - number, 0, 1), 0)
        inside = np.flatnonzero(share > 1e-9)
        if inside.size == 0:
            continue
        work_h, running = load.work_h, False
        if begin <= slots.start:
            point = load.point("done_h")
            done = outlook.bounded(point, outlook.measured(point, 0.0), 0.0, load.work_h)
            running = load.contiguous and outlook.snapshot.value(load.point("running_on")) == 1
            work_h = max(work_h - done, 0.0)
        after_h = max((end - slots.end) / timedelta(hours=1), 0.0)
        later_h = min(after_h, work_h)
        at_once = running or (load.contiguous and bool(held_on[inside[0]]))
        if at_once:  # it goes on, beyond the horizon too
            work_h, later_h = min(work_h, slots.count * slots.hours), 0.0
        elif load.contiguous and after_h < work_h:
            later_h = 0.0
        if work_h > 1e-6:
            found.append(Task(load.name, int(inside[0]), int(inside[-1]), work_h, share, later_h, running, at_once))
    return found


def length_of(task: Task, hours: float) -> int:
    """How many slots a contiguous task takes."""
    return max(math.ceil(task.work_h / hours - 1e-9), 1)


def begins_of(task: Task, slots: Slots) -> list[int]:
    """In which slots a contiguous task may begin; the first alone when its window is too short, or it runs at once."""
    last = task.last + 1 - length_of(task, slots.hours)
    return [task.first] if task.at_once else list(range(task.first, max(last, task.first) + 1))


def build(block: Any, fleet: Mapping[str, Deferrable], outlook: Outlook) -> Part:
    """How much of each slot it runs; a contiguous one by when it begins."""
    slots = outlook.slots
    index_fleet(block, fleet, slots)
    todo = [task for a in fleet.values() for task in tasks(a, outlook) if outlook.in_service(a.name)]
    free = {(k.asset, k.last): k for k in todo if not fleet[k.asset].contiguous}
    whole = {(k.asset, k.last): k for k in todo if fleet[k.asset].contiguous}
    held_on, high, kept, rest_h = ({n: np.zeros(slots.count) for n in fleet} for _ in range(4))
    ends, may_begin, later = ({n: np.zeros(slots.count) for n in fleet} for _ in range(3))
    for n, a in fleet.items():
        kept[n] = np.ones(slots.count)
        for begin, _ in windows(a, slots, outlook.time_zone):
            if begin > slots.start:
                kept[n][min(math.ceil((begin - slots.start) / slots.length), slots.count) - 1] = 0.0
        held = outlook.held(a.point("run_on"))
        for task in (k for k in todo if k.asset == n):
            high[n] = np.maximum(high[n], np.where(held == 0, 0.0, task.share))
            if not a.contiguous:
                held_on[n] = np.maximum(held_on[n], _held_on(task, held == 1, slots.hours))
            rest_h[n][task.last], ends[n][task.last], later[n][task.last] = task.work_h, np.inf, task.later_h
            if a.contiguous:
                may_begin[n][begins_of(task, slots)] = 1.0
                if task.running:
                    high[n][: length_of(task, slots.hours)] = 1.0
    over = {(n, t): _covering(n, t, whole, slots) for n, a in fleet.items() if a.contiguous for t in slots.flows}
    block.tasks = pyo.Set(initialize=list(free), dimen=2, ordered=True)
    block.whole_tasks = pyo.Set(initialize=list(whole), dimen=2, ordered=True)
    block.inside = pyo.Set(block.tasks, initialize={at: list(range(k.first, k.last + 1)) for at, k in free.items()})
    block.begins = pyo.Set(block.whole_tasks, initialize={at: begins_of(k, slots) for at, k in whole.items()})
    block.covered = pyo.Set(initialize=[at for at, begins in over.items() if begins], dimen=2, ordered=True)
    block.covering = pyo.Set(block.covered, initialize={at: over[at] for at in block.covered})
    block.running_kw = pyo.Param(block.fleet, initialize=per_name({n: a.running_kw for n, a in fleet.items()}))
    block.work_h = pyo.Param(block.fleet, block.flows, initialize=per_slot(rest_h))
    block.kept = pyo.Param(block.fleet, block.flows, initialize=per_slot(kept))
    block.at_start_h = pyo.Param(block.fleet, initialize=per_name({n: _done_h(a, outlook) for n, a in fleet.items()}))
    block.held_share = pyo.Param(block.fleet, block.flows, initialize=per_slot(held_on))
    block.on_share = pyo.Var(block.fleet, block.flows, bounds=upper(high))
    block.unfollowed_share = pyo.Var(block.fleet, block.flows, bounds=upper(held_on))
    block.begin_share = pyo.Var(block.fleet, block.flows, bounds=upper(may_begin))
    block.missing_h = pyo.Var(block.fleet, block.flows, bounds=upper(ends))
    block.later_h = pyo.Var(block.fleet, block.flows, bounds=upper(later))
    block.done_h = pyo.Var(block.fleet, block.stocks, bounds=(0, None))
    block.power_kw = pyo.Var(block.fleet, block.flows, bounds=(0, None))

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def draws_while_it_runs(b: Any, n: Any, t: Any) -> Any:
        return b.power_kw[n, t] == b.running_kw[n] * b.on_share[n, t]

    # What a person holds on runs until it has done its work, unless there is no power for it.
    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def runs_while_held_on(b: Any, n: Any, t: Any) -> Any:
        return b.on_share[n, t] + b.unfollowed_share[n, t] >= b.held_share[n, t]

    @block.Constraint(block.tasks)  # type: ignore[untyped-decorator]
    def does_its_work(b: Any, n: Any, e: Any) -> Any:
        run_h = slots.hours * sum(b.on_share[n, t] for t in b.inside[n, e])
        return run_h + b.later_h[n, e] + b.missing_h[n, e] >= b.work_h[n, e]

    @block.Constraint(block.whole_tasks)  # type: ignore[untyped-decorator]
    def begins_once(b: Any, n: Any, e: Any) -> Any:
        run_h = b.work_h[n, e] * sum(b.begin_share[n, s] for s in b.begins[n, e])
        return run_h + b.later_h[n, e] + b.missing_h[n, e] == b.work_h[n, e]

    @block.Constraint(block.covered)  # type: ignore[untyped-decorator]
    def runs_on_once_begun(b: Any, n: Any, t: Any) -> Any:
        return b.on_share[n, t] >= sum(b.begin_share[n, s] for s in b.covering[n, t])

    @block.Constraint(block.fleet)  # type: ignore[untyped-decorator]
    def has_done_what_is_measured(b: Any, n: Any) -> Any:
        return b.done_h[n, 0] == b.at_start_h[n]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def counts_its_work(b: Any, n: Any, t: Any) -> Any:
        return b.done_h[n, t + 1] == next_done_h(b.done_h[n, t], b.on_share[n, t], b.kept[n, t], slots.hours)

    missed = np.array([[a.missed_per_kwh * a.running_kw] * slots.count for a in fleet.values()])
    # What waits for later is bought at the mean price.
    price = {n: float(outlook.tariffs[a.supply].import_per_kwh.mean()) * a.running_kw for n, a in fleet.items()}
    waits = np.array([[price[n]] * slots.count for n in fleet])
    held = np.array([[NOT_AS_HELD_PER_KWH * a.running_kw * slots.hours] * slots.count for a in fleet.values()])
    return Part(
        ports=(Port("electricity", block.power_kw, {n: a.supply for n, a in fleet.items()}),),
        costs=(
            Cost("deferred", block.missing_h, missed),
            Cost("deferred", block.later_h, waits),
            Cost("held", block.unfollowed_share, held),
        ),
        slacks=(
            Slack(
                block.missing_h,
                "temps de marche manquant",
                "run time missing",
                "h",
                1.0,
                "allonger sa plage horaire",
                "widen its window",
            ),
        ),
        holds=(block.power_kw,),
        on_off=(
            OnOff(block.on_share, _least_share(free, fleet, slots)),
            OnOff(block.begin_share, np.ones((len(fleet), slots.count))),
        ),
    )


def _held_on(task: Task, on: NDArray[np.bool_], hours: float) -> Floats:
    """How much of each slot it runs at least: all of it while somebody holds it on, until its work is done."""
    may: Floats = np.where(on, task.share, 0.0)
    return np.clip(task.work_h / hours - (np.cumsum(may) - may), 0.0, may)


def _covering(name: str, slot: int, whole: Mapping[tuple[str, int], Task], slots: Slots) -> list[int]:
    """The begins of a contiguous load that would have it run in a slot."""
    found = []
    for (asset, _), task in whole.items():
        if asset == name:
            length = length_of(task, slots.hours)
            found += [s for s in begins_of(task, slots) if s <= slot < s + length]
    return found


def _least_share(free: Mapping[tuple[str, int], Task], fleet: Mapping[str, Deferrable], slots: Slots) -> Floats:
    """A slot is run whole or not at all, but for what is left over, or lies outside the window."""
    rows = {n: np.zeros(slots.count) for n in fleet}
    for task in free.values():
        over = task.work_h / slots.hours % 1
        least = over if 0.01 < over < 0.99 else 1.0
        rows[task.asset] = np.maximum(rows[task.asset], np.minimum(task.share, least))
    return np.array(list(rows.values()), dtype=float).reshape(len(fleet), slots.count)


def _done_h(load: Deferrable, outlook: Outlook) -> float:
    """Work done in the window that runs now; 0 outside one."""
    slots = outlook.slots
    if not any(begin <= slots.start for begin, _ in windows(load, slots, outlook.time_zone)):
        return 0.0
    point = load.point("done_h")
    return outlook.bounded(point, outlook.measured(point, 0.0), 0.0, load.work_h)


def actuate(planned: Planned, fleet: Mapping[str, Deferrable], outlook: Outlook) -> list[Setpoint]:
    """Permission to run in the running slot."""
    setpoints = []
    for name, load in fleet.items():
        fr, en = price_words(outlook.tariffs.get(load.supply))
        on = float(planned.flow(name, "on_share")[0]) >= 0.5
        why = both(f"tourne {fr}", f"runs {en}") if on else both(f"attend {fr}", f"waits {en}")
        if not outlook.in_service(name):
            on, why = False, both("hors service", "out of service")
        setpoints.append(Setpoint(load.point("run_on"), float(on), why))
    return setpoints
