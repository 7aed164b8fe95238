"""Machines with daily work: permitted or not, in their window, until it is done; and the plan agrees with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from ems.assets import Deferrable
from ems.district import District
from ems.optimise import plan
from ems.points import good
from ems.simulate.plant import World
from ems.simulate.plant.day import MINUTES, Day
from ems.simulate.plant.machines import Machines
from ems.slots import Slots
from ems.snapshot import Snapshot
from tests.optimise.small import district as small
from tests.optimise.small import supply
from tests.simulate.plant.conftest import WINTER


def machine(**changes: Any) -> Deferrable:
    figures = {"name": "horizon/laundry", "supply": "horizon/landlord", "running_kw": 3.0, "run_h": 2.0}
    return Deferrable(**(figures | changes))


def machines(it: Deferrable) -> Machines:
    """A day whose local clock is UTC, a Wednesday."""
    machines = Machines([it], 0)
    machines.true_kw[:] = it.running_kw
    day = Day(
        0, None, *[np.zeros(MINUTES)] * 3, np.arange(MINUTES) / 60, np.full(MINUTES, 3), np.zeros(MINUTES, dtype=bool),  # type: ignore[arg-type]
        True, WINTER.date(), 0,
    )  # fmt: skip
    machines.prepare(day)
    return machines


def run(it: Machines, minutes: range) -> float:
    """kWh drawn in these minutes."""
    drawn = 0.0
    for minute in minutes:
        it.step(minute)
        drawn += float(it.power_kw[0]) / 60
    return drawn


def test_without_a_master_it_runs_as_soon_as_its_window_begins() -> None:
    it = machines(machine(from_hour=6.0, until_hour=12.0))
    assert run(it, range(360)) == 0.0
    assert run(it, range(360, 480)) == pytest.approx(6.0)
    assert run(it, range(480, 1440)) == 0.0


def test_waits_for_permission_and_a_contiguous_one_finishes_without() -> None:
    for contiguous, drawn in ((False, 1.5), (True, 6.0)):
        it = machines(machine(from_hour=6.0, until_hour=12.0, contiguous=contiguous))
        it.run_on[:] = 0
        assert run(it, range(360, 400)) == 0.0
        it.run_on[:] = 1
        run(it, range(400, 430))
        it.run_on[:] = 0
        run(it, range(430, 720))
        assert it.done_h[0] * 3.0 == pytest.approx(drawn)


def test_a_window_over_midnight_counts_once() -> None:
    it = machines(machine(from_hour=22.0, until_hour=4.0))
    assert run(it, range(240)) == pytest.approx(6.0)  # of the evening before
    assert run(it, range(240, 1320)) == 0.0
    assert run(it, range(1320, 1440)) == pytest.approx(6.0)


def test_the_plan_is_what_a_machine_in_the_district_draws(district: District) -> None:
    """Four hours of set points, written each quarter-hour: the energy drawn is within 15 % of the plan's."""
    it = machine(from_hour=0.0, until_hour=24.0, run_h=2.5)
    here = replace(district, assets={**district.assets, it.name: it})
    world = World(here, start=WINTER, seed=2, warm_up_hours=1)
    machines = world._physics.machines
    machines.done_h[:] = 0.0
    alone = small(supply(name="horizon/landlord"), it, prices=[0.3] * 7 + [0.05] * 2 + [0.3] * 15)
    planned = drawn = 0.0
    for k in range(16):
        slots = Slots(WINTER + k * timedelta(minutes=15), 72)
        done = float(machines.done_h[0])
        known = Snapshot(slots.start, {it.point("done_h"): good(done, slots.start)})
        result = plan(alone, known, {}, slots)
        if k == 0:
            planned = float(result.flow(it.name, "power_kw")[:16].sum()) / 4
        machines.run_on[0] = result.setpoints[0].value
        world.advance(slots.at(1))
        drawn += (float(machines.done_h[0]) - done) * float(machines.true_kw[0])
    assert planned > 2.5
    assert drawn == pytest.approx(planned, rel=0.15)
