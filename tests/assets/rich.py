"""A small district in which every term of every asset type stands, with a forecast and a reading for all of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from ems.assets import (
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
from ems.snapshot import Override, Session, Snapshot
from tests.optimise.small import MIDNIGHT, district, forecasts, snapshot, supply

FABRIC = Fabric(
    loss_w_per_k_m2=0.9, light_wh_per_k_m2=15, mass_wh_per_k_m2=50, coupling_w_per_k_m2=6.5, solar_aperture_share=0.02,
    gains_w_per_m2=3, heating_w_per_m2=50, cooling_w_per_m2=60,
)  # fmt: skip
SLOTS = Slots(MIDNIGHT, 48, 30)
PRICES = [0.3] * 6 + [0.1] * 4 + [0.2] * 14


def rich_district() -> District:
    at = {"supply": "house/meter"}
    return district(
        supply(shares_in="sun", ramp_price_per_kw=0.01, uneven_price_per_kw=0.1),
        supply(name="roof/meter", prm="30000000000002", shares_in="sun", export_limit_kw=30.0),
        BaseLoad(name="house/load", use="home", yearly_kwh=1, **at),
        Battery(name="house/cellar", capacity_kwh=20, charge_limit_kw=8, discharge_limit_kw=8, **at),
        Photovoltaic(name="roof/array", supply="roof/meter", peak_kw=40, tilt_deg=10, azimuth_deg=180),
        Feeder(name="house/feeder", limit_kw=20, **at),
        ChargePoint(name="house/point-1", feeder="house/feeder", phases=1, phase=1),
        ChargePoint(name="house/point-2", feeder="house/feeder", phases=1, phase=2, give_back_current_a=16),
        ChargePoint(name="house/point-3", feeder="house/feeder", phases=3),
        BikeRoom(name="house/bikes", places=10, limit_kw=2, **at),
        Deferrable(name="house/laundry", running_kw=3, run_h=2, until_hour=12, **at),
        Deferrable(name="house/filter", running_kw=1, energy_kwh=3, from_hour=20, until_hour=4, **at),
        Deferrable(name="house/oven", running_kw=4, run_h=1.5, contiguous=True, from_hour=5, until_hour=14, **at),
        Loop(
            name="house/loop", volume_m3=50, heat_limit_kw=500, cold_limit_kw=500, exchanger_kw_per_k=100, pump_kw=10,
            **at,
        ),
        Plant(
            name="house/pumps", loop="house/loop", circuits=2, heat_kw=50, cold_kw=50, quiet_from_hour=22,
            quiet_until_hour=6, **at,
        ),
        Substation(name="house/station", plant="house/pumps", heat_limit_kw=80, cold_limit_kw=60, **at),
        Tank(
            name="house/tank", plant="house/pumps", volume_m3=2, charge_limit_kw=60, recirculation_loss_kw=1,
            standing_loss_kw=0.2, heater_kw=12, daily_draw_m3=2, pasteurise_days=(3,), **at,
        ),
        WeatherStation(name="house/sky"),
        Dwelling(
            name="house/flat", floor=0, surface_m2=200, rooms=5, orientation="south", prm="30000000000009",
            substation="house/station", fabric=FABRIC,
        ),
        Zone(
            name="house/office", use="offices", surface_m2=300, substation="house/station", fabric=FABRIC,
            opening=Opening(days=(1, 2, 3, 4, 5), from_hour=8, until_hour=18), cooling_occupied_c=26,
        ),
        prices=PRICES, export=0.05, exceedance=1.0, subscription=50.0,
    )  # fmt: skip


def rich_forecasts(slots: Slots = SLOTS) -> dict[str, Forecast]:
    hour = np.array([start.hour + start.minute / 60 for start in slots])
    sun = np.clip(np.sin((hour - 7) / 11 * np.pi), 0, None) * ((hour > 7) & (hour < 18))
    return forecasts(
        slots,
        house__load__power_kw=(4 + 2 * np.sin(hour / 3)).tolist(),
        roof__array__power_kw=(-30 * sun).tolist(),
        house__tank__draw_kw=(3 + 3 * (np.abs(hour - 7) < 1.5)).tolist(),
        house__sky__outdoor_temperature_c=(8 + 4 * np.sin((hour - 9) / 24 * 2 * np.pi)).tolist(),
        house__sky__irradiance_w_per_m2=(400 * sun).tolist(),
        house__flat__gains_kw=0.4,
        house__homes__gains_kw=0.4,
        house__office__gains_kw=(3 * ((hour > 8) & (hour < 18))).tolist(),
        house__loop__seawater_temperature_c=14.0,
    )


def rich_snapshot(slots: Slots = SLOTS) -> Snapshot:
    def leaves(hours: float) -> timedelta:
        return timedelta(hours=hours)

    stays = [
        Session("house/point-1", 12.0, slots.start + leaves(7)),
        Session("house/point-2", 5.0, slots.start + leaves(8), stored_kwh=30.0, capacity_kwh=50.0),
        Session("house/point-3", 20.0, slots.start + leaves(12), arrives_at=slots.start + leaves(3)),
        Session("house/bikes", 3.0, slots.start + leaves(6)),
    ]
    known = snapshot(
        slots,
        {s.asset: s for s in stays},
        house__cellar__stored_kwh=10.0,
        house__laundry__done_h=0.5,
        house__filter__done_h=1.0,
        house__oven__done_h=0.0,
        house__tank__top_temperature_c=60.0,
        house__tank__middle_temperature_c=57.0,
        house__tank__bottom_temperature_c=40.0,
        house__tank__return_temperature_c=53.0,
        house__flat__temperature_c=19.2,
        house__flat__setpoint_c=19.5,
        house__office__temperature_c=18.0,
        house__loop__temperature_c=14.0,
    )
    until = slots.start + timedelta(hours=2)
    held = {"house/cellar/power_setpoint_kw": 2.0, "roof/array/limit_share": 0.9, "house/pumps/capacity_share": 0.9}
    return replace(known, overrides={p: Override(p, v, "anne", "test", until) for p, v in held.items()})
