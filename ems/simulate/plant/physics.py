"""The physics of the whole district, one minute after another.

Within a minute: people and timetables, then substations, rooms, tanks, plant rooms, the loop, electricity, meters. Heat
crosses from one part to the next as one figure that both of them book, so that balances close at every node.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ems.assets import (
    BaseLoad,
    Battery,
    BikeRoom,
    ChargePoint,
    Deferrable,
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
from ems.district import District
from ems.points import split_point
from ems.series import Floats
from ems.simulate.plant.cars import BikeRooms, ChargePoints
from ems.simulate.plant.chance import chance, spread
from ems.simulate.plant.day import MINUTES, Day, WeatherSource, day_of
from ems.simulate.plant.electricity import Arrays, BaseLoads, Batteries
from ems.simulate.plant.heat_pumps import SIDES, PlantRoom
from ems.simulate.plant.large_zones import LargeZones, sun_on
from ems.simulate.plant.loop import TemperedLoop
from ems.simulate.plant.machines import Machines
from ems.simulate.plant.meters import CLAMP_SHARE, ElectricityMeters, HeatMeters, WaterMeters
from ems.simulate.plant.people import HomeDay, Residents
from ems.simulate.plant.rooms import Rooms
from ems.simulate.plant.substations import Substations, called
from ems.simulate.plant.tanks import Tanks

HOURS = 1 / 60
WIND_SHARE = 0.015  # more air change per m/s above a breeze
BREEZE_M_PER_S = 4.0


class Physics:
    """All parts of the district and what flows between them."""

    def __init__(self, district: District, seed: int, weather: WeatherSource) -> None:
        """Raises ValueError when the district has no loop, or several."""
        self.district, self.seed, self.weather = district, seed, weather
        self.minute = 0  # of the next step, since the epoch
        self.day: Day | None = None
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
        dwellings_of = np.array([[b == t.building for b in buildings] for t in tanks], dtype=float).reshape(
            len(tanks), homes
        )
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
        self.machines = Machines(list(district.of(Deferrable).values()), seed)
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
        behind = [(load.name, load.supply) for load in self.loads.loads]
        behind += [(array.name, array.supply) for array in self.arrays.arrays]
        behind += [(name, battery.supply) for name, battery in district.of(Battery).items()]
        behind += [(room.name, room.supply) for room in self.bikes.rooms]
        behind += [(point.name, feeders[point.feeder].supply) for point in self.points.points]
        behind += [(machine.name, machine.supply) for machine in self.machines.machines]
        behind += [(plant.name, plant.supply) for plant in plants]
        behind += [(substation.name, substation.supply) for substation in substations]
        behind += [(tank.name, tank.supply) for tank in tanks]
        behind += [(loop.name, loop.supply) for loop in loops]
        self.devices = tuple(name for name, _ in behind)
        self.supply_of = np.array([self.supplies.index(s) for _, s in behind], dtype=np.int64)
        self.behind = np.zeros((len(self.supplies), len(behind)))
        self.behind[self.supply_of, np.arange(len(behind))] = 1
        self.device_kw = np.zeros(len(behind))
        self._device_sums = np.zeros(len(behind))  # over minutes, kW
        self.home_offset_k = np.zeros(homes)

        subscribed = np.array([s.subscribed_kw for s in district.of(Supply).values()])
        self.meters = ElectricityMeters(
            {
                "supplies": (self.supplies, CLAMP_SHARE / 2, 1800.0 * subscribed),
                "loads": (
                    tuple(b.name for b in self.loads.loads),
                    CLAMP_SHARE,
                    np.array([b.yearly_kwh for b in self.loads.loads]),
                ),
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

    def settle(self, minute: int) -> None:
        """Begin at `minute` (since the epoch) in states near those that the last days would have left."""
        self.minute = minute
        number = self.minute // MINUTES
        before, today = (day_of(n, self.district.place, self.weather) for n in (number - 1, number))
        self.residents.remember(number)
        self.points.prepare(before)
        self.begin_day(number, {})
        outdoor = float(
            np.concatenate([before.weather.outdoor_c, today.weather.outdoor_c[: self.minute % MINUTES + 1]]).mean()
        )
        gain = (self._gains + self._sun).mean(axis=0)
        self.large.step(0, self.rooms.light_c[self.rooms.homes :], outdoor)
        self.rooms.settle(
            outdoor, gain, np.concatenate([self.residents.setpoint_c, self.large.heating_c]), self.large.cooling_c
        )
        self.substations.daily_c = self.substations.felt_c = outdoor
        self.loop.temperature_c = float(
            np.clip(today.weather.seawater_c[0], self.loop.loop.minimum_c, self.loop.loop.maximum_c)
        )

    def begin_day(self, number: int, measured: Mapping[str, Floats]) -> None:
        """Draw the day `number`; `measured` power (kW, by point, NaN unknown) takes the place of what is drawn."""
        day = day_of(number, self.district.place, self.weather)
        home = self.residents.day(day)
        self.large.prepare(day)
        self.loads.prepare(day)
        self.arrays.prepare(day)
        self.bikes.prepare(day)
        self.points.prepare(day)
        self.machines.prepare(day)
        self._measured(measured, home)
        self.tanks.prepare(day, home.tapped_l)
        self.day, self.home = day, home
        self._gains: Floats = np.concatenate([home.gains_kw, self.large.gains()], axis=1)
        sun = sun_on(self.facing, day.facades, self.rooms.aperture_m2)
        sun[:, : self.rooms.homes] *= home.shaded
        self._sun: Floats = sun
        sky = day.weather
        self._outdoor: list[float] = sky.outdoor_c.tolist()
        self._sea: list[float] = sky.seawater_c.tolist()
        self._windy: list[float] = (1 + WIND_SHARE * np.maximum(sky.wind_m_per_s - BREEZE_M_PER_S, 0)).tolist()
        self._local_hour: list[float] = day.local_hour.tolist()
        self._turns = list(home.settings)

    def _measured(self, measured: Mapping[str, Floats], home: HomeDay) -> None:
        """Where a measured series is the power of something that is really there, it draws just that."""
        columns = {name: (self.loads.power_kw, k, 1.0) for k, name in enumerate(b.name for b in self.loads.loads)}
        columns |= {
            name: (self.arrays.possible_kw, k, -1.0) for k, name in enumerate(a.name for a in self.arrays.arrays)
        }
        columns |= {name: (home.power_kw, k, 1.0) for k, name in enumerate(self.homes)}
        for point, series in measured.items():
            building, short, quantity = split_point(point)
            if quantity == "power_kw" and f"{building}/{short}" in columns:
                array, k, sign = columns[f"{building}/{short}"]
                array[:, k] = np.where(np.isfinite(series), np.maximum(sign * series, 0), array[:, k])

    def step(self) -> None:
        """One minute; the day must have begun."""
        minute = self.minute % MINUTES
        rooms, subs, tanks, large, home = self.rooms, self.substations, self.tanks, self.large, self.home
        outdoor = self._outdoor[minute]
        homes = rooms.homes
        while self._turns and self._turns[0][0] <= minute:
            _, who, value = self._turns.pop(0)
            self.residents.setpoint_c[who] = value
        if minute % 5 == 0:
            morning = self.residents.airs & (7.4 < self._local_hour[minute] < 7.7)
            rooms.move_windows(home.airing[minute // 5], home.present[minute], morning, outdoor)
            large.step(minute, rooms.light_c[homes:], outdoor)
        self._air_change[:homes] = self._windy[minute]
        self._air_change[homes:] = large.air_change * self._windy[minute]
        setpoint = self._setpoint_c
        setpoint[:homes] = self.residents.setpoint_c + self.home_offset_k
        setpoint[homes:] = large.heating_c

        heating_c, hot_water_c, cold_c = np.array([[p.node_c[side] for p in self.plants] for side in SIDES])
        subs.prepare(outdoor, heating_c, cold_c)
        rooms.step(
            outdoor,
            self._gains[minute],
            self._sun[minute],
            self._air_change,
            subs.supply_c,
            subs.pump_on,
            subs.cold_supply_c,
            setpoint,
            large.cooling_c,
        )
        flow = rooms.valve * rooms.flow_kw_per_k
        subs.hand_over(rooms.substation_heat_kw, rooms.substation_cold_kw, rooms.of_substation @ flow, self.full_flow)

        tanks.step(minute, hot_water_c)
        tapped = home.tapped_l[minute] * tanks.hot_share[self.tank_of_home]
        self.water_meters.hot_l += tapped
        self.water_meters.cold_l += home.cold_l[minute] + home.tapped_l[minute] - tapped

        self._step_plants(minute)

        self.arrays.step(minute)
        self.batteries.step()
        self.points.step(self.minute)
        self.bikes.step(minute)
        self.machines.step(minute)
        load_kw = self.loads.power_kw[minute]
        plant_kw = np.array([p.compressor_kw + p.pumps_kw for p in self.plants])
        device = np.concatenate(
            [
                load_kw,
                self.arrays.power_kw,
                self.batteries.power_kw,
                self.bikes.power_kw,
                self.points.power_kw,
                self.machines.power_kw,
                plant_kw,
                subs.electric_kw,
                tanks.electric_kw,
                [self.loop.pump_kw],
            ]
        )
        self.device_kw = device
        self._device_sums += device
        home_kw = home.power_kw[minute]
        self.meters.step(
            np.concatenate(
                [self.behind @ device, load_kw, plant_kw, self.bikes.power_kw, self.arrays.power_kw, home_kw]
            ),
            self.minute,
        )
        due = self.heat_meters.due(self.minute)
        if due.size:
            self.heat_meters.refresh(
                due,
                rooms.heat_kwh[due],
                rooms.heat_kw[due],
                subs.supply_c[rooms.substation[due]],
                rooms.emitter_c[due],
                flow[due],
            )
        self.minute += 1

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
                self.minute,
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

    @property
    def device_kwh(self) -> Floats:
        """Energy into each electric device so far."""
        return self._device_sums * HOURS

    def weather_now(self, name: str) -> float:
        """What `name` of the weather was in the minute that has just passed."""
        assert self.day is not None
        series: Floats = getattr(self.day.weather, name)
        return float(series[(self.minute - 1) % MINUTES])
