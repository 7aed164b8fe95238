"""The web application: what everybody may see, who may sign in, and the pages of managers and residents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ems.district import District
from ems.store import People, Store, StoreError
from ems.web.abnormal import Abnormal
from ems.web.access import Permission
from ems.web.alarms import AlarmPages
from ems.web.api import ROOT, Api
from ems.web.calendars import Calendars
from ems.web.car import Car
from ems.web.devices import Devices
from ems.web.door import Door
from ems.web.figures import balance, figures, price_chart
from ems.web.forecasts import Forecasts
from ems.web.help import Help
from ems.web.holds import Holds
from ems.web.leaks import Leaks
from ems.web.live import Live
from ems.web.manager import Manager
from ems.web.messages import Messages
from ems.web.meters import Meters
from ems.web.metrics import CONTENT_TYPE, metrics
from ems.web.my_data import MyData
from ems.web.organisation import Organisation, Provider
from ems.web.pages import Pages, Visit
from ems.web.passkeys import Passkeys
from ems.web.peaks import Peaks
from ems.web.plants import Plants
from ems.web.privacy import Privacy
from ems.web.reports import Reports
from ems.web.resident import Resident
from ems.web.sanitary import Sanitary
from ems.web.scenarios import Scenarios
from ems.web.settings import Settings
from ems.web.sharing import Sharing
from ems.web.shelf import Shelf, minute
from ems.web.staff import Staff
from ems.web.statement import Statement
from ems.web.ticks import Ticks
from ems.web.warmth import Warmth

# Nothing from anywhere else, nothing inline; no page may be framed. Our own pages are told where a form comes from.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
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
                secure = {"Strict-Transport-Security": "max-age=31536000"} if scope["scheme"] == "https" else {}
                for name, value in {**HEADERS, **secure, "Cache-Control": "no-store"}.items():
                    if name.lower().encode() not in present:
                        message["headers"].append((name.lower().encode(), value.encode()))
            await send(message)

        await self.app(scope, receive, send_with)


def create_app(
    store_url: str,
    now: Callable[[], datetime],
    district: District,
    people: People | None = None,
    clock: Callable[[], datetime] | None = None,
    folder: Path | None = None,
    live_every_s: float = 1.0,
    origin: str | None = None,
    provider: Provider | None = None,
) -> FastAPI:
    """The pages of one site.

    `now` is the site's time, handed in: the pages ask no clock. The store is opened read-only, and need not exist yet.
    `district` gives the names, and says which points belong to dwellings and are therefore not shown one by one.
    `people` knows who may sign in; without it there is only what everybody may see. `clock` is people's time, by which
    sessions end, in a demo whose site time runs faster; without it they follow `now`. `folder` is where the control
    process looks for what must work without any database (`ems.store.requests`); without it nothing can be handed back.
    `live_every_s` is how often open pages are told of news, real seconds. `origin` is what browsers know the site by,
    such as https://ems.example; passkeys are bound to it, and without it there are none. `provider`
    is where staff may sign in besides; it needs an origin to come back to.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with ticks.running():
            yield

    app = FastAPI(title="Smartseille EMS", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.add_middleware(GZipMiddleware, minimum_size=500, compresslevel=6)
    app.add_middleware(SecurityHeaders)
    store, peoples = Store.read_only(store_url), clock or now

    def state() -> Hashable:
        """What every page is made from. Pages tell the time to the minute."""
        stamps = (store.stamp(), None if people is None else people.stamp())
        return None if None in stamps[:1] else (*stamps, minute(now()), minute(peoples()))

    app.add_middleware(Shelf, state=state)
    pages = Pages(app, store, now, district, people, peoples, folder, origin)
    ticks = Ticks(pages, live_every_s)
    Public(pages)
    Privacy(pages)
    if people is not None:
        door = Door(pages, people, None if provider is None else provider.name)
        Passkeys(pages, people, door)
        if provider is not None:
            Organisation(pages, people, door, provider)
        Manager(pages, people)
        Resident(pages, people)
        Statement(pages, people)
        Warmth(pages, people)
        Car(pages, people)
        Sharing(pages, people)
        Help(pages, people)
        MyData(pages, people)
        Abnormal(pages, people)
        AlarmPages(pages, people)
        Holds(pages, people)
        Messages(pages, people)
        Devices(pages, people)
        Staff(pages, people)
        Plants(pages)
        Peaks(pages)
        Forecasts(pages)
        Sanitary(pages)
        Leaks(pages, people)
        Meters(pages)
        Calendars(pages, people)
        Reports(pages)
        Settings(pages)
        Scenarios(pages, people)
        Api(pages, people)

    async def told(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        response: Response
        if request.url.path.startswith(ROOT):
            told = error.detail if isinstance(error, HTTPException) else "this could not be answered"
            response = JSONResponse({"detail": told}, status_code=status)
        else:
            response = pages.error(request, status)
        response.headers.update({**HEADERS, "Cache-Control": "no-store"})
        if isinstance(error, HTTPException) and error.headers is not None:
            response.headers.update(error.headers)
        return response

    app.add_exception_handler(HTTPException, told)
    app.add_exception_handler(Exception, told)
    return app


class Public:
    """Adds what everybody may see: the district as a whole, and nothing of a person."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        pages.route("/", Permission.EVERYBODY, self.overview, keep=True)
        pages.route("/healthz", Permission.EVERYBODY, self.health)
        pages.route("/metrics", Permission.EVERYBODY, self.metrics)
        pages.route("/static/{name}", Permission.EVERYBODY, self.asset)

    def overview(self, visit: Visit) -> Response:
        words = visit.words
        record = self.pages.record(words.language)
        live = Live(self.pages.district, self.pages.samples(), self.pages.now())
        return self.pages.page(
            visit,
            "overview.html",
            record=record,
            live=live,
            sections=live.sections(),
            balance=balance(record, words),
            price=price_chart(record, words),
            figures=figures(record, words),
        )

    def health(self, visit: Visit) -> Response:
        """Whether the district is being controlled: 200 if a plan of the last two quarter-hours stands."""
        record = self.pages.record("en")
        age = record.age
        state = {
            "state": record.mode,
            "controlled": record.mode in ("controlling", "degraded"),
            "slot": record.record.get("slot"),
            "age_s": None if age is None else round(age.total_seconds(), 1),
        }
        return JSONResponse(state, status_code=200 if state["controlled"] else 503)

    def metrics(self, visit: Visit) -> Response:
        """The same and more for Prometheus."""
        try:
            alarms = self.pages.store.alarms.open()
        except StoreError:
            alarms = []  # there is no site yet
        return Response(metrics(self.pages.record("en"), alarms), media_type=CONTENT_TYPE)

    def asset(self, visit: Visit, name: str) -> Response:
        return self.pages.static_file(name)
