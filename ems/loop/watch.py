"""What is wrong now: events for those who watch, and alarms that hold until their cause is gone.

Troubles live in memory first and reach the store when it answers, so that a database which is gone silences nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import takewhile

from ems.loop.events import Event, OnEvent, Totals
from ems.store import KINDS, Store, StoreError, Trouble

EVENTS_KEPT = 500
PASSING = timedelta(days=1)  # an alarm that is an event, not a state, is cleared after this
TOLD_MOST = 1000  # changes kept for a database that is gone; the state itself is never lost


class Watch:
    """Says what happens, and keeps the list of what is wrong: `standing`, by kind and subject."""

    def __init__(self, store: Store, now: Callable[[], datetime], totals: Totals, on_event: OnEvent) -> None:
        self.events: list[Event] = []
        self.standing: dict[tuple[str, str], str] = {}
        self.raised = 0  # since the beginning, for counting what happened in a cycle
        self._store = store
        self._now = now
        self._totals = totals
        self._on_event = on_event
        self._untold: list[tuple[Trouble, datetime, bool]] = []  # (what, when, whether it is over)
        self._forgot = False  # some changes were too many to keep: what is over may still stand open in the store

    def say(self, kind: str, text: str) -> None:
        """Tell whoever listens, and no more."""
        event = Event(self._now(), kind, text)
        self.events.append(event)
        del self.events[:-EVENTS_KEPT]
        self.raised += 1
        if kind == "fallback":
            self._totals.fallbacks += 1
        self._on_event(event)

    def wrong(self, kind: str, subject: str, text: str, *, says: str = "alarm") -> None:
        """Raise an alarm. What is wrong already is said again only when its words change; a fallback each time."""
        known = self.standing.get((kind, subject))
        self.standing[kind, subject] = text
        if known != text or not KINDS[kind].holds or says == "fallback":
            self.say(says, text)
        self._keep(Trouble(kind, subject, text), over=False)

    def right(self, kind: str, subject: str = "", text: str = "") -> None:
        """The cause is gone. Nothing happens when it was not wrong."""
        if self.standing.pop((kind, subject), None) is None:
            return
        if text:
            self.say("recovered", text)
        self._keep(Trouble(kind, subject), over=True)

    def _keep(self, trouble: Trouble, *, over: bool) -> None:
        self._untold.append((trouble, self._now(), over))
        if len(self._untold) > TOLD_MOST:
            self._forgot = True
            del self._untold[:-TOLD_MOST]

    def only(self, kind: str, found: dict[str, str], recovered: str = "") -> None:
        """The whole list of one kind, by subject: raises what is new, clears what is not in it."""
        for subject, text in sorted(found.items()):
            self.wrong(kind, subject, text)
        for known, subject in sorted(self.standing):
            if known == kind and subject not in found:
                self.right(kind, subject, recovered.format(subject) if recovered else "")

    def recall(self) -> None:
        """Take over what a process before this one left wrong, so that it is cleared when it is right."""
        for alarm in self._store.alarms.open():
            self.standing.setdefault((alarm.kind.name, alarm.subject), alarm.detail)

    def tell(self) -> None:
        """Bring the store up to date. What it does not take now waits for the next time."""
        now = self._now()
        for kind, subject in list(self.standing):
            if not KINDS[kind].holds and not any(t.kind == kind and t.subject == subject for t, _, _ in self._untold):
                self._let_pass(kind, subject, now)
        while self._untold:
            _, at, over = when = self._untold[0]
            same = list(takewhile(lambda one, like=when: one[1:] == like[1:], self._untold))  # type: ignore[misc]
            if over:
                same = same[:1]
                self._store.alarms.clear(same[0][0].kind, same[0][0].subject, at)
            else:
                self._store.alarms.raise_all([trouble for trouble, _, _ in same], at)
            del self._untold[: len(same)]
        if self._forgot:
            self._forgot = False
            for alarm in self._store.alarms.open():
                if (alarm.kind.name, alarm.subject) not in self.standing:
                    self._keep(Trouble(alarm.kind.name, alarm.subject), over=True)  # told the next time

    def _let_pass(self, kind: str, subject: str, now: datetime) -> None:
        for alarm in self._store.alarms.open():
            if (alarm.kind.name, alarm.subject) == (kind, subject) and now - alarm.last_at > PASSING:
                self.right(kind, subject)

    @contextmanager
    def said_if_store_fails(self, what: str) -> Iterator[None]:
        """Goes on without the store, and says so."""
        try:
            yield
        except StoreError as error:
            self.say("alarm", f"{what}: {error}")
