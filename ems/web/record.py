"""A decision record as the pages show it: is the district controlled, what is planned, and why.

A record is read as it is found: a part that is not there is not shown. Nothing of a single dwelling or car leaves here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from ems.assets import Battery, BikeRoom, ChargePoint, Dwelling, Loop, Photovoltaic, Plant, Supply
from ems.district import District
from ems.district.electricity import EVERYTHING, SUM
from ems.market import prices
from ems.slots import SLOT, Slots
from ems.web.words import said, typeset

Mode = Literal["none", "controlling", "degraded", "unplanned", "lost", "shadow"]

# Without a decision for this long the devices go back to their own control.
LOST_AFTER = 2 * SLOT

# The order of stacking, and of the legend. Whatever else takes electricity is "buildings".
GROUPS = ("homes", "buildings", "heat", "cars", "battery", "sun")
_TWO_LANGUAGES = " | "  # French, then English, in one text


@dataclass(frozen=True)
class Told:
    """A sentence about an asset, and the euros at stake."""

    asset: str
    text: str
    euro: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class SentLine:
    """A set point and what came of it; of a deviation, what was commanded (`previous`) and what was found (`value`)."""

    asset: str
    quantity: str
    value: float | None
    previous: float | None
    why: str


# Outcome as recorded -> the heading it stands under.
OUTCOMES = {
    "overridden": "Held by somebody else",
    "unreachable": "Not reached",
    "refused": "Refused by the device",
    "gate": "Refused by the gate",
    "written": "Confirmed",
    "withheld": "Withheld: in shadow mode nothing is written",
}


class Record:
    """One decision, or none yet."""

    def __init__(
        self,
        record: Mapping[str, Any] | None,
        district: District,
        now: datetime,
        language: str,
        unheard: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        """`unheard` tells how many points give nothing to believe now, and of how many."""
        self._unheard = unheard
        self.record: Mapping[str, Any] = record or {}
        self.district = district
        self.now = now
        self.language = language
        self._plan: Mapping[str, Any] = self.record.get("plan") or {}

    @property
    def slot(self) -> int:
        """The quarter-hour it was made in; -1 when there is none."""
        return int(self.record.get("slot", -1))

    @property
    def at(self) -> datetime | None:
        at = self.record.get("at")
        return None if at is None else datetime.fromisoformat(at)

    @property
    def age(self) -> timedelta | None:
        return None if self.at is None else self.now - self.at

    @property
    def mode(self) -> Mode:
        """Whether the district is being controlled, by the age and the completeness of the last decision.

        `unplanned`: the loop lives, but made no plan; the last set points stand, or the devices run on their own.
        `shadow`: it decides and writes nothing.
        """
        if self.age is None:
            return "none"
        if self.age > LOST_AFTER:
            return "lost"
        if self.record.get("shadow"):
            return "shadow"
        if not self._plan:
            return "unplanned"
        return "degraded" if self.record.get("fallbacks") else "controlling"

    @cached_property
    def unheard(self) -> tuple[int, int] | None:
        """How many points, and of how many, where most of them give nothing to believe, whatever was decided before."""
        if self.mode not in ("controlling", "degraded"):
            return None
        missing, known = self._unheard()
        return (missing, known) if 2 * missing > known else None

    @property
    def counts(self) -> dict[str, float]:
        return dict(self.record.get("counts", {}))

    @property
    def plan_seconds(self) -> float | None:
        return dict(self.record.get("seconds", {})).get("plan")

    @property
    def fallbacks(self) -> list[str]:
        return [self.public(text) for text in [*self.record.get("fallbacks", []), *self._plan.get("notes", [])]]

    @property
    def events(self) -> list[tuple[datetime, str, str]]:
        """(at, kind, text), newest first."""
        found = []
        for event in self.record.get("events", []):
            if isinstance(event, Mapping):
                at = datetime.fromisoformat(event["at"])
                found.append((at, str(event.get("kind", "info")), self.public(str(event.get("text", "")))))
            elif self.at is not None:
                found.append((self.at, "info", self.public(str(event))))
        return found[::-1]

    # The plan

    @cached_property
    def slots(self) -> Slots | None:
        if "start" not in self._plan:
            return None
        return Slots(datetime.fromisoformat(self._plan["start"]), self._plan["count"], self._plan["minutes"])

    @cached_property
    def flows(self) -> dict[str, list[float]]:
        """Electric power by group, kW per slot: positive is taken, negative is generated."""
        if self.slots is None:
            return {}
        count = self.slots.count
        sums = {group: [0.0] * count for group in GROUPS}
        flows: Mapping[str, Sequence[float]] = self._plan.get("flows", {})
        for name, asset in self.district.assets.items():
            row = flows.get(f"{name}/power_kw")
            if row is None or isinstance(asset, Supply | Dwelling):
                continue
            match asset:
                case Photovoltaic():
                    group = "sun"
                case Battery():
                    group = "battery"
                case Plant() | Loop():
                    group = "heat"
                case ChargePoint() | BikeRoom():
                    group = "cars"
                case _:
                    group = "buildings"
            _add(sums[group], row)
        for building in self.district.buildings:
            expected = self.record.get("forecasts", {}).get(f"{building}/homes/power_kw", {}).get("median")
            if expected is not None:
                _add(sums["homes"], expected)
        return sums

    @cached_property
    def grid(self) -> list[float]:
        """What crosses all supply points and all homes' meters, kW per slot: import is positive."""
        if self.slots is None:
            return []
        total = list(self.flows["homes"])
        for name in self.district.of(Supply):
            _add(total, self._plan.get("flows", {}).get(f"{name}/power_kw", []))
        return total

    def flow(self, point: str) -> list[float]:
        """What is planned of one point, kW per slot; empty for what the plan holds nothing of, and for a person's."""
        if self.is_private(point.rpartition("/")[0]):
            return []
        return list(self._plan.get("flows", {}).get(point, []))

    @cached_property
    def grid_doubt(self) -> list[tuple[float, float]] | None:
        """Between which two values the grid will lie in eight cases of ten, kW per slot; None when it was not kept.

        As wide as the forecast of the district's sum. Records older than that forecast: as if different meters erred
        independently, the distances from their medians to their 10 and 90 % quantiles added up as squares.
        """
        if self.slots is None:
            return None
        whole = self.forecasts.get(f"{EVERYTHING}/{SUM}")
        if whole is not None and len(whole["median"]) >= self.slots.count:
            quantiles = zip(self.grid, whole["low"], whole["median"], whole["high"], strict=False)
            return [(g - median + low, g - median + high) for g, low, median, high in quantiles]
        below, above, known = [0.0] * self.slots.count, [0.0] * self.slots.count, False
        for point, forecast in self.forecasts.items():
            if (
                point.endswith("/power_kw")
                and not point.endswith(f"/{SUM}")
                and "low" in forecast
                and len(forecast["median"]) >= self.slots.count
            ):
                known = True
                rows = zip(forecast["low"], forecast["median"], forecast["high"], strict=True)
                for t, (low, median, high) in enumerate(rows):
                    if t < self.slots.count:
                        below[t] += (median - low) ** 2
                        above[t] += (high - median) ** 2
        if not known:
            return None
        return [(g - b**0.5, g + a**0.5) for g, b, a in zip(self.grid, below, above, strict=True)]

    def state(self, point: str) -> list[float]:
        """What is planned of one state, one value per boundary; empty where there is none."""
        if self.is_private(point.rpartition("/")[0]):
            return []
        return list(self._plan.get("states", {}).get(point, []))

    def marginal(self, node: str) -> list[float]:
        """What one more kWh would cost at a supply point, euro per slot; empty when the plan does not say."""
        return list(self._plan.get("marginal_per_kwh", {}).get(node, []))

    @cached_property
    def prices(self) -> dict[str, list[float]]:
        """Euro per kWh bought in each slot, by kind of contract."""
        if self.slots is None:
            return {}
        found: dict[str, list[float]] = {}
        for supply in self.district.of(Supply).values():
            contract = self.district.contracts.get(supply.contract)
            if contract is not None and contract.kind not in found:
                found[contract.kind] = prices(contract, self.slots).import_per_kwh.tolist()
        return found

    @property
    def costs(self) -> list[tuple[str, float]]:
        """(term, euro over the horizon), dearest first; what rounds to nothing is left out."""
        terms = [(term, float(euro)) for term, euro in self._plan.get("cost_terms", {}).items()]
        return sorted((t for t in terms if abs(t[1]) >= 0.005), key=lambda t: -abs(t[1]))

    @property
    def cost(self) -> float:
        return sum(euro for _, euro in self.costs)

    @property
    def reasons(self) -> list[Told]:
        return [
            # A sentence that a re-solve has shown says its euro itself; those of older records do not.
            Told(r.get("asset", ""), self._in_language(r), None if "against" in r else r.get("euro"))
            for r in self._plan.get("reasons", [])
            if not self.is_private(r.get("asset", ""))
        ]

    @property
    def shortfalls(self) -> list[Told]:
        found = []
        for s in self._plan.get("shortfalls", []):
            if self.is_private(s.get("asset", "")):
                continue
            remedy = str(s.get(f"remedy_{self.language}", ""))
            colon = " :" if self.language == "fr" else ":"
            amount = f"{self._in_language(s)}{colon} {float(s.get('amount', 0)):.1f} {s.get('unit', '')}".strip()
            text = _printed(amount, self.language)
            found.append(Told(s.get("asset", ""), text, s.get("cost"), remedy))
        return found

    @property
    def sent(self) -> dict[str, int]:
        """How many set points were sent, by what came of them."""
        counts: dict[str, int] = {}
        for one in self.record.get("sent", []):
            outcome = one.get("outcome", {})
            kind = str(outcome.get("kind", "?")) if isinstance(outcome, Mapping) else str(outcome)
            counts[kind] = counts.get(kind, 0) + 1
        return counts

    @property
    def withheld(self) -> int:
        """How many set points shadow mode kept from being written."""
        return self.sent.get("withheld", 0)

    @property
    def refused(self) -> int:
        return len(self.record.get("refused", []))

    @property
    def stand_ins(self) -> list[str]:
        """Forecasts that are not the first choice, in words, each once."""
        told = {str(f.get("fallback", "")) for f in self.record.get("forecasts", {}).values()}
        return [self.public(text) for text in sorted(told - {""})]

    @property
    def forecasts(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.record.get("forecasts", {})
        return found

    @property
    def forecasts_standing_in(self) -> int:
        return sum(1 for f in self.forecasts.values() if f.get("fallback"))

    @property
    def models(self) -> list[tuple[str, int]]:
        """(model, how many series it won), the commonest first."""
        counts = Counter(str(f.get("model", "?")) for f in self.forecasts.values())
        return counts.most_common()

    @cached_property
    def sent_lines(self) -> dict[str, list[SentLine]]:
        """Set points by what came of them, the bad news first; nothing that went to a home or a car."""
        found: dict[str, list[SentLine]] = {title: [] for title in OUTCOMES.values()}
        for one in self.record.get("sent", []):
            outcome = one.get("outcome", {})
            title = OUTCOMES.get(str(outcome.get("kind")))
            line = self._line(one, "value", "previous", outcome.get("why") or one.get("reason", ""))
            if line is not None and title is not None:
                found[title].append(line)
        for one in self.record.get("refused", []):
            line = self._line(one, "value", "previous", one.get("why", ""))
            if line is not None:
                found[OUTCOMES["gate"]].append(line)
        return found

    @property
    def sent_to_people(self) -> int:
        """How many set points went to homes and charge points."""
        both = [*self.record.get("sent", []), *self.record.get("refused", [])]
        return sum(1 for one in both if self.is_private(one["point"].rpartition("/")[0]))

    @property
    def deviations(self) -> list[SentLine]:
        """What no longer stood as it had been commanded."""
        lines = (self._line(one, "found", "commanded", "") for one in self.record.get("deviations", []))
        return [line for line in lines if line is not None]

    def _line(self, one: Mapping[str, Any], value: str, previous: str, why: str) -> SentLine | None:
        asset, _, quantity = str(one["point"]).rpartition("/")
        if self.is_private(asset):
            return None
        return SentLine(asset, quantity, one.get(value), one.get(previous), self.public(str(why)))

    def setpoints_of(self, building: str) -> list[tuple[str, float, str]]:
        """(point, value, reason) wanted in one building, without its dwellings and charge points."""
        wanted = []
        for setpoint in self._plan.get("setpoints", []):
            asset = setpoint["point"].rpartition("/")[0]
            if asset.startswith(building + "/") and not self.is_private(asset):
                wanted.append((setpoint["point"], setpoint["value"], self.public(setpoint.get("reason", ""))))
        return wanted

    # Words

    def public(self, text: str) -> str:
        """A text of the control process in this language; of one about a home or a car only that it is, and where."""
        french, found, english = text.partition(_TWO_LANGUAGES)
        if found:
            text = _printed(french, "fr") if self.language == "fr" else english
        for building, asset in _ASSETS.findall(text):
            if self.is_private(f"{building}/{asset}"):
                label = self.district.buildings[building].label
                text = f"{label.fr} : concerne une personne" if self.language == "fr" else f"{label.en}: about a person"
                break
        return typeset(said(text, self.language), self.language)

    def _in_language(self, told: Mapping[str, Any]) -> str:
        return self.public(str(told.get(self.language) or told.get("en") or told.get("fr") or ""))

    def is_private(self, asset: str) -> bool:
        """Whether an asset tells of a person: a home, or a car at its charge point."""
        return isinstance(self.district.assets.get(asset), Dwelling | ChargePoint)


def _printed(text: str, language: str) -> str:
    """A sentence of the planner, with French commas in its numbers."""
    return typeset(_POINT.sub(",", text), language) if language == "fr" else text


_POINT = re.compile(r"(?<=\d)\.(?=\d)")
_ASSETS = re.compile(r"([a-z0-9-]+)/([a-z0-9-]+)")


def _add(total: list[float], row: Sequence[float]) -> None:
    for i, value in enumerate(row[: len(total)]):
        total[i] += value
