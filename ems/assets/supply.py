"""A supply point (PRM): where a contract, a meter and a subscribed power belong together. Import is positive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo
from pydantic import Field

from ems.assets.asset import Asset, NotNegative, Positive
from ems.assets.outlook import Cost, Outlook, Part, Planned, Port, Slack, index_fleet, per_name
from ems.command import Setpoint

HOURS_A_YEAR = 8760
PAID_SHARE = 0.5  # of the subscribed power: a peak below it would not let anybody subscribe less


class Supply(Asset):
    """One supply point; every electric asset stands behind exactly one."""

    type: Literal["supply"] = "supply"
    prm: str = Field(pattern=r"^\d{14}$")
    contract: str  # a file in contracts/, without .yaml
    subscribed_kw: Positive
    physical_limit_kw: Positive  # what fuse and transformer carry
    export_limit_kw: NotNegative | None = None  # None: as much as physically


TYPES = (Supply,)


def build(block: Any, fleet: Mapping[str, Supply], outlook: Outlook) -> Part:
    """Import and export at each supply point; above the subscribed power a kWh costs the exceedance on top.

    The peak of the horizon bears its share of the yearly subscription (pro rata), which keeps import level; below
    PAID_SHARE of the subscribed power it costs no less.
    """
    slots, tariffs, worth = outlook.slots, outlook.tariffs, outlook.worth
    index_fleet(block, fleet, slots)
    most = {
        n: (a.physical_limit_kw, a.physical_limit_kw if a.export_limit_kw is None else a.export_limit_kw)
        for n, a in fleet.items()
    }
    block.subscribed_kw = pyo.Param(block.fleet, initialize=per_name({n: a.subscribed_kw for n, a in fleet.items()}))
    block.power_kw = pyo.Var(block.fleet, block.flows)
    block.import_kw = pyo.Var(block.fleet, block.flows, bounds=lambda _, n, t: (0.0, most[n][0]))
    block.export_kw = pyo.Var(block.fleet, block.flows, bounds=lambda _, n, t: (0.0, min(most[n])))
    block.exceedance_kw = pyo.Var(block.fleet, block.flows, bounds=(0, None))
    block.peak_above_paid_kw = pyo.Var(block.fleet, bounds=(0, None))

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def imports_or_exports(b: Any, n: Any, t: Any) -> Any:
        return b.power_kw[n, t] == b.import_kw[n, t] - b.export_kw[n, t]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def stays_below_subscribed(b: Any, n: Any, t: Any) -> Any:
        return b.import_kw[n, t] - b.exceedance_kw[n, t] <= b.subscribed_kw[n]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def stays_below_peak(b: Any, n: Any, t: Any) -> Any:
        return b.import_kw[n, t] - b.peak_above_paid_kw[n] <= PAID_SHARE * b.subscribed_kw[n]

    def price(of: str) -> Any:
        return np.array([getattr(tariffs[n], of) for n in fleet]) * slots.hours

    exceedance = np.array([[tariffs[n].exceedance_per_kwh * slots.hours] * slots.count for n in fleet])
    peak = np.array([tariffs[n].subscription_per_kw_year * slots.hours * slots.count / HOURS_A_YEAR for n in fleet])
    return Part(
        ports=(Port("electricity", block.power_kw, {n: n for n in fleet}, gives=True),),
        costs=(
            Cost("energy", block.import_kw, price("energy_per_kwh")),
            Cost("energy", block.export_kw, -price("export_per_kwh")),
            Cost("network", block.import_kw, price("network_per_kwh")),
            Cost("carbon", block.import_kw, price("carbon_kg_per_kwh") * worth.carbon_per_kg),
            Cost("exceedance", block.exceedance_kw, exceedance),
            Cost("peak", block.peak_above_paid_kw, peak),
        ),
        slacks=(
            Slack(
                block.exceedance_kw,
                "dépassement de la puissance souscrite",
                "above the subscribed power",
                "kWh",
                slots.hours,
                "décaler une charge ou souscrire davantage",
                "shift a load or subscribe more",
            ),
        ),
    )


def actuate(planned: Planned, fleet: Mapping[str, Supply], outlook: Outlook) -> list[Setpoint]:
    """A supply point takes no set point."""
    return []
