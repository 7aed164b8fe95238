"""Tests of a device that people ask for, as files: asked by the pages, done by the control process, answered beside.

A test reads the device now, and writes again what we have standing there, through the gate; so it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ems.slots import as_utc
from ems.store.slips import Slips, when

MOST_WAITING = 5
KEPT = 60


@dataclass(frozen=True)
class Check:
    """Somebody wants to know how a device, of an asset, stands."""

    number: int
    asset: str
    by: str
    at: datetime


@dataclass(frozen=True)
class Seen:
    """What a point showed: its value (None: none) and that value's quality."""

    point: str
    value: float | None
    quality: str


@dataclass(frozen=True)
class Tried:
    """What came of writing `value` to a point again: `outcome` as decision records call it, `read_back` as found."""

    point: str
    value: float | None
    outcome: str
    read_back: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Checked:
    """The answer. `tried` has no line where nothing of ours stands."""

    made_at: datetime
    seen: list[Seen] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)

    @property
    def good(self) -> int:
        return sum(1 for one in self.seen if one.quality in ("good", "substituted"))


class Checks(Slips[Check, Checked]):
    """The tests of one site."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "checks", "tests", _check, _checked, most_waiting=MOST_WAITING, kept=KEPT)

    def ask(self, asset: str, by: str, at: datetime) -> int:
        """Leave a wish for a test; returns its number. Raises RequestError while too many wait."""
        return self.put(lambda number: Check(number, asset, by, as_utc(at)))

    def last(self) -> dict[str, tuple[Check, Checked | None]]:
        """By asset, the last test, and what came of it; None: not done yet."""
        found = (self.one(n) for n in self.numbers())
        return {check.asset: (check, self.answer_of(check.number)) for check in found if check is not None}


def _check(found: Mapping[str, Any]) -> Check:
    return Check(int(found["number"]), str(found["asset"]), str(found["by"]), when(found["at"]))


def _checked(found: Mapping[str, Any]) -> Checked:
    seen, tried = [Seen(**one) for one in found["seen"]], [Tried(**one) for one in found["tried"]]
    return Checked(when(found["made_at"]), seen, tried)
