"""Substations: a weather-compensated supply temperature with our offset, and a cold supply."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ems.assets import Substation
from ems.series import Floats

APPROACH_K = 0.7  # of its heat exchanger
FOLLOWS_PER_MINUTE = 0.3
MEMORY_PER_MINUTE = 1 / (24 * 60)  # the controller's daily mean of outdoor temperature
COOL_MEMORY_PER_MINUTE = 1 / (3 * 60)  # what the curve follows


class Substations:
    """All substations of the district."""

    def __init__(self, substations: Sequence[Substation], plants: Sequence[str]) -> None:
        n = len(substations)
        self.plant = np.array([plants.index(s.plant) for s in substations], dtype=np.int64)
        self.of_plant = np.zeros((len(plants), n))
        self.of_plant[self.plant, np.arange(n)] = 1
        self.design_supply_c = np.array([s.design_supply_c for s in substations])
        self.neutral_supply_c = np.array([s.neutral_supply_c for s in substations])
        self.design_outdoor_c = np.array([s.design_outdoor_c for s in substations])
        self.neutral_outdoor_c = np.array([s.neutral_outdoor_c for s in substations])
        self.slope = (self.design_supply_c - self.neutral_supply_c) / (self.neutral_outdoor_c - self.design_outdoor_c)
        self.pump_kw = np.array([s.pump_kw for s in substations])
        self.cooled = np.array([s.cold_limit_kw > 0 for s in substations])
        self.offset_k = np.zeros(n)
        self.cold_setpoint_c = np.full(n, 8.0)
        self.heartbeat = np.zeros(n)
        self.supply_c = np.full(n, 25.0)
        self.return_c = np.full(n, 24.0)
        self.cold_supply_c = np.full(n, 12.0)
        self.flow_m3_per_h = np.zeros(n)
        self.pump_on = np.zeros(n, dtype=bool)
        self.heat_kw = np.zeros(n)
        self.cold_kw = np.zeros(n)
        self.electric_kw = np.zeros(n)
        self.daily_c = 15.0
        self.felt_c = 15.0

    def prepare(self, outdoor_c: float, heating_c: Floats, cold_c: Floats) -> None:
        """Supply temperatures of this minute from the buffers of the plants (per plant)."""
        self.daily_c += (outdoor_c - self.daily_c) * MEMORY_PER_MINUTE
        self.felt_c += (outdoor_c - self.felt_c) * COOL_MEMORY_PER_MINUTE
        self.pump_on = self.daily_c < self.neutral_outdoor_c
        curve = self.neutral_supply_c + self.slope * (self.neutral_outdoor_c - self.felt_c) + self.offset_k
        target = np.minimum(np.maximum(curve, 20.0), 50.0)
        supply = self.supply_c + (target - self.supply_c) * FOLLOWS_PER_MINUTE
        self.supply_c = np.minimum(supply, heating_c[self.plant] - APPROACH_K)
        self.cold_supply_c = np.maximum(self.cold_setpoint_c, cold_c[self.plant] + APPROACH_K)

    def hand_over(self, heat_kw: Floats, cold_kw: Floats, flow_kw_per_k: Floats, full_flow_kw_per_k: Floats) -> None:
        """What the zones took; flows as heat capacity flows, kW/K."""
        self.heat_kw, self.cold_kw = heat_kw, cold_kw
        self.flow_m3_per_h = flow_kw_per_k / 1.163
        spread_k = heat_kw / np.maximum(flow_kw_per_k, 1e-6)
        self.return_c = np.where(
            flow_kw_per_k > 1e-6, self.supply_c - spread_k, self.return_c + (22 - self.return_c) * 0.01
        )
        flow = flow_kw_per_k / full_flow_kw_per_k
        working = self.pump_on & (flow > 0.01) | (cold_kw > 0.1)
        self.electric_kw = self.pump_kw * np.where(working, 0.25 + 0.75 * np.minimum(flow, 1) ** 2, 0.03)


def called(of_plant: Floats, asks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Per plant: whether any of its substations asks."""
    return np.asarray((of_plant @ asks) > 0)
