"""What a point may be believed, from what it showed before: jumps, stillness, and counters that start again.

Pure: no clock, every sample carries its instant. A reading that is refused keeps its number as `raw`, its `value` is
None. A change that is too large is not believed at first; when three readings in a row agree with each other the new
level is, and what happened has a name: a step, a counter that turned over or started again, another meter.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ems.district import BacnetObject, Register, Wire
from ems.points import Quality, Sample, is_counter

_LARGEST = sys.float_info.max
_GOOD = Quality.GOOD  # looked up once: a sweep needs it for every point
AGREEING = 3  # readings in a row that make a new level believed
TURN_SHARE = 0.01  # of its range: how near its end a counter without a jump limit must be to turn over


class Event(StrEnum):
    """What a series of readings shows beyond its values."""

    STEP = "step"  # a new level, believed after three readings
    TURNED = "turned over"  # the counter reached its end and started again
    RESTARTED = "started again"  # the counter lost its memory
    EXCHANGED = "exchanged"  # a counter goes on from another number: another meter
    FROZEN = "frozen"  # one and the same value for longer than a living sensor keeps it
    MOVES = "moves again"


@dataclass(frozen=True)
class Finding:
    """Something about a point that a person should know; `before` and `now` in the unit of its name."""

    point: str
    at: datetime
    event: Event
    before: float
    now: float

    def __str__(self) -> str:
        match self.event:
            case Event.FROZEN:
                return f"{self.point} has shown {self.now:g} without the slightest change for too long: a dead sensor?"
            case Event.MOVES:
                return f"{self.point} moves again: {self.now:g} after {self.before:g}"
            case Event.EXCHANGED:
                return f"{self.point} went from {self.before:g} to {self.now:g} and counts on: another meter?"
            case Event.STEP:
                return f"{self.point} went from {self.before:g} to {self.now:g} at once and stays there"
            case _:
                return f"{self.point} counted to {self.before:g} and {self.event} at {self.now:g}"


class Bounds:
    """The plausible range of a point; a limit itself, carried as a float32, is within it."""

    __slots__ = ("high", "low")

    def __init__(self, minimum: float | None, maximum: float | None) -> None:
        # Never infinite, so that one comparison also refuses what is not finite.
        self.low = -_LARGEST if minimum is None else minimum - 1e-6 * max(1.0, abs(minimum))
        self.high = _LARGEST if maximum is None else maximum + 1e-6 * max(1.0, abs(maximum))

    def sample(self, value: float, at: datetime) -> Sample:
        """A decoded value with its quality: NaN is MISSING, outside the range IMPLAUSIBLE."""
        if self.low <= value <= self.high:
            return Sample(value, _GOOD, at)
        if not math.isfinite(value):
            return Sample(None, Quality.MISSING, at)
        return Sample(None, Quality.IMPLAUSIBLE, at, value)


@dataclass(frozen=True)
class Expectation:
    """How a point behaves while it is well; all in the unit of its name."""

    jump_per_min: float | None = None
    frozen_after_h: float | None = None
    counter: bool = False
    resolution: float = 0.0
    turns_at: float | None = None


@dataclass(slots=True)
class _Past:
    """What a point showed: the last believed reading, since when it stands still, and a new level on trial."""

    value: float
    at: datetime
    still_since: datetime
    frozen: bool = False
    before: float | None = None  # the believed reading before `value`, in case that was the odd one
    before_at: datetime | None = None
    trial: float = 0.0
    trial_at: datetime | None = None
    trials: int = 0


class Belief:
    """The memory of all points that have an expectation."""

    def __init__(self, expectations: Mapping[str, Expectation]) -> None:
        self._expectations = {
            point: e for point, e in expectations.items() if e.counter or e.jump_per_min or e.frozen_after_h
        }
        self._past: dict[str, _Past] = {}

    def judge(self, samples: dict[str, Sample]) -> list[Finding]:
        """Replaces in `samples` what cannot be believed, and tells what the series show."""
        findings: list[Finding] = []
        for point, expectation in self._expectations.items():
            sample = samples.get(point)
            if sample is None or sample.value is None or sample.quality is not Quality.GOOD:
                continue
            value, at = sample.value, sample.at
            past = self._past.get(point)
            if past is None:
                self._past[point] = _Past(value, at, at)
                continue
            if value == past.value and not past.trials:  # most readings of most points
                past.at, past.before = at, None  # said twice: it is not the odd one
                if expectation.frozen_after_h is not None:
                    samples[point] = self._still(point, past, expectation.frozen_after_h, sample, findings)
                continue
            believed, event = self._weigh(past, expectation, value, at)
            if not believed:
                samples[point] = Sample(None, Quality.IMPLAUSIBLE, at, value)
                continue
            if event is not None:
                findings.append(Finding(point, at, event, past.value, value))
            if past.frozen:
                findings.append(Finding(point, at, Event.MOVES, past.value, value))
            if value == past.value:
                past.at, past.before, past.trials, past.trial_at = at, None, 0, None
            else:
                self._past[point] = _Past(value, at, at, before=past.value, before_at=past.at)
        return findings

    def _still(self, point: str, past: _Past, frozen_after_h: float, sample: Sample, found: list[Finding]) -> Sample:
        if (sample.at - past.still_since).total_seconds() < frozen_after_h * 3600:
            return sample
        if not past.frozen:
            past.frozen = True
            found.append(Finding(point, sample.at, Event.FROZEN, past.value, past.value))
        return Sample(None, Quality.STALE, sample.at, sample.value)

    def _weigh(self, past: _Past, e: Expectation, value: float, at: datetime) -> tuple[bool, Event | None]:
        """Whether a reading is believed, and what it shows if it is no ordinary one."""
        if _follows(past.value, past.at, value, at, e):
            return True, None
        if past.before is not None and past.before_at is not None:
            # Nearer to the one before than to the last, and in step with it: the last was the odd one.
            nearer = abs(value - past.before) < abs(value - past.value)
            if nearer and _follows(past.before, past.before_at, value, at, e):
                return True, None
        if e.counter and e.turns_at is not None and value < past.value:
            reach = _allowed(e, past.at, at)
            reach = TURN_SHARE * e.turns_at if math.isinf(reach) else reach
            if e.turns_at - past.value + value <= reach:
                return True, Event.TURNED
        agrees = past.trial_at is not None and _follows(past.trial, past.trial_at, value, at, e)
        past.trials = past.trials + 1 if agrees else 1
        past.trial, past.trial_at = value, at
        if past.trials < AGREEING:
            return False, None
        if not e.counter:
            return True, Event.STEP
        return True, Event.RESTARTED if value < past.value / 100 else Event.EXCHANGED


def _follows(before: float, then: datetime, value: float, at: datetime, e: Expectation) -> bool:
    """Whether a reading can come after another one."""
    change, allowed = value - before, _allowed(e, then, at)
    rounding = max(e.resolution, 2.0**-22 * abs(before))  # a float32 counter may step back by its last digit
    return (-rounding if e.counter else -allowed) <= change <= allowed


def _allowed(e: Expectation, then: datetime, at: datetime) -> float:
    if e.jump_per_min is None:
        return math.inf
    minutes = max(1.0, abs((at - then).total_seconds()) / 60)
    return e.jump_per_min * minutes * (1 + 1e-9) + e.resolution


def expectations(wires: Iterable[Wire]) -> dict[str, Expectation]:
    """What the device files say about each measured point. What can be written moves as it is told, and is left out."""
    found = {}
    for wire in wires:
        measure = wire.measure
        if wire.writable:
            continue
        found[wire.point] = Expectation(
            jump_per_min=wire.device.type.jump_per_min(wire.quantity),
            frozen_after_h=measure.frozen_after_h,
            counter=is_counter(wire.quantity) and not measure.falls,
            resolution=measure.resolution,
            turns_at=_turn(measure),
        )
    return found


def _turn(measure: Register | BacnetObject) -> float | None:
    """Where a counter starts again: as its file says, else at the end of its integer type."""
    if not isinstance(measure, Register):
        return None
    if measure.turns_at is not None or measure.type not in ("uint16", "uint32"):
        return measure.turns_at
    return abs(measure.scale) * 2.0**measure.width
