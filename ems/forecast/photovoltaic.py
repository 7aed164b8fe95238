"""Photovoltaics whose place and planes nobody told: found from what they generated, then reckoned physically.

Where the sun rises and sets over a plant gives its place; a mixture of planes that explains its power from irradiance
gives its geometry (non-negative least squares over plane-of-array irradiance, pvlib). What is left (snow, shade,
soiling, the weather service's habits) is learnt by trees on the ratio of power to what a clear sky would bring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import maximum_filter1d
from scipy.optimize import nnls
from scipy.signal import lfilter

from ems.forecast import boosting
from ems.forecast.calendar import Ints
from ems.forecast.geometry import (
    PLANES,
    Place,
    ahead,
    clock_shift,
    found_clock,
    irradiance_of,
    on_planes,
    restamped,
    sky_over,
    split,
)
from ems.forecast.irradiance import habits, weighed
from ems.forecast.learn import LEADS_H, STRETCH
from ems.series import Floats
from ems.slots import Slots

LEAST_DAYS = 21
HELD_SHARE, HELD_DAYS = 0.2, (7, 42)
MOST_ROWS = 40_000
RECENT_DAYS = 14
AROUND_H = (1, 3, 6)
STEADY_H = (1, 3)
EXTREMES_H = 2  # to either side
HIGH_SUN = 82  # zenith, degrees: below, what is told over a clear sky's is mostly error
OPENING_MEMORY_H = 8.0  # how long the error of the first hour lasts
OPENING_H = 12.0
USUAL_DAYS = 21
CLEAR_FLOOR = 0.03  # of the capacity: below it power is not told relative to a clear sky
# Error of a weather service's irradiance, as a share, over hours ahead, and its memory over an hour (assumption).
IRRADIANCE_ERROR = ([0.0, 24.0, 48.0], [0.15, 0.25, 0.30])
IRRADIANCE_MEMORY = 0.95
ALREADY_FORECAST = (
    0.33  # of the power unexplained: such irradiance is a forecast itself, and is not blurred for learning
)
BLENDS = np.array([[1.0, 0.0, 0.0], [0.8, 0.2, 0.0], [0.8, 0.0, 0.2], [0.6, 0.2, 0.2], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5],
                   [0.0, 0.0, 1.0]])  # fmt: skip
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class SeriesWeather:
    """Irradiance and the rest over past and horizon [L]; `known` slots of it are past."""

    values: Mapping[str, Floats]
    known: int

    @classmethod
    def of(cls, values: Mapping[str, Floats], known: int) -> SeriesWeather:
        return cls(values, known)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(sorted(self.values))


@dataclass
class Array:
    """What was learnt of one plant; `when` are UTC epoch seconds of the end of its past."""

    when: int
    columns: tuple[str, ...]
    place: Place
    planes: Floats
    capacity_kw: float
    trees: tuple[Any, ...] | None
    blend: int
    sides: Floats
    why: str
    shift: int = 0  # slots by which the weather's clock runs behind the plant's
    blurred: bool = False
    doubted: bool = False  # whether irradiance told is held against how the sky behaves
    summer: str = ""  # the zone by whose summer time the plant's clock runs; what is learnt is by a clock without
    offered: Floats | None = None  # irradiance that was expected at the last call, from `offered_at` (epoch seconds)
    offered_at: int = 0

    @property
    def model(self) -> str:
        names = (boosting.NAME, "planes", "clearness of the last days")
        said = " + ".join(
            f"{s:.0%} {n}" if s < 1 else n for s, n in zip(BLENDS[self.blend], names, strict=True) if s > 0
        )
        return f"physical: {said}" + (f" ({self.why})" if self.why else "")


@dataclass
class _Told:
    """Rows of features, what they are told relative to, and the physical estimate, each [R]."""

    x: Floats
    clear_kw: Floats
    physical_kw: Floats
    persisted_kw: Floats
    lead_h: Floats


class _Plant:
    """One plant over past and horizon with everything that does not depend on the origin."""

    def __init__(
        self,
        values: Floats,
        weather: SeriesWeather,
        slots: Slots,
        place: Place,
        capacity_kw: float,
        shift: int,
        doubted: bool = False,
    ) -> None:
        self.values, self.known, self.slots = values, weather.known, slots
        at = np.clip(np.arange(slots.count) + shift, 0, slots.count - 1)
        self.weather = {k: v[at] for k, v in weather.values.items()}
        self.per_day = 1440 // slots.minutes
        self.capacity_kw = capacity_kw
        self.sky = sky_over(slots, place)
        self.every = np.arange(slots.count)
        given = irradiance_of(self.weather, self.sky, self.every)
        self.has_sun = given is not None
        self.ghi, self.dni, self.dhi = given if given is not None else (self.sky.ghi, self.sky.dni, self.sky.dhi)
        self.lit = self.sky.zenith < 88
        self.clearness = np.where(self.sky.zenith < HIGH_SUN, self.ghi / np.maximum(self.sky.ghi, 20), np.nan)
        self.habits = habits(self.clearness[: self.known]) if doubted and given is not None else None
        self.clear_planes = on_planes(self.sky, self.sky.ghi, self.sky.dni, self.sky.dhi)
        self.planes_by_weather = on_planes(self.sky, self.ghi, self.dni, self.dhi)

    def geometry(self, end: int) -> Floats:
        """[P] kW of each plane: what explains the bright days before slot `end` by a clear sky."""
        at = np.flatnonzero(np.isfinite(self.values[:end]) & self.lit[:end])[-200 * self.per_day // 2 :]
        if len(at) < 20:
            flat = np.zeros(len(PLANES))
            flat[0] = 0.85 * self.capacity_kw
            return flat
        at = at[:: max(1, len(at) // 6000)]
        x, y = self.clear_planes[at], _envelope_of(self.values, self.per_day, at)
        weight = nnls(
            np.vstack([x, 0.006 * np.sqrt(len(at)) * np.eye(x.shape[1])]), np.concatenate([y, np.zeros(x.shape[1])])
        )[0]
        return np.asarray(weight)

    def unexplained(self, planes: Floats, end: int) -> float:
        at = np.flatnonzero(np.isfinite(self.values[:end]) & self.lit[:end])
        if not len(at):
            return 1.0
        said = np.minimum(self.planes_by_weather[at] @ planes, self.capacity_kw)
        said *= self.values[at].sum() / max(said.sum(), 1e-9)
        return float(np.abs(said - self.values[at]).sum() / max(self.values[at].sum(), 1e-9))

    def prepare(self, planes: Floats) -> None:
        """Series that depend on the geometry."""
        self.planes = planes
        self.clear_kw = np.minimum(self.clear_planes @ planes, self.capacity_kw)
        self.told_by = np.maximum(self.clear_kw, CLEAR_FLOOR * self.capacity_kw)
        filled = np.where(np.isfinite(self.values), self.values, 0.0)
        usable = np.isfinite(self.values) & self.lit[: self.known]
        clear = np.where(usable, self.clear_kw[: self.known], 0.0)
        physical = np.minimum(self.planes_by_weather @ planes, self.capacity_kw)
        self.sum_y = np.concatenate([[0], np.cumsum(np.where(usable, filled, 0.0))])
        self.sum_clear = np.concatenate([[0], np.cumsum(clear)])
        self.sum_physical = np.concatenate([[0], np.cumsum(np.where(usable, physical[: self.known], 0.0))])
        with np.errstate(all="ignore"):
            days = pd.DataFrame(
                np.where(np.isfinite(self.values), self.values, np.nan)[self.known % self.per_day :].reshape(
                    -1, self.per_day
                )
            )
            top = days.rolling(RECENT_DAYS, min_periods=2).quantile(0.9).to_numpy()
            mean = days.rolling(RECENT_DAYS, min_periods=2).mean().to_numpy()
        self.top, self.mean = top, mean
        sun = pd.DataFrame(self.ghi[self.known % self.per_day : self.known].reshape(-1, self.per_day))
        self.ghi_top = sun.rolling(RECENT_DAYS, min_periods=2).quantile(0.9).to_numpy()

    def share(self, over: Floats, origin: Ints, span: int) -> Floats:
        """What was generated over the sum `over`, in the `span` slots before each origin; NaN in the dark."""
        begin = np.clip(origin - span, 0, None)
        below = over[origin] - over[begin]
        enough = below > 0.02 * self.capacity_kw
        return np.where(enough, (self.sum_y[origin] - self.sum_y[begin]) / np.maximum(below, 1e-9), np.nan)

    def told(self, origin: Ints, target: Ints, error: Floats | None, around: Floats) -> _Told:
        """Features of pairs; `error` [R] is the irradiance's share of error in learning, None in service.

        `around` [R, 9 or 11] is what the weather tells around each target, see `course`.
        """
        sky = self.sky.part(target)
        factor = 1.0 if error is None else np.clip(1 + error, 0.1, 1.9)
        ghi, dni, dhi = self.ghi[target] * factor, self.dni[target] * factor, self.dhi[target] * factor
        if error is not None and "dni_wm2" not in self.weather:
            ghi, dni, dhi = split(ghi, sky)
        physical = (
            np.minimum(on_planes(sky, ghi, dni, dhi) @ self.planes, self.capacity_kw)
            if error is not None
            else np.minimum(self.planes_by_weather[target] @ self.planes, self.capacity_kw)
        )
        clear = self.clear_kw[target]
        relative = self.told_by[target]
        lead_h = (target - origin + 1) * 24 / self.per_day
        day = self.per_day
        hour = max(1, day // 24)
        share_week = self.share(self.sum_physical, origin, 7 * day)
        shares = [self.share(self.sum_clear, origin, span) for span in (hour, 3 * hour, day, 7 * day)]
        # Most days are like the middle one of three weeks, and tomorrow a little like today.
        days = np.stack([self.share(self.sum_clear, np.maximum(origin - k * day, 0), day) for k in range(USUAL_DAYS)])
        usual = _middle(days, 0.6)
        day_share = np.where(np.isfinite(shares[2]), shares[2], usual)
        weight = np.where(lead_h <= 24, 0.45, 0.2)
        persisted = clear * np.clip(weight * day_share + (1 - weight) * usual, 0, 1.2)
        offset = self.known % day
        row = np.clip((origin - offset) // day - 1, 0, len(self.top) - 1)
        tod = (target - offset) % day
        kt = ghi / np.maximum(sky.ghi, 20)
        yesterday = np.clip(target - day * (np.maximum(target - origin, 0) // day + 1), 0, self.known - 1)
        columns = [
            physical / relative, kt, clear / self.capacity_kw, np.cos(np.radians(sky.zenith)), sky.azimuth, lead_h,
            share_week, shares[0] * np.exp(-lead_h / 2), shares[1] * np.exp(-lead_h / 4), shares[2], shares[3],
            self.top[row, tod] / relative, self.mean[row, tod] / relative, self.values[yesterday] / relative,
            np.cos(2 * np.pi * sky.year_day / 365.25), np.sin(2 * np.pi * sky.year_day / 365.25),
            dhi / np.maximum(ghi, 10), dhi / np.maximum(self.sky.dhi[target], 5), persisted / relative, usual,
            ghi / 1000, ghi / np.maximum(self.ghi_top[row, tod], 20), tod * 24 / day, *around.T,
        ]  # fmt: skip
        if self.habits is not None:
            believed = around[:, -2]
            columns += [physical / relative * believed, kt * believed]
        for name in ("cloud_cover_pct", "temp_air_c"):
            if name in self.weather:
                columns.append(self.weather[name][target])
        if "ghi_clear_wm2" in self.weather:
            columns.append(ghi / np.maximum(self.weather["ghi_clear_wm2"][target], 20))
        return _Told(
            np.stack(columns, axis=1).astype(np.float32),
            relative,
            physical * np.where(np.isfinite(share_week), np.clip(share_week, 0.3, 1.5), 1.0),
            persisted,
            lead_h,
        )

    def course(self, origin: Ints, horizon: int, error: Floats) -> Floats:
        """[O, H, 9 or 11]: how the irradiance told runs around each target of each origin, over the clear sky's.

        Its mean within 1, 3 and 6 h: more than a clear sky lets through is an error that lasts. How it jumps from slot
        to slot within 1 and 3 h, its highest and lowest within 2 h: a clear sky runs smoothly, so what is smooth and
        low is an error more often than it is cloud (after Reno and Hansen 2016). The first hour told over the last one
        measured. And how far it is to be believed, see `weighed`. `error` [O, H] is what the irradiance errs by.
        """
        at = np.minimum(origin[:, None] + np.arange(horizon), self.slots.count - 1)
        told = self.ghi[at] * np.clip(1 + error, 0.1, 1.9)
        lit, high_sun = self.lit[at], self.sky.zenith[at] < HIGH_SUN
        per_hour = max(1, self.per_day // 24)
        found = []
        for hours in AROUND_H:
            sun, clear = (_sum_around(np.where(lit, x, 0.0), hours * per_hour) for x in (told, self.sky.ghi[at]))
            found.append(sun / np.maximum(clear, 20))
        clearness = np.where(high_sun, told / np.maximum(self.sky.ghi[at], 20), np.nan)
        jumps = np.abs(np.diff(clearness, axis=1, prepend=np.nan))
        known = np.isfinite(jumps)
        for hours in STEADY_H:
            total = _sum_around(np.where(known, jumps, 0.0), hours * per_hour)
            count = _sum_around(known.astype(float), hours * per_hour)
            found.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
        width = 2 * EXTREMES_H * per_hour + 1
        found.append(maximum_filter1d(np.where(high_sun, clearness, -1.0), width, axis=1))
        found.append(-maximum_filter1d(-np.where(high_sun, clearness, 9.0), width, axis=1))
        found += [*self._opening(origin, told[:, :per_hour], horizon), *self._believed(origin, at, told)]
        return np.stack(found, axis=2)

    def _believed(self, origin: Ints, at: Ints, told: Floats) -> tuple[Floats, ...]:
        """[O, H] twice: truth over the irradiance told, as expected, and how doubtful that is; nothing where the
        irradiance was a forecast all along, of whose errors nothing is known."""
        if self.habits is None:
            return ()
        clearness = np.where(self.sky.zenith[at] < HIGH_SUN, told / np.maximum(self.sky.ghi[at], 20), np.nan)
        spread = np.interp((np.arange(at.shape[1]) + 1) * 24 / self.per_day, *IRRADIANCE_ERROR)
        last = np.where(origin > 0, self.clearness[np.maximum(origin - 1, 0)], np.nan)
        return weighed(clearness, last, self.habits, spread, IRRADIANCE_MEMORY ** (24 / self.per_day))

    def _opening(self, origin: Ints, told: Floats, horizon: int) -> tuple[Floats, Floats]:
        """[O, H] twice: the first hour told over the last one measured, fading, and that one for the first half day.

        Both over the clear sky's; the first is a logarithm, and 0 where the sun is low in either.
        """
        hour = np.arange(told.shape[1])
        ahead = np.minimum(origin[:, None] + hour, self.slots.count - 1)
        back = np.clip(origin[:, None] - 1 - hour, 0, None)
        up = [self.sky.zenith[at] < HIGH_SUN for at in (ahead, back)]
        sun = [np.where(u, x, 0.0).sum(axis=1) for u, x in zip(up, (told, self.ghi[back]), strict=True)]
        clear = [np.where(u, self.sky.ghi[at], 0.0).sum(axis=1) for u, at in zip(up, (ahead, back), strict=True)]
        enough = np.minimum(*clear) > 40 * len(hour)
        first, last = (s / np.maximum(c, 1) for s, c in zip(sun, clear, strict=True))
        departs = np.where(enough, np.log(np.clip(first / np.maximum(last, 0.05), 0.2, 5)), 0.0)
        lead_h = (np.arange(horizon) + 1) * 24 / self.per_day
        fading = departs[:, None] * np.exp(-lead_h / OPENING_MEMORY_H)
        return fading, np.where(enough[:, None] & (lead_h < OPENING_H), last[:, None], np.nan)


def learn_sun(
    values: Floats,
    weather: SeriesWeather,
    slots: Slots,
    tz: str,
    capacity_kw: float,
    horizon: int,
    blurred: bool | None = None,
) -> Array:
    """Learn one plant from its past [T] (kW generated, positive), with weather over past and horizon.

    `blurred` says whether past irradiance was measured and must be given a forecast's error for learning; None: judge
    by how well it explains the power.
    """
    known = len(values)
    per_day = 1440 // slots.minutes
    if not np.isfinite(capacity_kw) or capacity_kw <= 0:
        capacity_kw = float(np.nanmax(values, initial=0.0)) or 1.0
    when = int(slots.start.timestamp()) + known * slots.minutes * 60
    place, summer = found_clock(values, slots, tz)
    values = restamped(values, ahead(slots, summer))
    shift = clock_shift(values, weather.values, per_day)
    plant = _Plant(values, weather, slots, place, capacity_kw, shift)
    planes = plant.geometry(known)
    flat = np.ones((len(LEADS_H), 2))
    days = np.isfinite(values).sum() / per_day
    why = f"{days:.0f} days of history" if days < LEAST_DAYS else ""
    library = boosting.library()
    if isinstance(library, str) or why:
        why = why or str(library)
        blend = 4 if plant.has_sun else 6
        return Array(
            when,
            weather.columns,
            place,
            planes,
            capacity_kw,
            None,
            blend,
            flat,
            why,
            shift,
            bool(blurred),
            False,
            summer,
        )
    explains = plant.has_sun and plant.unexplained(planes, known) < ALREADY_FORECAST
    blurred = explains if blurred is None else blurred
    # Where the weather was measured, and over this plant, its habits tell how far a forecast of it is to be believed.
    doubted = blurred and explains
    if doubted:
        plant = _Plant(values, weather, slots, place, capacity_kw, shift, doubted)
    held = int(np.clip(HELD_SHARE * days, *HELD_DAYS)) * per_day
    plant.prepare(plant.geometry(known - held))
    trees = _grown(plant, library, min(7 * per_day, known // 3), known - held, horizon, blurred, 1)
    origin = np.arange(known - held, known - per_day // 4, max(1, 11 * per_day // 24))
    o, t, e, around = _pairs(plant, origin, horizon, known, blurred, 2)
    told, truth = plant.told(o, t, e, around), values[t]
    said = _estimates(told, trees)
    losses = [float(np.mean(np.abs(truth - np.tensordot(b, said[1], axes=1)))) for b in BLENDS]
    blend = int(np.argmin(np.array(losses) * np.where(BLENDS[:, 0] > 0, 0.98, 1.0)))
    sides = _sun_sides(truth, np.tensordot(BLENDS[blend], said[1], axes=1), said[0], told)
    plant.prepare(planes)
    trees = _grown(plant, library, min(7 * per_day, known // 3), known, horizon, blurred, 3)
    return Array(
        when, weather.columns, place, planes, capacity_kw, trees, blend, sides, why, shift, blurred, doubted, summer
    )


def expect_sun(array: Array, values: Floats, weather: SeriesWeather, slots: Slots) -> Floats:
    """Quantiles [3, N] of the plant's power over the slots after its past, kW."""
    early = ahead(slots, array.summer)
    wanted = np.arange(len(values), slots.count) - early[len(values) :]
    target = np.arange(wanted.min(), wanted.max() + 1)
    plant = _Plant(restamped(values, early), weather, slots, array.place, array.capacity_kw, array.shift, array.doubted)
    plant.prepare(array.planes)
    begin = target[:1]
    around = plant.course(begin, len(target), np.zeros((1, len(target))))[0]
    told = plant.told(np.full(len(target), begin[0]), target, None, around)
    sides, said = _estimates(told, array.trees)
    median = np.tensordot(BLENDS[array.blend], said, axes=1)
    lead = np.searchsorted(np.array(LEADS_H[1:]), told.lead_h, side="left")
    stretch = array.sides[lead]
    made = np.stack([median - sides[0] * stretch[:, 0], median, median + sides[1] * stretch[:, 1]])
    dark = plant.sky.zenith[target] > 94
    made = np.where(dark, 0.0, np.clip(np.sort(made, axis=0), 0, array.capacity_kw))
    return np.asarray(made[:, wanted - target[0]])


def offer(array: Array, weather: SeriesWeather, begin: int) -> None:
    """Keep the irradiance that was expected from `begin` (epoch seconds), to be compared with what is recorded."""
    column = _irradiance(weather)
    array.offered, array.offered_at = (None if column is None else column[weather.known :].copy()), begin


def proven(array: Array, weather: SeriesWeather, slots: Slots) -> bool | None:
    """Whether what was expected at the last call was recorded otherwise since: then past irradiance was measured."""
    column = _irradiance(weather)
    if column is None or array.offered is None:
        return None
    first = (array.offered_at - int(slots.start.timestamp())) // (slots.minutes * 60)
    count = min(weather.known - first, len(array.offered))
    if first < 0 or count < 1:
        return None
    recorded, expected = column[first : first + count], array.offered[:count]
    if recorded.sum() < 100:
        return None  # a night tells nothing
    return bool(np.abs(recorded - expected).sum() > 0.02 * recorded.sum())


def _irradiance(weather: SeriesWeather) -> Floats | None:
    return next((weather.values[c] for c in ("ghi_wm2", "dni_wm2") if c in weather.values), None)


def _pairs(
    plant: _Plant, origin: Ints, horizon: int, end: int, blurred: bool, seed: int
) -> tuple[Ints, Ints, Floats | None, Floats]:
    """Pairs of every origin with its lit targets before `end`, and an error of irradiance that lasts along each."""
    rng = np.random.default_rng(seed)
    error = np.zeros((len(origin), horizon))
    if blurred:
        keep = IRRADIANCE_MEMORY ** (24 / plant.per_day)
        shocks = rng.standard_normal((len(origin), horizon)) * np.sqrt(1 - keep**2)
        shocks[:, 0] /= np.sqrt(1 - keep**2)
        spread = np.interp((np.arange(horizon) + 1) * 24 / plant.per_day, *IRRADIANCE_ERROR)
        error = lfilter([1.0], [1.0, -keep], shocks, axis=1) * spread
    target = origin[:, None] + np.arange(horizon)
    use = (target < end) & plant.lit[np.minimum(target, plant.slots.count - 1)]
    use &= np.isfinite(plant.values[np.minimum(target, plant.known - 1)])
    o = np.broadcast_to(origin[:, None], target.shape)[use]
    t, e, around = target[use], error[use], plant.course(origin, horizon, error)[use]
    if len(t) > MOST_ROWS:
        some = np.sort(rng.choice(len(t), MOST_ROWS, replace=False))
        o, t, e, around = o[some], t[some], e[some], around[some]
    return o, t, e if blurred else None, around


def _grown(
    plant: _Plant, library: ModuleType, begin: int, end: int, horizon: int, blurred: bool, seed: int
) -> tuple[Any, ...]:
    origin = np.arange(begin, end - 1, max(1, 7 * plant.per_day // 24))
    o, t, e, around = _pairs(plant, origin, horizon, end, blurred, seed)
    told = plant.told(o, t, e, around)
    share = plant.values[t] / told.clear_kw
    data = library.Dataset(
        told.x,
        share,
        weight=told.clear_kw / plant.capacity_kw,
        params={"max_bin": 127, "verbosity": -1},
        free_raw_data=False,
    )
    settings = {**boosting.SETTINGS, "num_leaves": 20, "learning_rate": 0.05, "min_child_samples": 80, "num_threads": 1}
    return tuple(library.train({**settings, "alpha": q}, data, 160) for q in QUANTILES)


def _estimates(told: _Told, trees: tuple[Any, ...] | None) -> tuple[Floats, Floats]:
    """Half-widths [2, R] and the three estimates [3, R] of BLENDS, kW."""
    if trees is None:
        flat = np.zeros_like(told.clear_kw)
        sides = np.stack([0.5 * told.physical_kw, np.maximum(0.35 * told.physical_kw, 0.2 * told.clear_kw)])
        return sides, np.stack([flat, told.physical_kw, told.persisted_kw])
    low, median, high = np.sort(np.stack([t.predict(told.x) for t in trees]) * told.clear_kw, axis=0)
    least = 0.01 * told.clear_kw
    return np.maximum(np.stack([median - low, high - median]), least), np.stack(
        [median, told.physical_kw, told.persisted_kw]
    )


def _sun_sides(truth: Floats, median: Floats, sides: Floats, told: _Told) -> Floats:
    lead = np.searchsorted(np.array(LEADS_H[1:]), told.lead_h, side="left")
    found = np.ones((len(LEADS_H), 2))
    for side, score in enumerate(((median - truth) / sides[0], (truth - median) / sides[1])):
        whole = np.quantile(score, 0.9)
        for k in range(len(LEADS_H)):
            own = score[lead == k]
            weight = len(own) / (len(own) + 400)
            found[k, side] = weight * np.quantile(own, 0.9) + (1 - weight) * whole if len(own) else whole
    return np.clip(found, *STRETCH)


def _sum_around(values: Floats, half: int) -> Floats:
    """[O, H]: sum along the second axis over `half` slots to either side of each."""
    count = values.shape[1]
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    low = np.clip(np.arange(count) - half, 0, None)
    high = np.clip(np.arange(count) + half + 1, None, count)
    return np.asarray(sums[:, high] - sums[:, low])


def _middle(values: Floats, otherwise: float) -> Floats:
    """Median over the first axis of what is finite."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    return np.asarray(np.where(count > 0, middle, otherwise))


def _envelope_of(values: Floats, per_day: int, at: Ints) -> Floats:
    """The bright days' power at the time of day of each slot."""
    days = np.nan_to_num(values[len(values) % per_day :].reshape(-1, per_day))
    top = pd.DataFrame(days).rolling(RECENT_DAYS, min_periods=1, center=True).quantile(0.9).to_numpy()
    offset = len(values) % per_day
    row = np.clip((at - offset) // per_day, 0, len(top) - 1)
    return np.asarray(top[row, (at - offset) % per_day])
