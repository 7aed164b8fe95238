"""What goes wrong, when, and which alarm a person must then find: drawn from a seed before the run begins."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ems.district import District
from ems.slots import SLOT

WRAPS_AT_KWH = 500.0
GRACE = 2 * SLOT  # within this an alarm must be raised, and after this it must be explained by something


@dataclass(frozen=True)
class Kind:
    """One kind of trouble. `alarms`: any of these must be raised (class A); none: class B, nobody need know."""

    name: str
    alarms: tuple[str, ...]
    shortest: timedelta = SLOT
    longest: timedelta = timedelta(hours=6)
    also: tuple[str, ...] = ()  # alarms that it may raise besides
    notice: timedelta = GRACE


_METERS = ("meter-missing", "meter-implausible", "meter-frozen", "meter-changed")
_WRITES = ("setpoint-undelivered", "setpoint-refused", "setpoint-moved", "setpoint-held")
_PLANS = ("plan-missing", "local-control")
# A cycle that a trouble delays or ends may let commands expire and readings jump.
_AFTERMATH = (*_WRITES, "command-expired", "cycle-failed", "meter-changed")
# While nothing can be put on record a lease is not renewed, and nobody may keep a device's watchdog content.
_HELD = (*_AFTERMATH, *_PLANS, "device-unheard")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("bus-off", ("bus-silent",), also=(*_AFTERMATH, *_PLANS, *_METERS, "device-unheard"), shortest=2 * SLOT),
        Kind("half-missing", ("meter-missing",), also=(*_AFTERMATH, *_PLANS)),
        Kind("nan", ("meter-missing",), also=(*_AFTERMATH,)),
        Kind("spike", ("meter-implausible",), also=(*_AFTERMATH,)),
        Kind(
            "frozen",
            ("meter-frozen",),
            timedelta(hours=5),
            timedelta(hours=8),
            also=_AFTERMATH,
            notice=timedelta(hours=4),
        ),
        Kind(
            "exchanged", ("meter-implausible", "meter-changed"), timedelta(hours=2), timedelta(hours=3), also=_AFTERMATH
        ),
        Kind("reboot", ("setpoint-moved",), SLOT, SLOT, also=_AFTERMATH),
        Kind("manual", ("setpoint-held",), timedelta(hours=2), also=(*_AFTERMATH,), notice=timedelta(hours=2)),
        Kind("not-applied", (), also=_AFTERMATH),
        Kind("not-acknowledged", (), also=_AFTERMATH),
        Kind("planner-error", ("plan-missing",), also=(*_PLANS, *_AFTERMATH), longest=timedelta(hours=4)),
        Kind("planner-nan", ("plan-missing",), also=(*_PLANS, *_AFTERMATH)),
        Kind("planner-late", ("plan-missing",), also=(*_PLANS, *_AFTERMATH)),
        Kind("planner-hangs", ("plan-missing",), also=(*_PLANS, *_AFTERMATH)),
        Kind("planner-absurd", (), also=_AFTERMATH),
        Kind("database-held", ("database-held",), 2 * SLOT, timedelta(hours=2), also=_HELD),
        Kind("weather-gone", ("weather-absent",), timedelta(hours=1)),
        Kind("clock-back", ("clock-stepped",), SLOT, SLOT, also=(*_AFTERMATH, "weather-absent", "meter-frozen")),
        Kind("clock-forward", (), SLOT, SLOT, also=(*_AFTERMATH, "weather-absent", "meter-frozen", "clock-stepped")),
        Kind("kill", (), SLOT, SLOT, also=(*_WRITES, "command-expired", "meter-changed")),
        Kind("rival", (), SLOT, SLOT),
        Kind("handed-back", ("handed-back",), timedelta(hours=1), also=_AFTERMATH),
        Kind("locked", (), timedelta(hours=1), also=_AFTERMATH),
        Kind(
            "wrapped", ("meter-implausible", "meter-changed"), timedelta(hours=2), timedelta(hours=3), also=_AFTERMATH
        ),
        Kind("slow", (), 2 * SLOT, also=_AFTERMATH),
        Kind("garbled", (), 2 * SLOT, also=(*_AFTERMATH, *_PLANS, *_METERS, "device-unheard", "bus-silent")),
        Kind("weather-absurd", ("weather-absent",), timedelta(hours=1)),
        Kind("forecasts-diverge", ("forecast-refused",), timedelta(hours=1), also=_AFTERMATH),
        Kind("planner-crashed", ("plan-missing",), also=(*_PLANS, *_AFTERMATH)),
        Kind("planner-infeasible", ("plan-missing",), also=(*_PLANS, *_AFTERMATH)),
        Kind("planner-slow", (), also=(*_PLANS, *_AFTERMATH)),
        Kind("disk-full", ("database-held",), 6 * SLOT, also=_HELD, notice=4 * SLOT),
        Kind("disk-read-only", ("database-held",), 2 * SLOT, timedelta(hours=2), also=_HELD),
        Kind("corrupt", (), timedelta(hours=1), timedelta(hours=3), also=(*_AFTERMATH, *_PLANS, *_METERS)),
        Kind("paused", (), SLOT, SLOT, also=(*_AFTERMATH, *_PLANS)),
    )
}


@dataclass(frozen=True)
class Trouble:
    """One trouble: what, where, from when, until when."""

    kind: Kind
    subject: str
    begins: datetime
    ends: datetime
    size: float = 0.0

    def __str__(self) -> str:
        return f"{self.begins:%d %H:%M}-{self.ends:%d %H:%M} {self.kind.name} {self.subject} {self.size:.2f}"


@dataclass
class Troubles:
    """All troubles of a run, and those of the hour."""

    planned: list[Trouble]
    on: list[Trouble] = field(default_factory=list)
    _stuck: dict[str, float] = field(default_factory=dict)

    def at(self, now: datetime) -> tuple[list[Trouble], list[Trouble]]:
        """Moves to an instant; returns what begins and what ends."""
        before = self.on
        self.on = [t for t in self.planned if t.begins <= now < t.ends]
        ended = [t for t in before if t not in self.on]
        for trouble in ended:
            self._stuck.pop(trouble.subject, None)
        return [t for t in self.on if t not in before], ended

    def cancel(self, trouble: Trouble) -> None:
        """It could not be brought about: nobody has to notice it."""
        self.planned.remove(trouble)
        self.on.remove(trouble)

    def is_on(self, kind: str, subject: str) -> bool:
        return any(t.kind.name == kind and t.subject in (subject, "") for t in self.on)

    def seen(self, point: str, value: float) -> float | None:
        """What a sensor tells of a value; None: nothing."""
        for trouble in self.on:
            asset = point.rpartition("/")[0]
            match trouble.kind.name:
                case "half-missing" if trouble.subject == asset:
                    return None
                case "nan" if trouble.subject == point:
                    return math.nan
                case "spike" if trouble.subject == point:
                    return 1e6
                case "frozen" if trouble.subject == point:
                    return self._stuck.setdefault(point, value)
                case "exchanged" if trouble.subject == point:
                    return value + 50_000
                case "wrapped" if trouble.subject == point:
                    return value % WRAPS_AT_KWH
                case _:
                    continue
        return value


def draw(district: District, start: datetime, days: float, chance: random.Random, only: Iterable[str] = ()) -> Troubles:
    """Troubles for the first half of a run: about four a day, one or two at a time; the second half is left alone."""
    kinds = [KINDS[name] for name in (only or KINDS)]
    end = start + timedelta(days=days) / 2 - timedelta(hours=1)
    planned: list[Trouble] = []
    at = start + 4 * SLOT
    while at < end:
        kind = chance.choice(kinds)
        subjects = _subjects(kind.name, district)
        if subjects:
            span = kind.shortest + (kind.longest - kind.shortest) * chance.random()
            begins = at + timedelta(seconds=chance.choice((0, 100, 500)))
            until = min(begins + max(span // SLOT, 1) * SLOT, end + timedelta(hours=1))
            planned.append(Trouble(kind, chance.choice(subjects), begins, until, chance.random()))
        at += SLOT * chance.randint(2, 40)
    return Troubles(planned)


def _subjects(kind: str, district: District) -> list[str]:
    measured = [p for p, w in district.wires.items() if not w.writable]
    ours = [p for p in district.commanded if not p.endswith("heartbeat_count")]
    match kind:
        case "bus-off" | "reboot" | "slow" | "garbled":
            return sorted({district.wires[p].bus.name for p in ours})
        case "half-missing":
            return sorted({p.rpartition("/")[0] for p in measured})
        case "nan" | "spike":
            return [p for p in measured if district.wires[p].measure.maximum is not None and not p.endswith("mode")]
        case "frozen":
            return [p for p in measured if district.wires[p].measure.frozen_after_h is not None]
        case "exchanged" | "wrapped":
            return [p for p in measured if p.endswith("energy_kwh")]
        case "manual" | "not-applied" | "not-acknowledged":
            return ours
        case "handed-back":
            return ["court"]
        case "locked":
            return sorted({p.rpartition("/")[0] for p in ours})
        case _:
            return [""]
