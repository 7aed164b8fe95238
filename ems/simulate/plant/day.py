"""One UTC day of surroundings, minute by minute: weather, sun and the local calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Protocol
from zoneinfo import ZoneInfo

import holidays
import numpy as np
from numpy.typing import NDArray

from ems.district import Place
from ems.series import Floats
from ems.simulate.plant.sun import on_plane, position

MINUTES = 1440
# In the order of Orientation in ems.assets.zone.
FACING_DEG = {
    "north": 0,
    "north-east": 45,
    "east": 90,
    "south-east": 135,
    "south": 180,
    "south-west": 225,
    "west": 270,
    "north-west": 315,
}


class MinutesOfWeather(Protocol):
    """Arrays with one value per minute."""

    @property
    def outdoor_c(self) -> Floats: ...
    @property
    def humidity_share(self) -> Floats: ...
    @property
    def wind_m_per_s(self) -> Floats: ...
    @property
    def ghi_w_per_m2(self) -> Floats: ...
    @property
    def dni_w_per_m2(self) -> Floats: ...
    @property
    def dhi_w_per_m2(self) -> Floats: ...
    @property
    def seawater_c(self) -> Floats: ...


class WeatherSource(Protocol):
    """What the plant needs of the weather."""

    def minutes(self, start: datetime, count: int) -> MinutesOfWeather: ...


@dataclass(frozen=True)
class Day:
    """One UTC day. Arrays have 1440 values; `facades` is (1440, 8): W/m2 on a wall, in the order of FACING_DEG."""

    number: int  # days since the epoch
    weather: MinutesOfWeather
    elevation: Floats
    azimuth: Floats
    facades: Floats
    local_hour: Floats  # 0..24
    weekday: NDArray[np.int64]  # ISO, 1 is Monday
    holiday: NDArray[np.bool_]  # a public holiday
    working: bool  # at noon: Monday to Friday, no holiday
    local_date: date  # at noon
    utc_offset_minutes: int  # at noon

    @property
    def season(self) -> float:
        """1 in mid-January, -1 in mid-July."""
        return float(np.cos(2 * np.pi * (self.local_date.timetuple().tm_yday - 15) / 365.25))

    def utc_minute(self, local_minutes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The minute of this UTC day at which a local wall clock shows `local_minutes` after midnight."""
        return (local_minutes - self.utc_offset_minutes) % MINUTES


@cache
def _public_holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("FR", years=year))


def day_of(number: int, place: Place, source: WeatherSource) -> Day:
    """The day `number` (since the epoch) at a place."""
    start = datetime.fromtimestamp(number * 86400, tz=UTC)
    weather = source.minutes(start, MINUTES)
    seconds: Floats = number * 86400.0 + 60.0 * np.arange(MINUTES, dtype=np.float64)
    elevation, azimuth = position(seconds, place.latitude_deg, place.longitude_deg)
    facades = np.stack(
        [
            on_plane(elevation, azimuth, weather.ghi_w_per_m2, weather.dni_w_per_m2, weather.dhi_w_per_m2, 90, facing)
            for facing in FACING_DEG.values()
        ],
        axis=1,
    )
    zone = ZoneInfo(place.time_zone)
    hours = [(start + timedelta(hours=h)).astimezone(zone) for h in range(24)]
    local_hour = np.concatenate([h.hour + h.minute / 60 + np.arange(60) / 60 for h in hours]) % 24
    noon = hours[12]
    offset = noon.utcoffset()
    assert offset is not None
    return Day(
        number=number,
        weather=weather,
        elevation=elevation,
        azimuth=azimuth,
        facades=facades,
        local_hour=local_hour,
        weekday=np.repeat([h.isoweekday() for h in hours], 60),
        holiday=np.repeat([h.date() in _public_holidays(h.year) for h in hours], 60),
        working=noon.isoweekday() <= 5 and noon.date() not in _public_holidays(noon.year),
        local_date=noon.date(),
        utc_offset_minutes=int(offset.total_seconds() // 60),
    )
