"""Whether the simulated district uses what such a district uses: figures per m2, peaks, and performance.

Weeks spread over a year stand for it. BOUNDS holds what is plausible for recent buildings in this climate (assumption
after the sources in `buildings/`); figures may lie 15 % outside. Peaks and performance have limits of their own, which
the tolerance must not widen: they are written so that it ends at 2.5 and 2.8 MW, and at 3 and 4.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from ems.assets import BaseLoad, Loop, Photovoltaic, Substation, Tank, Zone
from ems.district import District
from ems.series import Floats
from ems.simulate.plant.truth import Truth
from ems.simulate.plant.world import World
from ems.slots import SLOT

YEAR_DAYS = 365.25
BOUNDS: dict[str, tuple[float, float]] = {
    "dwelling_heating_kwh_per_m2": (12, 20),
    "dwelling_hot_water_kwh_per_m2": (20, 25),
    "dwelling_electricity_kwh_per_m2": (25, 30),
    "office_cooling_kwh_per_m2": (25, 35),
    "office_heating_kwh_per_m2": (5, 15),
    "office_electricity_kwh_per_m2": (50, 70),
    "heat_peak_kw": (0, 2500 / 1.15),
    "cold_peak_kw": (0, 2800 / 1.15),
    "performance": (3.0 / 0.85, 4.5 / 1.15),
}
TOLERANCE = 0.15


@dataclass
class Use:
    """What a year comes to, from the weeks that were simulated."""

    figures: dict[str, float] = field(default_factory=dict)

    def faults(self, tolerance: float = TOLERANCE) -> list[str]:
        """The figures outside their plausible range (with its tolerance), as sentences."""
        out = []
        for name, (low, high) in BOUNDS.items():
            value = self.figures[name]
            if not low * (1 - tolerance) <= value <= high * (1 + tolerance):
                out.append(
                    f"{name} is {value:.2f}; plausible is {low * (1 - tolerance):.2f} to {high * (1 + tolerance):.2f}"
                )
        return out


def use_of_a_year(
    district: District,
    *,
    year: int,
    seed: int,
    samples: int = 52,
    days: int = 7,
    progress: Callable[[int, int], None] | None = None,
) -> Use:
    """Simulate `samples` stretches of `days`, spread evenly over a year, under local control, and scale them to a year.

    52 stretches of 7 days are nearly all of it. Shorter stretches begin on weekdays that follow each other, so that
    Mondays, when offices are heated most, have their share: six of three days hold two or three of each.
    """
    sums: dict[str, float] = {}
    peaks = {"heat_peak_kw": 0.0, "cold_peak_kw": 0.0}
    first = datetime(year, 1, 1, tzinfo=UTC)
    first += timedelta(days=(3 - first.weekday()) % 7)
    world: World | None = None
    for k in range(samples):
        start = first + timedelta(days=7 * int((k + 0.5) * 52 / samples) + (k * days - 3) % 7)
        if world is None or world.now != start:
            world = World(district, start=start, seed=seed)
        before = _totals(district, world.truth)
        for _ in range(days * 24 * 4):
            made_before = _made(world.truth)
            world.advance(world.now + SLOT)
            heat, cold = (_made(world.truth) - made_before) * 4
            peaks["heat_peak_kw"] = max(peaks["heat_peak_kw"], float(heat))
            peaks["cold_peak_kw"] = max(peaks["cold_peak_kw"], float(cold))
        for name, total in _totals(district, world.truth).items():
            sums[name] = sums.get(name, 0.0) + (total - before[name]) * YEAR_DAYS / days / samples
        if progress is not None:
            progress(k + 1, samples)
    return Use(_figures(district, sums) | peaks)


def _made(truth: Truth) -> Floats:
    """Heat and cold that left the compressors, kWh."""
    made = truth.plants.made_kwh
    return np.array([made["heating"].sum() + made["hot_water"].sum(), made["cold"].sum()])


def _totals(district: District, truth: Truth) -> dict[str, float]:
    zones, tanks, plants, electric = truth.zones, truth.tanks, truth.plants, truth.electric
    buildings = {d.building for d in district.dwellings.values()}
    tank_of_homes = np.array([n.partition("/")[0] in buildings for n in tanks.names])
    offices = _offices(district, zones.names[zones.homes :])
    device = dict(zip(electric.devices, electric.device_kwh.tolist(), strict=True))
    pumps = [*district.of(Substation), *district.of(Tank), *district.of(Loop)]
    return {
        "homes_heating": float(zones.heat_kwh[: zones.homes].sum()),
        "homes_hot_water": float(tanks.draw_kwh[tank_of_homes].sum()),
        "recirculation": float(tanks.riser_loss_kwh.sum()),
        "hot_water": float(tanks.draw_kwh.sum()),
        "unmet": float(tanks.unmet_kwh.sum()),
        "homes_electricity": float(electric.home_kwh.sum()),
        "offices_cooling": float(zones.cold_kwh[offices].sum()),
        "offices_heating": float(zones.heat_kwh[zones.homes :][offices].sum()),
        "offices_electricity": sum(device[n] for n, b in district.of(BaseLoad).items() if b.use == "offices"),
        "heating": float(zones.heat_kwh.sum()),
        "cooling": float(zones.cold_kwh.sum()),
        "compressors": float(plants.compressor_kwh.sum()),
        "plant_pumps": float(plants.pumps_kwh.sum()),
        "pumps": sum(device[n] for n in pumps),
        "recovered": float(plants.recovered_kwh.sum()),
        "photovoltaics": -sum(device[n] for n in district.of(Photovoltaic)),
        "cars": float(truth.cars.delivered_kwh.sum()),
        "missing": float(truth.cars.missing_kwh.sum()),
        "starts": float(plants.starts.sum()),
        "run_h": float(plants.run_h.sum()),
        "hot_water_cool_minutes": float(tanks.cool_minutes.sum()),
        "return_cool_minutes": float(tanks.return_cool_minutes.sum()),
        "heater": float(tanks.heater_kwh.sum()),
    }


def _offices(district: District, names: Sequence[str]) -> list[int]:
    return [i for i, n in enumerate(names) if district.asset(n, Zone).use == "offices"]


def _figures(district: District, sums: dict[str, float]) -> dict[str, float]:
    homes_m2 = sum(d.surface_m2 for d in district.dwellings.values())
    offices_m2 = sum(z.surface_m2 for z in district.of(Zone).values() if z.use == "offices")
    electricity = sums["compressors"] + sums["plant_pumps"] + sums["pumps"]
    return {
        "dwelling_heating_kwh_per_m2": sums["homes_heating"] / homes_m2,
        "dwelling_hot_water_kwh_per_m2": sums["homes_hot_water"] / homes_m2,
        "dwelling_electricity_kwh_per_m2": sums["homes_electricity"] / homes_m2,
        "office_cooling_kwh_per_m2": sums["offices_cooling"] / offices_m2,
        "office_heating_kwh_per_m2": sums["offices_heating"] / offices_m2,
        "office_electricity_kwh_per_m2": sums["offices_electricity"] / offices_m2,
        "performance": (sums["heating"] + sums["hot_water"] + sums["cooling"]) / electricity,
        **{f"{name}_kwh": value for name, value in sums.items()},
    }
