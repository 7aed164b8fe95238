"""The simulated plant of a whole district: it moves by whole minutes, is commanded, and shows what its devices show."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from ems.district import District
from ems.points import point_name, split_point
from ems.series import Floats
from ems.simulate.plant.day import MINUTES, WeatherSource
from ems.simulate.plant.front import Front, UnknownPointError
from ems.simulate.plant.panels import panels
from ems.simulate.plant.physics import HOURS, Physics
from ems.simulate.plant.truth import Truth, truth_of
from ems.simulate.weather import Weather
from ems.slots import as_utc

WARM_UP_HOURS = 10
# The energy register that belongs to a power reading.
REGISTER_OF = {"power_kw": "energy_kwh", "heat_power_kw": "heat_energy_kwh"}


class ReplaySource(Protocol):
    """What the plant needs of a replay: which points, and their values minute by minute (NaN is missing)."""

    @property
    def points(self) -> tuple[str, ...]: ...
    def minutes(self, point: str, start: datetime, count: int) -> Floats: ...


class World:
    """The district as it really is, and as its devices show it.

    `index` gives each wired point its place in `values`: what its device shows now, imperfections included, NaN when it
    has no value. A replayed point shows the measured series instead; its energy register counts that series, and where
    it is the power of a base load, an array or a dwelling, the physics draws just as much. Nothing here asks a clock:
    `now` moves by `advance`.
    """

    def __init__(
        self,
        district: District,
        *,
        start: datetime,
        seed: int = 0,
        weather: WeatherSource | None = None,
        replay: ReplaySource | None = None,
        warm_up_hours: float = WARM_UP_HOURS,
    ) -> None:
        """Begin at the whole minute `start`, in a state that some hours before it left.

        Raises UnknownPointError for a wired or replayed quantity that the plant does not know.
        """
        start = as_utc(start)
        if start.second or start.microsecond:
            raise ValueError(f"start is {start.isoformat()}; the plant moves in whole minutes, give one")
        self.district, self.seed, self.replay = district, seed, replay
        self.weather: WeatherSource = Weather(district.place, seed) if weather is None else weather
        self._physics = Physics(district, seed, self.weather)
        self._front = Front(district, panels(self._physics), self._physics.homes, self._physics.zones, seed)
        self._replayed: dict[str, Floats] = {}  # today's series
        self._replayed_kwh: dict[str, float] = {}
        for point in replay.points if replay is not None else ():
            if point not in self.index:
                raise UnknownPointError(f"{point} is replayed but not wired; name a wired point")
        self._physics.settle(int(start.timestamp()) // 60 - int(warm_up_hours * 60))
        self._begin_day(self._physics.minute // MINUTES)
        self._run(int(warm_up_hours * 60))
        self._front.start_counters()
        self._replayed_kwh = dict.fromkeys(self._replayed_kwh, 0.0)
        self._show()

    @property
    def index(self) -> dict[str, int]:
        return self._front.index

    @property
    def values(self) -> Floats:
        return self._front.values

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._physics.minute * 60, tz=UTC)

    @property
    def truth(self) -> Truth:
        """What is really so now; see ems/simulate/plant/truth.py."""
        return truth_of(self._physics)

    def advance(self, until: datetime) -> None:
        """Let the whole minutes until `until` pass. Raises ValueError for an instant before now."""
        minutes = int(as_utc(until).timestamp()) // 60 - self._physics.minute
        if minutes < 0:
            raise ValueError(
                f"until is {until.isoformat()}, before now ({self.now.isoformat()}); the plant moves forward only"
            )
        self._run(minutes)
        self._show()

    def command(self, point: str, value: float) -> None:
        """What the device applies from now on, release values included; it is shown at once.

        Raises UnknownPointError for a point nobody can command, ValueError outside the device's own limits.
        """
        self._front.command(point, value)

    def _run(self, minutes: int) -> None:
        physics = self._physics
        for _ in range(minutes):
            number, minute = divmod(physics.minute, MINUTES)
            if physics.day is None or physics.day.number != number:
                self._begin_day(number)
            physics.step()
            for point, series in self._replayed.items():
                if math.isfinite(series[minute]):
                    self._replayed_kwh[point] += abs(float(series[minute])) * HOURS

    def _begin_day(self, number: int) -> None:
        if self.replay is not None:
            start = datetime.fromtimestamp(number * 86400, tz=UTC)
            self._replayed = {point: self.replay.minutes(point, start, MINUTES) for point in self.replay.points}
            for point in self._replayed:
                self._replayed_kwh.setdefault(point, 0.0)
        self._physics.begin_day(number, self._replayed)

    def _show(self) -> None:
        self._front.show()
        values, minute = self.values, (self._physics.minute - 1) % MINUTES
        for point, series in self._replayed.items():
            values[self.index[point]] = series[minute]
            building, asset, quantity = split_point(point)
            register = point_name(building, asset, REGISTER_OF.get(quantity, ""))
            if register in self.index:
                counter, place = self._front.counter_at(register)
                total = np.array([counter.start[place] + self._replayed_kwh[point]])
                values[self.index[register]] = counter.shown(total)[0]
