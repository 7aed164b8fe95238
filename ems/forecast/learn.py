"""Learning a group of meters and forecasting them: models, their blend for each meter, and intervals that hold.

The last weeks, and a fortnight of each stretch of the year before, are held out first: models that never saw them are
judged there, meter by meter, and what they got wrong there is how much wider the intervals must be (conformalized
quantile regression, after Romano et al. 2019). A few weeks alone would judge by August what is used in September. Then
all is learnt anew from everything. Between two fits a meter's intervals follow what became of its latest forecasts
(adaptive conformal inference, after Gibbs and Candès 2021).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ems.forecast import boosting, network, regression
from ems.forecast.calendar import Ints
from ems.forecast.features import Rows, Signals
from ems.forecast.models import Past
from ems.series import Floats

QUANTILES = (0.1, 0.5, 0.9)
LEAST_DAYS = 21  # of history before anything is learnt
HELD_SHARE, HELD_DAYS = 0.2, (7, 28)  # of the latest
EARLIER_DAYS, EARLIER_EVERY = 14, 5  # held out of every so many such stretches before
TRIAL_EVERY_H = 11  # between origins on trial: they walk through the day
LINE_ROWS = 6000
AT_ONCE = 64  # meters
LEAST_ROWS = 40  # of each meter among those the trees learn from
MOST_TRIED = 300_000  # values of the trial, all meters together
WIDE_ROWS = 120_000  # pairs the wide network learns from, of one meter no more than the trees do
WIDE_ENDS = 0.5  # how far the wide network has a say in the ends of the band, beside trees and the small one
REPEATS = 4  # of a target among the rows, from other origins: more is learnt by heart
NAIVE = ("same time last week", "mean of four weeks", "mean of like days")
COLUMNS = (boosting.NAME, boosting.ON_LINES, regression.NAME, network.NAME, network.NAME_WIDE, *NAIVE)
# Blends on trial, as shares of COLUMNS; the purely naive come last.
BLENDS = np.array(
    [
        [0.25, 0.15, 0.00, 0.25, 0.35, 0.0, 0.0, 0.0], [0.30, 0.10, 0.00, 0.30, 0.30, 0.0, 0.0, 0.0],
        [0.20, 0.20, 0.00, 0.30, 0.30, 0.0, 0.0, 0.0], [0.20, 0.15, 0.10, 0.25, 0.30, 0.0, 0.0, 0.0],
        [0.46, 0.10, 0.00, 0.22, 0.22, 0.0, 0.0, 0.0], [0.16, 0.40, 0.00, 0.22, 0.22, 0.0, 0.0, 0.0],
        [0.15, 0.10, 0.00, 0.25, 0.50, 0.0, 0.0, 0.0], [0.15, 0.10, 0.00, 0.50, 0.25, 0.0, 0.0, 0.0],
        [0.20, 0.10, 0.20, 0.25, 0.25, 0.0, 0.0, 0.0], [0.15, 0.10, 0.00, 0.20, 0.25, 0.3, 0.0, 0.0],
        [0.15, 0.10, 0.00, 0.20, 0.25, 0.0, 0.3, 0.0], [0.15, 0.10, 0.00, 0.20, 0.25, 0.0, 0.0, 0.3],
        [0.50, 0.50, 0.00, 0.00, 0.00, 0.0, 0.0, 0.0], [0.40, 0.00, 0.00, 0.60, 0.00, 0.0, 0.0, 0.0],
        [0.40, 0.00, 0.00, 0.00, 0.60, 0.0, 0.0, 0.0], [0.00, 0.00, 0.00, 1.00, 0.00, 0.0, 0.0, 0.0],
        [0.00, 0.00, 0.00, 0.00, 1.00, 0.0, 0.0, 0.0], [0.00, 0.00, 0.00, 0.50, 0.50, 0.0, 0.0, 0.0],
        [0.00, 0.00, 0.50, 0.25, 0.25, 0.0, 0.0, 0.0], [0.00, 0.00, 1.00, 0.00, 0.00, 0.0, 0.0, 0.0],
        [0.00, 0.00, 0.70, 0.00, 0.00, 0.0, 0.0, 0.3], [0.00, 0.00, 0.00, 0.00, 0.00, 1.0, 0.0, 0.0],
        [0.00, 0.00, 0.00, 0.00, 0.00, 0.0, 1.0, 0.0], [0.00, 0.00, 0.00, 0.00, 0.00, 0.0, 0.0, 1.0],
    ]
)  # fmt: skip
WITHOUT_TREES = BLENDS[:, :2].sum(axis=1) == 0
# What a blend's loss is taken times: a few weeks of trial are little, and these are what did well on many meters. The
# regression does better there than later: weeks after those on trial were learnt from, and it leans on the level.
DOUBT = np.array([1.0] * 4 + [1.01] * 5 + [1.02] * 9 + [1.08] * 6)
DOUBTED = 0.05  # by how much relative loss must differ to tell blends apart: nearly equal ones share
DEMOTED = -0.05  # of skill, beyond what a trial's own chance makes of two equal models
OWN_SHARE = 0.5  # how much a meter's own trial counts beside that of its like
LEADS_H = (0.0, 6.0, 24.0)  # where classes of lead time begin
OWN_ENDS = 0.5  # how far an interval ends where trees and network say, the rest about the blend's median
STRETCH = (0.4, 3.0)
LEAST_SIDE = 0.02  # of the scale: an interval of nothing cannot be stretched
MOST_MARGIN = 3.0  # of the scale
PRIOR = 60.0  # trial values of the meter's like that its own must outweigh
PACE = 0.35  # of the correction between fits


@dataclass
class Learnt:
    """What was learnt of M meters from a past of `known` slots (counted by `when`, UTC epoch seconds of its end).

    `shares` [M, COLUMNS] are each model's part in the median, `margins` [M, leads, 2] widen the interval below and
    above, in scales, and `sides` [M, leads, 2] stretch it then by what came since; `skill` [M] is one less the loss
    over that of the best naive model, `missing` says in words which model is not in the race and why.
    """

    when: int
    trees: boosting.Trees | str
    lines: regression.Lines
    net: network.Network
    wide: network.Network | None  # None of one meter, or of too many to name: the small network speaks for both
    shares: Floats
    margins: Floats
    sides: Floats
    skill: Floats
    features: tuple[str, ...]
    pending: list[Pending] = field(default_factory=list)

    @property
    def missing(self) -> str:
        return self.trees if isinstance(self.trees, str) else ""

    def model(self, meter: int) -> str:
        """The blend of a meter in words; parts below a twentieth go unnamed."""
        told = sorted(zip(self.shares[meter], COLUMNS, strict=True), reverse=True)
        return " + ".join(f"{s:.0%} {n}" if s < 0.995 else n for s, n in told if s >= 0.05)


@dataclass(frozen=True)
class Pending:
    """A forecast whose truth is still to come: from `begin` (epoch seconds), quantiles [3, M, N]."""

    begin: int
    quantiles: Floats


def learn(past: Past, horizon: int, *, threads: int = 1) -> Learnt | str:
    """Learn from the whole past for forecasts of `horizon` slots; in words, why not, when it is too short."""
    per_day, known = past.calendar.per_day, past.length
    heard = np.isfinite(past.values)
    days = heard.sum(axis=1).max(initial=0) / per_day
    if days < LEAST_DAYS:
        return f"{days:.0f} days of history; learning needs {LEAST_DAYS}"
    begin = min(28 * per_day, known // 3)
    held = _held(known, per_day)
    origin = np.flatnonzero(held)[:: max(1, TRIAL_EVERY_H * per_day // 24)]
    leads = np.arange(0, horizon, max(1, per_day // 24))
    o, t = (a.ravel() for a in np.broadcast_arrays(origin[:, None], origin[:, None] + leads))
    use = held[np.minimum(t, known - 1)] & (t < known)
    o, t = o[use], t[use]
    most = max(300, MOST_TRIED // len(past.values))
    if len(o) > most:
        some = np.sort(np.random.default_rng(0).choice(len(o), most, replace=False))
        o, t = o[some], t[some]

    meters = len(past.values)
    groups = [Signals(past.only(part), meters) for part in _parts(meters)]
    trees, net, wide, lines = _fit(groups, begin, ~held, horizon, threads)
    trial = _Trial.joined(
        [_said(g.rows(o, t, blurred=True), trees, net, wide, of) for g, of in zip(groups, lines, strict=True)]
    )
    truth = past.values[:, t]
    shares, skill = _chosen(trial.said, truth, np.full(len(BLENDS), not isinstance(trees, str)) | WITHOUT_TREES)
    if wide is None:
        small, large = COLUMNS.index(network.NAME), COLUMNS.index(network.NAME_WIDE)
        shares[:, small] += shares[:, large]
        shares[:, large] = 0.0
    median = _blended(trial.said, shares)
    low, high = _about(median, trial)
    margins = _margins(truth - median, low, high, trial)
    trees, net, wide, lines = _fit(groups, begin, np.ones(known, bool), horizon, threads)
    sides = np.ones_like(margins)
    joined = regression.Lines.joined(lines)
    return Learnt(_end(past), trees, joined, net, wide, shares, margins, sides, skill, trial.names)


def expect(learnt: Learnt, past: Past, horizon: int) -> Floats | None:
    """Quantiles [3, M, horizon] of the slots after the past, in the meters' unit; not yet bounded.

    None where the past no longer tells what was learnt from (a weather quantity came or went).
    """
    target = np.arange(past.length, past.length + horizon)
    origin = np.full(len(target), past.length)
    told = []
    for part in _parts(len(past.values)):
        rows = Signals(past.only(part), len(past.values)).rows(origin, target)
        if rows.names != learnt.features:
            return None
        told.append(_said(rows, learnt.trees, learnt.net, learnt.wide, learnt.lines.only(part)))
    made = _Trial.joined(told)
    median = _blended(made.said, learnt.shares)
    low, high = _about(median, made)
    lead, least = _lead_class(made.lead_h), LEAST_SIDE * made.scale
    margin, side = learnt.margins[:, lead] * made.scale[..., None], learnt.sides[:, lead]
    low, high = np.maximum(low + margin[..., 0], least), np.maximum(high + margin[..., 1], least)
    return np.stack([median - low * side[..., 0], median, median + high * side[..., 1]])


def follow(learnt: Learnt, past: Past) -> None:
    """Draw the intervals after what became of the pending forecasts that the past now holds wholly."""
    step = past.calendar.slots.minutes * 60
    begin = int(past.calendar.slots.start.timestamp())
    still = []
    for made in learnt.pending:
        first = (made.begin - begin) // step
        count = made.quantiles.shape[2]
        if first < 0 or made.quantiles.shape[1] != len(past.values):
            continue
        known = min(past.length - first, count)
        if known < count:
            still.append(made)
            continue
        truth = past.values[:, first : first + known]
        low, _, high = made.quantiles[:, :, :known]
        lead = _lead_class((np.arange(known) + 1) * step / 3600)
        for k in range(len(LEADS_H)):
            here = lead == k
            ok = np.isfinite(truth[:, here])
            count_ok = np.maximum(ok.sum(axis=1), 1)
            for side, missed in enumerate((truth[:, here] < low[:, here], truth[:, here] > high[:, here])):
                share = (missed & ok).sum(axis=1) / count_ok
                moved = learnt.sides[:, k, side] * np.exp(PACE * np.where(ok.any(axis=1), share - 0.1, 0.0))
                learnt.sides[:, k, side] = np.clip(moved, *STRETCH)
    learnt.pending = still


@dataclass
class _Trial:
    """What the models say of pairs: medians of COLUMNS [8, M, R]; the middle, half-widths, scale [M, R]."""

    said: Floats
    middle: Floats
    low: Floats
    high: Floats
    scale: Floats
    lead_h: Floats
    names: tuple[str, ...]

    @classmethod
    def joined(cls, parts: list[_Trial]) -> _Trial:
        first = parts[0]
        if len(parts) == 1:
            return first
        middle, low, high, scale = (
            np.concatenate([getattr(p, k) for p in parts]) for k in ("middle", "low", "high", "scale")
        )
        said = np.concatenate([p.said for p in parts], axis=1)
        return cls(said, middle, low, high, scale, first.lead_h, first.names)


def _parts(meters: int) -> list[list[int]]:
    """Meters by the handful, so that memory grows with what is kept and not with what is reckoned."""
    return [list(range(k, min(k + AT_ONCE, meters))) for k in range(0, meters, AT_ONCE)]


def _held(known: int, per_day: int) -> NDArray[np.bool_]:
    """[known]: what models on trial must not have learnt: the last days, and a fortnight now and then before."""
    days_ago = (known - 1 - np.arange(known)) // per_day
    latest = int(np.clip(HELD_SHARE * known / per_day, *HELD_DAYS))
    earlier = (days_ago - latest) // EARLIER_DAYS % EARLIER_EVERY == EARLIER_EVERY - 1
    young = np.arange(known) < known // 3  # of those the lags reach before the beginning
    return np.asarray((days_ago < latest) | (earlier & ~young))


def _fit(
    groups: list[Signals], begin: int, free: NDArray[np.bool_], horizon: int, threads: int
) -> tuple[boosting.Trees | str, network.Network, network.Network | None, list[regression.Lines]]:
    """All models from pairs of origins after `begin` and targets that are `free` [known]; the lines by group."""
    rng = np.random.default_rng(0)
    end = int(np.flatnonzero(free)[-1]) + 1

    def pairs(signals: Signals, count: int) -> tuple[Rows, Floats, Floats]:
        origin = rng.integers(begin, max(end - 1, begin + 1), count)
        target = origin + rng.integers(0, horizon, count)
        use = (target < end) & free[np.minimum(target, end - 1)]
        origin, target = origin[use], target[use]
        rows = signals.rows(origin, target, blurred=True)
        return rows, signals.past.values[:, target], rows.scale / (signals.swing * signals.overall)[:, None]

    meters = sum(len(g.past.values) for g in groups)
    few = meters < AT_ONCE

    def drawn(most: int) -> int:
        return min(max(LEAST_ROWS, most // meters), REPEATS * (end - begin))

    lines = [regression.fit(*pairs(g, LINE_ROWS if few else LINE_ROWS // 5)) for g in groups]
    told = [pairs(g, drawn(boosting.MOST_ROWS)) for g in groups]
    by_line = np.concatenate([of.expects(r).ravel() for of, (r, _, _) in zip(lines, told, strict=True)])[None]
    rows, truth, weights = _pooled(told)
    trees = boosting.fit(rows, truth, by_line, QUANTILES, weights, threads)
    net = network.fit(rows, truth, QUANTILES, weights)
    if meters == 1 or not few:
        return trees, net, None, lines
    (signals,), (line,) = groups, lines
    rows, truth, weights = pairs(signals, drawn(min(WIDE_ROWS, meters * boosting.MOST_ROWS)))
    heard = _heard(rows, line.expects(rows))
    return trees, net, network.fit(heard, truth, QUANTILES, weights, network.WIDE), lines


def _pooled(told: list[tuple[Rows, Floats, Floats]]) -> tuple[Rows, Floats, Floats]:
    """Rows, truth and weights of groups laid out as one row of pairs, for groups have pairs of their own."""
    x = np.concatenate([r.x.reshape(-1, r.x.shape[2]) for r, _, _ in told])[None]
    base, scale, centre = (
        np.concatenate([getattr(r, k).ravel() for r, _, _ in told])[None] for k in ("base", "scale", "centre")
    )
    truth = np.concatenate([t.ravel() for _, t, _ in told])[None]
    weights = np.concatenate([w.ravel() for _, _, w in told])[None]
    return Rows(x, base, scale, centre, np.zeros(0), np.zeros(0), told[0][0].names), truth, weights


def _heard(rows: Rows, by_line: Floats) -> Rows:
    """What the wide network is told besides: the word of the regression, and which meter speaks."""
    said = ((by_line - rows.base) / rows.scale).astype(np.float32)[:, :, None]
    meters = len(rows.x)
    which = np.broadcast_to(np.eye(meters, dtype=np.float32)[:, None], (*rows.base.shape, meters))
    return replace(rows, x=np.concatenate([rows.x, said, which], axis=2))


def _said(
    rows: Rows,
    trees: boosting.Trees | str,
    net: network.Network,
    wide: network.Network | None,
    lines: regression.Lines,
) -> _Trial:
    naive = [rows.told(c) for c in ("last week", "weeks", "like days")]
    by_line, by_net = lines.expects(rows), net.expects(rows)
    if isinstance(trees, str):
        by_trees, corrected, others = by_line, by_line, by_net
    else:
        told, corrected = trees.expects(rows, by_line)
        told = np.sort(told, axis=0)
        by_trees, others = told[1], (told + by_net) / 2
    if wide is None:
        by_wide, ends = by_net, others
    else:
        by_wide = wide.expects(_heard(rows, by_line))
        ends = (1 - WIDE_ENDS) * others + WIDE_ENDS * by_wide
    low, middle, high = ends
    said = np.stack([by_trees, corrected, by_line, by_net[1], by_wide[1], *naive])
    return _Trial(said, middle, middle - low, high - middle, rows.scale, rows.lead_h, rows.names)


def _blended(said: Floats, shares: Floats) -> Floats:
    return np.asarray(np.einsum("mk,kmr->mr", shares, said))


def _chosen(said: Floats, truth: Floats, allowed: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Shares of the models [M, COLUMNS] by each meter's own loss and that of its like, and skill over the best naive.

    Blends share by how little their losses tell them apart (exponential weights, after Vovk 1990). A meter whose blend
    is clearly worse than the best naive model is left to that one, with a skill of 0.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a silent meter has no mean
        losses = np.stack([np.nanmean(_miss(truth, np.tensordot(b, said, axes=1)), axis=1) for b in BLENDS], axis=1)
    silent = ~np.isfinite(losses).all(axis=1)
    relative = losses / np.maximum(losses[:, allowed].min(axis=1, keepdims=True), 1e-9)
    relative[silent] = 1.0
    of_like = relative[~silent].mean(axis=0) if (~silent).any() else np.ones(len(BLENDS))
    doubted = np.where(allowed, DOUBT * (OWN_SHARE * relative + (1 - OWN_SHARE) * of_like), np.inf)
    weight = np.exp((doubted.min(axis=1, keepdims=True) - doubted) / DOUBTED)
    shares = weight @ BLENDS / weight.sum(axis=1, keepdims=True)
    naive = losses[:, -3:].min(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        own = np.nanmean(_miss(truth, _blended(said, shares)), axis=1)
        skill = np.where(silent, 0.0, 1 - own / np.maximum(naive, 1e-9))
    best_naive = BLENDS[len(BLENDS) - 3 + np.argmin(np.nan_to_num(losses[:, -3:], nan=np.inf), axis=1)]
    shares = np.where((skill < DEMOTED)[:, None], best_naive, shares)
    return shares, np.where(skill < DEMOTED, 0.0, skill)


def _miss(truth: Floats, said: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.abs(truth - np.maximum(said, np.minimum(0.0, np.nanmin(truth, initial=0.0))))


def _lead_class(lead_h: Floats) -> Ints:
    return np.searchsorted(np.array(LEADS_H[1:]), lead_h, side="left")


def _about(median: Floats, trial: _Trial) -> tuple[Floats, Floats]:
    """Half-widths [M, R] about a blend's median: its ends lie between those moved with it and those told.

    A blend that says less does not make the quiet hours of a home quieter.
    """
    least, moved = LEAST_SIDE * trial.scale, OWN_ENDS * (median - trial.middle)
    return np.maximum(trial.low + moved, least), np.maximum(trial.high - moved, least)


def _margins(residual: Floats, low: Floats, high: Floats, trial: _Trial) -> Floats:
    """[M, leads, 2]: by how many scales each side must be wider so that a tenth of the trial lay beyond it.

    Added and not multiplied: where trees are sure and wrong they are wrong by much.
    """
    lead = _lead_class(trial.lead_h)
    found = np.zeros((len(residual), len(LEADS_H), 2))
    for k in range(len(LEADS_H)):
        here = lead == k
        if not here.any():
            continue
        for side, score in enumerate((-residual - low, residual - high)):
            part = (score / trial.scale)[:, here]
            every = part[np.isfinite(part)]
            if not len(every):
                continue
            of_like = np.quantile(every, 0.9)
            for m, own in enumerate(part):
                own = own[np.isfinite(own)]
                # Values of one origin hang together, so they count for less than their number.
                weight = len(own) / 6 / (len(own) / 6 + PRIOR)
                level = np.quantile(own, min(0.9 * (1 + 1 / max(len(own), 1)), 1)) if len(own) else of_like
                found[m, k, side] = weight * level + (1 - weight) * of_like
    return np.clip(found, -MOST_MARGIN, MOST_MARGIN)


def _end(past: Past) -> int:
    slots = past.calendar.slots
    return int(slots.start.timestamp()) + past.length * slots.minutes * 60
