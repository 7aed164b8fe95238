"""Hands a Pyomo model to HiGHS as one matrix, and brings values and prices back.

Pyomo's own HiGHS interfaces add rows one by one through Python: 40 s at the size of this district. Its standard form
compiler and one `passModel` take a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

# Fixed for the process: HiGHS keeps one thread pool, and a second solve with another count returns "Not Set".
THREADS = 1


class UnsolvedError(RuntimeError):
    """HiGHS ended without an optimum; the message holds its status."""


@dataclass(frozen=True)
class Solution:
    """Values stand in the model's variables; `duals` by constraint object id, euro per unit of its right-hand side."""

    method: str  # "simplex", or "ipx" when simplex ended without an optimum
    objective: float
    iterations: int
    rows: int
    columns: int
    nonzeros: int
    duals: dict[int, float]


def solve(model: Any, *, time_limit_s: float = 60.0) -> Solution:
    """Solve a linear Pyomo model to optimality; afterwards every variable holds its value.

    Raises UnsolvedError when HiGHS says anything but optimal: an elastic model has no other honest answer.
    """
    form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=pyo.minimize)
    lp, offset = _lp(form)
    endings = []
    for method in ("simplex", "ipx"):  # where the first ends without an optimum, the second has its turn
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        highs.setOptionValue("threads", THREADS)
        highs.setOptionValue("time_limit", float(time_limit_s))
        highs.setOptionValue("solver", method)
        # kW, kWh and degC are of like size already; HiGHS's own scaling costs a third more simplex time here.
        highs.setOptionValue("simplex_scale_strategy", 0)
        if highs.passModel(lp) == highspy.HighsStatus.kError:
            raise UnsolvedError("HiGHS refused the model; a coefficient or bound is not a number")
        highs.run()
        status = highs.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            break
        endings.append(f"{method}: {highs.modelStatusToString(status)}")
    else:
        raise UnsolvedError(f"HiGHS found no optimum within {time_limit_s:.0f} s each ({', '.join(endings)})")
    solution, info = highs.getSolution(), highs.getInfo()
    values = np.asarray(solution.col_value)
    lower, upper = np.asarray(lp.col_lower_), np.asarray(lp.col_upper_)
    values = np.clip(values, lower, upper)  # away with the solver's 1e-9 beyond a bound
    for variable, value in zip(form.columns, values.tolist(), strict=True):
        variable.set_value(value, skip_validation=True)
    for variable in model.component_data_objects(pyo.Var):
        if variable.value is None:  # in no row and at no price: as little of it as may be
            low, high = variable.bounds
            variable.set_value(low if low is not None else min(0.0, high or 0.0), skip_validation=True)
    duals = {id(row.constraint): dual for row, dual in zip(form.rows, list(solution.row_dual), strict=True)}
    return Solution(
        method=method,
        objective=float(info.objective_function_value) + offset,
        iterations=int(info.simplex_iteration_count + max(info.ipm_iteration_count, 0)),
        rows=lp.num_row_,
        columns=lp.num_col_,
        nonzeros=int(form.A.nnz),
        duals=duals,
    )


def _lp(form: Any) -> tuple[Any, float]:
    matrix = form.A.tocsc()
    infinite = highspy.kHighsInf
    kind = np.array([row.bound_type for row in form.rows], dtype=int)  # 0: ==, 1: <=, -1: >=
    right = np.asarray(form.rhs, dtype=float)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(form.columns), len(form.rows)
    lp.col_cost_ = np.asarray(form.c.todense(), dtype=float).ravel()
    bounds: list[Any] = [variable.bounds for variable in form.columns]
    lp.col_lower_ = np.array([-infinite if low is None else low for low, _ in bounds])
    lp.col_upper_ = np.array([infinite if high is None else high for _, high in bounds])
    lp.row_lower_ = np.where(kind == 1, -infinite, right)
    lp.row_upper_ = np.where(kind == -1, infinite, right)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = matrix.indptr
    lp.a_matrix_.index_ = matrix.indices
    lp.a_matrix_.value_ = matrix.data
    return lp, float(np.asarray(form.c_offset).ravel()[0])
