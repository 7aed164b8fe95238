"""Forecasts of any series in pandas: the contract by which forecasts are judged, over the code that the loop runs.

A series is known by its id only as the key of what was learnt of it; no name means anything here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from ems.forecast.calendar import NOBODY, SATURDAY, SUNDAY, WORKDAY, Calendar, calendar, countries_of, holiday_days
from ems.forecast.experience import Experience
from ems.forecast.learn import Learnt
from ems.forecast.models import Past
from ems.forecast.photovoltaic import SeriesWeather, expect_sun, learn_sun, offer, proven
from ems.forecast.race import race
from ems.forecast.routine import looked_up
from ems.forecast.suspect import cleaned
from ems.series import Floats
from ems.slots import Slots

REFIT_DAYS = 6.5
MOST_DAYS = 400
ENVELOPE = 1.5  # no quantile leaves what was ever measured times this
WEATHER = ("temp_air_c",)  # what the models of load and heat read, besides irradiance


EXPERIENCE = Experience()  # of this process


def forecast_many(
    histories: Mapping[str, pd.DataFrame],
    future_exogs: Mapping[str, pd.DataFrame],
    horizon: int,
    quantiles: Sequence[float],
    experience: Experience = EXPERIENCE,
) -> dict[str, pd.DataFrame]:
    """Quantiles of every series over the `horizon` steps of its future frame, kW.

    A history has a UTC index and column `y` (NaN is missing) besides weather; its attrs say `series_id`, `kind` (load,
    heat or pv), `tz`, `step_min` and, for pv, `capacity_kw`. Stamps may be unsorted or twice. Each frame returned has
    one column per quantile, in order, always finite; its attrs name the `model` and list `flags`: what was found wrong
    with the series. Raises ValueError for quantiles outside 0.01 to 0.99 and for a kind that is not known.
    """
    if not quantiles or not all(0.01 <= q <= 0.99 for q in quantiles):
        raise ValueError(f"quantiles are {tuple(quantiles)}; give some between 0.01 and 0.99")
    made: dict[str, pd.DataFrame] = {}
    groups: dict[tuple[Any, ...], list[_Meter]] = {}
    for name, history in histories.items():
        meter = _Meter.of(name, history, future_exogs[name], horizon)
        groups.setdefault(meter.group, []).append(meter)
    for meters in groups.values():
        found = _sun(meters, experience) if meters[0].kind == "pv" else _loads(meters, horizon, experience)
        for meter, (three, model) in zip(meters, found, strict=True):
            made[meter.name] = meter.frame(three, tuple(quantiles), model)
    return {name: made[name] for name in histories}


@dataclass
class _Meter:
    """One series on its grid."""

    name: str
    key: str
    kind: str
    tz: str
    capacity_kw: float
    index: pd.DatetimeIndex  # of the horizon
    start: pd.Timestamp
    step: int
    values: Floats
    weather: dict[str, Floats]
    flags: list[str]

    @property
    def group(self) -> tuple[Any, ...]:
        return (self.kind == "pv", self.tz, self.step, len(self.values), self.start, tuple(sorted(self.weather)))

    @classmethod
    def of(cls, name: str, history: pd.DataFrame, future: pd.DataFrame, horizon: int) -> _Meter:
        attrs = history.attrs
        kind = attrs.get("kind", "load")
        if kind not in ("load", "heat", "pv"):
            raise ValueError(f"{name}: kind is {kind!r}; it is load, heat or pv")
        step = int(attrs.get("step_min", 15))
        index = pd.DatetimeIndex(future.index[:horizon])
        if not len(index):
            raise ValueError(f"{name}: the future frame has no rows; give the {horizon} steps to forecast")
        index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
        flags: list[str] = []
        past, stamps = history, pd.DatetimeIndex(history.index)
        if stamps.tz is None:
            past = past.tz_localize("UTC")
        if not past.index.is_monotonic_increasing:
            flags.append("stamps out of order")
            past = past.sort_index()
        if not past.index.is_unique:
            flags.append("stamps twice")
            past = past.groupby(level=0).mean()
        end = index[0]
        past = past[past.index < end]
        length = pd.Timedelta(minutes=step)
        oldest = end - pd.Timedelta(days=MOST_DAYS)
        first = pd.Timestamp(past.index[0]) if len(past) else end - pd.Timedelta(days=1)
        count = max(int((end - max(first, oldest)) / length), 1)
        grid = pd.date_range(end - count * length, periods=count, freq=length)
        if not past.index.equals(grid):
            past = past.groupby((pd.DatetimeIndex(past.index) - end) // length).mean().reindex(np.arange(-count, 0))
        raw = past["y"].to_numpy(dtype=float)
        values, found = cleaned(raw, 1440 // step, sun=kind == "pv")
        if np.isfinite(raw).any():  # what was brought to another level stays within what was measured
            values = np.clip(values, np.min(raw[np.isfinite(raw)]), np.max(raw[np.isfinite(raw)]))
        weather = {}
        for column in future.columns:
            if column in history.columns:
                whole = pd.Series(
                    np.concatenate([past[column].to_numpy(float), future[column].to_numpy(float)[:horizon]])
                )
                if np.isfinite(whole[: len(past)]).any() and np.isfinite(whole[len(past) :]).any():
                    weather[str(column)] = (
                        whole.where(np.isfinite(whole)).interpolate(limit_direction="both").to_numpy()
                    )
                else:
                    flags.append(f"no {column}")
        return cls(
            name, str(attrs.get("series_id", name)), kind, str(attrs.get("tz", "UTC")),
            float(attrs.get("capacity_kw", np.nan)), index, grid[0], step, values, weather, flags + found,
        )  # fmt: skip

    def frame(self, three: Floats, quantiles: tuple[float, ...], model: str) -> pd.DataFrame:
        """Three quantiles [3, N] as the asked ones: in order, finite, within the envelope."""
        seen = self.values[np.isfinite(self.values)]
        highest = float(np.max(seen)) if len(seen) else 1.0
        lowest = min(float(np.min(seen)), 0.0) if len(seen) else 0.0
        if self.kind == "pv" and np.isfinite(self.capacity_kw):
            highest = min(highest, self.capacity_kw) if len(seen) else self.capacity_kw
        else:
            highest = ENVELOPE * highest if highest > 0 else highest / ENVELOPE
        three = np.sort(np.clip(np.nan_to_num(three), ENVELOPE * lowest, max(highest, 0.0)), axis=0)
        asked = _asked(three, quantiles)
        frame = pd.DataFrame({q: asked[k] for k, q in enumerate(quantiles)}, index=self.index)
        frame = frame.clip(lower=ENVELOPE * lowest)
        frame.attrs.update(model=model, flags=self.flags, issued_at=self.index[0])
        return frame


def _asked(three: Floats, quantiles: tuple[float, ...]) -> Floats:
    """[Q, N] from those of 0.1, 0.5 and 0.9: on either side a normal's, as wide as that side."""
    from scipy.stats import norm

    low, median, high = three
    z = norm.ppf(np.array(quantiles)) / norm.ppf(0.9)
    return np.asarray(
        np.where(z[:, None] < 0, median + z[:, None] * (median - low), median + z[:, None] * (high - median))
    )


def _panel(meters: list[_Meter], horizon: int) -> Past:
    first = meters[0]
    count = len(first.values)
    slots = Slots(first.start.to_pydatetime(), count + horizon, first.step)
    values = np.stack([m.values for m in meters])
    whole = calendar(slots, first.tz, _country(values, slots, first.tz))
    names = [n for n in first.weather if n in WEATHER or n.endswith("_wm2")]
    weather = {n: np.stack([m.weather[n] for m in meters]) for n in names}
    return Past(values, whole, _like_others(values, whole), weather)


def _country(values: Floats, slots: Slots, tz: str) -> str | None:
    """Whose public holidays the meters keep: those on whose working days they depart most from the week before."""
    candidates = countries_of(tz)
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    best, most = None, 0.0
    plain = calendar(slots, tz, NOBODY)
    per_day, count = plain.per_day, values.shape[1]
    if count < 9 * per_day:
        return candidates[0]
    level = np.nanmean(np.abs(values), axis=1, keepdims=True)
    day = plain.local[:count] // per_day
    with np.errstate(all="ignore"):
        departs = np.abs(values[:, 7 * per_day :] - values[:, : -7 * per_day]) / np.maximum(level, 1e-9)
        departs = np.nansum(departs, axis=0) / np.maximum(np.isfinite(departs).sum(axis=0), 1)
    usual = np.nanmean(departs)
    for country in candidates:
        free = np.isin(day, holiday_days(country, slots.start.year, slots.end.year)) & (plain.kind[:count] == WORKDAY)
        here = departs[free[7 * per_day :]]
        score = float(np.nansum(here - usual)) if np.isfinite(here).any() else 0.0
        if score > most:
            best, most = country, score
    return best


def _like_others(values: Floats, whole: Calendar) -> Floats:
    """[M, L]: a meter's own level in the shape of all: what a meter without much history is expected to do."""
    count = values.shape[1]
    own = np.array([np.nanmean(v) if np.isfinite(v).any() else np.nan for v in values])
    level = np.where(np.isfinite(own), own, np.nanmedian(own) if np.isfinite(own).any() else 0.0)
    known = np.isfinite(values).sum(axis=1) >= 7 * whole.per_day
    shape = np.ones(len(whole.local))
    if known.any():
        relative = (values[known] / np.maximum(np.abs(level[known, None]), 1e-9)).copy()
        heard = np.isfinite(relative)
        mean = np.where(heard.any(axis=0), np.nansum(relative, axis=0) / np.maximum(heard.sum(axis=0), 1), np.nan)
        key = np.minimum(whole.hour.astype(int), 23) + 24 * (whole.kind == SUNDAY) + 48 * (whole.kind == SATURDAY)
        for k in np.unique(key):
            here = mean[key[:count] == k]
            if np.isfinite(here).any():
                shape[key == k] = np.nanmean(here)
    return np.asarray(level[:, None] * shape)


def _loads(meters: list[_Meter], horizon: int, experience: Experience) -> list[tuple[Floats, str]]:
    past = _panel(meters, horizon)
    key = (*(m.key for m in meters), meters[0].step, tuple(past.weather))
    learnt, made = looked_up(experience, key, past, horizon, timedelta(days=REFIT_DAYS))
    if made is None:
        return _raced(meters, past, horizon, str(learnt))
    assert isinstance(learnt, Learnt)
    young = [k for k, m in enumerate(meters) if np.isfinite(m.values).sum() < 7 * past.calendar.per_day]
    raced = (
        dict(zip(young, _raced([meters[k] for k in young], past.only(young), horizon, "young"), strict=True))
        if young
        else {}
    )
    out = []
    for k in range(len(meters)):
        missing = f"; {learnt.missing}" if learnt.missing else ""
        out.append(raced[k] if k in raced else (made[:, k], learnt.model(k) + missing))
    return out


def _raced(meters: list[_Meter], past: Past, horizon: int, why: str) -> list[tuple[Floats, str]]:
    """The naive models' race, where there is too little to learn from."""
    found = race(past, np.arange(past.length, past.length + horizon), lowest=None)
    return [(np.stack([o.low, o.median, o.high]), f"{o.model} ({why})") for o in found]


def _sun(meters: list[_Meter], experience: Experience) -> list[tuple[Floats, str]]:
    out = []
    for m in meters:
        given = SeriesWeather.of(m.weather, len(m.values))
        slots = Slots(m.start.to_pydatetime(), len(m.values) + len(m.index), m.step)
        array = experience.arrays.get(m.key)
        now = int(m.index[0].timestamp())
        blurred = None if array is None else proven(array, given, slots)
        stale = array is None or not 0 <= now - array.when < REFIT_DAYS * 86400 or array.columns != given.columns
        if array is None or stale or (blurred is not None and blurred != array.blurred):
            array = experience.arrays[m.key] = learn_sun(
                m.values, given, slots, m.tz, m.capacity_kw, len(m.index), blurred
            )
        offer(array, given, now)
        out.append((expect_sun(array, m.values, given, slots), array.model))
    return out
