"""What people take out of the plan's hands: points held at a value, assets under maintenance, control handed back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import Asset, ChargePoint, Dwelling
from ems.district import Wire
from ems.slots import SLOT
from ems.store import Hold, People
from ems.store.requests import DISTRICT, Given, Handover, RequestError
from ems.web.access import Permission
from ems.web.pages import Pages, Visit
from ems.web.record import Record

HOURS = (1, 2, 4, 8, 24, 72)
LEAST_REASON = 3  # characters


@dataclass(frozen=True)
class Asked:
    """A hold as its form gives it, and what it means."""

    wire: Wire
    value: float
    hours: int
    reason: str
    until: datetime
    found: float | None  # what stands there now
    cost_euro: float | None  # against the plan; None when it cannot be told


class Holds:
    """Adds the pages on which managers overrule the plan. Every hold has an owner, a reason and an end."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/manager/holds", Permission.MANAGER, self.show)
        pages.route("/manager/holds", Permission.MANAGER, self.ask, "POST")
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
            unit = f"{wire.measure.write.minimum:g} – {wire.measure.write.maximum:g}" if wire.measure.write else ""
            text = f"{visit.words.text(asset.replace('-', ' '))}, {visit.words.quantity(wire.quantity)} ({unit})"
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
            reason=visit.form.get("reason", ""),
            quantity=lambda point: point.rpartition("/")[2],
            asset=lambda point: point.rpartition("/")[0],
        )

    def ask(self, visit: Visit) -> Response:
        now = self.pages.now()
        match visit.given("do", 12):
            case "ask":
                found = self._asked(visit)
                return self._show(visit, found, 422) if isinstance(found, str) else self._show(visit, asked=found)
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
            return words.text(
                "Give a value from {low} to {high}.",
                low=words.value(wire.quantity, low),
                high=words.value(wire.quantity, high),
            )
        reason = visit.given("reason")
        if len(reason) < LEAST_REASON:
            return words.text("Please give a reason.")
        now = self.pages.now()
        until = now + timedelta(hours=int(hours))
        sample = self.pages.samples().get(point)
        cost = cost_euro(self.pages.record("en"), wire, value, now, until)
        return Asked(wire, value, int(hours), reason, until, None if sample is None else sample.usable, cost)

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


def cost_euro(record: Record, wire: Wire, value: float, start: datetime, until: datetime) -> float | None:
    """What holding a power costs against the plan, at the plan's prices of energy; None for what is no power.

    A first estimate: what the plan would then do elsewhere is not in it.
    """
    slots = record.slots
    row = record.record.get("plan", {}) and record.record["plan"].get("flows", {}).get(
        f"{wire.point.rpartition('/')[0]}/power_kw"
    )
    price = next(iter(record.prices.values()), None)
    if slots is None or not row or price is None or wire.quantity != "power_setpoint_kw":
        return None
    first = max((start - slots.start) // SLOT, 0)
    last = min(math.ceil((until - slots.start) / SLOT), slots.count)
    return float(sum((value - row[i]) * slots.hours * price[i] for i in range(first, last)))
