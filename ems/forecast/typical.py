"""Climatology: what a load of some use takes when nothing has been measured yet.

Shapes by local hour for working days and the rest, each scaled so that a year of 251 working and 114 other days comes
to the asset's design energy. All shapes are assumptions; the race leaves them behind as soon as there is history.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ems.assets import BaseLoad, Dwelling, Tank, Zone
from ems.forecast.calendar import SUNDAY, WORKDAY, Calendar
from ems.series import Floats

WATER_KWH_PER_M3_K = 1.163
HOT_WATER_C = 60.0
HOME_YEARLY_KWH_PER_M2 = 27.0  # specific electricity of a recent dwelling: 25-30 (design study, 3.2)
WORKING_DAYS, OTHER_DAYS = 251, 114

Curve = tuple[tuple[float, float], ...]  # (local hour, relative level), linear in between, round the clock

_OFFICE: Curve = ((0, 30), (6, 30), (9, 115), (12, 120), (13, 110), (17, 115), (20, 45), (22, 32))
_IDLE: Curve = ((0, 28), (12, 33))
_RETAIL: Curve = ((0, 30), (6, 32), (9.5, 135), (19, 140), (21, 40))
_CARE: Curve = ((0, 20), (6, 22), (8, 120), (11.5, 185), (13, 130), (17, 100), (19, 25))
_SHAPES: dict[str, tuple[Curve, Curve]] = {
    "offices": (_OFFICE, _IDLE),
    "shops": (_RETAIL, _RETAIL),
    "hotel": (((0, 60), (4, 48), (8, 130), (11, 95), (15, 90), (20, 145), (23, 80)),) * 2,
    "creche": (_CARE, ((0, 20),)),
    "school": (_CARE, ((0, 20),)),
    "landlord": (((0, 75), (4, 70), (8, 115), (12, 105), (15, 100), (19, 140), (23, 85)),) * 2,
    "parking": (((0, 70), (4, 62), (8, 130), (12, 103), (18, 138), (23, 78)),) * 2,
    "plant-room": (((0, 100),),) * 2,
    "home": (
        ((0, 60), (4, 45), (8, 100), (10, 80), (12.5, 105), (15, 80), (20, 185), (22, 130)),
        ((0, 65), (4, 45), (9, 100), (12.5, 130), (15, 105), (20, 180), (22, 130)),
    ),
}
_DRAW: Curve = ((0, 25), (3, 10), (7.5, 240), (10, 130), (15, 75), (20, 185), (22.5, 70))
_HOTEL_DRAW: Curve = ((0, 30), (4, 15), (7.5, 320), (10, 140), (15, 50), (20, 170), (23, 60))
_PRESENT: Curve = ((0, 1.15), (7, 1.15), (10, 0.8), (16, 0.8), (20, 1.1))
_HOTEL_PRESENT: Curve = ((0, 0.9), (7, 0.9), (12, 0.3), (17, 0.4), (22, 0.9))
COLD_SWING_K = 4.0  # mains water is coldest in early February and warmest in early August (assumption)
WINTER_DRAW_SHARE = 0.12  # more hot water in January, less in July
NIGHT_GAIN_SHARE = 0.12  # of a zone's gains when nobody is there
PEOPLE_GAIN_SHARE = 0.4  # of a home's gains; the rest are its appliances


def load_kw(use: str, yearly_kwh: float, calendar: Calendar) -> Floats:
    """Typical power of an uncontrolled load, kW."""
    working, other = _SHAPES[use]
    mean = (WORKING_DAYS * _mean(working) + OTHER_DAYS * _mean(other)) / (WORKING_DAYS + OTHER_DAYS)
    level = np.where(calendar.kind == WORKDAY, _at(working, calendar.hour), _at(other, calendar.hour))
    return np.asarray(yearly_kwh / 8760 * level / mean)


def base_load_kw(load: BaseLoad, calendar: Calendar) -> Floats:
    return load_kw(load.use, load.yearly_kwh, calendar)


def homes_kw(dwellings: list[Dwelling], calendar: Calendar) -> Floats:
    """Typical private electricity of all dwellings of a building, kW."""
    return load_kw("home", HOME_YEARLY_KWH_PER_M2 * sum(d.surface_m2 for d in dwellings), calendar)


def draw_kw(tank: Tank, use: str, calendar: Calendar) -> Floats:
    """Typical useful heat drawn from a tank, kW: its design volume at 60 degC."""
    curve = _HOTEL_DRAW if use == "hotel" else _DRAW
    mean_kw = tank.daily_draw_m3 * WATER_KWH_PER_M3_K * (HOT_WATER_C - tank.cold_water_c) / 24
    season = 1 + WINTER_DRAW_SHARE * np.cos(2 * math.pi * (calendar.year_day - 15) / 365.25)
    return np.asarray(mean_kw * season * _at(curve, calendar.hour) / _mean(curve))


def cold_water_c(tank: Tank, calendar: Calendar) -> Floats:
    """Temperature of the mains water: the tank's yearly mean and a season."""
    return np.asarray(tank.cold_water_c - COLD_SWING_K * np.cos(2 * math.pi * (calendar.year_day - 35) / 365.25))


def zone_gains_kw(zone: Zone, calendar: Calendar, closed: NDArray[np.bool_] | bool = False) -> Floats:
    """Heat of people and equipment of a large zone, kW: its design mean while open, a base when shut."""
    full_kw = zone.fabric.gains_w_per_m2 * zone.surface_m2 / 1000
    holiday = (calendar.kind == SUNDAY) & (calendar.weekday != 7)
    if zone.use == "hotel":
        present = _at(_HOTEL_PRESENT, calendar.hour)
    else:
        opening = zone.opening
        comes = np.clip((calendar.hour - opening.from_hour) / 1.2, 0, 1)
        goes = np.clip((opening.until_hour - calendar.hour) / 1.5, 0, 1)
        present = comes * goes * np.isin(calendar.weekday, opening.days)
    present = np.where(closed | (holiday & zone.closed_on_holidays), 0.0, present)
    return np.asarray(full_kw * (NIGHT_GAIN_SHARE + (1 - NIGHT_GAIN_SHARE) * present))


def homes_gains_kw(dwellings: list[Dwelling], calendar: Calendar, electricity_share: Floats) -> Floats:
    """Heat of people and appliances in all dwellings of a building, kW.

    `electricity_share` is their private electricity relative to its typical mean: appliances warm as they are used.
    """
    design_kw = sum(d.fabric.gains_w_per_m2 * d.surface_m2 for d in dwellings) / 1000
    present = _at(_PRESENT, calendar.hour) / _mean(_PRESENT)
    return np.asarray(design_kw * (PEOPLE_GAIN_SHARE * present + (1 - PEOPLE_GAIN_SHARE) * electricity_share))


def homes_mean_kw(dwellings: list[Dwelling]) -> float:
    return HOME_YEARLY_KWH_PER_M2 * sum(d.surface_m2 for d in dwellings) / 8760


def _at(curve: Curve, hour: Floats) -> Floats:
    return np.asarray(np.interp(hour, [h for h, _ in curve], [v for _, v in curve], period=24))


def _mean(curve: Curve) -> float:
    return float(_at(curve, (np.arange(96) + 0.5) / 4).mean())
