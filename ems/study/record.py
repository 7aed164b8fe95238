"""What really happened in a run, slot by slot: from the plant's truth, never from what a controller believes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ems.assets import Battery, Zone
from ems.district import District
from ems.series import Floats
from ems.simulate.plant.truth import Truth
from ems.slots import Slots
from ems.study.conditions import StagedWorld

SAMPLE_MINUTES = 5
SENSOR_K = 0.5  # what a room sensor may be wrong by: nobody is blamed for it
FLEXING_K = 0.5  # what a home's set point may be undercut by; not in a senior residence
PEOPLE_SHARE = 0.05  # of a large zone's people, from which on it counts as occupied
UNCOOLED_C = 28.0  # above which an uncooled home counts as too hot


@dataclass
class Stock:
    """What the stores hold at one instant, kWh by asset (heat above 0 degC)."""

    battery: dict[str, float]
    cars: dict[str, float]  # what plugged cars still lack, negative
    tank: dict[str, float]
    plant_hot: dict[str, float]  # hot-water circuits and heating buffers
    zone: dict[str, float]


@dataclass
class Record:
    """Energies are kWh per slot, (N, names); temperatures degC at the end of each slot."""

    slots: Slots
    supplies: tuple[str, ...]
    devices: tuple[str, ...]
    zones: tuple[str, ...]
    homes: int
    tanks: tuple[str, ...]
    plants: tuple[str, ...]
    import_kwh: Floats
    export_kwh: Floats
    device_kwh: Floats
    home_kwh: Floats  # private electricity of all homes
    zone_c: Floats
    tank_top_c: Floats
    tank_return_c: Floats
    outdoor_c: Floats
    seawater_c: Floats
    loop_into_plants_kwh: Floats  # (N, plants)
    recovered_kwh: Floats  # (N,)
    heat_kwh: Floats  # into zones, (N,)
    cold_kwh: Floats
    draw_kwh: Floats  # useful hot water
    car_kwh: Floats  # (N,) delivered
    too_cold_k_h: Floats  # per zone, while occupied
    too_hot_k_h: Floats  # per large zone that is cooled, while occupied; homes above 28 degC
    occupied_h: Floats
    totals: dict[str, Floats]  # at the end less at the start, by name
    start: Stock
    end: Stock
    sessions: int
    not_ready: int
    battery_kwh: Floats  # (N,) stored in all batteries
    compressor_kwh: Floats  # (N,)
    made_kwh: dict[str, Floats]  # heat (heating and hot water) and cold out of all plants, (N,)
    setpoints_written: int = 0
    setpoint_changes: dict[str, int] = field(default_factory=dict)  # by kind of asset
    slots_alone: int = 0  # in which no command stood: everything under local control
    turns: int = 0  # of thermostats by residents, away from what they usually ask for


# What is kept of every slot (a year has 35 040 of them): by name, or only its sum.
PER_SLOT = ("import", "export", "device", "plant_loop")
SUMS_PER_SLOT = (
    "home", "recovered", "zone_heat", "zone_cold", "draw", "cars", "compressor", "made_heating", "made_hot_water",
    "made_cold",
)  # fmt: skip


class Recorder:
    """Watches a world: `sample` every five minutes, `close_slot` each quarter-hour."""

    def __init__(self, district: District, world: StagedWorld) -> None:
        self.district, self.world = district, world
        truth = world.truth
        names = truth.zones.names
        self.homes = truth.zones.homes
        large = [district.asset(n, Zone) for n in names[self.homes :]]
        dwellings = [district.dwellings[n] for n in names[: self.homes]]
        bands = [district.comfort[d.use] for d in dwellings]
        self._floor, self._ceiling = np.array([b.floor_c for b in bands]), np.array([b.ceiling_c for b in bands])
        self._flexing = np.array([0.0 if d.use == "senior-home" else FLEXING_K for d in dwellings])
        self._large_low = np.array([z.heating_occupied_c - SENSOR_K for z in large])
        self._large_high = np.array(
            [np.inf if z.cooling_occupied_c is None else z.cooling_occupied_c + SENSOR_K for z in large]
        )
        self._closed_low = np.array([z.heating_unoccupied_c - SENSOR_K for z in large])
        self.too_cold, self.too_hot = np.zeros(len(names)), np.zeros(len(names))
        self.occupied_h = np.zeros(len(names))
        self._rows: dict[str, list[Floats]] = {}
        self._before = _counted(truth)
        self._begin = {k: v.copy() for k, v in self._before.items()}
        self._sessions, self._not_ready = truth.cars.sessions, truth.cars.not_ready
        self._asked, self.turns = world.asked_c.copy(), 0
        self._start = stock(district, truth)
        self._start_at = world.now

    def sample(self) -> None:
        zones, hours = self.world.truth.zones, SAMPLE_MINUTES / 60
        inside = zones.temperature_c
        turned = (self.world.asked_c != self._asked) & (self.world.asked_c != self.world.usual_c)
        self.turns += int(turned.sum())
        self._asked = self.world.asked_c.copy()
        asked = np.clip(self.world.asked_c, self._floor, self._ceiling)
        low = np.maximum(asked - self._flexing, self._floor) - SENSOR_K
        here = zones.present
        self.too_cold[: self.homes] += hours * np.maximum(low - inside[: self.homes], 0) * here
        self.too_hot[: self.homes] += hours * np.maximum(inside[: self.homes] - UNCOOLED_C, 0) * here
        self.occupied_h[: self.homes] += hours * here
        open_now = zones.occupied > PEOPLE_SHARE
        limit = np.where(open_now, self._large_low, self._closed_low)
        self.too_cold[self.homes :] += hours * np.maximum(limit - inside[self.homes :], 0)
        self.too_hot[self.homes :] += hours * np.maximum(inside[self.homes :] - self._large_high, 0) * open_now
        self.occupied_h[self.homes :] += hours * open_now

    def close_slot(self) -> None:
        truth = self.world.truth
        now = _counted(truth)
        row = {name: now[name] - self._before[name] for name in PER_SLOT}
        row |= {name: np.array((now[name] - self._before[name]).sum()) for name in SUMS_PER_SLOT}
        row |= {
            "zone_c": truth.zones.temperature_c.copy(),
            "tank_top_c": truth.tanks.layers_c[:, 0].copy(),
            "tank_return_c": truth.tanks.return_c.copy(),
            "outdoor_c": np.array(truth.outdoor_c),
            "seawater_c": np.array(truth.seawater_c),
            "battery_stored": np.array(truth.electric.battery_kwh.sum()),
        }
        for name, values in row.items():
            self._rows.setdefault(name, []).append(values)
        self._before = now

    def record(self) -> Record:
        """All of it. Call it once, at the end."""
        truth = self.world.truth
        rows = {name: np.array(values, dtype=np.float64) for name, values in self._rows.items()}
        return Record(
            slots=Slots(self._start_at, rows["outdoor_c"].size),
            supplies=truth.electric.supplies,
            devices=truth.electric.devices,
            zones=truth.zones.names,
            homes=self.homes,
            tanks=truth.tanks.names,
            plants=truth.plants.names,
            import_kwh=rows["import"],
            export_kwh=rows["export"],
            device_kwh=rows["device"],
            home_kwh=rows["home"],
            zone_c=rows["zone_c"],
            tank_top_c=rows["tank_top_c"],
            tank_return_c=rows["tank_return_c"],
            outdoor_c=rows["outdoor_c"],
            seawater_c=rows["seawater_c"],
            loop_into_plants_kwh=rows["plant_loop"],
            recovered_kwh=rows["recovered"],
            heat_kwh=rows["zone_heat"],
            cold_kwh=rows["zone_cold"],
            draw_kwh=rows["draw"],
            car_kwh=rows["cars"],
            too_cold_k_h=self.too_cold,
            too_hot_k_h=self.too_hot,
            occupied_h=self.occupied_h,
            totals={name: self._before[name] - self._begin[name] for name in self._begin},
            start=self._start,
            end=stock(self.district, truth),
            sessions=truth.cars.sessions - self._sessions,
            not_ready=truth.cars.not_ready - self._not_ready,
            battery_kwh=rows["battery_stored"],
            compressor_kwh=rows["compressor"],
            turns=self.turns,
            made_kwh={
                "heat": rows["made_heating"] + rows["made_hot_water"],
                "cold": rows["made_cold"],
            },
        )


def _counted(truth: Truth) -> dict[str, Floats]:
    """Everything that counts up, copied."""
    electric, zones, tanks, plants, cars = truth.electric, truth.zones, truth.tanks, truth.plants, truth.cars
    live = {
        "import": electric.import_kwh, "export": electric.export_kwh, "device": electric.device_kwh,
        "home": electric.home_kwh, "curtailed": electric.curtailed_kwh, "battery_loss": electric.battery_loss_kwh,
        "zone_heat": zones.heat_kwh, "zone_cold": zones.cold_kwh,
        "charge": tanks.charge_kwh, "draw": tanks.draw_kwh, "heater": tanks.heater_kwh, "unmet": tanks.unmet_kwh,
        "riser_loss": tanks.riser_loss_kwh, "standing": tanks.standing_kwh, "cool_minutes": tanks.cool_minutes,
        "return_cool_minutes": tanks.return_cool_minutes,
        "compressor": plants.compressor_kwh, "plant_pumps": plants.pumps_kwh, "plant_loop": plants.loop_kwh,
        "recovered": plants.recovered_kwh, "starts": plants.starts,
        "made_heating": plants.made_kwh["heating"], "made_hot_water": plants.made_kwh["hot_water"],
        "made_cold": plants.made_kwh["cold"],
        "cars": cars.delivered_kwh, "missing": cars.missing_kwh,
    }  # fmt: skip
    return {name: np.array(values, dtype=np.float64) for name, values in live.items()}


def stock(district: District, truth: Truth) -> Stock:
    """What all stores hold now."""
    batteries = list(district.of(Battery))
    hot = truth.plants.stored_kwh["heating"] + truth.plants.stored_kwh["hot_water"]
    return Stock(
        battery=dict(zip(batteries, truth.electric.battery_kwh.tolist(), strict=True)),
        cars=dict(zip(truth.cars.names, (-truth.cars.needed_kwh * truth.cars.plugged).tolist(), strict=True)),
        tank=dict(zip(truth.tanks.names, truth.tanks.stored_kwh.tolist(), strict=True)),
        plant_hot=dict(zip(truth.plants.names, hot.tolist(), strict=True)),
        zone=dict(zip(truth.zones.names, truth.zones.stored_kwh.tolist(), strict=True)),
    )
