"""Who may see which page: one permission per route, sessions by cookie, forms that only our own pages can send."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import threading
from collections import OrderedDict, deque
from datetime import datetime, timedelta
from enum import Enum
from urllib.parse import urlsplit

from fastapi import Request, Response

from ems.store import Account, Role

MOST_FORM_BYTES = 4096


class Permission(Enum):
    """Whom a route is for. Whoever is signed in as somebody else gets 404, as for a page that is not there."""

    EVERYBODY = "everybody"
    SIGNED_IN = "signed in"
    HOME = "see a home"  # the one that the session belongs to; no address names a home
    RESIDENT = "act for a home"
    MANAGER = "run the district"
    DEVICES = "see devices"
    AUDIT = "read the audit"
    REPORTS = "read reports"  # sums over a building

    def allows(self, account: Account | None) -> bool:
        if self is Permission.EVERYBODY:
            return True
        return account is not None and (self is Permission.SIGNED_IN or account.role in ROLES[self])


STAFF: frozenset[Role] = frozenset({"manager", "admin"})
ROLES: dict[Permission, frozenset[Role]] = {
    Permission.HOME: frozenset({"resident", "caregiver"}),
    Permission.RESIDENT: frozenset({"resident"}),
    Permission.MANAGER: STAFF,
    Permission.DEVICES: STAFF | {"installer"},
    Permission.AUDIT: STAFF | {"auditor"},
    Permission.REPORTS: STAFF | {"auditor"},
}


class Attempts:
    """Tries to sign in, by network address, within a window.

    Only by address: a code that is nobody's names no account to count them by, and 59 bits leave nothing to guess; the
    limit is there so that nobody keeps the machine busy. Remembers at most `addresses`, the latest ones.
    """

    def __init__(self, most: int = 10, within: timedelta = timedelta(minutes=15), addresses: int = 10_000) -> None:
        self.most, self.within, self.addresses = most, within, addresses
        self._seen: OrderedDict[str, deque[datetime]] = OrderedDict()
        self._guard = threading.Lock()

    def take(self, address: str, now: datetime) -> bool:
        """Count a try. False when this address has had its share."""
        network = _network(address)
        with self._guard:
            tries = self._seen.setdefault(network, deque(maxlen=self.most))
            self._seen.move_to_end(network)
            if len(self._seen) > self.addresses:
                self._seen.popitem(last=False)
            while tries and now - tries[0] >= self.within:
                tries.popleft()
            if len(tries) >= self.most:
                return False
            tries.append(now)
            return True

    def forget(self, address: str) -> None:
        """It was somebody of ours."""
        with self._guard:
            self._seen.pop(_network(address), None)

    def __len__(self) -> int:
        return len(self._seen)


def _network(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 address: one subscriber."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((known, 64), strict=False)) if known.version == 6 else str(known)


# Cookies

SESSION, VISIT = "session", "visit"  # a visit is what the form to sign in hangs on, before there is a session
LARGE = "large"  # print, for who reads badly: it belongs to the device
_LASTS_S = {VISIT: 3600, SESSION: 90 * 86_400, LARGE: 365 * 86_400}  # the store ends sessions, earlier


def _cookie(request: Request, name: str) -> str:
    """`__Host-` ties a cookie to this very host; browsers want https for it."""
    return f"__Host-{name}" if request.url.scheme == "https" else name


def token_of(request: Request, name: str = SESSION) -> str:
    return request.cookies.get(_cookie(request, name), "")[:128]


def give_cookie(request: Request, response: Response, name: str, value: str) -> None:
    response.set_cookie(
        _cookie(request, name),
        value,
        max_age=_LASTS_S[name],
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def drop_cookie(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(_cookie(request, name), httponly=True, samesite="lax", secure=request.url.scheme == "https")


# Forms


def form_token(secret: str) -> str:
    """What a form carries to show that it comes from a page of ours: made from a cookie that others cannot read."""
    return hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest()


def is_ours(request: Request, secret: str, given: str) -> bool:
    """Whether a form was sent by a page of ours: by what the browser says of its origin, and by its token."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        same = site == "same-origin"
    else:  # an old browser, or plain HTTP over a network
        same = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    return same and bool(secret) and hmac.compare_digest(form_token(secret).encode(), given.encode())
