"""Meters as they are: clamp errors, counters in whole steps, heat meters that refresh now and then."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ems.series import Floats
from ems.simulate.plant.chance import chance, spread
from ems.simulate.plant.panel import Counter, Panel

HOURS = 1 / 60
HEAT_STEP_KWH = 1.0
WATER_STEP_M3 = 0.01
CLAMP_SHARE = 0.015  # sub-meters; half of it at supply points
HEAT_SHARE = 0.015


class ElectricityMeters:
    """All electricity meters: true power in, biased power and energy registers out.

    `kinds` names groups of them; `place[kind]` is each group's slice.
    """

    def __init__(self, kinds: Mapping[str, tuple[tuple[str, ...], float, Floats]], seed: int) -> None:
        """Per kind: assets, clamp error, and what each counts in a usual year, for the reading it begins with."""
        self.assets: dict[str, tuple[str, ...]] = {}
        self.place: dict[str, slice] = {}
        gains, starts, phases, at = [], [], [], 0
        for kind, (assets, error_share, yearly_kwh) in kinds.items():
            n = len(assets)
            self.assets[kind], self.place[kind] = assets, slice(at, at + n)
            at += n
            gains.append(spread(seed, f"clamps-{kind}", n, error_share))
            starts.append(chance(seed, f"age-{kind}").uniform(2.5, 7.0, n) * yearly_kwh)
            phases.append(chance(seed, f"voltage-{kind}").uniform(0, 2 * np.pi, n))
        self.gain, self.start, self.phase = np.concatenate(gains), np.concatenate(starts), np.concatenate(phases)
        self.power_kw = np.zeros(at)
        self._imported, self._exported = np.zeros(at), np.zeros(at)  # sums over minutes, kW
        self.minute = 0

    def step(self, power_kw: Floats, minute: int) -> None:
        """One minute; `power_kw` in the order of the kinds."""
        self.power_kw, self.minute = power_kw, minute
        imported = np.maximum(power_kw, 0)
        self._imported += imported
        self._exported += imported - power_kw

    def import_kwh(self, kind: str) -> Floats:
        """True energy since the world was made."""
        return self._imported[self.place[kind]] * HOURS

    def export_kwh(self, kind: str) -> Floats:
        return self._exported[self.place[kind]] * HOURS

    def now_kw(self, kind: str) -> Floats:
        """True power."""
        return self.power_kw[self.place[kind]]

    def shown_kw(self, kind: str) -> Floats:
        return self.gain[self.place[kind]] * self.now_kw(kind)

    def voltage_v(self, kind: str) -> Floats:
        """Near 233 V, lower where and when more is drawn."""
        phase = self.phase[self.place[kind]]
        wander = 1.6 * np.sin(2 * np.pi * self.minute / 1440 + phase) + 0.7 * np.sin(self.minute * 0.7 + 9 * phase)
        return np.asarray(233.0 + wander - 0.4 * np.clip(self.now_kw(kind), -10, 10))

    def imported(self, kind: str) -> Counter:
        place = self.place[kind]
        return Counter(self.start[place], lambda: self.gain[place] * self.import_kwh(kind))

    def exported(self, kind: str, start_share: float = 0.02) -> Counter:
        place = self.place[kind]
        return Counter(start_share * self.start[place], lambda: self.gain[place] * self.export_kwh(kind))

    def panel(self, kind: str) -> Panel:
        """A meter with voltage, power and both registers."""
        readings = {"power_kw": lambda: self.shown_kw(kind), "voltage_v": lambda: self.voltage_v(kind)}
        return Panel(
            self.assets[kind], readings, {"energy_kwh": self.imported(kind), "export_energy_kwh": self.exported(kind)}
        )


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

    def due(self, minute: int) -> NDArray[np.int64]:
        """The meters that refresh in this minute."""
        return self._due[minute % 60]

    def refresh(
        self,
        due: NDArray[np.int64],
        heat_kwh: Floats,
        power: Floats,
        supply_c: Floats,
        emitter_c: Floats,
        flowing: Floats,
    ) -> None:
        """What those that are `due` see now; `flowing`: heat capacity flow, kW/K."""
        self._energy_kwh[due] = self.gain[due] * heat_kwh
        self._power_kw[due] = self.gain[due] * power
        supply = np.where(flowing > 0, supply_c - 0.3, emitter_c)
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
