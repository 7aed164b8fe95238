"""Heated (and sometimes cooled) rooms: a dwelling, or a large zone of offices, shops, hotel, crèche or school.

Two resistances, two capacities: the light node is the air and what follows it in minutes, the mass node is walls and
slabs. Positive heat flows into the zone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import expm

from ems.assets.asset import Asset, Celsius, Entry, NotNegative, Positive, Share
from ems.assets.outlook import Cost, Outlook, Part, Planned, Port, Slack, both, index_fleet, per_name, per_slot, upper
from ems.assets.substation import LARGEST_OFFSET_K, Substation, curve_c, emitter_share
from ems.assets.weather_station import irradiance_w_per_m2, outdoor_c
from ems.command import Setpoint
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


TYPES = (Dwelling, Zone)

SUN_ON_MASS_SHARE = (
    0.5  # of the sun that enters falls on floors and walls, the rest warms air and furniture (assumption)
)
HOME_M2 = 65.0  # the dwelling-equivalent that comfort is priced by
READY_BEFORE_H = 0.5  # rooms are warm this long before people come: their model is not the room
INSIDE_BAND_K = 0.2  # the plan aims this far inside the band: its model is not the room
OFFSET_K = 1.0  # the most we shift a resident's set point
FLEXING_K = 0.5  # below the resident's set point; not in a senior residence
ALWAYS = Opening(days=(1, 2, 3, 4, 5, 6, 7), from_hour=0, until_hour=24)


@dataclass(frozen=True)
class Room:
    """What is planned as one: a large zone, or the dwellings of a building behind one substation."""

    name: str
    use: ZoneUse
    substation: str
    surface_m2: float
    fabric: Fabric
    members: tuple[Dwelling, ...] = ()
    zone: Zone | None = None

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
        light, mass = (c * surface_m2 / 1000 for c in (fabric.light_wh_per_k_m2, fabric.mass_wh_per_k_m2))  # kWh/K
        loss, coupling = (u * surface_m2 / 1000 for u in (fabric.loss_w_per_k_m2, fabric.coupling_w_per_k_m2))  # kW/K
        system = np.zeros((5, 5))
        system[0] = np.array([-(loss + coupling), coupling, loss, 1.0, 0.0]) / light
        system[1] = np.array([coupling, -coupling, 0.0, 0.0, 1.0]) / mass
        return cls(np.asarray(expm(system * hours)[:2], dtype=float))


def next_temperatures_c(step: Any, light_c: Any, mass_c: Any, outdoor_c: Any, on_light_kw: Any, on_mass_kw: Any) -> Any:
    """Temperatures of light and mass node at the end of a slot; `step` is indexed [node][column]."""
    inputs = (light_c, mass_c, outdoor_c, on_light_kw, on_mass_kw)
    return tuple(sum(step[node, i] * x for i, x in enumerate(inputs)) for node in (0, 1))


def rooms(fleet: Mapping[str, Dwelling | Zone]) -> dict[str, Room]:
    """Large zones each for itself; dwellings as one group per building (and substation), their surfaces summed."""
    found: dict[str, Room] = {}
    groups: dict[tuple[str, str, str, Fabric], list[Dwelling]] = {}
    for name, asset in fleet.items():
        if isinstance(asset, Zone):
            found[name] = Room(name, asset.use, asset.substation, asset.surface_m2, asset.fabric, zone=asset)
        else:
            groups.setdefault((asset.building, asset.substation, asset.use, asset.fabric), []).append(asset)
    for (building, substation, use, fabric), members in groups.items():
        name = f"{building}/homes"
        number = 2
        while name in found:
            name, number = f"{building}/homes-{number}", number + 1
        surface = sum(m.surface_m2 for m in members)
        found[name] = Room(name, cast(ZoneUse, use), substation, surface, fabric, members=tuple(members))
    return found


def occupied(opening: Opening, slots: Slots, time_zone: str) -> NDArray[np.bool_]:
    """In which slots a zone is open, by local time."""
    here = ZoneInfo(time_zone)
    local = [start.astimezone(here) for start in slots]
    return np.array(
        [
            at.isoweekday() in opening.days and opening.from_hour <= at.hour + at.minute / 60 < opening.until_hour
            for at in local
        ]
    )


def temperature_now_c(room: Room, outlook: Outlook) -> float:
    """Measured air temperature, degC; of a group of dwellings the mean by surface of those that can be read."""
    design = outlook.comfort[room.use].default_c
    state = f"{room.name}/light_c"
    if room.zone is not None:
        return outlook.measured(room.zone.point("temperature_c"), design, state)
    mean = _mean_of(room, outlook, "temperature_c")
    return outlook.measured(f"{room.name}/temperature_c", design, state) if mean is None else mean


def resident_setpoint_c(room: Room, outlook: Outlook) -> float:
    """What the residents of a group ask for, degC, mean by surface; the default where no thermostat can be read."""
    design = outlook.comfort[room.use].default_c
    mean = _mean_of(room, outlook, "setpoint_c")
    return outlook.measured(f"{room.name}/setpoint_c", design) if mean is None else mean


def _mean_of(room: Room, outlook: Outlook, quantity: str) -> float | None:
    known = [
        (m.surface_m2, value)
        for m in room.members
        if m.thermostat and (value := outlook.snapshot.value(m.point(quantity))) is not None
    ]
    total = sum(surface for surface, _ in known)
    return sum(surface * value for surface, value in known) / total if total else None


def band_c(room: Room, outlook: Outlook) -> tuple[Floats, Floats]:
    """Lowest and highest wished temperature at the end of each slot, degC: heating keeps it between."""
    comfort, count = outlook.comfort[room.use], outlook.slots.count
    if room.zone is None:
        asked = min(max(resident_setpoint_c(room, outlook), comfort.floor_c), comfort.ceiling_c)
        flexing = 0.0 if room.use == "senior-home" else FLEXING_K
        low = max(comfort.floor_c + INSIDE_BAND_K, asked - flexing)
        return np.full(count, low), np.full(count, max(min(comfort.ceiling_c, asked + OFFSET_K), low))
    zone, open_now = room.zone, occupied(room.zone.opening, outlook.slots, outlook.time_zone)
    wished = min(comfort.floor_c + INSIDE_BAND_K, zone.heating_occupied_c)
    soon = open_now.copy()
    for ahead in range(1, math.ceil(READY_BEFORE_H / outlook.slots.hours) + 1):
        soon[:-ahead] |= open_now[ahead:]
    lowest: Floats = np.where(soon, wished, zone.heating_unoccupied_c).astype(float)
    return lowest, np.maximum(comfort.ceiling_c, lowest)


def cooling_limit_c(room: Room, outlook: Outlook) -> Floats:
    """Highest wished temperature where there is cooling, degC; infinite where there is none."""
    count = outlook.slots.count
    if room.zone is None or room.zone.cooling_occupied_c is None:
        return np.full(count, np.inf)
    zone, open_now = room.zone, occupied(room.zone.opening, outlook.slots, outlook.time_zone)
    promised = max(room.zone.cooling_occupied_c, outlook.comfort[room.use].cooling_c or 0.0)
    closed = promised if zone.cooling_unoccupied_c is None else zone.cooling_unoccupied_c
    return np.where(open_now, promised, closed).astype(float)


def free_heat_kw(room: Room, outlook: Outlook) -> tuple[Floats, Floats]:
    """Gains and sun on light node and mass, kW per slot."""
    open_now = np.ones(outlook.slots.count, dtype=bool)
    if room.zone is not None:
        open_now = occupied(room.zone.opening, outlook.slots, outlook.time_zone)
    design = room.fabric.gains_w_per_m2 * room.surface_m2 / 1000 * np.where(open_now, 1.0, 0.2)
    gains = outlook.expected(f"{room.name}/gains_kw", design)
    sun = room.fabric.solar_aperture_share * room.surface_m2 * irradiance_w_per_m2(outlook) / 1000
    on_mass: Floats = SUN_ON_MASS_SHARE * sun
    return gains + sun - on_mass, on_mass


def free_running_c(
    step: Step, light_c: Any, mass_c: Any, outdoor: Floats, on_light_kw: Floats, on_mass_kw: Floats
) -> Floats:
    """Light-node temperature at the end of each slot when nobody heats or cools, degC."""
    result = np.empty(outdoor.size)
    for t in range(outdoor.size):
        light_c, mass_c = next_temperatures_c(step.of, light_c, mass_c, outdoor[t], on_light_kw[t], on_mass_kw[t])
        result[t] = light_c
    return result


def build(block: Any, fleet: Mapping[str, Dwelling | Zone], outlook: Outlook) -> Part:
    """Temperatures of all rooms; the comfort band is a price, the emitters' power a limit."""
    slots, worth = outlook.slots, outlook.worth
    known = rooms(fleet)
    index_fleet(block, known, slots)
    outdoor = outdoor_c(outlook)
    substations = outlook.of(Substation)
    steps = {n: Step.exact(r.fabric, r.surface_m2, slots.hours) for n, r in known.items()}
    light_now = {n: temperature_now_c(r, outlook) for n, r in known.items()}
    # Nobody measures walls: they stand where the last plan saw them, else near the air.
    mass_now = {n: outlook.foreseen.get(f"{n}/mass_c", light_now[n]) for n in known}
    free, low, high, heating, cooling = {}, {}, {}, {}, {}
    for n, room in known.items():
        free[n] = free_heat_kw(room, outlook)
        low[n], ceiling = band_c(room, outlook)
        # Sun and people may carry a room above what heating may reach; that is no fault of the plan.
        unheated = free_running_c(steps[n], light_now[n], mass_now[n], outdoor, *free[n])
        high[n] = np.maximum(np.minimum(np.maximum(ceiling, unheated + 0.01), cooling_limit_c(room, outlook)), low[n])
        station = substations[room.substation]
        heating[n] = room.heating_limit_kw * emitter_share(station, curve_c(station, outdoor) + LARGEST_OFFSET_K)
        cooling[n] = np.full(slots.count, room.cooling_limit_kw)
    block.inputs = pyo.RangeSet(0, 4)
    block.nodes = pyo.RangeSet(0, 1)
    block.step = pyo.Param(
        block.fleet,
        block.nodes,
        block.inputs,
        initialize={(n, i, j): float(s.of[i, j]) for n, s in steps.items() for i in (0, 1) for j in range(5)},
    )
    block.outdoor_c = pyo.Param(block.flows, initialize=dict(enumerate(outdoor.tolist())))
    block.free_on_light_kw = pyo.Param(
        block.fleet, block.flows, initialize=per_slot({n: f[0] for n, f in free.items()})
    )
    block.free_on_mass_kw = pyo.Param(block.fleet, block.flows, initialize=per_slot({n: f[1] for n, f in free.items()}))
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
    def stays_warm(b: Any, n: Any, t: Any) -> Any:
        return b.light_c[n, t + 1] + b.too_cold_k[n, t] >= b.low_c[n, t]

    @block.Constraint(block.fleet, block.flows)  # type: ignore[untyped-decorator]
    def stays_cool(b: Any, n: Any, t: Any) -> Any:
        return b.light_c[n, t + 1] - b.too_hot_k[n, t] <= b.high_c[n, t]

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
    for room in rooms(fleet).values():
        setpoints += _of_zone(planned, room, room.zone, outlook) if room.zone else _of_homes(planned, room, outlook)
    return setpoints


def _of_homes(planned: Planned, room: Room, outlook: Outlook) -> list[Setpoint]:
    """Each home holds what its building's group holds in the plan: planned temperature less the mean set point."""
    light, heat = planned.state(room.name, "light_c"), planned.flow(room.name, "heating_kw")
    asked = resident_setpoint_c(room, outlook)
    low = -OFFSET_K if room.use == "home" else 0.0  # never below their wish in a senior residence
    offset = round(min(max(float(light[1]) - asked, low), OFFSET_K), 1) + 0.0
    if float(heat[:16].max()) < 0.01 * room.heating_limit_kw:
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
    homes = [home for home in room.members if home.thermostat]
    return [Setpoint(h.point("setpoint_offset_k"), own_offset_k(h, offset, outlook), why) for h in homes]


def own_offset_k(home: Dwelling, offset_k: float, outlook: Outlook) -> float:
    """The group's offset as far as this home's own band allows; none where the resident's set point is not known."""
    asked = outlook.snapshot.value(home.point("setpoint_c"))
    if asked is None:
        return 0.0
    band = outlook.comfort[home.use]
    highest, lowest = max(band.ceiling_c - asked, 0.0), min(band.floor_c - asked, 0.0)
    offset_k = min(max(offset_k, lowest), highest)
    return math.trunc(offset_k * 10 + math.copysign(1e-6, offset_k)) / 10  # in tenths, never past the band


def _of_zone(planned: Planned, room: Room, zone: Zone, outlook: Outlook) -> list[Setpoint]:
    """Occupied from when the plan warms or cools towards it; the set point is where the plan wants the room."""
    comfort = outlook.comfort[zone.use]
    light = float(planned.state(room.name, "light_c")[1])
    heat, cold = (float(planned.flow(room.name, q)[0]) for q in ("heating_kw", "cold_kw"))
    open_now = bool(occupied(zone.opening, outlook.slots, outlook.time_zone)[0])
    heating = heat > 0.01 * room.heating_limit_kw
    cooling = room.cooling_limit_kw > 0 and cold > 0.01 * room.cooling_limit_kw
    mode = 2.0 if open_now or heating or cooling else 3.0
    rest = comfort.floor_c if open_now else zone.heating_unoccupied_c
    at = round(min(max(light if heating else rest, zone.heating_unoccupied_c), comfort.ceiling_c), 1)
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
