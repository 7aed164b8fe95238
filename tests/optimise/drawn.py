"""Small districts drawn at random, plausible ones: homes, an office, a tank, cars, a battery, sun, machines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from ems.assets import (
    Asset,
    BaseLoad,
    Battery,
    BikeRoom,
    ChargePoint,
    Deferrable,
    Dwelling,
    Fabric,
    Feeder,
    Loop,
    Opening,
    Photovoltaic,
    Plant,
    Substation,
    Tank,
    WeatherStation,
    Zone,
)
from ems.district import District
from ems.series import Forecast
from ems.slots import Slots
from ems.snapshot import Session, Snapshot
from tests.optimise.small import MIDNIGHT, contract, district, forecasts, snapshot, supply


@dataclass(frozen=True)
class Drawn:
    """A district, what is known and expected of it, and the same an hour later with other forecasts."""

    district: District
    slots: Slots
    known: Snapshot
    expected: dict[str, Forecast]
    later: Slots
    known_later: Snapshot
    expected_later: dict[str, Forecast]


def drawn(seed: int) -> Drawn:
    """The same seed, the same district."""
    rng = np.random.default_rng(seed)
    slots = Slots(MIDNIGHT + timedelta(hours=int(rng.integers(0, 20))), 24, minutes=60)
    later = Slots(slots.at(1), 24, minutes=60)
    here = _district(rng)
    known, expected = _known(rng, here, slots), _expected(rng, slots)
    return Drawn(here, slots, known, expected, later, _known(rng, here, later), _expected(rng, later))


def _district(rng: np.random.Generator) -> District:
    def fabric(cooling: float) -> Fabric:
        return Fabric(
            loss_w_per_k_m2=rng.uniform(0.6, 2.0), light_wh_per_k_m2=rng.uniform(10, 30),
            mass_wh_per_k_m2=rng.uniform(30, 80), coupling_w_per_k_m2=rng.uniform(4, 10),
            solar_aperture_share=rng.uniform(0, 0.08), gains_w_per_m2=3, heating_w_per_m2=rng.uniform(40, 80),
            cooling_w_per_m2=cooling,
        )  # fmt: skip

    subscribed = rng.uniform(20, 80)
    meter, station = "house/meter", "house/station"
    assets: list[Asset] = [
        supply(
            subscribed_kw=subscribed, physical_limit_kw=2.5 * subscribed,
            export_limit_kw=float(rng.choice([0.0, 5.0, 90.0])),
        ),
        BaseLoad(name="house/load", supply=meter, use="home", yearly_kwh=1),
        Feeder(name="house/feeder", supply=meter, limit_kw=rng.uniform(8, 40)),
        Loop(
            name="house/loop", supply=meter, volume_m3=rng.uniform(5, 50), heat_limit_kw=200, cold_limit_kw=200,
            exchanger_kw_per_k=80, pump_kw=rng.uniform(0, 3),
        ),
        Plant(
            name="house/pumps", supply=meter, loop="house/loop", circuits=int(rng.integers(1, 4)),
            heat_kw=rng.uniform(15, 50), cold_kw=rng.uniform(15, 40), pump_kw=1,
        ),
        Substation(name=station, plant="house/pumps", supply=meter, heat_limit_kw=120, cold_limit_kw=80),
        WeatherStation(name="house/sky"),
    ]  # fmt: skip
    homes, office = fabric(0.0), fabric(50.0)
    optional: list[Asset] = [
        Battery(
            name="house/cellar", supply=meter, capacity_kwh=rng.uniform(5, 60), charge_limit_kw=rng.uniform(3, 25),
            discharge_limit_kw=rng.uniform(3, 25), wear_per_kwh=rng.uniform(0, 0.05),
        ),
        Photovoltaic(name="house/roof", supply=meter, peak_kw=rng.uniform(5, 60), tilt_deg=10, azimuth_deg=180),
        BikeRoom(name="house/bikes", supply=meter, places=10, limit_kw=rng.uniform(1, 4)),
        Tank(
            name="house/tank", plant="house/pumps", supply=meter, volume_m3=rng.uniform(1, 5),
            charge_limit_kw=rng.uniform(15, 60), recirculation_loss_kw=1, standing_loss_kw=0.3, heater_kw=6,
            daily_draw_m3=rng.uniform(1, 5),
        ),
        Deferrable(
            name="house/laundry", supply=meter, running_kw=rng.uniform(1, 8), run_h=int(rng.integers(1, 5)),
            contiguous=bool(rng.integers(0, 2)), from_hour=int(rng.integers(0, 12)),
            until_hour=int(rng.integers(14, 24)),
        ),
        Zone(
            name="house/office", use="offices", surface_m2=rng.uniform(80, 500), substation=station, fabric=office,
            opening=Opening(days=(1, 2, 3, 4, 5), from_hour=8, until_hour=18), cooling_occupied_c=26.0,
        ),
    ]  # fmt: skip
    assets += [a for a in optional if rng.random() < 0.8]
    assets += [
        ChargePoint(
            name=f"house/point-{i}", feeder="house/feeder", phases=1, phase=i + 1 if rng.random() < 0.5 else None,
            give_back_current_a=float(rng.choice([0, 16])),
        )
        for i in range(int(rng.integers(0, 4)))
    ]  # fmt: skip
    assets += [
        Dwelling(
            name=f"house/flat-{i}", floor=i, surface_m2=rng.uniform(30, 110), rooms=3, orientation="south",
            prm=f"3000000000001{i}", substation=station, fabric=homes,
        )
        for i in range(int(rng.integers(1, 4)))
    ]  # fmt: skip
    night, day, peak = sorted(rng.uniform(0.05, 0.35, 3))
    prices = [night] * 6 + [day] * 11 + [peak] * 4 + [day] * 3
    priced = contract(
        [float(p) for p in prices], export=float(rng.uniform(0, 0.05)), exceedance=float(rng.uniform(0.2, 2)),
        subscription=float(rng.uniform(0, 60)),
    ).model_copy(update={"carbon_kg_per_kwh": float(rng.uniform(0.02, 0.1))})  # fmt: skip
    here = district(*assets, contracts={"test": priced})
    return replace(here, values=here.values.model_copy(update={"carbon_per_kg": 0.1}))


def _expected(rng: np.random.Generator, slots: Slots) -> dict[str, Forecast]:
    hour = np.array([s.hour for s in slots])
    sun = np.maximum(np.sin((hour - 7) / 10 * np.pi), 0) * ((hour > 7) & (hour < 17))
    outdoor = rng.uniform(-2, 28) + 4 * np.sin((hour - 9) / 12 * np.pi)
    return forecasts(
        slots,
        house__load__power_kw=rng.uniform(1, 15) * (1 + 0.5 * np.sin(hour / 24 * 2 * np.pi)),
        house__roof__power_kw=-rng.uniform(2, 40) * sun,
        house__tank__draw_kw=rng.uniform(1, 8) * (1 + 2 * np.exp(-((hour - 7.5) ** 2) / 4)),
        house__sky__outdoor_temperature_c=outdoor,
        house__sky__irradiance_w_per_m2=sun * rng.uniform(100, 800),
        house__homes__gains_kw=rng.uniform(0.2, 1),
        house__office__gains_kw=rng.uniform(0.5, 8) * (1.0 * ((hour > 7) & (hour < 18)) + 0.1),
        house__loop__seawater_temperature_c=rng.uniform(12, 22),
    )


def _known(rng: np.random.Generator, here: District, slots: Slots) -> Snapshot:
    sessions = {}
    for name, point in here.of(ChargePoint).items():
        tells = point.give_back_current_a > 0
        sessions[name] = Session(
            name, float(rng.uniform(2, 25)), slots.at(int(rng.integers(4, 24))),
            stored_kwh=25.0 if tells else None, capacity_kwh=60.0 if tells else None,
        )  # fmt: skip
    for name in here.of(BikeRoom):
        sessions[name] = Session(name, float(rng.uniform(1, 8)), slots.at(int(rng.integers(6, 24))))
    outdoor = float(rng.uniform(19, 22))
    flats = {f"house__flat_{i}__{q}": outdoor for i in range(4) for q in ("temperature_c", "setpoint_c")}
    return snapshot(
        slots,
        sessions,
        house__cellar__stored_kwh=float(rng.uniform(2, 40)),
        house__tank__top_temperature_c=60.0,
        house__tank__middle_temperature_c=float(rng.uniform(45, 60)),
        house__tank__bottom_temperature_c=float(rng.uniform(30, 55)),
        house__office__temperature_c=float(rng.uniform(18, 25)),
        house__loop__temperature_c=16.0,
        house__laundry__done_h=0.0,
        **flats,
    )
