"""Settles what a device cannot do halfway: in the next slots a compressor stage, a car's current, a washing run is
nothing or at least its minimum.

Later slots keep their halves, at a part-load price where the asset file states one: they are decided when they come.
The surest are settled first and the rest of the plan is solved again around them, so that what one device cannot do
another makes up for. Where neither nothing nor the minimum can be had at a bearable price (a plant that must cover the
losses of its pipes), the device is left halfway: within the slot it goes on and off. Who that is, is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ems.assets.outlook import Outlook
from ems.optimise.matrix import Matrix, Positions
from ems.optimise.model import Composed
from ems.optimise.outline import family_name
from ems.optimise.solve import UnsolvedError
from ems.series import Floats

NEAR_H = 1.0  # this far ahead on and off are settled
PASSES = 8
TOLERANCE = 1e-5


@dataclass(frozen=True)
class OnOffColumns:
    """Columns that are 0 or at least `minimum`; `device` numbers whose they are, `names` the devices."""

    columns: Positions
    minimum: Floats
    device: Positions
    names: tuple[str, ...]

    def halves(self, values: Floats) -> Floats:
        """Share of its minimum at which each column stands in between; NaN where it is nothing, or enough."""
        share = values[self.columns] / self.minimum
        return np.where((share > TOLERANCE) & (share < 1 - TOLERANCE), share, np.nan)

    def halfway(self, values: Floats) -> tuple[str, ...]:
        """The devices of which any column stands in between."""
        return tuple(sorted({self.names[i] for i in self.device[np.isfinite(self.halves(values))]}))


@dataclass(frozen=True)
class Settled:
    """Bounds of all columns under which what could be settled is, and the names of devices left halfway."""

    lower: Floats
    upper: Floats
    halfway: tuple[str, ...]


def near_term(composed: Composed, matrix: Matrix, outlook: Outlook, but: frozenset[str] = frozenset()) -> OnOffColumns:
    """What has to be settled: the on-off columns of the slots within NEAR_H that may reach their minimum at all, but
    not those of the devices named in `but`.
    """
    soon = max(round(NEAR_H / outlook.slots.hours), 1)
    columns, minimum, device = [np.zeros(0, dtype=np.int64)], [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
    names: list[str] = []
    for part in composed.parts.values():
        for on_off in part.on_off:
            family = matrix.columns[family_name(on_off.variable)]
            at = family.positions[..., :soon].reshape(-1, min(soon, family.shape[-1]))
            columns.append(at.ravel())
            minimum.append(np.broadcast_to(on_off.minimum, family.shape)[..., :soon].ravel())
            device.append(np.repeat(len(names) + np.arange(at.shape[0]), at.shape[1]))
            for place in np.ndindex(*family.shape[:-1]):
                names.append(" ".join(str(m[i]) for m, i in zip(family.members, place, strict=False)))
    at, least, whose = np.concatenate(columns), np.concatenate(minimum), np.concatenate(device)
    asked = np.array([n not in but for n in names], dtype=bool)
    possible = (least > 0) & (matrix.upper[at] >= least) & (asked[whose] if names else True)
    return OnOffColumns(at[possible], least[possible], whose[possible], tuple(names))


def settle(
    on_off: OnOffColumns,
    values: Floats,
    cost: float,
    bounds: tuple[Floats, Floats],
    solve: Callable[[Floats, Floats, float], tuple[Floats, float]],
    dear: float,
) -> Settled:
    """Bounds of all columns under which as little as can be stands halfway.

    `values` and `cost` are the plan with halves, `bounds` its own. `solve` plans again under others and is told what
    cost would be too dear (UnsolvedError where there is no plan). A cost that rises by more than `dear` euro is that of
    wishes refused: then what was switched on is switched off instead, or the devices are taken one by one, or one is
    left halfway.
    """

    def tried(off: Positions, on: Positions) -> tuple[float, Floats, tuple[Floats, Floats]]:
        low, high = bounds[0].copy(), bounds[1].copy()
        high[on_off.columns[off]] = 0.0
        low[on_off.columns[on]] = on_off.minimum[on]
        try:
            values, found = solve(low, high, cost + dear)
        except UnsolvedError:
            values, found = np.zeros(0), np.inf
        return found, values, (low, high)

    halfway: set[int] = set()
    share = on_off.halves(values)
    waiting = [sorted(set(on_off.device[np.isfinite(share)].tolist()))]
    for _ in range(PASSES + 2 * len(waiting[0])):
        if not waiting:
            share = np.where(np.isin(on_off.device, list(halfway)), np.nan, on_off.halves(values))
            waiting = [sorted(set(on_off.device[np.isfinite(share)].tolist()))]
            if not waiting[0]:
                break
        devices = waiting[0]
        share = on_off.halves(values)
        between = np.isfinite(share) & np.isin(on_off.device, devices)
        if not between.any():
            waiting.pop(0)
            continue
        sureness = np.where(between, np.abs(share - 0.5), -1.0)
        chosen = sureness >= np.median(sureness[between])  # the surer half, then what that leaves
        on, off = (np.flatnonzero(chosen & side) for side in (share >= 0.5, share < 0.5))
        best = tried(off, on)
        if best[0] > cost + dear and on.size:
            best = min(best, tried(np.flatnonzero(chosen), on[:0]), key=lambda trial: trial[0])
        if best[0] <= cost + dear:
            cost, values, bounds = best
        elif len(devices) > 1:
            waiting[:1] = [devices[: len(devices) // 2], devices[len(devices) // 2 :]]
        else:
            halfway |= set(waiting.pop(0))
    return Settled(*bounds, on_off.halfway(values))
