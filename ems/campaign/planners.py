"""Planners for campaigns: a stub that draws set points from a seed, and ours; both fail when the hour says so."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np

from ems.campaign.trouble import Troubles
from ems.command import Setpoint
from ems.dispatch.rules import rule_setpoints
from ems.district import District
from ems.loop.planner import OwnPlanner, Planner, PlannerLostError
from ems.optimise import Plan, UnsolvedError
from ems.series import Forecast, History
from ems.slots import SLOT, Slots, slot_number
from ems.snapshot import Snapshot


class StubPlanner:
    """Set points by lot, the same for the same seed, life and slot; another life would decide otherwise."""

    def __init__(self, district: District, seed: int, life: int = 0) -> None:
        self.district = district
        self.seed = seed * 1009 + life
        self.points = sorted(p for p in district.commanded if not p.endswith("heartbeat_count"))

    async def forecast(
        self, history: History, weather: Mapping[str, Forecast], slots: Slots, issued_at: datetime
    ) -> tuple[dict[str, Forecast], float]:
        """Of each meter what it showed last, for as long as it is asked."""
        made = {}
        for point, past in history.values.items():
            known = past[~np.isnan(past)] if is_judged(point) else np.empty(0)
            if known.size:
                row = np.full(slots.count, float(known[-1]))
                made[point] = Forecast(point, issued_at, slots, row, row, row, "last")
        return made, 0.0

    async def plan(
        self, snapshot: Snapshot, forecasts: Mapping[str, Forecast], slots: Slots, previous: Plan | None
    ) -> tuple[Plan, float]:
        chance = random.Random(self.seed * 1_000_003 + slot_number(slots.start))
        wanted = [Setpoint(p, self._draw(p, chance, snapshot), "by lot") for p in self.points if chance.random() < 0.9]
        return Plan(slots, snapshot.at, "stub", {}, {}, {"lot": 0.0}, setpoints=tuple(wanted)), 0.0

    def _draw(self, point: str, chance: random.Random, snapshot: Snapshot) -> float:
        """By lot, and as careful as a planner that knows tanks and batteries."""
        write = self.district.wires[point].measure.write
        assert write is not None
        if point.endswith("charge_on"):
            top = snapshot.value(point.replace("charge_on", "top_temperature_c"))
            back = snapshot.value(point.replace("charge_on", "return_temperature_c"))
            middle = snapshot.value(point.replace("charge_on", "middle_temperature_c"))
            may_wait = None not in (top, back, middle) and min(top or 0, (back or 0) + 4) > 58.0
            return float(chance.random() < 0.5 or not may_wait)
        if point.endswith("power_setpoint_kw"):
            stored = snapshot.value(point.replace("power_setpoint_kw", "stored_kwh"))
            if stored is None:
                return 0.0
            return round(chance.uniform(-25 if stored > 12 else 0, 25 if stored < 40 else 0), 1) + 0.0
        if point.endswith("setpoint_offset_k") and snapshot.value(point.replace("offset_k", "c")) is None:
            return 0.0
        if point.endswith("current_limit_a"):
            return float(chance.choice((0, 6, 7)))
        if point.endswith("setpoint_offset_k"):
            return round(chance.uniform(-1.0, 1.0), 1)
        return round(chance.uniform(write.minimum, write.maximum), 1)

    def stop(self) -> None:
        return None


class RulesPlanner(StubPlanner):
    """The set points of the rule-based schedule: a whole district has kinds of device that no lot knows the care of."""

    async def plan(
        self, snapshot: Snapshot, forecasts: Mapping[str, Forecast], slots: Slots, previous: Plan | None
    ) -> tuple[Plan, float]:
        wanted = rule_setpoints(self.district, snapshot, slots.start)
        return Plan(slots, snapshot.at, "rules", {}, {}, {"lot": 0.0}, setpoints=tuple(wanted)), 0.0


class TroubledPlanner:
    """A planner behind which things go wrong."""

    def __init__(self, inner: Planner, troubles: Troubles) -> None:
        self.inner = inner
        self.troubles = troubles

    async def forecast(
        self, history: History, weather: Mapping[str, Forecast], slots: Slots, issued_at: datetime
    ) -> tuple[dict[str, Forecast], float]:
        made, took = await self.inner.forecast(history, weather, slots, issued_at)
        if self.troubles.is_on("forecasts-diverge", ""):
            made = {point: diverged(f) if is_judged(point) else f for point, f in made.items()}
        return made, took

    async def plan(
        self, snapshot: Snapshot, forecasts: Mapping[str, Forecast], slots: Slots, previous: Plan | None
    ) -> tuple[Plan, float]:
        on = {t.kind.name for t in self.troubles.on}
        if "planner-error" in on:
            raise RuntimeError("the solver is gone")
        if "planner-crashed" in on:
            raise PlannerLostError("the planner's process died, twice")
        if "planner-infeasible" in on:
            raise UnsolvedError("no plan obeys every limit")
        if "planner-slow" in on:
            await asyncio.sleep(200)  # within the limit, and most of it
        if "planner-hangs" in on:
            await asyncio.sleep(480)  # both attempts run into the limit
            raise PlannerLostError("the planner gave no answer within 240 s, twice")
        made, took = await self.inner.plan(snapshot, forecasts, slots, previous)
        if "planner-late" in on:
            made = replace(made, slots=Slots(slots.start - 4 * SLOT, slots.count))
        if "planner-nan" in on and made.setpoints:
            made = replace(made, setpoints=(*made.setpoints[:-1], replace(made.setpoints[-1], value=math.nan)))
        if "planner-absurd" in on:
            made = replace(made, setpoints=tuple(absurd(s) for s in made.setpoints))
        return made, took

    def stop(self) -> None:
        self.inner.stop()


def is_judged(point: str) -> bool:
    """Whether the stub forecasts this point of the history, and the trouble makes that diverge.

    What homes use is not kept without their agreement, so nothing can be said of it.
    """
    return point.endswith("services/power_kw")


def diverged(forecast: Forecast) -> Forecast:
    """A model that ran away: ten thousand times what was measured."""
    return replace(forecast, **{k: getattr(forecast, k) * 1e4 for k in ("low", "median", "high")})


def absurd(setpoint: Setpoint) -> Setpoint:
    """Within the range of the device, and against all sense: what only the gate can know."""
    value = {"charge_on": 0.0, "setpoint_offset_k": 1.0, "current_limit_a": 32.0, "power_setpoint_kw": 25.0}
    return replace(setpoint, value=value.get(setpoint.point.rpartition("/")[2], setpoint.value))


def planner_for(district: District, seed: int, life: int, *, real: bool, whole: bool) -> Planner:
    """Ours, or a stub: by lot for small districts, by rules for a whole one."""
    if real:
        return OwnPlanner(district)
    return RulesPlanner(district, seed, life) if whole else StubPlanner(district, seed, life)


REAL_HORIZON = 32
STUB_HORIZON = 8
