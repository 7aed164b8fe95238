"""The ways down, each named: full plan, the last plan shifted, fixed rules, local control.

A decision says which way was taken and why. It is a step of the journal, so a slot that is resumed keeps its way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np

from ems.assets import ASSET_FILES
from ems.command import Setpoint
from ems.dispatch.rules import rule_setpoints
from ems.district import District
from ems.optimise import Plan
from ems.optimise.plan import outlook_of
from ems.series import Floats, Forecast
from ems.slots import Slots
from ems.snapshot import Snapshot

PLAN_HOLDS = timedelta(hours=2)  # how long an older plan may stand in for one that failed
SEEN_AT_LEAST = 0.5  # of all points: with fewer even rules would act in the dark


class Way(StrEnum):
    """How a quarter-hour was decided."""

    PLAN = "plan"
    SHIFTED = "shifted"
    RULES = "rules"
    LOCAL = "local"


@dataclass(frozen=True)
class Decided:
    """One slot's decision: the way, the plan behind it if there is one, what shall stand, and why not a better way."""

    way: Way
    plan: Plan | None
    setpoints: tuple[Setpoint, ...]
    why: str = ""


class UnbelievableError(ValueError):
    """A planner's answer that is no plan for this slot."""


def refuse_unbelievable(plan: Plan, slots: Slots, district: District) -> None:
    """Raises UnbelievableError for a plan of another slot, for a point nobody has, or for a value that is no number."""
    if plan.slots.start != slots.start:
        raise UnbelievableError(f"the answer is for {plan.slots.start:%H:%M}, asked was {slots.start:%H:%M}")
    for setpoint in plan.setpoints:
        if setpoint.point not in district.wires:
            raise UnbelievableError(f"the answer sets {setpoint.point}, which does not exist")
        if not math.isfinite(setpoint.value):
            raise UnbelievableError(f"the answer sets {setpoint.point} to {setpoint.value}")
    for name, row in plan.flows.items():
        if len(row) != plan.slots.count or not np.isfinite(row).all():
            raise UnbelievableError(f"the answer's {name} is not {plan.slots.count} finite numbers")


def way_down(
    failed: str,
    older: Plan | None,
    district: District,
    snapshot: Snapshot,
    forecasts: Mapping[str, Forecast],
    at: datetime,
) -> Decided:
    """What to do in the slot that begins at `at` when there is no plan for it, because of `failed`. Never raises."""
    reasons = [failed]
    if older is not None and timedelta(0) <= at - older.slots.start <= PLAN_HOLDS:
        try:
            moved = shifted(older, district, snapshot, forecasts, at)
            return Decided(Way.SHIFTED, moved, moved.setpoints, "; ".join(reasons))
        except Exception as error:  # whatever is wrong with an old plan, there are other ways
            reasons.append(f"the last plan cannot be shifted ({type(error).__name__}: {error})")
    elif older is not None:
        reasons.append(f"the last plan is of {older.slots.start:%Y-%m-%d %H:%M}, too old")
    seen = sum(1 for s in snapshot.samples.values() if s.usable is not None)
    if seen < SEEN_AT_LEAST * len(snapshot.samples) or not seen:
        reasons.append(f"only {seen} of {len(snapshot.samples)} points can be read")
        return Decided(Way.LOCAL, None, (), "; ".join(reasons))
    try:
        return Decided(Way.RULES, None, tuple(rule_setpoints(district, snapshot, at)), "; ".join(reasons))
    except Exception as error:
        reasons.append(f"the rules cannot be followed ({type(error).__name__}: {error})")
        return Decided(Way.LOCAL, None, (), "; ".join(reasons))


def shifted(
    older: Plan, district: District, snapshot: Snapshot, forecasts: Mapping[str, Forecast], at: datetime
) -> Plan:
    """An older plan from the slot `at` on: its flows and states moved, and the set points that follow from them."""
    gone = round((at - older.slots.start) / older.slots.length)
    slots = Slots(at, older.slots.count - gone, older.slots.minutes)

    def later(rows: Mapping[str, Floats]) -> dict[str, Floats]:
        return {name: row[gone:] for name, row in rows.items()}

    moved = replace(
        older,
        slots=slots,
        flows=later(older.flows),
        states=later(older.states),
        marginal_per_kwh=later(older.marginal_per_kwh),
        notes=(),
        reasons=(),
        setpoints=(),
    )
    expected = {point: cut(forecast, slots) for point, forecast in forecasts.items()}
    outlook = outlook_of(district, snapshot, expected, slots, moved)
    wanted: dict[str, Setpoint] = {}
    for file in ASSET_FILES:
        fleet = {n: a for n, a in district.assets.items() if isinstance(a, tuple(file.TYPES))}
        if fleet:
            wanted |= {s.point: s for s in file.actuate(moved, fleet, outlook)}
    ours = [s for s in wanted.values() if (wire := district.wires.get(s.point)) is not None and wire.commanded]
    return replace(moved, setpoints=tuple(ours))


def cut(forecast: Forecast, slots: Slots) -> Forecast:
    """A forecast on some of its own slots. Raises ValueError where it says nothing."""
    first = round((slots.start - forecast.slots.start) / slots.length)
    if first < 0 or first + slots.count > forecast.slots.count:
        raise ValueError(f"{forecast.point} is forecast from {forecast.slots.start} to {forecast.slots.end} only")
    rows = {name: getattr(forecast, name)[first : first + slots.count] for name in ("low", "median", "high")}
    return replace(forecast, slots=slots, **rows)


def dump_decided(decided: Decided) -> dict[str, Any]:
    """As the journal keeps it."""
    return {
        "way": decided.way.value,
        "plan": None if decided.plan is None else decided.plan.to_json(),
        "setpoints": [] if decided.plan is not None else [vars(s) for s in decided.setpoints],
        "why": decided.why,
    }


def load_decided(data: Mapping[str, Any]) -> Decided:
    """The inverse of `dump_decided`."""
    plan = None if data["plan"] is None else Plan.from_json(data["plan"])
    setpoints = plan.setpoints if plan is not None else tuple(Setpoint(**s) for s in data["setpoints"])
    return Decided(Way(data["way"]), plan, setpoints, data["why"])
