"""The web application: three pages, a style sheet, a small script, and `/healthz`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ems.district import District, Label
from ems.points import Sample
from ems.store import Store, StoreError
from ems.web.figures import COSTS, balance, figures, price_chart
from ems.web.live import Live
from ems.web.record import Record
from ems.web.words import LANGUAGES, Words, chosen

_HERE = Path(__file__).parent
_STATIC = {
    "style.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

# Nothing from anywhere else, nothing inline; no page may be framed.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class SecurityHeaders:
    """Puts HEADERS on every response, and forbids caching where nothing else was said."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                for name, value in {**HEADERS, "Cache-Control": "no-store"}.items():
                    if name.lower().encode() not in present:
                        message["headers"].append((name.lower().encode(), value.encode()))
            await send(message)

        await self.app(scope, receive, send_with)


def create_app(store_url: str, now: Callable[[], datetime], district: District) -> FastAPI:
    """The pages of one site.

    `now` is the site's clock, handed in: the pages ask none. The store is opened read-only, and need not exist yet.
    `district` gives the names, and says which points belong to dwellings and are therefore not shown one by one.
    """
    return _Pages(store_url, now, district).app


class _Pages:
    def __init__(self, store_url: str, now: Callable[[], datetime], district: District) -> None:
        self.now = now
        self.district = district
        self.store = Store.read_only(store_url)
        self.zone = ZoneInfo(district.place.time_zone)
        self.static = {_hashed(name): (name, kind) for name, kind in _STATIC.items()}
        self.templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals["static"] = {name: f"/static/{hashed}" for hashed, (name, _) in self.static.items()}
        self.templates.globals["COSTS"] = COSTS
        self.app = FastAPI(title="Smartseille EMS", docs_url=None, redoc_url=None, openapi_url=None)
        self.app.add_middleware(GZipMiddleware, minimum_size=500)
        self.app.add_middleware(SecurityHeaders)
        self.app.add_exception_handler(HTTPException, self._error)
        self.app.add_exception_handler(Exception, self._error)
        self.app.get("/", response_class=HTMLResponse)(self.overview)
        self.app.get("/buildings/{name}", response_class=HTMLResponse)(self.building)
        self.app.get("/healthz")(self.health)
        self.app.get("/static/{name}")(self.asset)

    # Pages

    def overview(self, request: Request) -> Response:
        words = self._words(request)
        samples, record = self._read(words.language)
        live = Live(self.district, samples, self.now())
        return self._page(
            request,
            "overview.html",
            words,
            record=record,
            live=live,
            sections=live.sections(),
            balance=balance(record, words),
            price=price_chart(record, words),
            figures=figures(record, words),
        )

    def building(self, request: Request, name: str) -> Response:
        if name not in self.district.buildings:
            raise HTTPException(404)
        words = self._words(request)
        samples, record = self._read(words.language)
        view = Live(self.district, samples, self.now()).view(self.district.buildings[name])
        return self._page(request, "building.html", words, record=record, view=view)

    def health(self) -> Response:
        """Whether the district is being controlled: 200 if a plan of the last two quarter-hours stands."""
        _, record = self._read("en")
        age = record.age
        state = {
            "state": record.mode,
            "controlled": record.mode in ("controlling", "degraded"),
            "slot": record.record.get("slot"),
            "age_s": None if age is None else round(age.total_seconds(), 1),
        }
        return JSONResponse(state, status_code=200 if state["controlled"] else 503)

    def asset(self, name: str) -> Response:
        """A file whose name holds its content's hash, so that it may be kept for ever."""
        if name not in self.static:
            raise HTTPException(404)
        file, kind = self.static[name]
        return Response(
            (_HERE / "static" / file).read_bytes(),
            media_type=kind,
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )

    # What they share

    def _read(self, language: str) -> tuple[Mapping[str, Sample], Record]:
        """The store's newest, or nothing when there is no store yet or it does not answer."""
        try:
            samples, decision = self.store.latest(), self.store.last_decision()
        except StoreError:
            samples, decision = {}, None
        return samples, Record(decision, self.district, self.now(), language)

    def _words(self, request: Request) -> Words:
        asked = request.query_params.get("lang")
        return Words(chosen(asked, request.headers.get("accept-language")), self.zone)

    def _page(self, request: Request, template: str, words: Words, status: int = 200, **values: Any) -> HTMLResponse:
        asked = request.query_params.get("lang")
        html = self.templates.get_template(template).render(
            _=words.text,
            words=words,
            languages=LANGUAGES,
            district=self.district,
            keep=f"?lang={words.language}" if asked in LANGUAGES else "",
            label=lambda label: _label(label, words.language),
            name=lambda asset: self._asset_name(asset, words),
            now=self.now(),
            **values,
        )
        headers = {"Content-Language": words.language, "Vary": "Accept-Language"}
        return HTMLResponse(html, status_code=status, headers=headers)

    def _asset_name(self, asset: str, words: Words) -> str:
        """`mistral/roof` as people say it: the building's name, and the asset's."""
        building, _, rest = asset.partition("/")
        known = self.district.buildings.get(building)
        shown = building if known is None else _label(known.label, words.language)
        return f"{shown}, {words.text(rest.replace('-', ' '))}" if rest else shown

    async def _error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        response = self._page(request, "error.html", self._words(request), status=status, status_code=status)
        response.headers.update({**HEADERS, "Cache-Control": "no-store"})
        return response


def _label(label: Label, language: str) -> str:
    return label.fr if language == "fr" else label.en


def _hashed(name: str) -> str:
    stem, _, suffix = name.partition(".")
    digest = hashlib.sha256((_HERE / "static" / name).read_bytes()).hexdigest()[:12]
    return f"{stem}.{digest}.{suffix}"
