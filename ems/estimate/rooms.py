"""How warm walls and slabs are: nobody measures them, and the plan begins with them.

A Kalman filter over the last two days of each room, all rooms at once: the planner's two nodes step from the measured
heat, weather and design gains; the thermostat corrects both nodes by what it shows against that.
"""

from __future__ import annotations

import numpy as np

from ems.assets import Dwelling, Substation, WeatherStation, Zone
from ems.assets.zone import SUN_ON_MASS_SHARE, Step, occupied
from ems.district import District
from ems.series import Floats, History
from ems.slots import Slots

SEEN_SLOTS = 192  # two days: walls remember no longer than that
LEAST_READINGS = 24
SHUT_SHARE = 0.2  # of the design gains while a zone is closed
THERMOSTAT_K = 0.25  # steps, and what its place in the room makes of a mean temperature
LIGHT_K, MASS_K = 0.15, 0.03  # what moves the nodes in a quarter-hour that nobody measures: windows, people, neighbours
AT_FIRST_K = (0.5, 2.0)  # how far light node and walls may stand from the first reading


def walls_c(district: District, history: History) -> dict[str, float]:
    """`room/mass_c` at the end of the history, for dwellings and large zones that are measured often enough, degC.

    Missing outdoor temperature or heat is taken as its last value; a room without a readable thermostat has no entry.
    """
    slots = Slots(
        history.slots.at(max(history.slots.count - SEEN_SLOTS, 0)),
        min(history.slots.count, SEEN_SLOTS),
        history.slots.minutes,
    )
    recent = {p: row[-slots.count :] for p, row in history.values.items()}
    rooms = [a for a in district.assets.values() if isinstance(a, Dwelling | Zone)]
    rooms = [a for a in rooms if _readings(a, recent) >= min(LEAST_READINGS, slots.count)]
    if not rooms:
        return {}
    seen = np.array([recent[a.point("temperature_c")] for a in rooms])
    station = next(iter(district.of(WeatherStation)), "")
    outdoor = _filled(recent.get(f"{station}/outdoor_temperature_c"), slots.count)
    irradiance = _filled(recent.get(f"{station}/irradiance_w_per_m2"), slots.count)
    sun = np.array([a.fabric.solar_aperture_share * a.surface_m2 / 1000 for a in rooms])[:, None] * irradiance
    on_mass = SUN_ON_MASS_SHARE * sun
    heat = _heat_kw(rooms, district, recent, slots.count)
    on_light = heat + _gains_kw(rooms, slots, district.place.time_zone) + sun - on_mass
    steps = np.array([Step.exact(a.fabric, a.surface_m2, slots.hours).of for a in rooms])
    own, driven = steps[:, :, :2], steps[:, :, 2:]

    first = np.array([row[np.isfinite(row)][0] for row in seen])
    state, spread = np.stack([first, first], axis=1), np.tile(np.diag(np.square(AT_FIRST_K)), (len(rooms), 1, 1))
    unrest = np.diag(np.square([LIGHT_K, MASS_K]))
    for t in range(slots.count):
        # The mean over a slot says most about its end: correct first, then step from slot to slot.
        known = np.isfinite(seen[:, t])
        gain = np.where(known[:, None], spread[:, :, 0] / (spread[:, :1, 0] + THERMOSTAT_K**2), 0.0)
        surprise = np.where(known, seen[:, t] - state[:, 0], 0.0)
        state = state + gain * surprise[:, None]
        spread = spread - gain[:, :, None] * spread[:, None, 0, :]
        inputs = np.stack([np.full(len(rooms), outdoor[t]), on_light[:, t], on_mass[:, t]], axis=1)
        state = np.einsum("rij,rj->ri", own, state) + np.einsum("rij,rj->ri", driven, inputs)
        spread = own @ spread @ own.transpose(0, 2, 1) + unrest
    return {a.point("mass_c"): float(walls) for a, walls in zip(rooms, state[:, 1], strict=True)}


def _readings(room: Dwelling | Zone, recent: dict[str, Floats]) -> int:
    row = recent.get(room.point("temperature_c"))
    readable = isinstance(room, Zone) or room.thermostat
    return int(np.isfinite(row).sum()) if row is not None and readable else 0


def _gains_kw(rooms: list[Dwelling | Zone], slots: Slots, time_zone: str) -> Floats:
    """People and appliances by design; what is really there shows in the temperature."""
    rows = []
    for room in rooms:
        share = np.ones(slots.count)
        if isinstance(room, Zone):
            share = np.where(occupied(room.opening, slots, time_zone), 1.0, SHUT_SHARE)
        rows.append(share * room.fabric.gains_w_per_m2 * room.surface_m2 / 1000)
    return np.array(rows)


def _heat_kw(rooms: list[Dwelling | Zone], district: District, recent: dict[str, Floats], count: int) -> Floats:
    """Heat into each room less cold: by its own meter, else its share by surface of what its substation hands on."""
    surface: dict[str, float] = {}
    for asset in district.assets.values():
        if isinstance(asset, Dwelling | Zone):
            surface[asset.substation] = surface.get(asset.substation, 0.0) + asset.surface_m2
    handed = {}
    for name, station in district.of(Substation).items():
        handed[name] = _filled(recent.get(f"{name}/heat_power_kw"), count)
        if station.cold_limit_kw > 0:
            handed[name] = handed[name] - _filled(recent.get(f"{name}/cold_power_kw"), count)
    rows = []
    for room in rooms:
        own = recent.get(room.point("heat_power_kw"))
        if own is not None and np.isfinite(own).any():
            rows.append(_filled(own, count))
        else:
            rows.append(handed[room.substation] * room.surface_m2 / surface[room.substation])
    return np.array(rows)


def _filled(row: Floats | None, count: int) -> Floats:
    """Gaps closed with the last value before them (the first one after, at the beginning); 0 where all is missing."""
    if row is None or not np.isfinite(row).any():
        return np.zeros(count)
    good = np.isfinite(row)
    place = np.maximum.accumulate(np.where(good, np.arange(row.size), -1))
    return np.asarray(row[np.where(place < 0, int(np.argmax(good)), place)], dtype=float)
