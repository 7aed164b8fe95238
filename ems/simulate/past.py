"""The weeks before a simulated district begins, as its meters would have recorded them.

The plant runs in virtual time from `days` before the end; what it showed is handed over point by point, so that a store
can take the first points while a plan is already made. Counters are moved so that they end exactly at what a World that
starts at `end` with the same seed shows first: nothing jumps backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import numpy as np

from ems.assets import BaseLoad, Dwelling, Loop, Photovoltaic, Plant, Supply, Tank, WeatherStation, Zone
from ems.district import District
from ems.points import is_counter, point_name, split_point
from ems.series import Floats
from ems.simulate.plant import World
from ems.simulate.plant.day import WeatherSource
from ems.simulate.plant.world import ReplaySource
from ems.slots import SLOT, Slots, as_utc, floor

SAMPLES = 3  # of each slot
# What a forecast learns from comes first; dwellings are many and come last.
ORDER = (WeatherStation, Supply, BaseLoad, Photovoltaic, Plant, Loop, Tank, Zone)
OF_A_DWELLING = (
    "power_kw",
    "energy_kwh",
    "export_energy_kwh",
    "heat_power_kw",
    "heat_energy_kwh",
    "hot_water_m3",
    "cold_water_m3",
)
REGISTERS_BESIDES = ("run_h", "starts_count")  # they count up too, in other units
STOCKS = ("stored_kwh", "session_energy_kwh")  # energy, but no counter: they go up and down
# The mean power of a slot, exactly, from registers in fine steps: (what counts it up, what counts it down).
REGISTERS: dict[type, tuple[str | None, str | None]] = {
    Supply: ("energy_kwh", "export_energy_kwh"),
    BaseLoad: ("energy_kwh", "export_energy_kwh"),
    Plant: ("energy_kwh", "export_energy_kwh"),
    Dwelling: ("energy_kwh", "export_energy_kwh"),
    Photovoltaic: (None, "energy_kwh"),
}


def past(
    district: District, *, end: datetime, days: int, seed: int = 0, weather: WeatherSource | None = None,
    replay: ReplaySource | None = None, progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[str, Slots, Floats]]:  # fmt: skip
    """Point by point: its name, the slots before `end`, and one value per slot.

    As the store reads them: a counter's (or stock's) value at the start of the slot, otherwise the mean over it; NaN is
    missing. `progress(days done, days)` is called after every simulated day. Raises ValueError when `end` is no start
    of a quarter-hour or `days` is less than 1.
    """
    end = as_utc(end)
    if end != floor(end) or days < 1:
        raise ValueError(
            f"end is {end.isoformat()} and days {days}; give the start of a quarter-hour and at least one day"
        )
    slots = Slots(end - timedelta(days=days), 96 * days)
    points = recorded(district)
    world = World(district, start=slots.start, seed=seed, weather=weather, replay=replay)
    begins = World(district, start=end, seed=seed, weather=world.weather, replay=replay, warm_up_hours=0)
    where = np.array([world.index[p] for p in points])
    at_start = np.empty((slots.count + 1, len(points)))
    means = np.empty((slots.count, len(points)))
    for slot in slots.flows:
        at_start[slot] = world.values[where]
        total = np.zeros(len(points))
        for _ in range(SAMPLES):
            world.advance(world.now + SLOT / SAMPLES)
            total += world.values[where]
        means[slot] = total / SAMPLES
        if progress is not None and (slot + 1) % 96 == 0:
            progress((slot + 1) // 96, days)
    at_start[-1] = world.values[where]
    place = {point: i for i, point in enumerate(points)}
    for i, point in enumerate(points):
        quantity = split_point(point)[2]
        if quantity in STOCKS:
            yield point, slots, at_start[:-1, i]
        elif is_counter(quantity):
            # Whole steps of the register on both sides, so the difference keeps them whole.
            shift = begins.values[begins.index[point]] - at_start[-1, i]
            yield point, slots, np.maximum(at_start[:-1, i] + shift, 0)
        elif quantity in REGISTERS_BESIDES:
            yield point, slots, means[:, i] + begins.values[begins.index[point]] - at_start[-1, i]
        else:
            yield point, slots, _mean(district, point, means[:, i], at_start, place, slots.hours)


def recorded(district: District) -> list[str]:
    """The points whose past is kept: everything that is measured, of dwellings only meters; in the order of `past`."""

    def rank(point: str) -> int:
        asset = district.assets[district.wires[point].device.asset]
        if isinstance(asset, Dwelling):
            return len(ORDER) + 1
        return next((i for i, kind in enumerate(ORDER) if isinstance(asset, kind)), len(ORDER))

    measured = [
        point
        for point, wire in district.wires.items()
        if not wire.writable
        and (not isinstance(district.assets[wire.device.asset], Dwelling) or wire.quantity in OF_A_DWELLING)
    ]
    return sorted(measured, key=rank)


def _mean(
    district: District, point: str, sampled: Floats, at_start: Floats, place: dict[str, int], hours: float
) -> Floats:
    """The slot means of one point: from its registers where they count finely, else from the samples."""
    building, asset, quantity = split_point(point)
    registers = REGISTERS.get(type(district.assets[f"{building}/{asset}"]))
    if quantity != "power_kw" or registers is None:
        return sampled
    energy = np.zeros(len(sampled))
    for register, sign in zip(registers, (1, -1), strict=True):
        column = None if register is None else place.get(point_name(building, asset, register))
        if column is not None:
            energy += sign * np.diff(at_start[:, column])
        elif register is not None and sign == 1:
            return sampled
    return np.where(np.isfinite(sampled), energy / hours, np.nan)
