"""How warm a resident wants it, whether heating may be shifted, heat at once, and the hot water of the building."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import Dwelling, Tank
from ems.assets.zone import OFFSET_K
from ems.slots import SLOT, Slots, floor
from ems.store import ComfortWish, People, StoreError
from ems.web.access import Permission
from ems.web.chart import Limit, Line
from ems.web.comfort import WARM_C
from ems.web.figures import Figure, temperatures
from ems.web.hot_water import RETURN_C, SENSORS
from ems.web.pages import Pages, Visit
from ems.web.words import Words

HEAT_NOW = timedelta(hours=2)
HOT_OUTDOORS_C = 30.0  # from here a home that nothing cools gets too warm (assumption)

# What can be wished, against the thermostat, in words.
STEPS: tuple[tuple[float, str], ...] = (
    (-1.0, "Cooler"),
    (-0.5, "A little cooler"),
    (0.0, "As my thermostat says"),
    (0.5, "A little warmer"),
    (1.0, "Warmer"),
)


# Of a tank, what residents are shown, in words that need no plan of it.
_CALLED = {"top_temperature_c": "Water in the tank", "mixed_temperature_c": "Water at the taps"}
CALLED = frozenset(_CALLED.values())


@dataclass(frozen=True)
class Choice:
    """One wish that can be chosen, and what it comes to in this home."""

    offset_k: float
    name: str
    target: str
    chosen: bool


class Warmth:
    """Adds the page of comfort."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/my-home/comfort", Permission.HOME, self.show)
        pages.route("/my-home/comfort", Permission.RESIDENT, self.ask, "POST")

    def show(self, visit: Visit) -> Response:
        words, now, home = visit.words, self.pages.now(), visit.home
        dwelling = self.pages.district.dwellings[home]
        band = self.pages.district.comfort[dwelling.use]
        samples = self.pages.samples()
        setpoint = samples.get(f"{home}/setpoint_c")
        measured = samples.get(f"{home}/temperature_c")
        set_c = None if setpoint is None else setpoint.usable
        indoors_c = None if measured is None else measured.usable
        wish = self.people.asked.comfort_wishes().get(home) or usual(dwelling)
        around_c = band.default_c if set_c is None else set_c
        return self.pages.page(
            visit,
            "home_comfort.html",
            indoors_c=indoors_c,
            set_c=set_c,
            readable=dwelling.thermostat,
            choices=[
                Choice(k, words.text(name), _target(k, set_c, band.floor_c, band.ceiling_c, words), k == wish.offset_k)
                for k, name in STEPS
            ],
            shift=wish.shift,
            low=words.value("temperature_c", max(band.floor_c, min(around_c, band.ceiling_c) - OFFSET_K)),
            high=words.value("temperature_c", min(band.ceiling_c, max(around_c, band.floor_c) + OFFSET_K)),
            heating_until=self.people.asked.heating_now(now).get(home),
            too_warm=indoors_c is not None and indoors_c > WARM_C,
            hot_days=self._hottest() >= HOT_OUTDOORS_C,
            tanks=self._tanks(dwelling, words),
        )

    def ask(self, visit: Visit) -> Response:
        now, home = self.pages.now(), visit.home
        match visit.given("do"):
            case "wish":
                try:
                    offset_k = float(visit.given("wish", 8))
                except ValueError:
                    raise HTTPException(422) from None
                shift = visit.given("shift", 8)
                if offset_k not in dict(STEPS) or shift not in ("yes", "no"):
                    raise HTTPException(422)
                self.people.asked.wish_comfort(home, offset_k, shift == "yes", visit.by, now)
            case "heat":
                self.people.asked.heat_now(home, now + HEAT_NOW, visit.by, now)
            case "stop":
                self.people.asked.heat_now(home, None, visit.by, now)
            case _:
                raise HTTPException(422)
        return visit.to("/my-home/comfort")

    def _hottest(self) -> float:
        """The highest outdoor temperature forecast for the coming day; nothing forecast is not hot."""
        record = self.pages.record("en")
        for point, forecast in record.forecasts.items():
            if point.endswith("/outdoor_temperature_c"):
                return float(max(forecast.get("median", [])[:96], default=-math.inf))
        return -math.inf

    def _tanks(self, dwelling: Dwelling, words: Words) -> list[tuple[str, Figure | None]]:
        """The building's hot water: what comes to the taps now, and the last day."""
        slots = Slots(floor(self.pages.now()) - 96 * SLOT, 96)
        shown = [sensor for sensor in SENSORS if sensor[0] in _CALLED]
        found: list[tuple[str, Figure | None]] = []
        for name, tank in self.pages.district.of(Tank).items():
            if tank.building != dwelling.building:
                continue
            mixed = self.pages.samples().get(f"{name}/mixed_temperature_c")
            now = words.value("temperature_c", None if mixed is None else mixed.usable)
            try:
                history = self.pages.store.history([f"{name}/{q}" for q, *_ in shown], slots)
            except StoreError:
                found.append((now, None))
                continue
            lines = [
                Line(words.text(_CALLED[q]), [None if math.isnan(v) else v for v in history.values[f"{name}/{q}"]], ink)
                for q, *_, ink in reversed(shown)
            ]
            limits = [
                Limit(words.text("Taps at most {limit}", limit=words.value("temperature_c", RETURN_C)), RETURN_C, "k2")
            ]
            known = any(v is not None for line in lines for v in line.values)
            title = words.text("Hot water of your building, last 24 hours, °C")
            found.append((now, temperatures(lines, slots, words, title=title, limits=limits) if known else None))
        return found


def usual(dwelling: Dwelling) -> ComfortWish:
    """What holds for a home that never said anything: no shifting in a senior residence."""
    return ComfortWish(0.0, dwelling.use != "senior-home", datetime.min.replace(tzinfo=UTC))


def _target(offset_k: float, set_c: float | None, floor_c: float, ceiling_c: float, words: Words) -> str:
    """What a wish comes to in degrees, within the promised band; empty when the thermostat is not known."""
    if set_c is None:
        return ""
    wanted = set_c + offset_k
    if offset_k > 0:
        wanted = max(min(wanted, ceiling_c), set_c)
    elif offset_k < 0:
        wanted = min(max(wanted, floor_c), set_c)
    return words.value("temperature_c", wanted)
