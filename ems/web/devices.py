"""Every device: when it was last heard, how good its values are, and whether it stands where it was told to.

A press on a button has one tested: read now, and what stands there by our command written again and read back. The
page leaves a wish in the site's folder, and the loop does it, through the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from fastapi import Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from ems.assets import ChargePoint, Dwelling
from ems.district import Device
from ems.points import Sample
from ems.store import People, StoreError
from ems.store.checks import Check, Checked, Checks
from ems.store.requests import RequestError
from ems.web.access import Permission
from ems.web.pages import Pages, Visit
from ems.web.record import OUTCOMES

SAME = 0.051  # a read-back this near is what was told: devices round


@dataclass(frozen=True)
class Told:
    """A point that we command: what we told it, and what it shows."""

    quantity: str
    told: float
    found: float | None

    @property
    def same(self) -> bool | None:
        return None if self.found is None else abs(self.found - self.told) <= SAME


@dataclass(frozen=True)
class DeviceView:
    """One device, or all those of homes or cars on one bus."""

    name: str  # its asset; empty for many
    kind: str
    count: int
    maker: str
    verified: bool
    good: int
    total: int
    age: timedelta | None  # of its newest value
    told: tuple[Told, ...] = ()
    check: Check | None = None  # the last test that was asked for
    checked: Checked | None = None  # and what came of it


class Devices:
    """Adds the page of devices. An installer sees those of their building."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/manager/devices", Permission.DEVICES, self.show)
        pages.route("/manager/devices", Permission.DEVICES, self.test, "POST")

    def test(self, visit: Visit) -> Response:
        """Ask for a device to be tested."""
        asset, folder = visit.given("key", 120), self.pages.folder
        building = asset.partition("/")[0]
        device = next((d for d in self.pages.district.devices if d.asset == asset), None)
        if device is None or _private(self.pages, device) or visit.who.part not in (None, building) or folder is None:
            raise HTTPException(404)
        try:
            Checks(folder).ask(asset, visit.who.name, self.pages.now())
        except RequestError:
            return self._show(visit, building, visit.words.text("Some tests wait already; try again in a minute."), 422)
        self.people.note(visit.who, "device tested", None, self.pages.clock(), asset)
        path = f"/manager/devices?building={building}"
        return RedirectResponse(path + visit.keep.replace("?", "&"), status_code=303)

    def show(self, visit: Visit) -> Response:
        return self._show(visit, visit.request.query_params.get("building") or "")

    def _show(self, visit: Visit, asked: str, trouble: str = "", status: int = 200) -> Response:
        district, part = self.pages.district, visit.who.part
        buildings = [b for b in district.buildings.values() if part is None or b.name == part]
        with_devices = {d.asset.partition("/")[0] for d in district.devices}
        buildings = [b for b in buildings if b.name in with_devices]
        if not buildings:
            raise HTTPException(404)
        chosen = asked or buildings[0].name
        if chosen not in {b.name for b in buildings}:
            raise HTTPException(404)
        return self.pages.page(
            visit,
            "manager_devices.html",
            status=status,
            trouble=trouble,
            may_test=self.pages.folder is not None,
            outcomes=OUTCOMES,
            buildings=buildings,
            building=chosen,
            buses=buses(self.pages, chosen),
        )


def buses(pages: Pages, building: str) -> list[tuple[str, str, list[DeviceView]]]:
    """(bus, protocol and address, its devices) of one building."""
    samples, now = pages.samples(), pages.now()
    try:
        confirmed = pages.store.journal.last_confirmed()
    except StoreError:
        confirmed = {}
    wired: dict[int, list[str]] = {}
    for point, wire in pages.district.wires.items():
        wired.setdefault(id(wire.device), []).append(point)
    found: dict[str, list[DeviceView]] = {}
    many: dict[tuple[str, str], list[Device]] = {}
    for device in pages.district.devices:
        if device.asset.partition("/")[0] != building:
            continue
        if isinstance(pages.district.assets.get(device.asset), Dwelling | ChargePoint):
            many.setdefault((device.bus.name, device.type.model), []).append(device)
        else:
            found.setdefault(device.bus.name, []).append(_view(pages, [device], wired, samples, confirmed, now))
    for (bus, _), devices in many.items():
        found.setdefault(bus, []).append(_view(pages, devices, wired, samples, {}, now))
    described = {b.name: f"{b.protocol}, {b.host}:{b.port}" for b in pages.district.buses.values()}
    return [(bus.rpartition("/")[2], described[bus], views) for bus, views in found.items()]


def _view(
    pages: Pages,
    devices: list[Device],
    wired: Mapping[int, list[str]],
    samples: Mapping[str, Sample],
    confirmed: Mapping[str, float],
    now: datetime,
) -> DeviceView:
    points = [p for d in devices for p in wired.get(id(d), [])]
    known = [samples[p] for p in points if p in samples]
    good = [s for s in known if s.usable is not None]
    told = []
    for point in points:
        if point in confirmed:
            sample = samples.get(point)
            told.append(Told(point.rpartition("/")[2], confirmed[point], None if sample is None else sample.usable))
    first = devices[0]
    check, checked = (None, None) if len(devices) > 1 or pages.folder is None else _last(pages.folder, first.asset)
    return DeviceView(
        check=check,
        checked=checked,
        name=first.asset if len(devices) == 1 and not _private(pages, first) else "",
        kind=first.type.name,
        count=len(devices),
        maker=f"{first.type.maker} {first.type.model}",
        verified=first.type.verified,
        good=len(good),
        # What a home has not agreed to is not kept at all: that is nothing missing.
        total=len(known) if known and _private(pages, first) else len(points),
        age=now - max(s.at for s in good) if good else None,
        told=tuple(told),
    )


def _last(folder: Path, asset: str) -> tuple[Check | None, Checked | None]:
    return Checks(folder).last().get(asset, (None, None))


def _private(pages: Pages, device: Device) -> bool:
    return isinstance(pages.district.assets.get(device.asset), Dwelling | ChargePoint)
