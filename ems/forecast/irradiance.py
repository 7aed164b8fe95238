"""How much of an irradiance that a weather service tells is to be believed.

The service's error is a share that changes slowly, over a day rather than over an hour; the clearness of the sky has
habits of its own, known from the measured past: a clear sky stays clear, a broken one jumps, and nothing shines
brighter than a clear sky for long. What is told is the product of both. A hidden Markov model over the error, with the
habits of the clearness as its evidence, says for each slot how large the error is likely to be (forward and backward
recursions after Rabiner 1989).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from ems.forecast.calendar import Ints
from ems.series import Floats

WIDTH, BRIGHTEST = 0.05, 1.4  # of the classes of clearness, as a share of a clear sky's
SCALE = np.linspace(-2.8, 2.8, 15)  # errors that are weighed, in standard deviations
FACTORS = (0.1, 1.9)  # what a service's error leaves of the truth at least and at most
ALONE_COUNTS = 3.0  # how often each class counts as followed by any, before anything was seen
LEAST = 1e-6
_CLASSES = round(BRIGHTEST / WIDTH) + 1


def habits(clearness: Floats) -> Floats:
    """[1 + K, K]: how often each class of clearness follows each, from a measured past (NaN: unknown, or low sun).

    Row k is for what follows class k; the last row for what follows the unknown.
    """
    before, after = clearness[:-1], clearness[1:]
    known = np.isfinite(before) & np.isfinite(after)
    count = np.zeros((_CLASSES, _CLASSES))
    np.add.at(count, (_class_of(before[known]), _class_of(after[known])), 1.0)
    count = gaussian_filter(count, 0.5)
    alone = (count.sum(axis=0) + LEAST) / (count.sum() + LEAST * _CLASSES)
    follows = (count + ALONE_COUNTS * alone) / (count.sum(axis=1, keepdims=True) + ALONE_COUNTS)
    return np.asarray(np.maximum(np.vstack([follows, alone]), LEAST))


def weighed(told: Floats, last: Floats, known_habits: Floats, spread: Floats, memory: float) -> tuple[Floats, Floats]:
    """(factor, doubt), each [O, H]: truth over what is told as it is expected, and the standard deviation of that.

    `told` [O, H] is the clearness told for the slots after each origin and `last` [O] the one measured before it (NaN:
    unknown). The error of slot h has the standard deviation `spread[h]` as a share, and is `memory` times that of the
    slot before, in standard deviations, and something new.
    """
    origins, horizon = told.shape
    factors = np.clip(1 + SCALE * spread[:, None], *FACTORS)  # [H, Z]
    true = told[:, :, None] / factors
    unknown = ~np.isfinite(told)
    kind = np.where(unknown[:, :, None], _CLASSES, _class_of(np.where(unknown[:, :, None], 0.0, true)))
    # Of two errors that explain the same, the density of the told one is lower for the larger; far beyond a clear sky
    # nothing is likely.
    density = np.where(unknown[:, :, None], 1.0, np.exp(-40 * np.maximum(true - BRIGHTEST, 0)) / factors)
    follows = np.hstack([known_habits, np.ones((_CLASSES + 1, 1))])  # the unknown may always follow
    moves = np.exp(-0.5 * (SCALE[None, :] - memory * SCALE[:, None]) ** 2 / (1 - memory**2))
    moves = moves / moves.sum(axis=1, keepdims=True) + LEAST

    def steps(h: int) -> Floats:
        """[O, Z, Z]: how likely slot h + 1 is after slot h, by both errors."""
        return np.asarray(moves * follows[kind[:, h, :, None], kind[:, h + 1, None, :]] * density[:, h + 1, None, :])

    begin = np.where(np.isfinite(last), _class_of(np.nan_to_num(last)), _CLASSES)
    ahead = np.empty((origins, horizon, len(SCALE)))
    ahead[:, 0] = np.exp(-0.5 * SCALE**2) * follows[begin[:, None], kind[:, 0]] * density[:, 0]
    ahead[:, 0] /= ahead[:, 0].sum(axis=1, keepdims=True)
    for h in range(horizon - 1):
        now = np.einsum("oz,ozy->oy", ahead[:, h], steps(h))
        ahead[:, h + 1] = now / now.sum(axis=1, keepdims=True)
    back = np.ones((origins, len(SCALE)))
    factor, square = np.empty((origins, horizon)), np.empty((origins, horizon))
    for h in range(horizon - 1, -1, -1):
        if h < horizon - 1:
            back = np.einsum("ozy,oy->oz", steps(h), back)
            back /= back.sum(axis=1, keepdims=True)
        likely = ahead[:, h] * back
        likely /= likely.sum(axis=1, keepdims=True)
        factor[:, h], square[:, h] = likely @ (1 / factors[h]), likely @ (1 / factors[h] ** 2)
    return factor, np.sqrt(np.maximum(square - factor**2, 0))


def _class_of(clearness: Floats) -> Ints:
    return np.clip(np.rint(clearness / WIDTH), 0, _CLASSES - 1).astype(np.int64)
