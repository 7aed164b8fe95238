"""Recognises what a meter cannot have meant: such values are made missing, named, and never learnt from."""

from __future__ import annotations

import warnings

import numpy as np

from ems.series import Floats

FROZEN_H = 30  # the same value for so long, from a meter that otherwise moves
DEAD_H = 48  # at zero for so long, from a meter that otherwise is never there
RARE = 0.02  # a share of values below which something is an exception
SPIKE = 4.0  # times the reach of a meter's values above their median
JUMP = 8.0  # times a meter's level, for good: it was exchanged, or its transformer was; a holiday ends with less
JUMP_DAYS = 2
JUMP_REACH_DAYS = 60  # an older one has been learnt meanwhile
SHIFT_DAYS, SHIFT_BEFORE_DAYS = 7, 28
SHIFT_FIT = 0.9
SHIFT_GAIN = 0.35  # of correlation, that moving the last week by hours brings


def cleaned(values: Floats, per_day: int, *, sun: bool = False) -> tuple[Floats, list[str]]:
    """One meter's values [T] with what is not to be believed made NaN, and in words what that was.

    After a lasting jump of level the older values are brought to the new level, so that their shape serves on.
    `sun` says that nights of zeros and cloudless sameness are nothing strange.
    """
    kept = np.where(np.isfinite(values), values, np.nan)
    found: list[str] = []
    known = np.isfinite(kept)
    if not known.any():
        return kept, ["no value is known"]
    if known.mean() < 0.5:
        found.append(f"{1 - known.mean():.0%} of the values are missing")
    finite = kept[known]
    negative = finite < 0
    if 0 < negative.mean() < RARE:
        kept[known & (kept < 0)] = np.nan
        found.append(f"{int(negative.sum())} negative values")
    median = np.nanmedian(kept)
    reach = np.nanquantile(np.abs(kept - median), 0.995)
    if reach > 0:
        spikes = np.abs(kept - median) > SPIKE * reach
        if 0 < spikes.mean() < RARE:
            kept[spikes] = np.nan
            found.append(f"{int(spikes.sum())} spikes")
    if not sun:
        found += _without_frozen(kept, per_day)
        found += _levelled(kept, per_day)
        found += _without_shifted(kept, per_day)
    return kept, found


def _without_frozen(kept: Floats, per_day: int) -> list[str]:
    """Makes runs of the same value missing, in place."""
    same = np.concatenate([[False], np.diff(kept) == 0])
    if same.mean() > 0.5:
        return []  # a meter of few values: sameness tells nothing
    begins = np.flatnonzero(~same)
    lengths = np.diff(np.concatenate([begins, [len(kept)]]))
    zeros = np.mean(kept == 0)
    count = 0
    for begin, length in zip(begins, lengths, strict=True):
        least = DEAD_H if kept[begin] == 0 and zeros > RARE else FROZEN_H
        if length >= least * per_day / 24 and np.isfinite(kept[begin]):
            kept[begin : begin + length] = np.nan
            count += int(length)
    return [f"frozen for {count * 24 / per_day:.0f} h"] if count else []


def _levelled(kept: Floats, per_day: int) -> list[str]:
    """Brings what lies before a lasting jump of level to the level after it, in place."""
    days = len(kept) // per_day
    if days < 4 * JUMP_DAYS:
        return []
    with np.errstate(all="ignore"):
        daily = np.array([np.nanmean(d) if np.isfinite(d).any() else np.nan for d in np.split(
            kept[len(kept) - days * per_day :], days)])  # fmt: skip
    words = []
    for day in range(days - JUMP_DAYS, max(JUMP_DAYS, days - JUMP_REACH_DAYS), -1):
        near = 14
        after, before = daily[day : day + near], daily[max(day - near, 0) : day]
        after, before = after[np.isfinite(after)], before[np.isfinite(before)]
        if len(after) < JUMP_DAYS or len(before) < JUMP_DAYS:
            continue
        # Every day after lies beyond every day before, and far.
        if min(after) > 0 and min(before) > 0:
            ratio = float(np.median(after) / np.median(before))
            apart = min(after) > 2 * max(before) if ratio > 1 else max(after) < 0.5 * min(before)
            # A heating season ends by and by; an exchange from one day to the next, be it a Sunday.
            near_after, near_before = after[:2], before[-3:]
            at_once = min(near_after) / max(near_before) if ratio > 1 else min(near_before) / max(near_after)
            if apart and max(ratio, 1 / ratio) > JUMP and at_once > JUMP / 2:
                edge = len(kept) - (days - day) * per_day
                kept[:edge] *= ratio
                daily[:day] *= ratio
                words.append(f"level x {ratio:.2g} {days - day} days ago")
    return words


def _without_shifted(kept: Floats, per_day: int) -> list[str]:
    """Makes the last week missing, in place, when its days run hours earlier or later than those before it."""
    last, before = SHIFT_DAYS * per_day, SHIFT_BEFORE_DAYS * per_day
    if len(kept) < last + before:
        return []
    with np.errstate(all="ignore"):
        new = np.nan_to_num(_profile(kept[-last:], per_day))
        old = np.nan_to_num(_profile(kept[-last - before : -last], per_day))
    if new.std() == 0 or old.std() == 0:
        return []
    fits = np.array([np.corrcoef(new, np.roll(old, k))[0, 1] for k in range(per_day)])
    best = int(np.argmax(fits))
    hours = (best + per_day // 2) % per_day - per_day // 2
    if abs(hours) * 24 / per_day < 2 or fits[best] < SHIFT_FIT or fits[best] - fits[0] < SHIFT_GAIN:
        return []
    # A holiday or a cold week moves the mean day; a clock that slipped moves every single one.
    moved = np.roll(old, best)
    for day in kept[-last:].reshape(SHIFT_DAYS, per_day):
        known = np.isfinite(day)
        if known.mean() < 0.5 or day[known].std() == 0 or np.corrcoef(day[known], moved[known])[0, 1] < SHIFT_FIT - 0.1:
            return []
    kept[-last:] = np.nan
    return [f"days run {hours * 24 / per_day:+.1f} h shifted since a week"]


def _profile(values: Floats, per_day: int) -> Floats:
    days = values[len(values) % per_day :].reshape(-1, per_day)
    with warnings.catch_warnings():  # what no day measured has no median: NaN, without a word
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(days, axis=0))
