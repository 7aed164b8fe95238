"""The manager's pages: live values, the plan over what was measured, comfort, hot water, and every decision."""

from __future__ import annotations

import math
from datetime import timedelta

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.slots import SLOT, Slots, floor, slot_number, slot_start
from ems.store import People, StoreError
from ems.web.access import Permission
from ems.web.actual import actual
from ems.web.chart import Limit, Line
from ems.web.comfort import Flat, State, comfort
from ems.web.diagram import Diagram, drawn, sprites
from ems.web.figures import Figure, balance, figures, price_chart, temperatures
from ems.web.forecasts import told
from ems.web.hot_water import tanks
from ems.web.live import Live
from ems.web.pages import Pages, Visit
from ems.web.strips import strips
from ems.web.words import Words

_FLATS_SHOWN = 20  # on one page, so that a phone need not scroll for ever
_SLOTS_PER_DAY = 96


class Manager:
    """Adds the manager's pages. What is looked at of homes is noted."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/manager", Permission.MANAGER, self.live, keep=True)
        pages.route("/buildings/{name}", Permission.MANAGER, self.building, keep=True)
        pages.route("/manager/plan", Permission.MANAGER, self.plan, keep=True)
        pages.route("/manager/comfort", Permission.MANAGER, self.comfort)
        pages.route("/manager/comfort/{building}/{flat}", Permission.MANAGER, self.home)
        pages.route("/manager/hot-water", Permission.MANAGER, self.hot_water, keep=True)
        pages.route("/manager/decisions", Permission.MANAGER, self.last_decision, keep=True)
        pages.route("/manager/decisions/{slot}", Permission.MANAGER, self.decision, keep=True)

    def live(self, visit: Visit) -> Response:
        live = Live(self.pages.district, self.pages.samples(), self.pages.now())
        record = self.pages.record(visit.words.language)
        diagram = Diagram(self.pages.district, live.samples, live.now)
        return self.pages.page(
            visit,
            "manager_live.html",
            record=record,
            live=live,
            sections=live.sections(),
            bays=diagram.bays(),
            wholes=diagram.wholes(),
            sprites=sprites(),
            drawn=drawn,
        )

    def building(self, visit: Visit, name: str) -> Response:
        if name not in self.pages.district.buildings:
            raise HTTPException(404)
        record = self.pages.record(visit.words.language)
        live = Live(self.pages.district, self.pages.samples(), self.pages.now())
        view = live.view(self.pages.district.buildings[name])
        diagram = Diagram(self.pages.district, live.samples, live.now)
        return self.pages.page(
            visit,
            "building.html",
            record=record,
            view=view,
            bays=diagram.bays(name).get(name, []),
            sprites=sprites(),
            drawn=drawn,
        )

    def plan(self, visit: Visit) -> Response:
        record, words = self.pages.record(visit.words.language), visit.words
        measured = actual(self.pages.district, self.pages.store, record)
        return self.pages.page(
            visit,
            "manager_plan.html",
            record=record,
            balance=balance(record, words, measured),
            price=price_chart(record, words),
            figures=figures(record, words),
            strips=strips(record, self.pages.district, words, 0 if measured is None else measured.slots.count),
        )

    def comfort(self, visit: Visit) -> Response:
        """Worst first, a page at a time; one building when asked for."""
        samples = self.pages.samples()
        flats = comfort(self.pages.district, samples)
        building = visit.request.query_params.get("building", "")
        with_homes = {f.dwelling.building: None for f in flats}
        if building and building not in with_homes:
            raise HTTPException(404)
        chosen = [f for f in flats if not building or f.dwelling.building == building]
        number = _whole(visit.request.query_params.get("page", "1"))
        count = max(math.ceil(len(chosen) / _FLATS_SHOWN), 1)
        if not 1 <= number <= count:
            raise HTTPException(404)
        self.people.note(visit.who, "comfort of all homes", None, self.pages.clock())
        return self.pages.page(
            visit,
            "manager_comfort.html",
            measured=bool(samples),
            flats=chosen[(number - 1) * _FLATS_SHOWN : number * _FLATS_SHOWN],
            counts={state: sum(1 for f in chosen if f.state is state) for state in State},
            buildings=[b for b in self.pages.district.buildings.values() if b.name in with_homes],
            building=building,
            number=number,
            count=count,
        )

    def home(self, visit: Visit, building: str, flat: str) -> Response:
        """One home's last day: temperature against the wish."""
        name = f"{building}/{flat}"
        if name not in self.pages.district.dwellings:
            raise HTTPException(404)
        self.people.note(visit.who, "comfort of a home", name, self.pages.clock())
        found = next(f for f in comfort(self.pages.district, self.pages.samples()) if f.name == name)
        return self.pages.page(visit, "manager_home.html", flat=found, figure=self._day(found, visit.words))

    def _day(self, flat: Flat, words: Words) -> Figure | None:
        slots = Slots(floor(self.pages.now()) - _SLOTS_PER_DAY * SLOT, _SLOTS_PER_DAY)
        points = [f"{flat.name}/temperature_c", f"{flat.name}/setpoint_c"]
        try:
            history = self.pages.store.history(points, slots)
        except StoreError:
            return None
        measured, wish = ([None if math.isnan(v) else v for v in history.values[p].tolist()] for p in points)
        if all(v is None for v in measured):
            return None
        lines = [Line(words.text("Temperature indoors"), measured, "l3"), Line(words.text("Wish"), wish, "l2")]
        floor_c, ceiling_c = flat.band.floor_c, flat.band.ceiling_c
        limits = [
            Limit(words.text("Band from {limit}", limit=words.value("temperature_c", floor_c)), floor_c, "k1"),
            Limit(
                words.text("heated to at most {limit}", limit=words.value("temperature_c", ceiling_c)), ceiling_c, "k2"
            ),
        ]
        return temperatures(lines, slots, words, title=words.text("Last 24 hours, °C"), limits=limits)

    def hot_water(self, visit: Visit) -> Response:
        district, now = self.pages.district, self.pages.now()
        try:
            found = tanks(district, self.pages.store, self.pages.samples(), now, visit.words)
        except StoreError:
            found = []
        return self.pages.page(visit, "manager_hot_water.html", tanks=found)

    def last_decision(self, visit: Visit) -> Response:
        record = self.pages.record(visit.words.language)
        return self._decision(visit, record.slot if record.slot >= 0 else slot_number(self.pages.now()))

    def decision(self, visit: Visit, slot: str) -> Response:
        number = _whole(slot)
        if not 0 < number <= slot_number(self.pages.now()):
            raise HTTPException(404)
        return self._decision(visit, number)

    def _decision(self, visit: Visit, slot: int) -> Response:
        record = self.pages.record(visit.words.language, slot)
        return self.pages.page(
            visit,
            "manager_decision.html",
            record=record,
            model_name=lambda model: told(model, visit.words),
            slot=slot,
            start=slot_start(slot),
            newest=slot >= slot_number(self.pages.now()),
            day_ago=slot - _SLOTS_PER_DAY,
            end=slot_start(slot) + timedelta(minutes=15),
        )


def _whole(text: str) -> int:
    """A small whole number of an address; anything else is no page."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise HTTPException(404)
    return int(text)
