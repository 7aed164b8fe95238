"""The single-line diagram: every supply point with what hangs on it, each with its power, state, age and quality.

A symbol and its branch are drawn as SVG, words stand beside them as HTML and keep their size. A branch without a
believed value is drawn broken and shows the last value it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from markupsafe import Markup

from ems.assets import Asset, Battery, BikeRoom, ChargePoint, Dwelling, Loop, Photovoltaic, Plant, Supply
from ems.district import District
from ems.points import Sample
from ems.web.live import KINDS, Live, Row

Way = Literal["takes", "gives", "rests", "unknown"]
RESTS_KW = 0.05  # below it nothing flows that matters

SYMBOLS: dict[type[Asset], str] = {
    Battery: "battery",
    BikeRoom: "car",
    ChargePoint: "car",
    Dwelling: "home",
    Loop: "pump",
    Photovoltaic: "sun",
    Plant: "pump",
    Supply: "meter",
}

# What each symbol is drawn of, in a square of 24 units.
_DRAWN = {
    "meter": '<circle cx="12" cy="9" r="6"/><circle cx="12" cy="16" r="6"/>',  # a transformer
    "sun": '<path d="M3 5h18v14H3zM3 5l9 8 9-8"/>',
    "battery": '<path d="M4 8h16M8 12h8M4 16h16M8 20h8M12 2v6"/>',
    "pump": '<circle cx="12" cy="12" r="9"/><path d="M6 18 12 5l6 13"/>',
    "car": '<path d="M3 17V12l3-6h12l3 6v5zM3 12h18"/><circle cx="7" cy="18" r="2"/><circle cx="17" cy="18" r="2"/>',
    "home": '<path d="M3 11 12 4l9 7M6 9v11h12V9M10 20v-6h4v6"/>',
    "load": '<path d="M4 5h16l-8 15z"/>',
}
# Where the branch points: into the symbol when it takes, out of it when it gives.
_ARROWS = {"takes": "M12 8l6 4-6 4z", "gives": "M14 8l-6 4 6 4z", "rests": "", "unknown": ""}


@dataclass(frozen=True)
class Limb:
    """One row of the diagram; kW as last heard. `asset` is empty for many together."""

    asset: str
    kind: str
    symbol: str
    kw: float | None
    row: Row
    count: int = 1

    @property
    def way(self) -> Way:
        if self.kw is None or not self.row.believed:
            return "unknown"
        return "rests" if abs(self.kw) < RESTS_KW else "gives" if self.kw < 0 else "takes"


@dataclass(frozen=True)
class Bay:
    """One supply point, and what hangs on it. `rest_kw` is what no meter behind it tells; None when not all are known.

    Homes have supply points of their own, which stand together in one row without a bay: `below` is empty.
    """

    building: str
    supply: Limb
    below: tuple[Limb, ...] = ()
    rest_kw: float | None = None


class Diagram:
    """The latest samples, arranged as the current flows."""

    def __init__(self, district: District, samples: Mapping[str, Sample], now: datetime) -> None:
        self.district = district
        self.samples = samples
        self.live = Live(district, samples, now)
        self._behind: dict[str, list[Asset]] = {}
        for asset in district.assets.values():
            supply = getattr(asset, "supply", None)
            if isinstance(supply, str) and asset.point("power_kw") in district.wires:
                self._behind.setdefault(supply, []).append(asset)

    def bays(self, building: str | None = None) -> dict[str, list[Bay]]:
        """By building: its homes' meters together, then its supply points."""
        found: dict[str, list[Bay]] = {}
        for name in self.district.buildings if building is None else [building]:
            rows = list(self._bays(name))
            if rows:
                found[name] = rows
        return found

    def wholes(self) -> dict[str, Limb]:
        """By building: everything that crosses its meters, drawn as what it is used for."""
        found = {}
        for name in self.district.buildings:
            meters = [
                a for a in self.district.assets.values() if a.building == name and isinstance(a, Supply | Dwelling)
            ]
            if meters:
                row = self.live.over(meters, "power_kw", mean=False)
                symbol = "home" if any(isinstance(a, Dwelling) for a in meters) else "meter"
                found[name] = Limb("", "supply point", symbol, row.value, row, len(meters))
        return found

    def _bays(self, building: str) -> Iterator[Bay]:
        homes = [d for d in self.district.dwellings.values() if d.building == building]
        if homes:
            yield Bay(building, self._together(homes, "dwellings together"))
        for supply in self.district.of(Supply).values():
            if supply.building == building:
                yield self._bay(building, supply)

    def _bay(self, building: str, supply: Supply) -> Bay:
        behind = self._behind.get(supply.name, [])
        cars = [a for a in behind if isinstance(a, ChargePoint)]
        below = [self._limb(a) for a in behind if not isinstance(a, ChargePoint)]
        if cars:
            below.append(self._together(cars, "charge points together"))
        limb = self._limb(supply)
        known = [one.kw for one in below if one.row.believed and one.kw is not None and one.row.known == one.row.of]
        rest = None
        if limb.row.believed and limb.kw is not None and below and len(known) == len(below):
            rest = limb.kw - sum(known)
        return Bay(building, limb, tuple(below), rest)

    def _limb(self, asset: Asset) -> Limb:
        point = asset.point("power_kw")
        row = self.live.row(point)
        last = self.samples.get(point)
        kw = row.value if row.value is not None else None if last is None else last.value
        return Limb(asset.name, KINDS.get(type(asset), "base load"), SYMBOLS.get(type(asset), "load"), kw, row)

    def _together(self, assets: Sequence[Asset], kind: str) -> Limb:
        row = self.live.over(assets, "power_kw", mean=False)
        return Limb("", kind, SYMBOLS[type(assets[0])], row.value, row, len(assets))


def sprites() -> Markup:
    """The symbols, once for a page; `drawn` points to them."""
    symbols = "".join(f'<symbol id="y-{name}" viewBox="0 0 24 24">{svg}</symbol>' for name, svg in _DRAWN.items())
    return Markup(f'<svg class="hidden" aria-hidden="true">{symbols}</svg>')


def drawn(limb: Limb) -> Markup:
    """The branch and the symbol of a row, of one size; what they say stands beside them in words."""
    arrow = _ARROWS[limb.way]
    head = f'<path class="head" d="{arrow}"/>' if arrow else ""
    return Markup(
        f'<svg class="limb {limb.way}" viewBox="0 0 52 24" aria-hidden="true"><path class="wire" d="M0 12h26"/>{head}'
        f'<use href="#y-{limb.symbol}" x="26" width="24" height="24"/></svg>'
    )
