"""The opponents: what a good building engineer sets up without a planner. In words: docs/opponents.md.

They are planners of the loop like ours, so gate, hygiene, comfort limits and contracts are the same for all. They see
what is measured and today's prices, and forecast nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import yaml

from ems.assets import Battery, ChargePoint, Feeder, Plant, Substation, Supply, Tank, WeatherStation, Zone
from ems.assets.substation import curve_c
from ems.command import Setpoint
from ems.district import District
from ems.market import prices
from ems.optimise import Plan
from ems.public_holidays import is_public_holiday
from ems.series import Forecast, History
from ems.slots import SLOT, Slots
from ems.snapshot import Snapshot
from ems.study.controllers import writable

TUNED = Path(__file__).parent / "tuned.yaml"
DAY_SLOTS = 96
PLUGGED, CHARGING = 1, 2  # states of a charge point


@dataclass(frozen=True)
class RuleBook:
    """The figures of the rules; the defaults are what is usual, `tuned.yaml` holds what a search found.

    Temperatures in degC, hours on the local clock except `noon_*`, which is solar time.
    """

    curve_offset_k: float = 0.0  # shifts every heating curve
    leaving_margin_k: float = 2.0  # plant water above the hottest curve
    tank_full_c: float = 60.0  # while charging off-peak and at noon
    tank_hysteresis_k: float = 5.0
    hot_water_margin_k: float = 6.0  # plant water above the hottest tank
    noon_from_h: float = 11.0
    noon_until_h: float = 14.0
    preheat_h_per_k: float = 0.5  # optimum start: hours before opening per kelvin below the set point
    preheat_most_h: float = 6.0
    stop_early_h: float = 0.0  # optimum stop
    cold_supply_c: float = 8.0
    battery_grid_share: float = 0.9  # filled to this share off-peak
    battery_night_share: float = 0.3  # of its charging limit, off-peak
    evening_from_h: float = 16.0  # cars that come later wait for off-peak
    home_night_k: float = 0.0  # offset of dwellings (not of senior homes) from 23 to 5 h

    @classmethod
    def tuned(cls) -> RuleBook:
        """The rule book that a search on other seeds and weeks found (`ems/study/tune.py`)."""
        return cls(**yaml.safe_load(TUNED.read_text(encoding="utf-8"))["rule_book"])

    def to_json(self) -> dict[str, float]:
        return asdict(self)


class Local:
    """Factory settings: nothing is ever written."""

    def __init__(self, district: District) -> None:
        self.district = district

    async def forecast(
        self, history: History, weather: Mapping[str, Forecast], slots: Slots, issued_at: datetime
    ) -> tuple[dict[str, Forecast], float]:
        return {}, 0.0

    async def plan(
        self, snapshot: Snapshot, forecasts: Mapping[str, Forecast], slots: Slots, previous: Plan | None
    ) -> tuple[Plan, float]:
        wanted = self.setpoints(snapshot, slots.start)
        made = Plan(slots, snapshot.at, "rules", {}, {}, {}, setpoints=tuple(writable(wanted, self.district)))
        return made, 0.0

    def setpoints(self, snapshot: Snapshot, at: datetime) -> Iterator[Setpoint]:
        """What shall stand during the slot that begins at `at`."""
        yield from ()

    def stop(self) -> None:
        return None


class Rules(Local):
    """The rules of docs/opponents.md, with the figures of a rule book."""

    def __init__(self, district: District, book: RuleBook) -> None:
        super().__init__(district)
        self.book = book
        self.zone = ZoneInfo(district.place.time_zone)
        self._charging: dict[str, bool] = {}  # tanks
        self._since: dict[str, datetime] = {}  # cars
        self._released: set[str] = set()  # cars that may charge
        self._cheap: dict[tuple[str, date], tuple[float, float]] = {}

    def setpoints(self, snapshot: Snapshot, at: datetime) -> Iterator[Setpoint]:
        outdoor = next((snapshot.value(f"{s}/outdoor_temperature_c") for s in self.district.of(WeatherStation)), None)
        yield from self._tanks(snapshot, at)
        yield from self._plants(outdoor)
        yield from self._large_zones(snapshot, at)
        yield from self._homes(at)
        yield from self._cars(snapshot, at)
        yield from self._batteries(snapshot, at)

    def is_off_peak(self, supply: str, at: datetime) -> bool:
        """Whether this is among the cheapest hours of the local day; never, at a flat price."""
        low, high = self._day_prices(supply, at)
        return high - low > 1e-6 and self._price(supply, at) <= low + 0.25 * (high - low)

    def _day_prices(self, supply: str, at: datetime) -> tuple[float, float]:
        local = at.astimezone(self.zone)
        key = (supply, local.date())
        if key not in self._cheap:
            midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
            known = self._prices(supply, Slots(midnight, DAY_SLOTS))
            self._cheap[key] = float(known.min()), float(known.max())
        return self._cheap[key]

    def _price(self, supply: str, at: datetime) -> float:
        return float(self._prices(supply, Slots(at, 1))[0])

    def _prices(self, supply: str, slots: Slots) -> np.ndarray[Any, np.dtype[np.float64]]:
        contract = self.district.contracts[self.district.asset(supply, Supply).contract]
        return prices(contract, slots).import_per_kwh

    # Heat

    def _tanks(self, snapshot: Snapshot, at: datetime) -> Iterator[Setpoint]:
        """Filled off-peak and at solar noon; between, only once it is `tank_hysteresis_k` below its set point."""
        book = self.book
        solar_h = (at.hour + at.minute / 60 + self.district.place.longitude_deg / 15) % 24
        noon = book.noon_from_h <= solar_h < book.noon_until_h
        for name, tank in self.district.of(Tank).items():
            top, middle = (snapshot.value(tank.point(f"{w}_temperature_c")) for w in ("top", "middle"))
            coldest = None if top is None or middle is None else min(top, middle + 2.0)
            window = noon or self.is_off_peak(tank.supply, at)
            if coldest is None or coldest < book.tank_full_c - book.tank_hysteresis_k:
                self._charging[name] = True
            elif coldest >= book.tank_full_c - 1.0:
                self._charging[name] = False
            charges = window or self._charging.get(name, False)
            full = min(max(book.tank_full_c, tank.minimum_c + 1.0), tank.maximum_c)
            yield Setpoint(tank.point("setpoint_c"), round(full, 1), "rule: filled off-peak and at noon")
            yield Setpoint(tank.point("charge_on"), float(charges), "rule: filled off-peak and at noon")

    def _plants(self, outdoor_c: float | None) -> Iterator[Setpoint]:
        """Leaving water as warm as the hottest curve needs; both sides of a compressor are used by the plant itself."""
        book = self.book
        for name, plant in self.district.of(Plant).items():
            stations = [s for s in self.district.of(Substation).values() if s.plant == name]
            tanks = [t for t in self.district.of(Tank).values() if t.plant == name]
            yield Setpoint(plant.point("enable_on"), 1.0, "rule: always ready")
            yield Setpoint(plant.point("capacity_share"), 1.0, "rule: no limit")
            if outdoor_c is not None and stations:
                hottest = max(float(curve_c(s, outdoor_c)) for s in stations) + book.curve_offset_k
                leaving = round(hottest + book.leaving_margin_k, 1)
                yield Setpoint(plant.point("heating_leaving_setpoint_c"), leaving, "rule: the hottest curve")
            if tanks:
                leaving = round(book.tank_full_c + book.hot_water_margin_k, 1)
                yield Setpoint(plant.point("hot_water_leaving_setpoint_c"), leaving, "rule: the hottest tank")
            cold = book.cold_supply_c - 1.0
            yield Setpoint(plant.point("cold_leaving_setpoint_c"), cold, "rule: the coldest supply")
        for station in self.district.of(Substation).values():
            yield Setpoint(station.point("heating_curve_offset_k"), book.curve_offset_k, "rule: shifted curve")
            if station.cold_limit_kw > 0:
                yield Setpoint(station.point("cold_supply_setpoint_c"), book.cold_supply_c, "rule: fixed")

    def _large_zones(self, snapshot: Snapshot, at: datetime) -> Iterator[Setpoint]:
        """Optimum start and stop: occupied as long before opening as the room is too cool (or too warm)."""
        for zone in self.district.of(Zone).values():
            inside = snapshot.value(zone.point("temperature_c"))
            too_cold = 0.0 if inside is None else max(zone.heating_occupied_c - inside, 0.0)
            cooled = zone.cooling_occupied_c
            too_hot = 0.0 if inside is None or cooled is None else max(inside - cooled, 0.0)
            lead_h = min(0.25 + self.book.preheat_h_per_k * max(too_cold, too_hot), self.book.preheat_most_h)
            occupied = self._open_between(zone, at + SLOT / 2, lead_h, self.book.stop_early_h)
            mode = 2.0 if occupied else 3.0
            heat = zone.heating_occupied_c if occupied else zone.heating_unoccupied_c
            yield Setpoint(zone.point("occupancy_mode"), mode, "rule: optimum start")
            yield Setpoint(zone.point("heating_setpoint_c"), heat, "rule: timetable")
            if cooled is not None:
                closed = cooled + 4.0 if zone.cooling_unoccupied_c is None else zone.cooling_unoccupied_c
                yield Setpoint(zone.point("cooling_setpoint_c"), cooled if occupied else closed, "rule: timetable")

    def _open_between(self, zone: Zone, at: datetime, lead_h: float, early_h: float) -> bool:
        """Whether `at` lies between `lead_h` before an opening and `early_h` before its end."""
        for days in (0, 1):  # today's opening, or tomorrow's when it is started before midnight
            local = (at + timedelta(days=days)).astimezone(self.zone)
            if local.isoweekday() not in zone.opening.days or (
                zone.closed_on_holidays and is_public_holiday(local.date(), self.zone.key)
            ):
                continue
            hour = local.hour + local.minute / 60 - 24.0 * days
            if zone.opening.from_hour - lead_h <= hour < zone.opening.until_hour - early_h:
                return True
            if zone.opening.until_hour - zone.opening.from_hour >= 24:
                return True
        return False

    def _homes(self, at: datetime) -> Iterator[Setpoint]:
        if self.book.home_night_k == 0.0:
            return
        hour = at.astimezone(self.zone).hour
        offset = self.book.home_night_k if hour >= 23 or hour < 5 else 0.0
        for home in self.district.dwellings.values():
            if home.thermostat and home.use == "home":
                yield Setpoint(home.point("setpoint_offset_k"), offset, "rule: night")

    # Electricity

    def _cars(self, snapshot: Snapshot, at: datetime) -> Iterator[Setpoint]:
        """By day at once, in the evening from off-peak start; the cable is shared evenly, first come first served."""
        points = self.district.of(ChargePoint)
        hour = at.astimezone(self.zone).hour
        for name, point in points.items():
            state = snapshot.value(point.point("state_mode"))
            if state is None or round(state) not in (PLUGGED, CHARGING):
                self._since.pop(name, None)
                self._released.discard(name)
            elif name not in self._since:
                self._since[name] = at
        for name, feeder in self.district.of(Feeder).items():
            mine = {n: p for n, p in points.items() if p.feeder == name}
            # "Evening" has no meaning where there is no cheaper night ahead.
            low, high = self._day_prices(feeder.supply, at)
            waits = (hour >= self.book.evening_from_h or hour < 5) and high - low > 1e-6
            off_peak = self.is_off_peak(feeder.supply, at)
            for n in mine:
                if n in self._since and (off_peak or not waits or not self._came_late(n)):
                    self._released.add(n)
            active = sorted((n for n in mine if n in self._released), key=lambda n: self._since[n])
            free = [n for n in mine if n not in self._since] if not waits or off_peak else []
            amps = shared_current_a(feeder, {n: mine[n] for n in (*active, *free)})
            for n, p in mine.items():
                yield Setpoint(p.point("current_limit_a"), amps.get(n, 0.0), "rule: shared current")

    def _came_late(self, name: str) -> bool:
        hour = self._since[name].astimezone(self.zone).hour
        return hour >= self.book.evening_from_h or hour < 5

    def _batteries(self, snapshot: Snapshot, at: datetime) -> Iterator[Setpoint]:
        """Takes its supply point's own surplus, fills off-peak, and gives to its supply point in the other hours."""
        for battery in self.district.of(Battery).values():
            supply = self.district.asset(battery.supply, Supply)
            total, own, stored = (
                snapshot.value(p)
                for p in (supply.point("power_kw"), battery.point("power_kw"), battery.point("stored_kwh"))
            )
            power = 0.0
            if total is not None and own is not None and stored is not None:
                rest = total - own  # what everything else there takes
                low, high = battery.minimum_share * battery.capacity_kwh, battery.maximum_share * battery.capacity_kwh
                if rest < 0:
                    power = -rest
                elif self.is_off_peak(battery.supply, at):
                    if stored < self.book.battery_grid_share * battery.capacity_kwh:
                        night = self.book.battery_night_share * battery.charge_limit_kw
                        power = max(min(night, 0.95 * supply.subscribed_kw - rest), 0.0)
                else:
                    power = -rest
                room = (high - stored) / battery.one_way_efficiency / SLOT_H
                left = (stored - low) * battery.one_way_efficiency / SLOT_H
                power = min(
                    max(power, -max(left, 0.0), -battery.discharge_limit_kw), max(room, 0.0), battery.charge_limit_kw
                )
            yield Setpoint(battery.point("power_setpoint_kw"), round(power, 1) + 0.0, "rule: own sun, then off-peak")


SLOT_H = SLOT / timedelta(hours=1)


def shared_current_a(feeder: Feeder, sharing: Mapping[str, ChargePoint]) -> dict[str, float]:
    """Currents of charge points that share a cable, in the order of who came first, A.

    All get the same current, at most their own maximum. Below the least current of a car the last ones wait.
    """
    chosen = dict(sharing)
    while chosen:
        per_a = sum(p.kw(1.0) for p in chosen.values())
        even = feeder.limit_kw / per_a
        if all(even >= p.minimum_current_a for p in chosen.values()):
            return {n: math.floor(10 * min(even, p.maximum_current_a) + 1e-6) / 10 for n, p in chosen.items()}
        chosen.popitem()
    return {}


def opponent(name: str, district: District) -> Local:
    """An opponent by name. Raises ValueError for one that does not exist."""
    if name == "local":
        return Local(district)
    if name == "rules":
        return Rules(district, RuleBook())
    if name == "rules-tuned":
        return Rules(district, RuleBook.tuned())
    raise ValueError(f"{name!r} is no opponent; there are local, rules, rules-tuned and oracle")
