"""Large zones: who is in, what the timetable asks for, fresh air and CO2.

A controller on its own timetable (mode 1) uses its own set points; told to be occupied (mode 2) it keeps the set points
it is given; told to be unoccupied (mode 3) it keeps the wider of those and its own unoccupied ones, and stops the
ventilation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ems.assets import Zone
from ems.series import Floats
from ems.simulate.plant.chance import chance
from ems.simulate.plant.day import FACING_DEG, MINUTES, Day

STEP_MINUTES = 5  # how often the controllers of large zones look
HOURS = STEP_MINUTES / 60
OUTDOOR_PPM = 420.0
PREHEAT_H = 1.5  # the timetable starts this long before people come
BASE_GAIN_SHARE = 0.12  # of the gains, at night: servers, emergency light
AIRED_C = 25.0
CLOSED_C = 35.0  # no cooling
CO2_M3_PER_H = {"creche": 0.010, "school": 0.012}  # per person; 0.018 for adults
AIR_CHANGES_PER_H = {"creche": 1.6, "school": 2.0, "offices": 1.2, "shops": 1.5, "hotel": 0.8, "common-room": 1.0}


class LargeZones:
    """Timetables and people of all large zones; `modes` and set points are commanded."""

    def __init__(self, zones: Sequence[Zone], gain_kw: Floats, seed: int) -> None:
        """`gain_kw`: each zone's true mean gains while occupied."""
        n = len(zones)
        self.zones, self.seed, self.count = zones, seed, n
        self.gain_kw = gain_kw
        self.people = np.array([float(z.people) for z in zones])
        self.volume_m3 = np.array([2.7 * z.surface_m2 for z in zones])
        self.own_heating = np.array([[z.heating_unoccupied_c, z.heating_occupied_c] for z in zones]).reshape(n, 2)
        self.own_cooling = np.array(
            [
                [
                    CLOSED_C if z.cooling_unoccupied_c is None else z.cooling_unoccupied_c,
                    CLOSED_C if z.cooling_occupied_c is None else z.cooling_occupied_c,
                ]
                for z in zones
            ]
        ).reshape(n, 2)
        self.cooled = np.array([z.cooling_occupied_c is not None for z in zones], dtype=bool)
        self.co2_m3_per_h = np.array([CO2_M3_PER_H.get(z.use, 0.018) for z in zones])
        self.air_changes_per_h = np.array([AIR_CHANGES_PER_H.get(z.use, 1.0) for z in zones])
        self.mode = np.ones(n)
        self.heating_setpoint_c = np.full(n, 19.0)
        self.cooling_setpoint_c = np.full(n, 26.0)
        self.co2_ppm = np.full(n, OUTDOOR_PPM)
        self.heating_c = self.own_heating[:, 1].copy()
        self.cooling_c = self.own_cooling[:, 1].copy()
        self.occupied = np.zeros(n)
        self.air_change = np.ones(n)
        self._presence = np.zeros((MINUTES, n))
        self._timetable = np.zeros((MINUTES, n))
        self._gains = np.zeros((MINUTES, n))

    def prepare(self, day: Day) -> None:
        """The day's people and timetables."""
        draw = chance(self.seed, "large-zones", day.number)
        hour = day.local_hour
        for k, zone in enumerate(self.zones):
            opening = zone.opening
            closed = day.holiday & zone.closed_on_holidays
            opens = np.isin(day.weekday, opening.days) & ~closed
            holiday = day.local_date.month == 8 and zone.use in ("offices", "creche", "school")
            full = 0.5 if holiday else 1.0
            if (
                zone.use in ("school",)
                and (day.local_date.month, day.local_date.day) > (7, 6)
                and day.local_date.month <= 8
            ):
                opens, full = np.zeros(MINUTES, dtype=bool), 0.0
            level = full * float(np.clip(draw.normal(0.9, 0.12), 0.5, 1.1))
            late = draw.normal(0, 0.3)
            if zone.use == "hotel":
                profile = np.interp(hour, [0, 6, 9, 12, 17, 20, 24], [0.9, 0.9, 0.6, 0.25, 0.4, 0.7, 0.9])
            else:
                a, b = opening.from_hour + late, opening.until_hour + late
                lunch = 1 - 0.35 * np.exp(-(((hour - 12.8) / 0.6) ** 2)) * (zone.use == "offices")
                profile = np.clip((hour - a) / 1.2, 0, 1) * np.clip((b - hour) / 1.5, 0, 1) * lunch * 1.15
            self._presence[:, k] = np.clip(profile * level, 0, 1.2) * opens
            self._timetable[:, k] = opens & (hour >= opening.from_hour - PREHEAT_H) & (hour < opening.until_hour)
            base = BASE_GAIN_SHARE * (0.5 if not opens.any() else 1.0)
            self._gains[:, k] = self.gain_kw[k] * (base + (1 - base) * self._presence[:, k])

    def gains(self) -> Floats:
        """(1440, zones): heat of people and equipment, kW."""
        return self._gains

    def step(self, minute: int, indoor_c: Floats, outdoor_c: float) -> None:
        """Set points and fresh air for the next five minutes, then CO2.

        Where nothing cools, windows open when it is too warm inside and cooler outside, at night a little.
        """
        own = self._timetable[minute] > 0
        timetable = self.mode == 1
        told = self.mode == 2
        occupied = np.where(timetable, own, told)
        pick = own.astype(np.int64)
        row = np.arange(self.count)
        own_heating, own_cooling = self.own_heating[row, pick], self.own_cooling[row, pick]
        unoccupied_heating = np.minimum(self.heating_setpoint_c, self.own_heating[:, 0])
        unoccupied_cooling = np.maximum(self.cooling_setpoint_c, self.own_cooling[:, 0])
        self.heating_c = np.where(timetable, own_heating, np.where(told, self.heating_setpoint_c, unoccupied_heating))
        cooling = np.where(timetable, own_cooling, np.where(told, self.cooling_setpoint_c, unoccupied_cooling))
        # Heating and cooling stand at least 2 K apart, whoever commands.
        self.cooling_c = np.where(self.cooled, np.maximum(cooling, self.heating_c + 2), CLOSED_C)
        self.occupied = self._presence[minute]
        airs = ~self.cooled & (indoor_c > AIRED_C) & (indoor_c > outdoor_c + 0.5)
        self.air_change = np.where(occupied > 0, 1.1, 0.7) + airs * np.where(occupied > 0, 2.5, 1.0)
        breathed = self.people * self.occupied * self.co2_m3_per_h * 1e6 / self.volume_m3
        fresh = self.air_changes_per_h * np.where(occupied > 0, 1.0, 0.2)
        self.co2_ppm = self.co2_ppm + (breathed - fresh * (self.co2_ppm - OUTDOOR_PPM)) * HOURS


def sun_on(facing: Sequence[str], facades: Floats, aperture_m2: Floats) -> Floats:
    """(1440, zones) kW of sun through windows that look one way; "all" looks every way.

    The design aperture is an equivalent horizontal one; a wall gets about 1/1.8 of the horizontal over a year.
    """
    names = list(FACING_DEG)
    walls = np.stack(
        [facades.mean(axis=1) if f == "all" else facades[:, names.index(f)] for f in (*names, "all")], axis=1
    )
    pick = np.array([(*names, "all").index(f) for f in facing], dtype=np.int64)
    return np.asarray(walls[:, pick] * (1.8 / 1000 * aperture_m2))
