import asyncio
from datetime import UTC, datetime, timedelta

import numpy as np

from ems.district import District
from ems.optimise import Plan
from ems.series import History
from ems.simulate.scenario import Scenario
from ems.slots import SLOT, Slots
from ems.snapshot import Session, Snapshot
from ems.study.conditions import StagedWorld
from ems.study.controllers import Oracle, Ours, followed
from ems.study.truth import foreknowledge, sliced

NOW = datetime(2026, 1, 20, 16, tzinfo=UTC)


def test_between_two_plans_the_older_one_moves_on_by_a_slot(small: District) -> None:
    ours, slots, seen = Ours(small, replan_every=4), Slots(NOW, 12), Snapshot(at=NOW, samples={})
    later = Slots(NOW + SLOT, 12)

    async def cycle(at: Slots) -> Plan:
        await ours.forecast(History(at), {}, at, at.start)
        return (await ours.plan(seen, {}, at, None))[0]

    first, second = asyncio.run(cycle(slots)), asyncio.run(cycle(later))
    assert ours.solved is first
    assert len(ours.plan_seconds) == 1
    assert second.slots == Slots(NOW + SLOT, 11)
    name = "plant-c/heat-pumps/power_kw"
    assert (second.flows[name] == first.flows[name][1:]).all()
    assert {s.point for s in second.setpoints} == {s.point for s in first.setpoints}


def test_a_followed_plan_never_leaves_what_devices_accept(small: District) -> None:
    ours, slots = Ours(small), Slots(NOW, 12)
    seen = Snapshot(at=NOW, samples={})

    async def once() -> None:
        await ours.forecast(History(slots), {}, slots, NOW)
        await ours.plan(seen, {}, slots, None)

    asyncio.run(once())
    assert ours.solved is not None
    for steps in (1, 3, 11):
        moved = followed(ours.solved, small, seen, ours.forecasts, NOW + steps * SLOT)
        for setpoint in moved.setpoints:
            write = small.wires[setpoint.point].measure.write
            assert write is not None
            assert write.minimum <= setpoint.value <= write.maximum


def test_the_truth_is_what_the_plant_then_does(small: District, evening: Scenario) -> None:
    slots = Slots(evening.start, 8)
    known = foreknowledge(small, evening, seed=1, slots=slots)
    world = StagedWorld(small, evening, seed=1)
    names = world.truth.electric.devices
    k = names.index("mistral/services")
    before = world.truth.electric.device_kwh[k]
    drawn = world.truth.tanks.draw_kwh[0]
    for slot in range(8):
        world.advance(evening.start + (slot + 1) * SLOT)
    used = (world.truth.electric.device_kwh[k] - before) / slots.hours
    np.testing.assert_allclose(known["mistral/services/power_kw"].median.sum(), used, rtol=1e-6)
    tapped = (world.truth.tanks.draw_kwh[0] + world.truth.tanks.unmet_kwh[0] - drawn) / slots.hours
    np.testing.assert_allclose(known["mistral/tank/draw_kw"].median.sum(), tapped, rtol=0.02)
    part = sliced(known, Slots(evening.start + SLOT, 3), evening.start)
    assert (part["mistral/tank/draw_kw"].median == known["mistral/tank/draw_kw"].median[1:4]).all()


def test_the_oracle_knows_what_a_car_really_needs_and_when_it_really_leaves(small: District, evening: Scenario) -> None:
    world = StagedWorld(small, evening, seed=1)
    world.advance(evening.start + timedelta(hours=3))
    cars = world.truth.cars
    here = [n for n, p, kwh in zip(cars.names, cars.plugged, cars.needed_kwh, strict=True) if p and kwh > 0]
    assert here
    guessed = Snapshot(
        at=world.now, samples={}, sessions={here[0]: Session(here[0], 14.0, world.now + timedelta(hours=9))}
    )
    oracle = Oracle(small, world=world, known={})
    informed = oracle.informed(guessed)
    assert set(informed.sessions) == set(here)
    assert informed.sessions[here[0]].needed_kwh == float(cars.needed_kwh[cars.names.index(here[0])])
