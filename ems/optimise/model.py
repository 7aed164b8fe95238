"""Composes the district's model: one block per asset file, balances at every node, one objective by named term.

Nothing here knows an asset type. Blocks come from `ASSET_FILES`; what they hand back (`Part`) names the nodes they
touch, what they cost and how they may fall short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from ems.assets import ASSET_FILES
from ems.assets.outlook import Cost, Medium, Outlook, Part, Port, Slack
from ems.series import Floats

# A kWh of heat nobody delivers must never be a cheap way to buy comfort: heat nodes fall short at several times the
# price of electricity, which itself costs a fraction of a kWh of heat.
HEAT_NODE_FACTOR = 5.0
HELD_SLOTS = 16  # leaving the previous plan costs within the next four hours; later nobody relies on it


@dataclass(frozen=True)
class Composed:
    """The Pyomo model and what is needed to read its solution."""

    model: Any
    parts: Mapping[str, Part]
    costs: tuple[Cost, ...]
    slacks: tuple[Slack, ...]


def compose(outlook: Outlook, previous: Mapping[str, Floats] | None = None) -> Composed:
    """The whole model. `previous` holds the previous plan's flows, brought onto these slots (NaN where it had none)."""
    model = pyo.ConcreteModel("district")
    model.flows = pyo.RangeSet(0, outlook.slots.count - 1)
    parts: dict[str, Part] = {}
    for file in ASSET_FILES:
        fleet = {n: a for n, a in outlook.assets.items() if isinstance(a, tuple(file.TYPES))}
        if fleet:
            label = str(getattr(file, "__name__", file)).rpartition(".")[2]
            block = pyo.Block()
            model.add_component(label, block)
            parts[label] = file.build(block, fleet, outlook)
    costs = [cost for part in parts.values() for cost in part.costs]
    slacks = [slack for part in parts.values() for slack in part.slacks]
    ports = [port for part in parts.values() for port in part.ports]
    for medium in dict.fromkeys(port.medium for port in ports):
        cost, slack = _add_nodes(model, medium, [p for p in ports if p.medium == medium], outlook)
        costs += cost
        slacks += slack
    if previous:
        costs += _hold(model, parts, previous, outlook)
    model.cost = pyo.Objective(expr=_total(costs))
    return Composed(model, parts, tuple(costs), tuple(slacks))


def _add_nodes(model: Any, medium: Medium, ports: list[Port], outlook: Outlook) -> tuple[list[Cost], list[Slack]]:
    """One balance per node and slot: taken + spilled = given + unserved.

    Only what nobody controls can go unserved, so a shortage is never a source for anything else.
    """
    block = pyo.Block()
    model.add_component(f"{medium}_nodes", block)
    nodes = list(dict.fromkeys(node for port in ports for node in port.node.values()))
    block.nodes = pyo.Set(initialize=nodes, ordered=True)
    block.flows = pyo.RangeSet(0, outlook.slots.count - 1)
    firm = {node: np.zeros(outlook.slots.count) for node in nodes}
    members = []
    for k, port in enumerate(ports):
        at = {node: [n for n, where in port.node.items() if where == node] for node in nodes}
        block.add_component(f"at_port_{k}", pyo.Set(block.nodes, initialize=at, ordered=True))
        members.append((-1.0 if port.gives else 1.0, port.flow, block.component(f"at_port_{k}")))
        if port.firm:
            for n, node in port.node.items():
                taken = np.array([pyo.value(port.flow[n, t]) for t in outlook.slots.flows]) * members[-1][0]
                firm[node] += np.maximum(taken, 0.0)
    most = {node: row.tolist() for node, row in firm.items()}
    block.unserved_kw = pyo.Var(block.nodes, block.flows, bounds=lambda _, s, t: (0.0, most[s][t]))
    block.spilled_kw = pyo.Var(block.nodes, block.flows, bounds=(0, None))

    @block.Constraint(block.nodes, block.flows)  # type: ignore[untyped-decorator]
    def balances(b: Any, s: Any, t: Any) -> Any:
        net = sum(sign * sum(flow[n, t] for n in at[s]) for sign, flow, at in members)
        return net + b.spilled_kw[s, t] - b.unserved_kw[s, t] == 0

    price = (
        outlook.worth.unserved_per_kwh * outlook.slots.hours * (1.0 if medium == "electricity" else HEAT_NODE_FACTOR)
    )
    costs = [Cost("unserved", block.unserved_kw, price), Cost("unserved", block.spilled_kw, price)]
    fr, en = WORDS[medium]
    remedy = ("relever la limite physique ou réduire la charge", "raise the physical limit or shed load")
    slacks = [
        Slack(block.unserved_kw, f"{fr} non servi", f"{en} not served", "kWh", outlook.slots.hours, *remedy),
        Slack(
            block.spilled_kw,
            f"{fr} sans preneur",
            f"{en} with nowhere to go",
            "kWh",
            outlook.slots.hours,
            "réduire la production ou permettre l'injection",
            "reduce production or allow export",
        ),
    ]
    return costs, slacks


WORDS: dict[Medium, tuple[str, str]] = {
    "electricity": ("courant", "electricity"),
    "heating": ("chauffage", "heating"),
    "hot_water": ("eau chaude", "hot water"),
    "cold": ("froid", "cold"),
    "loop": ("chaleur de boucle", "loop heat"),
}


def _hold(model: Any, parts: Mapping[str, Part], previous: Mapping[str, Floats], outlook: Outlook) -> list[Cost]:
    """|flow - previous flow| for the next hours, so that a plan only changes for a reason worth having."""
    costs = []
    for label, part in parts.items():
        for variable in part.holds:
            quantity = variable.local_name
            known = {
                (n, t): float(previous[f"{n}/{quantity}"][t])
                for n, t in variable
                if t < HELD_SLOTS and f"{n}/{quantity}" in previous and np.isfinite(previous[f"{n}/{quantity}"][t])
            }
            if not known:
                continue
            block = pyo.Block()
            model.add_component(f"{label}_{quantity}_held", block)
            block.held = pyo.Set(initialize=list(known), dimen=2, ordered=True)
            block.previous_kw = pyo.Param(block.held, initialize=known)
            block.away_kw = pyo.Var(block.held, bounds=(0, None))

            def rise(b: Any, n: Any, t: Any, flow: Any = variable) -> Any:
                return b.away_kw[n, t] >= flow[n, t] - b.previous_kw[n, t]

            def fall(b: Any, n: Any, t: Any, flow: Any = variable) -> Any:
                return b.away_kw[n, t] >= b.previous_kw[n, t] - flow[n, t]

            block.rises_at_a_price = pyo.Constraint(block.held, rule=rise)
            block.falls_at_a_price = pyo.Constraint(block.held, rule=fall)
            costs.append(Cost("leaving_plan", block.away_kw, outlook.worth.leaving_plan_per_kwh * outlook.slots.hours))
    return costs


def coefficients(cost: Cost) -> Floats:
    """The price of each element of the cost's variable, in the order of its index."""
    count = len(cost.variable)
    if isinstance(cost.price, float | int):
        return np.full(count, float(cost.price))
    if cost.price.size != count:
        raise ValueError(f"cost {cost.term} of {cost.variable.name} has {cost.price.size} prices for {count} variables")
    return cost.price.ravel()


def _total(costs: list[Cost]) -> Any:
    prices: list[float] = []
    variables: list[Any] = []
    for cost in costs:
        row = coefficients(cost).tolist()
        for price, variable in zip(row, cost.variable.values(), strict=True):
            if price:
                prices.append(price)
                variables.append(variable)
    return LinearExpression(constant=0, linear_coefs=prices, linear_vars=variables)
