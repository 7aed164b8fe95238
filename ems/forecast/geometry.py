"""Where a plant stands and how its planes lie, found from what it generated; and the sun over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pvlib

from ems.forecast.calendar import Ints
from ems.series import Floats
from ems.slots import Slots

PLANES = ((0, 180), *((t, a) for t in (20, 40) for a in (90, 135, 180, 225, 270)), (65, 180))  # tilt, azimuth, deg
TURBIDITY = 3.0  # Linke (assumption)
SUMMER_RULES = ("Europe/Paris", "America/New_York", "Australia/Sydney")  # whose summer time a plant's clock may keep
LIKELIER = 0.9  # how much less of the time may be wrong with another clock before that is believed

Place = tuple[float, float]  # latitude and longitude, deg


@dataclass(frozen=True)
class Sky:
    """Sun over slots at a place: zenith, azimuth (deg), cloudless irradiance (W/m2), day of the year."""

    zenith: Floats
    azimuth: Floats
    ghi: Floats
    dni: Floats
    dhi: Floats
    extra: Floats
    year_day: Floats

    def part(self, at: Ints) -> Sky:
        return Sky(*(getattr(self, f)[at] for f in ("zenith", "azimuth", "ghi", "dni", "dhi", "extra", "year_day")))


def clock_shift(values: Floats, weather: Mapping[str, Floats], per_day: int) -> int:
    """By how many slots irradiance must be moved to go with the power, when the usual course of a day is taken out."""
    column = next((c for c in ("ghi_wm2", "dni_wm2") if c in weather), None)
    known = len(values)
    days = min(known // per_day, 120)
    if column is None or days < 10:
        return 0
    power = np.nan_to_num(values[known - days * per_day :]).reshape(days, per_day)
    sun = weather[column][known - days * per_day : known].reshape(days, per_day)
    lit = power.mean(axis=0) > 0.15 * power.mean(axis=0).max()

    def unusual(x: Floats) -> Floats:
        return np.asarray(x - pd.DataFrame(x).rolling(15, min_periods=3, center=True).mean().to_numpy())

    one, other = unusual(power), unusual(sun).ravel()
    reach = max(1, 3 * per_day // 48)
    fits = {
        k: np.corrcoef(one[:, lit].ravel(), np.roll(other, -k).reshape(days, per_day)[:, lit].ravel())[0, 1]
        for k in range(-reach, reach + 1)
    }
    best = max(fits, key=lambda k: np.nan_to_num(fits[k]))
    return best if fits[best] > fits[0] + 0.02 else 0


def sky_over(slots: Slots, place: tuple[float, float]) -> Sky:
    """Sun and cloudless irradiance in the middle of each slot (pvlib: ephemeris, Ineichen-Perez)."""
    step = slots.minutes * 60
    times = pd.DatetimeIndex(
        pd.to_datetime(int(slots.start.timestamp()) + step // 2 + step * np.arange(slots.count), unit="s", utc=True)
    )
    sun = pvlib.solarposition.ephemeris(times, *place)
    zenith = sun["apparent_zenith"].to_numpy()
    mass = pvlib.atmosphere.get_absolute_airmass(pvlib.atmosphere.get_relative_airmass(zenith))
    extra = pvlib.irradiance.get_extra_radiation(times).to_numpy()
    with np.errstate(all="ignore"):
        clear = pvlib.clearsky.ineichen(zenith, mass, np.full(len(times), TURBIDITY), 0, extra)
    ghi, dni, dhi = (np.nan_to_num(np.asarray(clear[k], dtype=float)) for k in ("ghi", "dni", "dhi"))
    return Sky(zenith, sun["azimuth"].to_numpy(), ghi, dni, dhi, extra, times.dayofyear.to_numpy().astype(float))


def found_clock(values: Floats, slots: Slots, tz: str) -> tuple[Place, str]:
    """Where a plant lies, deg, and the zone by whose rule its clock keeps summer time; "" where it does not.

    Loggers often run on the clock of the wall and are read as if they did not: half of the year all that they tell is
    an hour late. The sun knows: it is tried which clock goes best with when the plant generates.
    """
    place, wrong = _placed(values, slots, tz)
    others = [(*_placed(restamped(values, ahead(slots, rule)), slots, tz), rule) for rule in SUMMER_RULES]
    other, amiss, rule = min(others, key=lambda found: found[1])
    return (other, rule) if amiss < LIKELIER * wrong else (place, "")


def ahead(slots: Slots, rule: str) -> Ints:
    """By how many slots a clock with the summer time of this zone ("": none) is ahead of one without, at each slot."""
    if not rule:
        return np.zeros(slots.count, dtype=np.int64)
    at = pd.date_range(slots.start, periods=slots.count, freq=f"{slots.minutes}min")
    from_utc = at.tz_convert(rule).tz_localize(None) - at.tz_localize(None)
    usual = min(_from_utc(rule, month) for month in (1, 7))
    return np.asarray((from_utc - usual) // pd.Timedelta(minutes=slots.minutes), dtype=np.int64)


def _from_utc(zone: str, month: int) -> timedelta:
    return datetime(2024, month, 15, tzinfo=ZoneInfo(zone)).utcoffset() or timedelta(0)


def restamped(values: Floats, early: Ints) -> Floats:
    """Values [T] of a clock that is `early` slots ahead, by one that is not; NaN where nothing is known yet."""
    at = np.arange(len(values)) + early[: len(values)]
    return np.where(at < len(values), values[np.minimum(at, len(values) - 1)], np.nan)


def _placed(values: Floats, slots: Slots, tz: str) -> tuple[Place, float]:
    """Latitude and longitude at which the sun is up when the plant generates, the best of a grid, deg; and the share of
    the time at which it is not so."""
    step = slots.minutes
    noon = _from_utc(tz, 1) / timedelta(hours=1) * 15
    days = len(values) * step // 1440
    keep = np.zeros(len(values), bool)
    for d in np.unique(np.linspace(0, max(days - 1, 0), 60).astype(int)):
        keep[d * 1440 // step : (d + 1) * 1440 // step] = True
    keep &= np.isfinite(values)
    if not keep.any():
        return (44.0, noon), 1.0
    at = np.flatnonzero(keep)
    top = np.nanquantile(values, 0.99)
    up = values[at] > 0.01 * top
    seconds = int(slots.start.timestamp()) + (at + 0.5) * step * 60
    year = 2 * np.pi * ((seconds / 86400) % 365.2425 - 1) / 365.2425  # from 1 January 1970
    hour = seconds / 3600 % 24
    # Spencer (1971): declination and equation of time as Fourier series.
    declination = (
        0.006918
        - 0.399912 * np.cos(year)
        + 0.070257 * np.sin(year)
        - 0.006758 * np.cos(2 * year)
        + 0.000907 * np.sin(2 * year)
    )
    equation_h = (
        229.18
        / 60
        * (
            0.000075
            + 0.001868 * np.cos(year)
            - 0.032077 * np.sin(year)
            - 0.014615 * np.cos(2 * year)
            - 0.040849 * np.sin(2 * year)
        )
    )
    best, place = np.inf, (44.0, noon)

    def wrong(latitude: float, longitude: float) -> float:
        angle = np.radians(15 * (hour + longitude / 15 + equation_h - 12))
        height = np.sin(np.radians(latitude)) * np.sin(declination) + np.cos(np.radians(latitude)) * np.cos(
            declination
        ) * np.cos(angle)
        return float(np.mean(up != (height > np.sin(np.radians(3.0)))))

    for span, fine in ((1.0, 4.0), (0.15, 1.0)):
        about = place
        latitudes = np.arange(-48, 66, fine) if span == 1 else about[0] + np.arange(-4, 4.1, fine)
        longitudes = about[1] + np.arange(-24 * span, 24 * span + 0.1, fine * (0.75 if span == 1 else 0.5))
        for latitude in latitudes:
            for longitude in longitudes:
                now = wrong(float(latitude), float(longitude))
                if now < best:
                    best, place = now, (float(latitude), float(longitude))
    return place, best


def irradiance_of(weather: Mapping[str, Floats], sky: Sky, at: Ints) -> tuple[Floats, Floats, Floats] | None:
    """Global, direct and diffuse irradiance at slots `at`, W/m2, split by Erbs where only global is given."""
    cosine = np.maximum(np.cos(np.radians(sky.zenith)), 0)
    if "dni_wm2" in weather and "dhi_wm2" in weather:
        dni, dhi = weather["dni_wm2"][at], weather["dhi_wm2"][at]
        return dni * cosine + dhi, dni, dhi
    if "ghi_wm2" in weather:
        return split(weather["ghi_wm2"][at], sky)
    return None


def split(ghi: Floats, sky: Sky) -> tuple[Floats, Floats, Floats]:
    with np.errstate(all="ignore"):
        split = pvlib.irradiance.erbs(ghi, sky.zenith, sky.year_day)
    return ghi, np.nan_to_num(np.asarray(split["dni"])), np.nan_to_num(np.asarray(split["dhi"]))


def on_planes(sky: Sky, ghi: Floats, dni: Floats, dhi: Floats) -> Floats:
    """[L, P] kW/m2 on each of PLANES (isotropic sky, ground 0.2)."""
    planes = []
    with np.errstate(all="ignore"):
        for tilt, azimuth in PLANES:
            total = pvlib.irradiance.get_total_irradiance(
                tilt, azimuth, sky.zenith, sky.azimuth, dni, ghi, dhi, albedo=0.2
            )
            planes.append(np.nan_to_num(np.asarray(total["poa_global"], dtype=float)) / 1000)
    return np.asarray(np.clip(np.stack(planes, axis=1), 0, 1.5))
