"""The plan: what every asset shall do over the horizon, what it costs by name, where it falls short, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from ems.assets import ASSET_FILES, Supply
from ems.assets.outlook import FLOW_OF, Cost, Outlook, Tariff
from ems.command import Setpoint
from ems.district import District
from ems.market import prices
from ems.optimise.check import Fault, check
from ems.optimise.divide import Found, Memory, Piece, find
from ems.optimise.matrix import Family
from ems.optimise.outline import family_name, numbers
from ems.optimise.question import refuse_wrong
from ems.optimise.solve import UnsolvedError
from ems.optimise.why import IN_THE_LOOP, Effort, Reason, Why, explain
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
    size: dict[str, int] = field(
        default_factory=dict
    )  # rows, columns, nonzeros, iterations, devices planned below their minimum within the hour
    bound: float | None = None  # euro that no plan of this model can go below
    explained: dict[str, int] = field(default_factory=dict)  # decisions, those worthy of a reason, those that have one
    gap: float | None = None  # certified: (cost - bound) as a share of the costs that can be decided on

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
        """As the journal keeps it: numbers, lists and strings. Values are rounded to 1 W, 10 mK, 10 Wh.

        Flows that are zero all along are left out: `flow` gives zero for them.
        """
        return {
            "start": self.slots.start.isoformat(),
            "count": self.slots.count,
            "minutes": self.slots.minutes,
            "issued_at": self.issued_at.isoformat(),
            "status": self.status,
            "flows": {k: np.round(v, 3).tolist() for k, v in self.flows.items() if np.round(v, 3).any()},
            "states": {k: np.round(v, 2).tolist() for k, v in self.states.items()},
            "cost_terms": self.cost_terms,
            "shortfalls": [{**vars(s), "first_at": s.first_at.isoformat()} for s in self.shortfalls],
            "reasons": [vars(r) for r in self.reasons],
            "setpoints": [vars(s) for s in self.setpoints],
            "notes": list(self.notes),
            "marginal_per_kwh": {k: np.round(v, 6).tolist() for k, v in self.marginal_per_kwh.items()},
            "size": self.size,
            "bound": self.bound,
            "gap": self.gap,
            "explained": self.explained,
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
            bound=known.get("bound"),  # plans written before there was a bound have none
            gap=known.get("gap"),
            explained=dict(known.get("explained", {})),
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
    memory: Memory | None = None,
    time_is_up: Callable[[], bool] = lambda: False,
    effort: Effort = IN_THE_LOOP,
) -> Plan:
    """The cheapest way through the horizon that the assets' laws allow, with every wish that it cannot meet named.

    A plan always exists: what is measured is clipped into what a store can hold, wishes have a price, and what is not
    known is replaced by a named stand-in (`Plan.notes`). Slots may have any length that divides an hour. With the
    `memory` of the last plan this one starts where that ended; when `time_is_up` the best plan by then is given.
    `effort` is what may be spent on reasons once the plan stands.
    Raises ValueError when the question itself is wrong (an unknown reference, a forecast of other slots), and
    UnsolvedError when HiGHS does not reach an optimum in its time; WrongPlanError when the checker refuses the result.
    """
    outlook = outlook_of(district, snapshot, forecasts, slots, previous)
    held = previous.on(slots) if previous else None
    found = find(outlook, held, memory, time_is_up=time_is_up)
    flows, states = _read(found, outlook)
    if found.last_resort:
        outlook.note(f"solved by {found.method}: the method that should have been faster ended without an optimum")
    draft = Plan(
        slots=slots,
        issued_at=snapshot.at,
        status="optimal",
        flows=flows,
        states=states,
        cost_terms=_cost_terms(found),
        shortfalls=_shortfalls(found, outlook),
        marginal_per_kwh=_marginal(found, slots),
        size={
            "rows": sum(p.matrix.a.shape[0] for p in found.pieces),
            "columns": sum(p.matrix.a.shape[1] for p in found.pieces),
            "nonzeros": sum(p.matrix.a.nnz for p in found.pieces),
            "iterations": found.iterations,
            "halfway": len(found.halfway),
        },
        bound=found.bound,
        gap=found.gap,
    )
    faults = check(district, snapshot, forecasts, draft)
    if faults:
        raise WrongPlanError(faults)
    setpoints = _setpoints(draft, district, outlook)
    try:
        why = explain(found.first, held, effort)
    except UnsolvedError as error:
        outlook.note(f"no reasons, for the model they come from was not solved: {error}")
        why = Why()
    return _completed(draft, why, setpoints, tuple(outlook.notes))


def outlook_of(
    district: District,
    snapshot: Snapshot,
    forecasts: Mapping[str, Forecast],
    slots: Slots,
    previous: Plan | None = None,
) -> Outlook:
    """What the asset files are told. Raises ValueError for a question that is wrong, naming the asset or point."""
    refuse_wrong(district, snapshot, forecasts)
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


def _read(found: Found, outlook: Outlook) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """All variables over (name, slot), and the net flow of each asset at the nodes of each medium."""
    count = outlook.slots.count
    flows: dict[str, Floats] = {}
    states: dict[str, Floats] = {}
    net: dict[str, Floats] = {}
    for piece in found.pieces:
        for name, family in piece.matrix.columns.items():
            label, _, variable = name.partition(".")
            if len(family.shape) < 2 or family.size == 0 or family.shape[-1] not in (count, count + 1):
                continue
            into = states if family.shape[-1] == count + 1 else flows
            medium = label.removesuffix("_nodes") if label.endswith("_nodes") else None
            values = family.of(piece.values)
            for i in piece.kept(family):
                for place in np.ndindex(*family.shape[1:-1]):
                    between = (members[k] for members, k in zip(family.members[1:], place, strict=False))
                    quantity = "_".join(filter(None, (medium, *map(str, between), variable)))
                    into[f"{family.members[0][i]}/{quantity}"] = values[(i, *place)]
        for part in piece.composed.parts.values():
            for port in part.ports:
                sign = -1.0 if port.gives else 1.0
                known = piece.matrix.columns.get(family_name(port.flow))
                rows = numbers(port.flow) if known is None else known.of(piece.values)
                for asset, row in zip(next(iter(port.flow.index_set().subsets())), rows, strict=True):
                    if asset in port.node and asset not in piece.without:
                        key = f"{asset}/{FLOW_OF[port.medium]}"
                        net[key] = net.get(key, 0.0) + sign * row
    return {**net, **flows}, states


def _priced(piece: Piece, cost: Cost) -> tuple[Family, Floats, Floats]:
    """A cost's family, the values that are the piece's own, and euro for each; both with names first."""
    family = piece.matrix.columns[family_name(cost.variable)]
    values = family.of(piece.values)
    price = np.broadcast_to(
        cost.price if isinstance(cost.price, float | int) else cost.price.reshape(values.shape), values.shape
    )
    kept = piece.kept(family)
    return family, values[kept], values[kept] * price[kept]


def _cost_terms(found: Found) -> dict[str, float]:
    terms: dict[str, float] = {}
    for piece in found.pieces:
        for cost in piece.composed.costs:
            terms[cost.term] = terms.get(cost.term, 0.0) + float(_priced(piece, cost)[2].sum())
    return terms


def _shortfalls(found: Found, outlook: Outlook) -> tuple[Shortfall, ...]:
    """Who is not served, dearest first."""
    shortfalls = []
    for piece in found.pieces:
        priced = {id(cost.variable): cost for cost in piece.composed.costs}
        for slack in piece.composed.slacks:
            family, values, cost = _priced(piece, priced[id(slack.variable)])
            over = tuple(range(1, values.ndim))
            amounts, euros = slack.hours * values.sum(axis=over), cost.sum(axis=over)
            for i in np.flatnonzero(amounts > WORTH_NAMING):
                slot = np.flatnonzero(values[i].reshape(-1, family.shape[-1]).max(0) > 1e-6)[0] if over else 0
                shortfalls.append(
                    Shortfall(
                        str(family.members[0][piece.kept(family)[i]]),
                        slack.fr,
                        slack.en,
                        round(float(amounts[i]), 3),
                        slack.unit,
                        outlook.slots.at(int(slot)),
                        round(float(euros[i]), 4),
                        slack.remedy_fr,
                        slack.remedy_en,
                    )
                )
    return tuple(sorted(shortfalls, key=lambda s: -s.cost))


def _marginal(found: Found, slots: Slots) -> dict[str, Floats]:
    """Price of one more kWh at each electric node and slot, euro."""
    nodes, prices = found.prices.get("electricity", ((), np.zeros((0, slots.count))))
    return {node: row / slots.hours for node, row in zip(nodes, prices, strict=True)}


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


def _completed(draft: Plan, why: Why, setpoints: tuple[Setpoint, ...], notes: tuple[str, ...]) -> Plan:
    return replace(draft, reasons=why.reasons, explained=why.counts, setpoints=setpoints, notes=notes)
