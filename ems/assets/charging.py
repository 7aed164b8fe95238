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

from ems.assets.asset import Asset, NotNegative, Positive
from ems.assets.outlook import (
    Cost,
    Outlook,
    Part,
    Planned,
    Port,
    Slack,
    both,
    index_fleet,
    per_name,
    price_words,
    upper,
)
from ems.command import Setpoint
from ems.series import Floats
from ems.slots import Slots, as_utc
from ems.snapshot import Session

USUAL_CAR_A = 16.0  # per phase: what half of the cars on the road take at most (assumption)
VOLTAGE_V = 230.0


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
    minimum_current_a: NotNegative = 6.0
    maximum_current_a: Positive = 32.0
    fail_safe_current_a: NotNegative = 10.0
    shared_car_kwh: NotNegative = 0.0  # battery of the shared car that lives here, 0 for a public socket

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

SOONER_PER_KWH_H = 1e-4  # euro: of two equal prices the earlier one, since people leave early


def missing_kwh(needed_kwh: Any, power_kw: Any, hours: float) -> Any:
    """What a session still lacks after charging at `power_kw` (one value per slot)."""
    return needed_kwh - hours * sum(power_kw)


def plugged_share(session: Session, slots: Slots) -> Floats:
    """Share of each slot during which the vehicle still stands there."""
    leaves = (as_utc(session.departs_at) - slots.start) / slots.length
    return np.clip(leaves - np.arange(slots.count), 0, 1)


def needed_in_horizon_kwh(session: Session, limit_kw: float, slots: Slots) -> float:
    """What must be charged before the horizon ends, kWh; a car that leaves later can take half its power after it."""
    after_h = max((as_utc(session.departs_at) - slots.end).total_seconds() / 3600, 0.0)
    return max(session.needed_kwh - 0.5 * limit_kw * after_h, 0.0)


def taken_kw(socket: ChargePoint | BikeRoom, outlook: Outlook) -> float:
    """The power to count on: what most cars take, unless this one is seen to take more."""
    if isinstance(socket, BikeRoom):
        return socket.limit_kw
    seen_a = outlook.snapshot.value(socket.point("current_a"))
    most_a = socket.maximum_current_a if seen_a is not None and seen_a > USUAL_CAR_A + 0.5 else USUAL_CAR_A
    return socket.kw(min(most_a, socket.maximum_current_a))


def build(block: Any, fleet: Mapping[str, Feeder | ChargePoint | BikeRoom], outlook: Outlook) -> Part:
    """One row per session: its energy by its departure. One per feeder and slot: the cable."""
    slots, worth = outlook.slots, outlook.worth
    sockets = {
        n: a
        for n, a in fleet.items()
        if isinstance(a, ChargePoint | BikeRoom)
        and n in outlook.snapshot.sessions
        and outlook.snapshot.sessions[n].needed_kwh > 0
    }
    sessions = {n: outlook.snapshot.sessions[n] for n in sockets}
    feeders = {n: a for n, a in fleet.items() if isinstance(a, Feeder)}
    in_use = {a.feeder for a in sockets.values() if isinstance(a, ChargePoint)}  # the others have no row
    index_fleet(block, sockets, slots)
    block.feeders = pyo.Set(initialize=[n for n in feeders if n in in_use], ordered=True)
    block.fed = pyo.Set(
        block.feeders,
        initialize={
            f: [n for n, a in sockets.items() if isinstance(a, ChargePoint) and a.feeder == f] for f in block.feeders
        },
    )
    takes = {n: taken_kw(a, outlook) for n, a in sockets.items()}
    limits = {n: takes[n] * plugged_share(sessions[n], slots) * outlook.in_service(n) for n in sockets}
    needed = {n: needed_in_horizon_kwh(sessions[n], takes[n], slots) for n in sockets}
    wanted = {n: max(sessions[n].needed_kwh, 0.0) for n in sockets}
    block.needed_kwh = pyo.Param(block.fleet, initialize=per_name(needed))
    block.wanted_kwh = pyo.Param(block.fleet, initialize=per_name(wanted))
    block.feeder_kw = pyo.Param(
        block.feeders, initialize=per_name({n: a.limit_kw for n, a in feeders.items() if n in in_use})
    )
    block.power_kw = pyo.Var(block.fleet, block.flows, bounds=upper(limits))
    block.missing_kwh = pyo.Var(block.fleet, bounds=(0, None))

    @block.Constraint(block.fleet)  # type: ignore[untyped-decorator]
    def charged_by_departure(b: Any, n: Any) -> Any:
        return slots.hours * sum(b.power_kw[n, t] for t in b.flows) + b.missing_kwh[n] >= b.needed_kwh[n]

    @block.Constraint(block.fleet)  # type: ignore[untyped-decorator]
    def takes_no_more_than_wanted(b: Any, n: Any) -> Any:
        return slots.hours * sum(b.power_kw[n, t] for t in b.flows) <= b.wanted_kwh[n]

    @block.Constraint(block.feeders, block.flows)  # type: ignore[untyped-decorator]
    def stays_below_cable(b: Any, f: Any, t: Any) -> Any:
        return sum(b.power_kw[n, t] for n in b.fed[f]) <= b.feeder_kw[f]

    sooner = np.tile(np.arange(slots.count) * slots.hours * slots.hours * SOONER_PER_KWH_H, (len(sockets), 1))
    node = {n: a.supply if isinstance(a, BikeRoom) else feeders[a.feeder].supply for n, a in sockets.items()}
    return Part(
        ports=(Port("electricity", block.power_kw, node),),
        costs=(Cost("charging", block.missing_kwh, worth.charging_per_kwh), Cost("charging", block.power_kw, sooner)),
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
        holds=(block.power_kw,),
    )


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
    amps: dict[str, float] = {}
    why: dict[str, str] = {}
    for name, point in fed.items():
        session = outlook.snapshot.sessions.get(name)
        if not outlook.in_service(name):
            amps[name], why[name] = 0.0, both("hors service", "out of service")
        elif session is not None and session.needed_kwh > 0:
            planned_a = whole_current_a(point, float(planned.flow(name, "power_kw")[0]))
            # Some cars do not wake after a pause, and their drivers find out at departure: waiting is at the minimum.
            amps[name] = max(planned_a, point.minimum_current_a)
            if planned_a > 0:
                why[name] = both(f"recharge {fr}", f"charges {en}")
            else:
                why[name] = both(
                    f"au minimum {fr}, prêt à {_at(session)} UTC", f"at its minimum {en}, ready by {_at(session)} UTC"
                )
    # Rounding up to the minimum current may load the cable beyond its limit: the smallest wait one more slot.
    while sum(fed[n].kw(a) for n, a in amps.items()) > feeder.limit_kw + 1e-6:
        name = min((n for n, a in amps.items() if a > 0), key=lambda n: amps[n])
        amps[name], why[name] = 0.0, both("attend, le câble est plein", "waits, the cable is full")
    free = [n for n in fed if n not in amps]
    spare_kw = feeder.limit_kw - sum(fed[n].kw(a) for n, a in amps.items())
    wanted_kw = sum(fed[n].kw(fed[n].fail_safe_current_a) for n in free)
    share = min(1.0, spare_kw / wanted_kw) if wanted_kw > 0 else 0.0
    for name in free:
        point = fed[name]
        current = share * point.fail_safe_current_a
        amps[name] = math.floor(current * 10) / 10 if current >= point.minimum_current_a else 0.0
        why[name] = both(
            "libre : une voiture qui arrive commence sans attendre", "free: a car that arrives starts at once"
        )
    return [Setpoint(fed[n].point("current_limit_a"), amps[n], why[n]) for n in fed]


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
    if session is None or session.needed_kwh <= 0:
        return Setpoint(point, room.limit_kw, both("aucun besoin annoncé : libre", "no announced need: free"))
    power = round(float(planned.flow(name, "power_kw")[0]), 2) + 0.0
    fr, en = price_words(outlook.tariffs.get(room.supply))
    return Setpoint(
        point, power, both(f"vélos prêts à {_at(session)} UTC, {fr}", f"bikes ready by {_at(session)} UTC, {en}")
    )


def _at(session: Session) -> str:
    return as_utc(session.departs_at).strftime("%H:%M")
