"""What the district shows right now, by building; of dwellings only sums and means over at least ten of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ems.assets import (
    Asset,
    BaseLoad,
    Battery,
    BikeRoom,
    ChargePoint,
    Dwelling,
    Loop,
    Photovoltaic,
    Plant,
    Substation,
    Supply,
    Tank,
    WeatherStation,
    Zone,
)
from ems.district import Building, District
from ems.points import Quality, Sample, split_point
from ems.store import ELECTRIC

FEWEST_HOMES = 10  # an aggregate over fewer could be somebody's own curve

# Sections of the page, and the uses that stand in them.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Homes": ("housing", "senior"),
    "Offices, shops and services": ("offices", "shops", "hotel", "creche", "school", "parking"),
    "Heat, cold and sea": ("plant", "station"),
}

KINDS: dict[type[Asset], str] = {
    BaseLoad: "base load",
    Battery: "battery",
    BikeRoom: "bike room",
    ChargePoint: "charge point",
    Dwelling: "dwellings",
    Loop: "tempered loop",
    Photovoltaic: "photovoltaics",
    Plant: "heat pumps",
    Substation: "substation",
    Supply: "supply point",
    Tank: "hot-water tank",
    WeatherStation: "weather station",
    Zone: "rooms",
}


@dataclass(frozen=True)
class Row:
    """One line of a table: a quantity, its value, how old it is and how far it may be believed."""

    quantity: str
    value: float | None
    age: timedelta | None
    quality: Quality
    of: int = 1  # how many points stand behind it
    known: int = 1
    kind: str = ""  # of the assets behind it, where a building has several

    @property
    def believed(self) -> bool:
        return self.quality in (Quality.GOOD, Quality.SUBSTITUTED)


@dataclass(frozen=True)
class Group:
    """The values of one asset, or of all dwellings or charge points of a building."""

    name: str
    kind: str
    rows: tuple[Row, ...]
    count: int = 1


@dataclass(frozen=True)
class BuildingView:
    """One building: a line of its most telling values, and its groups."""

    building: Building
    summary: tuple[Row, ...]
    groups: tuple[Group, ...]
    good: int
    total: int
    age: timedelta | None  # of its oldest value

    @property
    def troubled(self) -> int:
        return self.total - self.good


@dataclass(frozen=True)
class Total:
    """A sum over the district: kW, and how many of the meters it knows."""

    key: str
    kw: float | None
    known: int
    of: int


class Live:
    """The latest samples, arranged for the pages."""

    def __init__(self, district: District, samples: Mapping[str, Sample], now: datetime) -> None:
        self.district = district
        self.samples = samples
        self.now = now
        self._points: dict[str, list[str]] = {}
        for point in district.wires:
            self._points.setdefault(point.rpartition("/")[0], []).append(point)

    @property
    def empty(self) -> bool:
        return not self.samples

    def totals(self) -> list[Total]:
        """Where power comes from and goes to, now, kW. The grid is every supply point and every home."""
        kinds: list[tuple[str, tuple[type[Asset], ...]]] = [
            ("grid", (Supply, Dwelling)),
            ("sun", (Photovoltaic,)),
            ("battery", (Battery,)),
            ("heat", (Plant,)),
            ("cars", (ChargePoint, BikeRoom)),
        ]
        found = []
        for key, types in kinds:
            row = self.over([a for a in self.district.assets.values() if isinstance(a, types)], "power_kw", mean=False)
            found.append(Total(key, row.value, row.known, row.of))
        return found

    def outdoor(self) -> Row | None:
        """Outdoor temperature, from the first weather station."""
        for asset in self.district.of(WeatherStation).values():
            return self.row(asset.point("outdoor_temperature_c"))
        return None

    def sections(self) -> dict[str, list[BuildingView]]:
        return {
            title: [self.view(b) for b in self.district.buildings.values() if b.use in uses]
            for title, uses in SECTIONS.items()
        }

    def view(self, building: Building) -> BuildingView:
        assets = [a for a in self.district.assets.values() if a.building == building.name]
        points = [p for a in assets for p in self._points.get(a.name, []) if not self._is_withheld(a, p)]
        seen = [self.samples[p] for p in points if p in self.samples]
        return BuildingView(
            building=building,
            summary=tuple(self._summary(assets)),
            groups=tuple(self._groups(assets)),
            good=sum(1 for s in seen if s.usable is not None),
            total=len(points),
            age=self.now - min(s.at for s in seen) if seen else None,
        )

    def _is_withheld(self, asset: Asset, point: str) -> bool:
        """Whether a point tells electricity of a home that did not agree to it: it is not missing, it is private."""
        private = isinstance(asset, Dwelling) and split_point(point)[2] in ELECTRIC
        return private and point not in self.samples

    def _summary(self, assets: list[Asset]) -> Iterable[Row]:
        """A few values that tell how a building is: power, warmth, hot water."""
        metered = [a for a in assets if isinstance(a, Supply | Dwelling)]
        if metered:
            yield self.over(metered, "power_kw", mean=False)
        telling: list[tuple[type[Asset], str]] = [(Dwelling, "temperature_c"), (Zone, "temperature_c")]
        telling += [(Tank, "top_temperature_c"), (Loop, "temperature_c")]
        for kind, quantity in telling:
            of_kind = [a for a in assets if isinstance(a, kind)]
            if of_kind:
                yield replace(self.over(of_kind, quantity, mean=True), kind=KINDS[kind])

    def _groups(self, assets: list[Asset]) -> Iterable[Group]:
        homes = [a for a in assets if isinstance(a, Dwelling)]
        if homes:
            rows = [
                self.over(homes, "power_kw", mean=False),
                self.over(homes, "heat_power_kw", mean=False),
                self.over(homes, "temperature_c", mean=True),
                self.over(homes, "setpoint_c", mean=True),
                self.over(homes, "setpoint_offset_k", mean=True),
            ]
            yield Group("", "dwellings together", tuple(rows), len(homes))
        cars = [a for a in assets if isinstance(a, ChargePoint)]
        if cars:
            rows = [self.over(cars, "power_kw", mean=False), self.over(cars, "current_limit_a", mean=False)]
            yield Group("", "charge points together", tuple(rows), len(cars))
        for asset in assets:
            points = self._points.get(asset.name, [])
            if points and not isinstance(asset, Dwelling | ChargePoint):
                rows = [self.row(p) for p in points if not p.endswith("/heartbeat_count")]
                yield Group(asset.name.partition("/")[2], KINDS.get(type(asset), type(asset).__name__), tuple(rows))

    def row(self, point: str) -> Row:
        """One point as a line of a table."""
        sample = self.samples.get(point)
        quantity = split_point(point)[2]
        if sample is None:
            return Row(quantity, None, None, Quality.MISSING, known=0)
        return Row(quantity, sample.usable, self.now - sample.at, sample.quality, known=int(sample.usable is not None))

    def over(self, assets: Sequence[Asset], quantity: str, *, mean: bool) -> Row:
        """The sum or mean over assets; nothing at all when fewer than ten dwellings are behind it.

        What homes come to is told of all of them together, always the same: those that say nothing are taken like the
        others, for two sums that differ by one home would tell what that home takes.
        """
        points = [p for p in (a.point(quantity) for a in assets) if p in self.district.wires]
        homes = {a.point(quantity) for a in assets if isinstance(a, Dwelling)}.intersection(points)
        samples = [self.samples[p] for p in points if p in self.samples]
        of_homes = self._usable([p for p in points if p in homes])
        others = self._usable([p for p in points if p not in homes])
        hidden = 0 < len(of_homes) < FEWEST_HOMES or not (of_homes or others)
        total = sum(others) + (sum(of_homes) / len(of_homes) * len(homes) if of_homes else 0.0)
        known = len(others) + (len(homes) if of_homes else 0)
        value = None if hidden else total / (known if mean else 1)
        age = self.now - min(s.at for s in samples) if samples else None
        # What some of them say is believed; how many of the others those are stands beside it.
        quality = Quality.GOOD if value is not None else _worst(samples)
        if value is not None and len(of_homes) < len(homes):
            quality = Quality.SUBSTITUTED
        counted = known if value is not None else len(others) + len(of_homes)
        return Row(quantity, value, age, quality, of=len(points), known=counted)

    def _usable(self, points: list[str]) -> list[float]:
        found = (self.samples[p].usable for p in points if p in self.samples)
        return [v for v in found if v is not None]


def _worst(samples: list[Sample]) -> Quality:
    """The commonest reason why something is not known."""
    bad = [s.quality for s in samples if s.usable is None]
    return max(set(bad), key=bad.count) if bad else Quality.MISSING
