"""A seeded district of any size, built in Python: homes of all sizes, temperatures and wishes, and what serves them.

About 60 homes to a building and 19500 m2 to a plant; twelve large zones, a hundred cars, three batteries, roofs, one
loop with the sea. `tight` takes the limits of supply points, plants and loop down to 0.55, so that they bind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from ems.assets import (
    Asset,
    BaseLoad,
    Battery,
    ChargePoint,
    Dwelling,
    Fabric,
    Feeder,
    Loop,
    Opening,
    Photovoltaic,
    Plant,
    Substation,
    Supply,
    Tank,
    WeatherStation,
    Zone,
)
from ems.assets.outlook import Outlook
from ems.district import District
from ems.optimise import Plan
from ems.optimise.plan import outlook_of
from ems.points import Sample, good
from ems.series import Floats, Forecast
from ems.slots import Slots
from ems.snapshot import Session, Snapshot
from tests.optimise.small import contract, district
from tests.optimise.synthetic import forecast_of

START = datetime(2026, 1, 14, 5, 0, tzinfo=UTC)
HOMES_TO_A_BUILDING, M2_TO_A_PLANT = 60, 19500
PRICES = [0.15] * 6 + [0.23] * 2 + [0.29] * 3 + [0.21] * 6 + [0.31] * 4 + [0.2] * 3
TIGHT = 0.55


Meter = Callable[[str, float], Supply]


@dataclass(frozen=True)
class Large:
    """The district, and a generator's seed for what is measured and expected in it."""

    district: District
    seed: int

    def outlook(self, slots: Slots, previous: Plan | None = None) -> Outlook:
        """What is known at the start of `slots`: states near those that a previous plan foresaw, else anywhere."""
        draw = np.random.default_rng((self.seed, int(slots.start.timestamp())))
        expected = expected_in(self.district, slots, draw)
        return outlook_of(self.district, measured_in(self.district, slots, draw, previous), expected, slots, previous)


def large(homes: int, *, zones: int = 12, cars: int = 100, tight: bool = False, seed: int = 7) -> Large:
    """The district; everything else of it grows with the homes."""
    draw = np.random.default_rng(seed)
    scale = TIGHT if tight else 1.0
    plants = max(1, round((67 * homes + 2600 * zones) / M2_TO_A_PLANT))
    buildings = max(1, round(homes / HOMES_TO_A_BUILDING))
    counted = [0]

    def meter(building: str, subscribed_kw: float) -> Supply:
        counted[0] += 1
        return Supply(
            name=f"{building}/meter", prm=f"{30000000000000 + counted[0]}", contract="test",
            subscribed_kw=max(subscribed_kw * scale, 1.0), physical_limit_kw=2.5 * subscribed_kw + 5,
        )  # fmt: skip

    assets: list[Asset] = [
        WeatherStation(name="sky/station"),
        meter("sea", 0.12 * homes),
        Loop(
            name="sea/loop", supply="sea/meter", volume_m3=0.45 * homes,
            heat_limit_kw=1.1 * (homes + 35 * zones) * scale, cold_limit_kw=7.0 * homes,
            exchanger_kw_per_k=2.8 * homes, pump_kw=0.2 * homes,
        ),
    ]  # fmt: skip
    for k in range(plants):
        assets += [
            meter(f"plant-{k}", 180.0),
            Plant(
                name=f"plant-{k}/pumps", supply=f"plant-{k}/meter", loop="sea/loop", circuits=3, heat_kw=200.0 * scale,
                cold_kw=320.0 * scale, carnot_share=0.49,
            ),
        ]  # fmt: skip
    for k in range(buildings):
        here = homes * (k + 1) // buildings - homes * k // buildings
        assets += _building(f"homes-{k}", f"plant-{k % plants}/pumps", here, draw, meter)
    assets += [a for k in range(zones) for a in _large_zone(f"large-{k}", k, f"plant-{k % plants}/pumps", draw, meter)]
    assets += [meter("parking", 60.0 + 1.6 * cars)]
    for k in range(cars):
        if k % 25 == 0:
            assets.append(Feeder(name=f"parking/feeder-{k // 25}", supply="parking/meter", limit_kw=80.0))
        assets.append(
            ChargePoint(
                name=f"parking/point-{k}", feeder=f"parking/feeder-{k // 25}", phases=1 if k % 3 else 3,
                phase=1 + k % 3 if k % 3 else None,
            )
        )  # fmt: skip
    for k, size in enumerate((300.0, 200.0, 120.0)):
        assets.append(
            Battery(
                name=f"parking/battery-{k}", supply="parking/meter" if k == 0 else f"plant-{k % plants}/meter",
                capacity_kwh=size, charge_limit_kw=size / 2, discharge_limit_kw=size / 2,
            )
        )  # fmt: skip
    built = district(*assets, contracts={"test": contract(PRICES, export=0.06, subscription=35.0)})
    return Large(replace(built, values=built.values.model_copy(update={"carbon_per_kg": 0.1})), seed)


def _building(name: str, plant: str, homes: int, draw: np.random.Generator, meter: Meter) -> list[Asset]:
    spread = draw.uniform(0.8, 1.25, 4)
    fabric = Fabric(
        loss_w_per_k_m2=0.95 * spread[0], light_wh_per_k_m2=14 * spread[1], mass_wh_per_k_m2=55 * spread[2],
        coupling_w_per_k_m2=6.5 * spread[3], solar_aperture_share=0.03, gains_w_per_m2=3.6, heating_w_per_m2=42,
    )  # fmt: skip
    surfaces = draw.uniform(25, 110, homes)
    found: list[Asset] = [
        meter(name, 0.4 * homes),
        Substation(
            name=f"{name}/station", plant=plant, supply=f"{name}/meter",
            heat_limit_kw=0.042 * float(surfaces.sum()), pump_kw=0.012 * homes,
        ),
        Tank(
            name=f"{name}/tank", plant=plant, supply=f"{name}/meter", volume_m3=0.05 * homes,
            charge_limit_kw=1.1 * homes, recirculation_loss_kw=0.05 * homes, standing_loss_kw=0.005 * homes,
            heater_kw=0.15 * homes, daily_draw_m3=0.07 * homes,
        ),
        BaseLoad(name=f"{name}/landlord", supply=f"{name}/meter", use="home", yearly_kwh=900.0 * homes),
        Photovoltaic(name=f"{name}/roof", supply=f"{name}/meter", peak_kw=0.5 * homes, tilt_deg=10, azimuth_deg=180),
    ]  # fmt: skip
    for k, surface in enumerate(surfaces):
        found.append(
            Dwelling(
                name=f"{name}/flat-{k}", floor=k // 6, surface_m2=round(float(surface), 1),
                rooms=1 + int(surface // 25), orientation="south", prm="30000000000009",
                substation=f"{name}/station", fabric=fabric,
            )
        )  # fmt: skip
    return found


def _large_zone(name: str, k: int, plant: str, draw: np.random.Generator, meter: Meter) -> list[Asset]:
    surface = float(draw.uniform(700, 4500))
    fabric = Fabric(
        loss_w_per_k_m2=1.0, light_wh_per_k_m2=15.5, mass_wh_per_k_m2=50, coupling_w_per_k_m2=6.8,
        solar_aperture_share=0.035, gains_w_per_m2=9, heating_w_per_m2=46, cooling_w_per_m2=65,
    )  # fmt: skip
    return [
        meter(name, 0.02 * surface + 3),
        Substation(
            name=f"{name}/station", plant=plant, supply=f"{name}/meter", heat_limit_kw=0.046 * surface,
            cold_limit_kw=0.065 * surface,
        ),
        BaseLoad(name=f"{name}/tenant", supply=f"{name}/meter", use="offices", yearly_kwh=60 * surface),
        Photovoltaic(name=f"{name}/roof", supply=f"{name}/meter", peak_kw=15 + 4 * k, tilt_deg=10, azimuth_deg=200),
        Zone(
            name=f"{name}/rooms", use="offices", surface_m2=round(surface), substation=f"{name}/station", fabric=fabric,
            opening=Opening(days=(1, 2, 3, 4, 5, 6), from_hour=7 + k % 4, until_hour=17 + k % 5), cooling_occupied_c=26,
        ),
    ]  # fmt: skip


def expected_in(here: District, slots: Slots, draw: np.random.Generator) -> dict[str, Forecast]:
    """A cold day with some sun, a little different at each draw."""
    hour = np.array([s.hour + s.minute / 60 for s in slots]) + 1
    sun = np.clip(np.sin((hour - 8) / 9 * np.pi), 0, None) * ((hour > 8) & (hour < 17))
    working = np.where((hour > 8) & (hour < 19), 1.0, 0.25)
    home = 0.6 + 0.8 * np.exp(-((hour - 8) ** 2) / 3) + np.exp(-((hour % 24 - 20) ** 2) / 5)

    def about(row: Floats | float) -> Floats:
        return np.broadcast_to(row, (slots.count,)) * draw.normal(1, 0.02) * draw.normal(1, 0.02, slots.count)

    values: dict[str, Floats] = {
        "sky/station/outdoor_temperature_c": about(3.5 + 3 * np.sin((hour - 9) / 24 * 2 * np.pi)),
        "sky/station/irradiance_w_per_m2": np.abs(about(400 * sun)),
        "sea/loop/seawater_temperature_c": about(13.5),
    }
    homes: dict[str, float] = {}
    for dwelling in here.dwellings.values():
        gain = dwelling.fabric.gains_w_per_m2 * dwelling.surface_m2 / 1000 * 0.8
        homes[dwelling.building] = homes.get(dwelling.building, 0.0) + gain
    values |= {f"{building}/homes/gains_kw": about(kw * home) for building, kw in homes.items()}
    for name, asset in here.assets.items():
        match asset:
            case BaseLoad():
                shape = home if asset.use == "home" else working
                values[f"{name}/power_kw"] = about(asset.yearly_kwh / 8760 * shape / shape.mean())
            case Photovoltaic():
                values[f"{name}/power_kw"] = -np.abs(about(0.4 * asset.peak_kw * sun))
            case Tank():
                values[f"{name}/draw_kw"] = about(asset.design_draw_kw * home / home.mean())
            case Zone():
                values[f"{name}/gains_kw"] = about(asset.fabric.gains_w_per_m2 * asset.surface_m2 / 1000 * working)
    return {point: forecast_of(point, slots, row) for point, row in values.items()}


def measured_in(here: District, slots: Slots, draw: np.random.Generator, previous: Plan | None) -> Snapshot:
    """Readings of all that is planned; cars are there, come later or leave within the day."""
    foreseen = {} if previous is None else previous.foreseen(slots.start)
    samples: dict[str, Sample] = {}

    def reads(point: str, value: float) -> None:
        samples[point] = good(float(value), slots.start)

    # What residents ask for and where their rooms stand is the same at every draw but for what has happened since.
    still = np.random.default_rng(len(here.assets))
    for name, asset in here.assets.items():
        match asset:
            case Dwelling():
                asked, stands = still.uniform(18, 21), still.uniform(17.8, 21.3)
                reads(f"{name}/setpoint_c", asked)
                reads(f"{name}/temperature_c", foreseen.get(f"{name}/light_c", stands) + draw.normal(0, 0.05))
            case Zone():
                reads(f"{name}/temperature_c", foreseen.get(f"{name}/light_c", 18.0) + draw.normal(0, 0.05))
            case Tank():
                for level, usual in (("top", 60.0), ("middle", 57.0), ("bottom", 46.0), ("return", 52.0)):
                    reads(f"{name}/{level}_temperature_c", usual + draw.normal(0, 0.2))
            case Battery():
                stored = foreseen.get(f"{name}/energy_kwh", 0.4 * asset.capacity_kwh)
                reads(f"{name}/stored_kwh", stored + draw.normal(0, 0.5))
            case Loop():
                reads(f"{name}/temperature_c", foreseen.get(f"{name}/temperature_c", 13.5))
    sessions = {}
    for k, name in enumerate(here.of(ChargePoint)):
        arrives, stays = START + timedelta(hours=(k * 7) % 11 - 3.0), timedelta(hours=3 + (k * 5) % 9)
        if arrives + stays > slots.start:
            sessions[name] = Session(name, 6.0 + (k * 3) % 25, arrives + stays, arrives_at=arrives)
    return Snapshot(slots.start, samples, sessions)
