"""Staff sign in at their organisation (OpenID Connect): off until a file names its provider, and for the invited alone.

Authorization code with PKCE; state, nonce and verifier are kept in the store for minutes, for the browser that asked.
The first time, the address that the provider has verified must be the name of an invited member of staff; from then
on the provider's subject is who they are. Residents have no part in it.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import yaml
from fastapi import Response
from fastapi.responses import RedirectResponse

from ems.store import Account, People
from ems.web.access import VISIT, Permission, give_cookie, token_of
from ems.web.door import Door
from ems.web.pages import START, Pages, Visit

BACK = "/sign-in/organisation/back"


class OrganisationError(ValueError):
    """The provider cannot be used as it is described, or what it said is not to be believed."""


@dataclass(frozen=True)
class Client:
    """What we are to the provider: its `issuer`, and our id and secret there (none for a public client)."""

    issuer: str
    client_id: str
    client_secret: str | None = None
    name: str = ""  # of the organisation, on the page


@dataclass(frozen=True)
class Identity:
    """Who the provider says that somebody is. `email` is None unless it has verified it."""

    issuer: str
    subject: str
    email: str | None


class Provider(Protocol):
    """A provider as the pages use it; `ems.web.oidc` is one."""

    @property
    def name(self) -> str: ...

    @property
    def issuer(self) -> str: ...

    def address(self, back: str, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is sent to sign in. Raises OrganisationError."""

    def who(self, code: str, back: str, nonce: str, verifier: str, now: datetime) -> Identity:
        """Who came back with this code. Raises OrganisationError."""


def read_client(file: Path) -> Client:
    """Read `issuer`, `client_id`, `client_secret` and `name` from a YAML file. Raises OrganisationError."""
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        mode = file.stat().st_mode
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OrganisationError(f"{file} cannot be read: {error}") from error
    keys = {"issuer", "client_id", "client_secret", "name"}
    if not isinstance(found, dict) or not {"issuer", "client_id"} <= set(found) <= keys:
        raise OrganisationError(f"{file}: give issuer and client_id, and client_secret and name where there are any")
    if not all(isinstance(value, str) and value for value in found.values()):
        raise OrganisationError(f"{file}: every value is a text; put it in quotes")
    if "client_secret" in found and mode & 0o077:
        raise OrganisationError(f"{file} holds a secret and others may read it; chmod 600 {file}")
    client = Client(**found)
    if not is_safe(client.issuer):
        raise OrganisationError(f"{file}: issuer {client.issuer} is not https; plain HTTP is for loopback alone")
    return client


def provider_of(client: Client) -> Provider:
    """Raises OrganisationError where the extra that it needs is not installed."""
    try:
        from ems.web.oidc import OpenIdProvider
    except ModuleNotFoundError as error:
        raise OrganisationError(
            f"--oidc needs {error.name}, which is not installed; pip install 'smartseille-ems[oidc]'"
        ) from error
    return OpenIdProvider(client)


def is_safe(address: str) -> bool:
    """Whether nobody on the way hears what is said to this address."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    return parts.scheme == "https" or (parts.scheme == "http" and (host == "localhost" or host.startswith("127.")))


class Organisation:
    """Adds the way to the provider and back."""

    def __init__(self, pages: Pages, people: People, door: Door, provider: Provider) -> None:
        assert pages.origin is not None, "without an origin there is no address to come back to"
        self.pages = pages
        self.people = people
        self.door = door
        self.provider = provider
        self.back = pages.origin + BACK
        pages.route("/sign-in/organisation", Permission.EVERYBODY, self.leave)
        pages.route(BACK, Permission.EVERYBODY, self.come_back)

    def leave(self, visit: Visit) -> Response:
        """To the provider. A link and not a form: a form of ours leads nowhere else."""
        if visit.account is not None:
            return visit.to(START[visit.account.role])
        if not self.pages.is_at_origin(visit.request):  # the browser comes back there, and its cookie with it
            return RedirectResponse(f"{self.pages.origin}/sign-in{visit.keep}", status_code=303)
        self.door.count(visit)
        secret = token_of(visit.request, VISIT) or secrets.token_urlsafe(32)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        try:
            address = self.provider.address(self.back, state, nonce, verifier)
        except OrganisationError:
            return self.door.refuse(visit, visit.words.text("The sign-in of your organisation does not answer."))
        kept = json.dumps({"nonce": nonce, "verifier": verifier})
        self.people.challenges.keep(_key(secret, state), kept.encode(), self.pages.clock())
        response = RedirectResponse(address, status_code=303)
        give_cookie(visit.request, response, VISIT, secret)
        return response

    def come_back(self, visit: Visit) -> Response:
        if visit.account is not None:
            return visit.to(START[visit.account.role])
        try:
            account = self._account(visit)
        except OrganisationError:
            trouble = visit.words.text(
                "Your organisation's sign-in opens nothing here: only who was invited may come in."
            )
            return self.door.refuse(visit, trouble)
        return self.door.let_in(visit, account)

    def _account(self, visit: Visit) -> Account:
        """Who has come back. Raises OrganisationError."""
        asked, now = visit.request.query_params, self.pages.clock()
        state, code = asked.get("state", "")[:100], asked.get("code", "")
        secret = token_of(visit.request, VISIT)
        kept = self.people.challenges.take(_key(secret, state), now) if secret and state else None
        if kept is None:
            raise OrganisationError("not asked for by this browser, or too late")
        if not code or len(code) > 2000:
            raise OrganisationError("without a code")
        known: dict[str, Any] = json.loads(kept)
        if asked.get("iss", self.provider.issuer) != self.provider.issuer:  # RFC 9207
            raise OrganisationError("another issuer answers")
        who = self.provider.who(code, self.back, known["nonce"], known["verifier"], now)
        number = self.people.identities.account_id(who.issuer, who.subject)
        if number is None and who.email is not None:
            number = self.people.identities.link(who.issuer, who.subject, who.email, now)
        account = None if number is None else self.people.account(number, now)
        if account is None or account.home is not None:
            raise OrganisationError("nobody who was invited")
        return account


def _key(secret: str, state: str) -> str:
    return f"organisation {secret} {state}"
