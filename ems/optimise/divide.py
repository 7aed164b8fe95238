"""Plans a district with hundreds of dwellings: the whole first with dwellings in groups, then every dwelling.

Dwellings touch the rest only through the node they draw from. So

1. the whole is looked at with dwellings that stand alike as one (`Outlook.grouped`): its prices at the nodes are all
   but exact. Plants that only share a loop are looked at each by itself, at the loop's prices (`apart.py`);
2. each dwelling is given its share of its group's plan by its asset file (`share_out`): plans that everybody can keep;
3. each dwelling alone, at the prices, is a small programme too. Their optima and what the rest is worth at these prices
   add up to a lower bound (Lagrange): no plan of all dwellings together can cost less;
4. the rest is solved, in one, with a mixture of these plans for every group (a restricted master, Dantzig and Wolfe):
   this is the plan, an upper bound, and new prices of the loop. They repeat until the two bounds are close enough.

So the distance from the best plan is certified without the one large programme ever being solved, and from the first
mixture on there is always a plan in hand. A district of few dwellings is solved as one programme, which is exact.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
from scipy import sparse

from ems.assets import SHARED_FILES, SharedFile
from ems.assets.outlook import Outlook, Part
from ems.optimise.apart import Apart, Look
from ems.optimise.coarse import Coarse, clock_hours
from ems.optimise.lower import lower
from ems.optimise.matrix import Family, Matrix, Positions
from ems.optimise.model import Composed, compose
from ems.optimise.outline import family_name, numbers, outline_block
from ems.optimise.settle import OnOffColumns, near_term, settle
from ems.optimise.solve import (
    AT_LOWER,
    Basis,
    Live,
    Solution,
    UnsolvedError,
    basis_of,
    fitted,
    new_highs,
    solve,
)
from ems.series import Floats
from ems.slots import Slots

FEW = 24  # dwellings that are solved with all the rest at once
CLOSE_ENOUGH = 0.002  # of what is decided on: forecasts err by far more
ROUNDS = 8
DEAR_SHARE, DEAR = 0.01, 0.5  # of what is decided on, and euro: more than this for a switch is the price of a wish
Prices = Mapping[str, tuple[tuple[str, ...], Floats]]  # by medium: nodes, euro per kW and slot
WORKERS = min(2, os.cpu_count() or 1)
TIE = "loop_nodes.balances"
NOWHERE: Positions = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Stood:
    """Where the solution of an earlier plan stood, on its slots; `tie` are the duals of the rows that tie its parts."""

    slots: Slots
    basis: Basis
    tie: Floats | None = None  # (nodes, slots)

    def shift(self, slots: Slots) -> int:
        """By how many slots it is older."""
        return round((slots.start - self.slots.start) / slots.length)

    def tie_on(self, family: Family, slots: Slots) -> Floats | None:
        """Those duals at the same instants of other slots, the last ones repeated; None where the nodes are others."""
        if self.tie is None or self.basis.rows[TIE][0].members[0] != family.members[0]:
            return None
        at = np.clip(np.arange(slots.count) + self.shift(slots), 0, self.slots.count - 1)
        return self.tie[:, at].ravel()


@dataclass
class Memory:
    """What a planner keeps from one plan to the next so that it starts near its end: where the solutions stood."""

    first: Stood | None = None  # of the whole
    parts: Stood | None = None
    members: dict[str, Any] = field(default_factory=dict)  # HiGHS's basis by dwelling
    halfway: frozenset[str] = frozenset()

    def of(self, stood: Stood | None, slots: Slots) -> Stood | None:
        """What stood on slots of this length."""
        return stood if stood is not None and stood.slots.minutes == slots.minutes else None


@dataclass(frozen=True)
class Piece:
    """A solved part of the whole. `without` are names in it that another piece holds in full."""

    composed: Composed
    matrix: Matrix
    values: Floats
    without: frozenset[str] = frozenset()

    def kept(self, family: Family) -> Positions:
        """Places along a family's first axis that are this piece's own."""
        if not family.members:
            return np.zeros(0, dtype=np.int64)
        return np.array([i for i, n in enumerate(family.members[0]) if n not in self.without], dtype=np.int64)


@dataclass(frozen=True)
class First:
    """The whole as it is looked at first: dwellings that stand alike are one, devices may do things halfway."""

    outlook: Outlook
    composed: Composed
    matrix: Matrix
    memory: Memory

    @cached_property
    def solution(self) -> Solution:
        """Its optimum, from where that of the last plan stood. Raises UnsolvedError."""
        slots, stood = self.outlook.slots, self.memory.of(self.memory.first, self.outlook.slots)
        start = None if stood is None else fitted(stood.basis, self.matrix, stood.shift(slots))
        found = solve(self.matrix, basis=start)
        basis = basis_of(found.raw_basis, self.matrix)
        self.memory.first = None if basis is None else Stood(slots, basis)
        return found

    def look(self) -> Look:
        """The same, as a look at the whole."""
        found = self.solution
        return Look(found.values, found.duals, found.objective, found.iterations, found.last_resort)


@dataclass(frozen=True)
class Found:
    """A plan for the whole, and a proof of how good it is.

    `prices` are the duals of the balances at each medium's nodes, euro per kW and slot, shaped (nodes, slots).
    `bound` is what no plan can go below, euro; `relaxed` what this one would cost if devices could do things halfway.
    `halfway` names those which for the next hour still do. `first` is the first look, with dwellings in groups.
    `given` is what cannot be decided on: what the stores hold at the start, less loads that nobody can move, euro.
    """

    pieces: tuple[Piece, ...]
    cost: float
    relaxed: float
    bound: float
    prices: Prices
    iterations: int
    method: str
    halfway: tuple[str, ...]
    first: First
    last_resort: bool
    given: float

    @property
    def gap(self) -> float:
        """How far the plan may be from the best one, as a share of what it decides on."""
        return max(self.cost - self.bound, 0.0) / decided(self.cost, self.given)


def decided(cost: float, given: float) -> float:
    """What a plan of this cost decides on, euro."""
    return max(abs(cost + given), 1.0)


def find(
    outlook: Outlook,
    held: Mapping[str, Floats] | None = None,
    memory: Memory | None = None,
    *,
    close_enough: float = CLOSE_ENOUGH,
    time_is_up: Callable[[], bool] = lambda: False,
    halves: bool = False,
) -> Found:
    """The best plan found; `held` are the previous plan's flows on these slots.

    Ends when cost and bound are within `close_enough` of what is decided on, when the time is up, or after ROUNDS.
    Then what cannot be done halfway is settled for the next hour, unless `halves` are wanted. Raises UnsolvedError.
    """
    memory = Memory() if memory is None else memory
    shared = [f for f in SHARED_FILES if sum(isinstance(a, f.MEMBERS) for a in outlook.assets.values()) > FEW]
    grouped = replace(outlook, grouped=bool(shared))
    composed = compose(grouped, held)
    matrix = composed.matrix()
    slots, first = outlook.slots, First(grouped, composed, matrix, memory)
    fleets = [Members(file, outlook, composed, matrix) for file in shared]
    master = Master(matrix, fleets)
    apart = Apart(matrix, tie(matrix) if fleets else NOWHERE, WORKERS)
    begun = first_look(first, apart, master, memory)
    given = given_in(composed, matrix, outlook, begun.values)
    iterations, bound = begun.iterations, -np.inf
    for members in fleets:
        members.share_out(begun.values)
    looked: Look | None = begun
    if not fleets:
        bound = begun.bound
        master.solve(first.solution.raw_basis)
    for left in reversed(range(ROUNDS if fleets else 0)):
        if looked is None:
            prices, lower = master.prices(), master.cost_without_groups
        else:
            prices, lower = prices_of(matrix, looked.duals), looked.bound
        for members in fleets:
            lower += members.at_prices(prices, memory)
            if looked is not None:  # what the groups cost at these prices is replaced by what their members would
                lower -= members.groups_at_prices(prices, looked.values)
        bound = max(bound, lower)
        master.solve()
        iterations += master.iterations
        if left == 0 or master.cost - bound <= close_enough * decided(master.cost, given) or time_is_up():
            break
        try:
            looked = None if apart.whole else apart.solve(master.duals[apart.shared])
        except UnsolvedError:  # the plan in hand stands, only its proof does not get better
            break
    basis = None if apart.whole else apart.stood()
    if basis is not None:
        memory.parts = Stood(slots, basis, matrix.rows[TIE].of(master.duals))
    relaxed = master.cost
    # Who could not be settled last time is asked again on the hour only.
    known = memory.halfway if slots.start.minute else frozenset()
    if not halves:
        master.settle(near_term(composed, matrix, outlook, known), DEAR_SHARE * decided(relaxed, given) + DEAR)
    halfway = near_term(composed, matrix, outlook).halfway(master.values)
    if not halves:
        memory.halfway = frozenset(halfway)
    own = frozenset(group for members in fleets for group in members.groups)
    pieces = [Piece(composed, matrix, master.values, own)]
    pieces += [Piece(m.composed, m.matrix, m.mixture(w)) for m, w in zip(fleets, master.weights, strict=True)]
    return Found(
        tuple(pieces),
        master.cost,
        relaxed,
        bound,
        prices_of(matrix, master.duals),
        iterations,
        master.method,
        halfway,
        first,
        begun.last_resort,
        given,
    )


def tie(matrix: Matrix) -> Positions:
    """The rows that tie plants to each other: what they take from a loop between them."""
    family = matrix.rows.get(TIE)
    return NOWHERE if family is None else family.positions.ravel()


def first_look(first: First, apart: Apart, master: Master, memory: Memory) -> Look:
    """At every part, at the last plan's prices of the loop or those of a first mixture of plans by the hour.

    At the whole where it has no parts, or, as a last resort, where one of them has no optimum at these prices.
    """
    if apart.whole:
        return first.look()
    slots = first.outlook.slots
    stood, prices = memory.of(memory.parts, slots), None
    try:
        if stood is not None:
            apart.start_at(stood.basis, stood.shift(slots))
            prices = stood.tie_on(apart.matrix.rows[TIE], slots)
        if prices is None:
            values = Coarse(apart.matrix, clock_hours(slots)).values()
            for members in master.fleets:
                members.share_out(values)
            master.solve()
            prices = master.duals[apart.shared]
        return apart.solve(prices)
    except UnsolvedError:
        apart.whole = True
        return replace(first.look(), last_resort=True)


def given_in(composed: Composed, matrix: Matrix, outlook: Outlook, values: Floats) -> float:
    """What no plan decides on, euro: what the stores hold at the start, at the prices for what they hold at the end,
    less what loads cost that nobody can move.
    """
    columns, worth = matrix.columns, 0.0
    for cost in composed.costs:
        if cost.term == "stores" and not isinstance(cost.price, float | int):
            family = columns[family_name(cost.variable)]
            worth -= float(np.sum(cost.price.reshape(family.shape)[..., -1] * family.of(values)[..., 0]))
    for part in composed.parts.values():
        for port in part.ports:
            if port.firm and port.medium == "electricity":
                for row, node in zip(numbers(port.flow), port.node.values(), strict=True):
                    if node in outlook.tariffs:
                        worth -= float(row @ outlook.tariffs[node].import_per_kwh) * outlook.slots.hours
    return worth


def prices_of(matrix: Matrix, duals: Floats) -> Prices:
    """Euro for one more kW over a slot at each node, by medium."""
    found = {}
    for name, family in matrix.rows.items():
        label, _, rule = name.partition(".")
        if label.endswith("_nodes") and rule == "balances":
            found[label.removesuffix("_nodes")] = (family.members[0], -family.of(duals))
    return found


class Members:
    """The many alike of one asset file (dwellings): each a programme of its own, tied to the rest by its ports."""

    def __init__(self, file: SharedFile, outlook: Outlook, whole: Composed, matrix: Matrix) -> None:
        self.file, self.whole, self.whole_matrix = file, whole, matrix
        self.label = str(getattr(file, "__name__", file)).rpartition(".")[2]
        self.fleet = {n: a for n, a in outlook.assets.items() if isinstance(a, file.MEMBERS)}
        model = pyo.ConcreteModel("members")
        block = outline_block()
        model.add_component(self.label, block)
        self.part: Part = file.build(block, self.fleet, outlook)
        self.composed = Composed(model, {self.label: self.part}, self.part.costs, self.part.slacks)
        self.matrix = lower(model, [(cost.variable, cost.price) for cost in self.part.costs])
        self.names: tuple[str, ...] = tuple(block.fleet)
        self.block = block
        self.groups = file.groups(self.fleet, replace(outlook, grouped=True))
        place = {member: i for i, group in enumerate(self.groups.values()) for member in group}
        self.group = np.array([place[n] for n in self.names], dtype=np.int64)
        self.ports = [
            (f"{self.label}.{p.flow.local_name}", p.medium, -1.0 if p.gives else 1.0, p.node) for p in self.part.ports
        ]
        self.programmes = Programmes(self.matrix, self.names, self.group)
        self.plans: list[Floats] = []

    def of_groups(self, family: Family) -> Positions:
        """Places of the groups along the first axis of a family of the whole."""
        place = {n: i for i, n in enumerate(family.members[0])}
        return np.array([place[g] for g in self.groups], dtype=np.int64)

    def share_out(self, values: Floats) -> None:
        """Add plans that give every member its share of the whole's plan for its group."""
        grouped = self.whole.model.component(self.label)
        each, whole = (
            {p.local_name: numbers(p) for p in block.component_objects(pyo.Param)} for block in (self.block, grouped)
        )
        fleet = len(grouped.fleet)
        planned = {
            name.partition(".")[2]: family.of(values)[self.of_groups(family)]
            for name, family in self.whole_matrix.columns.items()
            if name.startswith(f"{self.label}.")
        }
        at = self.of_groups(self.whole_matrix.columns[self.ports[0][0]])
        whole = {k: v[at] if v.shape and v.shape[0] == fleet else v for k, v in whole.items()}
        limits = {n.partition(".")[2]: f.of(self.matrix.upper) for n, f in self.matrix.columns.items()}
        for found in self.file.share_out(each, whole, limits, planned, self.group):
            plan = np.empty(self.matrix.cost.size)
            for name, family in self.matrix.columns.items():
                plan[family.slice] = found[name.partition(".")[2]].ravel()
            self.plans.append(plan)

    def drawn(self, plan: Floats, name: str) -> Floats:
        """What the members of each group take together by a variable of theirs, shaped (groups, slots)."""
        family = self.matrix.columns[name]
        together = np.zeros((len(self.groups), *family.shape[1:]))
        np.add.at(together, self.group, family.of(plan))
        return together

    def cost(self, plan: Floats) -> Floats:
        """What each group's members cost together in a plan, euro."""
        together = np.zeros(len(self.groups))
        for family in self.matrix.columns.values():
            euro = (family.of(plan) * family.of(self.matrix.cost)).reshape(len(self.names), -1).sum(axis=1)
            together += np.bincount(self.group, euro, together.size)
        return together

    def mixture(self, weights: Floats) -> Floats:
        """The plan that mixes all plans, by `weights` shaped (plans, groups)."""
        mixed = np.zeros(self.matrix.cost.size)
        for plan, weight in zip(self.plans, weights, strict=True):
            for family in self.matrix.columns.values():
                share = weight[self.group].reshape(-1, *[1] * (len(family.shape) - 1))
                mixed[family.slice] += (family.of(plan) * share).ravel()
        return mixed

    def at_prices(self, prices: Prices, memory: Memory) -> float:
        """What all members cost when each does what is best for itself at the nodes' prices, euro; adds that plan."""
        cost = self.matrix.cost.copy()
        for name, medium, sign, node in self.ports:
            nodes, price = prices[medium]
            place = {n: i for i, n in enumerate(nodes)}
            at = np.array([place[node[n]] for n in self.names])
            cost[self.matrix.columns[name].slice] += sign * price[at].ravel()
        total, plan = self.programmes.solve(cost, memory.members)
        self.plans.append(plan)
        return total

    def groups_at_prices(self, prices: Prices, values: Floats) -> float:
        """What their groups cost at the same prices in the whole's plan, euro."""
        total = 0.0
        for name, family in self.whole_matrix.columns.items():
            if name.startswith(f"{self.label}."):
                at = self.of_groups(family)
                total += float(np.sum(family.of(values)[at] * family.of(self.whole_matrix.cost)[at]))
        for port in self.whole.parts[self.label].ports:
            family = self.whole_matrix.columns[f"{self.label}.{port.flow.local_name}"]
            nodes, price = prices[port.medium]
            place = {n: i for i, n in enumerate(nodes)}
            node = np.array([place[port.node[g]] for g in self.groups])
            flow = family.of(values)[self.of_groups(family)]
            total += (-1.0 if port.gives else 1.0) * float(np.sum(flow * price[node]))
        return total


class Programmes:
    """Programmes of one shape, one per member, out of a matrix in which no row knows two members."""

    def __init__(self, matrix: Matrix, names: tuple[str, ...], group: Positions) -> None:
        count = len(names)
        column, row = (
            np.argsort(np.concatenate([np.repeat(np.arange(count), f.size // count) for f in families]), kind="stable")
            for families in (matrix.columns.values(), matrix.rows.values())
        )
        self.names, self.group, self.column = names, group, column
        self.height, self.width = row.size // count, column.size // count
        self.a = matrix.a[row][:, column].tocsr()
        self.lower, self.upper = matrix.lower[column], matrix.upper[column]
        self.row_lower, self.row_upper = matrix.row_lower[row], matrix.row_upper[row]

    def programme(self, i: int, cost: Floats) -> Any:
        """One member's, as HiGHS takes it."""
        columns, rows = slice(i * self.width, (i + 1) * self.width), slice(i * self.height, (i + 1) * self.height)
        begin = self.a.indptr[rows.start : rows.stop + 1]
        lp = highspy.HighsLp()
        lp.num_row_, lp.num_col_ = self.height, self.width
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost[columns], self.lower[columns], self.upper[columns]
        lp.row_lower_, lp.row_upper_ = self.row_lower[rows], self.row_upper[rows]
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = begin - begin[0]
        lp.a_matrix_.index_ = self.a.indices[begin[0] : begin[-1]] - columns.start
        lp.a_matrix_.value_ = self.a.data[begin[0] : begin[-1]]
        return lp

    def solve(self, cost: Floats, bases: dict[str, Any]) -> tuple[float, Floats]:
        """The sum of all optima in euro, and the solutions in the order of the matrix's columns.

        Starts from `bases` by name, else from the one before in the same group.
        """
        ordered = np.argsort(self.group, kind="stable")
        halves = np.array_split(ordered, WORKERS)
        own, values = cost[self.column], np.empty(self.column.size)
        with ThreadPoolExecutor(WORKERS) as pool:  # HiGHS lets go of Python's lock while it solves
            total = sum(pool.map(lambda half: self._in_turn(half.tolist(), own, bases, values), halves))
        plan = np.empty(values.size)
        plan[self.column] = values
        return total, plan

    def _in_turn(self, members: list[int], cost: Floats, bases: dict[str, Any], values: Floats) -> float:
        highs = new_highs()
        highs.setOptionValue("presolve", "off")
        highs.setOptionValue("solver", "simplex")
        total, before = 0.0, None
        for i in members:
            highs.passModel(self.programme(i, cost))
            start = bases.get(self.names[i], before)
            if start is not None:
                highs.setBasis(start)
            highs.run()
            status = highs.getModelStatus()
            if status != highspy.HighsModelStatus.kOptimal:
                raise UnsolvedError(f"{self.names[i]}: HiGHS found no optimum ({highs.modelStatusToString(status)})")
            total += highs.getInfo().objective_function_value
            own = slice(i * self.width, (i + 1) * self.width)
            values[own] = np.clip(highs.getSolution().col_value, self.lower[own], self.upper[own])
            bases[self.names[i]] = before = highs.getBasis()
        return total


class Master:
    """The whole with a mixture of its members' plans in the place of every group.

    A column per group and plan; a row per group: its shares add up to one.
    """

    def __init__(self, matrix: Matrix, fleets: list[Members]) -> None:
        self.matrix, self.fleets = matrix, fleets
        self.lower, self.upper = matrix.lower, matrix.upper
        self.columns = np.ones(matrix.a.shape[1], dtype=bool)
        self.rows = np.ones(matrix.a.shape[0], dtype=bool)
        names = {group for members in fleets for group in members.groups}
        for kept, families in ((self.columns, matrix.columns), (self.rows, matrix.rows)):
            for family in families.values():
                if family.members:
                    at = np.array([n in names for n in family.members[0]], dtype=bool)
                    kept[family.positions[at].ravel()] = False
        self.groups = sum(len(members.groups) for members in fleets)
        self.rest = matrix.a[self.rows][:, self.columns].tocsr()
        self.height, self.width = self.rest.shape
        self.basis: Any = None
        self.live: Live | None = None
        self.cost, self.cost_without_groups, self.iterations = 0.0, 0.0, 0
        self.values, self.duals = np.zeros(matrix.cost.size), np.zeros(matrix.a.shape[0])
        self.weights: list[Floats] = []
        self.added, self.method = 0, ""

    def settle(self, on_off: OnOffColumns, dear: float) -> None:
        """Leave nothing halfway in the near term that need not be."""
        relaxed = (self.lower, self.upper)

        def under(lower: Floats, upper: Floats, at_most: float = np.inf) -> tuple[Floats, float]:
            assert self.live is not None, "settled before it was solved"
            shares = self.live.lower.size - self.width
            self.lower, self.upper = lower, upper
            self._take(
                self.live.under(
                    np.concatenate([lower[self.columns], np.zeros(shares)]),
                    np.concatenate([upper[self.columns], np.full(shares, np.inf)]),
                    at_most,
                )
            )
            return self.values.copy(), self.cost

        found = settle(on_off, self.values.copy(), self.cost, relaxed, under, dear)
        if self.lower is not found.lower or self.upper is not found.upper:  # the last trial was not the one to keep
            under(found.lower, found.upper)

    def solve(self, start: Any = None) -> None:
        """Solve with all plans there are by now; `start` is HiGHS's basis of the whole, else that of the last time."""
        plans = len(self.fleets[0].plans) if self.fleets else 0
        drawn, cost = [], [np.zeros(0)]
        for k in range(plans):
            for members in self.fleets:
                columns, flows = [], []
                for name, *_ in members.ports:
                    family = self.matrix.columns[name]
                    columns.append(family.positions[members.of_groups(family)])
                    flows.append(members.drawn(members.plans[k], name))
                at, kw = np.concatenate(columns, axis=1), np.concatenate(flows, axis=1)
                begin = np.arange(at.shape[0] + 1) * at.shape[1]
                shape = (at.shape[0], self.matrix.cost.size)
                drawn.append(sparse.csr_array((kw.ravel(), at.ravel(), begin), shape=shape))
                cost.append(members.cost(members.plans[k]))
        a = self.rest
        if plans:
            mixed = (self.matrix.a @ sparse.vstack(drawn).T.tocsc())[self.rows]
            one = sparse.hstack([sparse.eye_array(self.groups)] * plans)
            a = sparse.block_array([[self.rest, mixed], [None, one]], format="csr")
        ones, m = np.ones(self.groups), self.matrix
        shares = self.groups * plans
        programme = Matrix(
            a,
            np.concatenate([m.row_lower[self.rows], ones]),
            np.concatenate([m.row_upper[self.rows], ones]),
            np.concatenate([self.lower[self.columns], np.zeros(shares)]),
            np.concatenate([self.upper[self.columns], np.full(shares, np.inf)]),
            np.concatenate([m.cost[self.columns], *cost]),
        )
        if start is not None:
            self.live = Live(programme, start)
        elif self.basis is None:
            self.live = Live(programme)  # from nothing it is faster than from where parts or groups stood
        else:
            self.live = Live(programme, self._with_shares(shares), exact=True)
        self.added = shares
        self._take(self.live.solution())

    def _take(self, solution: Solution) -> None:
        """Keep what a solution says."""
        self.iterations, self.basis, self.method = solution.iterations, solution.raw_basis, solution.method
        self.values[self.columns] = solution.values[: self.width]
        self.duals[self.rows] = solution.duals[: self.height]
        self.cost = solution.objective
        self.cost_without_groups = solution.objective - float(solution.duals[self.height :].sum())
        if self.groups:
            by_plan = solution.values[self.width :].reshape(-1, self.groups)
            by_plan = by_plan / by_plan.sum(axis=0)
            ends = np.cumsum([len(members.groups) for members in self.fleets])
            self.weights = np.split(by_plan, ends[:-1], axis=1)

    def _with_shares(self, shares: int) -> Any:
        """The basis of the last time, with no share of what has been added since."""
        basis = highspy.HighsBasis()
        basis.col_status = list(self.basis.col_status) + [AT_LOWER] * (shares - self.added)
        basis.row_status, basis.valid = list(self.basis.row_status), True
        return basis

    def prices(self) -> Prices:
        """At the nodes, by the duals of the last solution."""
        return prices_of(self.matrix, self.duals)
