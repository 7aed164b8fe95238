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

from ems.forecast.features import Rows
from ems.series import Floats

NAME = "boosted trees"
TREES = 130
MOST_ROWS = 40_000
OUTLIER = 0.0005  # of the targets on either side are drawn in before learning
SETTINGS = {
    "objective": "quantile", "learning_rate": 0.08, "num_leaves": 31, "min_child_samples": 60, "feature_fraction": 0.5,
    "bagging_fraction": 0.6, "bagging_freq": 1, "lambda_l2": 5.0, "max_bin": 127, "verbosity": -1,
    "seed": 1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip


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
    """A fitted model for each quantile, as LightGBM's own text, so that it can be stored."""

    boosters: tuple[Any, ...]

    def expects(self, rows: Rows) -> Floats:
        """[Q, M, R] in the meters' unit."""
        meters, count, features = rows.x.shape
        flat = rows.x.reshape(meters * count, features)
        departs = np.stack([b.predict(flat).reshape(meters, count) for b in self.boosters])
        return np.asarray(rows.base + departs * rows.scale)


def fit(
    rows: Rows, truth: Floats, quantiles: tuple[float, ...], weights: Floats | None = None, threads: int = 1
) -> Trees | str:
    """Learn from the truth [M, R] of rows; in words, why not, where the library is missing or too little is known."""
    found = library()
    if isinstance(found, str):
        return found
    use = np.isfinite(truth)
    if use.sum() < 400:
        return f"{NAME} have too little to learn from: {int(use.sum())} values"
    departs = ((truth - rows.base) / rows.scale)[use]
    departs = np.clip(departs, *np.quantile(departs, [OUTLIER, 1 - OUTLIER]))
    x = rows.x[use]
    w = None if weights is None else np.broadcast_to(weights, truth.shape)[use]
    boosters = []
    data = found.Dataset(
        x, departs, weight=w, params={"max_bin": SETTINGS["max_bin"], "verbosity": -1}, free_raw_data=False
    )
    for q in quantiles:
        boosters.append(found.train({**SETTINGS, "alpha": q, "num_threads": threads}, data, TREES))
    return Trees(tuple(boosters))
