"""Residents: when they are in, what they switch on, tap, open and close, and what they set their thermostat to.

All of it is drawn per day from the seed, so that any day can be had without the days before; only the thermostat has
a memory, which is replayed over some weeks when the world begins. Shares and habits are assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ems.assets import Dwelling
from ems.series import Floats
from ems.simulate.plant.chance import chance, spread
from ems.simulate.plant.day import FACING_DEG, MINUTES, Day

YEARLY_KWH_PER_M2 = 27.0  # specific electricity of a recent dwelling
MEMORY_DAYS = 45
PERSONS_BY_ROOMS = {1: 1.1, 2: 1.5, 3: 2.2, 4: 3.0, 5: 3.6}
TAP_C = 40.0  # what people mix to at the tap
KEPT_SHARE = 0.75  # of private electricity that stays in the flat as heat
MEASURED_PRESENCE_SHARE = 0.78  # of all hours, over a year of these habits
TAPPING_PRESENCE_SHARE = 0.72  # of the hours at which people tap
# How likely something is switched on, or tapped, by local hour.
SWITCHED_BY_HOUR = np.array([2, 1, 1, 1, 1, 2, 6, 9, 6, 4, 4, 6, 9, 7, 4, 3, 4, 6, 9, 12, 12, 9, 6, 4], dtype=float)
TAPPED_BY_HOUR = np.array(
    [1, 0.5, 0.3, 0.3, 0.6, 3, 10, 13, 9, 6, 5, 5, 6, 5, 3, 3, 4, 6, 8, 9, 8, 6, 4, 2], dtype=float
)
LIGHT_BY_HOUR = np.array([3, 2, 1, 1, 1, 2, 5, 6, 5, 4, 4, 5, 6, 5, 4, 4, 5, 6, 8, 10, 11, 10, 8, 5], dtype=float)
LIGHT_BY_HOUR /= LIGHT_BY_HOUR.mean()

# litres at 40 degC, minutes, and how often per person and day
TAPPINGS = ((2.0, 1, 10.0), (10.0, 2, 1.0), (40.0, 5, 0.75))
COLD_TAPPING = (6.0, 1, 10.0)


@dataclass(frozen=True)
class HomeDay:
    """One day of all dwellings; arrays are (1440, dwellings)."""

    present: NDArray[np.bool_]
    power_kw: Floats
    gains_kw: Floats
    tapped_l: Floats  # at 40 degC, each minute
    cold_l: Floats  # cold water alone, each minute
    shaded: Floats  # what shutters leave of the sun, 0..1
    airing: Floats  # (288, dwellings): chance drawn each 5 minutes for windows
    settings: tuple[tuple[int, int, float], ...]  # (minute, dwelling, set point): turns of a thermostat


class Residents:
    """The people of all dwellings."""

    def __init__(self, dwellings: list[Dwelling], tap_m3_per_day: Floats, seed: int) -> None:
        """`tap_m3_per_day`: each dwelling's design draw, as water at 40 degC."""
        n = len(dwellings)
        draw = chance(seed, "residents")
        self.seed = seed
        self.count = n
        self.surface_m2 = np.array([d.surface_m2 for d in dwellings])
        self.persons = np.array([PERSONS_BY_ROOMS.get(d.rooms, 4.0) for d in dwellings])
        senior = np.array([d.use == "senior-home" for d in dwellings])
        self.senior = senior
        self.works = (draw.random(n) < 0.6) & ~senior
        self.electric = np.exp(draw.normal(-0.045, 0.3, n))  # how thrifty: mean 1
        self.shutters = draw.random(n) < 0.6  # closes them on hot days
        self.airs = draw.random(n) < 0.5  # opens a window each morning
        base = np.where(senior, draw.normal(21.2, 0.6, n), draw.normal(19.4, 0.8, n))
        low, high = np.where(senior, 20.0, 18.0), np.where(senior, 22.5, 21.5)
        self.usual_c = np.round(np.clip(base, low, high) * 2) / 2
        self.setpoint_c = self.usual_c.copy()
        mean_electric = YEARLY_KWH_PER_M2 / 8760 * self.surface_m2
        fabric_gains = np.array([d.fabric.gains_w_per_m2 for d in dwellings]) * self.surface_m2 / 1000
        people_kw = np.maximum(fabric_gains - KEPT_SHARE * mean_electric, 0.02) / MEASURED_PRESENCE_SHARE
        self.people_kw = people_kw * spread(seed, "people-gains", n, 0.3)
        self.mean_kw = mean_electric * self.electric
        expected_l = self.persons * sum(litres * often for litres, _, often in TAPPINGS)
        self.tap_scale = tap_m3_per_day * 1000 / expected_l * np.exp(draw.normal(-0.03, 0.25, n))
        self.fridge_minutes = draw.integers(38, 62, n)
        self.fridge_phase = draw.integers(0, 60, n)
        self.facing = np.array([list(FACING_DEG).index(d.orientation) for d in dwellings])

    def remember(self, day_number: int) -> None:
        """Bring thermostats to where the weeks before `day_number` left them."""
        self.setpoint_c = self.usual_c.copy()
        for number in range(day_number - MEMORY_DAYS, day_number):
            for _, home, value in self.settings(number, 0):
                self.setpoint_c[home] = value

    def settings(self, number: int, utc_offset_minutes: int) -> tuple[tuple[int, int, float], ...]:
        """The day's turns of thermostats: 3.5 % of residents turn theirs, half of those who did set it back at 6 h."""
        draw = chance(self.seed, "thermostats", number)
        u, back = draw.random(self.count), draw.random(self.count)
        minute = draw.integers(7 * 60, 22 * 60, self.count)
        kick = draw.choice([-1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0], self.count)
        turns = [
            (int(6 * 60 - utc_offset_minutes) % MINUTES, int(i), float(self.usual_c[i]))
            for i in np.flatnonzero((back < 0.5) & (self.setpoint_c != self.usual_c))
        ]
        turns += [
            (int(minute[i] - utc_offset_minutes) % MINUTES, int(i), float(np.clip(self.usual_c[i] + kick[i], 16, 24)))
            for i in np.flatnonzero(u < 0.035)
        ]
        return tuple(sorted(turns))

    def away(self, number: int, august: bool) -> NDArray[np.bool_]:
        """Who is on a journey that day: some of a week's days, told to nobody; one in six returns a day early."""
        week, weekday = divmod(number, 7)
        draw = chance(self.seed, "journeys", week)
        share = np.where(self.senior, 0.03, 0.30 if august else 0.06)
        leaves = draw.random(self.count) < share
        first = draw.integers(0, 5, self.count)
        last = first + draw.integers(1, 7, self.count) - (draw.random(self.count) < 1 / 6)
        return np.asarray(leaves & (first <= weekday) & (weekday <= last))

    def day(self, day: Day) -> HomeDay:
        """Everything the residents do on one day."""
        draw = chance(self.seed, "homes", day.number)
        present = self._presence(day, draw)
        power = self._power(day, draw, present)
        tapped, cold = self._taps(day, draw, present)
        hot = float(day.weather.outdoor_c.max()) > 25
        warm = float(day.weather.outdoor_c.max()) > 21
        closed = self.shutters & (draw.random(self.count) < (0.9 if hot else 0.4 if warm else 0.03))
        sunny = ((day.local_hour > 9.5) & (day.local_hour < 19))[:, None]
        return HomeDay(
            present=present,
            power_kw=power,
            gains_kw=KEPT_SHARE * power + self.people_kw * present,
            tapped_l=tapped,
            cold_l=cold,
            shaded=np.where(sunny & closed, 0.3, 1.0),
            airing=draw.random((MINUTES // 5, self.count)),
            settings=self.settings(day.number, day.utc_offset_minutes),
        )

    def _presence(self, day: Day, draw: np.random.Generator) -> NDArray[np.bool_]:
        n = self.count
        to_work = self.works & day.working & (draw.random(n) < 0.85)
        leaves_h = np.where(to_work, draw.normal(8.2, 0.7, n), draw.uniform(9, 17, n))
        stays_out_h = np.where(to_work, draw.normal(9.4, 1.2, n), draw.exponential(2.0, n))
        out = day.utc_minute((leaves_h * 60).astype(np.int64))
        for_minutes = np.clip(stays_out_h * 60, 0, 14 * 60).astype(np.int64)
        minute = np.arange(MINUTES)[:, None]
        present = ((minute - out) % MINUTES) >= for_minutes
        present &= ~self.away(day.number, day.local_date.month == 8)
        return np.asarray(present)

    def _power(self, day: Day, draw: np.random.Generator, present: NDArray[np.bool_]) -> Floats:
        n = self.count
        mean = self.mean_kw
        minute = np.arange(MINUTES)[:, None]
        fridge = ((minute + self.fridge_phase) % self.fridge_minutes) < 0.4 * self.fridge_minutes
        light = np.interp(day.local_hour, np.arange(25), np.append(LIGHT_BY_HOUR, LIGHT_BY_HOUR[0]))
        light = light * (1 + 0.25 * day.season) * 0.45
        mood = np.exp(draw.normal(-0.045, 0.3, n))
        power = 0.25 * mean + (0.15 / 0.4) * mean * fridge + light[:, None] * (mean * mood) * present
        # What is switched on: 0.3 of the energy as events of 4 to 40 minutes.
        often = 8 * (self.surface_m2 / 65) ** 0.5
        counts = draw.poisson(often)
        home = np.repeat(np.arange(n), counts)
        begin = day.utc_minute(_minutes_by_hour(draw, SWITCHED_BY_HOUR, home.size))
        length = draw.integers(4, 41, home.size)
        strength = draw.gamma(2.0, 0.5, home.size) * (0.36 * mean * 24 / (often * 22 / 60))[home]
        strength *= present[begin, home]
        end = np.minimum(begin + length, MINUTES)
        steps = np.bincount(begin * n + home, strength, (MINUTES + 1) * n)
        steps -= np.bincount(end * n + home, strength, (MINUTES + 1) * n)
        power += np.cumsum(steps.reshape(MINUTES + 1, n)[:-1], axis=0)
        return np.asarray(np.maximum(power, 0.005))

    def _taps(self, day: Day, draw: np.random.Generator, present: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        season = 1 + 0.12 * day.season
        tapped = np.zeros(MINUTES * self.count)
        for litres, minutes, often in TAPPINGS:
            tapped += self._tapping(day, draw, present, litres * season, minutes, often, self.tap_scale)
        cold = self._tapping(day, draw, present, *COLD_TAPPING, np.ones(self.count))
        return tapped.reshape(MINUTES, self.count), cold.reshape(MINUTES, self.count)

    def _tapping(
        self,
        day: Day,
        draw: np.random.Generator,
        present: NDArray[np.bool_],
        litres: float,
        minutes: int,
        often: float,
        scale: Floats,
    ) -> Floats:
        n = self.count
        counts = draw.poisson(often * self.persons / TAPPING_PRESENCE_SHARE)
        home = np.repeat(np.arange(n), counts)
        begin = day.utc_minute(_minutes_by_hour(draw, TAPPED_BY_HOUR, home.size))
        flow = litres / minutes * draw.gamma(4.0, 0.25, home.size) * scale[home] * present[begin, home]
        at = np.minimum(begin[:, None] + np.arange(minutes), MINUTES - 1) * n + home[:, None]
        return np.bincount(at.ravel(), np.repeat(flow, minutes), MINUTES * n).astype(np.float64)


def _minutes_by_hour(draw: np.random.Generator, weights: Floats, count: int) -> NDArray[np.int64]:
    """`count` local minutes of the day, as likely as the hour's weight says."""
    edges = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
    minutes = np.interp(draw.random(count), edges, np.arange(25) * 60.0)
    return np.minimum(minutes, MINUTES - 1).astype(np.int64)  # type: ignore[no-any-return]
