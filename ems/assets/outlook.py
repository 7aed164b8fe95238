"""What an asset type is told when it builds its rules, and what it hands back: the planner's side of an asset file.

An asset file offers two functions (see `ems/assets/__init__.py`):

    build(block, fleet, outlook) -> Part            its variables and rules, over the whole fleet at once
    actuate(planned, fleet, outlook) -> [Setpoint]  what its devices shall stand at during the running slot

`Outlook` is everything known at the instant of planning. `Part` says how the block touches the rest of the district:
through which nodes it takes or gives (`Port`), what it costs (`Cost`), and how it may fall short (`Slack`). The
optimiser knows nodes, costs and slacks, and no asset type.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import pyomo.environ as pyo

from ems.assets.asset import Asset
from ems.series import Floats, Forecast
from ems.slots import Slots
from ems.snapshot import Snapshot

A = TypeVar("A", bound=Asset)

# The chance that what is forecast goes beyond a limit falls from one half where the limit is the median to a tenth
# where it is the 90 % quantile: in between, a limit's price counts by the mean of these.
CHANCE_IN_MARGIN = 0.3
NOT_AS_HELD_PER_KWH = 5.0  # euro, of what a person holds: dearer than any gain, cheaper than a load unserved
FLEXING_K = 0.5  # below what its residents ask a home may be let fall; not in a senior residence

Medium = Literal["electricity", "heating", "hot_water", "cold", "loop"]

# The quantity of a plan under which a medium's flow into an asset stands.
FLOW_OF: dict[Medium, str] = {
    "electricity": "power_kw",
    "heating": "heating_kw",
    "hot_water": "hot_water_kw",
    "cold": "cold_kw",
    "loop": "loop_kw",
}


class Band(Protocol):
    """Comfort while occupied, degC; as in `district.yaml`."""

    @property
    def floor_c(self) -> float: ...
    @property
    def default_c(self) -> float: ...
    @property
    def ceiling_c(self) -> float: ...
    @property
    def cooling_c(self) -> float | None: ...


class Worth(Protocol):
    """What the wishes are worth, euro; as in `district.yaml`."""

    @property
    def too_cold_per_k_h(self) -> float: ...
    @property
    def too_hot_per_k_h(self) -> float: ...
    @property
    def hot_water_per_kwh(self) -> float: ...
    @property
    def charging_per_kwh(self) -> float: ...
    @property
    def unserved_per_kwh(self) -> float: ...
    @property
    def carbon_per_kg(self) -> float: ...
    @property
    def leaving_plan_per_kwh(self) -> float: ...


@dataclass(frozen=True)
class Tariff:
    """What a kWh costs at one supply point in each slot, euro per kWh, and its power terms."""

    energy_per_kwh: Floats
    network_per_kwh: Floats
    export_per_kwh: Floats
    carbon_kg_per_kwh: Floats
    subscription_per_kw_year: float
    exceedance_per_kwh: float

    @property
    def import_per_kwh(self) -> Floats:
        """Energy and network together."""
        return self.energy_per_kwh + self.network_per_kwh


@dataclass(frozen=True)
class Outlook:
    """All that is known at the instant of planning. `notes` collects the named fallbacks taken on the way."""

    slots: Slots
    assets: Mapping[str, Asset]
    snapshot: Snapshot
    forecasts: Mapping[str, Forecast]
    tariffs: Mapping[str, Tariff]  # by supply point
    comfort: Mapping[str, Band]
    worth: Worth
    time_zone: str = "Europe/Paris"
    foreseen: Mapping[str, float] = field(default_factory=dict)  # states the previous plan expects now
    notes: list[str] = field(default_factory=list)
    grouped: bool = False  # the dwellings of a building planned as one room, for a first look at the whole

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def of(self, kind: type[A]) -> dict[str, A]:
        """The assets of one type, by name."""
        return {n: a for n, a in self.assets.items() if isinstance(a, kind)}

    def in_service(self, name: str) -> bool:
        return name not in self.snapshot.out_of_service

    def held(self, point: str) -> Floats:
        """What a person holds a point at, one value per slot; NaN from when nobody does."""
        row = np.full(self.slots.count, np.nan)
        override = self.snapshot.overrides.get(point, self.snapshot.holds.get(point))
        if override is not None:
            row[: max(math.ceil((override.until - self.slots.start) / self.slots.length), 0)] = override.value
        return row

    def capped(self, point: str, limit: float | Floats, unit: float = 1.0) -> Floats:
        """A limit per slot, lowered to `unit` x what a person holds the point at, while they do."""
        held = self.held(point) * unit
        return np.where(np.isnan(held), limit, np.minimum(limit, np.maximum(held, 0.0))).astype(float)

    def measured(self, point: str, design: float, state: str | None = None) -> float:
        """The usable value of a point; else what the previous plan foresaw of `state`, else the design value.

        The last two leave a note: nothing falls back silently.
        """
        value = self.snapshot.value(point)
        if value is not None:
            return value
        foreseen = self.foreseen.get(state or point)
        if foreseen is not None:
            self.note(f"{point} is not known: the previous plan's {foreseen:.4g} stands in")
            return foreseen
        self.note(f"{point} is not known: its design value {design:.4g} stands in")
        return design

    def colder_than_asked(self, home: Asset) -> bool:
        """Whether a home stands below the band that its residents agreed to. What is not measured is not cold."""
        asked, stands = (self.snapshot.value(home.point(q)) for q in ("setpoint_c", "temperature_c"))
        return asked is not None and stands is not None and stands < asked - FLEXING_K

    def bounded(self, point: str, value: float, low: float, high: float) -> float:
        """`value` clipped into what the store can hold, with a note when that changes it by more than 1 %."""
        clipped = min(max(value, low), high)
        if abs(clipped - value) > 0.01 * max(abs(high - low), 1e-6):
            self.note(f"{point} is {value:.4g}, outside {low:.4g}..{high:.4g}: planned from {clipped:.4g}")
        return clipped

    def expected(self, point: str, design: float | Floats) -> Floats:
        """The median forecast of a point over the horizon; else the design value, and a note."""
        forecast = self.forecasts.get(point)
        if forecast is not None:
            if forecast.slots != self.slots:
                raise ValueError(
                    f"{point}: forecast covers {forecast.slots.count} slots from {forecast.slots.start.isoformat()}, "
                    f"the plan {self.slots.count} from {self.slots.start.isoformat()}; forecast the plan's own slots"
                )
            return forecast.median
        self.note(f"{point} has no forecast: its design value stands in")
        return np.broadcast_to(np.asarray(design, dtype=float), (self.slots.count,)).copy()


@dataclass(frozen=True)
class Port:
    """Where a fleet touches nodes: `flow[name, slot]` in kW, taken from `node[name]`, or given to it.

    `flow` is a Var or, for what nobody controls, a Param; then `firm` is True and the node may leave it unserved.
    """

    medium: Medium
    flow: Any
    node: Mapping[str, str]
    gives: bool = False
    firm: bool = False


@dataclass(frozen=True)
class Cost:
    """`price` x `variable`, summed over the variable's index; euro per unit of the variable.

    `price` is one number, or an array shaped (names, slots) in the order of the variable's own index.
    """

    term: str
    variable: Any
    price: float | Floats


@dataclass(frozen=True)
class Slack:
    """How a wish may fall short: a priced variable, its name for people, and what would fix it.

    `hours` turns the sum over slots into the unit (the slot's length for a power or a temperature, 1 for an energy).
    """

    variable: Any
    fr: str
    en: str
    unit: str
    hours: float
    remedy_fr: str
    remedy_en: str


@dataclass(frozen=True)
class OnOff:
    """A variable that is 0 or at least `minimum`: what its device cannot do in between.

    `minimum` is shaped as the variable's own index (names first, slots last). The rules hold it continuous; whoever
    solves decides for how many of the next slots it must be one or the other.
    """

    variable: Any
    minimum: Floats


@dataclass(frozen=True)
class Part:
    """What a block hands to the district's model.

    `holds` are the flows that should not change without reason from one plan to the next; `on_off` those that are
    either nothing or at least so much.
    """

    ports: tuple[Port, ...] = ()
    costs: tuple[Cost, ...] = ()
    slacks: tuple[Slack, ...] = ()
    holds: tuple[Any, ...] = ()
    on_off: tuple[OnOff, ...] = ()


class Planned(Protocol):
    """A solved plan, as `actuate` sees it."""

    def flow(self, name: str, quantity: str) -> Floats:
        """N values, kW."""

    def state(self, name: str, quantity: str) -> Floats:
        """N + 1 values."""


def index_fleet(block: Any, names: Iterable[str], slots: Slots) -> None:
    """Give a block its index sets: `fleet`, `flows` (the N slots) and `stocks` (the N + 1 boundaries)."""
    block.fleet = pyo.Set(initialize=list(names), ordered=True)
    block.flows = pyo.RangeSet(0, slots.count - 1)
    block.stocks = pyo.RangeSet(0, slots.count)


def both(fr: str, en: str) -> str:
    """One short reason in French and English, as a set point carries it."""
    return f"{fr} | {en}"


def price_words(tariff: Tariff | None) -> tuple[str, str]:
    """What a kWh costs now against the dearest and cheapest hour ahead, in both languages."""
    if tariff is None:
        return "sans prix", "at no price"
    price = tariff.import_per_kwh
    now, low, high = float(price[0]), float(price.min()), float(price.max())
    if high - low < 1e-9:
        return f"à {_euro_fr(now)} €/kWh, prix constant", f"at {now:.3f} EUR/kWh, a flat price"
    if now <= low + 1e-9:
        return (
            f"à {_euro_fr(now)} €/kWh, avant {_euro_fr(high)} plus tard",
            f"at {now:.3f} EUR/kWh, before {high:.3f} later",
        )
    return (
        f"à {_euro_fr(now)} €/kWh, contre {_euro_fr(low)} plus tard",
        f"at {now:.3f} EUR/kWh, against {low:.3f} later",
    )


def _euro_fr(price: float) -> str:
    return f"{price:.3f}".replace(".", ",")
