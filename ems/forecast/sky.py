"""The weather that the plan reckons with: the service's forecast, carried on a little; else what is usual here.

Climatology is that of Marseille (monthly means of Marignane and of the sea, see `ems/simulate/weather.py` for sources),
drawn towards what the district's own station measured during the last days. It is named as the fallback it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd
import pvlib

from ems.assets import Loop, WeatherStation
from ems.district import District, Place
from ems.forecast.calendar import Calendar
from ems.series import Floats, Forecast

OUTDOOR_C = (7.4, 8.2, 11.2, 13.8, 17.8, 21.7, 24.6, 24.4, 20.6, 16.5, 11.3, 8.2)
SWING_K = (8.2, 9.1, 9.7, 9.6, 10.0, 10.6, 11.1, 11.0, 9.9, 8.1, 7.7, 7.4)
SEAWATER_C = (13.4, 13.0, 13.2, 14.2, 16.4, 19.8, 22.6, 23.4, 21.6, 19.2, 16.6, 14.6)
TURBIDITY = 3.5  # Linke (assumption)
USUAL_CLEARNESS = (0.35, 0.80, 1.0)  # of clear sky: quantiles of a day (assumption)
CARRIED_H = 6.0  # how long a service's forecast is carried on after its end without being called a fallback
RECENT_DAYS = 10
MEMORY_H = 36.0  # how long a day's departure from the usual lasts
LATEST_H = 6.0  # and that of the last two hours from the day's


@dataclass(frozen=True)
class Quantity:
    """One weather quantity: its quantity name, bounds, and the stated spread of climatology now and a day later."""

    name: str
    lowest: float
    highest: float
    spread: float
    spread_per_day: float


OUTDOOR = Quantity("outdoor_temperature_c", -30, 50, 1.0, 2.5)
HUMIDITY = Quantity("humidity_share", 0.05, 1.0, 0.06, 0.12)
WIND = Quantity("wind_m_per_s", 0, 60, 1.2, 2.5)
SEAWATER = Quantity("seawater_temperature_c", 8, 32, 0.3, 1.0)
IRRADIANCE = "irradiance_w_per_m2"


def weather_points(district: District) -> dict[str, str]:
    """Point by quantity; empty where the district has no station or loop."""
    points = {}
    station, loop = next(iter(district.of(WeatherStation)), None), next(iter(district.of(Loop)), None)
    if station is not None:
        points = {q: f"{station}/{q}" for q in (OUTDOOR.name, IRRADIANCE, HUMIDITY.name, WIND.name)}
    if loop is not None:
        points[SEAWATER.name] = f"{loop}/{SEAWATER.name}"
    return points


def clear_sky(place: Place, calendar: Calendar) -> pd.DataFrame:
    """Sun and cloudless irradiance at the middle of each slot: columns zenith, azimuth, elevation, ghi, extra.

    pvlib: ephemeris, Ineichen-Perez with a constant turbidity.
    """
    times = pd.DatetimeIndex(pd.to_datetime(calendar.seconds, unit="s", utc=True))
    sun = pvlib.solarposition.ephemeris(times, place.latitude_deg, place.longitude_deg)
    zenith = sun["apparent_zenith"].to_numpy()
    mass = pvlib.atmosphere.get_relative_airmass(zenith)
    absolute = pvlib.atmosphere.get_absolute_airmass(mass, pvlib.atmosphere.alt2pres(place.altitude_m))
    extra = pvlib.irradiance.get_extra_radiation(times).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):  # at night the model divides by the sun's height
        sky = pvlib.clearsky.ineichen(zenith, absolute, np.full(len(times), TURBIDITY), place.altitude_m, extra)
    return pd.DataFrame(
        {
            "zenith": zenith,
            "azimuth": sun["azimuth"].to_numpy(),
            "ghi": np.nan_to_num(np.asarray(sky["ghi"], dtype=float)),
            "extra": extra,
        }
    )


def weather_forecasts(
    district: District,
    weather: Mapping[str, Forecast],
    measured: Mapping[str, Floats],
    whole: Calendar,
    known: int,
    target: Calendar,
    issued_at: datetime,
    sky: pd.DataFrame,
) -> dict[str, Forecast]:
    """A forecast of every weather point over `target`, the service's where it has one.

    `measured` are past values by point on the calendar `whole`, known before slot `known`; `sky` is the clear sky over
    `whole`.
    """
    made = {}
    for quantity, point in weather_points(district).items():
        usual = _usual(point, quantity, measured.get(point), whole, known, target, issued_at, sky)
        given = weather.get(point)
        if given is None:
            made[point] = replace(usual, fallback="no weather forecast for this point")
        elif given.issued_at > issued_at:
            made[point] = replace(usual, fallback="the weather forecast was issued after this plan")
        else:
            made[point] = _carried_on(given, usual)
    return made


def _carried_on(given: Forecast, usual: Forecast) -> Forecast:
    """The service's forecast on our slots; where it ends, its last departure from the usual fades out."""
    if given.slots == usual.slots:
        return given
    step = given.slots.minutes * 60
    begin = int(given.slots.start.timestamp())
    middles = begin + step / 2 + step * np.arange(given.slots.count)
    ours = usual.slots.minutes * 60
    seconds = int(usual.slots.start.timestamp()) + ours / 2 + ours * np.arange(usual.slots.count)
    inside = (seconds >= begin) & (seconds < begin + step * given.slots.count)
    if not inside.any():
        return replace(usual, fallback="the weather forecast does not reach the horizon")
    after_h = np.maximum(seconds - (begin + step * given.slots.count), 0) / 3600
    fade = np.exp(-after_h / MEMORY_H)
    parts = []
    for key in ("low", "median", "high"):
        values, base = getattr(given, key), getattr(usual, key)
        ours_now = np.interp(seconds, middles, values)
        last = np.flatnonzero(inside)[-1]
        departure = ours_now[last] - base[last] if not usual.point.endswith(IRRADIANCE) else 0.0
        parts.append(np.where(inside, ours_now, base + departure * fade))
    low, median, high = np.sort(np.stack(parts), axis=0)
    missing_h = float((~inside).sum()) * usual.slots.hours
    model, fallback = given.model, ""
    if missing_h > 0:
        model = f"{given.model}, {missing_h:.2g} h carried on"
    if missing_h > CARRIED_H:
        fallback = f"the weather forecast ends {missing_h:.0f} h before the horizon"
    return Forecast(usual.point, given.issued_at, usual.slots, low, median, high, model, fallback)


def _usual(
    point: str,
    quantity: str,
    measured: Floats | None,
    whole: Calendar,
    known: int,
    target: Calendar,
    issued_at: datetime,
    sky: pd.DataFrame,
) -> Forecast:
    past = np.full(whole.slots.count, np.nan)
    if measured is not None:
        past[:known] = measured[:known]
    if quantity == IRRADIANCE:
        low, median, high = _usual_sun(past, whole, known, target, sky)
    else:
        low, median, high = _usual_value(quantity, past, whole, known, target)
    return Forecast(point, issued_at, target.slots, low, median, high, model="climatology and the last days")


def _usual_sun(
    past: Floats, whole: Calendar, known: int, target: Calendar, sky: pd.DataFrame
) -> tuple[Floats, Floats, Floats]:
    """Clear sky times the clearness of the last days: its quantiles where three days are known."""
    ghi = sky["ghi"].to_numpy()
    day = whole.local // whole.per_day
    seen = np.isfinite(past) & (ghi > 50) & (np.arange(len(past)) < known)
    recent = sorted(set(day[seen].tolist()))[-RECENT_DAYS:]
    shares = [past[seen & (day == d)].sum() / ghi[seen & (day == d)].sum() for d in recent]
    q = np.quantile(shares, [0.1, 0.5, 0.9]) if len(shares) >= 3 else np.array(USUAL_CLEARNESS)
    q = np.clip(q, 0.05, 1.05)
    clear = ghi[-target.slots.count :]
    return clear * min(q[0], USUAL_CLEARNESS[0] + 0.15), clear * q[1], clear * max(q[2], 0.95)


def _usual_value(
    quantity: str, past: Floats, whole: Calendar, known: int, target: Calendar
) -> tuple[Floats, Floats, Floats]:
    kind = next(k for k in (OUTDOOR, HUMIDITY, WIND, SEAWATER) if k.name == quantity)
    everywhere = _climatology(quantity, whole)
    begin = whole.slots.count - target.slots.count
    usual = everywhere[begin:]
    departure = (past - everywhere)[max(known - whole.per_day, 0) : known]
    departure = departure[np.isfinite(departure)]
    lead_h = (np.arange(begin, whole.slots.count) - known + 1) * whole.slots.hours
    if len(departure):
        of_day, latest = departure.mean(), departure[-max(len(departure) // 12, 1) :].mean()
        usual = usual + of_day * np.exp(-lead_h / MEMORY_H) + (latest - of_day) * np.exp(-lead_h / LATEST_H)
        spread = kind.spread + kind.spread_per_day * np.sqrt(np.maximum(lead_h, 0) / 24)
    else:
        spread = np.full(len(usual), kind.spread + 1.6 * kind.spread_per_day)
    low, median, high = (np.clip(usual + k * spread, kind.lowest, kind.highest) for k in (-1, 0, 1))
    return low, median, high


def _climatology(quantity: str, calendar: Calendar) -> Floats:
    if quantity == OUTDOOR.name:
        turn = 2 * math.pi * (calendar.hour - 15.2) / 24  # warmest after 15 h on the wall clock
        return _by_month(OUTDOOR_C, calendar) + _by_month(SWING_K, calendar) / 2 * np.cos(turn)
    if quantity == SEAWATER.name:
        return _by_month(SEAWATER_C, calendar)
    return np.full(calendar.slots.count, {HUMIDITY.name: 0.70, WIND.name: 4.0}[quantity])


def _by_month(values: tuple[float, ...], calendar: Calendar) -> Floats:
    """Monthly means as a course over the year, each in the middle of its month."""
    middles = (np.arange(12) + 0.5) * 365.25 / 12
    return np.asarray(np.interp(calendar.year_day, middles, values, period=365.25))
