"""A plan's model as ordinary Pyomo objects, solved by Pyomo's own interface to HiGHS: a second opinion on reasons.

It shares the rules of the asset files with the planner, and nothing after them: no lowering, no groups, no bases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.appsi.base import TerminationCondition
from pyomo.contrib.appsi.solvers import Highs

from ems.assets.outlook import Outlook
from ems.optimise.matrix import Matrix
from ems.optimise.model import compose
from ems.optimise.why import Trial
from ems.series import Floats

AWAY_PER_KW = 100.0  # what `why` pays for staying away from a value: a part of what it claims


class Monolith:
    """The ordinary model of an outlook, with the previous plan's flows held as in the plan.

    `names` is the planner's matrix, which says what its columns and rows are called.
    """

    def __init__(self, outlook: Outlook, held: Mapping[str, Floats] | None, names: Matrix) -> None:
        composed = compose(replace(outlook, grouped=False, notes=[]), held, pyo.Block)
        self.model, self.outlook = composed.model, outlook
        expression = 0.0
        for cost in composed.costs:
            prices = np.broadcast_to(np.asarray(cost.price, float).ravel(), len(cost.variable))
            expression += sum(p * v for p, v in zip(prices.tolist(), cost.variable.values(), strict=True) if p)
        self.cost = expression
        self.model.cost = pyo.Objective(expr=expression)
        imports = self.model.supply.import_kw
        tariffs, hours = outlook.tariffs, outlook.slots.hours
        self.kg = sum(float(tariffs[n].carbon_kg_per_kwh[t]) * hours * imports[n, t] for n, t in imports)
        self.columns = _called(names.columns)
        self.rows = _called(names.rows)
        self.planned = self.solve()

    def solve(self) -> float | None:
        """The least cost, euro; None where the model has no plan."""
        solver = Highs()  # a new one each time: nothing is kept from one solve to the next
        solver.config.load_solution = False
        found = solver.solve(self.model)
        if found.termination_condition != TerminationCondition.optimal:
            return None
        found.solution_loader.load_vars()
        return float(pyo.value(self.cost))

    def without(self, trial: Trial, kg_co2: float | None = None) -> float | None:
        """The least cost with what a trial undid undone, or what it loosened loosened.

        With `kg_co2` only among plans of so much CO2: whether what was claimed of it can be had at that cost.
        """
        if trial.limit is not None:
            return self._loosened(trial)
        variables = [self._of(self.columns, int(c)) for c in trial.columns]
        values = [float(np.clip(v, x.lb, x.ub)) for v, x in zip(trial.values, variables, strict=True)]
        if trial.found.away < 1e-3:
            for variable, value in zip(variables, values, strict=True):
                variable.fix(value)
            cost = self._with_kg(kg_co2)
            for variable in variables:
                variable.unfix()
            return cost
        model, every = self.model, range(len(variables))
        model.above = pyo.Var(every, bounds=(0, None))
        model.below = pyo.Var(every, bounds=(0, None))
        model.stays = pyo.Constraint(every, rule=lambda m, i: variables[i] + m.above[i] - m.below[i] == values[i])
        model.cost.set_value(self.cost + AWAY_PER_KW * (pyo.quicksum(model.above[i] + model.below[i] for i in every)))
        cost = self._with_kg(kg_co2)
        model.cost.set_value(self.cost)
        for component in ("stays", "above", "below"):
            model.del_component(component)
        return cost

    def _with_kg(self, kg_co2: float | None) -> float | None:
        if kg_co2 is None:
            return self.solve()
        near = 0.01 + 1e-3 * abs(kg_co2)
        self.model.carbon = pyo.Constraint(expr=(kg_co2 - near, self.kg, kg_co2 + near))
        cost = self.solve()
        self.model.del_component("carbon")
        return cost

    def planned_with(self, kg_co2: float) -> float | None:
        """The least cost of a plan with so much CO2."""
        return self._with_kg(kg_co2)

    def _loosened(self, trial: Trial) -> float | None:
        assert trial.limit is not None
        by, side, before = trial.limit.words.by, trial.limit.words.side, []
        for column in trial.limit.columns:
            variable = self._of(self.columns, int(column))
            before.append((variable.setub, variable.ub))
            variable.setub(variable.ub + by)
        for row in trial.limit.rows:
            rule = self._of(self.rows, int(row))
            low, body, high = rule.lower, rule.body, rule.upper
            before.append((rule.set_value, (low, body, high)))
            low = low - by if low is not None and side >= 0 else low
            high = high + by if high is not None and side <= 0 else high
            rule.set_value((low, body, high))
        cost = self.solve()
        for set_back, value in before:
            set_back(value)
        return cost

    def _of(self, names: dict[int, tuple[str, Any]], number: int) -> Any:
        name, index = names[number]
        block, _, component = name.partition(".")
        return self.model.component(block).component(component)[index]


def _called(families: Mapping[str, Any]) -> dict[int, tuple[str, Any]]:
    """Block, component and index of every column (or row)."""
    found: dict[int, tuple[str, Any]] = {}
    for name, family in families.items():
        for place in np.ndindex(family.shape):
            index: list[Any] = []
            for members, i in zip(family.members, place, strict=True):
                index += members[i] if isinstance(members[i], tuple) else [members[i]]
            found[family.start + int(np.ravel_multi_index(place, family.shape))] = (
                name,
                tuple(index) if len(index) > 1 else index[0],
            )
    return found
