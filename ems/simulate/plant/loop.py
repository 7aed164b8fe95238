"""The tempered loop: one volume of water that floats with the sea through a fouling exchanger.

The operator's control imports heat below the set point when the sea is warmer, rejects above it when the sea is
colder, and lets the loop float in between: what one plant rejects, another takes.
"""

from __future__ import annotations

from ems.assets import Loop

HOURS = 1 / 60
KWH_PER_M3_K = 1.163
GROUND_KW_PER_K = 2.0  # pipes in the ground at 16 degC (assumption)
GROUND_C = 16.0
FOULING_SHARE = 0.85  # of the clean exchanger
FLOW_EXPONENT = 0.8  # of heat transfer over flow (Dittus-Boelter)
DEMAND_KW = 1500.0  # at which the valves of the delivery exchangers stand open


class TemperedLoop:
    """`setpoint_c` and `pump_share` are the operator's; heat is positive into the loop."""

    def __init__(self, loop: Loop, start_c: float) -> None:
        self.loop = loop
        self.temperature_c = start_c
        self.setpoint_c = 16.0
        self.pump_share = 0.6  # differential pressure: the speed at which open valves see full flow
        self.capacity_kwh_per_k = loop.volume_m3 * KWH_PER_M3_K
        self.sea_kw = 0.0
        self.ground_kw = 0.0
        self.plants_kw = 0.0
        self.flow_share = 0.0
        self.pump_kw = 0.0
        self.sea_kwh = 0.0
        self.ground_kwh = 0.0
        self.plants_kwh = 0.0

    def step(self, seawater_c: float, into_plants_kw: float, gross_kw: float) -> None:
        """One minute. `into_plants_kw`: net heat the plants take; `gross_kw`: what they exchange in both directions."""
        valves = min(max(gross_kw / DEMAND_KW, 0.15), 1.0)
        self.flow_share = self.pump_share * valves
        self.pump_kw = self.loop.pump_kw * self.flow_share**3 + 0.5
        transfer = self.loop.exchanger_kw_per_k * FOULING_SHARE * self.flow_share**FLOW_EXPONENT
        gap = seawater_c - self.temperature_c
        wants_heat = self.temperature_c < self.setpoint_c and gap > 0
        wants_cold = self.temperature_c > self.setpoint_c and gap < 0
        self.sea_kw = 0.0
        if wants_heat or wants_cold:
            most = 0.5 * abs(gap) * self.capacity_kwh_per_k / HOURS
            self.sea_kw = max(min(transfer * gap, self.loop.heat_limit_kw, most), -self.loop.cold_limit_kw, -most)
        self.ground_kw = GROUND_KW_PER_K * (GROUND_C - self.temperature_c)
        self.plants_kw = into_plants_kw
        self.temperature_c += (self.sea_kw + self.ground_kw - into_plants_kw) * HOURS / self.capacity_kwh_per_k
        self.sea_kwh += self.sea_kw * HOURS
        self.ground_kwh += self.ground_kw * HOURS
        self.plants_kwh += into_plants_kw * HOURS

    def flow_m3_per_h(self) -> float:
        """Full flow carries the larger limit at 5 K."""
        return self.flow_share * max(self.loop.heat_limit_kw, self.loop.cold_limit_kw) / (KWH_PER_M3_K * 5.0)

    def stored_kwh(self) -> float:
        return self.temperature_c * self.capacity_kwh_per_k
