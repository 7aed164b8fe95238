"""What we ask of a device, and the closed set of what can come of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

BACNET_PRIORITY = 12  # ours; 9-15 are allowed, 8 is a person at the controller, 16 a timetable


@dataclass(frozen=True)
class Setpoint:
    """What the plan wants a point to stand at during the running slot, and why."""

    point: str
    value: float
    reason: str = ""


@dataclass(frozen=True)
class Command:
    """A set point that was permitted: committed before it is written, and void after `expires_at`.

    `value` None relinquishes: the device takes its release value.
    """

    key: str  # unique: slot, point and sequence
    point: str
    value: float | None
    expires_at: datetime
    priority: int = BACNET_PRIORITY
    previous: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Written:
    """The device took it, and reading back said so."""

    value: float | None


@dataclass(frozen=True)
class Overridden:
    """The device took it, but somebody with a higher priority holds the point at another value."""

    read_back: float | None
    holder: str


@dataclass(frozen=True)
class Refused:
    """The gate or the device said no."""

    why: str


@dataclass(frozen=True)
class Unreachable:
    """No answer, or no answer that could be believed: what stands in the device is not known.

    `sent` is False where nothing left, so that nothing of it can stand.
    """

    why: str
    sent: bool = True


@dataclass(frozen=True)
class Withheld:
    """It passed the gate and was not sent: in shadow mode nothing is."""

    value: float | None


Outcome = Written | Overridden | Refused | Unreachable | Withheld
