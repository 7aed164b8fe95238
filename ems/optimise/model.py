"""Composes the district's model: one block per asset file, balances at every node, one objective by named term.

Nothing here knows an asset type. Blocks come from `ASSET_FILES`; what they hand back (`Part`) names the nodes they
touch, what they cost and how they may fall short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from ems.assets import ASSET_FILES
from ems.assets.outlook import Cost, Medium, Outlook, Part, Port, Slack
from ems.assets.tables import Bounds, Table
from ems.optimise.lower import lower
from ems.optimise.matrix import Matrix
from ems.optimise.outline import numbers, outline_block
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

    def matrix(self) -> Matrix:
        """The whole as a linear programme, in euro over the horizon."""
        return lower(self.model, [(cost.variable, cost.price) for cost in self.costs])


def compose(
    outlook: Outlook, previous: Mapping[str, Floats] | None = None, new_block: Callable[[], Any] = outline_block
) -> Composed:
    """The whole model. `previous` holds the previous plan's flows, brought onto these slots (NaN where it had none).

    Its blocks are outlines, to be lowered; with `pyo.Block` it is an ordinary Pyomo model without an objective.
    """
    model = pyo.ConcreteModel("district")
    model.flows = pyo.RangeSet(0, outlook.slots.count - 1)
    parts: dict[str, Part] = {}
    for file in ASSET_FILES:
        fleet = {n: a for n, a in outlook.assets.items() if isinstance(a, tuple(file.TYPES))}
        if fleet:
            label = str(getattr(file, "__name__", file)).rpartition(".")[2]
            block = new_block()
            model.add_component(label, block)
            parts[label] = file.build(block, fleet, outlook)
    costs = [cost for part in parts.values() for cost in part.costs]
    slacks = [slack for part in parts.values() for slack in part.slacks]
    ports = [port for part in parts.values() for port in part.ports]
    for medium in dict.fromkeys(port.medium for port in ports):
        cost, slack = _add_nodes(model, medium, [p for p in ports if p.medium == medium], outlook, new_block)
        costs += cost
        slacks += slack
    if previous:
        costs += _hold(model, parts, previous, outlook, new_block)
    return Composed(model, parts, tuple(costs), tuple(slacks))


def _add_nodes(
    model: Any, medium: Medium, ports: list[Port], outlook: Outlook, new_block: Callable[[], Any]
) -> tuple[list[Cost], list[Slack]]:
    """One balance per node and slot: taken + spilled = given + unserved.

    Only what nobody controls can go unserved, so a shortage is never a source for anything else.
    """
    block = new_block()
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
            for row, node in zip(numbers(port.flow), port.node.values(), strict=True):
                firm[node] += np.maximum(row * members[-1][0], 0.0)
    most = np.array(list(firm.values()))
    block.unserved_kw = pyo.Var(block.nodes, block.flows, bounds=Bounds(tuple(nodes), np.zeros_like(most), most))
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


def _hold(
    model: Any,
    parts: Mapping[str, Part],
    previous: Mapping[str, Floats],
    outlook: Outlook,
    new_block: Callable[[], Any],
) -> list[Cost]:
    """|flow - previous flow| for the next hours, so that a plan only changes for a reason worth having."""
    costs = []
    for label, part in parts.items():
        for variable in part.holds:
            quantity = variable.local_name
            names, _ = (list(s) for s in variable.index_set().subsets())
            held = {n: previous[f"{n}/{quantity}"][:HELD_SLOTS] for n in names if f"{n}/{quantity}" in previous}
            # Of a flow that the previous plan knew for a part of these hours only, nothing is held.
            held = {n: row for n, row in held.items() if np.isfinite(row).all()}
            if not held:
                continue
            block = new_block()
            model.add_component(f"{label}_{quantity}_held", block)
            block.fleet = pyo.Set(initialize=list(held), ordered=True)
            block.soon = pyo.RangeSet(0, min(HELD_SLOTS, outlook.slots.count) - 1)
            block.previous_kw = pyo.Param(
                block.fleet, block.soon, initialize=Table(tuple(held), np.array(list(held.values())))
            )
            block.away_kw = pyo.Var(block.fleet, block.soon, bounds=(0, None))

            def rise(b: Any, n: Any, t: Any, flow: Any = variable) -> Any:
                return b.away_kw[n, t] >= flow[n, t] - b.previous_kw[n, t]

            def fall(b: Any, n: Any, t: Any, flow: Any = variable) -> Any:
                return b.away_kw[n, t] >= b.previous_kw[n, t] - flow[n, t]

            block.rises_at_a_price = pyo.Constraint(block.fleet, block.soon, rule=rise)
            block.falls_at_a_price = pyo.Constraint(block.fleet, block.soon, rule=fall)
            costs.append(Cost("leaving_plan", block.away_kw, outlook.worth.leaving_plan_per_kwh * outlook.slots.hours))
    return costs
