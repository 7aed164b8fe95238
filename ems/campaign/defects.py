"""Twenty defects of our own, switched on one at a time: a campaign that does not find them proves nothing.

Each takes one guard out of the running program and names the troubles under which its absence should show.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ems.bms.belief import Belief, Bounds
from ems.bms.field import Field
from ems.bms.line import Line
from ems.campaign.course import Outcome, run_course
from ems.command import Command, Refused, Written
from ems.dispatch import Permission
from ems.dispatch.due import due
from ems.loop import control, hands, minutes
from ems.loop.control import Control
from ems.loop.hands import Hands
from ems.loop.people import Wishes
from ems.loop.watch import Watch
from ems.loop.ways_down import Decided, Way
from ems.points import Quality, Sample
from ems.slots import slot_number
from ems.snapshot import Snapshot
from ems.store import Journal
from ems.store.spool import Spool

DAYS = 2.0
SEEDS = (2, 4, 7, 8, 9, 13, 21, 34)


@dataclass(frozen=True)
class Defect:
    """A guard that is missing: `where` is replaced by `by`, and `under` names the troubles that need it."""

    name: str
    under: tuple[str, ...]
    replaced: tuple[tuple[Any, str, Any], ...]


@contextmanager
def switched_on(defect: Defect) -> Iterator[None]:
    """The program with this defect."""
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in defect.replaced]
    for owner, name, by in defect.replaced:
        setattr(owner, name, by)
    try:
        yield
    finally:
        for owner, name, was in kept:
            setattr(owner, name, was)


def found_by(outcome: Outcome) -> str:
    """The first rule that says something is wrong, or nothing."""
    if outcome.violations:
        return outcome.violations[0].rule
    if outcome.lost_readings:
        return "lost-reading"
    if outcome.missed:
        return "missed"
    return "false-alarm" if outcome.false_alarms else ""


def hunt(defect: Defect) -> tuple[str, int]:
    """(the rule that found it or "", courses it took)."""
    with switched_on(defect):
        for count, seed in enumerate(SEEDS, start=1):
            rule = found_by(run_course(seed, DAYS, only=defect.under))
            if rule:
                return rule, count
    return "", len(SEEDS)


# The defects, each as little as it takes.


def _all_allowed(commands: Any, **_: Any) -> Permission:
    return Permission(list(commands), [])


def _nan_is_zero(bounds: Bounds, value: float, at: datetime) -> Sample:
    return Sample(value if value == value else 0.0, Quality.GOOD, at)


def _nothing(*_: Any, **__: Any) -> None:
    return None


async def _nothing_async(*_: Any, **__: Any) -> None:
    return None


def _no_findings(*_: Any) -> list[Any]:
    return []


due_module = sys.modules["ems.dispatch.due"]  # the package shows the function of that name
_real_commit = Journal.commit_intents
_real_slot = slot_number
_real_due = due
_real_write = Hands.write
_real_seen = Control._seen
_real_save = control.Control._save


def _never_recalled(journal: Journal, slot: int, name: str) -> None:
    return None


def _remembers_anew(journal: Journal, slot: int, name: str, result: Any) -> tuple[Any]:
    return (result,)


def _local_hour(now: datetime) -> int:
    return _real_slot(now + timedelta(hours=1))


def _blind_to_holders(wanted: Any, **known: Any) -> list[Command]:
    return _real_due(wanted, **{**known, "overridden": {}, "standing": {}})


async def _believes_all(self: Hands, commands: Any, snapshot: Snapshot) -> Any:
    """Whatever a device answers counts as written."""
    link = self.link
    asked = link.write

    async def trusting(sent: Any) -> list[Any]:
        answers = await asked(sent)
        return [a if isinstance(a, Refused) else Written(c.value) for c, a in zip(sent, answers, strict=True)]

    link.write = trusting  # type: ignore[method-assign,assignment]
    try:
        return await _real_write(self, commands, snapshot)
    finally:
        link.write = asked  # type: ignore[method-assign]


async def _people_forgotten(self: Control, at: datetime) -> Snapshot:
    return replace(await _real_seen(self, at), out_of_service=frozenset(), overrides={})


def _always_local(failed: str, *_: Any) -> Decided:
    return Decided(Way.LOCAL, None, (), failed)


async def _refresh_nothing(self: Field, now: datetime) -> Mapping[str, Any]:
    self._tell(now)
    return {}


async def _never_gives_back(self: Field, now: datetime) -> Mapping[str, Any]:
    for item in self._standing.values():
        item.command = replace(item.command, expires_at=now + timedelta(hours=1))
    return await _real_refresh(self, now)


_real_refresh = Field._refresh


def _unshaped(value: float, wire: Any, found: float | None) -> float:
    return value


def _postponed(journal: Journal, commands: Any, fence: int, *rest: Any, **more: Any) -> None:
    """Intents go on record only with the outcomes."""
    if not all(c.value is None for c in commands):
        journal.postponed = (commands, fence)  # type: ignore[attr-defined]
    else:
        _real_commit(journal, commands, fence, *rest, **more)


_real_record = Journal.record_outcomes


def _record_late(journal: Journal, outcomes: Any, now: datetime | None = None) -> None:
    commands, fence = getattr(journal, "postponed", ([], 0))
    if commands:
        _real_commit(journal, commands, fence)
    journal.postponed = ([], fence)  # type: ignore[attr-defined]
    _real_record(journal, outcomes, now)


async def _heartbeat_stops(self: Field, beat: Command) -> Any:
    return Written(beat.value)


DEFECTS: tuple[Defect, ...] = (
    Defect("envelope-skipped", ("planner-absurd",), ((hands, "permit", _all_allowed),)),
    Defect("intent-after-write", ("kill",), (
        (Journal, "commit_intents", _postponed), (Journal, "record_outcomes", _record_late),
    )),
    Defect("nan-as-zero", ("nan",), ((Bounds, "sample", _nan_is_zero),)),
    Defect("local-hour", ("kill",), ((minutes, "slot_number", _local_hour),)),
    Defect("late-answer-believed", ("planner-late", "planner-nan"), ((control, "refuse_unbelievable", _nothing),)),
    Defect("steps-not-kept", ("kill",), (
        (Journal, "recall", _never_recalled), (Journal, "remember", _remembers_anew),
    )),
    Defect("spool-forgets", ("database-held", "kill"), ((Spool, "append", _nothing),)),
    Defect("heartbeats-stop", ("weather-gone",), ((Field, "_count", _heartbeat_stops),)),
    Defect("watchdogs-not-fed", ("weather-gone",), ((Field, "refresh", _refresh_nothing),)),
    Defect("expiry-ignored", ("database-held",), ((Field, "_refresh", _never_gives_back),)),
    Defect("people-fought", ("manual",), ((control, "due", _blind_to_holders),)),
    Defect("locks-ignored", ("locked",), ((Control, "_seen", _people_forgotten),)),
    Defect("handover-ignored", ("handed-back",), ((Wishes, "follow", _nothing_async),)),
    Defect("alarms-not-raised", ("bus-off", "nan"), ((Watch, "wrong", _nothing),)),
    Defect("alarms-not-cleared", ("bus-off", "nan"), ((Watch, "right", _nothing),)),
    Defect("answers-believed", ("not-acknowledged", "manual"), ((Hands, "write", _believes_all),)),
    Defect("no-look-back", ("reboot", "not-applied"), ((control, "verify", _no_findings),)),
    Defect("stillness-believed", ("frozen",), ((Belief, "judge", _no_findings),)),
    Defect("probe-never-asks", ("bus-off",), ((Line, "note_health", _nothing),)),
    Defect("one-way-down", ("planner-error",), ((control, "way_down", _always_local),)),
    Defect("ramp-ignored", ("planner-absurd",), (
        (due_module, "shaped", _unshaped), (hands, "permit", _all_allowed),
    )),
    Defect("unsafe-left-standing", ("planner-absurd",), ((Hands, "_take_back_unsafe", _nothing_async),)),
)  # fmt: skip
