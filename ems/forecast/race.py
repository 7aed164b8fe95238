"""The race: for every meter, the model that would have been best on the meter's own last days.

Each model forecasts the same 48 h from ten origins a day apart, knowing only what lay before each. Its residuals, by
time of day, are its interval, and their median corrects its level. How good that is, and how wide it must be, is
judged crosswise: residual quantiles of the older origins on the newer ones, and the other way round. The pinball loss
decides; the interval is stretched until it would have held four in five (conformal, after Romano et al. 2019). What the
winner cannot say (a gap a week ago) is said by the next best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ems.forecast.calendar import Ints
from ems.forecast.models import CLIMATOLOGY, MODELS, Model, Past
from ems.series import Floats

QUANTILES = np.array([0.1, 0.5, 0.9])
ORIGINS = 10
BLOCKS = 8  # of a day, each with residuals of its own
ENOUGH_IN_BLOCK = 24
STRETCH = (0.8, 2.5)  # bounds of the interval's correction
STATED_SPREAD = 0.45  # of the expected value, either side, where no residual is known (assumption)
ENVELOPE = 1.5  # no quantile leaves the greatest value known so far times this


@dataclass(frozen=True)
class Outlook:
    """What is expected of one meter: three quantiles [N], the model that won, and its loss in the meter's unit."""

    low: Floats
    median: Floats
    high: Floats
    model: str
    loss: float  # NaN where no residual is known


def race(
    past: Past,
    targets: Ints,
    *,
    known: int | None = None,
    lowest: float | None = 0.0,
    models: Sequence[Model] = MODELS,
) -> list[Outlook]:
    """The outlook of each of the M meters over `targets` (consecutive slots).

    `known` is the first slot of which nothing may be used; by default the end of the past. `lowest` is a physical
    bound, None for none.
    """
    known = past.length if known is None else known
    meters, count = past.values.shape[0], len(targets)
    origins = [known - k * past.calendar.per_day for k in range(1, ORIGINS + 1)]
    trials = [(o, np.arange(o, min(o + count, known))) for o in origins if o >= 0]
    asked = np.concatenate([t for _, t in trials]) if trials else np.zeros(0, dtype=np.int64)
    older = (
        np.concatenate([np.full(len(t), k * 2 >= len(trials)) for k, (_, t) in enumerate(trials)])
        if trials
        else asked > 0
    )
    truth = past.values[:, asked]
    block = _block(past, asked)

    expected = np.full((len(models), meters, count), np.nan)
    quantiles = np.full((len(models), meters, BLOCKS, 3), np.nan)
    losses = np.full((len(models), meters), np.inf)
    said = np.zeros((len(models), meters))
    for m, model in enumerate(models):
        expected[m] = model.expects(past, known, targets)
        if not trials:
            continue
        residual = truth - np.concatenate([model.expects(past, o, t) for o, t in trials], axis=1)
        quantiles[m] = _quantiles_by_block(residual, block, past.calendar.per_day)
        said[m] = np.isfinite(residual).sum(axis=1)
        judged = _judged(residual, block, older, quantiles[m], past.calendar.per_day)
        losses[m] = _pinball(residual, judged)
        quantiles[m] = _stretched(quantiles[m], _stretch(residual, judged)[:, None])
    # Who was silent on most of what others were asked has not run the race, nor has who ran less than a day.
    enough = (said >= past.calendar.per_day) & (said >= 0.5 * said.max(axis=0))
    losses = np.where(enough & np.isfinite(losses), losses, np.inf)

    at_target = quantiles[:, :, _block(past, targets)]
    typical = past.typical[:, targets]
    return [
        _outlook(
            models,
            losses[:, i],
            expected[:, i],
            at_target[:, i],
            typical[i],
            lowest,
            ENVELOPE * _greatest(past, i, known, typical[i]),
        )
        for i in range(meters)
    ]


def _outlook(
    models: Sequence[Model],
    losses: Floats,
    expected: Floats,
    quantiles: Floats,
    typical: Floats,
    lowest: float | None,
    highest: float,
) -> Outlook:
    """One meter's outlook: the best model's quantiles, gaps from the next best, climatology at the very end."""
    order = [int(m) for m in np.argsort(losses, kind="stable") if np.isfinite(losses[m])]
    found = np.full((3, len(typical)), np.nan)
    names: list[str] = []
    for m in order:
        gap = np.isnan(found[1]) & np.isfinite(expected[m]) & np.isfinite(quantiles[m]).all(axis=1)
        if gap.any():
            found[:, gap] = (expected[m] + quantiles[m].T)[:, gap]
            names.append(models[m].name)
        if not np.isnan(found[1]).any():
            break
    gap = np.isnan(found[1])
    if gap.any():
        found[:, gap] = np.stack([typical * (1 - STATED_SPREAD), typical, typical * (1 + STATED_SPREAD)])[:, gap]
        names.append(CLIMATOLOGY.name)
    found = np.sort(found, axis=0)
    found = np.clip(found, -highest if lowest is None else lowest, highest)
    name = names[0] if len(names) == 1 else f"{names[0]}, gaps: {', '.join(names[1:])}"
    return Outlook(found[0], found[1], found[2], name, float(losses[order[0]]) if order else float("nan"))


def _greatest(past: Past, meter: int, known: int, typical: Floats) -> float:
    """The greatest magnitude known: measured, or expected by climatology where little was measured."""
    values = past.values[meter, :known]
    seen = values[np.isfinite(values)]
    if len(seen) >= 7 * past.calendar.per_day:
        return float(np.abs(seen).max())
    return float(np.abs(np.concatenate([seen, typical])).max())


def _block(past: Past, at: Ints) -> Ints:
    per_day = past.calendar.per_day
    return np.asarray(past.calendar.local[at] % per_day * BLOCKS // per_day)


def _quantiles_by_block(residual: Floats, block: Ints, per_day: int) -> Floats:
    """[M, BLOCKS, 3]: residual quantiles of each time of day; of all day where a block has too few; NaN below a day."""
    whole, count = _quantiles(residual)
    whole[count < per_day] = np.nan
    found = np.empty((residual.shape[0], BLOCKS, 3))
    for b in range(BLOCKS):
        part, count = _quantiles(residual[:, block == b])
        found[:, b] = np.where((count >= ENOUGH_IN_BLOCK)[:, None], part, whole)
    found[np.isnan(whole).any(axis=1)] = np.nan
    return found


def _judged(residual: Floats, block: Ints, older: NDArray[np.bool_], within: Floats, per_day: int) -> Floats:
    """[M, K, 3]: for each residual the quantiles of the other half of origins; of all where that half is too short."""
    found = np.empty((*residual.shape, 3))
    for half in (older, ~older):
        other = _quantiles_by_block(residual[:, ~half], block[~half], per_day)
        other = np.where(np.isfinite(other), other, within)
        found[:, half] = other[:, block[half]]
    return found


def _stretch(residual: Floats, quantiles: Floats) -> Floats:
    """[M]: by how much both sides of the interval must be stretched to have held four residuals in five."""
    low, median, high = np.moveaxis(quantiles, 2, 0)
    miss = residual - median
    side = np.maximum(np.where(miss < 0, median - low, high - median), 1e-9)
    ordered = np.sort(np.abs(miss) / side, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    place = np.clip(np.ceil(0.8 * (count + 1)).astype(np.int64) - 1, 0, np.maximum(count - 1, 0))
    if residual.shape[1] == 0:
        return np.ones(len(residual))
    factor = np.take_along_axis(ordered, place[:, None], axis=1)[:, 0]
    return np.asarray(np.clip(np.nan_to_num(factor, nan=1.0), *STRETCH))


def _stretched(quantiles: Floats, factor: Floats) -> Floats:
    """Quantiles [M, ..., 3] with both sides of the median stretched."""
    low, median, high = np.moveaxis(quantiles, 2, 0)
    return np.stack([median - (median - low) * factor, median, median + (high - median) * factor], axis=2)


def _quantiles(values: Floats) -> tuple[Floats, Ints]:
    """Quantiles of each row's finite values (linear between order statistics), and how many there were."""
    count = np.isfinite(values).sum(axis=1)
    if values.shape[1] == 0:
        return np.full((values.shape[0], 3), np.nan), count
    ordered = np.sort(values, axis=1)  # NaN last
    place = np.maximum(count - 1, 0)[:, None] * QUANTILES
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0)[:, None])
    low, high = np.take_along_axis(ordered, below, axis=1), np.take_along_axis(ordered, above, axis=1)
    return low + (place - below) * (high - low), count


def _pinball(residual: Floats, quantiles: Floats) -> Floats:
    """Mean pinball loss of each row over its finite residuals; quantiles [M, K, 3] are those of the residual."""
    miss = residual[:, :, None] - quantiles
    loss = np.maximum(QUANTILES * miss, (QUANTILES - 1) * miss).mean(axis=2)
    finite = np.isfinite(loss)
    count = finite.sum(axis=1)
    total = np.where(finite, loss, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.inf)
