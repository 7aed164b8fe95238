"""A photovoltaic array on a roof. power_kw <= 0: it generates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo
from pydantic import Field

from ems.assets.asset import Asset, Positive, Share
from ems.assets.outlook import Cost, Outlook, Part, Planned, Port, both, index_fleet
from ems.assets.tables import per_slot, upper
from ems.command import Setpoint

CURTAILING_PER_KWH = 0.001  # euro: so that sun is only thrown away when nobody pays for it and nobody can use it


class Photovoltaic(Asset):
    """One array behind one inverter and one supply point."""

    type: Literal["photovoltaic"] = "photovoltaic"
    supply: str
    peak_kw: Positive
    tilt_deg: float = Field(ge=0, le=90)
    azimuth_deg: float = Field(ge=0, lt=360)  # 180 is south
    performance_share: Share = 0.82  # inverter, temperature, dirt


TYPES = (Photovoltaic,)


def curtailed_kw(available_kw: Any, used_kw: Any) -> Any:
    """What the sun offers and nobody takes."""
    return available_kw - used_kw


def build(block: Any, fleet: Mapping[str, Photovoltaic], outlook: Outlook) -> Part:
    """Sun is used up to what the forecast offers; the rest is curtailed."""
    slots = outlook.slots
    index_fleet(block, fleet, slots)
    offered = {
        n: np.clip(-outlook.expected(a.point("power_kw"), 0.0), 0.0, a.peak_kw) * outlook.in_service(n)
        for n, a in fleet.items()
    }
    block.available_kw = pyo.Param(block.fleet, block.flows, initialize=per_slot(offered))
    allowed = {n: outlook.capped(a.point("limit_share"), offered[n], a.peak_kw) for n, a in fleet.items()}
    block.used_kw = pyo.Var(block.fleet, block.flows, bounds=upper(allowed))
    block.curtailed_kw = pyo.Var(block.fleet, block.flows, bounds=(0, None))

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def uses_or_curtails(b: Any, n: Any, t: Any) -> Any:
        return b.curtailed_kw[n, t] == curtailed_kw(b.available_kw[n, t], b.used_kw[n, t])

    return Part(
        ports=(Port("electricity", block.used_kw, {n: a.supply for n, a in fleet.items()}, gives=True),),
        costs=(Cost("curtailment", block.curtailed_kw, CURTAILING_PER_KWH * slots.hours),),
    )


def actuate(planned: Planned, fleet: Mapping[str, Photovoltaic], outlook: Outlook) -> list[Setpoint]:
    """The inverter's limit, as a share of its peak; 1 unless the plan curtails now.

    A limit is set on the sun that is expected, so it is only as tight as it must be: rounded up to whole percent.
    """
    setpoints = []
    for name, array in fleet.items():
        used, lost = float(planned.flow(name, "used_kw")[0]), float(planned.flow(name, "curtailed_kw")[0])
        share, reason = 1.0, both("tout le soleil trouve preneur", "all the sun finds a taker")
        if not outlook.in_service(name):
            share, reason = 0.0, both("hors service", "out of service")
        elif lost > 0.01 * array.peak_kw:
            share = min(1.0, math.ceil(100 * used / array.peak_kw) / 100)
            reason = both(
                f"bride {lost:.1f} kW que personne ne prend ni ne paie",
                f"curtails {lost:.1f} kW that nobody takes or pays for",
            )
        setpoints.append(Setpoint(array.point("limit_share"), share, reason))
    return setpoints
