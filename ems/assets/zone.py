"""Heated (and sometimes cooled) rooms: a dwelling, or a large zone of offices, shops, hotel, crèche or school.

Two resistances, two capacities: the light node is the air and what follows it in minutes, the mass node is walls and
slabs. Positive heat flows into the zone.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import expm

from ems.assets.asset import Asset, Celsius, Entry, NotNegative, Positive, Share
from ems.assets.outlook import FLEXING_K, Cost, Outlook, Part, Planned, Port, Slack, both, index_fleet
from ems.assets.substation import LARGEST_OFFSET_K, Substation, curve_c, emitter_share
from ems.assets.tables import per_name, per_slot, upper
from ems.assets.weather_station import irradiance_w_per_m2, outdoor_c
from ems.command import Setpoint
from ems.public_holidays import is_public_holiday
from ems.series import Floats
from ems.slots import Slots

Orientation = Literal["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"]
ZoneUse = Literal["home", "senior-home", "common-room", "offices", "shops", "hotel", "creche", "school"]


class Fabric(Entry):
    """Design values of a zone's envelope, per m2 of floor. The simulated truth is drawn +-30 % around them."""

    loss_w_per_k_m2: Positive  # transmission and ventilation
    light_wh_per_k_m2: Positive  # air, furniture, surfaces
    mass_wh_per_k_m2: Positive  # walls and slabs
    coupling_w_per_k_m2: Positive  # between light node and mass
    solar_aperture_share: Share  # m2 of equivalent horizontal aperture per m2 of floor, with usual shutters
    gains_w_per_m2: NotNegative  # people and appliances, mean while occupied
    heating_w_per_m2: Positive  # what the emitters give at design supply temperature
    cooling_w_per_m2: NotNegative = 0.0


class Dwelling(Asset):
    """One home. Its room controller adds our offset (-1..+1 K) to the resident's own set point."""

    type: Literal["dwelling"] = "dwelling"
    use: Literal["home", "senior-home"] = "home"
    floor: int = Field(ge=-1, le=40)
    surface_m2: Positive
    rooms: int = Field(ge=1, le=8)
    orientation: Orientation
    prm: str = Field(pattern=r"^\d{14}$")
    thermostat: bool = True  # 15 % have no readable thermostat
    substation: str
    fabric: Fabric


class Opening(Entry):
    """When a zone is occupied, local time. `days` are ISO weekdays, 1 is Monday."""

    days: tuple[int, ...] = Field(min_length=1, strict=False)  # YAML has lists only
    from_hour: float = Field(ge=0, le=24)
    until_hour: float = Field(ge=0, le=24)
    closed_on_holidays: bool | None = Field(
        default=None,
        description="nobody comes on French public holidays; left out: true, but for hotels, common rooms and homes",
    )


class Zone(Asset):
    """A large zone with one controller: mode (occupied or not) and set points are ours to write."""

    type: Literal["zone"] = "zone"
    use: ZoneUse
    surface_m2: Positive
    orientation: Orientation = "south"
    substation: str
    fabric: Fabric
    opening: Opening
    heating_occupied_c: Celsius = 19.0
    heating_unoccupied_c: Celsius = 16.0
    cooling_occupied_c: Celsius | None = None  # None: no cooling here
    cooling_unoccupied_c: Celsius | None = None
    people: int = Field(default=0, ge=0)

    @property
    def closed_on_holidays(self) -> bool:
        """Whether nobody comes on a public holiday: as the file says, else by what the zone is used for."""
        said = self.opening.closed_on_holidays
        return self.use not in LIVED_IN if said is None else said


TYPES = (Dwelling, Zone)
MEMBERS = (Dwelling,)  # many and alike: planned in groups first

SUN_ON_MASS_SHARE = (
    0.5  # of the sun that enters falls on floors and walls, the rest warms air and furniture (assumption)
)
HOME_M2 = 65.0  # the dwelling-equivalent that comfort is priced by
LIVED_IN = ("home", "senior-home", "common-room", "hotel")  # on a public holiday too, unless the file says otherwise
READY_BEFORE_H = 0.5  # rooms are warm (or cool) this long before people come: their model is not the room
INSIDE_BAND_K = 0.2  # the plan aims this far inside the band: its model is not the room
OFFSET_K = 1.0  # the most we shift a resident's set point
WARM_ANYWAY_K = 0.3  # this far above all that an offset may ask for, none is needed: the valve is shut
OFFSET_STEP_K = 0.6  # a smaller change of it is not worth a write: 0.4 took three times as many for nothing gained
WISHED_K = 0.3  # above an offset that somebody asked for, a room may still be
STANDING_K = 1.5  # dwellings that stand as far above their band's lower edge are planned as one at first
WARM_ENOUGH_K = 1.0  # below the lowest wished limit a room may stand, left alone, to be planned with cooling
ALWAYS = Opening(days=(1, 2, 3, 4, 5, 6, 7), from_hour=0, until_hour=24)


@dataclass(frozen=True)
class Room:
    """What is planned as one: a large zone, a dwelling, or the dwellings of a building behind one substation.

    `group` names the dwellings of that building and substation, whichever way they are planned.
    """

    name: str
    use: ZoneUse
    substation: str
    surface_m2: float
    fabric: Fabric
    members: tuple[Dwelling, ...] = ()
    zone: Zone | None = None
    group: str = ""
    share: float = 1.0  # of the surface of all dwellings of its building

    @property
    def heating_limit_kw(self) -> float:
        return self.fabric.heating_w_per_m2 * self.surface_m2 / 1000

    @property
    def cooling_limit_kw(self) -> float:
        cooled = self.zone is not None and self.zone.cooling_occupied_c is not None
        return self.fabric.cooling_w_per_m2 * self.surface_m2 / 1000 if cooled else 0.0


@dataclass(frozen=True)
class Step:
    """One slot of the two-node model, discretised exactly: [light, mass] -> [light, mass].

    Rows are the nodes; `of` holds columns light degC, mass degC, outdoor degC, heat on light kW, heat on mass kW.
    """

    of: Floats

    @classmethod
    def exact(cls, fabric: Fabric, surface_m2: float, hours: float) -> Step:
        """Matrix exponential of the two heat balances over a slot with constant inputs (zero-order hold).

        C_light dT_light/dt = loss (T_out - T_light) + coupling (T_mass - T_light) + q_light
        C_mass  dT_mass/dt  = coupling (T_light - T_mass) + q_mass
        """
        return cls(_step_of_a_square_metre(fabric, hours) / np.array([1.0, 1.0, 1.0, surface_m2, surface_m2]))


@lru_cache(maxsize=1024)
def _step_of_a_square_metre(fabric: Fabric, hours: float) -> Floats:
    light, mass = fabric.light_wh_per_k_m2 / 1000, fabric.mass_wh_per_k_m2 / 1000  # kWh/K
    loss, coupling = fabric.loss_w_per_k_m2 / 1000, fabric.coupling_w_per_k_m2 / 1000  # kW/K
    system = np.zeros((5, 5))
    system[0] = np.array([-(loss + coupling), coupling, loss, 1.0, 0.0]) / light
    system[1] = np.array([coupling, -coupling, 0.0, 0.0, 1.0]) / mass
    return np.asarray(expm(system * hours)[:2], dtype=float)


def next_temperatures_c(step: Any, light_c: Any, mass_c: Any, outdoor_c: Any, on_light_kw: Any, on_mass_kw: Any) -> Any:
    """Temperatures of light and mass node at the end of a slot; `step` is indexed [node][column]."""
    inputs = (light_c, mass_c, outdoor_c, on_light_kw, on_mass_kw)
    return tuple(sum(step[node, i] * x for i, x in enumerate(inputs)) for node in (0, 1))


def rooms(fleet: Mapping[str, Dwelling | Zone], outlook: Outlook | None = None) -> dict[str, Room]:
    """Large zones each for itself, and so the dwellings; with an outlook that groups them, as one room per building,
    substation and standing (how far above its band's lower edge a dwelling is), surfaces summed.
    """
    found: dict[str, Room] = {}
    groups: dict[tuple[str, str, str, Fabric], list[Dwelling]] = {}
    for name, asset in fleet.items():
        if isinstance(asset, Zone):
            found[name] = Room(name, asset.use, asset.substation, asset.surface_m2, asset.fabric, zone=asset)
        else:
            groups.setdefault((asset.building, asset.substation, asset.use, asset.fabric), []).append(asset)
    homes: dict[str, Room] = {}
    surfaces: dict[str, float] = {}
    for (building, *_), members in groups.items():
        surfaces[building] = surfaces.get(building, 0.0) + sum(m.surface_m2 for m in members)
    for (building, substation, _, fabric), members in groups.items():
        number = sum(r.group.startswith(f"{building}/homes") for r in {r.group: r for r in homes.values()}.values())
        group = f"{building}/homes" if number == 0 else f"{building}/homes-{number + 1}"
        for home in members:
            homes[home.name] = Room(
                home.name, home.use, substation, home.surface_m2, fabric,
                members=(home,), group=group, share=home.surface_m2 / surfaces[building],
            )  # fmt: skip
    if outlook is None or not outlook.grouped:
        return found | homes
    standing = standings(homes, outlook)
    alike: dict[tuple[str, int], list[Room]] = {}
    for name, room in homes.items():
        alike.setdefault((room.group, standing[name]), []).append(room)
    for (group, place), same in alike.items():
        one, name = same[0], f"{group} standing {place}"
        found[name] = Room(
            name, one.use, one.substation, sum(r.surface_m2 for r in same), one.fabric,
            members=tuple(m for r in same for m in r.members), group=group, share=sum(r.share for r in same),
        )  # fmt: skip
    return found


def groups(fleet: Mapping[str, Dwelling | Zone], outlook: Outlook) -> dict[str, tuple[str, ...]]:
    """The dwellings of each room of several, by the room's name."""
    return {n: tuple(m.name for m in r.members) for n, r in rooms(fleet, outlook).items() if r.members}


def standings(homes: Mapping[str, Room], outlook: Outlook) -> dict[str, int]:
    """In which step of STANDING_K each dwelling stands above (or below) the lower edge of its band."""
    now, asked = temperatures_now_c(homes, outlook), asked_c(homes, outlook)
    above = {n: now[n] - band_c(r, asked.get(n), outlook)[0][0] for n, r in homes.items()}
    return {n: int(min(max(math.floor(k / STANDING_K), -3), 3)) for n, k in above.items()}


def occupied(
    opening: Opening, slots: Slots, time_zone: str, closed: Collection[date] = frozenset()
) -> NDArray[np.bool_]:
    """In which slots a zone is open, by local time; never on the days `closed`."""
    here = ZoneInfo(time_zone)
    local = [start.astimezone(here) for start in slots]
    return np.array(
        [
            at.isoweekday() in opening.days
            and opening.from_hour <= at.hour + at.minute / 60 < opening.until_hour
            and at.date() not in closed
            for at in local
        ]
    )


def open_slots(zone: Zone, outlook: Outlook) -> NDArray[np.bool_]:
    """In which slots of the plan a zone is open, as its timetable, the public holidays and people say."""
    here = ZoneInfo(outlook.time_zone)
    days = {start.astimezone(here).date() for start in outlook.slots}
    closed = {day for day in days if is_shut(zone, day, outlook.snapshot.closed, outlook.time_zone)}
    return occupied(zone.opening, outlook.slots, outlook.time_zone, closed)


def is_shut(zone: Zone, day: date, closings: Mapping[str, Collection[date]], time_zone: str) -> bool:
    """Whether nobody comes on a local day, whatever the timetable says: people closed the zone, or it is a holiday."""
    return day in closings.get(zone.name, ()) or (zone.closed_on_holidays and is_public_holiday(day, time_zone))


def temperatures_now_c(known: Mapping[str, Room], outlook: Outlook) -> dict[str, float]:
    """Measured air temperature of each room, degC."""
    return _read(known, outlook, "temperature_c", "light_c")


def mass_now_c(room: Room, light_c: float, outlook: Outlook) -> float:
    """Nobody measures walls: they are where an observer or the last plan sees them, else near the air, degC.

    Several dwellings planned as one have the mean of theirs.
    """
    seen = []
    for name, surface in [(m.name, m.surface_m2) for m in room.members] or [(room.name, room.surface_m2)]:
        mass = outlook.snapshot.states.get(f"{name}/mass_c", outlook.foreseen.get(f"{name}/mass_c"))
        seen.append((surface, light_c if mass is None else mass))
    return _mean(seen)


def asked_c(known: Mapping[str, Room], outlook: Outlook) -> dict[str, float]:
    """What the residents of each room ask for, degC; nobody asks in a large zone."""
    return _read({n: r for n, r in known.items() if r.members}, outlook, "setpoint_c", None)


def _read(known: Mapping[str, Room], outlook: Outlook, quantity: str, state: str | None) -> dict[str, float]:
    """A quantity of each room: measured, else the mean of its group, else what `Outlook.measured` puts in its place.

    That a dwelling without a readable thermostat is taken for one like its neighbours is no fallback: it is how such a
    dwelling is planned.
    """
    own: dict[str, list[tuple[float, float]]] = {}
    groups: dict[str, list[tuple[float, float]]] = {}
    for name, room in known.items():
        for home in room.members:
            value = outlook.snapshot.value(home.point(quantity)) if home.thermostat else None
            if value is not None:
                own.setdefault(name, []).append((home.surface_m2, value))
                groups.setdefault(room.group, []).append((home.surface_m2, value))
    means = {group: _mean(readings) for group, readings in groups.items()}
    result = {}
    for name, room in known.items():
        if name in own:
            result[name] = _mean(own[name])
        elif room.group in means:
            result[name] = means[room.group]
        else:
            point = room.group or name
            result[name] = outlook.measured(
                f"{point}/{quantity}", outlook.comfort[room.use].default_c, f"{name}/{state}" if state else None
            )
    return result


def _mean(readings: list[tuple[float, float]]) -> float:
    return sum(surface * value for surface, value in readings) / sum(surface for surface, _ in readings)


def band_c(room: Room, asked_c: float | None, outlook: Outlook) -> tuple[Floats, Floats]:
    """Lowest and highest wished temperature at the end of each slot, degC: heating keeps it between."""
    comfort, count = outlook.comfort[room.use], outlook.slots.count
    if room.zone is None:
        asked = min(max(comfort.default_c if asked_c is None else asked_c, comfort.floor_c), comfort.ceiling_c)
        flexing = 0.0 if room.use == "senior-home" else FLEXING_K
        low = max(comfort.floor_c + INSIDE_BAND_K, asked - flexing)
        high = max(min(comfort.ceiling_c, asked + OFFSET_K), low)
        return _as_wished(room, np.full(count, low), np.full(count, high), asked, outlook)
    zone, open_now = room.zone, open_slots(room.zone, outlook)
    wished = min(comfort.floor_c + INSIDE_BAND_K, zone.heating_occupied_c)
    held = outlook.held(zone.point("heating_setpoint_c"))
    lowest: Floats = np.where(_soon(open_now, outlook.slots), wished, zone.heating_unoccupied_c).astype(float)
    lowest = np.where(np.isnan(held), lowest, np.minimum(held, comfort.ceiling_c))
    return lowest, np.maximum(comfort.ceiling_c, lowest)


def _as_wished(room: Room, low_c: Floats, high_c: Floats, asked_c: float, outlook: Outlook) -> tuple[Floats, Floats]:
    """The band of dwellings, drawn together around the offset where somebody asked for one: the plan does not shift it.

    Of several dwellings planned as one, each draws by its share of the surface.
    """
    comfort, low, high = outlook.comfort[room.use], low_c.copy(), high_c.copy()
    for home in room.members:
        offset = outlook.held(home.point("setpoint_offset_k"))
        if np.isnan(offset).all():
            continue
        at = np.clip(asked_c + offset, comfort.floor_c + INSIDE_BAND_K, comfort.ceiling_c)
        share = home.surface_m2 / room.surface_m2
        low += share * np.nan_to_num(at - low_c)
        high += share * np.nan_to_num(np.minimum(at + WISHED_K, comfort.ceiling_c) - high_c)
    return low, np.maximum(high, low)


def _soon(open_now: NDArray[np.bool_], slots: Slots) -> NDArray[np.bool_]:
    """While a zone is open, and READY_BEFORE_H before."""
    soon = open_now.copy()
    for ahead in range(1, math.ceil(READY_BEFORE_H / slots.hours) + 1):
        soon[:-ahead] |= open_now[ahead:]
    return soon


def cooling_limit_c(room: Room, outlook: Outlook) -> Floats:
    """Highest wished temperature where there is cooling, degC; infinite where there is none."""
    count = outlook.slots.count
    if room.zone is None or room.zone.cooling_occupied_c is None:
        return np.full(count, np.inf)
    zone, open_now = room.zone, open_slots(room.zone, outlook)
    promised = max(room.zone.cooling_occupied_c, outlook.comfort[room.use].cooling_c or 0.0)
    closed = promised if zone.cooling_unoccupied_c is None else zone.cooling_unoccupied_c
    held = outlook.held(zone.point("cooling_setpoint_c"))
    wished = np.where(_soon(open_now, outlook.slots), promised, closed)
    return np.where(np.isnan(held), wished, held).astype(float)


def gains_kw(room: Room, outlook: Outlook) -> Floats:
    """People and appliances, kW per slot; a dwelling without a forecast of its own has its share of its building's."""
    if room.zone is None and f"{room.name}/gains_kw" not in outlook.forecasts:
        design = room.fabric.gains_w_per_m2 * room.surface_m2 / room.share / 1000
        return room.share * outlook.expected(f"{room.members[0].building}/homes/gains_kw", design)
    open_now = np.ones(outlook.slots.count, dtype=bool)
    if room.zone is not None:
        open_now = open_slots(room.zone, outlook)
    design_kw = room.fabric.gains_w_per_m2 * room.surface_m2 / 1000 * np.where(open_now, 1.0, 0.2)
    return outlook.expected(f"{room.name}/gains_kw", design_kw)


def free_running_c(
    step: Floats, light_c: Floats, mass_c: Floats, outdoor_c: Floats, on_light_kw: Floats, on_mass_kw: Floats
) -> Floats:
    """Light-node temperatures at the end of each slot when nobody heats or cools, degC, by room.

    `step` is shaped (rooms, 2, 5), the temperatures (rooms,), outdoors (slots,), the heat (rooms, slots).
    """
    columns = np.moveaxis(step, 0, -1)
    result = np.empty(on_light_kw.shape)
    for t in range(outdoor_c.size):
        light_c, mass_c = next_temperatures_c(
            columns, light_c, mass_c, outdoor_c[t], on_light_kw[:, t], on_mass_kw[:, t]
        )
        result[:, t] = light_c
    return result


def build(block: Any, fleet: Mapping[str, Dwelling | Zone], outlook: Outlook) -> Part:
    """Temperatures of all rooms; the comfort band is a price, the emitters' power a limit."""
    slots, worth = outlook.slots, outlook.worth
    known = rooms(fleet, outlook)
    index_fleet(block, known, slots)
    outdoor = outdoor_c(outlook)
    substations = outlook.of(Substation)
    steps = {n: Step.exact(r.fabric, r.surface_m2, slots.hours).of for n, r in known.items()}
    light_now, asked = temperatures_now_c(known, outlook), asked_c(known, outlook)
    mass_now = {n: mass_now_c(r, light_now[n], outlook) for n, r in known.items()}
    sun = irradiance_w_per_m2(outlook) / 1000
    entering = {n: r.fabric.solar_aperture_share * r.surface_m2 * sun for n, r in known.items()}
    on_mass = {n: SUN_ON_MASS_SHARE * kw for n, kw in entering.items()}
    on_light = {n: gains_kw(r, outlook) + entering[n] - on_mass[n] for n, r in known.items()}
    unheated = free_running_c(
        per_slot(steps).array,
        per_name(light_now).array,
        per_name(mass_now).array,
        outdoor,
        per_slot(on_light).array,
        per_slot(on_mass).array,
    )
    shares = {
        n: emitter_share(station, curve_c(station, outdoor) + LARGEST_OFFSET_K)
        for n, station in substations.items()
        if n in {r.substation for r in known.values()}
    }
    low, high, heating, cooling = {}, {}, {}, {}
    for i, (n, room) in enumerate(known.items()):
        low[n], ceiling = band_c(room, asked.get(n), outlook)
        # Sun and people may carry a room above what heating may reach; that is no fault of the plan.
        high[n] = np.maximum(
            np.minimum(np.maximum(ceiling, unheated[i] + 0.01), cooling_limit_c(room, outlook)), low[n]
        )
        heating[n] = room.heating_limit_kw * shares[room.substation]
        # A room's controller cools what is warm. Heat out of a cool room would look like a cheap source for hot water.
        cooled = unheated[i] > cooling_limit_c(room, outlook).min() - WARM_ENOUGH_K
        cooling[n] = room.cooling_limit_kw * cooled
    block.inputs = pyo.RangeSet(0, 4)
    block.nodes = pyo.RangeSet(0, 1)
    block.step = pyo.Param(
        block.fleet,
        block.nodes,
        block.inputs,
        initialize=per_slot(steps),
    )
    block.outdoor_c = pyo.Param(block.flows, initialize=dict(enumerate(outdoor.tolist())))
    block.free_on_light_kw = pyo.Param(block.fleet, block.flows, initialize=per_slot(on_light))
    block.free_on_mass_kw = pyo.Param(block.fleet, block.flows, initialize=per_slot(on_mass))
    block.low_c = pyo.Param(block.fleet, block.flows, initialize=per_slot(low))
    block.high_c = pyo.Param(block.fleet, block.flows, initialize=per_slot(high))
    block.light_at_start_c = pyo.Param(block.fleet, initialize=per_name(light_now))
    block.mass_at_start_c = pyo.Param(block.fleet, initialize=per_name(mass_now))
    block.light_c = pyo.Var(block.fleet, block.stocks)
    block.mass_c = pyo.Var(block.fleet, block.stocks)
    block.heating_kw = pyo.Var(block.fleet, block.flows, bounds=upper(heating))
    block.cold_kw = pyo.Var(block.fleet, block.flows, bounds=upper(cooling))
    block.too_cold_k = pyo.Var(block.fleet, block.flows, bounds=(0, None))
    block.too_hot_k = pyo.Var(block.fleet, block.flows, bounds=(0, None))

    @block.Constraint(block.fleet)  # type: ignore[untyped-decorator]
    def light_starts_as_measured(b: Any, n: Any) -> Any:
        return b.light_c[n, 0] == b.light_at_start_c[n]

    @block.Constraint(block.fleet)  # type: ignore[untyped-decorator]
    def mass_starts_as_foreseen(b: Any, n: Any) -> Any:
        return b.mass_c[n, 0] == b.mass_at_start_c[n]

    def follows(node: int) -> Any:
        def rule(b: Any, n: Any, t: Any) -> Any:
            after = b.light_c if node == 0 else b.mass_c
            heat = b.heating_kw[n, t] - b.cold_kw[n, t] + b.free_on_light_kw[n, t]
            inputs = (b.light_c[n, t], b.mass_c[n, t], b.outdoor_c[t], heat, b.free_on_mass_kw[n, t])
            return after[n, t + 1] == sum(b.step[n, node, i] * x for i, x in enumerate(inputs))

        return rule

    block.light_keeps_heat = pyo.Constraint(block.fleet, block.flows, rule=follows(0))
    block.mass_keeps_heat = pyo.Constraint(block.fleet, block.flows, rule=follows(1))

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def stays_in_band(b: Any, n: Any, t: Any) -> Any:
        wished_c = b.light_c[n, t + 1] + b.too_cold_k[n, t] - b.too_hot_k[n, t]
        return pyo.inequality(b.low_c[n, t], wished_c, b.high_c[n, t])

    homes = np.array([[r.surface_m2 / HOME_M2] * slots.count for r in known.values()]) * slots.hours
    at_end = _value_at_end(known, low, heating, cooling, outlook)
    behind = {n: r.substation for n, r in known.items()}
    return Part(
        ports=(Port("heating", block.heating_kw, behind), Port("cold", block.cold_kw, behind)),
        costs=(
            Cost("comfort", block.too_cold_k, homes * worth.too_cold_per_k_h),
            Cost("comfort", block.too_hot_k, homes * worth.too_hot_per_k_h),
            Cost("stores", block.mass_c, at_end["mass"]),
            Cost("stores", block.light_c, at_end["light"]),
        ),
        slacks=(
            Slack(
                block.too_cold_k,
                "trop froid",
                "too cold",
                "K·h",
                slots.hours,
                "chauffer plus tôt ou lever une limite de chaleur",
                "heat earlier or lift a limit on heat",
            ),
            Slack(
                block.too_hot_k,
                "trop chaud",
                "too hot",
                "K·h",
                slots.hours,
                "fermer les volets, aérer la nuit",
                "close the shutters, air at night",
            ),
        ),
        holds=(block.heating_kw,),
    )


def share_out(
    each: Mapping[str, Floats],
    whole: Mapping[str, Floats],
    limits: Mapping[str, Floats],
    planned: Mapping[str, Floats],
    group: NDArray[np.int64],
) -> tuple[dict[str, Floats], ...]:
    """What every dwelling does so that together they do what was planned for their groups; two such plans, to mix.

    `each` and `whole` are the numbers of the rules of dwellings and of groups (as `build` names them, names first),
    `limits` the dwellings' upper bounds, `planned` the groups' variables, `group` each dwelling's group. In the first
    plan the dwellings' heat adds up to their group's. In the second whoever would be left below their band by that is
    warmed into it: where a group is just warm enough, some of its dwellings are not.
    """
    exact = _shared_out(each, whole, limits["heating_kw"], planned, group, warm=False)
    return exact, _shared_out(each, whole, limits["heating_kw"], planned, group, warm=True)


def _shared_out(
    each: Mapping[str, Floats],
    whole: Mapping[str, Floats],
    limit_kw: Floats,
    planned: Mapping[str, Floats],
    group: NDArray[np.int64],
    warm: bool,
) -> dict[str, Floats]:
    """A dwelling stands as far above its band's lower edge as its group does; in each slot all of a group are then
    moved by the same fraction of a kelvin until their heat adds up, as far as their emitters can.
    """
    step = np.moveaxis(each["step"], 0, -1)
    target = each["low_c"] + (planned["light_c"][:, 1:] - whole["low_c"])[group]
    wanted = planned["heating_kw"]
    count, slots = limit_kw.shape
    light, mass = (np.empty((count, slots + 1)) for _ in range(2))
    heating = np.empty((count, slots))
    light[:, 0], mass[:, 0] = each["light_at_start_c"], each["mass_at_start_c"]
    per_kw = step[0, 3]  # K that a kW over the slot lifts the air
    for t in range(slots):
        free = (each["outdoor_c"][t], each["free_on_light_kw"][:, t], each["free_on_mass_kw"][:, t])
        unheated, _ = next_temperatures_c(step, light[:, t], mass[:, t], *free)
        heat = (target[:, t] - unheated) / per_kw
        heat = _adding_up(heat, 1 / per_kw, limit_kw[:, t], wanted[:, t], group)
        if warm:
            heat = np.clip((each["low_c"][:, t] - unheated) / per_kw, heat, limit_kw[:, t])
        heating[:, t] = heat
        light[:, t + 1], mass[:, t + 1] = next_temperatures_c(
            step, light[:, t], mass[:, t], free[0], free[1] + heat, free[2]
        )
    return {
        "light_c": light,
        "mass_c": mass,
        "heating_kw": heating,
        "cold_kw": np.zeros_like(heating),
        "too_cold_k": np.maximum(each["low_c"] - light[:, 1:], 0.0),
        "too_hot_k": np.maximum(light[:, 1:] - each["high_c"], 0.0),
    }


def _adding_up(heat_kw: Floats, per_k: Floats, limit_kw: Floats, wanted_kw: Floats, group: NDArray[np.int64]) -> Floats:
    """`heat_kw`, moved by one common number of kelvin per group within 0..limit, so that it adds up to `wanted_kw`.

    Newton's steps on a sum of straight pieces that only rises; what they leave is shared out by what room there is.
    """
    groups = wanted_kw.size
    moved = np.zeros(groups)
    for _ in range(8):
        kw = np.clip(heat_kw + per_k * moved[group], 0, limit_kw)
        missing = wanted_kw - np.bincount(group, kw, groups)
        slope = np.bincount(group, per_k * ((kw > 0) & (kw < limit_kw)), groups)
        # With everyone at a bound there is no slope: go on by that of all, towards where somebody leaves it.
        slope = np.where(slope > 1e-9, slope, np.bincount(group, per_k, groups))
        if np.abs(missing).max(initial=0.0) < 1e-9:
            break
        moved += np.clip(missing / slope, -5, 5)
    kw = np.clip(heat_kw + per_k * moved[group], 0, limit_kw)
    missing = wanted_kw - np.bincount(group, kw, groups)
    room = np.where(missing[group] > 0, limit_kw - kw, kw)
    share = missing / np.maximum(np.bincount(group, room, groups), 1e-12)
    return np.clip(kw + np.clip(share, -1, 1)[group] * room, 0, limit_kw)


HEATING_COP, COOLING_COP = 4.5, 5.0  # of order, to price the heat left in walls at the end


def _value_at_end(
    known: Mapping[str, Room],
    low: Mapping[str, Floats],
    heating: Mapping[str, Floats],
    cooling: Mapping[str, Floats],
    outlook: Outlook,
) -> dict[str, Floats]:
    """What a kelvin in air and walls is worth after the horizon, euro, negative as a cost: the electricity it spares.

    Positive where heating could be needed in the horizon (the emitters have something to give), of opposite sign where
    the room can be cooled and heating is off. Half of it: half of the heat is gone before it is needed.
    """
    mean_price = float(np.mean([t.import_per_kwh.mean() for t in outlook.tariffs.values()])) if outlook.tariffs else 0.0
    value: dict[str, Floats] = {k: np.zeros((len(known), outlook.slots.count + 1)) for k in ("mass", "light")}
    for i, (n, room) in enumerate(known.items()):
        if heating[n][-1] > 0.05 * room.heating_limit_kw + 1e-9:
            per_kwh = 0.5 * mean_price / HEATING_COP
        elif cooling[n][-1] > 0:
            per_kwh = -0.25 * mean_price / COOLING_COP
        else:
            per_kwh = 0.0
        value["mass"][i, -1] = -per_kwh * room.fabric.mass_wh_per_k_m2 * room.surface_m2 / 1000
        value["light"][i, -1] = -per_kwh * room.fabric.light_wh_per_k_m2 * room.surface_m2 / 1000
    return value


def actuate(planned: Planned, fleet: Mapping[str, Dwelling | Zone], outlook: Outlook) -> list[Setpoint]:
    """Offsets for every dwelling with a thermostat; mode and set points of large zones."""
    setpoints: list[Setpoint] = []
    known = rooms(fleet)
    asked = asked_c(known, outlook)
    for name, room in known.items():
        if room.zone:
            setpoints += _of_zone(planned, room, room.zone, outlook)
        else:
            setpoints += _of_home(planned, room, asked[name], outlook)
    return setpoints


def _of_home(planned: Planned, room: Room, asked: float, outlook: Outlook) -> list[Setpoint]:
    """The offset that holds the home where the plan has it: planned temperature less what its residents ask."""
    light, heat = planned.state(room.name, "light_c"), planned.flow(room.name, "heating_kw")
    low = -OFFSET_K if room.use == "home" else 0.0  # never below their wish in a senior residence
    offset = round(min(max(float(light[1]) - asked, low), OFFSET_K), 1) + 0.0
    if float(light[0]) > asked + OFFSET_K + WARM_ANYWAY_K:
        offset = 0.0
        why = both("assez chaud sans chauffage", "warm enough without heating")
    elif float(heat[:16].max()) < 0.01 * room.heating_limit_kw:
        offset = 0.0
        why = both("pas de chauffage prévu dans les 4 h", "no heating planned within 4 h")
    elif offset > 0.05:
        why = both(
            f"chauffe d'avance, bande jusqu'à {asked + OFFSET_K:.1f} °C",
            f"heats ahead, band up to {asked + OFFSET_K:.1f} °C",
        )
    elif offset < -0.05:
        why = both(
            "laisse redescendre dans la bande, la chaleur revient plus tard",
            "lets it fall within the band, heat comes back later",
        )
    else:
        why = both("tient la consigne du résident", "holds the resident's set point")
    stands = both("plus froid que demandé : sa consigne tient", "colder than asked: its set point stands")
    setpoints = []
    for home in (h for h in room.members if h.thermostat):
        own, own_why = (0.0, stands) if offset < 0 and outlook.colder_than_asked(home) else (offset, why)
        setpoints.append(Setpoint(home.point("setpoint_offset_k"), own_offset_k(home, own, outlook), own_why))
    return setpoints


def own_offset_k(home: Dwelling, offset_k: float, outlook: Outlook) -> float:
    """The group's offset as far as this home's own band allows; none where the resident's set point is not known."""
    asked = outlook.snapshot.value(home.point("setpoint_c"))
    if asked is None:
        return 0.0
    band = outlook.comfort[home.use]
    highest, lowest = max(band.ceiling_c - asked, 0.0), min(band.floor_c - asked, 0.0)
    offset_k = min(max(offset_k, lowest), highest)
    held_k = outlook.snapshot.value(home.point("setpoint_offset_k"))
    if held_k is not None and lowest <= held_k <= highest and abs(offset_k - held_k) < OFFSET_STEP_K:
        ends = held_k != 0 and held_k * offset_k <= 0  # what residents ask for is given back at once
        if not ends:
            return held_k
    return math.trunc(offset_k * 10 + math.copysign(1e-6, offset_k)) / 10  # in tenths, never past the band


def _of_zone(planned: Planned, room: Room, zone: Zone, outlook: Outlook) -> list[Setpoint]:
    """Occupied from when the plan warms or cools towards it; the set point is where the plan wants the room."""
    comfort = outlook.comfort[zone.use]
    light = float(planned.state(room.name, "light_c")[1])
    heat, cold = (float(planned.flow(room.name, q)[0]) for q in ("heating_kw", "cold_kw"))
    open_now = bool(open_slots(zone, outlook)[0])
    heating = heat > 0.01 * room.heating_limit_kw
    cooling = room.cooling_limit_kw > 0 and cold > 0.01 * room.cooling_limit_kw
    mode = 2.0 if open_now or heating or cooling else 3.0
    rest = comfort.floor_c if open_now else zone.heating_unoccupied_c
    at = round(min(max(light if heating else rest, zone.heating_unoccupied_c), comfort.ceiling_c), 1)
    if mode == 2.0:  # the gate lowers nothing below the floor while people may be there
        present = outlook.snapshot.value(zone.point("heating_setpoint_c"))
        lowest = comfort.floor_c if present is None or open_now or not heating else min(comfort.floor_c, present)
        at = max(at, math.ceil(lowest * 10 - 1e-6) / 10)  # in tenths, as it is written
    if heating and not open_now:
        why = both(f"préchauffe à {at:.1f} °C avant l'ouverture", f"pre-heats to {at:.1f} °C before opening")
    elif heating:
        why = both(f"chauffe {heat:.0f} kW pour tenir {at:.1f} °C", f"heats {heat:.0f} kW to hold {at:.1f} °C")
    elif cooling:
        why = both(
            f"rafraîchit {cold:.0f} kW, {light:.1f} °C en fin de quart d'heure",
            f"cools {cold:.0f} kW, {light:.1f} °C at the slot's end",
        )
    elif open_now:
        why = both("occupée, ni chaleur ni froid prévus", "occupied, neither heat nor cold planned")
    else:
        why = both("inoccupée", "unoccupied")
    setpoints = [
        Setpoint(zone.point("occupancy_mode"), mode, why),
        Setpoint(zone.point("heating_setpoint_c"), at, why),
    ]
    if zone.cooling_occupied_c is not None:
        limit = float(cooling_limit_c(room, outlook)[0])
        lowest = (
            zone.cooling_occupied_c if comfort.cooling_c is None else max(comfort.cooling_c, zone.cooling_occupied_c)
        )
        cool_at = round(min(max(light, lowest), limit) if cooling else limit, 1)
        setpoints.append(Setpoint(zone.point("cooling_setpoint_c"), max(cool_at, at + 2.0), why))
    return setpoints
