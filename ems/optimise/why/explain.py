"""From trials to sentences: undo each decision, all of them, keep to the previous plan, loosen what binds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ems.optimise.divide import First
from ems.optimise.matrix import Positions
from ems.optimise.solve import UnsolvedError
from ems.optimise.why.alone import Decision, decisions_of, moved_kwh, together
from ems.optimise.why.before import kept
from ems.optimise.why.limits import Limit, limits_of
from ems.optimise.why.reason import AT_LENGTH, Against, Effort, Reason
from ems.optimise.why.whole import Solved, Whole
from ems.optimise.why.words import Amounts, deed, fr, held_back, spared
from ems.series import Floats

WORTH_EURO, WORTH_KWH = 1.0, 1.0  # a decision worth either has to be explained
NEGLIGIBLE_KWH = 0.5  # what is done otherwise by less is not looked into
LEAST_SPARED = 0.01  # euro: a limit that costs less is no reason


@dataclass(frozen=True)
class Trial:
    """A re-solve that a sentence speaks of: these columns at these values, or a little more room at a limit."""

    asset: str
    kind: str
    against: Against
    columns: Positions
    values: Floats
    found: Solved
    limit: Limit | None = None


@dataclass
class Why:
    """Reasons by what they are worth, and how many of the decisions were looked into.

    `worthy` counts the decisions that are worth 1 euro or 1 kWh against doing nothing (as far as known), `explained`
    those of them that carry a sentence. `trials` are the re-solves that sentences speak of, `planned` the plan's own.
    """

    reasons: tuple[Reason, ...] = ()
    decisions: int = 0
    worthy: int = 0
    explained: int = 0
    resolves: int = 0
    trials: list[Trial] = field(default_factory=list)
    planned: Solved | None = None

    @property
    def counts(self) -> dict[str, int]:
        return {k: getattr(self, k) for k in ("decisions", "worthy", "explained", "resolves")}


def explain(first: First, previous: Mapping[str, Floats] | None = None, effort: Effort = AT_LENGTH) -> Why:
    """Why a plan is what it is, as far as the effort goes; `previous` are the previous plan's flows on its slots."""
    if effort.resolves < 1:
        return Why()
    return _Explaining(Whole(first), effort).all(previous)


class _Explaining:
    """One plan being explained: what has been spent, and what has been found."""

    def __init__(self, whole: Whole, effort: Effort) -> None:
        self.whole, self.effort = whole, effort
        self.why = Why(planned=whole.planned)

    def all(self, previous: Mapping[str, Floats] | None) -> Why:
        whole, why = self.whole, self.why
        decisions = sorted(decisions_of(whole), key=lambda d: -_at_stake(d, whole))
        why.decisions = len(decisions)
        told = {d.asset + d.kind: (d, r) for d in decisions if (r := self.against_nothing(d)) is not None}
        others: list[Reason | None] = []
        plain = [d for d in decisions if d.kind != "both-sides"]  # what a plant does follows from what it is asked
        if len(plain) > 1:
            others.append(self.against_nothing(together(plain)))
        if previous:
            before = [k for k in (kept(whole, d, previous) for d in plain) if k is not None]
            others += [self.against_previous(d) for d in ([together(before)] if len(before) > 1 else []) + before]
        sentences = [self.with_limit(decision, reason) for decision, reason in told.values()]
        others += [self.limit(limit) for limit in limits_of(whole)]
        found = [r for r in others if r is not None] + sentences
        why.reasons = tuple(sorted(found, key=lambda r: (r.asset != "plan", -r.euro)))
        why.resolves = whole.resolves
        return why

    def spent(self) -> bool:
        return self.whole.resolves >= self.effort.resolves or self.whole.seconds >= self.effort.seconds

    def against_nothing(self, decision: Decision) -> Reason | None:
        """What a decision is worth against leaving its assets to themselves."""
        whole, why = self.whole, self.why
        moved = moved_kwh(decision, whole.planned.values[decision.columns], whole)
        counts = decision.kind != "plan"
        why.worthy += counts and moved >= WORTH_KWH
        found = self.undone(decision, "nothing") if moved >= NEGLIGIBLE_KWH else None
        if found is None:
            return None
        amounts = amounts_of(whole, decision)
        (does_fr, does_en), (less_fr, less_en) = deed(decision.kind, amounts), self.spared(found)
        euro = self.euro(found)
        why.worthy += counts and moved < WORTH_KWH and euro >= WORTH_EURO
        why.explained += counts and (moved >= WORTH_KWH or euro >= WORTH_EURO)
        return Reason(
            decision.asset,
            f"{does_fr} : {less_fr}",
            f"{does_en}: {less_en}",
            euro,
            "nothing",
            decision.kind,
            round(found.kg_co2 - whole.planned.kg_co2, 2),
            round(moved, 2),
            None if decision.kind == "plan" else round(amounts.price if amounts.kwh > 0 else amounts.given_price, 5),
        )

    def against_previous(self, decision: Decision) -> Reason | None:
        """What it is worth that a decision has changed since the previous plan."""
        moved = moved_kwh(decision, self.whole.planned.values[decision.columns], self.whole)
        found = self.undone(decision, "previous") if moved >= WORTH_KWH else None
        if found is None:
            return None
        less_fr, less_en = self.spared(found)
        return Reason(
            decision.asset,
            f"{fr(moved, 0)} kWh changés depuis le plan précédent : {less_fr}",
            f"{moved:.0f} kWh changed since the previous plan: {less_en}",
            self.euro(found),
            "previous",
            decision.kind,
            round(found.kg_co2 - self.whole.planned.kg_co2, 2),
            round(moved, 2),
        )

    def with_limit(self, decision: Decision, reason: Reason) -> Reason:
        """The same with the limit that holds the decision back most, if more of it would spare anything."""
        for limit in limits_of(self.whole, decision)[:1]:
            words = self.loosened(limit)
            if words is not None:
                return replace(reason, fr=f"{reason.fr} ; {words[0]}", en=f"{reason.en}; {words[1]}")
        return reason

    def limit(self, limit: Limit) -> Reason | None:
        """A limit that stands for itself: of a supply point, a substation, a plant, the loop."""
        words = self.loosened(limit)
        return None if words is None else Reason(limit.asset, words[0], words[1], words[2], "limit", "limit")

    def undone(self, decision: Decision, against: Against) -> Solved | None:
        """The best plan without a decision; None when the effort is spent or the solver cannot show it."""
        if self.spent():
            return None
        try:
            found = self.whole.undone(decision.columns, decision.alone)
        except UnsolvedError:
            return None
        # Without a freedom no plan can cost less: if this one does, its figures are not good enough to speak of.
        if found.cost < self.whole.planned.cost - 1e-6 * max(abs(self.whole.planned.cost), 1.0) - 1e-4:
            return None
        self.why.trials.append(Trial(decision.asset, decision.kind, against, decision.columns, decision.alone, found))
        return found

    def loosened(self, limit: Limit) -> tuple[str, str, float] | None:
        """What a little more of a limit spares, in words and euro; None when that is nothing."""
        found = None if self.spent() else self.whole.relaxed(limit.columns, limit.rows, limit.words.by)
        if found is None or self.whole.planned.cost - found.cost < LEAST_SPARED:
            return None
        nothing = np.zeros(0)
        self.why.trials.append(Trial(limit.asset, "limit", "limit", limit.columns, nothing, found, limit))
        euro = self.whole.planned.cost - found.cost
        return (*held_back(limit, euro), round(euro, 4))

    def euro(self, found: Solved) -> float:
        return round(max(found.cost - self.whole.planned.cost, 0.0), 4)

    def spared(self, found: Solved) -> tuple[str, str]:
        """Euro and kg less, and which term of the objective is most of it."""
        euro = self.euro(found)
        before, after = self.whole.terms(self.whole.planned.values), self.whole.terms(found.values)
        more = {term: after[term] - before.get(term, 0.0) for term in after}
        term = max(more, key=lambda k: more[k])
        mostly = term if euro >= 0.05 and more[term] > euro / 2 else None
        return spared(euro, found.kg_co2 - self.whole.planned.kg_co2, mostly)


def _at_stake(decision: Decision, whole: Whole) -> float:
    """Roughly what a decision may be worth, euro, to look into the largest first."""
    moved = np.abs(whole.planned.values[decision.columns] - decision.alone) * decision.kw
    return float(moved @ np.abs(decision.price_per_kwh)) * whole.outlook.slots.hours


def amounts_of(whole: Whole, decision: Decision) -> Amounts:
    """What a decision takes and gives, and at which marginal prices, as planned and by itself."""
    hours = whole.outlook.slots.hours
    planned = whole.planned.values[decision.columns] * decision.kw * hours
    alone = decision.alone * decision.kw * hours
    takes, price = 1.0 - decision.gives, decision.price_per_kwh

    def mean(kwh: Floats) -> tuple[float, float]:
        total = float(kwh.sum())
        return total, float(kwh @ price) / total if total > 1e-9 else 0.0

    if decision.kind == "sun":  # all it does is give
        return Amounts(*mean(planned), *mean(alone))
    taken, given = mean(planned * takes), mean(planned * decision.gives)
    shares = float(whole.planned.values[decision.columns].sum()) * hours
    cold = whole.family("zone.cold_kw")
    cooled = 0.0 if cold is None else float(planned[np.isin(decision.columns, cold.positions)].sum())
    return Amounts(*taken, *mean(alone * takes), *given, hours=shares, cold_share=cooled / taken[0] if cooled else 0.0)
