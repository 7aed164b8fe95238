"""Cars and bicycles: sessions drawn per day; some leave early, arrive empty, or do not wake after a pause.

Habits are assumptions: by day the car park belongs to the offices, in the evening to the dwellings; a shared car goes
out once or twice a day and comes back needing what it drove.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ems.assets import BikeRoom, ChargePoint, Feeder
from ems.assets.charging import VOLTAGE_V
from ems.series import Floats
from ems.simulate.plant.chance import chance
from ems.simulate.plant.day import MINUTES, Day

HOURS = 1 / 60
SLEEPS_SHARE = 0.08  # of cars that do not wake after a pause
PAUSE_MINUTES = 10
BIKE_KW = 0.12
FREE, WAITING, CHARGING, FULL, FAULT = range(5)


@dataclass(frozen=True)
class Stay:
    """One car at one charge point; minutes since the epoch."""

    point: int
    arrives: int
    leaves: int  # as it will really leave
    announced: int  # as it said it would leave
    needed_kwh: float
    most_a: float
    sleeps: bool


def stays_of(day: Day, points: Sequence[ChargePoint], seed: int) -> list[Stay]:
    """The cars that arrive on a day, by minute of arrival."""
    draw = chance(seed, "cars", day.number)
    start = day.number * MINUTES - day.utc_offset_minutes
    stays: list[Stay] = []

    def stay(k: int, arrives_h: float, hours: float, needed_kwh: float) -> None:
        point = points[k]
        arrives = start + int(arrives_h * 60)
        announced = arrives + max(int(hours * 60), 20)
        early = draw.random() < 0.07
        leaves = (
            arrives + int((announced - arrives) * draw.uniform(0.3, 0.8))
            if early
            else announced + int(draw.normal(0, 12))
        )
        most = 32.0 if draw.random() < 0.5 else 16.0
        stays.append(
            Stay(
                k,
                arrives,
                max(leaves, arrives + 15),
                announced,
                needed_kwh,
                min(most, point.maximum_current_a),
                bool(draw.random() < SLEEPS_SHARE),
            )
        )

    def need() -> float:
        empty = draw.random() < 0.06
        return float(draw.uniform(40, 60)) if empty else float(np.clip(draw.gamma(3.0, 5.0), 3, 45))

    for k, point in enumerate(points):
        if point.shared_car_kwh > 0:
            hour = draw.uniform(9, 12)
            for _ in range(int(draw.choice([1, 1, 2]))):
                back = hour + draw.uniform(1.5, 4.5)
                following = back + draw.uniform(1.5, 5.0)
                last = following > 21
                until = 24 + 9 - back if last else following - back
                stay(k, back, until - 0.2, float(np.clip(draw.gamma(3.0, 3.0), 2, 0.85 * point.shared_car_kwh)))
                hour = following
                if last:
                    break
            continue
        if draw.random() < (0.6 if day.working else 0.15):
            arrives = draw.normal(8.9, 0.7) if day.working else draw.uniform(10, 15)
            stay(k, arrives, min(draw.normal(8.3, 1.3), 17.3 - arrives) if day.working else draw.uniform(1, 2), need())
        if draw.random() < 0.5:
            arrives = float(np.clip(draw.normal(19.0, 1.0), 17.6, 22.5))
            stay(k, arrives, 24 + draw.normal(7.8, 0.6) - arrives, need())
    stays.sort(key=lambda s: s.arrives)
    return stays


# Cars that give back (assumptions): their battery, how full they want to leave, what they never give, the round trip.
TWO_WAY_CAR_KWH, TWO_WAY_READY_SHARE, TWO_WAY_RESERVE_SHARE, TWO_WAY_EFFICIENCY = 50.0, 0.8, 0.2, 0.86


class ChargePoints:
    """All charge points with whatever stands at them."""

    def __init__(self, points: Sequence[ChargePoint], feeders: Sequence[Feeder], seed: int) -> None:
        n = len(points)
        self.points, self.seed, self.count = points, seed, n
        names = [f.name for f in feeders]
        self.feeder = np.array([names.index(p.feeder) for p in points], dtype=np.int64)
        self.of_feeder = np.zeros((len(feeders), n))
        self.of_feeder[self.feeder, np.arange(n)] = 1
        self.feeder_limit_kw = np.array([f.limit_kw for f in feeders])
        self.kw_per_a = np.array([p.phases for p in points]) * VOLTAGE_V / 1000
        self.minimum_a = np.array([p.minimum_current_a for p in points])
        self.limit_a = np.array([p.fail_safe_current_a for p in points])
        self.give_a = np.zeros(n)
        self.two_way = np.array([p.give_back_current_a > 0 for p in points], dtype=bool)
        self.stored_kwh = np.zeros(n)  # of cars that tell it
        self.plugged = np.zeros(n, dtype=bool)
        self.needed_kwh = np.zeros(n)
        self.asked_kwh = np.zeros(n)
        self.session_kwh = np.zeros(n)
        self.most_a = np.zeros(n)
        self.leaves = np.zeros(n, dtype=np.int64)
        self.announced = np.zeros(n, dtype=np.int64)  # minutes since the epoch
        self.sleeps = np.zeros(n, dtype=bool)
        self.asleep = np.zeros(n, dtype=bool)
        self.began = np.zeros(n, dtype=bool)
        self.paused = np.zeros(n)
        self.power_kw = np.zeros(n)
        self.current_a = np.zeros(n)
        self._none = np.zeros(n)
        self.delivered_kwh = np.zeros(n)
        self.missing_kwh = np.zeros(n)  # at departure, over all sessions
        self.sessions = 0
        self.not_ready = 0
        self._coming: list[Stay] = []
        self._next_change = 0
        self._prepared = 0

    def prepare(self, day: Day) -> None:
        """The day's cars; those of a day that has begun already find their way in at the next step."""
        if day.number == self._prepared:
            return
        self._prepared = day.number
        self._coming += stays_of(day, self.points, self.seed)
        self._coming.sort(key=lambda s: s.arrives)
        self._next_change = 0

    def _arrive(self, stay: Stay, minute: int) -> None:
        k = stay.point
        if self.plugged[k] or stay.leaves <= minute:
            return  # taken: it drives on; or gone before the world began
        self.plugged[k] = True
        self.needed_kwh[k] = self.asked_kwh[k] = stay.needed_kwh
        # Here since before the world began: charged as its socket would have by itself.
        hours = max(minute - stay.arrives, 0) / 60
        had = min(stay.needed_kwh, hours * float(self.limit_a[k] * self.kw_per_a[k]))
        self.needed_kwh[k] -= had
        self.session_kwh[k] = had
        self.stored_kwh[k] = max(TWO_WAY_READY_SHARE * TWO_WAY_CAR_KWH - self.needed_kwh[k], 1.0)
        self.most_a[k], self.leaves[k], self.announced[k] = stay.most_a, stay.leaves, stay.announced
        self.sleeps[k], self.asleep[k], self.began[k], self.paused[k] = stay.sleeps, False, False, 0
        self.sessions += 1

    def step(self, minute: int) -> None:
        """One minute, counted since the epoch."""
        if minute >= self._next_change:
            for k in np.flatnonzero(self.plugged & (self.leaves <= minute)):
                self.plugged[k] = False
                self.missing_kwh[k] += self.needed_kwh[k]
                self.not_ready += bool(self.needed_kwh[k] > 0.05 * self.asked_kwh[k])
                self.needed_kwh[k] = 0.0
            while self._coming and self._coming[0].arrives <= minute:
                self._arrive(self._coming.pop(0), minute)
            leaving = int(self.leaves[self.plugged].min()) if self.plugged.any() else minute + MINUTES
            self._next_change = min(leaving, self._coming[0].arrives if self._coming else minute + MINUTES)
        gives = self.two_way & self.plugged & ~self.asleep & (self.give_a >= self.minimum_a)
        wants = self.plugged & (self.needed_kwh > 0) & ~self.asleep & ~gives
        if not wants.any() and not gives.any():
            self.power_kw, self.current_a = self._none, self._none
            return
        allowed = np.minimum(self.limit_a, self.most_a)
        taper = np.minimum(1.0, 0.25 + self.needed_kwh / 4.0)  # slower at the end
        current = np.where(wants & (allowed >= self.minimum_a), np.maximum(allowed * taper, self.minimum_a), 0.0)
        power = np.minimum(current * self.kw_per_a, self.needed_kwh / HOURS)
        if gives.any():
            power = power - self._give_back(gives)
        total = self.of_feeder @ power
        if (total > self.feeder_limit_kw).any():  # the feeder's own load management
            power = power * np.minimum(self.feeder_limit_kw / np.maximum(total, 1e-9), 1)[self.feeder]
        self.power_kw, self.current_a = power, power / self.kw_per_a
        energy = np.maximum(power, 0) * HOURS
        lost = np.maximum(-power, 0) * HOURS / TWO_WAY_EFFICIENCY
        self.needed_kwh = self.needed_kwh - energy + lost
        self.stored_kwh = self.stored_kwh + energy - lost
        self.session_kwh = self.session_kwh + energy
        self.delivered_kwh += energy
        charging = power > 0
        self.began |= charging
        self.paused = np.where(wants & ~charging, self.paused + 1, 0)
        self.asleep = (self.asleep | (self.sleeps & self.began & (self.paused >= PAUSE_MINUTES))) & self.plugged

    def _give_back(self, gives: NDArray[np.bool_]) -> Floats:
        """Power given back, kW, positive: what is asked, as far as the car's own reserve allows."""
        spare = np.maximum(self.stored_kwh - TWO_WAY_RESERVE_SHARE * TWO_WAY_CAR_KWH, 0) * TWO_WAY_EFFICIENCY / HOURS
        asked = np.minimum(self.give_a, self.most_a) * self.kw_per_a
        return np.where(gives, np.minimum(asked, spare), 0.0)

    def state(self) -> Floats:
        """0 free, 1 plugged and waiting, 2 charging, 3 full."""
        full = self.needed_kwh <= 1e-6
        return np.where(~self.plugged, FREE, np.where(self.power_kw > 0, CHARGING, np.where(full, FULL, WAITING))) * 1.0


class BikeRooms:
    """Rooms of bicycles: most come in the evening and charge what they rode."""

    def __init__(self, rooms: Sequence[BikeRoom], seed: int) -> None:
        n = len(rooms)
        self.rooms, self.seed = rooms, seed
        self.places = np.array([float(r.places) for r in rooms])
        self.limit_kw = np.array([r.limit_kw for r in rooms])
        self.device_limit_kw = np.full(n, 20.0)
        self.needed_kwh = np.zeros(n)
        self.power_kw = np.zeros(n)
        self.bikes = np.zeros(n)
        self._bikes = np.zeros((MINUTES, n))
        self._arrives_kwh = np.zeros((MINUTES, n))

    def prepare(self, day: Day) -> None:
        draw = chance(self.seed, "bikes", day.number)
        self._arrives_kwh[:] = 0.0
        for k, places in enumerate(self.places):
            share = np.interp(day.local_hour, [0, 6.5, 9.5, 16, 19.5, 24], [0.85, 0.85, 0.35, 0.3, 0.8, 0.85])
            self._bikes[:, k] = np.round(places * share * (1 if day.working else 1.05)).clip(0, places)
            count = int(draw.poisson(places * (0.55 if day.working else 0.3)))
            local = np.clip(draw.normal(18.3, 1.6, count), 8, 23.5) * 60
            at = day.utc_minute(local.astype(np.int64))
            self._arrives_kwh[:, k] += np.bincount(at, np.clip(draw.gamma(3.0, 0.1, count), 0.05, 0.6), MINUTES)

    def step(self, minute: int) -> None:
        self.bikes = self._bikes[minute]
        self.needed_kwh = self.needed_kwh + self._arrives_kwh[minute]
        charging = np.minimum(np.ceil(self.needed_kwh / 0.25), self.places)
        limit = np.minimum(self.limit_kw, self.device_limit_kw)
        self.power_kw = np.minimum(np.minimum(charging * BIKE_KW, limit), self.needed_kwh / HOURS)
        self.needed_kwh = self.needed_kwh - self.power_kw * HOURS
