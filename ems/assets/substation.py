"""A building's heat (and cold) substation: it takes heat from its plant and hands it to the zones behind it.

heating_kw > 0 flows into the building.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo

from ems.assets.asset import Asset, Celsius, NotNegative, Positive
from ems.assets.outlook import Outlook, Part, Planned, Port, both, index_fleet
from ems.assets.tables import between, per_name
from ems.assets.weather_station import outdoor_c
from ems.command import Setpoint
from ems.series import Floats

ROOM_C = 20.0  # at which emitters are rated
LARGEST_OFFSET_K = 5.0
MARGIN_K = 1.0  # the water is this much warmer than the plan needs: valves, not the curve, hold a room
COLD_SUPPLY_C, MILD_COLD_SUPPLY_C = 8.0, 12.0  # at full and at no cold load (assumption)


class Substation(Asset):
    """Weather-compensated distribution: we may shift its heating curve by -5..+5 K."""

    type: Literal["substation"] = "substation"
    plant: str
    supply: str  # of its pumps
    heat_limit_kw: Positive
    cold_limit_kw: NotNegative = 0.0
    pump_kw: NotNegative = 0.5
    design_supply_c: Celsius = 40.0  # at design outdoor temperature
    design_outdoor_c: Celsius = -3.0
    neutral_outdoor_c: Celsius = 17.0  # no heating above
    neutral_supply_c: Celsius = 25.0


TYPES = (Substation,)


def curve_c(substation: Substation, outdoor: Any) -> Any:
    """Supply temperature of the heating curve, degC: a straight line, level beyond its ends."""
    span = substation.neutral_outdoor_c - substation.design_outdoor_c
    share = np.clip((substation.neutral_outdoor_c - outdoor) / span, 0, 1)
    return substation.neutral_supply_c + share * (substation.design_supply_c - substation.neutral_supply_c)


def emitter_share(substation: Substation, supply_c: Any) -> Any:
    """Share of their rated heat that emitters give at a supply temperature: in proportion to supply - room."""
    return np.clip((supply_c - ROOM_C) / max(substation.design_supply_c - ROOM_C, 1.0), 0, 1)


def supply_c(substation: Substation, share: float) -> float:
    """Supply temperature at which emitters give a share of their rated heat: the inverse of `emitter_share`."""
    return ROOM_C + share * max(substation.design_supply_c - ROOM_C, 1.0)


def pump_power_kw(heating_kw: Any, cold_kw: Any, pump_kw: float, heat_limit_kw: float, cold_limit_kw: float) -> Any:
    """Pump electricity in proportion to what it carries."""
    return pump_kw * (heating_kw / heat_limit_kw + cold_kw / cold_limit_kw)


def build(block: Any, fleet: Mapping[str, Substation], outlook: Outlook) -> Part:
    """Carries heat and cold from the plant to the zones, within its limits."""
    slots = outlook.slots
    index_fleet(block, fleet, slots)
    for field in ("pump_kw", "heat_limit_kw"):
        block.add_component(
            field, pyo.Param(block.fleet, initialize=per_name({n: getattr(a, field) for n, a in fleet.items()}))
        )
    block.cold_limit_kw = pyo.Param(
        block.fleet, initialize=per_name({n: a.cold_limit_kw or 1.0 for n, a in fleet.items()})
    )
    heat = {n: a.heat_limit_kw * outlook.in_service(n) for n, a in fleet.items()}
    cold = {n: a.cold_limit_kw * outlook.in_service(n) for n, a in fleet.items()}
    zero, count = dict.fromkeys(fleet, 0.0), slots.count
    block.heating_kw = pyo.Var(block.fleet, block.flows, bounds=between(zero, heat, count))
    block.cold_kw = pyo.Var(block.fleet, block.flows, bounds=between(zero, cold, count))
    block.power_kw = pyo.Var(block.fleet, block.flows, bounds=(0, None))

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def pumps_what_it_carries(b: Any, n: Any, t: Any) -> Any:
        return b.power_kw[n, t] == pump_power_kw(
            b.heating_kw[n, t], b.cold_kw[n, t], b.pump_kw[n], b.heat_limit_kw[n], b.cold_limit_kw[n]
        )

    plant, own = {n: a.plant for n, a in fleet.items()}, {n: n for n in fleet}
    return Part(
        ports=(
            Port("heating", block.heating_kw, plant),
            Port("heating", block.heating_kw, own, gives=True),
            Port("cold", block.cold_kw, plant),
            Port("cold", block.cold_kw, own, gives=True),
            Port("electricity", block.power_kw, {n: a.supply for n, a in fleet.items()}),
        ),
    )


def rated_heating_kw(outlook: Outlook) -> dict[str, float]:
    """What the emitters behind each substation give at design supply temperature, kW."""
    rated: dict[str, float] = {}
    for asset in outlook.assets.values():
        fabric = getattr(asset, "fabric", None)
        if fabric is not None:
            behind = str(getattr(asset, "substation", ""))
            rated[behind] = rated.get(behind, 0.0) + fabric.heating_w_per_m2 * getattr(asset, "surface_m2", 0.0) / 1000
    return rated


def running_supply_c(
    planned: Planned, name: str, substation: Substation, outdoor: Floats, rated_kw: float, somebody_is_cold: bool
) -> float:
    """Heating-water temperature that this slot needs, degC: enough for the planned heat, within our offset.

    The planned heat is the mean of all rooms: while somebody is colder than asked, the water is as warm as the curve.
    """
    curve = float(curve_c(substation, outdoor[0]))
    needed = float(np.max(planned.flow(name, "heating_kw")[:2])) / max(rated_kw, 1e-6)
    wanted = max(supply_c(substation, needed) + MARGIN_K, curve if somebody_is_cold else -math.inf)
    return min(max(wanted, curve - LARGEST_OFFSET_K), curve + LARGEST_OFFSET_K)


def cold_homes(outlook: Outlook) -> frozenset[str]:
    """The substations behind which a home is colder than its residents ask."""
    return frozenset(str(getattr(a, "substation", "")) for a in outlook.assets.values() if outlook.colder_than_asked(a))


def running_cold_supply_c(planned: Planned, name: str, substation: Substation) -> float:
    """Cold-water temperature for this slot, degC: the smaller the load, the warmer the water may be."""
    load = float(planned.flow(name, "cold_kw")[0]) / max(substation.cold_limit_kw, 1.0)
    return round(MILD_COLD_SUPPLY_C - min(load, 1.0) * (MILD_COLD_SUPPLY_C - COLD_SUPPLY_C), 1)


def actuate(planned: Planned, fleet: Mapping[str, Substation], outlook: Outlook) -> list[Setpoint]:
    """Offset on the heating curve and cold-water set point."""
    outdoor, rated, cold = outdoor_c(outlook), rated_heating_kw(outlook), cold_homes(outlook)
    setpoints = []
    for name, substation in fleet.items():
        heating, chilled = float(planned.flow(name, "heating_kw")[0]), float(planned.flow(name, "cold_kw")[0])
        rated_kw = rated.get(name, substation.heat_limit_kw)
        wanted = running_supply_c(planned, name, substation, outdoor, rated_kw, name in cold)
        offset = round(wanted - float(curve_c(substation, outdoor[0])), 1) + 0.0
        setpoints.append(
            Setpoint(
                substation.point("heating_curve_offset_k"),
                offset,
                both(
                    f"{heating:.0f} kW de chaleur prévus : départ à {wanted:.0f} °C",
                    f"{heating:.0f} kW of heat planned: supply at {wanted:.0f} °C",
                ),
            )
        )
        at = running_cold_supply_c(planned, name, substation)
        setpoints.append(
            Setpoint(
                substation.point("cold_supply_setpoint_c"),
                at,
                both(
                    f"{chilled:.0f} kW de froid prévus : eau à {at:.0f} °C",
                    f"{chilled:.0f} kW of cold planned: water at {at:.0f} °C",
                ),
            )
        )
    return setpoints
