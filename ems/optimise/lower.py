"""Lowers ordinary Pyomo rules to matrices: each rule is read once, as text, and evaluated on arrays of indices.

Pyomo makes an object per row and per variable; at the size of a district that takes longer than solving. A rule says
the same thing for all its indices, so one symbolic reading of it (Pyomo's own templates) and a few array operations
give all its rows at once. What this file does not know it refuses by name, it never leaves a term out.

    block = outline_block()          # where a pyo.Block() would stand: an asset file cannot tell the difference
    model.add_component("battery", block)
    part = battery.build(block, fleet, outlook)
    matrix = lower(model, [(cost.variable, cost.price) for cost in part.costs])

The same rules on an ordinary ConcreteModel, compiled by Pyomo's standard form, give the same matrix: the tests hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.errors import PyomoException
from pyomo.core.base.var import VarData
from pyomo.core.expr import numeric_expr as numeric
from pyomo.core.expr import relational_expr as relational
from pyomo.core.expr.numvalue import NumericValue
from pyomo.core.expr.relational_expr import tuple_to_relational_expr
from pyomo.core.expr.template_expr import GetItemExpression, IndexTemplate, TemplateSumExpression, templatize_rule
from scipy import sparse

from ems.assets.tables import Bounds
from ems.optimise.axes import Axis, Bound, Scope, Union
from ems.optimise.matrix import Family, Matrix, Positions
from ems.optimise.outline import OutlineData, family_name, numbers
from ems.series import Floats

Lift = Callable[[Floats | float], Floats | float]


class UnknownRuleError(NotImplementedError):
    """A rule holds something that cannot be lowered; the message names the rule and what it is."""


def lower(model: Any, costs: Iterable[tuple[Any, float | Floats]] = ()) -> Matrix:
    """The matrix of all rules in the outline blocks of `model`; `costs` are variables and their prices.

    A price is a number or an array in the order of the variable's index; prices of one variable add up.
    Raises UnknownRuleError for what cannot be lowered, KeyError for an index that does not exist.
    """
    return _Lowering(model).matrix(costs)


@contextmanager
def _names_never_compared() -> Iterator[None]:
    """While a rule is read, `name == "x"` is an error: Python would take one branch for all names, without a word."""

    def compared(self: Any, other: Any) -> Any:
        if isinstance(other, str):
            raise TypeError(f"an index is compared with {other!r}")
        return NumericValue.__eq__(self, other)

    IndexTemplate.__eq__ = compared
    try:
        yield
    finally:
        del IndexTemplate.__eq__


class _Rows:
    """The terms of one family of rows as they are found."""

    def __init__(self, count: int) -> None:
        self.row: list[Positions] = []
        self.column: list[Positions] = []
        self.coefficient: list[Floats] = []
        self.constant = np.zeros(count)

    def term(self, row: Positions, column: Positions, coefficient: Floats | float) -> None:
        r, c, v = np.broadcast_arrays(row, column, coefficient)
        self.row.append(r.ravel())
        self.column.append(c.ravel())
        self.coefficient.append(v.ravel())

    def add(self, row: Positions, value: Floats | float) -> None:
        r, v = np.broadcast_arrays(row, value)
        self.constant += np.bincount(r.ravel(), v.ravel(), self.constant.size)


class _Lowering:
    def __init__(self, model: Any) -> None:
        self.axes: dict[int, Axis] = {}
        self.kept: list[Any] = []  # index sets whose id is a key above must live as long as the keys
        self.tables: dict[int, Floats] = {}  # by id of the Param, which its block keeps alive
        self.columns: dict[int, Family] = {}
        self.rule = ""
        blocks = [b for b in model.component_data_objects(pyo.Block, descend_into=True) if isinstance(b, OutlineData)]
        self.variables = [v for b in blocks for v in b.component_objects(pyo.Var, descend_into=False)]
        self.rules = [c for b in blocks for c in b.component_objects(pyo.Constraint, descend_into=False)]
        self.width = 0
        for variable in self.variables:
            family = self.family(variable, self.width)
            self.columns[id(variable)] = family
            self.width += family.size

    def axis(self, index: Any) -> Axis:
        if id(index) not in self.axes:
            self.axes[id(index)] = Axis(index)
            self.kept.append(index)
        return self.axes[id(index)]

    def subsets(self, component: Any) -> list[Axis]:
        """The axes of a component's index, one per set of its product; none for a component without index."""
        if not component.is_indexed():
            return []
        return [self.axis(s) for s in component.index_set().subsets()]

    def family(self, component: Any, start: int) -> Family:
        return Family(family_name(component), start, tuple(a.members for a in self.subsets(component)))

    def matrix(self, costs: Iterable[tuple[Any, float | Floats]]) -> Matrix:
        rows: dict[str, Family] = {}
        pieces: list[_Rows] = []
        lows, highs = [], []
        height = 0
        for rule in self.rules:
            family = self.family(rule, height)
            if family.size == 0:
                continue
            found, low, high = self.lowered(rule, family)
            found.row = [row + height for row in found.row]
            rows[family.name] = family
            pieces.append(found)
            lows.append(low)
            highs.append(high)
            height += family.size
        lower, upper = self.bounds()
        cost = np.zeros(self.width)
        for variable, price in costs:
            family = self.columns[id(variable)]
            if not isinstance(price, float | int) and price.size != family.size:
                raise ValueError(f"{family.name} has {price.size} prices for {family.size} variables")
            cost[family.slice] += price if isinstance(price, float | int) else price.ravel()
        triplets = [
            np.concatenate(list(parts)) if parts else np.zeros(0)
            for parts in zip(
                *[(r, c, v) for p in pieces for r, c, v in zip(p.row, p.column, p.coefficient, strict=True)],
                strict=True,
            )
        ] or [np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)]
        a = sparse.csr_array(sparse.coo_array((triplets[2], (triplets[0], triplets[1])), shape=(height, self.width)))
        a.eliminate_zeros()
        if not np.isfinite(a.data).all():
            raise ValueError(f"{self.blame(a, rows)} has a coefficient that is no number")
        return Matrix(
            a,
            np.concatenate(lows) if lows else np.zeros(0),
            np.concatenate(highs) if highs else np.zeros(0),
            lower,
            upper,
            cost,
            rows,
            {f.name: f for f in self.columns.values()},
        )

    @staticmethod
    def blame(a: sparse.csr_array, rows: Mapping[str, Family]) -> str:
        bad = int(np.searchsorted(a.indptr, int(np.flatnonzero(~np.isfinite(a.data))[0]), side="right")) - 1
        return next(name for name, f in rows.items() if f.start <= bad < f.start + f.size)

    def bounds(self) -> tuple[Floats, Floats]:
        low, high = np.full(self.width, -np.inf), np.full(self.width, np.inf)
        for variable in self.variables:
            family = self.columns[id(variable)]
            rule = variable._rule_bounds
            if rule is None or family.size == 0:
                continue
            if rule.constant():
                pairs: Any = rule(None, None)
                lows, highs = pairs
            else:
                called = getattr(rule._initializer, "_fcn", None)
                stated = getattr(called, "__self__", called)  # Pyomo keeps an object's method, not the object
                if isinstance(stated, Bounds):
                    lows, highs = stated.low, stated.high
                else:
                    block = variable.parent_block()
                    listed = [rule(block, index) for index in variable.index_set()]
                    lows = np.array([-np.inf if low is None else low for low, _ in listed], dtype=float)
                    highs = np.array([np.inf if high is None else high for _, high in listed], dtype=float)
                    lows, highs = lows.reshape(family.shape), highs.reshape(family.shape)
            low[family.slice] = np.broadcast_to(
                -np.inf if lows is None else np.asarray(lows, float), family.shape
            ).ravel()
            high[family.slice] = np.broadcast_to(
                np.inf if highs is None else np.asarray(highs, float), family.shape
            ).ravel()
        return low, high

    def table(self, parameter: Any) -> Floats:
        if id(parameter) not in self.tables:
            self.tables[id(parameter)] = numbers(parameter)
        return self.tables[id(parameter)]

    def unknown(self, what: str) -> UnknownRuleError:
        return UnknownRuleError(f"{self.rule}: {what} cannot be lowered; write it with sums, products and Params")

    def lowered(self, rule: Any, family: Family) -> tuple[_Rows, Floats, Floats]:
        """Terms and bounds of one rule."""
        self.rule = family.name
        scalar = not rule.is_indexed()
        try:
            with _names_never_compared():
                index_set = None if scalar else rule.index_set()
                expression, templates = templatize_rule(rule.parent_block(), rule.rule, index_set)
        except (PyomoException, TypeError, ValueError) as error:
            raise self.unknown(f"a Python condition or look-up on an index ({error})") from error
        if isinstance(expression, tuple):
            expression = tuple_to_relational_expr(expression)
        rows = _Rows(family.size)
        row = np.arange(family.size).reshape(family.shape)
        bound: dict[Any, Bound] = {}
        waiting = [t for t in templates if t is not None]
        for k, axis in enumerate(self.subsets(rule)):
            place = np.arange(len(axis.members)).reshape([-1 if i == k else 1 for i in range(len(family.shape))])
            for part in range(axis.arity):
                bound[waiting.pop(0)._id] = Bound(axis, place, part)
        scope = Scope(bound, row)
        none = np.full(family.size, -np.inf)
        match expression:
            case relational.EqualityExpression() | relational.InequalityExpression():
                left, right = expression.args
                turned = not self.varies(left)  # numbers on the left: the row is the right side, as Pyomo has it
                self.emit(left, scope, -1.0 if turned else 1.0, rows)
                self.emit(right, scope, 1.0 if turned else -1.0, rows)
                other = -rows.constant
                if isinstance(expression, relational.EqualityExpression):
                    return rows, other, other
                return (rows, other, -none) if turned else (rows, none, other)
            case relational.RangedExpression():
                self.emit(expression.arg(1), scope, 1.0, rows)
                low, high = (
                    np.broadcast_to(self.value(expression.arg(i), scope), family.shape).ravel() for i in (0, 2)
                )
                return rows, low - rows.constant, high - rows.constant
        raise self.unknown(f"a rule that returns {type(expression).__name__}")

    def emit(self, node: Any, scope: Scope, scale: Floats | float, rows: _Rows) -> None:
        """Add `scale` x `node` to the rows."""
        if not self.varies(node):
            rows.add(scope.row, scale * self.value(node, scope))
        elif isinstance(node, GetItemExpression):
            variable = node.arg(0)
            rows.term(scope.row, self.columns[id(variable)].start + self.flat(variable, node, scope), scale)
        elif isinstance(node, VarData):  # without an index, or with one written out
            variable = node.parent_component()
            written = node.index() if isinstance(node.index(), tuple) else (node.index(),)
            place = 0
            for axis in self.subsets(variable):
                member, written = written[: axis.arity], written[axis.arity :]
                place = place * len(axis.members) + axis.place[member if axis.arity > 1 else member[0]]
            rows.term(scope.row, np.array(self.columns[id(variable)].start + place), scale)
        elif isinstance(node, TemplateSumExpression):
            inner, lift, _ = self.summed(node, scope)
            self.emit(node.template_args()[0], inner, lift(scale), rows)
        elif isinstance(node, numeric.NegationExpression):
            self.emit(node.arg(0), scope, -1.0 * scale, rows)
        elif isinstance(node, numeric.SumExpressionBase):
            for part in node.args:
                self.emit(part, scope, scale, rows)
        elif isinstance(node, numeric.DivisionExpression) and not self.varies(node.arg(1)):
            self.emit(node.arg(0), scope, scale / self.value(node.arg(1), scope), rows)
        elif isinstance(node, numeric.ProductExpression) and not (
            self.varies(node.arg(0)) and self.varies(node.arg(1))
        ):
            factor, other = node.args if self.varies(node.arg(1)) else reversed(node.args)
            self.emit(other, scope, scale * self.value(factor, scope), rows)
        else:
            raise self.unknown(f"{type(node).__name__} of variables")

    def varies(self, node: Any) -> bool:
        """Whether a variable stands anywhere in it."""
        if isinstance(node, GetItemExpression):
            return isinstance(node.arg(0), pyo.Var)
        if isinstance(node, TemplateSumExpression):
            return self.varies(node.template_args()[0])  # the others are the sets it runs over
        if isinstance(node, VarData):
            return True
        return hasattr(node, "args") and any(self.varies(part) for part in node.args)

    def value(self, node: Any, scope: Scope) -> Floats | float:
        """A constant expression on the scope's arrays."""
        if isinstance(node, int | float | np.number):
            return float(node)
        if isinstance(node, IndexTemplate):
            return self.coordinate(node, scope)
        if isinstance(node, GetItemExpression) and isinstance(node.arg(0), pyo.Param):
            parameter = node.arg(0)
            return self.table(parameter).ravel()[self.flat(parameter, node, scope)]
        if isinstance(node, pyo.Param):
            return float(self.table(node))
        if isinstance(node, TemplateSumExpression):
            inner, _, reduce = self.summed(node, scope)
            return reduce(self.value(node.template_args()[0], inner))
        if isinstance(node, numeric.NegationExpression):
            return -self.value(node.arg(0), scope)
        if isinstance(node, numeric.SumExpressionBase):
            return sum((self.value(part, scope) for part in node.args), start=0.0)
        if isinstance(node, numeric.ProductExpression):
            return self.value(node.arg(0), scope) * self.value(node.arg(1), scope)
        if isinstance(node, numeric.DivisionExpression):
            return self.value(node.arg(0), scope) / self.value(node.arg(1), scope)
        raise self.unknown(type(node).__name__)

    def coordinate(self, template: Any, scope: Scope) -> Floats:
        bound = self.bound(template, scope)
        values = bound.axis.coordinates(bound.part)
        if values is None:
            raise self.unknown(f"the name {template} as a number")
        return values[bound.place]

    def bound(self, template: Any, scope: Scope) -> Bound:
        return scope.bound[template._id]

    def flat(self, component: Any, node: Any, scope: Scope) -> Positions:
        """Where in a component's own order the indices of `node` point, one for each combination of the scope."""
        indices = list(node.args[1:])
        result: Positions = np.zeros((), dtype=np.int64)
        for axis in self.subsets(component):
            taken, indices = indices[: axis.arity], indices[axis.arity :]
            result = result * len(axis.members) + self.places(component, axis, taken, scope)
        if indices:
            raise self.unknown(f"{component.local_name} with {len(node.args) - 1} indices")
        return result

    def places(self, component: Any, axis: Axis, indices: list[Any], scope: Scope) -> Positions:
        """Places in `axis` that the given indices name."""
        bounds = [self.bound(i, scope) if isinstance(i, IndexTemplate) else None for i in indices]
        first = bounds[0]
        if first is not None and all(
            b is not None and b.axis is axis and b.part == k and b.place is first.place for k, b in enumerate(bounds)
        ):
            return first.place
        if axis.arity == 1:
            if first is not None:  # by name, from another set: looked up once per member
                known = np.array([axis.place.get(v, -1) for v in first.axis.values(first.part)], dtype=np.int64)
                return self.existing(component, axis, known[first.place])
            if isinstance(indices[0], str):
                return self.existing(component, axis, np.array(axis.place.get(indices[0], -1)))
            number = np.asarray(self.value(indices[0], scope), dtype=float)
            if axis.first is not None:
                place = np.rint(number).astype(np.int64) - axis.first
                return self.existing(component, axis, np.where(place < len(axis.members), place, -1))
            listed = [axis.place.get(v, -1) for v in number.ravel().tolist()]
            return self.existing(component, axis, np.array(listed, dtype=np.int64).reshape(number.shape))
        columns = []
        for index, bound in zip(indices, bounds, strict=True):
            if bound is not None:
                column = np.array(bound.axis.values(bound.part), dtype=object)[bound.place]
            else:
                column = np.array(index if isinstance(index, str) else self.value(index, scope), dtype=object)
            columns.append(column)
        listed_2 = np.broadcast_arrays(*columns)
        keys = zip(*(c.ravel().tolist() for c in listed_2), strict=True)
        found = np.array([axis.place.get(key, -1) for key in keys], dtype=np.int64)
        return self.existing(component, axis, found.reshape(listed_2[0].shape))

    def existing(self, component: Any, axis: Axis, place: Positions) -> Positions:
        if (place < 0).any():
            raise KeyError(
                f"{self.rule}: {family_name(component)} has no such index; its {len(axis.members)} members "
                f"run from {axis.members[:1]} to {axis.members[-1:]}"
            )
        return place

    def summed(self, node: Any, scope: Scope) -> tuple[Scope, Lift, Lift]:
        """The scope within a sum; how a factor outside is lifted into it; how a value inside is summed out of it."""
        lifts: list[Lift] = []
        reductions: list[Lift] = []
        for iterator in node.template_iters():
            scope, lift, reduce = self.along(iterator, scope)
            lifts.append(lift)
            reductions.insert(0, reduce)

        def through(steps: list[Lift]) -> Lift:
            def all_of(value: Floats | float) -> Floats | float:
                for step in steps:
                    value = step(value)
                return value

            return all_of

        return scope, through(lifts), through(reductions)

    def along(self, templates: Any, scope: Scope) -> tuple[Scope, Lift, Lift]:
        """One more template index (or tuple of them) running over a set."""
        templates = templates if isinstance(templates, tuple | list) else (templates,)
        over = templates[0]._set
        if not isinstance(over, GetItemExpression):
            axis = self.axis(over)
            place = np.arange(len(axis.members))
            bound = {k: Bound(b.axis, b.place[..., None], b.part) for k, b in scope.bound.items()}
            bound |= {t._id: Bound(axis, place, k) for k, t in enumerate(templates)}
            shape = scope.row.shape

            def lift(value: Any) -> Any:
                return value if np.ndim(value) == 0 else np.asarray(value)[..., None]

            def reduce(value: Any) -> Any:
                return np.broadcast_to(value, (*shape, len(axis.members))).sum(axis=-1)

            return Scope(bound, scope.row[..., None]), lift, reduce
        # A set that depends on an outer index: as many combinations as there are members, one after another.
        family = over.arg(0)
        # The flat place of the outer index in the indexed set's own order, for every combination of the scope.
        where = np.broadcast_to(self.flat(family, over, scope), scope.row.shape).ravel()
        lists = [self.axis(family[index]) for index in family.index_set()]
        union = Union([a.members for a in lists], lists[0].arity if lists else 1)
        counts = union.counts[where]
        parent = np.repeat(np.arange(where.size), counts)
        offset = np.arange(parent.size) - np.repeat(np.cumsum(counts) - counts, counts)
        place = union.begin[where][parent] + offset
        shape = scope.row.shape

        def flattened(values: Positions) -> Positions:
            return np.broadcast_to(values, shape).ravel()[parent]

        bound = {k: Bound(b.axis, flattened(b.place), b.part) for k, b in scope.bound.items()}
        bound |= {t._id: Bound(union, place, k) for k, t in enumerate(templates)}

        def lift_ragged(value: Any) -> Any:
            return value if np.ndim(value) == 0 else np.broadcast_to(value, shape).ravel()[parent]

        def reduce_ragged(value: Any) -> Any:
            weights = np.broadcast_to(np.asarray(value, dtype=float), parent.shape)
            return np.bincount(parent, weights, minlength=where.size).reshape(shape)

        return Scope(bound, flattened(scope.row)), lift_ragged, reduce_ragged
