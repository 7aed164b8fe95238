"""The way in and out: signing in by code, signing out, and which sign-ins still hold."""

from __future__ import annotations

import secrets
import threading

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.store import People
from ems.web.access import (
    SESSION,
    VISIT,
    Attempts,
    Permission,
    drop_cookie,
    form_token,
    give_cookie,
    token_of,
)
from ems.web.pages import START, Pages, Visit

_AT_ONCE = 2  # codes looked up at the same time: 16 MB and 50 ms each
_WAIT_S = 5.0
_SHOWN = 10  # lines of who looked


class Door:
    """Adds the pages of signing in and out."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        self.attempts = Attempts()
        self._looking = threading.BoundedSemaphore(_AT_ONCE)
        pages.route("/sign-in", Permission.EVERYBODY, self.ask)
        pages.route("/sign-in", Permission.EVERYBODY, self.sign_in, "POST")
        pages.route("/sign-out", Permission.SIGNED_IN, self.sign_out, "POST")
        pages.route("/access", Permission.SIGNED_IN, self.access)
        pages.route("/access/end", Permission.SIGNED_IN, self.end, "POST")

    def ask(self, visit: Visit) -> Response:
        if visit.account is not None:
            return visit.to(START[visit.account.role])
        return self._ask(visit)

    def sign_in(self, visit: Visit) -> Response:
        """One answer for every code that opens nothing, after the same time."""
        if visit.account is not None:
            return visit.to(START[visit.account.role])
        now = self.pages.clock()
        address = visit.request.client.host if visit.request.client else ""
        if not self.attempts.take(address, now):
            trouble = visit.words.text("Too many tries. Wait a quarter of an hour, then try again.")
            return self._ask(visit, trouble, status=429)
        if not self._looking.acquire(timeout=_WAIT_S):
            raise HTTPException(503)
        try:
            account = self.people.account_of(str(visit.form.get("code", ""))[:64], now)
        finally:
            self._looking.release()
        if account is None:
            trouble = visit.words.text("This code opens nothing. Please compare it with your letter.")
            return self._ask(visit, trouble, status=422)
        self.attempts.forget(address)
        response = visit.to(START[account.role])
        give_cookie(visit.request, response, SESSION, self.people.open_session(account, now))
        drop_cookie(visit.request, response, VISIT)
        return response

    def sign_out(self, visit: Visit) -> Response:
        self.people.end_session(visit.who, self.people.key(token_of(visit.request)), self.pages.clock())
        response = visit.to("/")
        drop_cookie(visit.request, response, SESSION)
        return response

    def access(self, visit: Visit) -> Response:
        """The sign-ins that hold, and to a resident who looked."""
        return self.pages.page(
            visit,
            "access.html",
            sessions=self.people.sessions(visit.who, self.pages.clock()),
            this=self.people.key(token_of(visit.request)),
            looked=self.people.looked_at(visit.who.home, _SHOWN) if visit.who.home else None,
        )

    def end(self, visit: Visit) -> Response:
        if not self.people.end_session(visit.who, str(visit.form.get("key", ""))[:128], self.pages.clock()):
            raise HTTPException(404)
        return visit.to("/access")

    def _ask(self, visit: Visit, trouble: str = "", status: int = 200) -> Response:
        secret = token_of(visit.request, VISIT) or secrets.token_urlsafe(32)
        response = self.pages.page(
            visit,
            "sign_in.html",
            status=status,
            trouble=trouble,
            visit_token=form_token(secret),
        )
        give_cookie(visit.request, response, VISIT, secret)
        return response
