"""A reason: what a decision is worth, found by solving the rest of the plan again without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Against = Literal["nothing", "previous", "limit"]


@dataclass(frozen=True)
class Reason:
    """One sentence about one asset, or about several alike, in French and English.

    `euro` and `kg_co2` are what the decision spares over the horizon `against` doing nothing or the previous plan, or
    what a little more of a limit would spare; a re-solve has shown them. `kwh` is how much is done otherwise,
    `price_per_kwh` the marginal price at which the plan does it. Reasons in older journals have euro alone.
    """

    asset: str
    fr: str
    en: str
    euro: float
    against: Against = "nothing"
    kind: str = ""
    kg_co2: float | None = None
    kwh: float | None = None
    price_per_kwh: float | None = None


@dataclass(frozen=True)
class Effort:
    """How much may be spent on reasons: re-solves, and the solver's seconds."""

    resolves: int
    seconds: float


NOT_AT_ALL = Effort(resolves=0, seconds=0.0)
IN_THE_LOOP = Effort(resolves=20, seconds=1.0)
AT_LENGTH = Effort(resolves=1000, seconds=30.0)
