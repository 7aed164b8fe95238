"""Tests of a device that people ask for, as files: asked by the pages, done by the control process, answered beside.

A test reads the device now, and writes again what we have standing there, through the gate; so it changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ems.slots import as_utc
from ems.store.requests import RequestError, locked, write_whole

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


class Checks:
    """The tests of one site."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checks"

    def ask(self, asset: str, by: str, at: datetime) -> int:
        """Leave a wish for a test; returns its number. Raises RequestError while too many wait."""
        with locked(self.folder / "lock"):
            if len(self.waiting()) >= MOST_WAITING:
                raise RequestError(f"{MOST_WAITING} tests wait already; ask again when one is answered")
            numbers = self._numbers()
            number = max(numbers, default=0) + 1
            write_whole(self._file(number), _text(Check(number, asset, by, as_utc(at))))
            for old in numbers[:-KEPT]:
                self._file(old).unlink(missing_ok=True)
                self._answer(old).unlink(missing_ok=True)
        return number

    def waiting(self) -> list[Check]:
        """Those without an answer, oldest first."""
        found = (self._one(n) for n in self._numbers() if not self._answer(n).exists())
        return [check for check in found if check is not None]

    def answer(self, number: int, answer: Checked) -> None:
        write_whole(self._answer(number), _text(answer))

    def last(self) -> dict[str, tuple[Check, Checked | None]]:
        """By asset, the last test, and what came of it; None: not done yet."""
        found = (self._one(n) for n in self._numbers())
        return {check.asset: (check, self._checked(check.number)) for check in found if check is not None}

    def _one(self, number: int) -> Check | None:
        try:
            found = json.loads(self._file(number).read_text(encoding="utf-8"))
            return Check(int(found["number"]), str(found["asset"]), str(found["by"]), _when(found["at"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _checked(self, number: int) -> Checked | None:
        try:
            found = json.loads(self._answer(number).read_text(encoding="utf-8"))
            seen, tried = [Seen(**one) for one in found["seen"]], [Tried(**one) for one in found["tried"]]
            return Checked(_when(found["made_at"]), seen, tried)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _numbers(self) -> list[int]:
        return sorted(int(p.stem) for p in self.folder.glob("*.json") if p.stem.isdigit())

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"

    def _answer(self, number: int) -> Path:
        return self.folder / f"{number:06d}.answer"


def _text(one: Check | Checked) -> str:
    def plain(value: Any) -> str:
        return str(value.isoformat())

    return json.dumps(asdict(one), ensure_ascii=False, default=plain, allow_nan=False)


def _when(text: str) -> datetime:
    return as_utc(datetime.fromisoformat(text))
