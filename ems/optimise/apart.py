"""The whole in parts that only share some nodes (a loop between plants): each by itself at those nodes' prices.

At the right prices nobody has a reason to ask what the others do. Parts are solved side by side and take a time that
grows with their number; one programme of all takes a time that grows with its square. Their optima add up to a lower
bound of the whole at any prices (Lagrange), the closer the better the prices are.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ems.optimise.matrix import Family, Matrix, Positions
from ems.optimise.solve import AT_LOWER, BASIC, Basis, basis_of, fitted, solve
from ems.series import Floats

SMALL_ROWS = 1000  # what is smaller is solved with other small parts: a programme of its own costs a millisecond


@dataclass(frozen=True)
class Look:
    """The whole at its nodes' prices: values and duals of all parts, and the bound they add up to, euro."""

    values: Floats
    duals: Floats
    bound: float
    iterations: int
    last_resort: bool


class Apart:
    """A matrix in parts; `shared` are the rows (equations) that tie them. Keeps where each part's solution stood."""

    def __init__(self, matrix: Matrix, shared: Positions, workers: int) -> None:
        self.matrix, self.workers = matrix, workers
        self.parts, self.whole = _parts(matrix, shared), False
        if sum(row.size >= SMALL_ROWS for row, _ in self.parts) < 2:  # there is nothing to win
            self.whole = True
        self.shared = shared
        self.tie = matrix.a[shared].tocsr()
        self.basis: tuple[Any, Any] | None = None  # statuses of all columns and rows

    def start_at(self, basis: Basis, shift: int) -> None:
        """Begin where an earlier solution stood, `shift` slots ago."""
        raw = fitted(basis, self.matrix, shift)
        self.basis = np.array(list(raw.col_status), dtype=object), np.array(list(raw.row_status), dtype=object)

    def stood(self) -> Basis | None:
        """Where the solution stands now."""
        if self.basis is None:
            return None
        return basis_of(_raw(*self.basis), self.matrix)

    def solve(self, prices: Floats) -> Look:
        """Every part at these duals of the shared rows. Raises UnsolvedError."""
        cost = self.matrix.cost - self.tie.T @ prices
        values, duals = np.zeros(cost.size), np.zeros(self.matrix.a.shape[0])
        duals[self.shared] = prices
        columns, rows = (np.full(n.size, s, dtype=object) for n, s in ((values, AT_LOWER), (duals, BASIC)))

        def one(part: tuple[Positions, Positions]) -> tuple[float, int, bool]:
            row, column = part
            start = None if self.basis is None else _raw(self.basis[0][column], self.basis[1][row])
            m = self.matrix
            programme = Matrix(
                m.a[row][:, column].tocsr(),
                m.row_lower[row], m.row_upper[row], m.lower[column], m.upper[column], cost[column],
            )  # fmt: skip
            found = solve(programme, basis=start)
            values[column], duals[row] = found.values, found.duals
            columns[column], rows[row] = list(found.raw_basis.col_status), list(found.raw_basis.row_status)
            return found.objective, found.iterations, found.last_resort

        with ThreadPoolExecutor(self.workers) as pool:
            objectives, iterations, last = zip(*pool.map(one, self.parts), strict=True)
        self.basis = columns, rows
        bound = sum(objectives) + float(prices @ self.matrix.row_lower[self.shared])
        return Look(values, duals, bound, sum(iterations), any(last))


def _raw(columns: Any, rows: Any) -> Any:
    basis = highspy.HighsBasis()
    basis.col_status, basis.row_status, basis.valid = columns.tolist(), rows.tolist(), True
    return basis


def _parts(matrix: Matrix, shared: Positions) -> list[tuple[Positions, Positions]]:
    """Rows and columns of each part, largest first. What a rule or a variable says of one name is never divided."""
    height, width = matrix.a.shape
    names_of_rows, count = _names(matrix.rows.values(), height, 0)
    names_of_columns, count = _names(matrix.columns.values(), width, count)
    own = np.ones(height, dtype=bool)
    own[shared] = False
    a = matrix.a[own].tocoo()
    tied = names_of_rows[own][a.row], names_of_columns[a.col]
    graph = sparse.coo_array((np.ones(a.nnz, dtype=np.int8), tied), shape=(count, count))
    number, part_of = connected_components(graph, directed=False)
    of_rows, of_columns = np.where(own, part_of[names_of_rows], -1), part_of[names_of_columns]
    rows_in = np.bincount(of_rows[own], minlength=number)
    large = [k for k in np.argsort(-rows_in).tolist() if rows_in[k] >= SMALL_ROWS]
    parts = [(np.flatnonzero(of_rows == k), np.flatnonzero(of_columns == k)) for k in large]
    small = ~np.isin(np.arange(number), large)
    rest = np.flatnonzero(own & small[of_rows]), np.flatnonzero(small[of_columns])
    return [*parts, rest] if rest[1].size else parts


def _names(families: Iterable[Family], size: int, first: int) -> tuple[Positions, int]:
    """A number for each name of each family, from `first` on, for all its columns (or rows); and the next number."""
    numbers = np.zeros(size, dtype=np.int64)
    for family in families:
        if family.size:
            names = family.shape[0] if family.shape else 1
            numbers[family.slice] = first + np.repeat(np.arange(names), family.size // names)
            first += names
    return numbers, first
