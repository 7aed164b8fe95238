"""Every device: when it was last heard, how good its values are, and whether it stands where it was told to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.assets import ChargePoint, Dwelling
from ems.district import Device
from ems.points import Sample
from ems.store import StoreError
from ems.web.access import Permission
from ems.web.pages import Pages, Visit

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


class Devices:
    """Adds the page of devices. An installer sees those of their building."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        pages.route("/manager/devices", Permission.DEVICES, self.show)

    def show(self, visit: Visit) -> Response:
        district, part = self.pages.district, visit.who.part
        buildings = [b for b in district.buildings.values() if part is None or b.name == part]
        with_devices = {d.asset.partition("/")[0] for d in district.devices}
        buildings = [b for b in buildings if b.name in with_devices]
        if not buildings:
            raise HTTPException(404)
        chosen = visit.request.query_params.get("building") or buildings[0].name
        if chosen not in {b.name for b in buildings}:
            raise HTTPException(404)
        return self.pages.page(
            visit,
            "manager_devices.html",
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
    return DeviceView(
        name=first.asset if len(devices) == 1 and not _private(pages, first) else "",
        kind=first.type.name,
        count=len(devices),
        maker=f"{first.type.maker} {first.type.model}",
        verified=first.type.verified,
        good=len(good),
        total=len(points),
        age=now - max(s.at for s in good) if good else None,
        told=tuple(told),
    )


def _private(pages: Pages, device: Device) -> bool:
    return isinstance(pages.district.assets.get(device.asset), Dwelling | ChargePoint)
