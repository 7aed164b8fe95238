"""The plan: what every asset shall do over the horizon, what it costs by name, where it falls short, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.gc_manager import PauseGC

from ems.assets import ASSET_FILES, Supply
from ems.assets.outlook import FLOW_OF, Outlook, Tariff
from ems.command import Setpoint
from ems.district import District
from ems.market import prices
from ems.optimise.check import Fault, check
from ems.optimise.model import Composed, coefficients, compose
from ems.optimise.reasons import Reason, reasons_of
from ems.optimise.solve import Solution, solve
from ems.series import Floats, Forecast
from ems.slots import Slots
from ems.snapshot import Snapshot

# A wish that falls short by less than this is not worth a word: the solver's own tolerance, summed over a horizon.
WORTH_NAMING = 0.05


@dataclass(frozen=True)
class Shortfall:
    """A wish that the plan cannot meet: who, what, how much, when first, and what would fix it."""

    asset: str
    fr: str
    en: str
    amount: float
    unit: str
    first_at: datetime
    cost: float  # euro, what it is priced at: the rank
    remedy_fr: str
    remedy_en: str


@dataclass(frozen=True)
class Plan:
    """`flows` hold N values in kW by `asset/quantity`, positive into the asset; `states` N + 1 at the boundaries.

    `cost_terms` are euro over the horizon, `stores` negative for what is left in them. `marginal_per_kwh` is what one
    more kWh would cost at each electric node. `notes` name every fallback that was taken.
    """

    slots: Slots
    issued_at: datetime
    status: str
    flows: dict[str, Floats]
    states: dict[str, Floats]
    cost_terms: dict[str, float]
    shortfalls: tuple[Shortfall, ...] = ()
    reasons: tuple[Reason, ...] = ()
    setpoints: tuple[Setpoint, ...] = ()
    notes: tuple[str, ...] = ()
    marginal_per_kwh: dict[str, Floats] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)  # rows, columns, nonzeros, iterations

    @property
    def cost(self) -> float:
        """Euro over the horizon, all terms."""
        return sum(self.cost_terms.values())

    def flow(self, name: str, quantity: str) -> Floats:
        """A flow by asset and quantity; zero for what this plan holds nothing of, such as a car without a session."""
        found = self.flows.get(f"{name}/{quantity}")
        return np.zeros(self.slots.count) if found is None else found

    def state(self, name: str, quantity: str) -> Floats:
        """A state by asset and quantity. Raises KeyError when the plan has none."""
        return self.states[f"{name}/{quantity}"]

    def on(self, slots: Slots) -> dict[str, Floats]:
        """The flows brought onto other slots of the same length; NaN where this plan says nothing."""
        if slots.minutes != self.slots.minutes:
            return {}
        shift = round((slots.start - self.slots.start) / slots.length)
        moved = {}
        for name, row in self.flows.items():
            values = np.full(slots.count, np.nan)
            first, last = max(shift, 0), min(shift + slots.count, row.size)
            if first < last:
                values[first - shift : last - shift] = row[first:last]
            moved[name] = values
        return moved

    def foreseen(self, instant: datetime) -> dict[str, float]:
        """The states that this plan expects at an instant; empty outside its horizon."""
        at = (instant - self.slots.start) / self.slots.length
        if not 0 <= at <= self.slots.count:
            return {}
        steps = np.arange(self.slots.count + 1)
        return {name: float(np.interp(at, steps, row)) for name, row in self.states.items()}

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it: numbers, lists and strings. Values are rounded to 0.1 W, 0.1 mK, 0.1 Wh."""
        return {
            "start": self.slots.start.isoformat(),
            "count": self.slots.count,
            "minutes": self.slots.minutes,
            "issued_at": self.issued_at.isoformat(),
            "status": self.status,
            "flows": {k: np.round(v, 4).tolist() for k, v in self.flows.items()},
            "states": {k: np.round(v, 4).tolist() for k, v in self.states.items()},
            "cost_terms": self.cost_terms,
            "shortfalls": [{**vars(s), "first_at": s.first_at.isoformat()} for s in self.shortfalls],
            "reasons": [vars(r) for r in self.reasons],
            "setpoints": [vars(s) for s in self.setpoints],
            "notes": list(self.notes),
            "marginal_per_kwh": {k: np.round(v, 6).tolist() for k, v in self.marginal_per_kwh.items()},
            "size": self.size,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | str) -> Plan:
        """The inverse of `to_json`, from the mapping or its text."""
        known: Mapping[str, Any] = json.loads(data) if isinstance(data, str) else data

        def rows(of: str) -> dict[str, Floats]:
            return {k: np.array(v, dtype=float) for k, v in known[of].items()}

        return cls(
            slots=Slots(datetime.fromisoformat(known["start"]), known["count"], known["minutes"]),
            issued_at=datetime.fromisoformat(known["issued_at"]),
            status=known["status"],
            flows=rows("flows"),
            states=rows("states"),
            cost_terms=dict(known["cost_terms"]),
            shortfalls=tuple(
                Shortfall(**{**s, "first_at": datetime.fromisoformat(s["first_at"])}) for s in known["shortfalls"]
            ),
            reasons=tuple(Reason(**r) for r in known["reasons"]),
            setpoints=tuple(Setpoint(**s) for s in known["setpoints"]),
            notes=tuple(known["notes"]),
            marginal_per_kwh=rows("marginal_per_kwh"),
            size=dict(known["size"]),
        )


class WrongPlanError(RuntimeError):
    """The checker contradicts the plan: it is not acted upon. `faults` lists every contradiction."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(str(f) for f in faults))


def plan(
    district: District,
    snapshot: Snapshot,
    forecasts: Mapping[str, Forecast],
    slots: Slots,
    previous: Plan | None = None,
) -> Plan:
    """The cheapest way through the horizon that the assets' laws allow, with every wish that it cannot meet named.

    A plan always exists: what is measured is clipped into what a store can hold, wishes have a price, and what is not
    known is replaced by a named stand-in (`Plan.notes`). Slots may have any length that divides an hour.
    Raises ValueError when the question itself is wrong (an unknown reference, a forecast of other slots), and
    UnsolvedError when HiGHS does not reach an optimum in its time; WrongPlanError when the checker refuses the result.
    """
    outlook = outlook_of(district, snapshot, forecasts, slots, previous)
    with PauseGC():  # a hundred thousand live objects: collecting them over and over is a third of the time
        composed = compose(outlook, previous.on(slots) if previous else None)
    solution = solve(composed.model)
    flows, states = _read(composed, outlook)
    if solution.method != "simplex":
        outlook.note(f"solved by {solution.method}: simplex ended without an optimum")
    draft = Plan(
        slots=slots,
        issued_at=snapshot.at,
        status="optimal",
        flows=flows,
        states=states,
        cost_terms=_cost_terms(composed),
        shortfalls=_shortfalls(composed, outlook),
        marginal_per_kwh=_marginal(composed, solution, slots),
        size={
            "rows": solution.rows,
            "columns": solution.columns,
            "nonzeros": solution.nonzeros,
            "iterations": solution.iterations,
        },
    )
    faults = check(district, snapshot, forecasts, draft)
    if faults:
        raise WrongPlanError(faults)
    setpoints = _setpoints(draft, district, outlook)
    return _completed(draft, reasons_of(draft, outlook), setpoints, tuple(outlook.notes))


def outlook_of(
    district: District,
    snapshot: Snapshot,
    forecasts: Mapping[str, Forecast],
    slots: Slots,
    previous: Plan | None = None,
) -> Outlook:
    """What the asset files are told. Raises ValueError for a contract or a reference that does not exist."""
    tariffs = {}
    for name, supply in district.of(Supply).items():
        contract = district.contracts.get(supply.contract)
        if contract is None:
            raise ValueError(f"{name}: contract is {supply.contract!r}, which the district does not have; add it")
        known = prices(contract, slots)
        tariffs[name] = Tariff(
            known.energy_per_kwh,
            known.network_per_kwh,
            known.export_per_kwh,
            known.carbon_kg_per_kwh,
            contract.subscription_per_kw_year,
            contract.exceedance_per_kwh,
        )
    for name, asset in district.assets.items():
        if name != asset.name:
            raise ValueError(f"assets[{name!r}] is called {asset.name!r}; give it the name it stands under")
        for reference in ("supply", "plant", "loop", "feeder", "substation"):
            target = getattr(asset, reference, None)
            if target is not None and target not in district.assets:
                raise ValueError(f"{name}: {reference} is {target!r}, which is no asset of the district; add it")
    return Outlook(
        slots=slots,
        assets=district.assets,
        snapshot=snapshot,
        forecasts=forecasts,
        tariffs=tariffs,
        comfort=district.comfort,
        worth=district.values,
        time_zone=district.place.time_zone,
        foreseen=previous.foreseen(slots.start) if previous else {},
    )


def _read(composed: Composed, outlook: Outlook) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """All variables over (name, slot), and the net flow of each asset at the nodes of each medium."""
    count = outlook.slots.count
    flows: dict[str, Floats] = {}
    states: dict[str, Floats] = {}
    for block in composed.model.component_objects(pyo.Block, descend_into=False):
        medium = block.local_name.removesuffix("_nodes") if block.local_name.endswith("_nodes") else None
        for variable in block.component_objects(pyo.Var):
            if len(variable) == 0 or variable.dim() < 2:
                continue
            is_state = any(index[-1] == count for index in variable)
            into, length = (states, count + 1) if is_state else (flows, count)
            for index, item in variable.items():
                quantity = "_".join(filter(None, (medium, *map(str, index[1:-1]), variable.local_name)))
                row = into.setdefault(f"{index[0]}/{quantity}", np.zeros(length))
                row[index[-1]] = item.value
    net: dict[str, Floats] = {}
    for part in composed.parts.values():
        for port in part.ports:
            sign = -1.0 if port.gives else 1.0
            for asset in port.node:
                row = net.setdefault(f"{asset}/{FLOW_OF[port.medium]}", np.zeros(count))
                row += sign * np.array([pyo.value(port.flow[asset, t]) for t in outlook.slots.flows])
    return {**net, **flows}, states


def _cost_terms(composed: Composed) -> dict[str, float]:
    terms: dict[str, float] = {}
    for cost in composed.costs:
        values = np.array([v.value for v in cost.variable.values()], dtype=float)
        terms[cost.term] = terms.get(cost.term, 0.0) + float(coefficients(cost) @ values)
    return terms


def _shortfalls(composed: Composed, outlook: Outlook) -> tuple[Shortfall, ...]:
    """Who is not served, dearest first."""
    priced = {id(cost.variable): cost for cost in composed.costs}
    found = []
    for slack in composed.slacks:
        values = np.array([v.value for v in slack.variable.values()], dtype=float)
        cost = values * coefficients(priced[id(slack.variable)])
        by_asset: dict[str, list[tuple[int, float, float]]] = {}
        for index, value, euro in zip(slack.variable, values, cost, strict=True):
            asset, t = index if isinstance(index, tuple) else (index, 0)
            by_asset.setdefault(asset, []).append((t, value, euro))
        for asset, entries in by_asset.items():
            amount = slack.hours * sum(value for _, value, _ in entries)
            if amount > WORTH_NAMING:
                first = next(t for t, value, _ in entries if value > 1e-6)
                found.append(
                    Shortfall(
                        asset,
                        slack.fr,
                        slack.en,
                        round(float(amount), 3),
                        slack.unit,
                        outlook.slots.at(first),
                        round(float(sum(e for _, _, e in entries)), 4),
                        slack.remedy_fr,
                        slack.remedy_en,
                    )
                )
    return tuple(sorted(found, key=lambda s: -s.cost))


def _marginal(composed: Composed, solution: Solution, slots: Slots) -> dict[str, Floats]:
    """Price of one more kWh at each electric node and slot, from the duals of its balance, euro."""
    block = composed.model.component("electricity_nodes")
    if block is None:
        return {}
    result = {}
    for node in block.nodes:
        duals = [solution.duals.get(id(block.balances[node, t]), float("nan")) for t in slots.flows]
        result[str(node)] = -np.array(duals) / slots.hours
    return result


def _setpoints(draft: Plan, district: District, outlook: Outlook) -> tuple[Setpoint, ...]:
    """What every asset file wants of its devices, kept to points we may write and to what they accept."""
    wanted: dict[str, Setpoint] = {}
    for file in ASSET_FILES:
        fleet = {n: a for n, a in outlook.assets.items() if isinstance(a, tuple(file.TYPES))}
        if fleet:
            wanted |= {s.point: s for s in file.actuate(draft, fleet, outlook)}
    result = []
    for point, setpoint in wanted.items():
        wire = district.wires.get(point)
        if district.wires and (wire is None or not wire.commanded):
            continue
        write = wire.measure.write if wire else None
        if write is None or write.minimum <= setpoint.value <= write.maximum:
            result.append(setpoint)
            continue
        value = min(max(setpoint.value, write.minimum), write.maximum)
        limits = f"{write.minimum:g}..{write.maximum:g}"
        fr, _, en = setpoint.reason.partition(" | ")
        result.append(Setpoint(point, value, f"{fr} (borné à {limits}) | {en} (limited to {limits})"))
    return tuple(result)


def _completed(
    draft: Plan, reasons: tuple[Reason, ...], setpoints: tuple[Setpoint, ...], notes: tuple[str, ...]
) -> Plan:
    known = {k: v for k, v in vars(draft).items() if k not in ("reasons", "setpoints", "notes")}
    return Plan(**known, reasons=reasons, setpoints=setpoints, notes=notes)
