"""One run: a scenario, a controller and a seed, through the loop's own code in virtual time and without sockets."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np

from ems.command import Command, Outcome, Written
from ems.district import District, read_district
from ems.estimate import observed_points
from ems.feeds import write_weather_file
from ems.forecast import history_points
from ems.loop.clock import LockStep
from ems.loop.control import Control, Event, Settings
from ems.loop.planner import Planner
from ems.points import Sample
from ems.series import Floats, History
from ems.simulate.direct import DirectField
from ems.simulate.past import past
from ems.simulate.replay import Replay
from ems.simulate.scenario import Scenario, read_scenario
from ems.slots import SLOT, Slots, floor
from ems.store import Store
from ems.store.readings import Row
from ems.study.change import changed
from ems.study.conditions import ShiftedWeather, StagedWorld, with_periods
from ems.study.controllers import Oracle, Ours
from ems.study.kpi import Figures, figures
from ems.study.opponents import opponent
from ems.study.part import part
from ems.study.record import SAMPLE_MINUTES, Record, Recorder
from ems.study.truth import foreknowledge

Past = Mapping[str, tuple[Slots, Floats]]
CONTROLLERS = ("ours", "rules-tuned", "rules", "local", "oracle")
PLANNING = ("ours", "oracle")  # who learns from the days before
FORECAST_SLOTS = 4 * 60  # of a weather file
FORECAST_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Case:
    """What a run depends on. All of it can be sent to another process."""

    buildings: Path
    scenario: Path
    controller: str
    seed: int
    hours: float | None = None  # None: as long as the scenario
    changes: tuple[str, ...] = ()
    replan_every: int = 4  # slots
    horizon_slots: int = 96
    data: Path | None = None  # of replayed series


@dataclass(repr=False)  # asyncio writes down what a task returned when it ends, and a district is long
class Run:
    """What came of a case."""

    case: Case
    figures: Figures
    record: Record
    district: District
    events: list[Event]
    plan_seconds: list[float]
    refused: int
    fallbacks: int


def staged(case: Case) -> tuple[District, Scenario]:
    """The district and the scenario of a case, with all changes made."""
    scenario = read_scenario(case.scenario)
    district, scenario = changed(read_district(case.buildings), scenario, (*scenario.changes, *case.changes))
    district = with_periods(part(district, scenario.buildings), scenario)
    if case.hours is not None:
        scenario = scenario.model_copy(update={"days": case.hours / 24})
    return district, scenario


class SlotBell:
    """Rings a quarter-hour later each time: between two cycles of a study nothing happens but the plant."""

    def __init__(self, clock: LockStep) -> None:
        self.clock = clock

    async def start(self) -> None:
        return None

    async def ring(self) -> None:
        await self.clock.step(SLOT)

    async def stop(self) -> None:
        return None


class ForecastStore(Store):
    """The site's store, which keeps only what forecasts will ask for: nobody else reads a study's database."""

    wanted: frozenset[str] = frozenset()

    def save_readings(self, rows: Iterable[Row]) -> int:
        return super().save_readings(row for row in rows if row[0] in self.wanted)

    def save_latest(self, samples: Mapping[str, Sample]) -> None:
        return None

    def history(self, points: Sequence[str], slots: Slots) -> History:
        return super().history([point for point in points if point in self.wanted], slots)


class CountingField(DirectField):
    """The field, which also counts whose set points really changed, and slots in which no command stands."""

    changes: Counter[str]
    slots_alone: int = 0

    async def write(self, commands: Sequence[Command]) -> list[Outcome]:
        outcomes = await super().write(commands)
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Written) and command.value is not None and command.value != command.previous:
                kind = type(self.district.assets[command.point.rpartition("/")[0]]).__name__
                self.changes[kind] += 1
        return outcomes


def run(case: Case, *, history: Past | None = None) -> Run:
    """Run a case to its end. `history` is known before the start; without it, it is simulated when it is needed."""
    district, scenario = staged(case)
    if history is None and case.controller in PLANNING:
        history = simulated_past(district, scenario, case.seed)
    return run_with(
        case, district, scenario, lambda world: planner_of(case, district, scenario, world), history=history or {}
    )


def run_with(
    case: Case,
    district: District,
    scenario: Scenario,
    planner: Callable[[StagedWorld], Planner],
    *,
    history: Past | None = None,
) -> Run:
    """Run any planner on the plant of a case."""
    replay = Replay.asked(scenario, case.data, district.wires)
    weather = ShiftedWeather.under(scenario, district, case.seed)
    world = StagedWorld(district, scenario, seed=case.seed, weather=weather, replay=replay)
    with tempfile.TemporaryDirectory(prefix="ems-study-") as folder:
        return asyncio.run(_run(case, district, scenario, world, weather, planner(world), history or {}, Path(folder)))


def planner_of(case: Case, district: District, scenario: Scenario, world: StagedWorld) -> Planner:
    """The controller that a case names. Raises ValueError for one that does not exist."""
    if case.controller == "ours":
        return Ours(district, replan_every=case.replan_every)
    if case.controller == "oracle":
        slots = Slots(scenario.start, slot_count(scenario) + case.horizon_slots + 1)
        known = foreknowledge(district, scenario, seed=case.seed, slots=slots)
        return Oracle(district, world=world, known=known, replan_every=case.replan_every)
    return opponent(case.controller, district)


def slot_count(scenario: Scenario) -> int:
    return max(round(scenario.days * 96), 1)


def looked_at(district: District) -> frozenset[str]:
    """The points whose past a planner asks for."""
    return frozenset([*history_points(district), *observed_points(district)])


def simulated_past(district: District, scenario: Scenario, seed: int) -> dict[str, tuple[Slots, Floats]]:
    """The days before the start as the meters would have recorded them, of the points that forecasts use."""
    if scenario.history_days == 0:
        return {}
    wanted = looked_at(district)
    weather = ShiftedWeather.under(scenario, district, seed)
    known = past(district, end=scenario.start, days=scenario.history_days, seed=seed, weather=weather)
    return {point: (slots, values) for point, slots, values in known if point in wanted}


async def _run(
    case: Case, district: District, scenario: Scenario, world: StagedWorld, weather: ShiftedWeather, planner: Planner,
    history: Past, folder: Path,
) -> Run:  # fmt: skip
    recorder = Recorder(district, world)
    weather_file = folder / "weather.json"
    issued: datetime | None = None

    def issue_forecast(now: datetime) -> None:
        nonlocal issued
        if issued is None or now - issued >= FORECAST_EVERY:
            write_weather_file(weather_file, weather.forecast(now, Slots(floor(now), FORECAST_SLOTS)))
            issued = now

    async def advance(until: datetime) -> None:
        while world.now < until:
            world.advance(min(world.now + timedelta(minutes=SAMPLE_MINUTES), until))
            recorder.sample()
        recorder.close_slot()
        issue_forecast(until)

    issue_forecast(world.now)
    end = scenario.start + slot_count(scenario) * SLOT
    clock = LockStep(scenario.start, advance)
    field = CountingField(district, world)
    field.changes = Counter()
    events: list[Event] = []
    record: list[Record] = []

    async def after_cycle(control: Control) -> None:
        """The last slot runs under its own commands; only then are the devices given back."""
        field.slots_alone += not field.standing
        if clock.now() + SLOT >= end:
            await clock.step(SLOT)
            record.append(recorder.record())
            record[0].setpoint_changes = dict(field.changes)
            record[0].slots_alone = field.slots_alone
            control.stop()

    store = cast(ForecastStore, ForecastStore.open(f"sqlite:///{folder / 'site.db'}", attempts=1))
    store.wanted = looked_at(district) if case.controller in PLANNING else frozenset()
    try:
        if history:
            store.save_series([(point, slots, values) for point, (slots, values) in history.items()])
        control = Control(
            district,
            field_link=field,
            store=store,
            planner=planner,
            clock=clock,
            bell=SlotBell(clock),
            settings=Settings(
                owner="study",
                weather_file=weather_file,
                sweep_every=SLOT,
                horizon_slots=case.horizon_slots,
                threads=False,
            ),
            on_event=events.append,
            on_cycle=after_cycle,
        )
        totals = await control.run()
    finally:
        store.close()
    record[0].setpoints_written = totals.setpoints_written
    return Run(
        case=case,
        figures=figures(district, record[0]),
        record=record[0],
        district=district,
        events=events,
        plan_seconds=[float(s) for s in np.asarray(totals.plan_seconds) if s > 0],
        refused=totals.refused,
        fallbacks=totals.fallbacks,
    )


def summary(done: Run) -> dict[str, Any]:
    """What is kept of a run: figures, and what went wrong on the way."""
    kinds = Counter(e.text.partition(":")[0] for e in done.events if e.kind in ("alarm", "fallback"))
    return {
        "J": done.figures.score,
        "cost": done.figures.cost,
        "uncontrollable": done.figures.uncontrollable,
        "kpi": done.figures.kpi,
        "homes": done.figures.homes,
        "dwellings": done.record.homes,
        "plans": len(done.plan_seconds),
        "refused": done.refused,
        "fallbacks": done.fallbacks,
        "said": dict(kinds.most_common(12)),
    }
