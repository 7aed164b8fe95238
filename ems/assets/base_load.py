"""A load nobody controls: lifts, light, computers, kitchens. power_kw >= 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pyomo.environ as pyo

from ems.assets.asset import Asset, Positive
from ems.assets.outlook import Outlook, Part, Planned, Port, index_fleet
from ems.assets.tables import per_slot
from ems.command import Setpoint

LoadUse = Literal["home", "landlord", "offices", "shops", "hotel", "creche", "school", "parking", "plant-room"]
HOURS_A_YEAR = 8760


class BaseLoad(Asset):
    """An uncontrolled load behind one supply point, with its design yearly energy."""

    type: Literal["base-load"] = "base-load"
    supply: str
    use: LoadUse
    yearly_kwh: Positive


TYPES = (BaseLoad,)


def build(block: Any, fleet: Mapping[str, BaseLoad], outlook: Outlook) -> Part:
    """The forecast loads, as given numbers at their supply nodes."""
    index_fleet(block, fleet, outlook.slots)
    expected = {n: outlook.expected(a.point("power_kw"), a.yearly_kwh / HOURS_A_YEAR) for n, a in fleet.items()}
    block.power_kw = pyo.Param(block.fleet, block.flows, initialize=per_slot(expected))
    return Part(ports=(Port("electricity", block.power_kw, {n: a.supply for n, a in fleet.items()}, firm=True),))


def actuate(planned: Planned, fleet: Mapping[str, BaseLoad], outlook: Outlook) -> list[Setpoint]:
    """Nothing of it is ours."""
    return []
