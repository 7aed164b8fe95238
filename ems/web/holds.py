"""What people take out of the plan's hands: points held at a value, assets under maintenance, control handed back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import Asset, Battery, ChargePoint, Dwelling, Photovoltaic, Supply
from ems.district import Wire
from ems.market import prices
from ems.points import dimension, unit_label, unit_suffix
from ems.slots import SLOT
from ems.store import Hold, People
from ems.store.questions import Answer, Questions
from ems.store.requests import DISTRICT, Given, Handover, RequestError
from ems.web.access import Permission
from ems.web.pages import Pages, Visit
from ems.web.record import Record
from ems.web.words import Words

OCCUPANCY = {1: "own timetable", 2: "occupied", 3: "unoccupied"}  # modes of a room, as its controller counts them
HOURS = (1, 2, 4, 8, 24, 72)
LEAST_REASON = 3  # characters


@dataclass(frozen=True)
class Estimate:
    """What a hold costs at the plan's own marginal prices: euro and kg of CO2, negative is less."""

    euro: float
    carbon_kg: float


@dataclass(frozen=True)
class Asked:
    """A hold as its form gives it, and what it means."""

    wire: Wire
    value: float
    hours: int
    reason: str
    until: datetime
    found: float | None  # what stands there now
    estimate: Estimate | None  # against the plan, at once; None when it cannot be told
    question: int | None = None  # of the planner, who reckons it again
    answer: Answer | None = None


class Holds:
    """Adds the pages on which managers overrule the plan. Every hold has an owner, a reason and an end."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/manager/holds", Permission.MANAGER, self.show)
        pages.route("/manager/holds", Permission.MANAGER, self.ask, "POST")
        pages.route("/manager/holds/{number}", Permission.MANAGER, self.show_one)
        pages.route("/manager/hand-back", Permission.MANAGER, self.show_hand_back)
        pages.route("/manager/hand-back", Permission.MANAGER, self.hand_back, "POST")

    # Points

    def show(self, visit: Visit) -> Response:
        return self._show(visit)

    def _show(self, visit: Visit, trouble: str = "", status: int = 200, asked: Asked | None = None) -> Response:
        now = self.pages.now()
        groups: dict[str, list[tuple[str, str]]] = {}
        for point, wire in self._points().items():
            building, asset, _ = point.split("/")
            text = f"{visit.words.text(asset.replace('-', ' '))}, {visit.words.quantity(wire.quantity)}"
            text = f"{text} ({allowed(wire, visit.words)})"
            groups.setdefault(self.pages.asset_name(building, visit.words), []).append((point, text))
        return self.pages.page(
            visit,
            "manager_holds.html",
            status=status,
            trouble=trouble,
            asked=asked,
            groups=groups,
            assets=[(name, self.pages.asset_name(name, visit.words)) for name in self._assets()],
            holds=list(self.people.asked.holds(now).values()),
            maintenance=list(self.people.asked.maintenance().values()),
            hours=HOURS,
            chosen=visit.form.get("point", ""),
            value=visit.form.get("value", ""),
            chosen_hours=visit.form.get("hours", ""),
            locked=visit.form.get("asset", ""),
            reason=visit.form.get("reason", "") if visit.form.get("do") != "lock" else "",
            why=visit.form.get("reason", "") if visit.form.get("do") == "lock" else "",
            quantity=lambda point: point.rpartition("/")[2],
            asset=lambda point: point.rpartition("/")[0],
        )

    def ask(self, visit: Visit) -> Response:
        now = self.pages.now()
        match visit.given("do", 12):
            case "ask":
                found = self._asked(visit)
                if isinstance(found, str):
                    return self._show(visit, found, 422)
                number = self._question(found, visit)
                return self._show(visit, asked=found) if number is None else visit.to(f"/manager/holds/{number}")
            case "hold":
                found = self._asked(visit)
                if isinstance(found, str):
                    return self._show(visit, found, 422)
                wanted = Hold(found.wire.point, found.value, visit.who.name, found.reason, now, found.until)
                self.people.asked.hold(wanted, visit.who.role)
            case "end":
                if not self.people.asked.end_hold(visit.given("key"), visit.by, now):
                    raise HTTPException(404)
            case "lock":
                asset, reason = visit.given("asset"), visit.given("reason")
                if asset not in self._assets():
                    raise HTTPException(422)
                if len(reason) < LEAST_REASON:
                    return self._show(visit, visit.words.text("Please give a reason."), 422)
                self.people.asked.take_out(asset, reason, visit.by, now)
            case "unlock":
                if not self.people.asked.put_in(visit.given("key"), visit.by, now):
                    raise HTTPException(404)
            case _:
                raise HTTPException(422)
        return visit.to("/manager/holds")

    def _asked(self, visit: Visit) -> Asked | str:
        """What the form asks for, or what is wrong with it in words."""
        words, point = visit.words, visit.given("point")
        wire = self._points().get(point)
        hours = visit.given("hours", 4)
        if wire is None or wire.measure.write is None or hours not in map(str, HOURS):
            raise HTTPException(422)
        try:
            value = float(visit.given("value", 20).replace(",", "."))
        except ValueError:
            return words.text("Give the value as a number.")
        low, high = wire.measure.write.minimum, wire.measure.write.maximum
        if not math.isfinite(value) or not low <= value <= high:
            return words.text("Give a value: {allowed}.", allowed=allowed(wire, words))
        reason = visit.given("reason")
        if len(reason) < LEAST_REASON:
            return words.text("Please give a reason.")
        now = self.pages.now()
        until = now + timedelta(hours=int(hours))
        sample = self.pages.samples().get(point)
        cost = estimate(self.pages.record("en"), wire, value, now, until)
        return Asked(wire, value, int(hours), reason, until, None if sample is None else sample.usable, cost)

    def _question(self, asked: Asked, visit: Visit) -> int | None:
        """Ask the planner what it would cost; None when it cannot be asked now."""
        if self.pages.folder is None:
            return None
        try:
            return Questions(self.pages.folder).ask(
                "hold", asked.wire.point, asked.value, visit.who.name, self.pages.now(), asked.until, asked.reason
            )
        except RequestError:
            return None

    def show_one(self, visit: Visit, number: str) -> Response:
        """What a hold would cost, before it is confirmed: estimated at once, reckoned when the planner has answered."""
        if self.pages.folder is None or not number.isascii() or not number.isdigit() or len(number) > 9:
            raise HTTPException(404)
        questions, now = Questions(self.pages.folder), self.pages.now()
        question = questions.one(int(number))
        wire = None if question is None or question.what != "hold" else self._points().get(question.subject)
        if question is None or question.until is None or wire is None or question.until <= now:
            raise HTTPException(404)
        sample = self.pages.samples().get(wire.point)
        asked = Asked(
            wire=wire,
            value=question.amount,
            hours=round((question.until - question.at) / timedelta(hours=1)),
            reason=question.reason,
            until=question.until,
            found=None if sample is None else sample.usable,
            estimate=estimate(self.pages.record("en"), wire, question.amount, now, question.until),
            question=question.number,
            answer=questions.answer_of(question.number),
        )
        return self._show(visit, asked=asked)

    def _points(self) -> dict[str, Wire]:
        """What may be held: everything we write but what belongs to a person, and our own sign of life."""
        beats = {d.type.watchdog.quantity for d in self.pages.district.devices if d.type.watchdog is not None}
        return {
            point: wire
            for point, wire in self.pages.district.commanded.items()
            if point.rpartition("/")[0] in self._assets() and wire.quantity not in beats
        }

    def _assets(self) -> dict[str, Asset]:
        return {n: a for n, a in self.pages.district.assets.items() if not isinstance(a, Dwelling | ChargePoint)}

    # Rendre la main

    def show_hand_back(self, visit: Visit) -> Response:
        given = handed_back(self.pages)
        buildings = {device.asset.partition("/")[0] for device in self.pages.district.devices}
        return self.pages.page(
            visit,
            "manager_hand_back.html",
            given=given,
            everything=given.get(DISTRICT),
            buildings=[b for b in self.pages.district.buildings.values() if b.name in buildings],
            may=self.pages.folder is not None,
            DISTRICT=DISTRICT,
        )

    def hand_back(self, visit: Visit) -> Response:
        if self.pages.folder is None:
            raise HTTPException(404)
        part, do = visit.given("key", 80), visit.given("do", 12)
        if part != DISTRICT and part not in self.pages.district.buildings:
            raise HTTPException(422)
        handover, now = Handover(self.pages.folder), self.pages.clock()
        told = "district" if part == DISTRICT else part
        if do == "give":
            handover.give(part, visit.who.name, self.pages.now(), visit.given("reason"))
            self.people.note(visit.who, "handed back", None, now, told)
        elif do == "take":
            if not handover.take(part):
                raise HTTPException(404)
            self.people.note(visit.who, "taken again", None, now, told)
        else:
            raise HTTPException(422)
        return visit.to("/manager/hand-back")


def handed_back(pages: Pages) -> dict[str, Given]:
    """By building, or DISTRICT: what runs on its own because a person said so."""
    if pages.folder is None:
        return {}
    try:
        return Handover(pages.folder).given()
    except RequestError:  # the control process reads it as: everything
        return {DISTRICT: Given("?", pages.now(), "")}


def allowed(wire: Wire, words: Words) -> str:
    """What may be typed for a point, as it is typed: `58 to 70 °C`, `0 off, 1 on`."""
    limits = wire.measure.write
    assert limits is not None
    if unit_suffix(wire.quantity) == "on":
        return f"0 {words.text('off')}, 1 {words.text('on')}"
    if wire.quantity == "occupancy_mode":
        return ", ".join(f"{n} {words.text(text)}" for n, text in OCCUPANCY.items())
    low, high = (f"{limit:g}".replace("-", "−") for limit in (limits.minimum, limits.maximum))
    unit = "" if dimension(wire.quantity) == "share" else unit_label(wire.quantity)
    told = words.text("{low} to {high}", low=low, high=f"{high}\u00a0{unit}".strip())
    return f"{told}; 1 = 100\u00a0%" if dimension(wire.quantity) == "share" else told


def estimate(record: Record, wire: Wire, value: float, start: datetime, until: datetime) -> Estimate | None:
    """What holding a power costs against the plan, at what one kWh more costs at its supply point in each slot.

    Of batteries and roofs; None for what the plan does otherwise in ways that no price tells. What the plan would then
    do elsewhere is not in it.
    """
    slots, name = record.slots, wire.point.rpartition("/")[0]
    asset = record.district.assets.get(name)
    row = record.flow(f"{name}/power_kw")
    if slots is None or not row or not isinstance(asset, Battery | Photovoltaic):
        return None
    supply = record.district.asset(asset.supply, Supply)
    contract = record.district.contracts[supply.contract]
    marginal = record.marginal(supply.name) or prices(contract, slots).import_per_kwh.tolist()
    first = max((start - slots.start) // SLOT, 0)
    last = min(math.ceil((until - slots.start) / SLOT), slots.count)
    match asset:
        case Battery() if wire.quantity == "power_setpoint_kw":
            more = [value - row[i] for i in range(first, last)]
        case Photovoltaic() if wire.quantity == "limit_share":
            more = [max(-row[i] - value * asset.peak_kw, 0.0) for i in range(first, last)]
        case _:
            return None
    euro = sum(kw * slots.hours * marginal[i] for kw, i in zip(more, range(first, last), strict=True))
    return Estimate(float(euro), sum(more) * slots.hours * contract.carbon_kg_per_kwh)
