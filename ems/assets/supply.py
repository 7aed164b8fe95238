"""A supply point (PRM): where a contract, a meter and a subscribed power belong together. Import is positive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo
from pydantic import Field

from ems.assets.asset import Asset, NotNegative, Positive
from ems.assets.outlook import CHANCE_IN_MARGIN, Cost, Outlook, Part, Planned, Port, Slack, index_fleet
from ems.assets.tables import between, per_name, per_slot, upper
from ems.command import Setpoint
from ems.series import Floats

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
    # The operation of collective self-consumption it takes part in: what one member exports, settlement gives to others
    # in the same slot. They buy that much less energy, and pay the network for it all the same.
    shares_in: str | None = None
    ramp_price_per_kw: NotNegative = 0.0  # euro per kW that import changes from a slot to the next
    uneven_price_per_kw: NotNegative = 0.0  # euro per kW and day that the peak stands above the mean (load factor)


TYPES = (Supply,)


def doubt_kw(fleet: Mapping[str, Supply], outlook: Outlook) -> dict[str, Floats]:
    """By how much import may be above what is expected, kW per slot: once in ten times, of all loads and arrays there.

    Forecasts of different meters err independently (assumption): the root of the sum of squares of what lies between
    their medians and their 90 % quantiles.
    """
    squares = {name: np.zeros(outlook.slots.count) for name in fleet}
    for asset in outlook.assets.values():
        forecast = outlook.forecasts.get(asset.point("power_kw"))
        behind = None if forecast is None else getattr(asset, "supply", None)
        if forecast is not None and behind in squares:
            squares[behind] += (forecast.high - forecast.median) ** 2
    return {name: np.sqrt(row) for name, row in squares.items()}


def build(block: Any, fleet: Mapping[str, Supply], outlook: Outlook) -> Part:
    """Import and export at each supply point; above the subscribed power a kWh costs the exceedance on top.

    Near the subscribed power, within what the forecasts may err by, a kWh costs the exceedance times its chance.
    The peak of the horizon bears its share of the yearly subscription (pro rata), which keeps import level; below
    PAID_SHARE of the subscribed power it costs no less.
    """
    slots, tariffs, worth = outlook.slots, outlook.tariffs, outlook.worth
    index_fleet(block, fleet, slots)
    bought = {n: a.physical_limit_kw for n, a in fleet.items()}
    sold = {
        n: a.physical_limit_kw if a.export_limit_kw is None else min(a.export_limit_kw, a.physical_limit_kw)
        for n, a in fleet.items()
    }
    zero, count = dict.fromkeys(fleet, 0.0), slots.count
    block.subscribed_kw = pyo.Param(block.fleet, initialize=per_name({n: a.subscribed_kw for n, a in fleet.items()}))
    block.power_kw = pyo.Var(block.fleet, block.flows)
    block.import_kw = pyo.Var(block.fleet, block.flows, bounds=between(zero, bought, count))
    block.export_kw = pyo.Var(block.fleet, block.flows, bounds=between(zero, sold, count))
    block.exceedance_kw = pyo.Var(block.fleet, block.flows, bounds=(0, None))
    margins = doubt_kw(fleet, outlook)
    block.margin_kw = pyo.Param(block.fleet, block.flows, initialize=per_slot(margins))
    block.into_margin_kw = pyo.Var(block.fleet, block.flows, bounds=upper(margins))
    block.peak_above_paid_kw = pyo.Var(block.fleet, bounds=(0, None))

    ramps = [n for n, a in fleet.items() if a.ramp_price_per_kw > 0]
    uneven = [n for n, a in fleet.items() if a.uneven_price_per_kw > 0]
    sharing = [n for n, a in fleet.items() if a.shares_in is not None]
    operations = list(dict.fromkeys(str(fleet[n].shares_in) for n in sharing))
    block.level = pyo.Set(initialize=ramps, ordered=True)
    block.even = pyo.Set(initialize=uneven, ordered=True)
    block.sharing = pyo.Set(initialize=sharing, ordered=True)
    block.operations = pyo.Set(initialize=operations, ordered=True)
    taking_part = {o: [n for n in sharing if fleet[n].shares_in == o] for o in operations}
    block.members = pyo.Set(block.operations, initialize=taking_part, ordered=True)
    block.changes = pyo.RangeSet(0, slots.count - 2)  # from each slot to the next
    block.change_kw = pyo.Var(block.level, block.changes, bounds=(0, None))
    block.mean_kw = pyo.Var(block.even, bounds=(0, None))
    block.above_mean_kw = pyo.Var(block.even, bounds=(0, None))
    block.from_members_kw = pyo.Var(block.sharing, block.flows, bounds=(0, None))
    block.to_members_kw = pyo.Var(block.sharing, block.flows, bounds=(0, None))

    @block.Constraint(block.level, block.changes)  # type: ignore[untyped-decorator]
    def rises_at_a_price(b: Any, n: Any, t: Any) -> Any:
        return b.import_kw[n, t + 1] - b.import_kw[n, t] <= b.change_kw[n, t]

    @block.Constraint(block.level, block.changes)  # type: ignore[untyped-decorator]
    def falls_at_a_price(b: Any, n: Any, t: Any) -> Any:
        return b.import_kw[n, t] - b.import_kw[n, t + 1] <= b.change_kw[n, t]

    @block.Constraint(block.even)  # type: ignore[untyped-decorator]
    def has_a_mean(b: Any, n: Any) -> Any:
        return slots.count * b.mean_kw[n] == sum(b.import_kw[n, t] for t in b.flows)

    @block.Constraint(block.even, block.flows)  # type: ignore[untyped-decorator]
    def stays_near_its_mean(b: Any, n: Any, t: Any) -> Any:
        return b.import_kw[n, t] - b.mean_kw[n] <= b.above_mean_kw[n]

    @block.Constraint(block.sharing, block.flows)  # type: ignore[untyped-decorator]
    def is_given_no_more_than_it_imports(b: Any, n: Any, t: Any) -> Any:
        return b.from_members_kw[n, t] <= b.import_kw[n, t]

    @block.Constraint(block.sharing, block.flows)  # type: ignore[untyped-decorator]
    def gives_no_more_than_it_exports(b: Any, n: Any, t: Any) -> Any:
        return b.to_members_kw[n, t] <= b.export_kw[n, t]

    @block.Constraint(block.operations, block.flows)  # type: ignore[untyped-decorator]
    def settles_what_is_shared(b: Any, o: Any, t: Any) -> Any:
        taken = sum(b.from_members_kw[n, t] for n in b.members[o])
        return taken == sum(b.to_members_kw[n, t] for n in b.members[o])

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def imports_or_exports(b: Any, n: Any, t: Any) -> Any:
        return b.power_kw[n, t] == b.import_kw[n, t] - b.export_kw[n, t]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def stays_below_subscribed(b: Any, n: Any, t: Any) -> Any:
        beyond = b.exceedance_kw[n, t] + b.into_margin_kw[n, t]
        return b.import_kw[n, t] - beyond <= b.subscribed_kw[n] - b.margin_kw[n, t]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def stays_below_peak(b: Any, n: Any, t: Any) -> Any:
        return b.import_kw[n, t] - b.peak_above_paid_kw[n] <= PAID_SHARE * b.subscribed_kw[n]

    def price(of: str, names: Iterable[str] = fleet) -> Any:
        return np.array([getattr(tariffs[n], of) for n in names], dtype=float).reshape(-1, slots.count) * slots.hours

    exceedance = np.array([[tariffs[n].exceedance_per_kwh * slots.hours] * slots.count for n in fleet])
    peak = np.array([tariffs[n].subscription_per_kw_year * slots.hours * slots.count / HOURS_A_YEAR for n in fleet])
    changing = (
        np.repeat([[fleet[n].ramp_price_per_kw] for n in ramps], slots.count - 1, axis=1) if ramps else np.zeros(0)
    )
    days = slots.count * slots.hours / 24
    above_mean = np.array([fleet[n].uneven_price_per_kw * days for n in uneven])
    return Part(
        ports=(Port("electricity", block.power_kw, {n: n for n in fleet}, gives=True),),
        costs=(
            Cost("energy", block.import_kw, price("energy_per_kwh")),
            Cost("energy", block.export_kw, -price("export_per_kwh")),
            Cost("network", block.import_kw, price("network_per_kwh")),
            Cost("carbon", block.import_kw, price("carbon_kg_per_kwh") * worth.carbon_per_kg),
            Cost("exceedance", block.exceedance_kw, exceedance),
            Cost("margins", block.into_margin_kw, CHANCE_IN_MARGIN * exceedance),
            Cost("peak", block.peak_above_paid_kw, peak),
            Cost("energy", block.from_members_kw, -price("energy_per_kwh", sharing)),
            Cost("energy", block.to_members_kw, price("export_per_kwh", sharing)),
            Cost("ramping", block.change_kw, changing),
            Cost("peak", block.above_mean_kw, above_mean),
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
