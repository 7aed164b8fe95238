"""What the learnt models are told of a meter at an origin about a slot after it: nothing that was not known there.

All meters share the pairs of origin and target, so every feature is one gather over [M, R]. Values are told as what
they depart from the meter's own level at the origin, in units of how much it swings about its mean, which lets one
model serve a flat that sleeps and a tower that hums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from ems.forecast.calendar import Ints
from ems.forecast.models import Past, days_before
from ems.series import Floats

WEEKS = 4
LIKE_DAYS = 5
LIKE_REACH_DAYS = 21
HABIT_PULL, WEEKDAY_PULL = 0.15, 0.3  # of the latest day, or week, in a mean that forgets
REACHES_H = (6, 24, 168)  # over which extremes are told: an empty home has no peaks
LEVEL = 0.4  # how far a meter's scale is that of its latest weeks; the rest is its own mean over all that is known
LEAST_SWING, MOST_SWING = 0.02, 3.0  # of the mean: a meter that stands still has a scale too
# Meters, and days of history, from which on each is told about its latest month; others about a level that moves less.
AMONG, AMONG_DAYS = 3, 200
YEAR_END, YEAR_END_EDGE = (358, 1), (356, 357, 2)  # days of the year: 24 December to 1 January; those that count half
SEASON_DAYS = 90  # of history before the season is told
TEMPERATURE = "temp_air_c"
TEMPERATURE_ERROR = ([0.0, 24.0, 48.0], [0.5, 1.5, 2.0])  # K over hours ahead, of a good weather service (assumption)


@dataclass(frozen=True)
class Rows:
    """R pairs of origin and target for M meters: features [M, R, F]; base, scale and centre [M, R] in the meter's unit.

    A model says by how many scales the target departs from the base; features that are levels are told as how many
    scales they depart from the centre. `lead_h` and `hour` [R] are those of the pairs.
    """

    x: NDArray[np.float32]
    base: Floats
    scale: Floats
    centre: Floats
    lead_h: Floats
    hour: Floats
    names: tuple[str, ...]

    def told(self, name: str) -> Floats:
        """A feature that is a level [M, R], in the meter's unit."""
        return np.asarray(self.x[:, :, self.names.index(name)] * self.scale + self.centre)


class Signals:
    """The past of M meters prepared for `rows`: gaps filled from before, running sums, wall-clock lags.

    `among` says of how many meters these are a part that share their models; by default they are all.
    """

    def __init__(self, past: Past, among: int | None = None) -> None:
        self.past = past
        self.per_day = past.calendar.per_day
        self.length = past.length
        meters = len(past.values) if among is None else among
        self.pooled = meters >= AMONG and self.length >= AMONG_DAYS * self.per_day
        self.count = len(past.calendar.local)
        every = np.arange(self.count, dtype=np.int64)
        self.back = {k: days_before(past, every, np.full(self.count, k)) for k in (*range(1, 8), 14, 21, 28)}
        self.filled = _filled(past.values, self.back, past.typical)
        self.weekly = self._weekly()
        self.smooth = _smoothed(self.filled, max(1, self.per_day // 24))
        self.habit = _habit(self.filled, self.per_day, HABIT_PULL)
        self.habit_of_weekday = _habit(self.filled, 7 * self.per_day, WEEKDAY_PULL)
        self.sums = _running(self.filled)
        self.departures = _running(self.filled - self.weekly[:, : self.length])
        self.weather = dict(past.weather)
        self.weather_sums = {k: _running(v) for k, v in past.weather.items()}
        self.highest = {h: _highest(self.filled, max(1, self.per_day * h // 24)) for h in REACHES_H}
        self.lowest = {h: -_highest(-self.filled, max(1, self.per_day * h // 24)) for h in REACHES_H}
        self.overall = np.maximum(np.abs(self.filled).mean(axis=1), 1e-6)
        departs = np.abs(self.filled - self.filled.mean(axis=1, keepdims=True)).mean(axis=1)
        self.swing = np.clip(departs / self.overall, LEAST_SWING, MOST_SWING)
        self.year_end = _year_end(past.calendar.year_day)

    def _weekly(self) -> Floats:
        """[M, L]: mean at the same time over the last four weeks; where none is known, the meter's mean."""
        total = np.zeros((len(self.filled), self.count))
        n = np.zeros(self.count)
        for k in (7, 14, 21, 28):
            at = self.back[k]
            use = (at >= 0) & (at < self.length)
            total += np.where(use, self.filled[:, np.where(use, at, 0)], 0.0)
            n += use
        day = self.back[1]
        usable = (day >= 0) & (day < self.length)
        fallback = np.where(usable, self.filled[:, np.where(usable, day, 0)], self.filled.mean(axis=1, keepdims=True))
        return np.where(n > 0, total / np.maximum(n, 1), fallback)

    def at(self, values: Floats, index: Ints) -> Floats:
        return values[:, np.clip(index, 0, values.shape[1] - 1)]

    def before(self, sums: Floats, origin: Ints, span: int) -> Floats:
        """Mean of the `span` slots before each origin."""
        begin = np.clip(origin - span, 0, None)
        return np.asarray((sums[:, origin] - sums[:, begin]) / np.maximum(origin - begin, 1))

    def rows(self, origin: Ints, target: Ints, *, blurred: bool = False) -> Rows:
        """Features of each pair; origins lie within the past, targets up to the end of the calendar.

        `blurred` gives measured temperatures the error that a forecast of that lead would have had: for learning.
        """
        calendar, per_day = self.past.calendar, self.per_day
        lead = target - origin
        lead_h = (lead + 1) * 24 / per_day
        ahead = lead // per_day + 1  # days back to the latest known slot at the same time of day

        def known(index: Ints) -> Ints:
            return np.where(index >= origin, index - per_day, index)

        def lag(days: Ints) -> Ints:
            at = np.empty_like(target)
            for k in np.unique(days):
                at = np.where(days == k, self.back[int(k)][target] if k in self.back else target - int(k) * per_day, at)
            return known(at)

        week, month = self.before(self.sums, origin, 7 * per_day), self.before(self.sums, origin, 28 * per_day)
        day = self.before(self.sums, origin, per_day)
        level = LEVEL * (0.6 * np.abs(month) + 0.4 * np.abs(week)) + (1 - LEVEL) * self.overall[:, None]
        scale = level * self.swing[:, None]
        # Many meters teach each other what a departure from the latest month is followed by. One alone knows its own
        # summers and winters, and about the month they would be told nowhere; so it is where there are few months.
        centre = month if self.pooled else level
        base = self.at(self.weekly, target)

        weekly_lags = np.stack([self.at(self.filled, lag(np.full_like(target, 7 * k))) for k in range(1, WEEKS + 1)])
        day_lags = np.stack([self.at(self.filled, lag(ahead + k)) for k in range(7)])
        yesterday_at = lag(ahead)
        last_smooth = origin - 1 - max(1, per_day // 24)
        smooth_yesterday = self.at(self.smooth, np.minimum(yesterday_at, last_smooth))
        smooth_weeks = 0.5 * (
            self.at(self.smooth, lag(np.full_like(target, 7))) + self.at(self.smooth, lag(np.full_like(target, 14)))
        )
        like = self._like(origin, target, ahead)
        expected_then = self.at(self.weekly, yesterday_at)
        departs = {h: self.before(self.departures, origin, max(1, per_day * h // 24)) for h in (1, 3, 24, 168)}

        levels: dict[str, Floats] = {
            "weeks": base,
            "weeks smooth": smooth_weeks,
            "days": day_lags.mean(axis=0),
            "like days": like,
            "yesterday": day_lags[0],
            "yesterday smooth": smooth_yesterday,
            "last week": weekly_lags[0],
            "weeks yesterday": expected_then,
            "day": day,
            "week": week,
            "days middle": np.median(day_lags, axis=0),
            "weeks middle": np.median(weekly_lags, axis=0),
            "habit": self.at(self.habit, yesterday_at),
            "habit of weekday": self.at(self.habit_of_weekday, lag(np.full_like(target, 7))),
            "latest": self.at(self.filled, origin - 1),
            **{f"highest {h} h": self.at(v, origin - 1) for h, v in self.highest.items()},
            **{f"lowest {h} h": self.at(v, origin - 1) for h, v in self.lowest.items()},
        }
        others: dict[str, Floats] = {
            # Of two names, for what was learnt in one way says nothing in the other.
            **({"level": month} if self.pooled else {"month": month - centre}),
            "yesterday departs": day_lags[0] - expected_then,
            "departs 1 h": departs[1],
            "departs 3 h": departs[3],
            "departs 24 h": departs[24],
            "departs 7 d": departs[168],
            "departs 1 h damped": departs[1] * np.exp(-lead_h / 2),
            "departs 3 h damped": departs[3] * np.exp(-lead_h / 6),
            "departs 24 h damped": departs[24] * np.exp(-lead_h / 24),
        }
        relative = [(v - centre) / scale for v in levels.values()] + [v / scale for v in others.values()]
        names = [*levels, *others]
        shared = {
            "lead": lead_h,
            "hour": calendar.hour[target],
            "weekday": calendar.weekday[target].astype(float),
            "kind": calendar.kind[target].astype(float),
            "kind yesterday": calendar.kind[self.back[1][target].clip(0)].astype(float),
            "kind last week": calendar.kind[self.back[7][target].clip(0)].astype(float),
            "year end": self.year_end[target],
            "year end last week": self.year_end[self.back[7][target].clip(0)],
            "kind tomorrow": calendar.kind[np.minimum(target + per_day, self.count - 1)].astype(float),
        }
        if self.length >= SEASON_DAYS * per_day:
            # How far from midwinter, and no more: with the sine too a model of one year knows every date by heart.
            shared["season"] = np.cos(2 * np.pi * calendar.year_day[target] / 365.25)
        if calendar.school is not None:
            shared["school holiday"] = calendar.school[target].astype(float)
            shared["school holiday last week"] = calendar.school[self.back[7][target].clip(0)].astype(float)
        for name, column in shared.items():
            relative.append(np.broadcast_to(column, base.shape))
            names.append(name)
        for name, values in self.weather.items():
            error = np.zeros(len(target))
            if blurred and name == TEMPERATURE:
                spread = np.interp(lead_h, *TEMPERATURE_ERROR)
                error = np.random.default_rng(len(target)).standard_normal(len(target)) * spread
            now = values[:, target] + error
            daily = (
                self.weather_sums[name][:, target + 1]
                - self.weather_sums[name][:, np.clip(target + 1 - per_day, 0, None)]
            ) / per_day + error
            then = np.mean([self.at(values, lag(np.full_like(target, 7 * k))) for k in range(1, WEEKS + 1)], axis=0)
            relative += [
                now,
                daily,
                now - self.at(values, lag(np.full_like(target, 7))),
                now - then,
                now - self.at(values, yesterday_at),
            ]
            names += [f"{name} {what}" for what in ("now", "day", "to last week", "to weeks", "to yesterday")]
            if name == TEMPERATURE:
                lag7 = self.before(self.weather_sums[name], origin, 28 * per_day)
                relative += [np.maximum(15 - daily, 0), np.maximum(daily - 20, 0), daily - lag7]
                names += ["heating degrees", "cooling degrees", "day to month"]
        x = np.stack([np.broadcast_to(r, base.shape).astype(np.float32) for r in relative], axis=2)
        return Rows(x, base, scale, centre, lead_h, calendar.hour[target], tuple(names))

    def _like(self, origin: Ints, target: Ints, ahead: Ints) -> Floats:
        """Mean at the same time over the last days of the target's kind; the weekly mean where there is none."""
        kind = self.past.calendar.kind
        total = np.zeros((len(self.filled), len(target)))
        count = np.zeros(len(target))
        for k in range(LIKE_REACH_DAYS):
            at = target - (ahead + k) * self.per_day
            at = np.where(at >= origin, at - self.per_day, at)
            use = (at >= 0) & (kind[at.clip(0)] == kind[target]) & (count < LIKE_DAYS)
            total += np.where(use, self.at(self.filled, at), 0.0)
            count += use
        return np.where(count > 0, total / np.maximum(count, 1), self.at(self.weekly, target))


def _year_end(year_day: Ints) -> Floats:
    """[L]: between the years, when more stands still than public holidays say."""
    first, last = YEAR_END
    return ((year_day >= first) | (year_day <= last)) + 0.5 * np.isin(year_day, YEAR_END_EDGE)


def _filled(values: Floats, back: dict[int, Ints], typical: Floats) -> Floats:
    """Gaps filled with the same time last week, yesterday, the last value; the rest with what is typical."""
    filled = values.copy()
    length = values.shape[1]
    for k in (7, 1):
        at = back[k][:length]
        for _ in range(3):
            gap = ~np.isfinite(filled) & (at >= 0)
            if not gap.any():
                break
            filled = np.where(gap, filled[:, at.clip(0)], filled)
    index = np.where(np.isfinite(filled), np.arange(length), -1)
    last = np.maximum.accumulate(index, axis=1)
    filled = np.where(last >= 0, np.take_along_axis(filled, last.clip(0), axis=1), typical[:, :length])
    return np.where(np.isfinite(filled), filled, 0.0)


def _smoothed(values: Floats, half: int) -> Floats:
    """Mean over `half` slots to either side."""
    sums = _running(values)
    length = values.shape[1]
    index = np.arange(length)
    low, high = np.clip(index - half, 0, None), np.clip(index + half + 1, None, length)
    return (sums[:, high] - sums[:, low]) / (high - low)


def _habit(values: Floats, period: int, pull: float) -> Floats:
    """[M, T]: mean over the same slot of every period up to each one, the older the less it counts."""
    length = values.shape[1]
    found = values.copy()
    for begin in range(period, length, period):
        end = min(begin + period, length)
        before = found[:, begin - period : end - period]
        found[:, begin:end] = before + pull * (values[:, begin:end] - before)
    return found


def _highest(values: Floats, span: int) -> Floats:
    """[M, T]: the highest of each slot and those before it, `span` in all."""
    return np.asarray(maximum_filter1d(values, span, axis=1, origin=(span - 1) // 2, mode="nearest"))


def _running(values: Floats) -> Floats:
    """[M, T + 1]: sum of all slots before each."""
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
