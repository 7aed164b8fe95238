"""What would it cost if? Questions of managers about the plan, as files: asked by the pages, answered by the planner.

The pages may not solve anything, and whoever answers may be busy or gone; so a question is a file in the site's folder,
and its answer another one beside it. A few may wait at once, and old ones are forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ems.slots import as_utc
from ems.store.slips import Slips, when

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


class Questions(Slips[Question, Answer]):
    """The questions of one site."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "questions", "questions", _question, _answer, most_waiting=MOST_WAITING, kept=KEPT)

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
        end = None if until is None else as_utc(until)
        return self.put(lambda number: Question(number, what, subject, amount, by, as_utc(at), end, reason))

    def last(self, count: int) -> list[Question]:
        """The newest first."""
        found = (self.one(n) for n in reversed(self.numbers()))
        return [q for q in found if q is not None][:count]


def _question(found: Mapping[str, Any]) -> Question:
    until = found["until"]
    return Question(**{**found, "at": when(found["at"]), "until": None if until is None else when(until)})


def _answer(found: Mapping[str, Any]) -> Answer:
    start = found["start"]
    return Answer(
        made_at=when(found["made_at"]),
        seconds=float(found["seconds"]),
        start=None if start is None else when(start),
        minutes=int(found["minutes"]),
        doubt_euro=found["doubt_euro"],
        cases={name: Case(**case) for name, case in found["cases"].items()},
        trouble=str(found["trouble"]),
    )
