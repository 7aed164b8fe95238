"""The tempered loop on seawater: a store of lukewarm water that floats with the sea.

It belongs to another operator: we observe temperature, flow, limit and tariff at the delivery exchanger. heat_kw > 0
flows into the loop (from the sea, or rejected by a plant that cools).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo

from ems.assets.asset import Asset, Celsius, NotNegative, Positive
from ems.assets.outlook import Cost, Outlook, Part, Planned, Port, Slack, index_fleet, per_name, per_slot
from ems.command import Setpoint
from ems.series import Floats

WATER_KWH_PER_M3_K = 1.163  # heat capacity of water
DESIGN_SEA_C = 16.0
DESIGN_LOOP_C = 16.0
# Between these shares of full flow the cube of the pump is drawn as straight lines.
PUMP_SHARES = (0.0, 0.4, 0.7, 1.0, 2.0)


class Loop(Asset):
    """One loop with one seawater exchanger."""

    type: Literal["loop"] = "loop"
    supply: str  # of the seawater and loop pumps
    volume_m3: Positive
    heat_limit_kw: Positive  # sea to loop
    cold_limit_kw: Positive  # loop to sea
    exchanger_kw_per_k: Positive
    minimum_c: Celsius = 8.0
    maximum_c: Celsius = 32.0
    pump_kw: NotNegative  # at full flow; the cube of flow below
    heat_price_per_kwh: NotNegative = 0.0  # what the operator bills for heat taken
    cold_price_per_kwh: NotNegative = 0.0

    @property
    def kwh_per_k(self) -> float:
        return self.volume_m3 * WATER_KWH_PER_M3_K


TYPES = (Loop,)


def next_temperature_c(temperature_c: Any, from_sea_kw: Any, taken_kw: Any, kwh_per_k: float, hours: float) -> Any:
    """Loop temperature at the end of a slot: the energy balance of a mixed volume."""
    return temperature_c + (from_sea_kw - taken_kw) * (hours / kwh_per_k)


def from_sea_kw(sea_c: Any, temperature_c: Any, exchanger_kw_per_k: float) -> Any:
    """Heat the exchanger brings at the loop temperature of the slot's end: UA x (sea - loop).

    The end, not the start: the loop follows the sea within minutes, and an explicit step of a quarter-hour would swing.
    """
    return exchanger_kw_per_k * (sea_c - temperature_c)


def pump_slope(low_share: float, high_share: float) -> float:
    """Mean slope of share^3 between two shares of full flow: the chord, so that power is exact at both."""
    return (high_share**3 - low_share**3) / (high_share - low_share)


def pump_power_kw(flow_share: Any, pump_kw: Any) -> Any:
    """Pump electricity: the cube of the flow (affinity law), drawn as chords between `PUMP_SHARES`."""
    cubes = [share**3 for share in PUMP_SHARES]
    return pump_kw * np.interp(flow_share, PUMP_SHARES, cubes)


def sea_c(loop: Loop, outlook: Outlook) -> Floats:
    """Forecast seawater temperature within the loop's limits (beyond them the operator throttles), degC."""
    point = loop.point("seawater_temperature_c")
    now = outlook.snapshot.value(point)
    expected = outlook.expected(point, DESIGN_SEA_C if now is None else now)
    return np.clip(expected, loop.minimum_c, loop.maximum_c)


def temperature_now_c(loop: Loop, outlook: Outlook) -> float:
    point = loop.point("temperature_c")
    return outlook.bounded(point, outlook.measured(point, DESIGN_LOOP_C), loop.minimum_c, loop.maximum_c)


def build(block: Any, fleet: Mapping[str, Loop], outlook: Outlook) -> Part:
    """The loop's temperature, its exchanger and its pumps."""
    slots = outlook.slots
    index_fleet(block, fleet, slots)
    sea = {n: sea_c(a, outlook) for n, a in fleet.items()}
    band = {n: (a.minimum_c, a.maximum_c) for n, a in fleet.items()}
    block.pieces = pyo.RangeSet(1, len(PUMP_SHARES) - 1)
    widths = {k: PUMP_SHARES[k] - PUMP_SHARES[k - 1] if k < len(PUMP_SHARES) - 1 else None for k in block.pieces}
    block.slope = pyo.Param(
        block.pieces, initialize={k: pump_slope(PUMP_SHARES[k - 1], PUMP_SHARES[k]) for k in block.pieces}
    )
    block.pumped_share = pyo.Var(block.fleet, block.pieces, block.flows, bounds=lambda _, n, k, t: (0.0, widths[k]))
    block.sea_c = pyo.Param(block.fleet, block.flows, initialize=per_slot(sea))
    block.at_start_c = pyo.Param(block.fleet, initialize={n: temperature_now_c(a, outlook) for n, a in fleet.items()})
    for field in ("kwh_per_k", "exchanger_kw_per_k", "pump_kw", "heat_limit_kw", "cold_limit_kw"):
        block.add_component(
            field, pyo.Param(block.fleet, initialize=per_name({n: getattr(a, field) for n, a in fleet.items()}))
        )
    block.temperature_c = pyo.Var(block.fleet, block.stocks, bounds=lambda _, n, t: band[n])
    block.heat_from_sea_kw = pyo.Var(block.fleet, block.flows, bounds=(0, None))
    block.heat_to_sea_kw = pyo.Var(block.fleet, block.flows, bounds=(0, None))
    block.taken_kw = pyo.Var(block.fleet, block.flows)
    block.beyond_limit_kw = pyo.Var(block.fleet, block.flows, bounds=(0, None))
    block.power_kw = pyo.Var(block.fleet, block.flows, bounds=(0, None))
    # The sea acts on the loop whether or not there is power for its pumps.
    block.unpumped_share = pyo.Var(block.fleet, block.flows, bounds=(0, None))

    @block.Constraint(block.fleet)  # type: ignore[untyped-decorator]
    def starts_as_measured(b: Any, n: Any) -> Any:
        return b.temperature_c[n, 0] == b.at_start_c[n]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def keeps_heat(b: Any, n: Any, t: Any) -> Any:
        net = b.heat_from_sea_kw[n, t] - b.heat_to_sea_kw[n, t]
        return b.temperature_c[n, t + 1] == next_temperature_c(
            b.temperature_c[n, t], net, b.taken_kw[n, t], b.kwh_per_k[n], slots.hours
        )

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def exchanges_with_the_sea(b: Any, n: Any, t: Any) -> Any:
        return b.heat_from_sea_kw[n, t] - b.heat_to_sea_kw[n, t] == from_sea_kw(
            b.sea_c[n, t], b.temperature_c[n, t + 1], b.exchanger_kw_per_k[n]
        )

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def takes_within_limit(b: Any, n: Any, t: Any) -> Any:
        return b.heat_from_sea_kw[n, t] - b.beyond_limit_kw[n, t] <= b.heat_limit_kw[n]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def rejects_within_limit(b: Any, n: Any, t: Any) -> Any:
        return b.heat_to_sea_kw[n, t] - b.beyond_limit_kw[n, t] <= b.cold_limit_kw[n]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def pumps_what_it_exchanges(b: Any, n: Any, t: Any) -> Any:
        share = b.heat_from_sea_kw[n, t] / b.heat_limit_kw[n] + b.heat_to_sea_kw[n, t] / b.cold_limit_kw[n]
        return sum(b.pumped_share[n, k, t] for k in b.pieces) + b.unpumped_share[n, t] >= share

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def pumps_by_the_cube(b: Any, n: Any, t: Any) -> Any:
        return b.power_kw[n, t] == b.pump_kw[n] * sum(b.slope[k] * b.pumped_share[n, k, t] for k in b.pieces)

    heat = np.array([[(a.heat_price_per_kwh + 1e-5) * slots.hours] * slots.count for a in fleet.values()])
    cold = np.array([[(a.cold_price_per_kwh + 1e-5) * slots.hours] * slots.count for a in fleet.values()])
    steepest = pump_slope(PUMP_SHARES[-2], PUMP_SHARES[-1])  # so that not pumping never pays
    dark = np.array(
        [
            [2 * outlook.worth.unserved_per_kwh * (steepest * a.pump_kw + 0.01) * slots.hours] * slots.count
            for a in fleet.values()
        ]
    )
    return Part(
        ports=(
            Port("loop", block.taken_kw, {n: n for n in fleet}, gives=True),
            Port("electricity", block.power_kw, {n: a.supply for n, a in fleet.items()}),
        ),
        costs=(
            Cost("loop", block.heat_from_sea_kw, heat),
            Cost("loop", block.heat_to_sea_kw, cold),
            Cost("unserved", block.unpumped_share, dark),
            Cost("unserved", block.beyond_limit_kw, outlook.worth.unserved_per_kwh * slots.hours),
        ),
        slacks=(
            Slack(
                block.unpumped_share,
                "pompes de boucle sans courant",
                "loop pumps without power",
                "h",
                slots.hours,
                "relever la limite physique de leur point de livraison",
                "raise the physical limit of their supply point",
            ),
            Slack(
                block.beyond_limit_kw,
                "au-delà de la limite de l'échangeur",
                "beyond the exchanger's limit",
                "kWh",
                slots.hours,
                "étaler la production des centrales",
                "spread the plants' production",
            ),
        ),
    )


def actuate(planned: Planned, fleet: Mapping[str, Loop], outlook: Outlook) -> list[Setpoint]:
    """Holds the loop where it stands in the plan, for a site that owns it; elsewhere its points are not commanded."""
    setpoints = []
    for name, loop in fleet.items():
        most = float(planned.flow(name, "heat_from_sea_kw")[0]) / loop.heat_limit_kw
        most = max(most, float(planned.flow(name, "heat_to_sea_kw")[0]) / loop.cold_limit_kw)
        reason = "suit l'échange prévu | follows the planned exchange"
        setpoints.append(
            Setpoint(loop.point("setpoint_c"), round(float(planned.state(name, "temperature_c")[1]), 1), reason)
        )
        setpoints.append(Setpoint(loop.point("pump_share"), round(min(1.0, max(0.3, most + 0.1)), 2), reason))
    return setpoints
