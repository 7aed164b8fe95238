"""Electricity that nobody steers, photovoltaics and batteries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ems.assets import BaseLoad, Battery, Photovoltaic
from ems.simulate.plant.chance import chance, spread
from ems.simulate.plant.day import MINUTES, Day
from ems.simulate.plant.sun import on_plane

HOURS = 1 / 60
STANDARD_W_PER_M2 = 1000.0
INVERTER_SHARE = 0.92  # of the peak: what the inverter carries
# Power by local hour on a working day and otherwise, relative to its own mean over a year (assumption: usual shapes).
SHAPES: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "offices": (
        [30, 29, 28, 28, 28, 30, 38, 60, 95, 115, 120, 122, 112, 112, 120, 120, 116, 108, 85, 60, 45, 38, 34, 31],
        [28, 28, 28, 27, 27, 27, 28, 30, 32, 33, 34, 34, 34, 34, 34, 33, 32, 31, 30, 29, 29, 28, 28, 28],
    ),
    "shops": (
        [30, 29, 29, 29, 30, 35, 45, 60, 90, 130, 140, 142, 142, 142, 142, 142, 142, 144, 144, 130, 70, 45, 36, 32],
        [30, 29, 29, 29, 30, 33, 40, 55, 80, 120, 130, 132, 132, 132, 132, 132, 132, 134, 134, 120, 65, 42, 34, 31],
    ),
    "hotel": (
        [60, 52, 48, 47, 50, 65, 100, 130, 130, 110, 95, 95, 105, 100, 90, 88, 92, 105, 125, 140, 145, 130, 105, 78],
        [60, 52, 48, 47, 50, 60, 90, 125, 135, 120, 100, 98, 108, 102, 92, 90, 94, 107, 127, 142, 146, 132, 106, 80],
    ),
    "creche": (
        [20, 20, 20, 20, 20, 25, 50, 110, 130, 140, 180, 200, 150, 110, 100, 110, 110, 95, 60, 25, 22, 20, 20, 20],
        [20] * 24,
    ),
    "school": (
        [20, 20, 20, 20, 20, 25, 45, 100, 150, 160, 170, 190, 160, 140, 150, 140, 100, 70, 40, 25, 22, 20, 20, 20],
        [20] * 24,
    ),
    "landlord": (
        [75, 72, 70, 70, 72, 80, 105, 120, 110, 100, 98, 102, 108, 102, 98, 98, 105, 125, 140, 140, 130, 115, 95, 82],
        [78, 74, 70, 70, 70, 74, 85, 98, 108, 110, 110, 112, 115, 108, 102, 100, 106, 120, 132, 132, 122, 110, 95, 84],
    ),
    "parking": (
        [70, 65, 62, 62, 65, 80, 105, 130, 130, 110, 100, 100, 108, 105, 100, 102, 110, 130, 140, 130, 110, 95, 85, 76],
        [70, 65, 62, 62, 62, 66, 75, 82, 90, 95, 98, 100, 102, 100, 98, 98, 102, 110, 112, 108, 100, 92, 84, 75],
    ),
    "plant-room": ([100] * 24, [100] * 24),
    "home": ([100] * 24, [100] * 24),
}
LIT_SHARE = {"landlord": 0.2, "parking": 0.25, "shops": 0.08, "offices": 0.08, "hotel": 0.08}  # more in winter
AUGUST_SHARE = {"offices": 0.6, "school": 0.25, "creche": 0.5}


class BaseLoads:
    """All uncontrolled loads; power over a year comes to each design energy within a few percent."""

    def __init__(self, loads: Sequence[BaseLoad], seed: int) -> None:
        self.loads, self.seed = loads, seed
        self.mean_kw = []
        for load in loads:
            working, other = (float(np.mean(shape)) for shape in SHAPES[load.use])
            # 251 working days (20 of them in August), the rest weekends and holidays.
            days = 231 * working + 20 * working * AUGUST_SHARE.get(load.use, 1.0) + 114 * other
            self.mean_kw.append(load.yearly_kwh / 8760 / (days / 365))
        self.power_kw = np.zeros((MINUTES, len(loads)))

    def prepare(self, day: Day) -> None:
        draw = chance(self.seed, "base-loads", day.number)
        noise = draw.normal(0, 1, (MINUTES // 10, len(self.loads)))
        smooth = noise + np.roll(noise, 1, axis=0) + np.roll(noise, 2, axis=0)
        wobble = 1 + 0.025 * np.repeat(smooth, 10, axis=0)
        level = 1 + draw.normal(0, 0.04, len(self.loads))
        working = (day.weekday <= 5) & ~day.holiday
        for k, load in enumerate(self.loads):
            on, off = (np.interp(day.local_hour, np.arange(25), [*shape, shape[0]]) for shape in SHAPES[load.use])
            power = np.where(working, on * (AUGUST_SHARE.get(load.use, 1.0) if day.local_date.month == 8 else 1.0), off)
            power = power * self.mean_kw[k] * (1 + LIT_SHARE.get(load.use, 0.0) * day.season)
            self.power_kw[:, k] = np.maximum(power * wobble[:, k] * level[k], 0)


class Arrays:
    """All photovoltaic arrays. `possible_kw` is generation, positive; `power_kw` flows into the asset, so <= 0."""

    def __init__(self, arrays: Sequence[Photovoltaic], seed: int) -> None:
        self.arrays = arrays
        n = len(arrays)
        self.peak_kw = np.array([a.peak_kw for a in arrays])
        self.performance = np.array([a.performance_share for a in arrays]) * spread(seed, "photovoltaics", n, 0.06)
        self.limit_share = np.ones(n)
        self.power_kw = np.zeros(n)
        self.possible_kw = np.zeros((MINUTES, n))
        self.curtailed_kwh = np.zeros(n)

    def prepare(self, day: Day) -> None:
        """Generation on each plane, less at a hot module (0.4 %/K, NOCT 45 degC), clipped by the inverter."""
        sky = day.weather
        for k, array in enumerate(self.arrays):
            plane = on_plane(
                day.elevation,
                day.azimuth,
                sky.ghi_w_per_m2,
                sky.dni_w_per_m2,
                sky.dhi_w_per_m2,
                array.tilt_deg,
                array.azimuth_deg,
            )
            module_c = sky.outdoor_c + plane * (25.0 / 800.0) * np.exp(-0.05 * sky.wind_m_per_s)
            # The design performance includes a usual summer module temperature of 40 degC.
            share = self.performance[k] * (1 - 0.004 * (module_c - 40.0))
            self.possible_kw[:, k] = np.clip(plane / STANDARD_W_PER_M2 * share, 0, INVERTER_SHARE) * array.peak_kw

    def step(self, minute: int) -> None:
        possible = self.possible_kw[minute]
        given = np.minimum(possible, self.limit_share * self.peak_kw)
        self.curtailed_kwh += (possible - given) * HOURS
        self.power_kw = -given


class Batteries:
    """All batteries. They follow their set point; at 0, which is also what stands when nobody commands, they rest.

    Self-consumption is a rule of an energy manager, not of the inverter alone: it needs the meter at the supply point.
    """

    def __init__(self, batteries: Sequence[Battery], seed: int) -> None:
        n = len(batteries)
        self.capacity_kwh = np.array([b.capacity_kwh for b in batteries]) * spread(seed, "battery-health", n, 0.05)
        self.charge_limit_kw = np.array([b.charge_limit_kw for b in batteries])
        self.discharge_limit_kw = np.array([b.discharge_limit_kw for b in batteries])
        self.efficiency = np.minimum(
            np.array([b.one_way_efficiency for b in batteries]) * spread(seed, "battery-efficiency", n, 0.01), 0.99
        )
        self.minimum_kwh = np.array([b.minimum_share for b in batteries]) * self.capacity_kwh
        self.maximum_kwh = np.array([b.maximum_share for b in batteries]) * self.capacity_kwh
        self.stored_kwh = 0.5 * self.capacity_kwh
        self.setpoint_kw = np.zeros(n)
        self.power_kw = np.zeros(n)
        self.loss_kwh = np.zeros(n)
        self.charged_kwh = np.zeros(n)
        self.discharged_kwh = np.zeros(n)

    def step(self) -> None:
        charge_room = np.maximum(self.maximum_kwh - self.stored_kwh, 0) / self.efficiency / HOURS
        discharge_room = np.maximum(self.stored_kwh - self.minimum_kwh, 0) * self.efficiency / HOURS
        charge = np.minimum(np.minimum(np.maximum(self.setpoint_kw, 0), self.charge_limit_kw), charge_room)
        discharge = np.minimum(np.minimum(np.maximum(-self.setpoint_kw, 0), self.discharge_limit_kw), discharge_room)
        into = charge * self.efficiency - discharge / self.efficiency
        self.stored_kwh = self.stored_kwh + into * HOURS
        self.power_kw = charge - discharge
        self.loss_kwh += (self.power_kw - into) * HOURS
        self.charged_kwh += charge * HOURS
        self.discharged_kwh += discharge * HOURS
