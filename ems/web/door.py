"""The way in and out: signing in by code or password, signing out, and which sign-ins still hold."""

from __future__ import annotations

import secrets
import threading

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.store import Account, People
from ems.store.passkeys import MOST_PASSKEYS
from ems.store.people import LEAST_PASSWORD
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
from ems.web.api import SCOPES
from ems.web.pages import START, Pages, Visit

_AT_ONCE = 2  # codes looked up at the same time: 16 MB and 50 ms each
_WAIT_S = 5.0
MOST_KEYS = 5
MOST_PASSWORD = 200  # characters


class Door:
    """Adds the pages of signing in and out."""

    def __init__(self, pages: Pages, people: People, organisation: str | None = None) -> None:
        """`organisation` is the name under which staff may sign in elsewhere; None: they may not."""
        self.organisation = organisation
        self.pages = pages
        self.people = people
        self.attempts = Attempts()
        self._looking = threading.BoundedSemaphore(_AT_ONCE)
        pages.route("/sign-in", Permission.EVERYBODY, self.ask)
        pages.route("/sign-in", Permission.EVERYBODY, self.sign_in, "POST")
        pages.route("/sign-out", Permission.SIGNED_IN, self.sign_out, "POST")
        pages.route("/access", Permission.SIGNED_IN, self.access)
        pages.route("/access/organisation", Permission.SIGNED_IN, self.unlink, "POST")
        pages.route("/access/end", Permission.SIGNED_IN, self.end, "POST")
        pages.route("/access/keys", Permission.SIGNED_IN, self.keys)
        pages.route("/access/keys", Permission.SIGNED_IN, self.change_keys, "POST")
        pages.route("/access/password", Permission.SIGNED_IN, self.choose_password)
        pages.route("/access/password", Permission.SIGNED_IN, self.set_password, "POST")

    def ask(self, visit: Visit) -> Response:
        if visit.account is not None:
            return visit.to(START[visit.account.role])
        return self._ask(visit)

    def sign_in(self, visit: Visit) -> Response:
        """One answer for every code that opens nothing, after the same time."""
        if visit.account is not None:
            return visit.to(START[visit.account.role])
        now = self.pages.clock()
        if not self._may_try(visit):
            trouble = visit.words.text("Too many tries. Wait a quarter of an hour, then try again.")
            return self._ask(visit, trouble, status=429)
        if not self._looking.acquire(timeout=_WAIT_S):
            raise HTTPException(503)
        try:
            if password := str(visit.form.get("password", ""))[:MOST_PASSWORD]:
                account = self.people.account_by_password(str(visit.form.get("name", ""))[:100], password, now)
            else:
                account = self.people.account_of(str(visit.form.get("code", ""))[:64], now)
        finally:
            self._looking.release()
        if account is None:
            if password:
                trouble = visit.words.text("This name and password open nothing.")
            else:
                trouble = visit.words.text("This code opens nothing. Please compare it with your letter.")
            return self.refuse(visit, trouble)
        return self.let_in(visit, account)

    def count(self, visit: Visit) -> None:
        """Another try to sign in, in whichever way; 429 for one too many."""
        if not self._may_try(visit):
            raise HTTPException(429)

    def _may_try(self, visit: Visit) -> bool:
        return self.attempts.take(_address(visit), self.pages.clock())

    def refuse(self, visit: Visit, trouble: str) -> Response:
        return self._ask(visit, trouble, status=422)

    def let_in(self, visit: Visit, account: Account) -> Response:
        """This is who asks: a new session, whatever the browser had before."""
        self.attempts.forget(_address(visit))
        response = visit.to(START[account.role])
        token = self.people.open_session(account, self.pages.clock())
        give_cookie(visit.request, response, SESSION, token)
        drop_cookie(visit.request, response, VISIT)
        return response

    def sign_out(self, visit: Visit) -> Response:
        self.people.end_session(visit.who, self.people.key(token_of(visit.request)), self.pages.clock())
        response = visit.to("/")
        drop_cookie(visit.request, response, SESSION)
        return response

    def access(self, visit: Visit) -> Response:
        """The sign-ins that hold, a password, passkeys, and the organisation that knows a member of staff."""
        return self.pages.page(
            visit,
            "access.html",
            sessions=self.people.sessions(visit.who, self.pages.clock()),
            this=self.people.key(token_of(visit.request)),
            passkeys=self.people.passkeys.of(visit.who.id),
            most=MOST_PASSKEYS,
            links=self.people.identities.of(visit.who.id),
            origin=self.pages.origin,
            here=self.pages.is_at_origin(visit.request),
        )

    def unlink(self, visit: Visit) -> Response:
        """Of the account that asks alone, also where no provider is named any more."""
        issuer = visit.given("key", 500)
        if not self.people.identities.unlink(visit.who.id, issuer, visit.by, self.pages.clock()):
            raise HTTPException(404)
        return visit.to("/access")

    def end(self, visit: Visit) -> Response:
        if not self.people.end_session(visit.who, str(visit.form.get("key", ""))[:128], self.pages.clock()):
            raise HTTPException(404)
        return visit.to("/access")

    def keys(self, visit: Visit) -> Response:
        return self._keys(visit)

    def _keys(self, visit: Visit, made: str = "") -> Response:
        held = self.people.tokens(visit.who, self.pages.clock())
        return self.pages.page(visit, "keys.html", keys=held, made=made, most=MOST_KEYS, scopes=SCOPES)

    def change_keys(self, visit: Visit) -> Response:
        """A new key to the API, shown once, or the end of one."""
        now = self.pages.clock()
        match visit.given("do", 12):
            case "make":
                label, scope = visit.given("label", 40), visit.given("scope", 12) or "read"
                if len(self.people.tokens(visit.who, now)) >= MOST_KEYS or not label or scope not in SCOPES:
                    raise HTTPException(422)
                return self._keys(visit, self.people.make_token(visit.who, label, scope, now))
            case "end":
                if not self.people.end_token(visit.who, visit.given("key", 128), now):
                    raise HTTPException(404)
            case _:
                raise HTTPException(422)
        return visit.to("/access/keys")

    def choose_password(self, visit: Visit) -> Response:
        return self._choose(visit)

    def _choose(self, visit: Visit, trouble: str = "", status: int = 200) -> Response:
        return self.pages.page(visit, "password.html", status=status, trouble=trouble, least=LEAST_PASSWORD)

    def set_password(self, visit: Visit) -> Response:
        """Instead of the code, which ends. Hashing is bounded: 64 MiB and a quarter of a second each."""
        password = visit.given("password", MOST_PASSWORD)
        if len(password) < LEAST_PASSWORD:
            trouble = visit.words.text("Choose at least {least} characters.", least=LEAST_PASSWORD)
            return self._choose(visit, trouble, 422)
        if not self._looking.acquire(timeout=_WAIT_S):
            raise HTTPException(503)
        try:
            self.people.set_password(visit.who, password, self.pages.clock())
        finally:
            self._looking.release()
        return visit.to("/access")

    def _ask(self, visit: Visit, trouble: str = "", status: int = 200) -> Response:
        secret = token_of(visit.request, VISIT) or secrets.token_urlsafe(32)
        response = self.pages.page(
            visit,
            "sign_in.html",
            status=status,
            trouble=trouble,
            # What was typed stays, to be compared with the letter; a password never does.
            code=str(visit.form.get("code") or visit.request.query_params.get("code", ""))[:40],
            name_typed=str(visit.form.get("name", ""))[:100],
            by_name="password" in visit.form,
            visit_token=form_token(secret),
            organisation=self.organisation,
            origin=self.pages.origin,
            here=self.pages.is_at_origin(visit.request),
        )
        give_cookie(visit.request, response, VISIT, secret)
        return response


def _address(visit: Visit) -> str:
    return visit.request.client.host if visit.request.client else ""
