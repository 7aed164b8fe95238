"""The demo's shadow: bills from counters that one can reckon, and a site that keeps to the rules spares nothing."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from ems.assets import Supply
from ems.command import Setpoint
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


def test_a_counter_that_is_not_read_is_billed_later_also_where_the_other_one_is_read(
    small: District, evening: Scenario
) -> None:
    """Of 12 000 kWh sold long ago nothing is paid again because the first reading, or one in between, was missed."""
    bill, at = Bill(small), evening.start + SLOT

    def shown(bought: float | None, sold: float | None) -> dict[str, Sample]:
        both = counters(small, bought or 0.0, sold or 0.0, at)
        missed = {"energy_kwh": bought is None, "export_energy_kwh": sold is None}
        return {p: s for p, s in both.items() if not missed[p.rpartition("/")[2]]}

    bill.read(shown(1000.0, None), at)
    bill.read(shown(1010.0, 12_000.0), at + SLOT)
    bought = len(small.of(Supply)) * 10 * 0.200
    assert bill.euro == pytest.approx(bought)
    bill.read(shown(1010.0, None), at + 2 * SLOT)
    assert bill.euro == pytest.approx(bought)
    bill.read(shown(None, 12_002.0), at + 2 * SLOT)
    assert bill.euro == pytest.approx(bought - len(small.of(Supply)) * 2 * 0.05)


def test_the_rules_decide_for_the_quarter_hour_that_is_to_run(
    small: District, evening: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do in a study: at the price of that quarter-hour, not of the next one."""
    asked: list[tuple[datetime, datetime]] = []

    def told(self: Rules, snapshot: Snapshot, at: datetime) -> Iterator[Setpoint]:
        asked.append((snapshot.at, at))
        return iter(())

    monkeypatch.setattr(Rules, "setpoints", told)
    asyncio.run(Shadow(small, evening, seed=1).follow({}, evening.start + 2 * SLOT))
    assert asked == [(evening.start, evening.start), (evening.start + SLOT, evening.start + SLOT)]


def test_who_keeps_to_the_rules_spares_nothing(small: District, evening: Scenario) -> None:
    async def follow(hours: float) -> tuple[Shadow, float]:
        shadow = Shadow(small, evening, seed=1)
        world = World(small, start=evening.start, seed=1)
        field, rules = DirectField(small, world), Rules(small, RuleBook())
        await shadow.follow(await field.sweep(world.now), world.now)
        while world.now < evening.start + timedelta(hours=hours):
            until = world.now + SLOT
            for setpoint in rules.setpoints(Snapshot(world.now, await field.sweep(world.now)), world.now):
                world.command(setpoint.point, setpoint.value)
            world.advance(until)
            await shadow.follow(await field.sweep(world.now), world.now)
        return shadow, shadow.spared_eur

    shadow, spared = asyncio.run(follow(1.0))
    assert shadow.rules.euro > 1
    assert spared == pytest.approx(0.0, abs=1e-9)
