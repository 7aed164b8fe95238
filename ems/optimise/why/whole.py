"""The plan's own model at its optimum, ready to be solved again with something undone.

It is the first look of `divide`: dwellings that stand alike are one. In a district of few dwellings it is the model
itself. All figures of a reason come from here, with and without, so they compare like with like: device minimums and
the way each dwelling differs from its group are in neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import highspy
import numpy as np
from scipy import sparse

from ems.assets.outlook import Medium, Outlook
from ems.optimise.divide import First, Prices, prices_of
from ems.optimise.matrix import Family, Matrix, Positions
from ems.optimise.model import Composed
from ems.optimise.outline import family_name, numbers
from ems.optimise.solve import UnsolvedError, hand_over, new_highs
from ems.series import Floats

AWAY_PER_KW = 100.0  # euro per kW and slot: what cannot be undone whole is undone as far as the rest allows
AWAY = 1e-3  # kW, summed over the horizon: below it something is undone whole
LIMIT_S = 20.0  # of one re-solve
DEVEX = 1  # exact edge weights cost more to begin with than the few steps of a re-solve


@dataclass(frozen=True)
class Solved:
    """An optimum: euro, kg of CO2 bought, and how far it stayed from what it was told to do, kW summed over slots."""

    values: Floats
    cost: float
    kg_co2: float
    away: float = 0.0


class Whole:
    """The model at its optimum. `seconds` and `resolves` count what its solver has done since."""

    def __init__(self, first: First) -> None:
        self.outlook: Outlook = first.outlook
        self.composed: Composed = first.composed
        self.matrix: Matrix = first.matrix
        self.duals, self.reduced = first.solution.duals, first.solution.reduced
        self.prices: Prices = prices_of(self.matrix, self.duals)
        self.planned = self._solved(first.solution.values, first.solution.objective)
        self._basis = first.solution.raw_basis
        self._highs = new_highs()
        hand_over(self.matrix, self._highs)
        self.seconds, self.resolves = 0.0, 0

    def family(self, name: str) -> Family | None:
        """A variable's family by `block.variable`; None where the district has no such block."""
        return self.matrix.columns.get(name)

    def number(self, block: str, parameter: str) -> Floats:
        """The numbers of a Param of a block, names first."""
        return numbers(self.composed.model.component(block).component(parameter))

    @cached_property
    def price_of(self) -> dict[str, Floats]:
        """Marginal price of what every flow that touches a node takes there, euro per kWh, by family."""
        hours, found = self.outlook.slots.hours, {}
        for part in self.composed.parts.values():
            for port in part.ports:
                name = family_name(port.flow)
                family = self.matrix.columns.get(name)
                if family is None or not family.size or name in found or port.medium not in self.prices:
                    continue
                nodes, prices = self.prices[port.medium]
                place = {n: i for i, n in enumerate(nodes)}
                found[name] = np.array([prices[place[port.node[n]]] for n in family.members[0]]) / hours
        return found

    def price_at(self, medium: Medium, node: str) -> Floats:
        """Marginal price of a kWh at a node, euro per slot."""
        nodes, prices = self.prices[medium]
        row: Floats = prices[nodes.index(node)] / self.outlook.slots.hours
        return row

    def undone(self, columns: Positions, values: Floats) -> Solved:
        """The best plan in which these columns stand at these values, or as near to them as the rest allows.

        Raises UnsolvedError when HiGHS ends without an optimum even so.
        """
        values = np.clip(values, self.matrix.lower[columns], self.matrix.upper[columns])
        found = self._with_bounds(columns, values, values)
        return self._as_far_as_possible(columns, values) if found is None else found

    def relaxed(self, columns: Positions, rows: Positions, by: float) -> Solved | None:
        """The best plan with `by` more room at these columns' upper bounds, and where these rows bind."""
        h, m = self._highs, self.matrix
        low, high = m.row_lower[rows].copy(), m.row_upper[rows].copy()
        low[self.duals[rows] > 0] -= by
        high[self.duals[rows] < 0] += by
        for i, a, b in zip(rows.tolist(), low.tolist(), high.tolist(), strict=True):
            h.changeRowBounds(i, a, b)
        found = self._with_bounds(columns, m.lower[columns], m.upper[columns] + by)
        for i in rows.tolist():
            h.changeRowBounds(i, float(m.row_lower[i]), float(m.row_upper[i]))
        return found

    def _with_bounds(self, columns: Positions, low: Floats, high: Floats) -> Solved | None:
        h, m, count = self._highs, self.matrix, columns.size
        index = columns.astype(np.int32)
        if count:
            h.changeColsBounds(count, index, low, high)
        h.setBasis(self._basis)
        found = self._run(h)
        if count:
            h.changeColsBounds(count, index, m.lower[columns], m.upper[columns])
        return None if found is None else self._solved(*found)

    def _run(self, highs: Any) -> tuple[Floats, float] | None:
        """Values and objective of an optimum; None where there is none."""
        begun = highs.getRunTime()  # HiGHS counts on from one run to the next
        highs.setOptionValue("time_limit", begun + LIMIT_S)
        highs.setOptionValue("simplex_dual_edge_weight_strategy", DEVEX)
        highs.run()
        self.seconds += highs.getRunTime() - begun
        self.resolves += 1
        if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return np.asarray(highs.getSolution().col_value), float(highs.getInfo().objective_function_value)

    def _as_far_as_possible(self, columns: Positions, values: Floats) -> Solved:
        """The same with a dear price on every kW that stays away from its value, which is no part of the cost."""
        m, count, width = self.matrix, columns.size, self.matrix.cost.size
        one = sparse.eye_array(count, format="csr")
        pick = sparse.csr_array((np.ones(count), (np.arange(count), columns)), shape=(count, width))
        programme = Matrix(
            sparse.block_array([[m.a, None, None], [pick, one, -one]], format="csr"),
            np.concatenate([m.row_lower, values]),
            np.concatenate([m.row_upper, values]),
            np.concatenate([m.lower, np.zeros(2 * count)]),
            np.concatenate([m.upper, np.full(2 * count, np.inf)]),
            np.concatenate([m.cost, np.full(2 * count, AWAY_PER_KW)]),
        )
        basis = highspy.HighsBasis()
        at_lower, basic = highspy.HighsBasisStatus.kLower, highspy.HighsBasisStatus.kBasic
        basis.col_status = list(self._basis.col_status) + [at_lower] * (2 * count)
        basis.row_status = list(self._basis.row_status) + [basic] * count
        basis.valid = True
        highs = new_highs()
        hand_over(programme, highs)
        highs.setBasis(basis)
        found = self._run(highs)
        if found is None:
            raise UnsolvedError(f"no plan with it undone within {LIMIT_S:g} s")
        away = float(found[0][width:].sum())
        return self._solved(found[0][:width], found[1] - AWAY_PER_KW * away, away)

    def _solved(self, values: Floats, cost: float, away: float = 0.0) -> Solved:
        return Solved(values, cost, self.kg_co2(values), away)

    def kg_co2(self, values: Floats) -> float:
        """What is bought, at each slot's carbon content, kg."""
        family = self.family("supply.import_kw")
        if family is None or not family.size:
            return 0.0
        content = np.array([self.outlook.tariffs[n].carbon_kg_per_kwh for n in family.members[0]])
        return float(np.sum(family.of(values) * content)) * self.outlook.slots.hours

    def terms(self, values: Floats) -> dict[str, float]:
        """Euro by term of the objective."""
        found: dict[str, float] = {}
        for cost in self.composed.costs:
            family = self.matrix.columns[family_name(cost.variable)]
            price: Any = cost.price if isinstance(cost.price, float | int) else cost.price.reshape(family.shape)
            found[cost.term] = found.get(cost.term, 0.0) + float(np.sum(family.of(values) * price))
        return found


__all__ = ["AWAY", "Solved", "UnsolvedError", "Whole"]
