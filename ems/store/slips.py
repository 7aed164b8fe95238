"""What is asked of a process that may be busy or gone: a numbered file each, and the answer another one beside it.

A few may wait at once, and old ones are forgotten. Whoever writes a file another way has asked nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from ems.slots import as_utc
from ems.store.requests import RequestError, locked, write_whole

Asked = TypeVar("Asked")  # a dataclass, as the answer
Answered = TypeVar("Answered")
T = TypeVar("T")


class Slips(Generic[Asked, Answered]):
    """The slips of one folder, named `what` where too many wait; `asked` and `answered` read their JSON."""

    def __init__(
        self,
        folder: Path,
        what: str,
        asked: Callable[[dict[str, Any]], Asked],
        answered: Callable[[dict[str, Any]], Answered],
        *,
        most_waiting: int,
        kept: int,
    ) -> None:
        self.folder = folder
        self._what = what
        self._asked = asked
        self._answered = answered
        self._most_waiting = most_waiting
        self._kept = kept

    def put(self, slip: Callable[[int], Asked]) -> int:
        """Leave a slip under the next number, which it returns. Raises RequestError while too many wait."""
        with locked(self.folder / "lock"):
            if len(self.waiting()) >= self._most_waiting:
                raise RequestError(f"{self._most_waiting} {self._what} wait already; ask again when one is answered")
            numbers = self.numbers()
            number = max(numbers, default=0) + 1
            write_whole(self._file(number), _text(slip(number)))
            for old in numbers[: -self._kept]:
                self._file(old).unlink(missing_ok=True)
                self._answer(old).unlink(missing_ok=True)
        return number

    def numbers(self) -> list[int]:
        """Of all that are kept, oldest first."""
        return sorted(int(p.stem) for p in self.folder.glob("*.json") if p.stem.isdigit())

    def one(self, number: int) -> Asked | None:
        """A slip by its number; None when there is none, or its file says something else."""
        return _read(self._file(number), self._asked)

    def waiting(self) -> list[Asked]:
        """Those without an answer, oldest first."""
        found = (self.one(n) for n in self.numbers() if not self._answer(n).exists())
        return [slip for slip in found if slip is not None]

    def answer(self, number: int, answer: Answered) -> None:
        write_whole(self._answer(number), _text(answer))

    def answer_of(self, number: int) -> Answered | None:
        """None: not answered yet."""
        return _read(self._answer(number), self._answered)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"

    def _answer(self, number: int) -> Path:
        return self.folder / f"{number:06d}.answer"


def when(text: str) -> datetime:
    """An instant as a slip writes it."""
    return as_utc(datetime.fromisoformat(text))


def _text(one: Any) -> str:
    return json.dumps(asdict(one), ensure_ascii=False, default=datetime.isoformat)


def _read(file: Path, reading: Callable[[dict[str, Any]], T]) -> T | None:
    try:
        return reading(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
