"""A generated Marseille year: sun, clouds, temperature, wind, humidity and the sea, minute by minute.

Every value is a function of (seed, instant) alone: noise is hashed from the number of its knot, never drawn in
sequence, so any date may be asked in any order and midnight is no seam.

Monthly temperatures are those of Marseille-Marignane. They agree within 0.6 K with the whole-degree monthly means
that climatestotravel.com prints for Marseille (January 7.2, July 24.8 degC as means of the day; 2 860 h of sun a
year); their decimals were not checked against the 1991-2020 normals of Météo-France. Spread and memory of the days
(standard deviation 2.4 K, correlation 0.8 from one day to the next) are those of the measured daily means of
Provence-Alpes-Côte d'Azur 2016-2023 (ODRE, temperature-quotidienne-regionale). Seawater by month:
wassertemperatur.co, raised a little because the operators of the Marseille seawater loops name up to 28 degC. Mistral
on about a hundred days a year (Lonely Planet). Assumptions: turbidity, how cloud is spread over days and minutes,
depth and duration of upwelling, dew point.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Self

import numpy as np
import pandas as pd
import pvlib
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from ems.assets import Loop, WeatherStation
from ems.district import District, Place
from ems.series import Floats, Forecast
from ems.slots import Slots, as_utc

DAY = 1440  # minutes
KEPT_DAYS = 64

# Marseille-Marignane, January to December (see above), degC.
COLDEST_C = (3.3, 3.6, 6.3, 9.0, 12.8, 16.4, 19.0, 18.9, 15.6, 12.4, 7.4, 4.5)
WARMEST_C = (11.5, 12.7, 16.0, 18.6, 22.8, 27.0, 30.1, 29.9, 25.5, 20.5, 15.1, 11.9)
SEAWATER_C = (13.4, 13.0, 13.2, 14.2, 16.4, 19.8, 22.6, 23.4, 21.6, 19.2, 16.6, 14.6)
CLOUDINESS = (0.46, 0.42, 0.39, 0.40, 0.36, 0.28, 0.20, 0.22, 0.31, 0.42, 0.47, 0.48)  # mean cover (assumption)

DAY_MEAN_K = 2.4  # standard deviation of a day's mean, with the mistral
SYNOPTIC_K = 2.1  # standard deviation of the weather of the day, without the mistral
SYNOPTIC_MEMORY = 0.8  # from one day to the next
MISTRAL_FROM = 1.0  # in standard deviations of its index: it blows for about one sixth of the time
MISTRAL_FULL = 2.2
MISTRAL_COLD_K = 6.0
UPWELLING_MEMORY = 0.65  # of the cold water, from one day to the next
UPWELLING_K = (0.5, 0.5, 0.6, 1.2, 3.0, 5.0, 6.5, 7.0, 5.5, 3.0, 1.2, 0.6)  # after a day of full mistral (assumption)


@dataclass(frozen=True)
class WeatherMinutes:
    """One value per minute, at its beginning. Irradiances close: ghi = dhi + dni x cos(zenith)."""

    outdoor_c: Floats
    humidity_share: Floats
    wind_m_per_s: Floats
    ghi_w_per_m2: Floats
    dni_w_per_m2: Floats
    dhi_w_per_m2: Floats
    seawater_c: Floats

    def part(self, first: int, last: int) -> WeatherMinutes:
        """Minutes `first` to `last`, half-open."""
        return WeatherMinutes(**{f.name: getattr(self, f.name)[first:last] for f in fields(self)})


class Weather:
    """The weather of one place. `station` and `loop` are the assets whose points a forecast is for."""

    def __init__(
        self, place: Place, seed: int, *, station: str = "station/weather", loop: str = "station/loop"
    ) -> None:
        self.place = place
        self.seed = seed
        self.station = station
        self.loop = loop
        self._days: OrderedDict[int, tuple[WeatherMinutes, Floats]] = OrderedDict()

    @classmethod
    def of(cls, district: District, seed: int) -> Self:
        """The weather of a district, on its own weather station and loop."""
        station = next(iter(district.of(WeatherStation)), "station/weather")
        return cls(district.place, seed, station=station, loop=next(iter(district.of(Loop)), "station/loop"))

    def minutes(self, start: datetime, count: int) -> WeatherMinutes:
        """The weather of `count` minutes from the minute that `start` lies in."""
        return self._stretch(start, count)[0]

    def clear_sky(self, start: datetime, count: int) -> Floats:
        """Global horizontal irradiance without clouds, W/m2, of the same minutes."""
        return self._stretch(start, count)[1]

    def forecast(self, issued_at: datetime, slots: Slots) -> dict[str, Forecast]:
        """What a weather service would have said at `issued_at`: the truth, and an error that grows with lead time.

        Deterministic per seed and hour of issue; two thirds of the error stay the same all day, as successive runs of
        a real service share theirs. Clouds are known as means of three hours only.
        """
        issued_at = as_utc(issued_at)
        per_slot = slots.minutes
        around = 90  # minutes on both sides, for the mean of three hours
        start = slots.start - pd.Timedelta(minutes=around)
        truth, clear = self._stretch(start, around * 2 + slots.count * per_slot)

        def mean(values: Floats) -> Floats:
            inner = values[around : around + slots.count * per_slot]
            return np.asarray(inner.reshape(slots.count, per_slot).mean(axis=1))

        lead_h = np.maximum((np.array([s.timestamp() for s in slots]) - issued_at.timestamp()) / 3600, 0.0)
        growth = np.sqrt(lead_h / 24)
        target = (np.array([s.timestamp() for s in slots]) // 60).astype(np.int64)
        hour = int(issued_at.timestamp()) // 3600

        def error(stream: int) -> Floats:
            """A smooth unit error over the target time, normal with standard deviation 1."""
            of_day = _wander(self.seed, 1000 + stream + 16 * (hour // 24), target, 420)
            of_hour = _wander(self.seed, 1008 + stream + 16 * hour, target, 420)
            return np.asarray(0.8 * of_day + 0.6 * of_hour)

        window = np.ones(2 * around + 1)
        smooth = np.convolve(truth.ghi_w_per_m2, window, "same") / np.maximum(np.convolve(clear, window, "same"), 1)
        clear_slots = mean(clear)
        index = mean(smooth)
        index_sigma = 0.06 + 0.11 * growth

        def around_median(name: str, median: Floats, sigma: Floats, low: float, high: float | Floats) -> Forecast:
            at = [np.clip(median + k * sigma, low, high) for k in (-1.2816, 0.0, 1.2816)]
            return Forecast(name, issued_at, slots, at[0], at[1], at[2], model="weather service")

        outdoor_sigma = 0.4 + 0.8 * growth
        wind = mean(truth.wind_m_per_s)
        wind_sigma = (0.10 + 0.15 * growth) * wind + 0.5
        humidity_sigma = 0.03 + 0.05 * growth
        sea_sigma = 0.1 + 0.4 * growth
        made = [
            around_median(f"{self.station}/outdoor_temperature_c",
                          mean(truth.outdoor_c) + outdoor_sigma * error(0), outdoor_sigma, -30, 50),
            around_median(f"{self.station}/irradiance_w_per_m2",
                          clear_slots * np.clip(index + index_sigma * error(1), 0.05, 1.05),
                          clear_slots * (index_sigma + 0.02), 0, 1.1 * clear_slots),
            around_median(f"{self.station}/humidity_share",
                          mean(truth.humidity_share) + humidity_sigma * error(2), humidity_sigma, 0.05, 1),
            around_median(f"{self.station}/wind_m_per_s", wind + wind_sigma * error(3), wind_sigma, 0, 60),
            around_median(f"{self.loop}/seawater_temperature_c",
                          mean(truth.seawater_c) + sea_sigma * error(4), sea_sigma, 8, 32),
        ]  # fmt: skip
        return {f.point: f for f in made}

    def _stretch(self, start: datetime, count: int) -> tuple[WeatherMinutes, Floats]:
        first = int(as_utc(start).timestamp()) // 60
        days = range(first // DAY, (first + count - 1) // DAY + 1)
        parts = [self._day(d) for d in days]
        offset = first - days[0] * DAY
        whole = WeatherMinutes(
            **{
                f.name: np.concatenate([getattr(weather, f.name) for weather, _ in parts])
                for f in fields(WeatherMinutes)
            }
        )
        clear = np.concatenate([clear for _, clear in parts])
        return whole.part(offset, offset + count), clear[offset : offset + count]

    def _day(self, day: int) -> tuple[WeatherMinutes, Floats]:
        """One UTC day, kept for a while because plant, forecast and PV all ask for it."""
        if day not in self._days:
            self._days[day] = self._generate(np.arange(day * DAY, (day + 1) * DAY))
            if len(self._days) > KEPT_DAYS:
                self._days.popitem(last=False)
        self._days.move_to_end(day)
        return self._days[day]

    def _generate(self, minutes: NDArray[np.int64]) -> tuple[WeatherMinutes, Floats]:
        seed = self.seed
        coldest, warmest = _by_month(COLDEST_C, minutes), _by_month(WARMEST_C, minutes)

        mistral = _mistral(seed, minutes)
        cover_of_day = _synoptic(seed, 2, minutes, 0.55)
        typical = ndtri(_by_month(CLOUDINESS, minutes)) * 1.45
        cover = ndtr(typical + 0.85 * cover_of_day + 0.5 * _wander(seed, 3, minutes, 180)) * (1 - 0.85 * mistral)

        # Temperature: the normal of the day, its course, the weather of the day, and the mistral's cold. The course
        # has no mean, and the mistral is counted from its own mean, so that monthly means stay those of the table.
        solar_hour = (minutes % DAY) / 60 + self.place.longitude_deg / 15
        swing = (warmest - coldest) * (1.22 - 0.65 * cover) * (1 - 0.3 * mistral)
        slow_c = (
            (coldest + warmest) / 2
            + SYNOPTIC_K * _synoptic(seed, 1, minutes, SYNOPTIC_MEMORY)
            - MISTRAL_COLD_K * (mistral - MISTRAL_MEAN)
        )
        outdoor_c = slow_c + swing * _course(solar_hour) + 0.2 * _wander(seed, 4, minutes, 20)

        dew_c = (
            slow_c - 5.5 - 7 * (mistral - MISTRAL_MEAN) + 1.8 * _synoptic(seed, 5, minutes, 0.6) + 2 * (cover - 0.35)
        )
        humidity = np.clip(_vapour_hpa(np.minimum(dew_c, outdoor_c)) / _vapour_hpa(outdoor_c), 0.12, 1.0)

        breeze = 2.2 * np.clip(np.sin(math.pi * (solar_hour - 8) / 12), 0, None) * (1 - mistral)
        steady = 2.4 + 0.9 * _wander(seed, 6, minutes, 300) + breeze + 16.5 * mistral
        wind = np.maximum(steady * (1 + 0.10 * _wander(seed, 7, minutes, 4)), 0.1)

        ghi_clear, dni_clear, cos_zenith = self._clear(minutes)
        # Cloud overhead: the share of minutes under cloud is the cover, with edges of a few minutes.
        passing = (
            0.5 * _wander(seed, 8, minutes, 5)
            + 0.7 * _wander(seed, 9, minutes, 23)
            + 0.5 * _wander(seed, 10, minutes, 90)
        )
        overhead = np.clip(0.5 + (ndtri(np.clip(cover, 1e-4, 1 - 1e-4)) - passing) / 0.5, 0, 1)
        edge = 0.18 * cover * (1 - cover) * (1 - overhead)  # light from clouds beside the sun
        ghi = ghi_clear * (1 - overhead * (0.45 + 0.35 * cover) + edge)
        dni = dni_clear * (1 - overhead) ** 1.2 * (1 - 0.1 * cover)
        dni = np.where(cos_zenith > 0.01, np.minimum(dni, 0.92 * ghi / np.maximum(cos_zenith, 0.01)), 0.0)
        dhi = ghi - dni * np.maximum(cos_zenith, 0)

        warm = _by_month(SEAWATER_C, minutes) + 0.7 * _synoptic(seed, 11, minutes, 0.9)
        depth = _by_month(UPWELLING_K, minutes)
        sea = np.clip(warm + depth * (0.35 - _upwelling(seed, minutes)), 12.0, 28.0)

        return WeatherMinutes(outdoor_c, humidity, wind, ghi, dni, dhi, sea), ghi_clear

    def _clear(self, minutes: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """Clear-sky ghi and dni, W/m2, and the cosine of the sun's zenith: pvlib's ephemeris and Ineichen's model.

        Turbidity (Linke) runs from 2.9 in winter to 3.9 in summer (assumption). Reckoned every five minutes.
        """
        knots = np.arange(minutes[0], minutes[-1] + 6, 5)
        times = pd.DatetimeIndex(pd.to_datetime(knots * 60, unit="s", utc=True))
        sun = pvlib.solarposition.ephemeris(times, self.place.latitude_deg, self.place.longitude_deg)
        zenith = sun["apparent_zenith"].to_numpy()
        season = 2 * math.pi * (times.day_of_year.to_numpy() - 15) / 365.25
        mass = pvlib.atmosphere.get_relative_airmass(zenith)
        absolute = pvlib.atmosphere.get_absolute_airmass(mass, pvlib.atmosphere.alt2pres(self.place.altitude_m))
        extra = pvlib.irradiance.get_extra_radiation(times).to_numpy()
        turbidity = 3.4 - 0.5 * np.cos(season)
        with np.errstate(divide="ignore", invalid="ignore"):  # at night the model divides by the sun's height
            sky = pvlib.clearsky.ineichen(zenith, absolute, turbidity, self.place.altitude_m, extra)
        ghi = np.nan_to_num(np.asarray(sky["ghi"], dtype=float))
        dni = np.nan_to_num(np.asarray(sky["dni"], dtype=float))
        cosine = np.cos(np.radians(zenith))
        return (
            np.interp(minutes, knots, ghi),
            np.interp(minutes, knots, dni),
            np.interp(minutes, knots, cosine),
        )


# Noise that belongs to an instant


def _uniform(seed: int, stream: int, index: NDArray[np.int64]) -> Floats:
    """A number in (0, 1) that belongs to (seed, stream, index): the finaliser of splitmix64 (Steele et al., 2014)."""
    with np.errstate(over="ignore"):
        x = index.astype(np.int64).view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x += np.uint64((seed * 0xD1B54A32D192ED03 + stream * 0x8CB92BA72F3D8DD7) % 2**64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        x ^= x >> np.uint64(31)
    return np.asarray(((x >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53)


def _normal(seed: int, stream: int, index: NDArray[np.int64]) -> Floats:
    return np.asarray(ndtri(_uniform(seed, stream, index)))


def _between(knot_values: Floats, place: Floats) -> Floats:
    """Knots joined smoothly: no kink, and never beyond the two neighbours. `place` counts from the first knot."""
    left = np.minimum(place.astype(np.int64), len(knot_values) - 2)
    share = place - left
    share = share * share * (3 - 2 * share)
    return np.asarray(knot_values[left] * (1 - share) + knot_values[left + 1] * share)


def _wander(seed: int, stream: int, minutes: NDArray[np.int64], every: int) -> Floats:
    """Smooth noise of mean 0 and standard deviation 1 whose knots lie `every` minutes."""
    first = int(minutes[0]) // every
    knots = np.arange(first, int(minutes[-1]) // every + 2)
    place = minutes / every - first
    share = place - np.floor(place)
    share = share * share * (3 - 2 * share)
    return np.asarray(_between(_normal(seed, stream, knots), place) / np.sqrt(share**2 + (1 - share) ** 2))


def _synoptic(seed: int, stream: int, minutes: NDArray[np.int64], memory: float) -> Floats:
    """Noise of standard deviation about 1 that remembers the days before by the factor `memory`.

    An autoregression written as the sum of its past shocks, cut where they no longer count, so that a day does not
    depend on where one began.
    """
    days, place = _day_knots(minutes)
    reach = math.ceil(math.log(0.01) / math.log(memory))
    weights = memory ** np.arange(reach + 1)
    shocks = _normal(seed, stream, np.arange(days[0] - reach, days[-1] + 1))
    return _between(np.convolve(shocks, weights, "valid") / math.sqrt(float((weights**2).sum())), place)


def _day_knots(minutes: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    first = int(minutes[0]) // DAY
    return np.arange(first, int(minutes[-1]) // DAY + 2), np.asarray(minutes / DAY - first)


def _strength(index: Floats) -> Floats:
    return np.asarray(np.clip((index - MISTRAL_FROM) / (MISTRAL_FULL - MISTRAL_FROM), 0, 1))


def _mistral(seed: int, minutes: NDArray[np.int64]) -> Floats:
    """How hard the mistral blows, 0 to 1."""
    return _strength(1.03 * _synoptic(seed, 0, minutes, 0.55))


def _mean_strength() -> float:
    """The mean of the mistral's strength over a normal index."""
    index = ndtri((np.arange(10_000) + 0.5) / 10_000)
    return float(_strength(index).mean())


MISTRAL_MEAN = _mean_strength()


def _upwelling(seed: int, minutes: NDArray[np.int64]) -> Floats:
    """How much deep water the mistral has brought up: 0, to about 1.3 after days of it; days to go away."""
    days, place = _day_knots(minutes)
    reach = 10
    quarters = np.arange((days[0] - reach) * 4, days[-1] * 4 + 1) * (DAY // 4)
    strength = _mistral(seed, quarters)[:-1].reshape(-1, 4).mean(axis=1)
    level = np.convolve(strength, UPWELLING_MEMORY ** np.arange(reach), "valid")
    return _between(1.3 * np.tanh(level / 1.3), place)


# The year and the day


def _by_month(values: tuple[float, ...], minutes: NDArray[np.int64]) -> Floats:
    """Monthly values as a smooth course over the year, each standing in the middle of its month."""
    year = 365.2425 * DAY
    place = (minutes % year) / year * 12 - 0.5  # 1970-01-01 was a first of January
    around = np.array([*values[-2:], *values, *values[:2]])
    left = np.floor(place).astype(np.int64)
    s = place - left
    a, b, c, d = (around[left + k] for k in (1, 2, 3, 4))
    return np.asarray(b + 0.5 * s * (c - a + s * (2 * a - 5 * b + 4 * c - d + s * (3 * (b - c) + d - a))))


def normal_outdoor_c(slots: Slots) -> Floats:
    """The long-term mean of outdoor temperature at each slot's beginning, degC, without the course of the day."""
    minutes = np.array([int(at.timestamp()) // 60 for at in slots], dtype=np.int64)
    return (_by_month(COLDEST_C, minutes) + _by_month(WARMEST_C, minutes)) / 2


def _course(solar_hour: Floats) -> Floats:
    """The course of a clear day's temperature, of mean 0 and one from lowest to highest; warmest after 14 h."""
    turn = 2 * math.pi * (solar_hour - 14.2) / 24
    return np.asarray((np.cos(turn) + 0.2 * np.cos(2 * turn + 0.6)) / 2.05)


def _vapour_hpa(temperature_c: Floats) -> Floats:
    """Saturation vapour pressure over water, hPa (Magnus, coefficients of Sonntag 1990)."""
    return np.asarray(6.112 * np.exp(17.62 * temperature_c / (243.12 + temperature_c)))
