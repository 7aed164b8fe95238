"""What a scenario does to the plant and its weather: plants that fail, thermostats that are turned, other weather.

Prices of a scenario go into the contracts (`with_periods`), so that planner and bill see the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from ems.assets import Loop, WeatherStation
from ems.district import District
from ems.points import point_name, split_point
from ems.series import Floats, Forecast
from ems.simulate.plant import World
from ems.simulate.plant.chance import chance
from ems.simulate.plant.world import ReplaySource
from ems.simulate.scenario import PlantOut, Scenario, ScenarioError, Shifted, Turned
from ems.simulate.weather import Weather, WeatherMinutes
from ems.slots import Slots

Do = Callable[[], None]


def with_periods(district: District, scenario: Scenario) -> District:
    """The district whose contracts begin with the scenario's own price periods. Raises ScenarioError."""
    contracts = dict(district.contracts)
    for name, periods in scenario.periods.items():
        if name not in contracts:
            raise ScenarioError(f"periods.{name} is no contract of the district; there are {', '.join(contracts)}")
        before = contracts[name]
        twice = sorted(set(periods) & set(before.periods))
        if twice:
            raise ScenarioError(f"periods.{name}.{twice[0]} exists in the contract already; give it another name")
        contracts[name] = before.model_copy(update={"periods": {**periods, **before.periods}})
    return replace(district, contracts=contracts)


class ShiftedWeather(Weather):
    """The generated weather with what the scenario adds to it."""

    shifts: tuple[Shifted, ...] = ()

    @classmethod
    def under(cls, scenario: Scenario, district: District, seed: int) -> ShiftedWeather:
        station = next(iter(district.of(WeatherStation)), "station/weather")
        weather = cls(district.place, seed, station=station, loop=next(iter(district.of(Loop)), "station/loop"))
        weather.shifts = scenario.weather
        return weather

    def minutes(self, start: datetime, count: int) -> WeatherMinutes:
        drawn = super().minutes(start, count)
        if not self.shifts:
            return drawn
        at: Floats = start.timestamp() + 60.0 * np.arange(count, dtype=np.float64)
        outdoor, sea = drawn.outdoor_c.copy(), drawn.seawater_c.copy()
        cleared = np.zeros(count)
        for shift in self.shifts:
            share = _share(shift, at)
            outdoor += shift.outdoor_k * share
            sea = np.clip(sea + shift.seawater_k * share, 8.0, 32.0)
            cleared = np.maximum(cleared, shift.clear_share * share)
        sky = drawn
        if cleared.any():
            # Towards a cloudless sky: the beam that is missing comes back, a tenth of the whole stays diffuse.
            clear = self.clear_sky(start, count)
            ghi = drawn.ghi_w_per_m2 + cleared * np.maximum(clear - drawn.ghi_w_per_m2, 0)
            dhi = drawn.dhi_w_per_m2 + cleared * (np.minimum(0.12 * clear, ghi) - drawn.dhi_w_per_m2)
            known = drawn.ghi_w_per_m2 - drawn.dhi_w_per_m2
            cosine = np.where(known > 1, known / np.maximum(drawn.dni_w_per_m2, 1e-6), np.maximum(clear, 0) / 1000)
            dni = np.where(cosine > 0.03, (ghi - dhi) / np.maximum(cosine, 0.03), drawn.dni_w_per_m2)
            sky = replace(drawn, ghi_w_per_m2=ghi, dhi_w_per_m2=dhi, dni_w_per_m2=np.clip(dni, 0, 1050))
        return replace(sky, outdoor_c=outdoor, seawater_c=sea)

    def forecast(self, issued_at: datetime, slots: Slots) -> dict[str, Forecast]:
        made = super().forecast(issued_at, slots)
        at = np.array([s.timestamp() for s in slots])
        for shift in self.shifts:
            share = shift.foreseen_share * _share(shift, at)
            for point, by in (
                (f"{self.station}/outdoor_temperature_c", shift.outdoor_k * share),
                (f"{self.loop}/seawater_temperature_c", shift.seawater_k * share),
            ):
                made[point] = _moved(made[point], by)
            if shift.clear_share:
                point = f"{self.station}/irradiance_w_per_m2"
                clear = self.clear_sky(slots.start, slots.count * slots.minutes)
                mean = clear.reshape(slots.count, slots.minutes).mean(axis=1)
                made[point] = _moved(made[point], shift.clear_share * share * np.maximum(mean - made[point].median, 0))
        return made


def _share(shift: Shifted, at: Floats) -> Floats:
    """How far a shift is there at instants (epoch s): 0 before, 1 once it has come."""
    ramp_s = 3600.0 * shift.over_hours
    share = np.clip((at - shift.begins.timestamp()) / ramp_s, 0, 1)
    if shift.ends is not None:
        share = share * np.clip((shift.ends.timestamp() - at) / ramp_s, 0, 1)
    return np.asarray(share)


def _moved(forecast: Forecast, by: Floats) -> Forecast:
    return replace(forecast, low=forecast.low + by, median=forecast.median + by, high=forecast.high + by)


class StagedWorld(World):
    """A world in which the scenario's incidents happen at their minute."""

    def __init__(
        self, district: District, scenario: Scenario, *, seed: int, start: datetime | None = None,
        weather: Weather | None = None, replay: ReplaySource | None = None,
    ) -> None:  # fmt: skip
        self._out: dict[str, float] = {}  # points that the plant no longer obeys, and what it was told meanwhile
        begin = scenario.start if start is None else start
        weather = ShiftedWeather.under(scenario, district, seed) if weather is None else weather
        super().__init__(
            district, start=begin, seed=seed, weather=weather, replay=replay, warm_up_hours=scenario.warm_up_hours
        )
        self._events: list[tuple[datetime, Do]] = []
        for out in scenario.plants_out:
            if out.plant not in self._physics.plant_names:
                known = ", ".join(self._physics.plant_names)
                raise ScenarioError(f"plants_out: {out.plant} is no plant of this district; there are {known}")
            self._stage(out, partial(self._stop_plant, out), partial(self._mend_plant, out))
        for k, turned in enumerate(scenario.thermostats):
            who = self._who(turned, k)
            self._stage(turned, partial(self._turn, who, turned), partial(self._turn_back, who))
        self._events.sort(key=lambda event: event[0])

    def _stage(self, stretch: PlantOut | Turned, begin: Do, end: Do) -> None:
        self._events.append((stretch.begins, begin))
        if stretch.ends is not None:
            self._events.append((stretch.ends, end))

    def advance(self, until: datetime) -> None:
        while self._events and self._events[0][0] <= until:
            at, happens = self._events.pop(0)
            if at > self.now:
                super().advance(at - timedelta(seconds=at.second, microseconds=at.microsecond))
            happens()
        super().advance(until)

    def command(self, point: str, value: float) -> None:
        if point in self._out:
            self._out[point] = value
        else:
            super().command(point, value)

    @property
    def asked_c(self) -> Floats:
        """What the residents' thermostats are set to, degC, without our offset."""
        return self._physics.residents.setpoint_c

    @property
    def usual_c(self) -> Floats:
        """What they are set to when nobody has turned them, degC."""
        return self._physics.residents.usual_c

    @property
    def physics(self) -> Any:
        """The parts themselves, for the oracle, who may look."""
        return self._physics

    # Incidents

    def _stop_plant(self, out: PlantOut) -> None:
        building, asset, _ = split_point(out.plant + "/enable_on")
        quantity, value = ("enable_on", 0.0) if out.capacity_share == 0 else ("capacity_share", out.capacity_share)
        point = point_name(building, asset, quantity)
        was = float(self.values[self.index[point]])
        super().command(point, value)
        self._out[point] = was
        self._room(out).fault = out.capacity_share == 0

    def _mend_plant(self, out: PlantOut) -> None:
        for quantity in ("enable_on", "capacity_share"):
            told = self._out.pop(f"{out.plant}/{quantity}", None)
            if told is not None:
                super().command(f"{out.plant}/{quantity}", told)
        self._room(out).fault = False

    def _room(self, out: PlantOut) -> Any:
        return self._physics.plants[self._physics.plant_names.index(out.plant)]

    def _who(self, turned: Turned, number: int) -> Sequence[int]:
        homes = len(self._physics.homes)
        draw = chance(self.seed, f"scenario-thermostats-{number}")
        return sorted(draw.permutation(homes)[: round(turned.share * homes)].tolist())

    def _turn(self, who: Sequence[int], turned: Turned) -> None:
        asked = self._physics.residents.setpoint_c
        asked[list(who)] = np.clip(asked[list(who)] + turned.change_k, 16, 24)

    def _turn_back(self, who: Sequence[int]) -> None:
        residents = self._physics.residents
        residents.setpoint_c[list(who)] = residents.usual_c[list(who)]
