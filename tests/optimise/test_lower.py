"""The lowering against Pyomo itself: the same rules as ordinary objects, compiled by Pyomo's standard form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from scipy import sparse

from ems.assets import ASSET_FILES
from ems.assets.tables import per_name, per_slot, upper
from ems.district import District, read_district
from ems.optimise.lower import UnknownRuleError, lower
from ems.optimise.matrix import Matrix
from ems.optimise.model import Composed, compose
from ems.optimise.outline import outline_block
from ems.optimise.plan import outlook_of
from ems.slots import Slots
from tests.optimise.synthetic import SUMMER, WINTER, forecasts_of, snapshot_of

COUNT = 12


@pytest.fixture(scope="module")
def smartseille() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


def ordinary(composed: Composed) -> Matrix:
    """A model of ordinary Pyomo objects as a matrix, in the order of names and indices that `lower` gives."""
    model = composed.model
    model.cost = pyo.Objective(
        expr=sum(
            price * variable
            for cost in composed.costs
            for price, variable in zip(
                np.broadcast_to(np.asarray(cost.price, float).ravel(), len(cost.variable)).tolist(),
                cost.variable.values(),
                strict=True,
            )
        )
    )
    form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=pyo.minimize)
    variables = {id(v): k for k, v in enumerate(model.component_data_objects(pyo.Var, sort=False))}
    rules = {id(c): k for k, c in enumerate(model.component_data_objects(pyo.Constraint, sort=False))}
    column = np.array([variables[id(v)] for v in form.columns], dtype=int)
    row = np.array([rules[id(r.constraint)] for r in form.rows], dtype=int)
    a = form.A.tocoo()
    first = np.isin(a.row, np.unique(row, return_index=True)[1])  # a rule with two bounds is two rows to Pyomo
    shape = (len(rules), len(variables))
    cost, low, high = np.zeros(shape[1]), np.full(shape[1], -np.inf), np.full(shape[1], np.inf)
    cost[column] = np.asarray(form.c.todense()).ravel() if column.size else 0.0
    for variable in model.component_data_objects(pyo.Var, sort=False):
        at = variables[id(variable)]
        low[at] = -np.inf if variable.lb is None else variable.lb
        high[at] = np.inf if variable.ub is None else variable.ub
    kind = np.array([r.bound_type for r in form.rows], dtype=int)
    row_low, row_high = np.full(shape[0], -np.inf), np.full(shape[0], np.inf)
    right = np.asarray(form.rhs, dtype=float)
    row_low[row[kind != 1]], row_high[row[kind != -1]] = right[kind != 1], right[kind != -1]
    matrix = sparse.csr_array((a.data[first], (row[a.row[first]], column[a.col[first]])), shape=shape)
    return Matrix(matrix, row_low, row_high, low, high, cost)


def upwards(matrix: Matrix) -> Matrix:
    """With every one-sided row as an upper bound: Pyomo turns a rule over when a side of it has no members."""
    turned = np.isfinite(matrix.row_lower) & ~np.isfinite(matrix.row_upper)
    sign = np.where(turned, -1.0, 1.0)
    low, high = np.where(turned, -np.inf, matrix.row_lower), np.where(turned, -matrix.row_lower, matrix.row_upper)
    a = sparse.csr_array(sparse.diags_array(sign) @ matrix.a) if sign.size else matrix.a
    return Matrix(a, low, high, matrix.lower, matrix.upper, matrix.cost)


def assert_same(lowered: Matrix, made: Matrix) -> None:
    assert lowered.a.shape == made.a.shape
    lowered, made = upwards(lowered), upwards(made)
    assert not lowered.a.shape[0] or abs(lowered.a - made.a).max() < 1e-12
    for mine, theirs in (
        (lowered.row_lower, made.row_lower),
        (lowered.row_upper, made.row_upper),
        (lowered.lower, made.lower),
        (lowered.upper, made.upper),
        (lowered.cost, made.cost),
    ):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("start", [WINTER, SUMMER])
def test_the_whole_district_lowered_is_the_matrix_that_pyomo_makes(smartseille: District, start: Any) -> None:
    slots = Slots(start, COUNT)
    outlook = outlook_of(smartseille, snapshot_of(smartseille, slots), forecasts_of(smartseille, slots), slots)
    held = {"plant-a/battery/charge_kw": np.arange(COUNT, dtype=float)}
    assert_same(compose(outlook, held).matrix(), ordinary(compose(outlook, held, pyo.Block)))


@pytest.mark.parametrize("file", ASSET_FILES, ids=lambda f: f.__name__.rpartition(".")[2])
def test_each_asset_file_lowered_is_the_matrix_that_pyomo_makes(smartseille: District, file: Any) -> None:
    slots = Slots(WINTER, COUNT)
    outlook = outlook_of(smartseille, snapshot_of(smartseille, slots), forecasts_of(smartseille, slots), slots)
    made = []
    for new_block in (outline_block, pyo.Block):
        model, block = pyo.ConcreteModel("district"), new_block()
        model.add_component("one", block)
        fleet = {n: a for n, a in outlook.assets.items() if isinstance(a, tuple(file.TYPES))}
        part = file.build(block, fleet, outlook)
        made.append(Composed(model, {}, part.costs, ()))
    assert_same(made[0].matrix(), ordinary(made[1]))


def small(new_block: Any, rule: Any) -> Any:
    """Two names, three slots, numbers and a set of members per name; `rule` is over names and slots."""
    model = pyo.ConcreteModel("district")
    model.one = b = new_block()
    b.fleet = pyo.Set(initialize=["a", "b"], ordered=True)
    b.flows, b.stocks = pyo.RangeSet(0, 2), pyo.RangeSet(0, 3)
    b.pairs = pyo.Set(initialize=[("a", 1), ("b", 2)], dimen=2, ordered=True)
    b.friends = pyo.Set(b.fleet, initialize={"a": ["a", "b"], "b": []}, ordered=True)
    b.given = pyo.Param(b.fleet, b.flows, initialize=per_slot({"a": np.arange(3.0), "b": np.arange(3.0) + 10}))
    b.each = pyo.Param(b.fleet, initialize=per_name({"a": 2.0, "b": 4.0}))
    b.plain = pyo.Param(b.fleet, initialize={"a": 3.0, "b": 5.0})
    b.one = pyo.Param(initialize=7.0)
    b.x = pyo.Var(b.fleet, b.flows, bounds=upper({"a": np.ones(3), "b": np.arange(3.0)}))
    b.e = pyo.Var(b.fleet, b.stocks, bounds=lambda _, n, t: (None, 5.0 + t))
    b.p = pyo.Var(b.pairs, bounds=(0, None))
    b.single = pyo.Var(bounds=(1, 2))
    b.states = pyo.Constraint(b.fleet, b.flows, rule=rule)
    b.few = pyo.Constraint(b.pairs, rule=lambda b, n, t: b.p[n, t] + b.x[n, t - 1] <= b.given[n, t] * b.e[n, t + 1])
    return model


@pytest.mark.parametrize(
    "rule",
    [
        lambda b, n, t: b.e[n, t + 1] == b.e[n, t] + 0.25 * (b.x[n, t] - b.given[n, t]),
        lambda b, n, t: sum(b.x[m, t] for m in b.friends[n]) <= b.each[n] * b.single,
        lambda b, n, t: b.given[n, t] >= b.x[n, t] / b.each[n] - b.plain[n] + b.one,
        lambda b, n, t: (-b.given[n, t], sum(b.x[n, s] * b.given[n, s] for s in b.flows), 100 + t),
        lambda b, n, t: b.each[n] * sum(b.given[m, s] * b.x[m, s] for m in b.fleet for s in b.flows) <= 3,
        lambda b, n, t: (
            -b.x[n, t] * sum(b.given[n, s] for s in b.flows) + b.p["a", 1] == sum(b.each[m] for m in b.friends[n])
        ),
        lambda b, n, t: sum(b.each[m] * (b.x[m, t] + b.x[n, t]) for m in b.friends[n]) - b.e[n, 3] <= b.x["b", t],
        lambda b, n, t: b.x[n, t] + sum(sign * b.e[n, t] for sign in (1.0, -2.0)) >= 2**2 * b.x[n, t] - t,
    ],
)  # fmt: skip
def test_every_form_of_rule_lowers_to_what_pyomo_makes(rule: Any) -> None:
    made = Composed(small(pyo.Block, rule), {}, (), ())
    made.model.zero = pyo.Objective(expr=0)
    form = ordinary_without_cost(made)
    assert_same(lower(small(outline_block, rule)), form)


def ordinary_without_cost(composed: Composed) -> Matrix:
    composed.model.del_component("zero")
    return ordinary(composed)


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (lambda b, n, t: b.x[n, t] * b.e[n, t] <= 1, "of variables"),
        (lambda b, n, t: pyo.sqrt(b.x[n, t]) <= 1, "of variables"),
        (lambda b, n, t: b.x[n, t] ** 2 <= 1, "of variables"),
        (lambda b, n, t: 1 / b.x[n, t] <= 1, "of variables"),
        (lambda b, n, t: pyo.Constraint.Skip, "a rule that returns"),
    ],
)
def test_what_the_lowering_does_not_know_it_refuses_by_name(rule: Any, named: str) -> None:
    with pytest.raises(UnknownRuleError, match=f"one.states.*{named}"):
        lower(small(outline_block, rule))


def test_an_index_that_does_not_exist_is_an_error_and_no_missing_term() -> None:
    with pytest.raises(KeyError, match=r"one\.x has no such index"):
        lower(small(outline_block, lambda b, n, t: b.x[n, t + 1] <= 1))


@pytest.mark.parametrize(
    "rule",
    [
        lambda b, n, t: b.x[n, t] <= (1 if n == "a" else 2),
        lambda b, n, t: b.x[n, t] <= (1 if t == 0 else 2),
        lambda b, n, t: b.x[n, t] <= (1 if n in ("a",) else 2),
        lambda b, n, t: b.x[n, t] <= {"a": 1, "b": 2}[n],
    ],
)
def test_a_python_condition_on_an_index_is_refused_and_never_taken_for_all(rule: Any) -> None:
    with pytest.raises(UnknownRuleError, match=r"one\.states.*condition or look-up"):
        lower(small(outline_block, rule))
