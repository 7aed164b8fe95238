"""Hot water by tank: outlet, return and mixed water against their limits, now and over the last day."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ems.assets import Tank
from ems.district import District
from ems.points import Quality, Sample
from ems.slots import SLOT, Slots, floor
from ems.store import Store
from ems.web.chart import Limit, Line
from ems.web.figures import Figure, temperatures
from ems.web.words import Words

# Legionella (outlet, return) and scalding (mixed water): what each sensor must keep, degC.
OUTLET_C, RETURN_C, MIXED_C = 55.0, 50.0, 50.0
_SLOTS = 96

# Quantity, name, at least, at most, ink.
SENSORS: tuple[tuple[str, str, float | None, float | None, str], ...] = (
    ("top_temperature_c", "Outlet, top of the tank", OUTLET_C, None, "l1"),
    ("return_temperature_c", "Return of the circulation", RETURN_C, None, "l2"),
    ("mixed_temperature_c", "Mixed water to the taps", None, MIXED_C, "l3"),
    ("bottom_temperature_c", "Bottom of the tank", None, None, "l4"),
)


@dataclass(frozen=True)
class Reading:
    """One sensor: its value, its limit, whether it keeps it, and quarter-hours beyond it in the last day."""

    quantity: str
    name: str
    value: float | None
    quality: Quality
    age: timedelta | None
    at_least: float | None
    at_most: float | None
    beyond: int

    @property
    def beyond_time(self) -> timedelta:
        return self.beyond * SLOT

    @property
    def kept(self) -> bool | None:
        """None: not known, or nothing is to be kept."""
        return None if self.value is None else _kept(self.value, self.at_least, self.at_most)


@dataclass(frozen=True)
class TankView:
    """One tank."""

    name: str
    readings: tuple[Reading, ...]
    figure: Figure | None

    @property
    def trouble(self) -> list[Reading]:
        return [r for r in self.readings if r.kept is False or (r.value is None and (r.at_least or r.at_most))]


def tanks(
    district: District, store: Store, samples: Mapping[str, Sample], now: datetime, words: Words
) -> list[TankView]:
    """All tanks, those in trouble first."""
    slots = Slots(floor(now) - _SLOTS * SLOT, _SLOTS)
    names = list(district.of(Tank))
    history = store.history([f"{n}/{q}" for n in names for q, *_ in SENSORS], slots)
    found = []
    for name in names:
        readings, lines = [], []
        for quantity, title, at_least, at_most, ink in SENSORS:
            point = f"{name}/{quantity}"
            course = [None if math.isnan(v) else v for v in history.values[point].tolist()]
            beyond = sum(1 for v in course if v is not None and _kept(v, at_least, at_most) is False)
            sample = samples.get(point)
            value = None if sample is None else sample.usable
            quality = Quality.MISSING if sample is None else sample.quality
            age = None if sample is None else now - sample.at
            readings.append(Reading(quantity, title, value, quality, age, at_least, at_most, beyond))
            lines.append(Line(words.text(title), course, ink))
        figure = None
        if any(v is not None for line in lines for v in line.values):
            limits = [
                Limit(
                    words.text("Outlet at least {limit}", limit=words.value("temperature_c", OUTLET_C)), OUTLET_C, "k1"
                ),
                Limit(
                    words.text("Return at least, taps at most {limit}", limit=words.value("temperature_c", RETURN_C)),
                    RETURN_C,
                    "k2",
                ),
            ]
            figure = temperatures(lines, slots, words, title=words.text("Last 24 hours, °C"), limits=limits)
        found.append(TankView(name, tuple(readings), figure))
    return sorted(found, key=lambda t: -len(t.trouble))


def _kept(value: float, at_least: float | None, at_most: float | None) -> bool | None:
    if at_least is not None:
        return value >= at_least
    return None if at_most is None else value <= at_most
