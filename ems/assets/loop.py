"""The tempered loop on seawater: a store of lukewarm water that floats with the sea.

It belongs to another operator: we observe temperature, flow, limit and tariff at the delivery exchanger. heat_kw > 0
flows into the loop (from the sea, or rejected by a plant that cools).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo

from ems.assets.asset import Asset, Celsius, NotNegative, Positive
from ems.assets.outlook import Cost, Outlook, Part, Planned, Port, Slack, index_fleet
from ems.assets.tables import between, per_name, per_slot
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
    design_setpoint_c: Celsius = 16.0  # what the operator holds, where its set point cannot be read
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


def exchanged_kw(edge_c: Any, temperature_c: Any, exchanger_kw_per_k: Any) -> Any:
    """Heat the exchanger moves to bring the loop back to an edge of its band: UA x (edge - loop).

    At the loop temperature of the slot's end, not its start: the loop follows within minutes, and an explicit step of a
    quarter-hour would swing.
    """
    return exchanger_kw_per_k * (edge_c - temperature_c)


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


def floating_band_c(loop: Loop, outlook: Outlook) -> tuple[Floats, Floats]:
    """Between the operator's set point and the sea the loop floats: what one plant rejects, another takes.

    Colder than both it is warmed by the sea, warmer than both it is cooled.
    """
    measured = outlook.snapshot.value(loop.point("setpoint_c"))
    held_c, sea = loop.design_setpoint_c if measured is None else measured, sea_c(loop, outlook)
    held_c = min(max(held_c, loop.minimum_c), loop.maximum_c)
    return np.minimum(sea, held_c), np.maximum(sea, held_c)


def source_c(loop: Loop, outlook: Outlook) -> Floats:
    """What plants may count on, degC per slot: where the loop stands now, drifting into its band within the hour."""
    low, high = floating_band_c(loop, outlook)
    now = temperature_now_c(loop, outlook)
    inside = np.clip(now, low, high)
    source: Floats = inside + (now - inside[0]) * 0.5 ** (np.arange(inside.size) * 4 * outlook.slots.hours)
    return source


def build(block: Any, fleet: Mapping[str, Loop], outlook: Outlook) -> Part:
    """The loop's temperature, its exchanger and its pumps."""
    slots = outlook.slots
    index_fleet(block, fleet, slots)
    bands = {n: floating_band_c(a, outlook) for n, a in fleet.items()}
    coldest, warmest = ({n: getattr(a, k) for n, a in fleet.items()} for k in ("minimum_c", "maximum_c"))
    pieces = list(pairwise(PUMP_SHARES))
    block.pieces = pyo.RangeSet(0, len(pieces) - 1)
    block.slope = pyo.Param(block.pieces, initialize=dict(enumerate(pump_slope(*piece) for piece in pieces)))
    widths = np.array([[high - low] for low, high in pieces])
    widths[-1] = np.inf  # the last piece goes on: flow is limited by what it carries
    block.pumped_share = pyo.Var(
        block.fleet,
        block.pieces,
        block.flows,
        bounds=between(dict.fromkeys(fleet, 0.0), dict.fromkeys(fleet, widths), len(pieces), slots.count),
    )
    block.low_c = pyo.Param(block.fleet, block.flows, initialize=per_slot({n: b[0] for n, b in bands.items()}))
    block.high_c = pyo.Param(block.fleet, block.flows, initialize=per_slot({n: b[1] for n, b in bands.items()}))
    block.at_start_c = pyo.Param(
        block.fleet, initialize=per_name({n: temperature_now_c(a, outlook) for n, a in fleet.items()})
    )
    for field in ("kwh_per_k", "exchanger_kw_per_k", "pump_kw", "heat_limit_kw", "cold_limit_kw"):
        block.add_component(
            field, pyo.Param(block.fleet, initialize=per_name({n: getattr(a, field) for n, a in fleet.items()}))
        )
    block.temperature_c = pyo.Var(block.fleet, block.stocks, bounds=between(coldest, warmest, slots.count + 1))
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

    # Both at least so much, and no more than that for the price of pumping.
    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def is_warmed_by_the_sea(b: Any, n: Any, t: Any) -> Any:
        return b.heat_from_sea_kw[n, t] >= exchanged_kw(
            b.low_c[n, t], b.temperature_c[n, t + 1], b.exchanger_kw_per_k[n]
        )

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def is_cooled_by_the_sea(b: Any, n: Any, t: Any) -> Any:
        return b.heat_to_sea_kw[n, t] >= -exchanged_kw(
            b.high_c[n, t], b.temperature_c[n, t + 1], b.exchanger_kw_per_k[n]
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
