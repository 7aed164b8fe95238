"""What the same people, cars and weather would have cost under the rules, beside a running demo.

A second world of the same scenario and seed runs in this process under the rules of docs/opponents.md. Both worlds are
billed from what their meters at the supply points count, so that the same errors are in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from ems.assets import Supply
from ems.district import District
from ems.market import prices
from ems.points import Sample
from ems.simulate.direct import DirectField
from ems.simulate.plant import World
from ems.simulate.scenario import Scenario
from ems.slots import SLOT, Slots, floor
from ems.snapshot import Snapshot
from ems.study.opponents import RuleBook, Rules


class Bill:
    """Energy and network at all supply points since the first reading, euro, from their meters' counters."""

    def __init__(self, district: District) -> None:
        self.district = district
        self.euro = 0.0
        self._before: dict[str, tuple[float, float]] = {}

    def read(self, samples: Mapping[str, Sample], at: datetime) -> None:
        """What was counted since the last reading, at the price of the slot that ends now.

        A meter that cannot be read is billed with the next reading that can.
        """
        last = Slots(floor(at) - SLOT, 1)
        for name, supply in self.district.of(Supply).items():
            counted = [samples.get(supply.point(q)) for q in ("energy_kwh", "export_energy_kwh")]
            bought, sold = (None if s is None else s.usable for s in counted)
            if bought is None:
                continue
            now = bought, 0.0 if sold is None else sold
            before = self._before.get(name, now)
            self._before[name] = now
            price = prices(self.district.contracts[supply.contract], last)
            self.euro += (now[0] - before[0]) * float(price.import_per_kwh[0])
            self.euro -= (now[1] - before[1]) * float(price.export_per_kwh[0])


class Shadow:
    """The bill of a running site beside that of its shadow under the rules."""

    def __init__(self, district: District, scenario: Scenario, seed: int) -> None:
        self.ours, self.rules = Bill(district), Bill(district)
        self._world = World(district, start=scenario.start, seed=seed)
        self._field = DirectField(district, self._world)
        self._book = Rules(district, RuleBook())

    async def follow(self, samples: Mapping[str, Sample], now: datetime) -> None:
        """Bring the shadow to the slot of `now`, then read both bills; `samples` are the site's own."""
        slot = floor(now)
        while self._world.now < slot:
            wanted = self._book.setpoints(Snapshot(self._world.now, await self._field.sweep(self._world.now)), slot)
            for setpoint in wanted:
                self._world.command(setpoint.point, setpoint.value)
            await asyncio.to_thread(self._world.advance, self._world.now + SLOT)
        self.ours.read(samples, slot)
        self.rules.read(await self._field.sweep(slot), slot)

    @property
    def spared_eur(self) -> float:
        """What the rules would have paid more so far."""
        return self.rules.euro - self.ours.euro
