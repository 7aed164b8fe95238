"""One gradient-boosted quantile model over all meters (LightGBM), each told relative to its own level.

The library needs a part of the operating system (libgomp); it is imported when it is first used, and where it is
missing the model is missing from the race by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ems.forecast.features import Rows
from ems.series import Floats

NAME = "boosted trees"
ON_LINES = "regression with trees"
TREES = 130
OUTER_TREES, OUTER_RATE = 100, 0.13
MOST_ROWS = 40_000
OUTLIER = 0.0005  # of the targets on either side are drawn in before learning
SETTINGS = {
    "objective": "quantile", "learning_rate": 0.08, "num_leaves": 31, "min_child_samples": 60, "feature_fraction": 0.5,
    "bagging_fraction": 0.6, "bagging_freq": 1, "lambda_l2": 5.0, "max_bin": 127, "verbosity": -1,
    "seed": 1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip
# Smaller trees with thresholds drawn at random learn less by heart: of a quantile's end a tenth of the values tells,
# and of what a regression leaves little can be known.
DRAWN = {"num_leaves": 15, "min_child_samples": 120, "extra_trees": True}


@lru_cache(maxsize=1)
def library() -> ModuleType | str:
    """LightGBM, or in words why it is not there."""
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: libgomp is not on this machine
        return f"{NAME} are missing: LightGBM cannot be loaded ({error})"
    return lightgbm  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Trees:
    """A fitted model for each quantile, and one for the median of what a regression leaves.

    Trees know every bend but nothing beyond what they have seen; a regression goes on in a straight line, and what it
    says is told to all but the first median.
    """

    boosters: tuple[Any, ...]
    correction: Any

    def expects(self, rows: Rows, by_line: Floats) -> tuple[Floats, Floats]:
        """Quantiles [Q, M, R] and the regression's `by_line` [M, R] with what it leaves, in the meters' unit."""
        plain, told = rows.x.reshape(-1, rows.x.shape[2]), _with_line(rows, by_line)
        departs = np.stack(
            [b.predict(plain if b.num_feature() == plain.shape[1] else told) for b in self.boosters]
        ).reshape(-1, *by_line.shape)
        corrected = by_line + self.correction.predict(told).reshape(by_line.shape) * rows.scale
        return np.asarray(rows.base + departs * rows.scale), np.asarray(corrected)


def _with_line(rows: Rows, by_line: Floats) -> NDArray[np.float32]:
    """[M x R, F + 1]: the features and what a regression says of each pair."""
    told = ((by_line - rows.base) / rows.scale).astype(np.float32)
    return np.concatenate([rows.x, told[:, :, None]], axis=2).reshape(-1, rows.x.shape[2] + 1)


def fit(
    rows: Rows,
    truth: Floats,
    by_line: Floats,
    quantiles: tuple[float, ...],
    weights: Floats | None = None,
    threads: int = 1,
) -> Trees | str:
    """Learn from the truth [M, R] of rows, and of what a regression says of them `by_line` [M, R].

    In words, why not, where the library is missing or too little is known.
    """
    found = library()
    if isinstance(found, str):
        return found
    use = np.isfinite(truth)
    if use.sum() < 400:
        return f"{NAME} have too little to learn from: {int(use.sum())} values"
    weight = None if weights is None else np.broadcast_to(weights, truth.shape)[use]

    def grown(x: NDArray[np.float32], departs: Floats, levels: tuple[float, ...], **besides: Any) -> list[Any]:
        departs = np.clip(departs, *np.quantile(departs, [OUTLIER, 1 - OUTLIER]))
        params = {"max_bin": SETTINGS["max_bin"], "verbosity": -1}
        data = found.Dataset(x, departs, weight=weight, params=params, free_raw_data=False)
        settings = {**SETTINGS, "num_threads": threads, **besides}
        return [found.train({**settings, "alpha": q}, data, TREES if q == 0.5 else OUTER_TREES) for q in levels]

    departs = ((truth - rows.base) / rows.scale)[use]
    told = _with_line(rows, by_line)[use.ravel()]
    (median,) = grown(rows.x[use], departs, (0.5,))
    ends = tuple(q for q in quantiles if q != 0.5)
    outer = iter(grown(told, departs, ends, learning_rate=OUTER_RATE, **DRAWN))
    (correction,) = grown(told, ((truth - by_line) / rows.scale)[use], (0.5,), **DRAWN)
    return Trees(tuple(median if q == 0.5 else next(outer) for q in quantiles), correction)
