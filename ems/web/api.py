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
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import Depends, Path, Query, Request, Response
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
from ems.web.consumption import today
from ems.web.pages import Pages
from ems.web.record import GROUPS
from ems.web.reports import Report, first_of, report
from ems.web.words import Words

ROOT = "/api/v1"
# What a key opens, of what its owner may see: everything, or only one part.
Scope = Literal["read", "live", "history"]
SCOPES: dict[Scope, str] = {
    "read": "Everything I may see",
    "live": "Only what is now: points, plan, alarms",
    "history": "Only what was measured: quarter-hours and reports",
}
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
    """Quarter-hours from `start` on; null is missing. `next_start` goes on where this answer ends.

    `quality` says of each whether it was measured (good) or something stood in (substituted), or why there is none;
    null: nothing was ever stored.
    """

    point: str
    unit: str
    start: datetime
    minutes: int
    values: list[float | None]
    quality: list[str | None]
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


class AlarmPage(BaseModel):
    """Some of the alarms, gravest first."""

    items: list[AlarmItem]
    total: int
    next_offset: int | None


class ForecastItem(BaseModel):
    """What was expected of a point when the last plan was made. Quantiles of 10 and 90 % where they are kept."""

    point: str
    unit: str
    model: str
    fallback: str
    median: list[float]
    low: list[float] | None
    high: list[float] | None


class ForecastPage(BaseModel):
    """Some of the forecasts, in the order of their points; all begin at `start`."""

    start: datetime | None
    minutes: int
    items: list[ForecastItem]
    total: int
    next_offset: int | None


class ReportLine(BaseModel):
    """One amount of a month by day; null is not measured. `asset` is empty for all homes of a building together.

    Of the days in `partly` a part is missing, or their share of a longer gap was estimated; today is not over.
    """

    asset: str
    what: str
    unit: str
    total: float | None
    days: list[float | None]
    partly: list[date]


class ReportPeak(BaseModel):
    """The highest quarter-hour of a supply point; null when nothing was measured. On `gaps` days a part was not."""

    supply: str
    prm: str
    subscribed_kw: float
    peak_kw: float | None
    day: date | None
    gaps: int


class ReportAnswer(BaseModel):
    """The month of a building, until today."""

    building: str
    dates: list[date]
    lines: list[ReportLine]
    peaks: list[ReportPeak]


class HomeAnswer(BaseModel):
    """A home as its resident knows it."""

    home: str
    temperature_c: float | None
    setpoint_c: float | None
    wish_offset_k: float | None


_REPORT_COLUMNS = ("asset", "what", "unit", "day", "value", "partly")
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
Month = Annotated[str, Path(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description="Such as 2026-10")]
Format = Annotated[Literal["json", "csv", "parquet"], Query(alias="format")]


class Api:
    """Adds the routes of the API, and their description."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        self._add("/health", Permission.EVERYBODY, self.health, Health)
        self._add("/buildings", Permission.MANAGER, self.buildings, list[BuildingItem])
        self._add("/points", Permission.MANAGER, self.points, PointPage)
        self._add("/history", Permission.MANAGER, self.history, Series, "history")
        self._add("/plan", Permission.MANAGER, self.plan, PlanAnswer)
        self._add("/alarms", Permission.MANAGER, self.alarms, AlarmPage)
        self._add("/forecasts", Permission.MANAGER, self.forecasts, ForecastPage)
        self._add("/reports/{building}/{month}", Permission.REPORTS, self.report, ReportAnswer, "history")
        self._add("/home", Permission.HOME, self.home, HomeAnswer)
        self._add("/home/history", Permission.HOME, self.home_history, Series, "history")
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

    def _add(
        self, path: str, permission: Permission, answer: Callable[..., Any], model: Any, part: Scope = "live"
    ) -> None:
        """A route that is answered only to whom it is for; `request.state.account` is who asks."""

        known = {"format" if name == "form" else name for name in inspect.signature(answer).parameters} - {"request"}
        known = {name for name in known if f"{{{name}}}" not in path}

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
            if scope not in ("read", part) or gone or not permission.allows(account):
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
        return PointPage(items=items, total=len(known), next_offset=_next(offset, limit, len(known)))

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

    def alarms(self, offset: Offset = 0, limit: Limit = 100, language: Language = "fr") -> AlarmPage:
        found = open_alarms(self.pages, Words(language, self.pages.zone))
        items = [
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
            for one in found[offset : offset + limit]
        ]
        return AlarmPage(items=items, total=len(found), next_offset=_next(offset, limit, len(found)))

    def forecasts(self, offset: Offset = 0, limit: Limit = 20) -> ForecastPage:
        record = self.pages.record("en")
        known = sorted((p, f) for p, f in record.forecasts.items() if not record.is_private(p.rpartition("/")[0]))
        items = [
            ForecastItem(
                point=point,
                unit=unit_label(point.rpartition("/")[2]),
                model=str(f.get("model", "")),
                fallback=record.public(str(f.get("fallback", ""))),
                median=f.get("median", []),
                low=f.get("low"),
                high=f.get("high"),
            )
            for point, f in known[offset : offset + limit]
        ]
        slots = record.slots
        return ForecastPage(
            start=None if slots is None else slots.start,
            minutes=15 if slots is None else slots.minutes,
            items=items,
            total=len(known),
            next_offset=_next(offset, limit, len(known)),
        )

    def report(self, building: str, month: Month, form: Format = "json") -> Any:
        district, first = self.pages.district, first_of(month)
        if building not in district.buildings or first is None or first > today(self.pages.now(), self.pages.zone):
            raise HTTPException(404, "there is no such building, or that month has not begun")
        try:
            found = report(self.pages, building, first)
        except StoreError as error:
            raise HTTPException(503, "the database does not answer") from error
        if form != "json":
            return Response(_report_table(found, form), media_type=_FORMATS[form])
        return ReportAnswer(
            building=building,
            dates=list(found.dates),
            lines=[
                ReportLine(
                    asset=one.asset,
                    what=one.way,
                    unit=one.unit,
                    total=one.total,
                    days=list(one.amounts.days),
                    partly=[day for day, gap in zip(found.dates, one.amounts.partly, strict=True) if gap],
                )
                for one in found.lines
            ],
            peaks=[
                ReportPeak(
                    supply=supply.name,
                    prm=supply.prm,
                    subscribed_kw=supply.subscribed_kw,
                    peak_kw=None if peak is None else peak.kw,
                    day=None if peak is None else peak.day,
                    gaps=0 if peak is None else peak.gaps,
                )
                for supply, peak in found.peaks
            ],
        )

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
            quality = [None if q is None else q.value for q in self.pages.store.qualities(point, slots)]
        except StoreError as error:
            raise HTTPException(503, "the database does not answer") from error
        values = [None if math.isnan(v) else v for v in row]
        unit = unit_label(point.rpartition("/")[2])
        if form == "json":
            more = slots.at(slots.count) if count > slots.count else None
            return Series(
                point=point, unit=unit, start=first, minutes=15, values=values, quality=quality, next_start=more
            )
        return Response(_table(slots, values, quality, form), media_type=_FORMATS[form])


def _next(offset: int, limit: int, total: int) -> int | None:
    """Where the next page begins; None on the last one."""
    return offset + limit if offset + limit < total else None


def _account(request: Request) -> Account:
    account: Account = request.state.account
    return account


def _report_table(found: Report, form: str) -> bytes:
    """One row per amount and day, `partly` 1 where a part of it is missing; the same columns in both forms."""
    rows = [
        (line.asset, line.way, line.unit, day, value, int(gap))
        for line in found.lines
        for day, value, gap in zip(found.dates, line.amounts.days, line.amounts.partly, strict=True)
    ]
    if form == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(_REPORT_COLUMNS)
        writer.writerows((a, w, u, d.isoformat(), "" if v is None else v, gap) for a, w, u, d, v, gap in rows)
        return buffer.getvalue().encode()
    kinds = (pa.string(), pa.string(), pa.string(), pa.date32(), pa.float64(), pa.int8())
    columns = list(zip(*rows, strict=True)) or [()] * len(kinds)
    arrays = {name: pa.array(c, k) for name, c, k in zip(_REPORT_COLUMNS, columns, kinds, strict=True)}
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays), sink)
    return sink.getvalue()


def _table(slots: Slots, values: list[float | None], quality: list[str | None], form: str) -> bytes:
    """Start of the quarter-hour in UTC, the value and its quality; the same columns in both forms."""
    starts = list(slots)
    if form == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(["start_utc", "value", "quality"])
        writer.writerows(
            (at.strftime("%Y-%m-%dT%H:%M:%SZ"), "" if v is None else v, q or "")
            for at, v, q in zip(starts, values, quality, strict=True)
        )
        return buffer.getvalue().encode()
    sink = io.BytesIO()
    columns = {
        "start_utc": pa.array(starts, pa.timestamp("s", tz="UTC")),
        "value": pa.array(values, pa.float64()),
        "quality": pa.array(quality, pa.string()),
    }
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()
