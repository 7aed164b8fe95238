"""Shared cars and places for electric bicycles, reserved as far as charging needs it: from when, until when, how far.

A reservation tells the district when a car must have been charged and when it is back, or until when a bicycle stands.
It opens no car.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import BikeRoom, ChargePoint
from ems.assets.charging import USUAL_CAR_A
from ems.estimate.sessions import BIKE_KWH
from ems.store import People, Reservation
from ems.web import consumption
from ems.web.access import Permission
from ems.web.car import KWH_PER_KM, number_of
from ems.web.pages import Pages, Visit

AHEAD = 7  # days
LONGEST = timedelta(hours=24)
MOST = 3  # reservations of one person


@dataclass(frozen=True)
class Mine:
    """One reservation as the resident who made it sees it."""

    number: int
    place: str
    is_car: bool
    begins: datetime
    ends: datetime
    km: float


class Sharing:
    """Adds the page of shared cars and bicycles."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        self.cars = {n: p for n, p in pages.district.of(ChargePoint).items() if p.shared_car_kwh > 0}
        pages.route("/my-home/shared", Permission.RESIDENT, self.show)
        pages.route("/my-home/shared", Permission.RESIDENT, self.ask, "POST")

    def show(self, visit: Visit) -> Response:
        return self._show(visit)

    def _show(self, visit: Visit, trouble: str = "", status: int = 200) -> Response:
        words, today = visit.words, consumption.today(self.pages.now(), self.pages.zone)
        days = [today + timedelta(days=i) for i in range(AHEAD)]
        mine = [r for r in self.people.asked.reservations(self.pages.now()) if r.account_id == visit.who.id]
        return self.pages.page(
            visit,
            "home_shared.html",
            status=status,
            trouble=trouble,
            mine=[
                Mine(r.number, r.asset.rpartition("-")[2], r.asset in self.cars, r.begins, r.ends, r.km) for r in mine
            ],
            cars=len(self.cars),
            furthest=self._furthest(),
            room=self._room(visit),
            days=[(str(day), words.near_day(day)) for day in days],
            chosen={name: visit.form.get(name, "") for name in ("what", "day", "from", "until", "km")},
            most=MOST,
        )

    def ask(self, visit: Visit) -> Response:
        now, words = self.pages.now(), visit.words
        match visit.given("do", 12):
            case "give-up":
                number = visit.given("key", 12)
                if not number.isascii() or not number.isdigit():
                    raise HTTPException(404)
                if not self.people.asked.give_up(int(number), visit.who.id, visit.by, visit.home, now):
                    raise HTTPException(404)
                return visit.to("/my-home/shared")
            case "reserve":
                pass
            case _:
                raise HTTPException(422)
        begins, ends = self._span(visit)
        if begins is None or ends is None or begins <= now:
            return self._show(visit, words.text("Give a time that is still to come."), 422)
        if visit.given("what", 8) == "bicycle":
            room = self._room(visit)
            if room is None:
                raise HTTPException(422)
            wanted = Reservation(0, room.name, visit.who.id, 0.0, BIKE_KWH, begins, ends)
            if self._reserve(wanted, room.places, visit):
                return visit.to("/my-home/shared")
        elif visit.given("what", 8) == "car":
            km = number_of(visit.given("km", 8))
            if km is None or not 1 <= km <= self._furthest():
                return self._show(visit, words.text("Give between 1 and {most} km.", most=self._furthest()), 422)
            for name in self.cars:
                wanted = Reservation(0, name, visit.who.id, km, km * KWH_PER_KM, begins, ends)
                if self._can_be_charged(wanted) and self._reserve(wanted, 1, visit):
                    return visit.to("/my-home/shared")
        else:
            raise HTTPException(422)
        return self._show(
            visit,
            words.text("None is free and charged then, or you have {most} reservations already.", most=MOST),
            422,
        )

    def _reserve(self, wanted: Reservation, places: int, visit: Visit) -> bool:
        return self.people.asked.reserve(wanted, places, MOST, visit.by, visit.home, self.pages.now())

    def _can_be_charged(self, wanted: Reservation) -> bool:
        """Whether the car has the time, between the trips of others and this one, that each needs to be charged."""
        kw = self.cars[wanted.asset].kw(USUAL_CAR_A)
        for other in self.people.asked.reservations(self.pages.now()):
            if other.asset == wanted.asset:
                first, second = (wanted, other) if wanted.begins < other.begins else (other, wanted)
                if second.begins - first.ends < timedelta(hours=second.needed_kwh / kw):
                    return False
        return True

    def _furthest(self) -> int:
        """Kilometres that the smallest shared car goes."""
        return int(min((p.shared_car_kwh for p in self.cars.values()), default=0.0) / KWH_PER_KM)

    def _room(self, visit: Visit) -> BikeRoom | None:
        """The bicycle room of the resident's building."""
        building = visit.home.partition("/")[0]
        rooms = self.pages.district.of(BikeRoom).values()
        return next((room for room in rooms if room.name.startswith(f"{building}/")), None)

    def _span(self, visit: Visit) -> tuple[datetime | None, datetime | None]:
        """From when until when, at most a day; an end before the beginning is the next day's."""
        try:
            day = date.fromisoformat(visit.given("day", 10))
            first, last = (time.fromisoformat(visit.given(name, 8)) for name in ("from", "until"))
        except ValueError:
            return None, None
        today = consumption.today(self.pages.now(), self.pages.zone)
        if not today <= day < today + timedelta(days=AHEAD):
            return None, None
        zone = self.pages.zone
        begins = datetime.combine(day, first.replace(tzinfo=None), zone)
        over = last.replace(tzinfo=None) <= first.replace(tzinfo=None)
        ends = datetime.combine(day + timedelta(days=int(over)), last.replace(tzinfo=None), zone)
        return (begins, ends) if timedelta(0) < ends - begins <= LONGEST else (None, None)
