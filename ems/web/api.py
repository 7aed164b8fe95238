"""The pages' figures for machines: a versioned REST API under the same permissions, read with a key of one's own.

A key is sent as `Authorization: Bearer …`; cookies open nothing here, so no other site can make a browser ask. Of homes
and cars there is nothing, but to who lives there.
"""

from __future__ import annotations

import csv
import inspect
import io
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import Depends, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BaseModel
from starlette.exceptions import HTTPException

from ems.assets import ChargePoint, Dwelling
from ems.points import unit_label
from ems.slots import SLOT, Slots, floor
from ems.store import Account, People, StoreError
from ems.web.access import Permission
from ems.web.alarms import open_alarms
from ems.web.pages import Pages
from ems.web.record import GROUPS
from ems.web.words import Words

ROOT = "/api/v1"
SCOPES = ("read",)
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_MOST = 5000  # values in one answer
_FORMATS = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


class Problem(BaseModel):
    """What is wrong with a request."""

    detail: str


class Health(BaseModel):
    """Whether the district is being controlled."""

    state: Literal["none", "controlling", "degraded", "unplanned", "lost", "shadow"]
    controlled: bool
    age_s: float | None


class BuildingItem(BaseModel):
    """One building."""

    name: str
    label_fr: str
    label_en: str
    use: str


class PointItem(BaseModel):
    """The last value of a point; null is missing, `quality` says why."""

    point: str
    value: float | None
    unit: str
    quality: str
    at: datetime


class PointPage(BaseModel):
    """Some of the points, in the order of their names."""

    items: list[PointItem]
    total: int
    next_offset: int | None


class Series(BaseModel):
    """Quarter-hours from `start` on; null is missing. `next_start` goes on where this answer ends."""

    point: str
    unit: str
    start: datetime
    minutes: int
    values: list[float | None]
    next_start: datetime | None


class PlanAnswer(BaseModel):
    """The last plan of the district: mean kW by group, positive is taken; prices of a kWh by kind of contract."""

    start: datetime
    minutes: int
    grid_kw: list[float]
    groups_kw: dict[str, list[float]]
    price_per_kwh: dict[str, list[float]]


class AlarmItem(BaseModel):
    """One alarm that stands."""

    number: int
    kind: str
    severity: str
    state: str
    subject: str
    title: str
    remedy: str
    raised_at: datetime


class HomeAnswer(BaseModel):
    """A home as its resident knows it."""

    home: str
    temperature_c: float | None
    setpoint_c: float | None
    wish_offset_k: float | None


_TROUBLE: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "What is asked for makes no sense"},
    401: {"model": Problem, "description": "No key, or one that opens nothing"},
    403: {"model": Problem, "description": "The key is somebody's for whom this is not"},
    404: {"model": Problem, "description": "There is no such thing"},
    503: {"model": Problem, "description": "The database does not answer, or nothing was measured yet"},
}
Language = Literal["fr", "en"]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
Limit = Annotated[int, Query(ge=1, le=500)]
Start = Annotated[AwareDatetime, Query(description="With its offset from UTC; the quarter-hour it lies in")]
End = Annotated[AwareDatetime | None, Query(description="Exclusive; now when not given")]
Format = Annotated[Literal["json", "csv", "parquet"], Query(alias="format")]


class Api:
    """Adds the routes of the API, and their description."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        self._add("/health", Permission.EVERYBODY, self.health, Health)
        self._add("/buildings", Permission.MANAGER, self.buildings, list[BuildingItem])
        self._add("/points", Permission.MANAGER, self.points, PointPage)
        self._add("/history", Permission.MANAGER, self.history, Series)
        self._add("/plan", Permission.MANAGER, self.plan, PlanAnswer)
        self._add("/alarms", Permission.MANAGER, self.alarms, list[AlarmItem])
        self._add("/home", Permission.HOME, self.home, HomeAnswer)
        self._add("/home/history", Permission.HOME, self.home_history, Series)
        described = get_openapi(
            title="Smartseille EMS",
            version="1",
            description=__doc__ or "",
            routes=[r for r in pages.app.routes if isinstance(r, APIRoute) and r.path.startswith(ROOT)],
        )
        described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, methods in described["paths"].items():
            if path != f"{ROOT}/health":
                methods["get"]["security"] = [{"key": []}]
        self._described = described
        pages.app.state.permissions[f"{ROOT}/openapi.json", "GET"] = Permission.EVERYBODY
        pages.app.add_api_route(f"{ROOT}/openapi.json", self.describe, methods=["GET"], include_in_schema=False)

    def _add(self, path: str, permission: Permission, answer: Callable[..., Any], model: Any) -> None:
        """A route that is answered only to whom it is for; `request.state.account` is who asks."""

        known = {"format" if name == "form" else name for name in inspect.signature(answer).parameters} - {"request"}

        def allowed(request: Request) -> None:
            request.state.account = None
            self._refuse_unknown(request, known)
            if permission is Permission.EVERYBODY:
                return
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            held = self.people.bearer(token.strip(), self.pages.clock()) if scheme.lower() == "bearer" else None
            if held is None:
                raise HTTPException(401, "send a key as Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})
            account, scope = held
            gone = account.home is not None and account.home not in self.pages.district.dwellings
            if scope not in SCOPES or gone or not permission.allows(account):
                raise HTTPException(403, "this key is not for that")
            request.state.account = account

        self.pages.app.state.permissions[ROOT + path, "GET"] = permission
        self.pages.app.add_api_route(
            ROOT + path, answer, methods=["GET"], response_model=model, dependencies=[Depends(allowed)],
            responses=_TROUBLE, response_class=JSONResponse,
        )  # fmt: skip

    def _refuse_unknown(self, request: Request, known: set[str]) -> None:
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            raise HTTPException(
                400, f"{unknown[0]!r} is not asked here; there are {', '.join(sorted(known)) or 'none'}"
            )

    def describe(self) -> Response:
        return JSONResponse(self._described)

    def health(self) -> Health:
        record = self.pages.record("en")
        controlled = record.mode in ("controlling", "degraded")
        age = record.age
        return Health(state=record.mode, controlled=controlled, age_s=None if age is None else age.total_seconds())

    def buildings(self) -> list[BuildingItem]:
        return [
            BuildingItem(name=b.name, label_fr=b.label.fr, label_en=b.label.en, use=b.use)
            for b in self.pages.district.buildings.values()
        ]

    def points(self, offset: Offset = 0, limit: Limit = 100, building: str | None = None) -> PointPage:
        if building is not None and building not in self.pages.district.buildings:
            raise HTTPException(404, f"there is no building {building!r}")
        known = sorted(
            (point, sample)
            for point, sample in self.pages.samples().items()
            if self._public(point) and (building is None or point.startswith(building + "/"))
        )
        items = [
            PointItem(
                point=point,
                value=sample.value,
                unit=unit_label(point.rpartition("/")[2]),
                quality=sample.quality.value,
                at=sample.at,
            )
            for point, sample in known[offset : offset + limit]
        ]
        after = offset + limit
        return PointPage(items=items, total=len(known), next_offset=after if after < len(known) else None)

    def history(self, point: str, start: Start, end: End = None, form: Format = "json") -> Any:
        if not self._public(point):
            raise HTTPException(404, f"there is no point {point!r} to be read here")
        return self._series(point, start, end, form)

    def home_history(
        self,
        request: Request,
        quantity: Literal["energy_kwh", "heat_energy_kwh", "hot_water_m3", "temperature_c", "setpoint_c"],
        start: Start,
        end: End = None,
        form: Format = "json",
    ) -> Any:
        home = _account(request).home
        assert home is not None
        if quantity == "energy_kwh" and not self.people.agrees(home, "load curve"):
            raise HTTPException(403, "the resident said no to quarter-hours of electricity")
        return self._series(f"{home}/{quantity}", start, end, form)

    def plan(self) -> PlanAnswer:
        record = self.pages.record("en")
        slots = record.slots
        if slots is None:
            raise HTTPException(503, "there is no plan yet")
        return PlanAnswer(
            start=slots.start,
            minutes=slots.minutes,
            grid_kw=[float(v) for v in record.grid],
            groups_kw={group: [float(v) for v in record.flows[group]] for group in GROUPS},
            price_per_kwh=record.prices,
        )

    def alarms(self, language: Language = "fr") -> list[AlarmItem]:
        return [
            AlarmItem(
                number=one.alarm.number,
                kind=one.alarm.kind.name,
                severity=one.alarm.kind.severity.value,
                state=one.state,
                subject=one.subject,
                title=one.title,
                remedy=one.remedy,
                raised_at=one.alarm.raised_at,
            )
            for one in open_alarms(self.pages, Words(language, self.pages.zone))
        ]

    def home(self, request: Request) -> HomeAnswer:
        home = _account(request).home
        assert home is not None
        samples = self.pages.samples()
        measured, asked = samples.get(f"{home}/temperature_c"), samples.get(f"{home}/setpoint_c")
        wish = self.people.asked.comfort_wishes().get(home)
        return HomeAnswer(
            home=home,
            temperature_c=None if measured is None else measured.usable,
            setpoint_c=None if asked is None else asked.usable,
            wish_offset_k=None if wish is None else wish.offset_k,
        )

    def _public(self, point: str) -> bool:
        """Whether a point is one of this district, and tells of no person."""
        asset = self.pages.district.assets.get(point.rpartition("/")[0])
        return point in self.pages.district.wires and not isinstance(asset, Dwelling | ChargePoint)

    def _series(self, point: str, start: datetime, end: datetime | None, form: str) -> Series | Response:
        until = self.pages.now() if end is None else end
        if not (_EARLIEST <= start < _LATEST and _EARLIEST <= until < _LATEST and start < until):
            raise HTTPException(400, f"start lies before end, and both from {_EARLIEST:%Y} to {_LATEST:%Y}")
        first = floor(start)
        count = max(math.ceil((until - first) / SLOT), 1)
        slots = Slots(first, min(count, _MOST))
        try:
            row = self.pages.store.history([point], slots).values[point].tolist()
        except StoreError as error:
            raise HTTPException(503, "the database does not answer") from error
        values = [None if math.isnan(v) else v for v in row]
        unit = unit_label(point.rpartition("/")[2])
        if form == "json":
            more = slots.at(slots.count) if count > slots.count else None
            return Series(point=point, unit=unit, start=first, minutes=15, values=values, next_start=more)
        return Response(_table(slots, values, form), media_type=_FORMATS[form])


def _account(request: Request) -> Account:
    account: Account = request.state.account
    return account


def _table(slots: Slots, values: list[float | None], form: str) -> bytes:
    """Start of the quarter-hour in UTC, and the value; the same columns in both forms."""
    starts = list(slots)
    if form == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(["start_utc", "value"])
        writer.writerows(
            (at.strftime("%Y-%m-%dT%H:%M:%SZ"), "" if v is None else v) for at, v in zip(starts, values, strict=True)
        )
        return buffer.getvalue().encode()
    sink = io.BytesIO()
    columns = {"start_utc": pa.array(starts, pa.timestamp("s", tz="UTC")), "value": pa.array(values, pa.float64())}
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()
