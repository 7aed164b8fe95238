"""Hands a matrix to HiGHS and brings values and prices back; a basis of an earlier solution starts it warm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import highspy
import numpy as np

from ems.optimise.matrix import Family, Matrix
from ems.series import Floats

# Fixed for the process: HiGHS keeps one thread pool, and a second solve with another count returns "Not Set".
THREADS = 1
LARGE_ROWS = 70_000  # measured: 48 thousand rows 1.6 s against 3.8 s, 95 thousand 30 s against 12 s
END_SLOTS = 4  # before its end a horizon looks like the one before did at its own end, not like the same hour
# From nothing exact edge weights are known and spare a third of the pivots of a long programme (1.0 s against 1.8 s at
# 25 thousand rows); from an earlier basis they must be worked out first, which costs more than they save. Not so where
# columns were added: the dual simplex with exact weights takes half the time of the primal one that such a basis would
# suit (2.3 s against 4.3 s at 55 thousand rows, the same at 28 thousand), and a fifth of the pivots of devex.
DEVEX, STEEPEST = 1, 2
ASTRAY = 24  # an earlier basis that takes more pivots than a 24th of the rows is no good start
LEAST_PIVOTS = 500  # a small programme is given so many
BASIC, AT_LOWER, FREE = (
    highspy.HighsBasisStatus.kBasic,
    highspy.HighsBasisStatus.kLower,
    highspy.HighsBasisStatus.kZero,
)


class UnsolvedError(RuntimeError):
    """HiGHS ended without an optimum; the message holds its status."""


@dataclass(frozen=True)
class Basis:
    """Which columns and rows stand at a bound in a solution, by family, so that another model can start there."""

    columns: dict[str, tuple[Family, np.ndarray[Any, Any]]]
    rows: dict[str, tuple[Family, np.ndarray[Any, Any]]]


@dataclass(frozen=True)
class Solution:
    """An optimum. `duals` are euro per unit of a row's bound, `reduced` per unit of a column's bound."""

    method: str  # "simplex" or "ipx"
    objective: float
    iterations: int
    values: Floats
    duals: Floats
    reduced: Floats
    raw_basis: Any  # HiGHS's own, for this very matrix
    last_resort: bool = False  # the way that should have led there did not


def solve(matrix: Matrix, *, basis: Any = None, time_limit_s: float = 60.0) -> Solution:
    """Solve a linear programme to optimality; `basis` is one of HiGHS's own for this matrix, from an earlier solution.

    Raises UnsolvedError when HiGHS says anything but optimal: an elastic model has no other honest answer.
    """
    # From nothing the pivots grow faster than the programme: beyond so many rows the interior point overtakes them.
    from_nothing = ("ipx", "simplex") if matrix.a.shape[0] > LARGE_ROWS else ("simplex", "ipx")
    ways: list[tuple[str, Any, int | None]] = [(method, None, None) for method in from_nothing]
    if basis is not None:  # it may lie further off than nothing at all: then it is given up
        ways.insert(0, ("simplex", basis, max(matrix.a.shape[0] // ASTRAY, LEAST_PIVOTS)))
    endings: list[str] = []
    for method, begin, iterations in ways:  # where one ends without an optimum, the next has its turn
        try:
            live = Live(matrix, begin, method=method, time_limit_s=time_limit_s, iterations=iterations)
            solution = live.solution()
            last = len(endings) == len(ways) - 1
            return replace(solution, last_resort=last)
        except UnsolvedError as error:
            endings.append(str(error))
    raise UnsolvedError("; ".join(endings))


class Live:
    """A programme that stays in HiGHS with all it knows of it: other bounds start where the last ones ended."""

    def __init__(
        self,
        matrix: Matrix,
        basis: Any = None,
        *,
        method: str = "simplex",
        time_limit_s: float = 60.0,
        iterations: int | None = None,
        exact: bool = False,
    ) -> None:
        """`exact` works out the edge weights of `basis` first: worth it after columns were added."""
        self.lower, self.upper, self.method = matrix.lower, matrix.upper, method
        self._limit_s = time_limit_s
        self._near: Any = basis  # where the last solution stood that cost no more than was asked
        self._astray = False
        self._highs = highs = new_highs()
        highs.setOptionValue("solver", method)
        highs.setOptionValue("simplex_dual_edge_weight_strategy", STEEPEST if basis is None or exact else DEVEX)
        if iterations is not None:
            highs.setOptionValue("simplex_iteration_limit", iterations)
        if hand_over(matrix, highs) == highspy.HighsStatus.kError:
            raise UnsolvedError("HiGHS refused the model; a coefficient or bound is not a number")
        if basis is not None:
            highs.setBasis(basis)

    def under(self, lower: Floats, upper: Floats, at_most: float = np.inf) -> Solution:
        """The optimum with other bounds of the columns. Raises UnsolvedError; the bounds stay as given.

        After one that costs more than `at_most` euro the next begins where the last one that did not ended: the way
        back from where a wish is refused is a hundred times as long as the way there.
        """
        highs = self._highs
        changed = np.flatnonzero((lower != self.lower) | (upper != self.upper)).astype(np.int32)
        highs.setOptionValue("simplex_dual_edge_weight_strategy", DEVEX)
        highs.changeColsBounds(changed.size, changed, lower[changed], upper[changed])
        self.lower, self.upper = lower, upper
        if self._astray:
            highs.setBasis(self._near)
        return self.solution(at_most)

    def solution(self, at_most: float = np.inf) -> Solution:
        """The optimum. Raises UnsolvedError."""
        highs = self._highs
        highs.setOptionValue("time_limit", highs.getRunTime() + float(self._limit_s))  # HiGHS counts all its runs
        self._astray = self._near is not None
        highs.run()
        status = highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            ended = highs.modelStatusToString(status)
            raise UnsolvedError(f"HiGHS ({self.method}) found no optimum within {self._limit_s:.0f} s: {ended}")
        found, info = highs.getSolution(), highs.getInfo()
        solution = Solution(
            method=self.method,
            objective=float(info.objective_function_value),
            iterations=int(info.simplex_iteration_count + max(info.ipm_iteration_count, 0)),
            values=np.clip(found.col_value, self.lower, self.upper),  # away with the 1e-9 beyond a bound
            duals=np.asarray(found.row_dual),
            reduced=np.asarray(found.col_dual),
            raw_basis=highs.getBasis(),
        )
        if solution.objective <= at_most:
            self._near, self._astray = solution.raw_basis, False
        return solution


def new_highs() -> Any:
    """A silent HiGHS for one thread."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", THREADS)
    # kW, kWh and degC are of like size already; HiGHS's own scaling costs a third more simplex time here.
    highs.setOptionValue("simplex_scale_strategy", 0)
    highs.setOptionValue("simplex_dual_edge_weight_strategy", DEVEX)
    return highs


def hand_over(matrix: Matrix, highs: Any) -> Any:
    """Pass the matrix to HiGHS as the arrays it is: as an `HighsLp` each number is made a Python object first.

    Returns HiGHS's status.
    """
    height, width = matrix.a.shape
    return highs.passModel(
        width, height, matrix.a.nnz, int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize), 0.0,
        matrix.cost, matrix.lower, matrix.upper, matrix.row_lower, matrix.row_upper,
        matrix.a.indptr, matrix.a.indices, matrix.a.data, np.zeros(width, dtype=np.int32),
    )  # fmt: skip


def basis_of(basis: Any, matrix: Matrix) -> Basis | None:
    """HiGHS's basis by family; None when it has none."""
    if not basis.valid:
        return None
    columns, rows = (np.array(list(part), dtype=object) for part in (basis.col_status, basis.row_status))
    return Basis(
        {name: (family, family.of(columns)) for name, family in matrix.columns.items()},
        {name: (family, family.of(rows)) for name, family in matrix.rows.items()},
    )


def fitted(start: Basis, matrix: Matrix, shift: int = 0) -> Any:
    """A basis for `matrix` out of an earlier one: same family, same name, `shift` slots further on.

    What the earlier one did not have starts as HiGHS starts it: rows basic, columns at their lower bound. HiGHS mends
    a basis of the wrong rank by itself.
    """
    count_columns, count_rows = matrix.a.shape[1], matrix.a.shape[0]
    columns = np.full(count_columns, AT_LOWER, dtype=object)
    columns[~np.isfinite(matrix.lower)] = FREE
    rows = np.full(count_rows, BASIC, dtype=object)
    for into, families, known in ((columns, matrix.columns, start.columns), (rows, matrix.rows, start.rows)):
        for name, family in families.items():
            if name in known and family.size:
                _carry(into, family, *known[name], shift)
    basis = highspy.HighsBasis()
    basis.col_status, basis.row_status = columns.tolist(), rows.tolist()
    basis.valid = True
    return basis


def _carry(into: Any, family: Family, before: Family, statuses: Any, shift: int) -> None:
    """Write what is known of a family's statuses into `into`, the last axis moved by `shift` slots."""
    target = into[family.slice].reshape(family.shape)
    if len(before.shape) != len(family.shape):
        return
    taken = []
    for axis, (members, known) in enumerate(zip(family.members, before.members, strict=True)):
        last = axis == len(family.members) - 1 and axis > 0
        place = {m: i for i, m in enumerate(known)}
        if last and shift:
            taken.append(_moved(len(members), len(known), shift))
        else:
            taken.append([place.get(m, -1) for m in members])
    here = np.ix_(*[[i for i, p in enumerate(t) if p >= 0] for t in taken])
    there = np.ix_(*[[p for p in t if p >= 0] for t in taken])
    target[here] = statuses[there]
    into[family.slice] = target.ravel()


def _moved(count: int, known: int, shift: int) -> list[int]:
    """From which slot of an earlier horizon each slot starts: the same hour, but the last ones from its last ones."""
    inner, last = min(known, count) - END_SLOTS, known - 1
    return [min(max(i + shift, 0), inner) if i < inner else min(i, last) for i in range(count)]
