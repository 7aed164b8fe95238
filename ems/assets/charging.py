"""Charging of cars and bicycles by session: an energy needed until a departure.

power_kw >= 0. A charge point takes a current limit in A: 0, or at least its minimum current.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo
from pydantic import Field

from ems.assets.asset import Asset, NotNegative, Positive, Share
from ems.assets.outlook import Cost, OnOff, Outlook, Part, Planned, Port, Slack, both, index_fleet, price_words
from ems.assets.tables import between, per_name, upper
from ems.command import Setpoint
from ems.series import Floats
from ems.slots import Slots, as_utc
from ems.snapshot import Session

USUAL_CAR_A = 16.0  # per phase: what half of the cars on the road take at most (assumption)
WELCOME_A = 20.0  # who arrives may take this much, so that its first minutes show whether it is a usual car
VOLTAGE_V = 230.0
WANTS = (1.0, 2.0)  # states of a charge point: plugged and waiting, charging


class Feeder(Asset):
    """A cable that several charge points share: the sum of their power stays below its limit."""

    type: Literal["feeder"] = "feeder"
    supply: str
    limit_kw: Positive


class ChargePoint(Asset):
    """One socket for a car, private or for a shared car of the district."""

    type: Literal["charge-point"] = "charge-point"
    feeder: str
    phases: Literal[1, 3] = 3
    phase: Literal[1, 2, 3] | None = None  # of a single-phase socket: the one it hangs on; None: nobody knows
    minimum_current_a: NotNegative = 6.0
    maximum_current_a: Positive = 32.0
    fail_safe_current_a: NotNegative = 10.0
    shared_car_kwh: NotNegative = 0.0  # battery of the shared car that lives here, 0 for a public socket
    give_back_current_a: NotNegative = 0.0  # the most a car may give back (V2G); 0: this socket only charges
    give_back_efficiency: Share = 0.85  # of a kWh taken and given back, what arrives
    give_back_wear_per_kwh: NotNegative = 0.06  # euro per kWh given back (assumption)
    kept_share: Share = 0.3  # of its battery, which a car never gives away

    @property
    def limit_kw(self) -> float:
        return self.kw(self.maximum_current_a)

    def kw(self, current_a: float) -> float:
        """Power at a current, kW: current x voltage x phases."""
        return current_a * VOLTAGE_V * self.phases / 1000


class BikeRoom(Asset):
    """A room where bicycles charge: one meter and one power limit for all its sockets."""

    type: Literal["bike-room"] = "bike-room"
    supply: str
    places: int = Field(ge=1)
    limit_kw: Positive


TYPES = (Feeder, ChargePoint, BikeRoom)

OUTCOMES = 5  # equally probable needs of a car whose driver said nothing
SOONER_PER_KWH_H = 1e-4  # euro: of two equal prices the earlier one, since people leave early


def next_gained_kwh(gained_kwh: Any, charge_kw: Any, back_kw: Any, efficiency: Any, hours: float) -> Any:
    """What a car has gained since now, kWh at the plug: a kWh given back is more than a kWh less in its battery."""
    return gained_kwh + hours * (charge_kw - back_kw / efficiency)


def plugged_share(session: Session, slots: Slots) -> Floats:
    """Share of each slot during which the vehicle stands there."""
    number = np.arange(slots.count)
    leaves, arrives = (as_utc(at or slots.start) for at in (session.departs_at, session.arrives_at))
    gone, come = (np.clip((at - slots.start) / slots.length - number, 0, 1) for at in (leaves, arrives))
    share: Floats = np.maximum(gone - come, 0.0)
    return share


def needed_in_horizon_kwh(session: Session, limit_kw: float, slots: Slots) -> float:
    """What must be charged before the horizon ends, kWh; a car that leaves later can take half its power after it."""
    after = as_utc(session.departs_at) - max(slots.end, as_utc(session.arrives_at or slots.end))
    return max(session.needed_kwh - 0.5 * limit_kw * max(after.total_seconds() / 3600, 0.0), 0.0)


def chance_gone(session: Session, slots: Slots) -> Floats:
    """The chance that a vehicle has left before the middle of each slot."""
    hours = (np.arange(slots.count) + 0.5) * slots.hours
    if not session.may_depart_at:
        gone: Floats = np.minimum(session.may_leave_per_h * (hours - 0.5 * slots.hours), 1.0)
        return gone
    after_h = [max((as_utc(at) - slots.start).total_seconds() / 3600, 0.0) for at in session.may_depart_at]
    chance = (np.arange(len(after_h)) + 0.5) / len(after_h)
    found: Floats = np.interp(hours, [0.0, *np.maximum.accumulate(after_h) + 1e-6], [0.0, *chance])
    return found


def need_tiers_kwh(session: Session) -> Floats:
    """How much more each but the least of the possible needs is than the one before, kWh; 0 where the need is known."""
    needs = session.may_need_kwh
    return np.diff(needs) if len(needs) == OUTCOMES else np.zeros(OUTCOMES - 1)


def taken_kw(socket: ChargePoint | BikeRoom, outlook: Outlook) -> float:
    """The power to count on: what this vehicle was seen to take, else what most cars take."""
    if isinstance(socket, BikeRoom):
        return socket.limit_kw
    session = outlook.snapshot.sessions.get(socket.name)
    if session is not None and session.most_kw is not None:
        return min(session.most_kw, socket.limit_kw)
    seen_a = outlook.snapshot.value(socket.point("current_a"))
    most_a = socket.maximum_current_a if seen_a is not None and seen_a > USUAL_CAR_A + 0.5 else USUAL_CAR_A
    return socket.kw(min(most_a, socket.maximum_current_a))


def gives_back(point: ChargePoint | BikeRoom, session: Session) -> bool:
    """Whether a car can give back: its socket may, and the car tells how full it is."""
    known = session.stored_kwh is not None and session.capacity_kwh is not None
    return isinstance(point, ChargePoint) and point.give_back_current_a > 0 and known


def gained_band_kwh(point: ChargePoint, session: Session) -> tuple[float, float]:
    """The least and the most a car may have gained meanwhile, kWh: it keeps a share of its battery, and gets full."""
    stored, capacity = session.stored_kwh or 0.0, session.capacity_kwh or 0.0
    spare = max(stored - point.kept_share * capacity, 0.0)
    return -spare, max(capacity - stored, session.needed_kwh, 0.0)


def build(block: Any, fleet: Mapping[str, Feeder | ChargePoint | BikeRoom], outlook: Outlook) -> Part:
    """One row per session: its energy by its departure. One per feeder and slot: the cable, and each of its phases."""
    slots, worth = outlook.slots, outlook.worth
    known = outlook.snapshot.sessions
    sockets = {
        n: a
        for n, a in fleet.items()
        if isinstance(a, ChargePoint | BikeRoom) and n in known and (known[n].needed_kwh > 0 or gives_back(a, known[n]))
    }
    sessions = {n: known[n] for n in sockets}
    points = {n: a for n, a in sockets.items() if isinstance(a, ChargePoint)}
    giving = {n: a for n, a in points.items() if gives_back(a, sessions[n])}
    feeders = {n: a for n, a in fleet.items() if isinstance(a, Feeder)}
    index_fleet(block, sockets, slots)
    block.giving = pyo.Set(initialize=list(giving), ordered=True)
    block.plain = pyo.Set(initialize=[n for n in sockets if n not in giving], ordered=True)
    cables = [f for f in feeders if any(a.feeder == f for a in points.values())]  # the others have no row
    block.feeders = pyo.Set(initialize=cables, ordered=True)
    fed = {f: [n for n, a in points.items() if a.feeder == f] for f in cables}
    back = {f: [n for n in fed[f] if n in giving] for f in cables}
    block.fed = pyo.Set(block.feeders, initialize=fed, ordered=True)
    block.fed_back = pyo.Set(block.feeders, initialize=back, ordered=True)
    block.two_way = pyo.Set(initialize=[f for f in cables if back[f]], ordered=True)
    # A phase has a row where something hangs on it alone; what hangs on three, or on nobody knows which, is a third.
    alone = {(f, k): [n for n in fed[f] if points[n].phase == k] for f in cables for k in (1, 2, 3)}
    block.phases = pyo.Set(initialize=[at for at, names in alone.items() if names], dimen=2, ordered=True)
    block.on_phase = pyo.Set(block.phases, initialize={at: alone[at] for at in block.phases}, ordered=True)
    spread = {(f, k): [n for n in fed[f] if points[n].phase is None] for f, k in block.phases}
    block.on_all = pyo.Set(block.phases, initialize=spread, ordered=True)

    takes = {n: taken_kw(a, outlook) for n, a in sockets.items()}
    there = {n: plugged_share(sessions[n], slots) * outlook.in_service(n) for n in sockets}
    limits = {n: _held_kw(a, takes[n], outlook) * there[n] for n, a in sockets.items()}
    needed = {n: needed_in_horizon_kwh(sessions[n], takes[n], slots) for n in sockets}
    wanted = {n: max(sessions[n].needed_kwh, 0.0) for n in sockets}
    band = {n: gained_band_kwh(a, sessions[n]) for n, a in giving.items()}
    block.needed_kwh = pyo.Param(block.fleet, initialize=per_name(needed))
    block.wanted_kwh = pyo.Param(block.fleet, initialize=per_name(wanted))
    block.efficiency = pyo.Param(
        block.giving, initialize=per_name({n: max(a.give_back_efficiency, 0.01) for n, a in giving.items()})
    )
    sockets_of = {f: {n: a for n, a in fleet.items() if isinstance(a, ChargePoint) and a.feeder == f} for f in cables}
    carried = {f: max(feeders[f].limit_kw - _out_of_service_kw(sockets_of[f], outlook), 0.0) for f in cables}
    block.feeder_kw = pyo.Param(block.feeders, initialize=per_name(carried))
    block.charge_kw = pyo.Var(block.fleet, block.flows, bounds=upper(limits))
    backs = {n: a.kw(a.give_back_current_a) * there[n] for n, a in giving.items()}
    block.back_kw = pyo.Var(block.giving, block.flows, bounds=upper(backs))
    least, most = ({n: edges[i] for n, edges in band.items()} for i in (0, 1))
    block.gained_kwh = pyo.Var(block.giving, block.stocks, bounds=between(least, most, slots.count + 1))
    block.missing_kwh = pyo.Var(block.fleet, bounds=(0, None))
    # What a car may want besides what it wants for sure: missing it costs as much as it is probable.
    plain = {n: need_tiers_kwh(sessions[n]) for n in sockets if n not in giving}
    block.tiers = pyo.RangeSet(0, OUTCOMES - 2)
    block.perhaps_missing_kwh = pyo.Var(block.plain, block.tiers, bounds=upper(plain))

    @block.Constraint(block.plain)  # type: ignore[untyped-decorator]
    def charged_by_departure(b: Any, n: Any) -> Any:
        charged = slots.hours * sum(b.charge_kw[n, t] for t in b.flows)
        return charged + b.missing_kwh[n] + sum(b.perhaps_missing_kwh[n, k] for k in b.tiers) >= b.needed_kwh[n]

    @block.Constraint(block.plain)  # type: ignore[untyped-decorator]
    def takes_no_more_than_wanted(b: Any, n: Any) -> Any:
        return slots.hours * sum(b.charge_kw[n, t] for t in b.flows) <= b.wanted_kwh[n]

    @block.Constraint(block.giving)  # type: ignore[untyped-decorator]
    def gains_from_now_on(b: Any, n: Any) -> Any:
        return b.gained_kwh[n, 0] == 0

    @block.Constraint(block.giving, block.flows)  # type: ignore[untyped-decorator]
    def gains_less_what_it_gives_back(b: Any, n: Any, t: Any) -> Any:
        return b.gained_kwh[n, t + 1] == next_gained_kwh(
            b.gained_kwh[n, t], b.charge_kw[n, t], b.back_kw[n, t], b.efficiency[n], slots.hours
        )

    @block.Constraint(block.giving)  # type: ignore[untyped-decorator]
    def leaves_charged(b: Any, n: Any) -> Any:
        return b.gained_kwh[n, slots.count] + b.missing_kwh[n] >= b.needed_kwh[n]

    @block.Constraint(block.giving)  # type: ignore[untyped-decorator]
    def leaves_with_no_more_than_wanted(b: Any, n: Any) -> Any:
        return b.gained_kwh[n, slots.count] <= b.wanted_kwh[n]

    @block.Constraint(block.feeders, block.flows)  # type: ignore[untyped-decorator]
    def stays_below_cable(b: Any, f: Any, t: Any) -> Any:
        net = sum(b.charge_kw[n, t] for n in b.fed[f]) - sum(b.back_kw[n, t] for n in b.fed_back[f])
        return net <= b.feeder_kw[f]

    @block.Constraint(block.two_way, block.flows)  # type: ignore[untyped-decorator]
    def gives_back_no_more_than_cable(b: Any, f: Any, t: Any) -> Any:
        net = sum(b.charge_kw[n, t] for n in b.fed[f]) - sum(b.back_kw[n, t] for n in b.fed_back[f])
        return net >= -b.feeder_kw[f]

    @block.Constraint(block.phases, block.flows)  # type: ignore[untyped-decorator]
    def stays_below_each_phase(b: Any, f: Any, k: Any, t: Any) -> Any:
        all_three = sum(b.charge_kw[n, t] for n in b.on_all[f, k])
        return sum(b.charge_kw[n, t] for n in b.on_phase[f, k]) + all_three / 3 <= b.feeder_kw[f] / 3

    # A kWh put off may be missing, if its car leaves early: what that would cost, times the chance of it.
    early = [worth.charging_per_kwh * _needed_share(sessions[n]) * chance_gone(sessions[n], slots) for n in sockets]
    waited_h = np.arange(slots.count) * slots.hours
    sooner = slots.hours * (_rows(early, slots) + SOONER_PER_KWH_H * waited_h)
    chance = 1 - np.arange(1, OUTCOMES) / OUTCOMES
    perhaps = np.tile(worth.charging_per_kwh * chance, (len(plain), 1))
    wear = np.array([[a.give_back_wear_per_kwh * slots.hours] * slots.count for a in giving.values()])
    node = {n: a.supply if isinstance(a, BikeRoom) else feeders[a.feeder].supply for n, a in sockets.items()}
    # A car stops in the middle of a slot when it is full: one that lacks less than its minimum may still have it.
    least_kw = {n: a.kw(a.minimum_current_a) if isinstance(a, ChargePoint) else 0.0 for n, a in sockets.items()}
    minimum = [np.minimum(least_kw[n] * there[n], wanted[n] / slots.hours) for n in sockets]
    least_back = [np.minimum(least_kw[n] * there[n], backs[n]) for n in giving]
    return Part(
        ports=(
            Port("electricity", block.charge_kw, node),
            Port("electricity", block.back_kw, {n: node[n] for n in giving}, gives=True),
        ),
        costs=(
            Cost("charging", block.missing_kwh, worth.charging_per_kwh),
            Cost("charging", block.perhaps_missing_kwh, perhaps),
            Cost("charging", block.charge_kw, sooner),
            Cost("wear", block.back_kw, wear),
        ),
        slacks=(
            Slack(
                block.missing_kwh,
                "recharge manquante au départ",
                "charge missing at departure",
                "kWh",
                1.0,
                "partir plus tard, ou une borne plus puissante",
                "leave later, or a more powerful charge point",
            ),
        ),
        holds=(block.charge_kw, block.back_kw),
        on_off=(OnOff(block.charge_kw, _rows(minimum, slots)), OnOff(block.back_kw, _rows(least_back, slots))),
    )


def _needed_share(session: Session) -> float:
    """Of the kWh that a vehicle may want, how many it wants on average."""
    needs = session.may_need_kwh
    return float(np.mean(needs)) / max(needs) if needs and max(needs) > 0 else 1.0


def _held_kw(socket: ChargePoint | BikeRoom, limit_kw: float, outlook: Outlook) -> Floats:
    """The limit per slot, lower while a person holds the socket's own limit."""
    if isinstance(socket, BikeRoom):
        return outlook.capped(socket.point("power_limit_kw"), limit_kw)
    return outlook.capped(socket.point("current_limit_a"), limit_kw, socket.kw(1.0))


def _out_of_service_kw(fed: Mapping[str, ChargePoint], outlook: Outlook) -> float:
    """What stands on a cable that nobody plans: it may be drawn."""
    standing = standing_a(fed, outlook)
    return cable_kw(fed, {n: a for n, a in standing.items() if not outlook.in_service(n)})


def _rows(rows: list[Floats], slots: Slots) -> Floats:
    return np.array(rows, dtype=float).reshape(len(rows), slots.count)


def actuate(planned: Planned, fleet: Mapping[str, Feeder | ChargePoint | BikeRoom], outlook: Outlook) -> list[Setpoint]:
    """Current limits of charge points, 0 or at least the minimum; power limits of bicycle rooms."""
    setpoints: list[Setpoint] = []
    for name, asset in fleet.items():
        if isinstance(asset, Feeder):
            fed = {n: a for n, a in fleet.items() if isinstance(a, ChargePoint) and a.feeder == name}
            setpoints += _of_feeder(planned, asset, fed, outlook)
        elif isinstance(asset, BikeRoom):
            setpoints.append(_of_bikes(planned, name, asset, outlook))
    return setpoints


def _of_feeder(planned: Planned, feeder: Feeder, fed: Mapping[str, ChargePoint], outlook: Outlook) -> list[Setpoint]:
    """Planned currents, made whole to 0 or the minimum, then what the cable still carries for whoever arrives."""
    fr, en = price_words(outlook.tariffs.get(feeder.supply))
    standing = standing_a(fed, outlook)
    held, off = both("tenu par une personne", "held by a person"), both("hors service", "out of service")
    amps: dict[str, float] = dict(standing)
    why = {n: held if outlook.in_service(n) else off for n in standing}
    for name, point in fed.items():
        session = outlook.snapshot.sessions.get(name)
        if name in standing:
            continue
        if session is not None and float(planned.flow(name, "back_kw")[0]) > float(planned.flow(name, "charge_kw")[0]):
            amps[name], why[name] = 0.0, both(f"rend {fr}", f"gives back {en}")
        elif session is not None and session.needed_kwh > 0 and _is_there(session, outlook):
            planned_a = whole_current_a(point, float(planned.flow(name, "charge_kw")[0]))
            # Some cars do not wake after a pause, and their drivers find out at departure: waiting is at the minimum.
            amps[name] = max(planned_a, point.minimum_current_a)
            if planned_a > 0:
                why[name] = both(f"recharge {fr}", f"charges {en}")
            else:
                why[name] = both(
                    f"au minimum {fr}, prêt à {_at(session)} UTC", f"at its minimum {en}, ready by {_at(session)} UTC"
                )
    # What a car can take shows only above a usual car's current: who is to take that much is allowed a little more.
    eager = [n for n, a in amps.items() if a > USUAL_CAR_A - 0.5 and n not in standing]
    for name in [n for n in eager if _is_unknown(outlook.snapshot.sessions.get(n))]:
        asked_a = min(WELCOME_A, fed[name].maximum_current_a)
        if cable_kw(fed, {**amps, name: asked_a}) <= feeder.limit_kw:
            amps[name] = max(amps[name], asked_a)
    # Rounding up to the minimum current may load the cable beyond its limit: the smallest wait one more slot.
    while cable_kw(fed, amps) > feeder.limit_kw + 1e-6:
        running = [n for n, a in amps.items() if a > 0 and n not in standing]
        if not running:
            break
        helps = [n for n in running if cable_kw(fed, {**amps, n: 0.0}) < cable_kw(fed, amps) - 1e-9]
        name = min(helps or running, key=lambda n: amps[n])
        amps[name], why[name] = 0.0, both("attend, le câble est plein", "waits, the cable is full")
    # Whoever came since this was planned goes first and may take all; what is left is for who will come.
    free = [n for n in fed if n not in amps]
    came = [n for n in free if outlook.snapshot.value(fed[n].point("state_mode")) in WANTS]
    for names, most_a in ((came, math.inf), ([n for n in free if n not in came], WELCOME_A)):
        most_each_a = {n: min(most_a, fed[n].maximum_current_a) for n in names}
        together_kw = sum(fed[n].kw(a) for n, a in most_each_a.items())
        spare_kw = max(feeder.limit_kw - cable_kw(fed, amps), 0.0)
        share = min(1.0, spare_kw / together_kw) if together_kw > 0 else 0.0
        for name, current in most_each_a.items():
            # In whole amperes: a socket without a car is not worth a write for less.
            whole_a = float(math.floor(share * current + 1e-9))
            amps[name] = whole_a if whole_a >= fed[name].minimum_current_a else 0.0
            if cable_kw(fed, amps) > feeder.limit_kw + 1e-6:
                amps[name] = 0.0  # its phase is full
            why[name] = both(
                "libre : une voiture qui arrive commence sans attendre", "free: a car that arrives starts at once"
            )
    backs = [_of_give_back(planned, n, p, outlook) for n, p in fed.items() if p.give_back_current_a > 0]
    amps |= {n: 0.0 for n in fed if not outlook.in_service(n)}  # nobody writes there; nothing is what is wanted
    return [Setpoint(fed[n].point("current_limit_a"), amps[n], why[n]) for n in fed] + backs


def standing_a(fed: Mapping[str, ChargePoint], outlook: Outlook) -> dict[str, float]:
    """The current limits, A, at which those charge points stand that we do not command now: a person holds them, or
    they are out of service. What is not known may be drawn in full, as the write gate takes it.
    """
    standing = {}
    for name, point in fed.items():
        limit = point.point("current_limit_a")
        override = outlook.snapshot.overrides.get(limit)
        if override is not None:
            standing[name] = override.value
        elif not outlook.in_service(name):
            found = outlook.snapshot.value(limit)
            standing[name] = point.maximum_current_a if found is None else found
    return standing


def cable_kw(fed: Mapping[str, ChargePoint], amps: Mapping[str, float]) -> float:
    """What a cable carries at these currents: the sum, or three times its most loaded phase if that is more.

    Where no socket is known to hang on one phase alone, it is the sum.
    """
    on_phase, on_all = {1: 0.0, 2: 0.0, 3: 0.0}, 0.0
    for name, current in amps.items():
        if (phase := fed[name].phase) is None:
            on_all += fed[name].kw(current)
        else:
            on_phase[phase] += fed[name].kw(current)
    return max(on_all + sum(on_phase.values()), on_all + 3 * max(on_phase.values()))


def _of_give_back(planned: Planned, name: str, point: ChargePoint, outlook: Outlook) -> Setpoint:
    """The current that a car shall give back now, A: 0, or at least its minimum."""
    feeder = outlook.assets[point.feeder]
    fr, en = price_words(outlook.tariffs.get(feeder.supply) if isinstance(feeder, Feeder) else None)
    net_kw = float(planned.flow(name, "back_kw")[0] - planned.flow(name, "charge_kw")[0])
    current = min(whole_current_a(point, max(net_kw, 0.0)), point.give_back_current_a)
    if current > 0:
        return Setpoint(point.point("give_back_current_a"), current, both(f"rend {fr}", f"gives back {en}"))
    return Setpoint(point.point("give_back_current_a"), 0.0, both("ne rend rien", "gives nothing back"))


def whole_current_a(point: ChargePoint, power_kw: float) -> float:
    """The current nearest to a planned power that a charge point can hold, A: 0, or its minimum, or more."""
    current = power_kw / point.kw(1.0)
    if current < point.minimum_current_a / 2 or current < 0.1:
        return 0.0
    return round(min(max(current, point.minimum_current_a), point.maximum_current_a), 1)


def _of_bikes(planned: Planned, name: str, room: BikeRoom, outlook: Outlook) -> Setpoint:
    session = outlook.snapshot.sessions.get(name)
    point = room.point("power_limit_kw")
    if not outlook.in_service(name):
        return Setpoint(point, 0.0, both("hors service", "out of service"))
    if session is None or session.needed_kwh <= 0 or not _is_there(session, outlook):
        return Setpoint(point, room.limit_kw, both("aucun besoin annoncé : libre", "no announced need: free"))
    power = round(float(planned.flow(name, "charge_kw")[0]), 2) + 0.0
    fr, en = price_words(outlook.tariffs.get(room.supply))
    return Setpoint(
        point, power, both(f"vélos prêts à {_at(session)} UTC, {fr}", f"bikes ready by {_at(session)} UTC, {en}")
    )


def _is_unknown(session: Session | None) -> bool:
    return session is not None and session.most_kw is None


def _is_there(session: Session, outlook: Outlook) -> bool:
    return session.arrives_at is None or as_utc(session.arrives_at) <= outlook.slots.start


def _at(session: Session) -> str:
    return as_utc(session.departs_at).strftime("%H:%M")
