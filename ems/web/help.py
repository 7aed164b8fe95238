"""A resident's messages: one tap says what is wrong; it goes with what was measured, and is answered with a time."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import Tank
from ems.slots import SLOT, Slots, floor
from ems.store import People, StoreError
from ems.store.tickets import KINDS
from ems.web.access import Permission
from ems.web.pages import Pages, Visit

DAY = timedelta(hours=24)

# What is said with one tap, in the resident's words.
SAYINGS = {
    "too cold": "I am cold",
    "too hot": "I am too hot",
    "no hot water": "I have no hot water",
    "car not charging": "My car is not charging",
    "something else": "Something else",
    "idea": "An idea for the district",
}
MOST_WORDS = 1000


class Help:
    """Adds the page on which residents say what is wrong."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/my-home/help", Permission.HOME, self.show)
        pages.route("/my-home/help", Permission.HOME, self.ask, "POST")

    def show(self, visit: Visit) -> Response:
        return self._show(visit)

    def _show(self, visit: Visit, trouble: str = "", status: int = 200) -> Response:
        return self.pages.page(
            visit,
            "home_help.html",
            status=status,
            trouble=trouble,
            sayings=SAYINGS,
            messages=self.people.tickets.of(visit.home, 10),
        )

    def ask(self, visit: Visit) -> Response:
        now = self.pages.now()
        if visit.given("do") == "close":
            number = visit.given("key", 12)
            if not number.isascii() or not number.isdigit():
                raise HTTPException(404)
            if not self.people.tickets.close(int(number), visit.home, visit.by, now):
                raise HTTPException(404)
            return visit.to("/my-home/help")
        kind = visit.given("kind", 40)
        if kind not in KINDS:
            raise HTTPException(422)
        words = visit.given("words", MOST_WORDS)
        if kind in ("something else", "idea") and not words:
            return self._show(visit, visit.words.text("Please write a few words."), 422)
        sent = self.people.tickets.open(visit.home, kind, words, self._measured(visit, kind), visit.by, now)
        if sent is None:
            return self._show(visit, visit.words.text("You have many open messages; we will answer them first."), 422)
        return visit.to("/my-home/help")

    def _measured(self, visit: Visit, kind: str) -> dict[str, Any]:
        """The last 24 hours of what the message is about: quarter-hour means from `start` on, None where unknown."""
        home = visit.home
        building = home.partition("/")[0]
        points: list[str] = []
        if kind in ("too cold", "too hot"):
            points = [f"{home}/temperature_c", f"{home}/setpoint_c"]
        elif kind == "no hot water":
            tanks = [n for n, t in self.pages.district.of(Tank).items() if t.building == building]
            points = [f"{n}/{q}" for n in tanks for q in ("top_temperature_c", "mixed_temperature_c")]
        elif kind == "car not charging":
            mine = self.people.asked.departures(self.pages.now()).values()
            points = [f"{d.asset}/power_kw" for d in mine if d.account_id == visit.who.id]
        slots = Slots(floor(self.pages.now()) - DAY, DAY // SLOT)
        try:
            history = self.pages.store.history(points, slots)
        except StoreError:
            return {}
        return {
            "start": slots.start.isoformat(),
            "values": {
                point: [None if math.isnan(v) else round(float(v), 2) for v in history.values[point]]
                for point in points
            },
        }  # fmt: skip
