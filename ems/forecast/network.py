"""A small neural network over all meters: its errors are other ones than those of trees, so both together err less.

Two layers between the features and the three quantiles, learnt by pinball loss (Adam with decoupled weight decay,
after Loshchilov and Hutter 2019), a few times over from other beginnings whose mean speaks. A network bends smoothly
where trees have steps. Plain numpy: it is there where LightGBM is not.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ems.forecast.features import Rows
from ems.series import Floats

NAME, NAME_WIDE = "neural network", "wide network"
NETWORKS = 2  # from different beginnings
LEAST_STEPS = 400
# Pairs of a step, in parts small enough that the linear algebra below does not wake its threads for each product, even
# where nobody keeps it to one (`routine` does): two of them waiting for each other made a minute of a second.
PARTS, PART = 8, 32
BATCH = PARTS * PART
RATE, WARM_UP, LAST_RATE = 2e-3, 100, 1e-5
DECAY = 0.4  # of the weights, per step and rate
MEMORIES = (0.9, 0.999)  # of the gradient and its square
ROUND = 0.02  # mean departures about zero in which the loss is rounded
LEAST_SPREAD = 1e-3  # of a feature
FARTHEST = 4.0  # standard deviations: beyond it a feature says no more
OUTLIER = 0.0005  # of the targets on either side are drawn in before learning
AT_ONCE = 20_000  # pairs
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Size:
    """How much a network can learn: the widths of its layers and how often it hears each row."""

    hidden: tuple[int, ...]
    epochs: int


SMALL, WIDE = Size((64, 64), 8), Size((128, 128), 6)


@dataclass(frozen=True)
class Network:
    """Weights of each layer [NETWORKS, 1, in, out] and offsets [NETWORKS, 1, 1, out] over standardised features [F]."""

    mean: Weights
    spread: Weights
    unit: float  # scales in which the last layer speaks
    weights: tuple[Weights, ...]
    offsets: tuple[Weights, ...]

    def says(self, x: Weights) -> Floats:
        """Quantiles [Q, R] of rows of features [R, F], in order."""
        said = np.empty((len(x), self.offsets[-1].shape[-1]))
        for begin in range(0, len(x), AT_ONCE):
            z = _standardised(x[begin : begin + AT_ONCE], self.mean, self.spread)
            said[begin : begin + AT_ONCE] = _layers(z, self.weights, self.offsets)[-1].mean(axis=(0, 1))
        return np.asarray(np.sort(said * self.unit, axis=1).T)

    def expects(self, rows: Rows) -> Floats:
        """Quantiles [Q, M, R] of meters, in their unit, in order."""
        departs = self.says(_features(rows)).reshape(-1, *rows.base.shape)
        return np.asarray(rows.base + departs * rows.scale)


def fit(rows: Rows, truth: Floats, quantiles: tuple[float, ...], weights: Floats, size: Size = SMALL) -> Network:
    """Learn from the truth [M, R] of rows, each counting by its weight [M, R]."""
    use = np.isfinite(truth).ravel()
    departs = ((truth - rows.base) / rows.scale).ravel()[use]
    return grown(_features(rows)[use], departs, quantiles, weights.ravel()[use], size)


def grown(x: Weights, y: Floats, quantiles: tuple[float, ...], counts: Floats, size: Size = SMALL) -> Network:
    """Learn quantiles of y [R] from features [R, F], each row counting by `counts` [R]; NaN is what is usual."""
    count, width = x.shape
    sizes = (width, *size.hidden, len(quantiles))
    if not count:
        nothing = tuple(np.zeros((1, 1, a, b), np.float32) for a, b in pairwise(sizes))
        zero = tuple(np.zeros((1, 1, 1, b), np.float32) for b in sizes[1:])
        return Network(np.zeros(width, np.float32), np.ones(width, np.float32), 1.0, nothing, zero)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature that is never known has no mean
        mean, spread = np.nan_to_num(np.nanmean(x, axis=0)), np.nan_to_num(np.nanstd(x, axis=0)) + LEAST_SPREAD
        changed = np.nanmax(x, axis=0) > np.nanmin(x, axis=0)
    # What never changed was not learnt from and must not be heard when it first does, as on the first 24 December.
    spread = np.where(changed, spread, np.inf).astype(np.float32)
    x = _standardised(x, mean, spread)
    y = np.clip(y, *np.quantile(y, [OUTLIER, 1 - OUTLIER]))
    unit = max(float(np.abs(y).mean()), 1e-6)
    y = (y / unit).astype(np.float32)
    counts = (counts / counts.mean()).astype(np.float32)

    rng = np.random.default_rng(0)
    layers = [
        (rng.standard_normal((NETWORKS, 1, a, b)) * np.sqrt(2 / a)).astype(np.float32) for a, b in pairwise(sizes)
    ]
    layers[-1] *= 0.1  # it begins near the quantiles of all
    offsets = [np.zeros((NETWORKS, 1, 1, b), np.float32) for b in sizes[1:]]
    offsets[-1] += np.quantile(y, quantiles).astype(np.float32)
    adam = _Adam([*layers, *offsets], len(layers))
    middle = 0.5 - np.array(quantiles, np.float32)
    steps = max(size.epochs * (count // BATCH), LEAST_STEPS)
    if count < BATCH:
        order = rng.integers(0, count, steps * BATCH)
    else:
        order = np.concatenate([rng.permutation(count) for _ in range(-(-steps * BATCH // count))])
    for k in range(steps):
        some = order[k * BATCH : (k + 1) * BATCH].reshape(PARTS, PART)
        told = _layers(x[some], layers, offsets)
        # The slope of the pinball loss, rounded about its kink.
        slope = 0.5 * np.clip((told[-1] - y[some][..., None]) / ROUND, -1, 1) + middle
        slope *= counts[some][..., None] / BATCH
        of_layers, of_offsets = [], []
        for layer in range(len(layers) - 1, -1, -1):
            of_layers.append(np.matmul(np.swapaxes(told[layer], -1, -2), slope).sum(axis=1, keepdims=True))
            of_offsets.append(slope.sum(axis=(1, 2), keepdims=True))
            if layer:
                slope = np.matmul(slope, np.swapaxes(layers[layer], -1, -2)) * (told[layer] > 0)
        warm = min(1.0, (k + 1) / WARM_UP)
        adam.step([*of_layers[::-1], *of_offsets[::-1]], RATE * warm * (1 + np.cos(np.pi * k / steps)) / 2 + LAST_RATE)
    return Network(mean, spread, unit, tuple(layers), tuple(offsets))


class _Adam:
    """Steps against a gradient, as long in every weight as it is steady; the first `decaying` arrays shrink."""

    def __init__(self, values: list[Weights], decaying: int) -> None:
        self.values, self.decaying, self.steps = values, decaying, 0
        self.first = [np.zeros_like(v) for v in values]
        self.second = [np.zeros_like(v) for v in values]

    def step(self, slopes: list[Weights], rate: float) -> None:
        self.steps += 1
        keep, keep_square = MEMORIES
        begun, begun_square = 1 - keep**self.steps, 1 - keep_square**self.steps
        for k, (value, slope) in enumerate(zip(self.values, slopes, strict=True)):
            self.first[k] += (1 - keep) * (slope - self.first[k])
            self.second[k] += (1 - keep_square) * (slope**2 - self.second[k])
            way = self.first[k] / begun / (np.sqrt(self.second[k] / begun_square) + 1e-8)
            if k < self.decaying:
                way = way + DECAY * value
            value -= np.float32(rate) * way


def _features(rows: Rows) -> Weights:
    """[M x R, F]: those of the rows and the hour of day and week as waves: a network knows no thresholds."""
    x = rows.x.reshape(-1, rows.x.shape[2])
    hour, weekday, kind = (x[:, rows.names.index(n)] for n in ("hour", "weekday", "kind"))
    day, week = 2 * np.pi * hour / 24, 2 * np.pi * (24 * weekday + hour) / 168
    free = kind > 0
    waves = [f(k * day) for k in (1, 2, 3) for f in (np.sin, np.cos)] + [np.sin(week), np.cos(week)]
    waves += [free, kind > 1, np.sin(day) * free, np.cos(day) * free]
    return np.concatenate([x, np.stack(waves, axis=1).astype(np.float32)], axis=1)


def _standardised(x: Weights, mean: Weights, spread: Weights) -> Weights:
    return np.asarray(np.clip(np.nan_to_num((x - mean) / spread), -FARTHEST, FARTHEST))


def _layers(
    x: Weights, weights: tuple[Weights, ...] | list[Weights], offsets: tuple[Weights, ...] | list[Weights]
) -> list[Weights]:
    """What each layer is told and, last, what is said [NETWORKS, ..., Q] of rows [..., F]."""
    told = [x]
    for weight, offset in zip(weights[:-1], offsets[:-1], strict=True):
        told.append(np.maximum(np.matmul(told[-1], weight) + offset, 0))
    return [*told, np.matmul(told[-1], weights[-1]) + offsets[-1]]
