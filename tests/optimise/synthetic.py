"""Made-up forecasts and readings of a plausible winter or summer day, so that a plan can be tried without the field."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from ems.assets import BaseLoad, BikeRoom, ChargePoint, Loop, Photovoltaic, Tank, WeatherStation, Zone
from ems.district import District
from ems.points import good
from ems.series import Floats, Forecast
from ems.slots import Slots
from ems.snapshot import Session, Snapshot

WINTER = datetime(2026, 1, 14, 5, 0, tzinfo=UTC)
SUMMER = datetime(2026, 7, 15, 5, 0, tzinfo=UTC)


def forecast_of(point: str, slots: Slots, values: Floats) -> Forecast:
    return Forecast(point, slots.start, slots, values, values, values, model="synthetic")


def forecasts_of(district: District, slots: Slots) -> dict[str, Forecast]:
    """Every key the planner asks for."""
    hour = np.array([s.hour + s.minute / 60 for s in slots]) + 1
    winter = slots.start.month in (11, 12, 1, 2, 3)
    sun = np.maximum(np.sin((hour - (8 if winter else 6)) / (9 if winter else 15) * np.pi), 0)
    sun = np.where((hour > 6) & (hour < 21), sun, 0)
    office = np.where((hour % 24 > 8) & (hour % 24 < 19), 1.0, 0.25)
    outdoor = (6 if winter else 25) + 4 * np.sin((hour - 9) / 24 * 2 * np.pi)
    values: dict[str, Floats] = {}
    for name, asset in district.assets.items():
        match asset:
            case WeatherStation():
                values[f"{name}/outdoor_temperature_c"] = outdoor
                values[f"{name}/irradiance_w_per_m2"] = sun * (400 if winter else 900)
            case Loop():
                values[f"{name}/seawater_temperature_c"] = np.full(slots.count, 13.5 if winter else 22.0)
            case BaseLoad():
                shape = office if asset.use in ("offices", "shops", "school", "creche") else np.ones(slots.count)
                values[f"{name}/power_kw"] = asset.yearly_kwh / 8760 * shape / max(shape.mean(), 1e-9)
            case Photovoltaic():
                values[f"{name}/power_kw"] = -asset.peak_kw * sun * (0.4 if winter else 0.8)
            case Tank():
                peak = 1 + 1.5 * np.exp(-((hour % 24 - 7.5) ** 2) / 2) + 1.2 * np.exp(-((hour % 24 - 19.5) ** 2) / 3)
                values[f"{name}/draw_kw"] = asset.design_draw_kw * peak / peak.mean()
            case Zone():
                values[f"{name}/gains_kw"] = asset.fabric.gains_w_per_m2 * asset.surface_m2 / 1000 * office
    for building in {d.building for d in district.dwellings.values()}:
        homes = [d for d in district.dwellings.values() if d.building == building]
        values[f"{building}/homes/gains_kw"] = np.full(
            slots.count, sum(d.fabric.gains_w_per_m2 * d.surface_m2 for d in homes) / 1000 * 0.8
        )
        values[f"{building}/homes/power_kw"] = np.full(slots.count, len(homes) * 0.3)
    return {point: forecast_of(point, slots, row) for point, row in values.items()}


def snapshot_of(district: District, slots: Slots, *, sessions: int = 20, **changes: float) -> Snapshot:
    """Good readings of every wired point, near the design; `changes` by quantity."""
    winter = slots.start.month in (11, 12, 1, 2, 3)
    usual = {
        "temperature_c": 19.2 if winter else 25.0,
        "setpoint_c": 19.0,
        "top_temperature_c": 60.0,
        "middle_temperature_c": 57.0,
        "bottom_temperature_c": 46.0,
        "stored_kwh": 100.0,
        "seawater_temperature_c": 13.5 if winter else 22.0,
        "fault_on": 0.0,
    }
    usual |= changes
    samples = {}
    for point, wire in district.wires.items():
        value = usual.get(wire.quantity, 0.0)
        if point.endswith("loop/temperature_c"):
            value = changes.get("loop_c", 14.0 if winter else 22.0)
        samples[point] = good(value, slots.start)
    cars = list(district.of(ChargePoint))[:sessions]
    known = {
        n: Session(n, 8.0 + 2 * (i % 9), slots.start + (8 + i) * slots.length * 4 * 15 / slots.minutes / 4)
        for i, n in enumerate(cars)
    }
    for n, room in district.of(BikeRoom).items():
        known[n] = Session(n, 0.3 * room.places, slots.at(min(slots.count, 48)))
    return Snapshot(at=slots.start, samples=samples, sessions=known)
