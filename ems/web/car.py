"""When a car leaves and how far it must go: said by its driver, with what will be reached."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import ChargePoint
from ems.assets.charging import USUAL_CAR_A
from ems.slots import Slots
from ems.store import Departure, People
from ems.web.access import Permission
from ems.web.pages import Pages, Visit

KWH_PER_KM = 0.2  # at the plug, losses of charging included (assumption; small cars need 0.16, large ones 0.25)
MOST_KM = 600
LONGEST = timedelta(days=2)
PLUGGED = (1, 2)  # states of a charge point with a car that is not full
FULL = 3


@dataclass(frozen=True)
class Standing:
    """A car as its driver sees it."""

    point: str
    departs: datetime
    at_once: bool
    km: float
    plugged: bool
    full: bool
    taken_km: float
    power_kw: float | None
    reached_km: float | None  # by the plan, or by what the socket can give; None when not plugged in

    @property
    def enough(self) -> bool:
        return self.reached_km is None or self.full or self.reached_km >= self.km - 1


class Car:
    """Adds the page of the car."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/my-home/car", Permission.RESIDENT, self.show)
        pages.route("/my-home/car", Permission.RESIDENT, self.ask, "POST")

    def show(self, visit: Visit) -> Response:
        return self._show(visit)

    def _show(self, visit: Visit, trouble: str = "", status: int = 200) -> Response:
        now = self.pages.now()
        said = next((d for d in self.people.asked.departures(now).values() if d.account_id == visit.who.id), None)
        tomorrow = (now.astimezone(self.pages.zone) + timedelta(days=1)).date()
        return self.pages.page(
            visit,
            "home_car.html",
            status=status,
            trouble=trouble,
            standing=None if said is None else self._standing(said),
            points=[(name, name.rpartition("-")[2]) for name in self._points()],
            chosen=visit.form.get("point") or (said.asset if said else ""),
            at=visit.form.get("at") or (visit.words.clock(said.departs) if said else "07:30"),
            day=visit.form.get("day") or "tomorrow",
            km=visit.form.get("km") or (round(said.km) if said else 50),
            tomorrow=visit.words.near_day(tomorrow),
            most=MOST_KM,
            per_km=KWH_PER_KM,
        )

    def ask(self, visit: Visit) -> Response:
        if visit.given("do") == "forget":
            self.people.asked.forget_departure(visit.who.id)
            return visit.to("/my-home/car")
        now, words, name = self.pages.now(), visit.words, visit.given("point", 80)
        if name not in self._points() or visit.given("do") not in ("leave", "now"):
            raise HTTPException(422)
        at_once = visit.given("do") == "now"
        km = number_of(visit.given("km", 8))
        departs = now + LONGEST if at_once else self._instant(visit.given("day", 10), visit.given("at", 8))
        if km is None or not 1 <= km <= MOST_KM:
            return self._show(visit, words.text("Give between 1 and {most} km.", most=MOST_KM), 422)
        if departs is None or not now < departs <= now + LONGEST:
            return self._show(visit, words.text("Give a time that is still to come."), 422)
        taken = self.pages.samples().get(f"{name}/session_energy_kwh")
        taken_kwh = 0.0 if taken is None or taken.usable is None else taken.usable
        wanted = Departure(name, visit.who.id, km, km * KWH_PER_KM, taken_kwh, at_once, now, departs)
        if not self.people.asked.depart(wanted, visit.by, visit.home, now):
            return self._show(visit, words.text("Somebody else's car stands at this charge point."), 422)
        return visit.to("/my-home/car")

    def _points(self) -> dict[str, ChargePoint]:
        """Those where a resident's own car may stand."""
        return {n: p for n, p in self.pages.district.of(ChargePoint).items() if p.shared_car_kwh == 0}

    def _instant(self, day: str, at: str) -> datetime | None:
        try:
            clock = time.fromisoformat(at)
        except ValueError:
            return None
        local = self.pages.now().astimezone(self.pages.zone).date()
        date = local + timedelta(days=1) if day == "tomorrow" else local
        return datetime.combine(date, clock.replace(tzinfo=None), self.pages.zone)

    def _standing(self, said: Departure) -> Standing:
        samples, now = self.pages.samples(), self.pages.now()

        def value(quantity: str) -> float | None:
            sample = samples.get(f"{said.asset}/{quantity}")
            return None if sample is None else sample.usable

        state, taken = value("state_mode"), value("session_energy_kwh")
        plugged = state is not None and round(state) in (*PLUGGED, FULL)
        taken_kwh = 0.0 if taken is None else max(taken - said.taken_kwh, 0.0)
        coming = None
        if plugged:
            coming = planned_kwh(self.pages.record("en").record, said, now)
            if coming is None:
                point = self.pages.district.asset(said.asset, ChargePoint)
                coming = (said.departs - now) / timedelta(hours=1) * point.kw(USUAL_CAR_A)
        return Standing(
            point=said.asset.rpartition("-")[2],
            departs=said.departs,
            at_once=said.at_once,
            km=said.km,
            plugged=plugged,
            full=state is not None and round(state) == FULL,
            taken_km=taken_kwh / KWH_PER_KM,
            power_kw=value("power_kw"),
            reached_km=None if coming is None else min((taken_kwh + coming) / KWH_PER_KM, said.km),
        )


def planned_kwh(record: Mapping[str, Any], said: Departure, now: datetime) -> float | None:
    """What the plan still gives this car until it leaves; None when no plan was made since the driver said so."""
    plan = record.get("plan") or {}
    row = plan.get("flows", {}).get(f"{said.asset}/power_kw")
    if row is None or datetime.fromisoformat(plan["issued_at"]) < said.made:
        return None
    slots = Slots(datetime.fromisoformat(plan["start"]), plan["count"], plan["minutes"])
    end = math.floor((said.departs - slots.start) / timedelta(minutes=slots.minutes))
    begin = max(math.floor((now - slots.start) / timedelta(minutes=slots.minutes)), 0)
    return float(sum(row[begin : max(end, begin)])) * slots.hours


def number_of(text: str) -> float | None:
    """What somebody typed, with a comma or a point; None when it is no number."""
    try:
        found = float(text.replace(",", "."))
    except ValueError:
        return None
    return found if math.isfinite(found) else None
