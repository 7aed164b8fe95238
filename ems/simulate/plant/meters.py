"""Meters as they are: clamp errors, counters in whole steps, heat meters that refresh now and then."""

from __future__ import annotations

import numpy as np

from ems.series import Floats
from ems.simulate.plant.chance import chance, spread
from ems.simulate.plant.panel import Counter, Panel

HOURS = 1 / 60
HEAT_STEP_KWH = 1.0
WATER_STEP_M3 = 0.01
CLAMP_SHARE = 0.015  # sub-meters; half of it at supply points
HEAT_SHARE = 0.015


class ElectricityMeters:
    """Meters of one kind of asset: true power in, biased power and energy registers out."""

    def __init__(self, assets: tuple[str, ...], subject: str, error_share: float, yearly_kwh: Floats, seed: int) -> None:
        """`yearly_kwh`: what each meter counts in a usual year, for the reading it begins with."""
        n = len(assets)
        self.assets = assets
        self.gain = spread(seed, f"clamps-{subject}", n, error_share)
        self.power_kw = np.zeros(n)
        self.import_kwh = np.zeros(n)
        self.export_kwh = np.zeros(n)
        self.phase = chance(seed, f"voltage-{subject}").uniform(0, 2 * np.pi, n)
        self.minute = 0
        years = chance(seed, f"age-{subject}").uniform(2.5, 7.0, n)
        self.energy = Counter(years * yearly_kwh, lambda: self.gain * self.import_kwh)
        self.export_energy = Counter(0.02 * years * yearly_kwh, lambda: self.gain * self.export_kwh)

    def step(self, power_kw: Floats, minute: int) -> None:
        self.power_kw, self.minute = power_kw, minute
        imported = np.maximum(power_kw, 0)
        self.import_kwh += imported * HOURS
        self.export_kwh += (imported - power_kw) * HOURS

    def shown_kw(self) -> Floats:
        return self.gain * self.power_kw

    def voltage_v(self) -> Floats:
        """Near 233 V, lower where and when more is drawn."""
        wander = 1.6 * np.sin(2 * np.pi * self.minute / 1440 + self.phase) + 0.7 * np.sin(self.minute * 0.7 + 9 * self.phase)
        return np.asarray(233.0 + wander - 0.4 * np.clip(self.power_kw, -10, 10))

    def panel(self, *, voltage: bool) -> Panel:
        readings = {"power_kw": self.shown_kw}
        if voltage:
            readings["voltage_v"] = self.voltage_v
        return Panel(self.assets, readings, {"energy_kwh": self.energy, "export_energy_kwh": self.export_energy})


class HeatMeters:
    """Heat meters of dwellings: whole kWh, and all they show refreshes every 15, 30 or 60 minutes only."""

    def __init__(self, assets: tuple[str, ...], yearly_kwh: Floats, seed: int) -> None:
        n = len(assets)
        self.assets = assets
        draw = chance(seed, "heat-meters")
        self.gain = draw.uniform(1 - HEAT_SHARE, 1 + HEAT_SHARE, n)
        period = draw.choice([15, 30, 60], n, p=[0.6, 0.25, 0.15])
        phase = draw.integers(0, 60, n) % period
        self._due = [np.flatnonzero(m % period == phase) for m in range(60)]
        self._energy_kwh, self._power_kw = np.zeros(n), np.zeros(n)
        self._supply_c, self._return_c, self._flow = np.full(n, 22.0), np.full(n, 22.0), np.zeros(n)
        self.energy = Counter(draw.uniform(2.5, 7.0, n) * yearly_kwh, lambda: self._energy_kwh, HEAT_STEP_KWH)

    def step(self, minute: int, heat_kwh: Floats, heat_kw: Floats, supply_c: Floats, emitter_c: Floats, flow: Floats) -> None:
        """`flow`: heat capacity flow, kW/K."""
        due = self._due[minute % 60]
        if due.size == 0:
            return
        power, flowing = heat_kw[due], flow[due]
        self._energy_kwh[due] = self.gain[due] * heat_kwh[due]
        self._power_kw[due] = self.gain[due] * power
        supply = np.where(flowing > 0, supply_c[due] - 0.3, emitter_c[due])
        self._supply_c[due] = supply
        self._return_c[due] = supply - np.where(flowing > 0, power / np.maximum(flowing, 1e-9), 0.0)
        self._flow[due] = flowing / 1.163

    def panel(self) -> Panel:
        return Panel(
            self.assets,
            {
                "heat_power_kw": lambda: self._power_kw,
                "heat_supply_c": lambda: self._supply_c,
                "heat_return_c": lambda: self._return_c,
                "heat_flow_m3_per_h": lambda: self._flow,
            },
            {"heat_energy_kwh": self.energy},
        )


class WaterMeters:
    """Hot and cold water of dwellings, in tens of litres."""

    def __init__(self, assets: tuple[str, ...], persons: Floats, seed: int) -> None:
        n = len(assets)
        self.assets = assets
        self.hot_l, self.cold_l = np.zeros(n), np.zeros(n)
        years = chance(seed, "water-meters").uniform(2.5, 7.0, n)
        self.hot = Counter(years * persons * 13.0, lambda: self.hot_l / 1000, WATER_STEP_M3)
        self.cold = Counter(years * persons * 28.0, lambda: self.cold_l / 1000, WATER_STEP_M3)

    def panel(self) -> Panel:
        return Panel(self.assets, {}, {"hot_water_m3": self.hot, "cold_water_m3": self.cold})
