"""What all pages share: the store, the words, the frame around a page, and the way in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from ems.district import District, Label
from ems.points import Quality, Sample
from ems.slots import SLOT
from ems.store import Account, People, Role, Store, StoreError
from ems.web.access import LARGE, MOST_FORM_BYTES, VISIT, Permission, form_token, give_cookie, is_ours, token_of
from ems.web.figures import COSTS
from ems.web.paper import can_print, pdf
from ems.web.record import LOST_AFTER, Record
from ems.web.shelf import KEEP
from ems.web.words import LANGUAGES, Words, chosen, typeset

READ_WITHIN = SLOT + timedelta(minutes=5)  # of a value that can be of now: a site may sweep once in a quarter-hour
READ_SINCE = timedelta(days=1)  # of a point that is read at all
_HERE = Path(__file__).parent
_STATIC = {
    "style.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "passkey.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
# Where each begins.
START: dict[Role, str] = {
    "resident": "/my-home",
    "caregiver": "/my-home",
    "manager": "/manager/abnormal",
    "admin": "/manager/abnormal",
    "installer": "/manager/devices",
    "auditor": "/manager/audit",
}

# Name of a tab and its address.
_MANAGER = (
    ("Abnormal", "/manager/abnormal"),
    ("Live", "/manager"),
    ("Plan", "/manager/plan"),
    ("Messages", "/manager/messages"),
    ("More", "/manager/more"),
)
TABS: dict[Role, tuple[tuple[str, str], ...]] = {
    "manager": _MANAGER,
    "admin": _MANAGER,
    "resident": (
        ("Today", "/my-home"),
        ("Month", "/my-home/month"),
        ("Comfort", "/my-home/comfort"),
        ("Car", "/my-home/car"),
        ("Help", "/my-home/help"),
        ("My data", "/my-data"),
    ),
    "caregiver": (
        ("Today", "/my-home"),
        ("Month", "/my-home/month"),
        ("Comfort", "/my-home/comfort"),
        ("Help", "/my-home/help"),
        ("My access", "/access"),
    ),
    "installer": (("Devices", "/manager/devices"), ("My access", "/access")),
    "auditor": (("Audit", "/manager/audit"), ("Reports", "/manager/reports"), ("My access", "/access")),
}


@dataclass(frozen=True)
class Visit:
    """One request: who asks, in which language, and what a form brought."""

    request: Request
    account: Account | None
    words: Words
    form: FormData

    @property
    def who(self) -> Account:
        """Who asks, on a route that only somebody reaches."""
        assert self.account is not None
        return self.account

    @property
    def home(self) -> str:
        """The home of the resident who asks."""
        assert self.who.home is not None
        return self.who.home

    @property
    def by(self) -> tuple[str, str]:
        """Name and role of who asks, for the audit."""
        return self.who.name, self.who.role

    def given(self, field: str, most: int = 200) -> str:
        """What a form says in one field, trimmed; empty when it has none. 422 for more than `most` characters."""
        found = self.form.get(field, "")
        if not isinstance(found, str) or len(found) > most:
            raise HTTPException(422)
        return found.strip()

    @property
    def keep(self) -> str:
        """What to append to our own links so that a chosen language stays."""
        return f"?lang={self.words.language}" if self.request.query_params.get("lang") in LANGUAGES else ""

    def to(self, path: str) -> RedirectResponse:
        """See that page next."""
        return RedirectResponse(path + self.keep, status_code=303)


Handler = Callable[..., Response]


class Pages:
    """The frame: routes with their permissions, and pages with their words."""

    def __init__(
        self,
        app: FastAPI,
        store: Store,
        now: Callable[[], datetime],
        district: District,
        people: People | None,
        clock: Callable[[], datetime],
        folder: Path | None = None,
        origin: str | None = None,
    ) -> None:
        self.folder = folder
        self.origin = origin
        self.app = app
        self.store = store
        self.now = now
        self.district = district
        self.people = people
        self.clock = clock
        self.zone = ZoneInfo(district.place.time_zone)
        self.static = {_hashed(name): (name, kind) for name, kind in _STATIC.items()}
        self.templates = Environment(
            loader=DictLoader(dict(_templates())),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals["static"] = {name: f"/static/{hashed}" for hashed, (name, _) in self.static.items()}
        self.templates.globals["COSTS"] = COSTS
        self.templates.tests["past"] = lambda instant: instant <= self.now()
        self.templates.filters["capital"] = lambda text: text[:1].upper() + text[1:]
        app.state.permissions = {}

    # Routes

    def route(
        self, path: str, permission: Permission, handler: Handler, method: str = "GET", *, keep: bool = False
    ) -> None:
        """`handler(visit, **path)` answers; before it is called, who asks and what was sent are checked.

        With `keep`, the answer may be given again while nothing that it was made from has changed (see `Shelf`).
        """

        def reply(request: Request, form: FormData = Depends(_form)) -> Response:  # noqa: B008 -- FastAPI's way
            account = self._visitor(request)
            if not permission.allows(account):
                if account is not None:
                    raise HTTPException(404)
                return Visit(request, None, self._words(request), form).to("/sign-in")
            if method != "GET":
                secret = token_of(request) if account is not None else token_of(request, VISIT)
                if not is_ours(request, secret, str(form.get("token", ""))):
                    raise HTTPException(403)
            answer = handler(Visit(request, account, self._words(request), form), **request.path_params)
            if keep and answer.status_code == 200:
                answer.headers[KEEP] = "1"
            return answer

        self.app.state.permissions[path, method] = permission
        self.app.add_api_route(path, reply, methods=[method], response_class=HTMLResponse, include_in_schema=False)

    def _visitor(self, request: Request) -> Account | None:
        token = token_of(request)
        if self.people is None or not token:
            return None
        account = self.people.visitor(token, self.clock())
        # A home that the district no longer has belongs to nobody.
        return None if account is not None and account.home and account.home not in self.district.dwellings else account

    # Pages

    def page(self, visit: Visit, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page in the visitor's language."""
        words = visit.words
        asked = visit.request.query_params.get("large")
        large = asked == "yes" if asked in ("yes", "no") else token_of(visit.request, LARGE) == "yes"
        html = self.templates.get_template(template).render(
            _=words.text,
            words=words,
            colon="\u00a0:" if words.language == "fr" else ":",
            languages={language: _with(visit.request, lang=language) for language in LANGUAGES},
            large=large,
            other_size=_with(visit.request, large="no" if large else "yes"),
            district=self.district,
            keep=visit.keep,
            account=visit.account,
            tabs=TABS[visit.account.role] if visit.account else (),
            path=visit.request.url.path,
            home=visit.account.home if visit.account else None,
            may_sign_in=self.people is not None,
            token=form_token(token_of(visit.request)),
            label=lambda label: _label(label, words.language),
            name=lambda asset: self.asset_name(asset, words),
            home_name=lambda home: self.home_name(home, words),
            now=self.now(),
            **values,
        )
        headers = {"Content-Language": words.language, "Vary": "Accept-Language, Cookie"}
        response = HTMLResponse(html, status_code=status, headers=headers)
        if asked in ("yes", "no"):
            give_cookie(visit.request, response, LARGE, asked)
        return response

    def printed(self, visit: Visit, page: HTMLResponse, name: str) -> Response:
        """A page as PDF under this name; 404 where the extra is not installed, which no page then offers."""
        if not can_print():
            raise HTTPException(404)
        files = {f"/static/{hashed}": _content(file) for hashed, (file, _) in self.static.items()}
        return Response(
            pdf(bytes(page.body).decode(), str(visit.request.base_url), files),
            media_type="application/pdf",
            headers={"Content-Disposition": f'attachment; filename="{name}.pdf"'},
        )

    def error(self, request: Request, status: int) -> HTMLResponse:
        """A page that says what went wrong, and nothing of why; whoever is signed in keeps their tabs."""
        try:
            account = self._visitor(request)
        except StoreError:  # then that is what went wrong
            account = None
        visit = Visit(request, account, self._words(request), FormData())
        return self.page(visit, "error.html", status=status, status_code=status)

    def static_file(self, name: str) -> Response:
        """A file whose name holds its content's hash, so that it may be kept for ever."""
        if name not in self.static:
            raise HTTPException(404)
        file, kind = self.static[name]
        return Response(
            _content(file),
            media_type=kind,
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )

    def is_at_origin(self, request: Request) -> bool:
        """Whether the browser knows us under the site's own name, to which passkeys are bound."""
        return f"{request.url.scheme}://{request.headers.get('host', '')}" == self.origin

    # What they read

    def samples(self) -> Mapping[str, Sample]:
        """The store's newest values, or none when there is no store yet or it does not answer.

        Where nothing at all was read any more, each of them is stale: what they were read as says nothing of now.
        """
        try:
            found = self.store.latest()
        except StoreError:
            return {}
        if self.unread_since(found) is None:
            return found
        return {
            point: Sample(s.value, Quality.STALE, s.at, s.raw) if s.usable is not None else s
            for point, s in found.items()
        }

    def unread_since(self, samples: Mapping[str, Sample]) -> datetime | None:
        """When the newest value was read, where that is so long ago that nobody can be reading; None: all is well."""
        newest = max((s.at for s in samples.values()), default=None)
        return newest if newest is not None and self.now() - newest > LOST_AFTER else None

    def record(self, language: str, slot: int | None = None) -> Record:
        """The last decision, or that of one slot."""
        try:
            decision = self.store.last_decision() if slot is None else self.store.decision(slot)
        except StoreError:
            decision = None
        now = self.now()

        def unheard() -> tuple[int, int]:
            try:
                return self.store.unheard(now, READ_WITHIN, READ_SINCE)
            except StoreError:
                return 0, 0

        return Record(decision, self.district, now, language, unheard if slot is None else lambda: (0, 0))

    # Names

    def asset_name(self, asset: str, words: Words) -> str:
        """`mistral/roof` as people say it: the building's name, and the asset's."""
        building, _, rest = asset.partition("/")
        known = self.district.buildings.get(building)
        shown = building if known is None else _label(known.label, words.language)
        return f"{shown}, {words.text(rest.replace('-', ' '))}" if rest else shown

    def home_name(self, home: str, words: Words) -> str:
        """`horizon/flat-0101` as people say it: the building's name, and the flat's number."""
        building, _, flat = home.partition("/")
        shown = _label(self.district.buildings[building].label, words.language)
        return words.text("{building}, flat {number}", building=shown, number=flat.removeprefix("flat-"))

    def _words(self, request: Request) -> Words:
        asked = request.query_params.get("lang")
        return Words(chosen(asked, request.headers.get("accept-language")), self.zone)


async def _form(request: Request) -> FormData:
    """What a form brought; nothing larger than a form of ours."""
    if request.method != "POST":
        return FormData()
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise HTTPException(415)
    length = request.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit() or int(length) > MOST_FORM_BYTES:
        raise HTTPException(413)
    return await request.form()


def _with(request: Request, **wanted: str) -> str:
    """The same page asked for in another way: whatever else the address asks for stays."""
    asked = [(key, value) for key, value in request.query_params.multi_items() if key not in wanted]
    return "?" + urlencode([*asked, *wanted.items()])


def _label(label: Label, language: str) -> str:
    return typeset(label.fr, language) if language == "fr" else label.en


def _hashed(name: str) -> str:
    stem, _, suffix = name.partition(".")
    digest = hashlib.sha256(_content(name)).hexdigest()[:12]
    return f"{stem}.{digest}.{suffix}"


# Read once: whoever installs another version under a running process would have it serve pages that its code does not
# fit, and files that are not what their names say.


@cache
def _content(name: str) -> bytes:
    return (_HERE / "static" / name).read_bytes()


@cache
def _templates() -> Mapping[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in (_HERE / "templates").glob("*.html")}
