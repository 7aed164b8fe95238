"""What the field does not believe is neither stored as a number, nor learnt from, nor counted."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from pathlib import Path

import numpy as np

from ems.bms import Field
from ems.loop.minutes import Minutes
from ems.points import Quality, Sample
from ems.simulate.servers import FieldServers
from ems.slots import Slots
from ems.store import Store
from tests.served_district import NOW, StillWorld, part_of_district

NET = 67
POWER, COUNTER, STEADY = "creche/tenant/power_kw", "creche/tenant/energy_kwh", "creche/rooms/temperature_c"


def test_what_is_doubted_is_a_gap_all_the_way(tmp_path: Path) -> None:
    """A quarter-hour of good readings, one of impossible ones, one without a device, then good ones again."""

    async def sweeps() -> list[dict[str, Sample]]:
        district = part_of_district(NET, ("creche",))
        world = StillWorld(district)
        servers = FieldServers(district, world)
        await servers.start()
        field = Field(district.wires, timeout_s=5.0)
        await field.start()
        found = []
        for quarter in range(4):
            world.show(POWER, {1: 1e6, 2: math.nan}.get(quarter, 8.0))
            world.show(COUNTER, {1: math.nan, 2: math.nan}.get(quarter, 1000.0 + quarter))
            for minute in (1, 6, 11):
                found.append(await field.sweep(NOW + timedelta(minutes=15 * quarter + minute)))
        await field.stop()
        await servers.stop()
        return found

    swept = asyncio.run(asyncio.wait_for(sweeps(), 100))
    assert [s[POWER].quality for s in swept[::3]] == [
        Quality.GOOD, Quality.IMPLAUSIBLE, Quality.MISSING, Quality.GOOD,
    ]  # fmt: skip
    assert swept[3][POWER].value is None and swept[3][POWER].raw is not None  # kept, to be looked at
    minutes = Minutes(frozenset((POWER, COUNTER, STEADY)), timedelta(minutes=5))
    with Store.open(f"sqlite:///{tmp_path / 'site.db'}") as store:
        for n, samples in enumerate(swept):
            quarter, part = divmod(n, 3)
            store.save_readings(minutes.add(samples, NOW + timedelta(minutes=15 * quarter + 5 * part + 1)))
        store.save_readings(minutes.add(swept[-1], NOW + timedelta(minutes=61)))
        history = store.history((POWER, COUNTER, STEADY), Slots(NOW, 4))
        power, counter, steady = (np.asarray(history.values[point]) for point in (POWER, COUNTER, STEADY))
        assert power[0] == power[3] == 8.0 and np.isnan(power[1:3]).all()
        assert counter[[0, 3]].tolist() == [1000.0, 1003.0] and np.isnan(counter[1:3]).all()
        assert np.isfinite(steady).all()
