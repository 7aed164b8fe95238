"""Alarms as people read them, and what they do about them: seen, or put aside for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import ChargePoint, Dwelling
from ems.store import Alarm, People, StoreError
from ems.store.alarms import AlarmState
from ems.store.requests import Request, Requests
from ems.web.access import Permission
from ems.web.pages import Pages, Visit
from ems.web.record import Record
from ems.web.words import Words, typeset

SHELVES = (1, 8, 24, 168)  # hours
PAST = timedelta(days=7)
SHOWN = 60


@dataclass(frozen=True)
class Shown:
    """One alarm in one language."""

    alarm: Alarm
    title: str
    cause: str
    consequence: str
    remedy: str
    subject: str
    detail: str
    state: str


class AlarmPages:
    """Adds the page of alarms. What is done about one goes to the control process, which keeps them."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/manager/alarms", Permission.MANAGER, self.show)
        pages.route("/manager/alarms", Permission.MANAGER, self.ask, "POST")

    def show(self, visit: Visit) -> Response:
        standing, past, known = open_alarms(self.pages, visit.words), [], True
        try:
            since = self.pages.store.alarms.since(self.pages.now() - PAST, SHOWN)
            past = [shown(a, self.pages, visit.words) for a in since if a.cleared_at is not None]
        except StoreError:
            known = False
        return self.pages.page(
            visit,
            "manager_alarms.html",
            alarms=standing[:SHOWN],
            count=len(standing),
            past=past,
            known=known,
            shelves=SHELVES,
            may_act=self.pages.folder is not None,
            asked=self._asked(),
        )

    def ask(self, visit: Visit) -> Response:
        key, now = visit.given("key", 12), self.pages.now()
        if self.pages.folder is None or not key.isascii() or not key.isdigit():
            raise HTTPException(404)
        try:
            alarm = self.pages.store.alarms.find(int(key))
        except StoreError as error:
            raise HTTPException(503) from error
        if alarm is None or alarm.cleared_at is not None:
            raise HTTPException(404)
        do, until = visit.given("do", 12), None
        if do == "shelve":
            hours = visit.given("hours", 4)
            if hours not in map(str, SHELVES):
                raise HTTPException(422)
            until = now + timedelta(hours=int(hours))
        elif do != "seen":
            raise HTTPException(422)
        what = "seen" if until is None else "shelve"
        Requests(self.pages.folder).ask(Request(what, alarm.number, visit.who.name, now, until))  # type: ignore[arg-type]
        done = "alarm acknowledged" if until is None else "alarm shelved"
        self.people.note(visit.who, done, None, self.pages.clock(), alarm.kind.name)  # type: ignore[arg-type]
        return visit.to("/manager/alarms")

    def _asked(self) -> frozenset[int]:
        """Alarms about which something waits to be done by the control process."""
        if self.pages.folder is None:
            return frozenset()
        waiting = Requests(self.pages.folder).waiting().values()
        return frozenset(one.alarm for one in waiting if isinstance(one, Request))


def open_alarms(pages: Pages, words: Words, *, raised_only: bool = False) -> list[Shown]:
    """What is wrong now, gravest first; with `raised_only` without what somebody has seen or put aside."""
    try:
        found = pages.store.alarms.open()
    except StoreError:
        return []
    alarms = [shown(a, pages, words) for a in found]
    return [a for a in alarms if not raised_only or a.state == AlarmState.RAISED.value]


def shown(alarm: Alarm, pages: Pages, words: Words) -> Shown:
    """An alarm in one language. Of a home or a car only that something is, never a value."""
    told = alarm.kind.fr if words.language == "fr" else alarm.kind.en
    asset = "/".join(alarm.subject.split("/")[:2])
    known = pages.district.assets.get(asset)
    private = isinstance(known, Dwelling | ChargePoint)
    subject = alarm.subject
    if isinstance(known, Dwelling):
        subject = pages.home_name(asset, words)
    elif known is not None:
        subject = pages.asset_name(asset, words)
    elif alarm.subject in pages.district.buildings or alarm.subject in pages.district.buses:
        subject = pages.asset_name(alarm.subject, words)
    detail = "" if private else Record(None, pages.district, pages.now(), words.language).public(alarm.detail)
    state = alarm.state(pages.now()).value
    title, cause, consequence, remedy = (
        typeset(text, words.language) for text in (told.title, told.cause, told.consequence, told.remedy)
    )
    return Shown(alarm, title, cause, consequence, remedy, subject, detail, state)
