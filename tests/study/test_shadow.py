"""The demo's shadow: bills from counters that one can reckon, and a site that keeps to the rules spares nothing."""

import asyncio
from datetime import datetime, timedelta

import pytest

from ems.assets import Supply
from ems.district import District
from ems.points import Sample, good
from ems.simulate.direct import DirectField
from ems.simulate.plant import World
from ems.simulate.scenario import Scenario
from ems.slots import SLOT
from ems.snapshot import Snapshot
from ems.study.opponents import RuleBook, Rules
from ems.study.shadow import Bill, Shadow


def counters(district: District, bought: float, sold: float, at: datetime) -> dict[str, Sample]:
    shown = {}
    for supply in district.of(Supply).values():
        shown |= {supply.point("energy_kwh"): good(bought, at), supply.point("export_energy_kwh"): good(sold, at)}
    return shown


def test_a_bill_by_hand(small: District, evening: Scenario) -> None:
    bill, at = Bill(small), evening.start + SLOT
    bill.read(counters(small, 1000.0, 50.0, at), at)
    assert bill.euro == 0.0  # nothing is known of what was before
    bill.read({}, at + SLOT)  # a meter that is not read is billed later
    bill.read(counters(small, 1010.0, 52.0, at), at + 2 * SLOT)
    # 17:30 of a January weekday: 0.138 + 0.062 bought, 0.05 sold, at every supply point of one contract.
    assert bill.euro == pytest.approx(len(small.of(Supply)) * (10 * 0.200 - 2 * 0.05))


def test_who_keeps_to_the_rules_spares_nothing(small: District, evening: Scenario) -> None:
    async def follow(hours: float) -> tuple[Shadow, float]:
        shadow = Shadow(small, evening, seed=1)
        world = World(small, start=evening.start, seed=1)
        field, rules = DirectField(small, world), Rules(small, RuleBook())
        await shadow.follow(await field.sweep(world.now), world.now)
        while world.now < evening.start + timedelta(hours=hours):
            until = world.now + SLOT
            for setpoint in rules.setpoints(Snapshot(world.now, await field.sweep(world.now)), until):
                world.command(setpoint.point, setpoint.value)
            world.advance(until)
            await shadow.follow(await field.sweep(world.now), world.now)
        return shadow, shadow.spared_eur

    shadow, spared = asyncio.run(follow(1.0))
    assert shadow.rules.euro > 1
    assert spared == pytest.approx(0.0, abs=1e-9)
