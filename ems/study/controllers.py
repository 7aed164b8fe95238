"""Who controls a run. Every controller is a `Planner` of the loop, so gate, journal and field are the same for all.

`ours` is the product: forecast and plan. `oracle` is the same planner told the truth. Opponents stand in opponents.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from ems.assets import ASSET_FILES, ChargePoint
from ems.command import Setpoint
from ems.district import District
from ems.forecast import Experience, forecast
from ems.loop.insight import Insight
from ems.optimise import NOT_AT_ALL, Memory, Plan, plan
from ems.optimise.plan import outlook_of
from ems.series import Floats, Forecast, History
from ems.slots import Slots, slot_number
from ems.snapshot import Session, Snapshot
from ems.study.conditions import StagedWorld
from ems.study.truth import sliced


class Ours:
    """Forecast and plan, every `replan_every` slots; between two plans the older plan is followed, slot by slot.

    A site in service plans every quarter-hour. A study plans each hour by default, because planning is nearly all of
    its time: what a plan decides for its second to fourth quarter-hour is written as it was planned, from the states
    measured meanwhile only where `actuate` itself looks at them.
    """

    def __init__(self, district: District, *, replan_every: int = 4) -> None:
        self.district = district
        self.replan_every = replan_every
        self.solved: Plan | None = None
        self.forecasts: dict[str, Forecast] = {}
        self.plan_seconds: list[float] = []
        # As in service: what rooms and forecasts have shown, and what spares the next plan its beginnings.
        self.insight, self.experience, self.memory = Insight(district), Experience(), Memory()

    async def forecast(
        self, history: History, weather: Mapping[str, Forecast], slots: Slots, issued_at: datetime
    ) -> tuple[dict[str, Forecast], float]:
        begun = time.perf_counter()
        if self.is_due(slots):
            self.forecasts = self.expect(history, weather, slots, issued_at)
        return {}, time.perf_counter() - begun  # the journal need not keep them: a study is not resumed in mid-run

    async def plan(
        self, snapshot: Snapshot, forecasts: Mapping[str, Forecast], slots: Slots, previous: Plan | None
    ) -> tuple[Plan, float]:
        begun = time.perf_counter()
        snapshot = self.informed(snapshot)
        if self.solved is None or self.is_due(slots):
            self.solved = self.decide(snapshot, slots)
            self.plan_seconds.append(time.perf_counter() - begun)
            return self.solved, self.plan_seconds[-1]
        # Who came since the last plan charges at once, within what the cable leaves, until the next plan knows of it.
        known = {n: s for n, s in snapshot.sessions.items() if f"{n}/power_kw" in self.solved.flows}
        snapshot = replace(snapshot, sessions=known)
        return followed(self.solved, self.district, snapshot, self.forecasts, slots.start), time.perf_counter() - begun

    def is_due(self, slots: Slots) -> bool:
        return self.solved is None or slot_number(slots.start) % self.replan_every == 0

    def expect(
        self, history: History, weather: Mapping[str, Forecast], slots: Slots, issued_at: datetime
    ) -> dict[str, Forecast]:
        made = forecast(self.district, history, weather, slots, issued_at, self.experience)
        self.insight.learn(history)
        return made

    def decide(self, snapshot: Snapshot, slots: Slots) -> Plan:
        """A new plan, of the district as far as it is known."""
        known = self.insight
        seen = known.seen(snapshot)
        return plan(known.district, seen, self.forecasts, slots, self.solved, self.memory, effort=NOT_AT_ALL)

    def informed(self, snapshot: Snapshot) -> Snapshot:
        """What this controller knows beyond the measurements: nothing."""
        return snapshot

    def stop(self) -> None:
        return None


class Oracle(Ours):
    """The same planner with the truth for forecasts, and the true need and departure of every car that is plugged in.

    Cars that will come are unknown to it as to us: the planner has no word for them. So this is the best that our
    planner could do on perfect information, not the best that the plant allows.
    """

    def __init__(
        self, district: District, *, world: StagedWorld, known: dict[str, Forecast], replan_every: int = 4
    ) -> None:
        super().__init__(district, replan_every=replan_every)
        self.world = world
        self.known = known

    def expect(
        self, history: History, weather: Mapping[str, Forecast], slots: Slots, issued_at: datetime
    ) -> dict[str, Forecast]:
        self.insight.learn(history)
        return sliced(self.known, slots, issued_at)

    def informed(self, snapshot: Snapshot) -> Snapshot:
        points = self.world.physics.points
        sessions = {n: s for n, s in snapshot.sessions.items() if n not in self.district.of(ChargePoint)}
        for k, point in enumerate(points.points):
            if points.plugged[k] and points.needed_kwh[k] > 0:
                leaves = datetime.fromtimestamp(int(points.leaves[k]) * 60, tz=UTC)
                most_kw = point.kw(float(points.most_a[k]))
                sessions[point.name] = Session(point.name, float(points.needed_kwh[k]), leaves, most_kw=most_kw)
        return replace(snapshot, sessions=sessions)


def followed(
    solved: Plan, district: District, snapshot: Snapshot, forecasts: Mapping[str, Forecast], at: datetime
) -> Plan:
    """An older plan from the slot `at` on: its flows and states shifted, and the set points that follow from them."""
    gone = round((at - solved.slots.start) / solved.slots.length)
    slots = Slots(at, solved.slots.count - gone, solved.slots.minutes)

    def later(rows: Mapping[str, Floats]) -> dict[str, Floats]:
        return {name: row[gone:] for name, row in rows.items()}

    expected = sliced(dict(forecasts), slots, solved.issued_at)
    shifted = replace(
        solved, slots=slots, flows=later(solved.flows), states=later(solved.states),
        marginal_per_kwh=later(solved.marginal_per_kwh), notes=(), reasons=(), setpoints=(),
    )  # fmt: skip
    outlook = outlook_of(district, snapshot, expected, slots, solved)
    wanted: dict[str, Setpoint] = {}
    for file in ASSET_FILES:
        fleet = {n: a for n, a in district.assets.items() if isinstance(a, tuple(file.TYPES))}
        if fleet:
            wanted |= {s.point: s for s in file.actuate(shifted, fleet, outlook)}
    return replace(shifted, setpoints=tuple(writable(wanted.values(), district)))


def writable(wanted: Iterable[Setpoint], district: District) -> list[Setpoint]:
    """Set points of commanded points, kept within what their devices accept."""
    made = []
    for setpoint in wanted:
        wire = district.wires.get(setpoint.point)
        if wire is None or not wire.commanded or wire.measure.write is None:
            continue
        low, high = wire.measure.write.minimum, wire.measure.write.maximum
        made.append(Setpoint(setpoint.point, min(max(setpoint.value, low), high), setpoint.reason))
    return made
