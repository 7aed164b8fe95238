"""Residents' messages as managers see them: what is wrong, what was measured, and the answer with a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.slots import Slots
from ems.store import People, Ticket
from ems.web.access import Permission
from ems.web.chart import Line
from ems.web.figures import LINES, Figure, temperatures
from ems.web.help import SAYINGS
from ems.web.pages import Pages, Visit
from ems.web.words import Words

COMES = (2, 6, 24, 72)  # hours until somebody comes
MOST_WORDS = 1000


class Messages:
    """Adds the managers' pages of messages. Reading one is noted, and told to the home."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/manager/messages", Permission.MANAGER, self.show)
        pages.route("/manager/messages/{number}", Permission.MANAGER, self.one)
        pages.route("/manager/messages/{number}", Permission.MANAGER, self.answer, "POST")

    def show(self, visit: Visit) -> Response:
        return self.pages.page(
            visit,
            "manager_messages.html",
            sayings=SAYINGS,
            waiting=self.people.tickets.waiting(100),
            closed=self.people.tickets.closed(10),
        )

    def one(self, visit: Visit, number: str) -> Response:
        ticket = self._ticket(number)
        self.people.note(visit.who, "message read", ticket.home, self.pages.clock())
        return self._show(visit, ticket)

    def _show(self, visit: Visit, ticket: Ticket, trouble: str = "", status: int = 200) -> Response:
        return self.pages.page(
            visit,
            "manager_message.html",
            status=status,
            trouble=trouble,
            ticket=ticket,
            sayings=SAYINGS,
            figure=_figure(ticket, visit.words),
            hours=COMES,
            chosen=visit.form.get("hours", str(COMES[0])),
            again=sum(1 for t in self.people.tickets.of(ticket.home) if t.kind == ticket.kind) - 1,
        )

    def answer(self, visit: Visit, number: str) -> Response:
        ticket, now = self._ticket(number), self.pages.now()
        match visit.given("do", 12):
            case "answer":
                words, hours = visit.given("words", MOST_WORDS), visit.given("hours", 4)
                if hours not in ("", *map(str, COMES)):
                    raise HTTPException(422)
                if not words:
                    return self._show(visit, ticket, visit.words.text("Please write a few words."), 422)
                comes = now + timedelta(hours=int(hours)) if hours else None
                done = self.people.tickets.answer(ticket.number, words, comes, visit.by, now)
            case "close":
                done = self.people.tickets.close(ticket.number, None, visit.by, now)
            case _:
                raise HTTPException(422)
        if not done:
            raise HTTPException(404)
        return visit.to("/manager/messages")

    def _ticket(self, number: str) -> Ticket:
        if not number.isascii() or not number.isdigit() or len(number) > 9:
            raise HTTPException(404)
        found = self.people.tickets.one(int(number))
        if found is None or found.home not in self.pages.district.dwellings:
            raise HTTPException(404)
        return found


def _figure(ticket: Ticket, words: Words) -> Figure | None:
    """What was measured in the day before the message, where it is a temperature."""
    values = ticket.measured.get("values", {})
    rows = {p: row for p, row in values.items() if p.endswith("_c") and any(v is not None for v in row)}
    if not rows:
        return None
    slots = Slots(datetime.fromisoformat(ticket.measured["start"]), len(next(iter(rows.values()))))
    lines = [
        Line(words.quantity(point.rpartition("/")[2]).capitalize(), row, ink)
        for (point, row), ink in zip(rows.items(), LINES, strict=False)
    ]
    return temperatures(lines, slots, words, title=words.text("The 24 hours before, °C"))
