"""The simulated plant of a whole district, minute by minute, and what its devices show.

Within a minute: people and timetables, then substations, rooms, tanks, plant rooms, the loop, electricity, meters. Heat
crosses from one part to the next as one figure that both of them book, so that balances close at every node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ems.assets import (
    Asset,
    BaseLoad,
    Battery,
    BikeRoom,
    ChargePoint,
    Feeder,
    Loop,
    Photovoltaic,
    Plant,
    Substation,
    Supply,
    Tank,
    WeatherStation,
    Zone,
)
from ems.district import BacnetObject, District
from ems.points import dimension, point_name, split_point
from ems.series import Floats
from ems.simulate.plant.cars import BikeRooms, ChargePoints
from ems.simulate.plant.chance import chance, spread
from ems.simulate.plant.day import MINUTES, Day, WeatherSource, day_of
from ems.simulate.plant.electricity import Arrays, BaseLoads, Batteries
from ems.simulate.plant.heat_pumps import COOLS, OFF, PlantRoom
from ems.simulate.plant.large_zones import LargeZones, sun_on
from ems.simulate.plant.loop import TemperedLoop
from ems.simulate.plant.meters import CLAMP_SHARE, ElectricityMeters, HeatMeters, WaterMeters
from ems.simulate.plant.panel import Counter, Panel
from ems.simulate.plant.people import HomeDay, Residents
from ems.simulate.plant.rooms import Rooms
from ems.simulate.plant.substations import Substations, called
from ems.simulate.plant.tanks import Tanks
from ems.simulate.plant.truth import CarTruth, ElectricTruth, LoopTruth, PlantTruth, TankTruth, Truth, ZoneTruth
from ems.simulate.weather import Weather
from ems.slots import as_utc

HOURS = 1 / 60
WARM_UP_HOURS = 10
WIND_SHARE = 0.015  # more air change per m/s above a breeze
BREEZE_M_PER_S = 4.0
IDLE_PIPE_C = 21.0  # what a sensor shows where no cold is distributed
SIDES = ("heating", "hot_water", "cold")
# The energy register that belongs to a power reading.
REGISTER_OF = {"power_kw": "energy_kwh", "heat_power_kw": "heat_energy_kwh"}


class ReplaySource(Protocol):
    """What the plant needs of a replay: which points, and their values minute by minute (NaN is missing)."""

    @property
    def points(self) -> tuple[str, ...]: ...
    def minutes(self, point: str, start: datetime, count: int) -> Floats: ...


class UnknownPoint(ValueError):
    """A wired or commanded point that the simulated plant does not know."""


class World:
    """The district as it really is.

    `index` gives each wired point its place in `values`: what its device shows now, imperfections included, NaN when it
    has no value. Nothing here asks a clock: `now` moves by `advance`.
    """

    def __init__(
        self, district: District, *, start: datetime, seed: int = 0, weather: WeatherSource | None = None,
        replay: ReplaySource | None = None, warm_up_hours: float = WARM_UP_HOURS,
    ) -> None:  # fmt: skip
        """Begin at the whole minute `start`, in a state that some hours before it left.

        Raises UnknownPoint for a wired quantity that the plant does not know, ValueError for a missing loop.
        """
        start = as_utc(start)
        if start.second or start.microsecond:
            raise ValueError(f"start is {start.isoformat()}; the plant moves in whole minutes, give one")
        self.district, self.seed = district, seed
        self.weather: WeatherSource = Weather(district.place, seed) if weather is None else weather
        self.replay = replay
        self._build(district, seed)
        self._panels = self._all_panels()
        self._wire(district)
        self._minute = int(start.timestamp()) // 60 - int(warm_up_hours * 60)
        self._day: Day | None = None
        self._replayed: dict[str, Floats] = {}
        self._replayed_kwh: dict[str, float] = {}
        self._settle()
        self._run(int(warm_up_hours * 60))
        for panel in self._panels:
            for counter in panel.counters.values():
                counter.start = counter.start - counter.since()
        self._replayed_kwh = {p: 0.0 for p in self._replayed_kwh}
        self._show()

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._minute * 60, tz=UTC)

    def advance(self, until: datetime) -> None:
        """Let the whole minutes until `until` pass. Raises ValueError for an instant before now."""
        minutes = int(as_utc(until).timestamp()) // 60 - self._minute
        if minutes < 0:
            raise ValueError(f"until is {until.isoformat()}, before now ({self.now.isoformat()}); the plant moves forward only")
        self._run(minutes)
        self._show()

    def command(self, point: str, value: float) -> None:
        """What the device applies from now on, release values included. It is shown at once.

        Raises UnknownPoint for a point nobody can command, ValueError outside the device's own limits.
        """
        slot = self._commands.get(point)
        if slot is None:
            raise UnknownPoint(f"{point} cannot be commanded; the plant takes {len(self._commands)} points, all wired with a write block")
        wire = self.district.wires[point]
        write = wire.measure.write
        assert write is not None
        if not (math.isfinite(value) and write.minimum <= value <= write.maximum):
            raise ValueError(f"{point}: {value} lies outside {write.minimum}..{write.maximum}")
        array, place = slot
        array[place] = value
        self.values[self.index[point]] = value

    @property
    def truth(self) -> Truth:
        """What is really so now; see ems/simulate/plant/truth.py."""
        return self._truth()

    # What there is

    def _build(self, district: District, seed: int) -> None:
        dwellings = list(district.dwellings.values())
        zones = list(district.of(Zone).values())
        substations = list(district.of(Substation).values())
        tanks = list(district.of(Tank).values())
        plants = list(district.of(Plant).values())
        loops = list(district.of(Loop).values())
        if len(loops) != 1:
            raise ValueError(f"{district.name} has {len(loops)} loops; the simulated plant has exactly one")
        self.homes = tuple(d.name for d in dwellings)
        self.zones = tuple(z.name for z in zones)
        self.plant_names = tuple(p.name for p in plants)
        self.supplies = tuple(district.of(Supply))
        self.rooms = Rooms(dwellings, zones, substations, seed)
        homes = len(dwellings)

        buildings = [d.building for d in dwellings]
        dwellings_of = np.array([[b == t.building for b in buildings] for t in tanks], dtype=float).reshape(len(tanks), homes)
        daytime = [district.buildings[t.building].use in ("creche", "school", "offices", "shops") for t in tanks]
        self.tanks = Tanks(tanks, self.plant_names, dwellings_of, daytime, seed)
        self.residents = Residents(dwellings, self._tap_shares(dwellings_of), seed)
        # Litres of hot water follow the tank of the building; a dwelling without one has no hot meter reading.
        self.tank_of_home = dwellings_of.argmax(axis=0) if tanks else np.zeros(homes, dtype=np.int64)
        gains = np.array([z.fabric.gains_w_per_m2 * z.surface_m2 / 1000 for z in zones])
        self.large = LargeZones(zones, gains * spread(seed, "large-gains", len(zones), 0.3), seed)
        self.substations = Substations(substations, self.plant_names)
        self.full_flow = self.rooms.of_substation @ self.rooms.flow_kw_per_k
        true = chance(seed, "plants").uniform(0.95, 1.05, (len(plants), 2))
        self.plants = [PlantRoom(p, *true[i]) for i, p in enumerate(plants)]
        self.loop = TemperedLoop(loops[0], 16.0)
        self.loop_name = loops[0].name
        self.loads = BaseLoads(list(district.of(BaseLoad).values()), seed)
        self.arrays = Arrays(list(district.of(Photovoltaic).values()), seed)
        self.batteries = Batteries(list(district.of(Battery).values()), seed)
        self.points = ChargePoints(list(district.of(ChargePoint).values()), list(district.of(Feeder).values()), seed)
        self.bikes = BikeRooms(list(district.of(BikeRoom).values()), seed)
        self.stations = tuple(district.of(WeatherStation))
        n = len(plants)
        self.enable, self.capacity = np.ones(n), np.ones(n)
        self.setpoints = {"heating": np.full(n, 42.0), "hot_water": np.full(n, 66.0), "cold": np.full(n, 7.0)}
        self.plant_heartbeat = np.zeros(n)
        self.loop_setpoint, self.loop_pump = np.full(1, 16.0), np.full(1, 0.6)
        self._air_change = np.ones(self.rooms.count)
        self._setpoint_c = np.full(self.rooms.count, 19.0)
        self.facing = [*(d.orientation for d in dwellings), *("all" for _ in zones)]

        # Every electric device and the supply point it stands behind.
        feeders = district.of(Feeder)
        behind: list[tuple[str, str]] = []
        for kind in (BaseLoad, Photovoltaic, Battery, BikeRoom):
            behind += [(name, asset.supply) for name, asset in district.of(kind).items()]
        behind += [(name, feeders[p.feeder].supply) for name, p in district.of(ChargePoint).items()]
        for asset in [*plants, *substations, *tanks, *loops]:
            behind.append((asset.name, asset.supply))
        self.devices = tuple(name for name, _ in behind)
        self.supply_of = np.array([self.supplies.index(s) for _, s in behind], dtype=np.int64)
        self.behind = np.zeros((len(self.supplies), len(behind)))
        self.behind[self.supply_of, np.arange(len(behind))] = 1
        self.device_kw = np.zeros(len(behind))
        self._device_sums = np.zeros(len(behind))  # over minutes, kW

        subscribed = np.array([s.subscribed_kw for s in district.of(Supply).values()])
        self.meters = ElectricityMeters(
            {
                "supplies": (self.supplies, CLAMP_SHARE / 2, 1800.0 * subscribed),
                "loads": (tuple(b.name for b in self.loads.loads), CLAMP_SHARE, np.array([b.yearly_kwh for b in self.loads.loads])),
                "plants": (self.plant_names, CLAMP_SHARE, np.full(n, 250_000.0)),
                "bikes": (tuple(b.name for b in self.bikes.rooms), CLAMP_SHARE, 60.0 * self.bikes.places),
                "arrays": (tuple(a.name for a in self.arrays.arrays), CLAMP_SHARE, 1350.0 * self.arrays.peak_kw),
                "homes": (self.homes, CLAMP_SHARE, 27.0 * self.residents.surface_m2),
            },
            seed,
        )
        self.heat_meters = HeatMeters(self.homes, 16.0 * self.residents.surface_m2, seed)
        self.water_meters = WaterMeters(self.homes, self.residents.persons, seed)

    def _tap_shares(self, dwellings_of: Floats) -> Floats:
        """Each dwelling's design draw, m3 at 40 degC a day: its building's tank by persons."""
        persons = np.array([max(d.rooms, 1) ** 0.7 for d in self.district.dwellings.values()])
        total = dwellings_of @ persons
        share = self.tanks.tap_m3_per_day / np.maximum(total, 1e-9)
        return np.asarray((dwellings_of.T @ share) * persons)

    # What it shows

    def _all_panels(self) -> list[Panel]:
        rooms, large, tanks, loop = self.rooms, self.large, self.tanks, self.loop
        meters = self.meters
        residents, subs, cars = self.residents, self.substations, self.points
        homes = rooms.homes
        draw = chance(self.seed, "thermostat-steps")
        self.home_offset_k = np.zeros(homes)
        step_k = draw.choice([0.1, 0.2, 0.5], homes, p=[0.5, 0.3, 0.2])
        batteries = tuple(self.district.of(Battery))
        age = chance(self.seed, "battery-age").uniform(400, 900, len(batteries))
        starts = chance(self.seed, "starts").integers(3000, 9000, len(self.plants)).astype(float)

        def plant(read: Callable[[PlantRoom], float]) -> Callable[[], Floats]:
            return lambda: np.array([read(p) for p in self.plants])

        def weather(name: str) -> Callable[[], Floats]:
            return lambda: np.full(len(self.stations), self._weather_now(name))

        return [
            Panel(
                self.homes,
                {
                    "temperature_c": lambda: np.round((rooms.light_c[:homes] + rooms.bias_k[:homes]) / step_k) * step_k,
                    "setpoint_c": lambda: residents.setpoint_c,
                },
                commands={"setpoint_offset_k": self.home_offset_k},
            ),
            meters.panel("homes"),
            self.heat_meters.panel(),
            self.water_meters.panel(),
            Panel(
                self.zones,
                {
                    "temperature_c": lambda: rooms.light_c[homes:] + rooms.bias_k[homes:],
                    "humidity_share": self._indoor_humidity,
                    "co2_ppm": lambda: large.co2_ppm,
                },
                commands={
                    "occupancy_mode": large.mode,
                    "heating_setpoint_c": large.heating_setpoint_c,
                    "cooling_setpoint_c": large.cooling_setpoint_c,
                },
            ),
            Panel(
                tuple(self.district.of(Substation)),
                {
                    "supply_temperature_c": lambda: subs.supply_c,
                    "return_temperature_c": lambda: subs.return_c,
                    "heat_flow_m3_per_h": lambda: subs.flow_m3_per_h,
                    "heat_power_kw": lambda: subs.heat_kw,
                    "pump_on": lambda: subs.pump_on * 1.0,
                    "cold_supply_temperature_c": lambda: np.where(subs.cooled, subs.cold_supply_c, IDLE_PIPE_C),
                    "cold_power_kw": lambda: subs.cold_kw,
                },
                commands={
                    "heating_curve_offset_k": subs.offset_k,
                    "cold_supply_setpoint_c": subs.cold_setpoint_c,
                    "heartbeat_count": subs.heartbeat,
                },
            ),
            Panel(
                tuple(self.district.of(Tank)),
                {
                    "top_temperature_c": lambda: tanks.layers_c[:, 0],
                    "middle_temperature_c": lambda: tanks.layers_c[:, 2:4].mean(axis=1),
                    "bottom_temperature_c": lambda: tanks.layers_c[:, -1],
                    "return_temperature_c": lambda: tanks.riser_c,
                    "mixed_temperature_c": tanks.mixed_c,
                    "charge_power_kw": lambda: tanks.charge_kw,
                    "recirculation_on": lambda: np.ones(tanks.count),
                    "heater_on": lambda: tanks.heating * 1.0,
                },
                commands={"setpoint_c": tanks.setpoint_c, "charge_on": tanks.charge_on, "pasteurisation_on": tanks.pasteurise},
            ),
            meters.panel("plants"),
            Panel(
                self.plant_names,
                {
                    "heating_leaving_c": plant(lambda p: p.node_c["heating"]),
                    "hot_water_leaving_c": plant(lambda p: p.node_c["hot_water"]),
                    "cold_leaving_c": plant(lambda p: p.node_c["cold"]),
                    "loop_entering_c": plant(lambda p: p.loop_entering_c),
                    "loop_leaving_c": plant(lambda p: p.loop_leaving_c),
                    "loop_flow_m3_per_h": plant(lambda p: p.loop_flow_m3_per_h),
                    "heating_power_kw": plant(lambda p: p.made_kw["heating"]),
                    "hot_water_power_kw": plant(lambda p: p.made_kw["hot_water"]),
                    "cold_power_kw": plant(lambda p: p.made_kw["cold"]),
                    "recovered_power_kw": plant(lambda p: p.recovered_kw),
                    "compressors_count": plant(lambda p: float(sum(c.mode != OFF for c in p.circuits))),
                    "fault_on": plant(lambda p: float(p.fault)),
                },
                {
                    "starts_count": Counter(starts, plant(lambda p: float(sum(c.start_count for c in p.circuits)))),
                    "run_h": Counter(starts * 1.8, plant(lambda p: sum(c.run_minutes for c in p.circuits) / 60)),
                },
                {
                    "enable_on": self.enable,
                    "capacity_share": self.capacity,
                    "heating_leaving_setpoint_c": self.setpoints["heating"],
                    "hot_water_leaving_setpoint_c": self.setpoints["hot_water"],
                    "cold_leaving_setpoint_c": self.setpoints["cold"],
                    "heartbeat_count": self.plant_heartbeat,
                },
            ),
            Panel(
                (self.loop_name,),
                {
                    "seawater_temperature_c": lambda: np.array([self._weather_now("seawater_c")]),
                    "temperature_c": lambda: np.array([loop.temperature_c]),
                    "flow_m3_per_h": lambda: np.array([loop.flow_m3_per_h()]),
                    "heat_power_kw": lambda: np.array([loop.sea_kw]),
                },
                commands={"setpoint_c": self.loop_setpoint, "pump_share": self.loop_pump},
            ),
            Panel(
                self.stations,
                {
                    "outdoor_temperature_c": weather("outdoor_c"),
                    "humidity_share": weather("humidity_share"),
                    "irradiance_w_per_m2": weather("ghi_w_per_m2"),
                    "wind_m_per_s": weather("wind_m_per_s"),
                },
            ),
            meters.panel("supplies"),
            meters.panel("loads"),
            Panel(
                meters.assets["arrays"],
                {"power_kw": lambda: meters.shown_kw("arrays")},
                {"energy_kwh": meters.exported("arrays", 1.0)},
                {"limit_share": self.arrays.limit_share},
            ),
            Panel(
                batteries,
                {"power_kw": lambda: self.batteries.power_kw, "stored_kwh": lambda: self.batteries.stored_kwh},
                {
                    "charged_energy_kwh": Counter(age * self.batteries.capacity_kwh, lambda: self.batteries.charged_kwh),
                    "discharged_energy_kwh": Counter(0.9 * age * self.batteries.capacity_kwh, lambda: self.batteries.discharged_kwh),
                },
                {"power_setpoint_kw": self.batteries.setpoint_kw},
            ),
            Panel(
                meters.assets["bikes"],
                {"power_kw": lambda: meters.shown_kw("bikes"), "bikes_count": lambda: self.bikes.bikes},
                {"energy_kwh": meters.imported("bikes")},
                {"power_limit_kw": self.bikes.device_limit_kw},
            ),
            Panel(
                tuple(self.district.of(ChargePoint)),
                {
                    "state_mode": cars.state,
                    "current_a": lambda: cars.current_a,
                    "power_kw": lambda: cars.power_kw,
                    "session_energy_kwh": lambda: cars.session_kwh,
                },
                commands={"current_limit_a": cars.limit_a},
            ),
        ]  # fmt: skip

    def _wire(self, district: District) -> None:
        """Find for every wired point who shows it, and refuse what nobody knows."""
        known: dict[tuple[str, str], tuple[int, str, int]] = {}
        commands: dict[tuple[str, str], tuple[Floats, int]] = {}
        for number, panel in enumerate(self._panels):
            for place, asset in enumerate(panel.assets):
                for quantity in (*panel.readings, *panel.counters, *panel.commands):
                    known[asset, quantity] = (number, quantity, place)
                for quantity, array in panel.commands.items():
                    commands[asset, quantity] = (array, place)
        self.index: dict[str, int] = {point: i for i, point in enumerate(district.wires)}
        self.values: Floats = np.full(len(self.index), np.nan)
        self._commands: dict[str, tuple[Floats, int]] = {}
        places: dict[tuple[int, str], list[tuple[int, int]]] = {}
        self._bias = np.zeros(len(self.index))
        self._step = np.zeros(len(self.index))
        draw = chance(self.seed, "sensors")
        for point, wire in district.wires.items():
            building, short, quantity = split_point(point)
            asset = f"{building}/{short}"
            if (asset, quantity) not in known:
                kind = type(district.assets[asset]).__name__
                can = sorted(q for a, q in known if a == asset)
                raise UnknownPoint(
                    f"{point}: the simulated plant knows no {quantity} of a {kind}; it knows {', '.join(can) or 'none of its quantities'}"
                )
            number, quantity, place = known[asset, quantity]
            places.setdefault((number, quantity), []).append((self.index[point], place))
            if wire.writable:
                if (asset, quantity) not in commands:
                    raise UnknownPoint(f"{point} is wired as writable, but the simulated plant only shows it; remove its write block")
                array, position = commands[asset, quantity]
                self._commands[point] = (array, position)
                assert wire.measure.write is not None
                array[position] = wire.measure.write.release
            elif isinstance(wire.measure, BacnetObject):
                bias = float(draw.normal(0, 0.12))
                if dimension(quantity) == "temperature" and asset not in self.homes and asset not in self.zones:
                    self._bias[self.index[point]] = bias if quantity != "setpoint_c" else 0.0
                self._step[self.index[point]] = wire.measure.resolution if asset not in self.homes else 0.0
        self._layout = [
            (number, quantity, np.array([i for i, _ in pairs]), np.array([k for _, k in pairs]))
            for (number, quantity), pairs in places.items()
        ]
        self._stepped = np.flatnonzero(self._step)
        for point in self.replay.points if self.replay is not None else ():
            if point not in self.index:
                raise UnknownPoint(f"{point} is replayed but not wired; name a wired point")

    def _show(self) -> None:
        """Bring `values` up to date."""
        values = self.values
        for number, quantity, where, place in self._layout:
            panel = self._panels[number]
            if quantity in panel.commands:
                values[where] = panel.commands[quantity][place]
            elif quantity in panel.counters:
                values[where] = panel.counters[quantity].read()[place]
            else:
                values[where] = panel.readings[quantity]()[place]
        values += self._bias
        step = self._step[self._stepped]
        values[self._stepped] = np.round(values[self._stepped] / step) * step
        minute = (self._minute - 1) % MINUTES
        for point, series in self._replayed.items():
            values[self.index[point]] = series[minute]
            register = self._register_of(point)
            if register is not None:
                counter, place = self._counter_at(register)
                total = counter.start[place] + self._replayed_kwh[point]
                values[self.index[register]] = float(counter.shown(np.array([total]))[0])

    def _register_of(self, point: str) -> str | None:
        building, asset, quantity = split_point(point)
        register = REGISTER_OF.get(quantity)
        name = None if register is None else point_name(building, asset, register)
        return name if name in self.index else None

    def _counter_at(self, point: str) -> tuple[Counter, int]:
        building, short, quantity = split_point(point)
        asset = f"{building}/{short}"
        for panel in self._panels:
            if quantity in panel.counters and asset in panel.assets:
                return panel.counters[quantity], panel.assets.index(asset)
        raise UnknownPoint(f"{point} is no counter of the plant")

    def _weather_now(self, name: str) -> float:
        assert self._day is not None
        series: Floats = getattr(self._day.weather, name)
        return float(series[(self._minute - 1) % MINUTES if self._minute % MINUTES else -1])

    def _indoor_humidity(self) -> Floats:
        """Outdoor vapour, a little more where people are, at the room's temperature (Magnus)."""
        outdoor = self._weather_now("outdoor_c")
        vapour = self._weather_now("humidity_share") * _saturation_hpa(np.array([outdoor])) + 2.0 * self.large.occupied
        return np.asarray(np.clip(vapour / _saturation_hpa(self.rooms.light_c[self.rooms.homes :]), 0.05, 1.0))

    # How it moves

    def _settle(self) -> None:
        """States near those that the last days would have left."""
        number = self._minute // MINUTES
        before, today = (day_of(n, self.district.place, self.weather) for n in (number - 1, number))
        self.residents.remember(number)
        self.points.begin(self._minute, before)
        self.points.begin(self._minute, today)
        self._begin_day(number)
        outdoor = float(np.concatenate([before.weather.outdoor_c, today.weather.outdoor_c[: self._minute % MINUTES + 1]]).mean())
        gain = (self._gains + self._sun).mean(axis=0)
        self.large.step(0)
        self.rooms.settle(outdoor, gain, np.concatenate([self.residents.setpoint_c, self.large.heating_c]), self.large.cooling_c)
        self.substations.daily_c = self.substations.felt_c = outdoor
        self.loop.temperature_c = float(np.clip(today.weather.seawater_c[0], self.loop.loop.minimum_c, self.loop.loop.maximum_c))

    def _begin_day(self, number: int) -> None:
        day = day_of(number, self.district.place, self.weather)
        home = self.residents.day(day)
        self.large.prepare(day)
        self.loads.prepare(day)
        self.arrays.prepare(day)
        self.bikes.prepare(day)
        self.points.prepare(day)
        self._replay_day(day, home)
        self.tanks.prepare(day, home.tapped_l)
        self._day, self._home = day, home
        self._gains = np.concatenate([home.gains_kw, self.large.gains()], axis=1)
        sun = sun_on(self.facing, day.facades, self.rooms.aperture_m2)
        sun[:, : self.rooms.homes] *= home.shaded
        self._sun = sun
        sky = day.weather
        self._outdoor: list[float] = sky.outdoor_c.tolist()
        self._sea: list[float] = sky.seawater_c.tolist()
        self._windy: list[float] = (1 + WIND_SHARE * np.maximum(sky.wind_m_per_s - BREEZE_M_PER_S, 0)).tolist()
        self._local_hour: list[float] = day.local_hour.tolist()
        self._turns = list(home.settings)

    def _replay_day(self, day: Day, home: HomeDay) -> None:
        """Measured series of the day; where they are the power of something that is really there, it draws just that."""
        if self.replay is None:
            return
        start = datetime.fromtimestamp(day.number * 86400, tz=UTC)
        loads = {b.name: k for k, b in enumerate(self.loads.loads)}
        arrays = {a.name: k for k, a in enumerate(self.arrays.arrays)}
        homes = {name: k for k, name in enumerate(self.homes)}
        for point in self.replay.points:
            series = self.replay.minutes(point, start, MINUTES)
            self._replayed[point] = series
            self._replayed_kwh.setdefault(point, 0.0)
            building, short, quantity = split_point(point)
            asset = f"{building}/{short}"
            if quantity != "power_kw":
                continue
            if asset in loads:
                column = self.loads.power_kw[:, loads[asset]]
                column[:] = np.where(np.isfinite(series), series, column)
            elif asset in arrays:
                column = self.arrays.possible_kw[:, arrays[asset]]
                column[:] = np.where(np.isfinite(series), np.maximum(-series, 0), column)
            elif asset in homes:
                column = home.power_kw[:, homes[asset]]
                column[:] = np.where(np.isfinite(series), series, column)

    def _run(self, minutes: int) -> None:
        for _ in range(minutes):
            number, minute = divmod(self._minute, MINUTES)
            if self._day is None or self._day.number != number:
                self._begin_day(number)
            self._step_minute(minute)
            self._minute += 1

    def _step_minute(self, minute: int) -> None:
        rooms, subs, tanks, large, home = self.rooms, self.substations, self.tanks, self.large, self._home
        outdoor = self._outdoor[minute]
        homes = rooms.homes
        while self._turns and self._turns[0][0] <= minute:
            _, who, value = self._turns.pop(0)
            self.residents.setpoint_c[who] = value
        if minute % 5 == 0:
            morning = self.residents.airs & (7.4 < self._local_hour[minute] < 7.7)
            rooms.move_windows(home.airing[minute // 5], home.present[minute], morning, outdoor)
            large.step(minute)
        self._air_change[:homes] = self._windy[minute]
        self._air_change[homes:] = large.air_change * self._windy[minute]
        setpoint = self._setpoint_c
        setpoint[:homes] = self.residents.setpoint_c + self.home_offset_k
        setpoint[homes:] = large.heating_c

        heating_c, hot_water_c, cold_c = np.array([[p.node_c[side] for p in self.plants] for side in SIDES])
        subs.prepare(outdoor, heating_c, cold_c)
        rooms.step(
            outdoor, self._gains[minute], self._sun[minute], self._air_change, subs.supply_c, subs.pump_on, subs.cold_supply_c, setpoint,
            large.cooling_c,
        )  # fmt: skip
        flow = rooms.valve * rooms.flow_kw_per_k
        subs.hand_over(rooms.substation_heat_kw, rooms.substation_cold_kw, rooms.of_substation @ flow, self.full_flow)

        tanks.step(minute, hot_water_c)
        tapped = home.tapped_l[minute] * tanks.hot_share[self.tank_of_home]
        self.water_meters.hot_l += tapped
        self.water_meters.cold_l += home.cold_l[minute] + home.tapped_l[minute] - tapped

        self._step_plants(minute)

        self.arrays.step(minute)
        self.batteries.step()
        self.points.step(self._minute)
        self.bikes.step(minute)
        load_kw = self.loads.power_kw[minute]
        plant_kw = np.array([p.compressor_kw + p.pumps_kw for p in self.plants])
        device = np.concatenate(
            [load_kw, self.arrays.power_kw, self.batteries.power_kw, self.bikes.power_kw, self.points.power_kw, plant_kw,
             subs.electric_kw, tanks.electric_kw, [self.loop.pump_kw]]
        )  # fmt: skip
        self.device_kw = device
        self._device_sums += device
        home_kw = home.power_kw[minute]
        self.meters.step(
            np.concatenate([self.behind @ device, load_kw, plant_kw, self.bikes.power_kw, self.arrays.power_kw, home_kw]),
            self._minute,
        )
        due = self.heat_meters.due(self._minute)
        if due.size:
            self.heat_meters.refresh(
                due, rooms.heat_kwh[due], rooms.heat_kw[due], subs.supply_c[rooms.substation[due]], rooms.emitter_c[due], flow[due]
            )
        for point, series in self._replayed.items():
            value = float(series[minute])
            if math.isfinite(value):
                self._replayed_kwh[point] += abs(value) * HOURS

    def _step_plants(self, minute: int) -> None:
        subs, tanks = self.substations, self.tanks
        heat = subs.of_plant @ subs.heat_kw
        cold = subs.of_plant @ subs.cold_kw
        hot_water = np.bincount(tanks.plant, tanks.charge_kw, len(self.plants))
        heat_asks = called(subs.of_plant, subs.pump_on)
        cold_asks = called(subs.of_plant, subs.cold_kw > 0.05)
        hot_asks = np.bincount(tanks.plant, tanks.charging, len(self.plants)) > 0
        entering = self.loop.temperature_c
        net = gross = 0.0
        for k, plant in enumerate(self.plants):
            plant.step(
                self._minute,
                entering,
                {"heating": float(heat[k]), "hot_water": float(hot_water[k]), "cold": float(cold[k])},
                {"heating": bool(heat_asks[k]), "hot_water": bool(hot_asks[k]), "cold": bool(cold_asks[k])},
                {side: float(self.setpoints[side][k]) for side in SIDES},
                bool(self.enable[k] > 0),
                float(self.capacity[k]),
            )
            net += plant.loop_kw
            gross += abs(plant.loop_kw)
        self.loop.setpoint_c, self.loop.pump_share = float(self.loop_setpoint[0]), float(self.loop_pump[0])
        self.loop.step(self._sea[minute], net, gross)

    def _truth(self) -> Truth:
        rooms, tanks, plants, loop, cars = self.rooms, self.tanks, self.plants, self.loop, self.points
        assert self._day is not None

        def per_plant(read: Callable[[PlantRoom], float]) -> Floats:
            return np.array([read(p) for p in plants])

        def sides(read: Callable[[PlantRoom, str], float]) -> Mapping[str, Floats]:
            return {side: np.array([read(p, side) for p in plants]) for side in SIDES}

        minute = (self._minute - 1) % MINUTES
        return Truth(
            outdoor_c=self._weather_now("outdoor_c"),
            seawater_c=self._weather_now("seawater_c"),
            zones=ZoneTruth(
                names=self.homes + self.zones, homes=rooms.homes, surface_m2=rooms.surface_m2, temperature_c=rooms.light_c,
                mass_c=rooms.mass_c, emitter_c=rooms.emitter_c,
                heating_c=np.concatenate([self.residents.setpoint_c + self.home_offset_k, self.large.heating_c]),
                cooling_c=self.large.cooling_c, present=self._home.present[minute], window=rooms.window,
                occupied=self.large.occupied, heat_kw=rooms.heat_kw, cold_kw=rooms.cold_kw, gain_kw=rooms.gain_kw,
                heat_kwh=rooms.heat_kwh, cold_kwh=rooms.cold_kwh, gain_kwh=rooms.gain_kwh, loss_kwh=rooms.loss_kwh,
                neighbour_kwh=rooms.neighbour_kwh, stored_kwh=rooms.stored_kwh(),
            ),
            tanks=TankTruth(
                names=tuple(t.name for t in tanks.tanks), layers_c=tanks.layers_c, return_c=tanks.riser_c,
                charge_kw=tanks.charge_kw, draw_kw=tanks.draw_kw, charge_kwh=tanks.charge_kwh, draw_kwh=tanks.draw_kwh,
                heater_kwh=tanks.heater_kwh, riser_loss_kwh=tanks.riser_loss_kwh, standing_kwh=tanks.standing_kwh,
                unmet_kwh=tanks.unmet_kwh, cool_minutes=tanks.cool_minutes, return_cool_minutes=tanks.return_cool_minutes,
                stored_kwh=tanks.stored_kwh(),
            ),
            plants=PlantTruth(
                names=self.plant_names, node_c=sides(lambda p, s: p.node_c[s]), made_kwh=sides(lambda p, s: p.made_kwh[s]),
                loss_kwh=sides(lambda p, s: p.loss_kwh[s]), stored_kwh=sides(lambda p, s: p.stored_kwh(s)),
                compressor_kw=per_plant(lambda p: p.compressor_kw), compressor_kwh=per_plant(lambda p: p.compressor_kwh),
                pumps_kwh=per_plant(lambda p: p.pumps_kwh), loop_kwh=per_plant(lambda p: p.loop_kwh),
                recovered_kwh=per_plant(lambda p: p.recovered_kwh),
                starts=per_plant(lambda p: float(sum(c.start_count for c in p.circuits))),
                run_h=per_plant(lambda p: sum(c.run_minutes for c in p.circuits) / 60),
            ),
            loop=LoopTruth(
                temperature_c=loop.temperature_c, sea_kwh=loop.sea_kwh, ground_kwh=loop.ground_kwh, plants_kwh=loop.plants_kwh,
                pump_kw=loop.pump_kw, stored_kwh=loop.stored_kwh(),
            ),
            electric=ElectricTruth(
                supplies=self.supplies, supply_kw=self.meters.now_kw("supplies"), import_kwh=self.meters.import_kwh("supplies"),
                export_kwh=self.meters.export_kwh("supplies"), devices=self.devices, supply_of=self.supply_of,
                device_kw=self.device_kw, device_kwh=self._device_sums * HOURS, homes=self.homes, home_kw=self.meters.now_kw("homes"),
                home_kwh=self.meters.import_kwh("homes"), battery_kwh=self.batteries.stored_kwh,
                battery_loss_kwh=self.batteries.loss_kwh, curtailed_kwh=self.arrays.curtailed_kwh,
            ),
            cars=CarTruth(
                names=tuple(p.name for p in cars.points), plugged=cars.plugged, needed_kwh=cars.needed_kwh,
                announced=cars.announced, delivered_kwh=cars.delivered_kwh, missing_kwh=cars.missing_kwh,
                sessions=cars.sessions, not_ready=cars.not_ready,
            ),
        )  # fmt: skip


def _saturation_hpa(temperature_c: Floats) -> Floats:
    return np.asarray(6.112 * np.exp(17.62 * temperature_c / (243.12 + temperature_c)))
