"""Two readings of one thing: ours, and that of a display, another meter or another point. Pure.

Wrong registers, units and current transformers do not differ a little: they differ by a sign or by a factor that has a
name. That is looked for before two readings are said to differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ems.points import dimension

SHARE = 0.05  # of the larger one: two instruments, read some seconds apart
# How far two readings of a kind may lie apart whatever their size, in the unit of the name.
_APART = {
    "temperature": 1.0, "temperature difference": 0.5, "share": 0.03, "voltage": 3.0, "frequency": 0.1, "power": 0.1,
    "reactive power": 0.1, "energy": 1.0, "volume": 0.1, "volume flow": 0.05, "current": 0.2, "concentration": 50.0,
    "irradiance": 30.0, "speed": 1.0,
}  # fmt: skip
# Named factors between a reading and the truth; a share counts too, for a range is easily taken for percent.
_FACTORS = {
    1000.0: "thousand (k or milli)", 100.0: "hundred (percent)", 10.0: "ten (a decimal)", 3600.0: "3600 (h and s)",
    3.6: "3.6 (kWh and MJ)", 60.0: "sixty (min and h)",
}  # fmt: skip


class Verdict(StrEnum):
    """What a comparison says."""

    AGREES = "agrees"
    SIGN = "sign reversed"
    FACTOR = "wrong by a factor"
    DIFFERS = "differs"


@dataclass(frozen=True)
class Comparison:
    """The verdict, and for a factor which: ours is `factor` times the second reading."""

    verdict: Verdict
    factor: float = 1.0
    name: str = ""

    def __str__(self) -> str:
        if self.verdict is not Verdict.FACTOR:
            return self.verdict
        return f"{self.verdict}: ours is {self.factor:g} times the other; {self.name}"


def compare(quantity: str, ours: float, second: float, resolution: float = 0.0) -> Comparison:
    """What two readings of a quantity, both in the unit of its name, say about each other."""
    kind = dimension(quantity)
    if kind in ("state", "count"):
        return Comparison(Verdict.AGREES if ours == second else Verdict.DIFFERS)
    apart = max(_APART.get(kind, 0.0), resolution)
    share = 0.0 if kind.startswith("temperature") else SHARE  # degrees have no proportion
    if _near(ours, second, apart, share):
        return Comparison(Verdict.AGREES)
    if abs(second) > apart and _near(ours, -second, apart, share):
        return Comparison(Verdict.SIGN)
    if abs(second) > 0 and abs(ours) > 0:
        for factor, name in _FACTORS.items():
            for times in (factor, 1 / factor, -factor, -1 / factor):
                if abs(ours - times * second) <= SHARE * max(abs(ours), abs(times * second)):
                    return Comparison(Verdict.FACTOR, times, name)
    return Comparison(Verdict.DIFFERS)


def _near(a: float, b: float, apart: float, share: float) -> bool:
    return abs(a - b) <= max(apart, share * max(abs(a), abs(b))) * (1 + 1e-9)
