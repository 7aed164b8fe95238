"""What will really happen, for the oracle: weather, loads, sun, draws and gains of the same seed, slot by slot.

People's draws do not depend on what anybody commands, so each day is drawn from a second world of the same seed that
never runs: what is read are its days, not its states.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from ems.assets import Loop, WeatherStation
from ems.district import District
from ems.series import Floats, Forecast
from ems.simulate.plant.day import MINUTES
from ems.simulate.scenario import Scenario
from ems.slots import Slots
from ems.study.conditions import StagedWorld

PER_SLOT = 15


def foreknowledge(district: District, scenario: Scenario, *, seed: int, slots: Slots) -> dict[str, Forecast]:
    """True means over `slots` under the keys of `ems.forecast.forecast`; low = median = high."""
    days = range(int(slots.start.timestamp()) // 86400, int(slots.end.timestamp() - 1) // 86400 + 1)
    world = StagedWorld(district, scenario, seed=seed)
    rows: dict[str, list[Floats]] = {}
    for number in days:
        for point, minutes in _day(district, world, number).items():
            rows.setdefault(point, []).append(minutes.reshape(MINUTES // PER_SLOT, PER_SLOT).mean(axis=1))
    first = round((slots.start.timestamp() - days[0] * 86400) / (60 * PER_SLOT))
    known = {}
    for point, parts in rows.items():
        row = np.concatenate(parts)[first : first + slots.count]
        known[point] = Forecast(point, slots.start, slots, row, row, row, model="truth")
    return known


def _day(district: District, world: StagedWorld, number: int) -> dict[str, Floats]:
    physics = world.physics
    world._begin_day(number)
    sky, home = physics.day.weather, physics.home
    made: dict[str, Floats] = {}
    for station in district.of(WeatherStation):
        made |= {
            f"{station}/outdoor_temperature_c": sky.outdoor_c,
            f"{station}/irradiance_w_per_m2": sky.ghi_w_per_m2,
            f"{station}/humidity_share": sky.humidity_share,
            f"{station}/wind_m_per_s": sky.wind_m_per_s,
        }
    for loop in district.of(Loop):
        made[f"{loop}/seawater_temperature_c"] = sky.seawater_c
    for k, load in enumerate(physics.loads.loads):
        made[load.point("power_kw")] = physics.loads.power_kw[:, k]
    for k, array in enumerate(physics.arrays.arrays):
        made[array.point("power_kw")] = -physics.arrays.possible_kw[:, k]
    for k, tank in enumerate(physics.tanks.tanks):
        made[tank.point("draw_kw")] = physics.tanks._wanted_kw[:, k]
    homes = len(physics.homes)
    for k, zone in enumerate(physics.zones):
        made[f"{zone}/gains_kw"] = physics._gains[:, homes + k]
    buildings = np.array([name.partition("/")[0] for name in physics.homes])
    for building in dict.fromkeys(buildings.tolist()):
        mine = np.flatnonzero(buildings == building)
        made[f"{building}/homes/power_kw"] = home.power_kw[:, mine].sum(axis=1)
        made[f"{building}/homes/gains_kw"] = physics._gains[:, mine].sum(axis=1)
    return {point: np.array(row, dtype=np.float64) for point, row in made.items()}


def sliced(known: dict[str, Forecast], slots: Slots, issued_at: datetime) -> dict[str, Forecast]:
    """What is known, on fewer slots. Raises ValueError when they reach beyond it."""
    made = {}
    for point, forecast in known.items():
        first = round((slots.start - forecast.slots.start) / timedelta(minutes=PER_SLOT))
        low, median, high = (row[first : first + slots.count] for row in (forecast.low, forecast.median, forecast.high))
        if first < 0 or low.size < slots.count:
            raise ValueError(f"{point} is known until {forecast.slots.end.isoformat()}, asked until {slots.end}")
        made[point] = Forecast(point, issued_at, slots, low, median, high, forecast.model, forecast.fallback)
    return made
