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
        self._before: dict[str, float] = {}  # what each counter showed when it was last read

    def read(self, samples: Mapping[str, Sample], at: datetime) -> None:
        """What was counted since the last reading, at the price of the slot that ends now.

        A counter that cannot be read is billed with the next reading that can, one that was exchanged from then on.
        """
        last = Slots(floor(at) - SLOT, 1)
        for supply in self.district.of(Supply).values():
            price = prices(self.district.contracts[supply.contract], last)
            self.euro += self._counted(samples, supply.point("energy_kwh")) * float(price.import_per_kwh[0])
            self.euro -= self._counted(samples, supply.point("export_energy_kwh")) * float(price.export_per_kwh[0])

    def _counted(self, samples: Mapping[str, Sample], point: str) -> float:
        """By how much a counter went on since it was last read, kWh."""
        sample = samples.get(point)
        now = None if sample is None else sample.usable
        if now is None:
            return 0.0
        before = self._before.get(point, now)
        self._before[point] = now
        return max(now - before, 0.0)


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
            at = self._world.now
            for setpoint in self._book.setpoints(Snapshot(at, await self._field.sweep(at)), at):
                self._world.command(setpoint.point, setpoint.value)
            await asyncio.to_thread(self._world.advance, at + SLOT)
        self.ours.read(samples, slot)
        self.rules.read(await self._field.sweep(slot), slot)

    @property
    def spared_eur(self) -> float:
        """What the rules would have paid more so far."""
        return self.rules.euro - self.ours.euro
