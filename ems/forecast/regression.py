"""A linear regression for every meter: hours of working and other days, lags, level states and weather."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ems.forecast.features import Rows
from ems.series import Floats

NAME = "regression"
PENALTY = 100.0  # in values: that much more history halves its pull
PASSES = 3
CONTINUOUS = (
    "weeks", "weeks smooth", "weeks middle", "days", "days middle", "like days", "yesterday", "yesterday smooth",
    "last week",
    "yesterday departs", "day", "week", "month", "level", "departs 1 h", "departs 3 h", "departs 24 h",
    "departs 7 d", "departs 1 h damped", "departs 3 h damped", "departs 24 h damped",
)  # fmt: skip
FIRST_DAY = ("yesterday", "yesterday smooth", "yesterday departs", "departs 24 h")
PARTS = 4


def design(rows: Rows) -> Floats:
    """[M, R, P]: the columns of the regression."""
    name = {n: k for k, n in enumerate(rows.names)}
    meters, count, _ = rows.x.shape
    hour = np.minimum(rows.hour.astype(int), 23)
    kind = rows.x[0, :, name["kind"]]
    free = kind > 0
    x = np.nan_to_num(rows.x)
    columns: list[NDArray[Any]] = []
    hours = np.zeros((count, 48), np.float32)
    hours[np.arange(count), hour + 24 * free] = 1
    columns.append(np.broadcast_to(hours, (meters, count, 48)))
    columns.append(x[:, :, [name[c] for c in CONTINUOUS if c in name]])
    first = (rows.lead_h <= 24).astype(np.float32)[None, :, None]
    columns.append(x[:, :, [name[c] for c in FIRST_DAY]] * first)
    # The departures from the usual course of a day with holidays: the day of the target against that of the lag.
    like = x[:, :, [name["like days"]]] - x[:, :, [name["weeks"]]]
    for k in ("kind last week", "kind yesterday"):
        differs = ((rows.x[0, :, name[k]] > 0) != free).astype(np.float32)[None, :, None]
        columns.append(like * differs)
    columns.append(x[:, :, [k for n, k in name.items() if n.startswith("season")]])
    weather = [
        k
        for n, k in name.items()
        if n.startswith(("temp", "ghi", "dni", "dhi", "cloud", "heating", "cooling", "day to"))
    ]
    part = (hour * PARTS // 24)[None, :, None]
    for p in range(PARTS):
        if weather:
            columns.append(x[:, :, weather] * (part == p))
    return np.concatenate([np.asarray(c, np.float32) for c in columns], axis=2)


@dataclass(frozen=True)
class Lines:
    """Coefficients [M, P] over standardised columns."""

    coefficients: Floats
    mean: Floats
    spread: Floats

    def only(self, meters: list[int]) -> Lines:
        """Those of some meters."""
        return Lines(self.coefficients[meters], self.mean[meters], self.spread[meters])

    @classmethod
    def joined(cls, parts: list[Lines]) -> Lines:
        return cls(*(np.concatenate([getattr(p, k) for p in parts]) for k in ("coefficients", "mean", "spread")))

    def expects(self, rows: Rows) -> Floats:
        z = (design(rows) - self.mean[:, None]) / self.spread[:, None]
        departs = np.einsum("mrp,mp->mr", z, self.coefficients)
        return np.asarray(rows.base + departs * rows.scale)


def fit(
    rows: Rows, truth: Floats, weights: Floats | None = None, penalty: float = PENALTY, passes: int = PASSES
) -> Lines:
    """Least absolute deviations by reweighting, with a ridge."""
    x = design(rows)
    use = np.isfinite(truth)
    y = np.where(use, (truth - rows.base) / rows.scale, 0.0).astype(np.float32)
    mean = x.mean(axis=1)
    spread = x.std(axis=1) + 1e-4
    z = (x - mean[:, None]) / spread[:, None]
    given = use.astype(np.float32) if weights is None else np.where(use, weights, 0).astype(np.float32)
    weight = given
    eye = np.eye(z.shape[2], dtype=np.float32)
    for k in range(passes):
        zw = z * weight[:, :, None]
        gram = np.matmul(zw.transpose(0, 2, 1), z).astype(np.float64)
        right = np.einsum("mrp,mr->mp", zw, y).astype(np.float64)
        level = weight.sum(axis=1).mean() / max(use.sum(axis=1).mean(), 1)
        c = np.linalg.solve(gram + penalty * level * eye, right[..., None])[..., 0]
        if k == passes - 1:
            break
        residual = np.abs(y - np.einsum("mrp,mp->mr", z, c.astype(np.float32)))
        floor = 0.1 * np.median(residual, axis=1, keepdims=True) + 1e-3
        weight = given / np.maximum(residual, floor)
        weight = (weight / np.maximum(weight.max(axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return Lines(c, mean, spread)
