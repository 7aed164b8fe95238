"""What would it cost if? Questions of managers about the plan, as files: asked by the pages, answered by the planner.

The pages may not solve anything, and whoever answers may be busy or gone; so a question is a file in the site's folder,
and its answer another one beside it. A few may wait at once, and old ones are forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ems.slots import as_utc
from ems.store.requests import RequestError, locked, write_whole

What = Literal["hold", "price", "battery", "sun", "comfort", "plant"]
MOST_WAITING = 3
KEPT = 40


@dataclass(frozen=True)
class Question:
    """What would be otherwise over the next plan.

    `hold`: the point `subject` stands at `amount` until `until`. `price`, `battery`, `sun`: energy prices, batteries'
    size, roofs' peak power times `amount`. `comfort`: the homes' band `amount` kelvin higher. `plant`: the plant
    `subject` out of service.
    """

    number: int
    what: What
    subject: str
    amount: float
    by: str
    at: datetime
    until: datetime | None = None
    reason: str = ""  # of a hold


@dataclass(frozen=True)
class Case:
    """One plan: euro by term, kWh bought and sold, the grid's highest kW, kg of CO2, and kW of the grid per slot.

    `short_euro` is what its shortfalls are taken for: comfort, hot water, cars and loads that it cannot serve.
    """

    terms: dict[str, float]
    bought_kwh: float
    sold_kwh: float
    peak_kw: float
    carbon_kg: float
    short_euro: float
    grid_kw: list[float]

    @property
    def euro(self) -> float:
        return sum(self.terms.values())


@dataclass(frozen=True)
class Answer:
    """The plan as it is and as asked, both made for this from the same readings and forecasts.

    `doubt_euro`: neither is proven to be the cheapest; their difference is certain to so many euro. `trouble` says in
    words why there is no answer; then there are no cases.
    """

    made_at: datetime
    seconds: float
    start: datetime | None = None
    minutes: int = 15
    doubt_euro: float | None = None
    cases: dict[str, Case] = field(default_factory=dict)  # "now" and "asked"
    trouble: str = ""

    @property
    def more_euro(self) -> float | None:
        """How much more it costs as asked; None without an answer."""
        return None if self.trouble else self.cases["asked"].euro - self.cases["now"].euro

    @property
    def more_carbon_kg(self) -> float | None:
        return None if self.trouble else self.cases["asked"].carbon_kg - self.cases["now"].carbon_kg


class Questions:
    """The questions of one site."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "questions"

    def ask(
        self,
        what: What,
        subject: str,
        amount: float,
        by: str,
        at: datetime,
        until: datetime | None = None,
        reason: str = "",
    ) -> int:
        """Leave a question; returns its number. Raises RequestError while too many wait."""
        with locked(self.folder / "lock"):
            if len(self.waiting()) >= MOST_WAITING:
                raise RequestError(f"{MOST_WAITING} questions wait already; ask again when one is answered")
            numbers = self._numbers()
            number = max(numbers, default=0) + 1
            end = None if until is None else as_utc(until)
            question = Question(number, what, subject, amount, by, as_utc(at), end, reason)
            write_whole(self._file(number), json.dumps(_flat(question), ensure_ascii=False))
            for old in numbers[:-KEPT]:
                self._file(old).unlink(missing_ok=True)
                self._answer(old).unlink(missing_ok=True)
        return number

    def one(self, number: int) -> Question | None:
        """A question by its number; None when there is none, or its file says something else."""
        try:
            found = json.loads(self._file(number).read_text(encoding="utf-8"))
            until = found.pop("until")
            at = datetime.fromisoformat(found.pop("at"))
            return Question(**found, at=at, until=None if until is None else datetime.fromisoformat(until))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def answer_of(self, number: int) -> Answer | None:
        """None: not answered yet."""
        try:
            return _answer(json.loads(self._answer(number).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def answer(self, number: int, answer: Answer) -> None:
        write_whole(self._answer(number), json.dumps(_flat(answer), ensure_ascii=False))

    def waiting(self) -> list[Question]:
        """Those without an answer, oldest first."""
        found = (self.one(n) for n in self._numbers() if not self._answer(n).exists())
        return [q for q in found if q is not None]

    def last(self, count: int) -> list[Question]:
        """The newest first."""
        found = (self.one(n) for n in reversed(self._numbers()))
        return [q for q in found if q is not None][:count]

    def _numbers(self) -> list[int]:
        return sorted(int(p.stem) for p in self.folder.glob("*.json") if p.stem.isdigit())

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"

    def _answer(self, number: int) -> Path:
        return self.folder / f"{number:06d}.answer"


def _flat(one: Question | Answer) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in asdict(one).items()}


def _answer(found: Mapping[str, Any]) -> Answer:
    start = found["start"]
    return Answer(
        made_at=datetime.fromisoformat(found["made_at"]),
        seconds=float(found["seconds"]),
        start=None if start is None else datetime.fromisoformat(start),
        minutes=int(found["minutes"]),
        doubt_euro=found["doubt_euro"],
        cases={name: Case(**case) for name, case in found["cases"].items()},
        trouble=str(found["trouble"]),
    )
