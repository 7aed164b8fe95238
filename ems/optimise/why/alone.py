"""Decisions of a plan, and what each would come to if its assets were left to themselves.

Left to itself a battery rests, a car charges at once with what its cable still carries, a deferrable load runs as soon
as its window opens, a tank is kept full, a thermostat holds its set point, an inverter feeds in all its sun, and a
heat pump serves one side at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ems.assets import Battery, BikeRoom, ChargePoint, Deferrable, Dwelling, Feeder, Zone
from ems.assets.deferrable import length_of, tasks
from ems.assets.tank import next_energy_kwh
from ems.assets.zone import Room, asked_c, next_temperatures_c, open_slots, rooms
from ems.optimise.matrix import Positions
from ems.optimise.why.whole import Whole
from ems.series import Floats

Kind = Literal["battery", "cars", "bikes", "deferrable", "tank", "homes", "zone", "sun", "both-sides", "plan"]


@dataclass(frozen=True)
class Decision:
    """What a plan decides for an asset or some alike: columns of its model, and where they would stand by themselves.

    `kw` is the power of a unit of each column, `price_per_kwh` the marginal price of what it takes, both per column;
    `gives` where it gives instead of taking. `members` are the assets (or groups that stand for them) whose limits may
    hold it back.
    """

    asset: str
    kind: Kind
    members: tuple[str, ...]
    columns: Positions
    alone: Floats
    kw: Floats
    price_per_kwh: Floats
    gives: Floats


def decisions_of(whole: Whole) -> list[Decision]:
    """All decisions in which the plan does something else than its assets would by themselves."""
    every: tuple[Callable[[Whole], Iterator[Decision]], ...] = (
        _batteries, _cars, _bikes, _deferrables, _tanks, _rooms, _sun, _both_sides,
    )  # fmt: skip
    return [d for of in every for d in of(whole) if moved_kwh(d, whole.planned.values[d.columns], whole) > 0.01]


def moved_kwh(decision: Decision, values: Floats, whole: Whole) -> float:
    """How much is done otherwise than by themselves, kWh."""
    return float(np.abs(values - decision.alone) @ decision.kw) * whole.outlook.slots.hours


def _decision(
    whole: Whole,
    asset: str,
    kind: Kind,
    names: list[str],
    alone: dict[str, dict[str, Floats]],
    gives: tuple[str, ...] = (),
) -> Decision:
    """A decision over whole rows of families: `alone` by family and name."""
    columns, values, price, back = [], [], [], []
    for name, rows in alone.items():
        family = whole.matrix.columns[name]
        place = {n: i for i, n in enumerate(family.members[0])}
        for member, row in rows.items():
            columns.append(family.positions[place[member]])
            values.append(row)
            price.append(whole.price_of[name][place[member]])
            back.append(np.full(row.size, float(name in gives)))
    joined = np.concatenate(columns)
    return Decision(
        asset, kind, tuple(names), joined, np.concatenate(values), np.ones(joined.size), np.concatenate(price),
        np.concatenate(back),
    )  # fmt: skip


def _limit(whole: Whole, family: str, name: str) -> Floats:
    known = whole.matrix.columns[family]
    row: Floats = known.of(whole.matrix.upper)[known.members[0].index(name)]
    return row


def _batteries(whole: Whole) -> Iterator[Decision]:
    for name, battery in whole.outlook.of(Battery).items():
        held = np.nan_to_num(whole.outlook.held(battery.point("power_setpoint_kw")))
        charge, back = np.maximum(held, 0.0), np.maximum(-held, 0.0)
        alone = {"battery.charge_kw": {name: charge}, "battery.discharge_kw": {name: back}}
        yield _decision(whole, name, "battery", [name], alone, gives=("battery.discharge_kw",))


def _sockets(whole: Whole) -> dict[str, float]:
    """Energy wanted by session, kWh."""
    family = whole.family("charging.charge_kw")
    if family is None or not family.size:
        return {}
    return dict(zip(family.members[0], whole.number("charging", "wanted_kwh").tolist(), strict=True))


def at_once_kw(
    limit_kw: Floats, wanted_kwh: Floats, hours: float, cable_kw: float, phase: list[int | None] | None = None
) -> Floats:
    """Charging of sessions as soon as they can, kW by session and slot; a full cable is shared in proportion.

    `phase` is that of each session's socket, None for three of them: no phase carries more than a third of the cable.
    """
    left, result = wanted_kwh.astype(float).copy(), np.zeros_like(limit_kw)
    for t in range(limit_kw.shape[1]):
        asks = np.minimum(limit_kw[:, t], np.maximum(left, 0.0) / hours)
        share = min(1.0, cable_kw / asks.sum()) if asks.sum() > 0 else 0.0
        for k in {p for p in phase or [] if p is not None}:
            on = sum(a if p == k else a / 3 for a, p in zip(asks, phase or [], strict=True) if p in (k, None))
            share = min(share, cable_kw / 3 / on) if on > 0 else share
        result[:, t] = asks * share
        left -= result[:, t] * hours
    return result


def _cars(whole: Whole) -> Iterator[Decision]:
    wanted, points = _sockets(whole), whole.outlook.of(ChargePoint)
    giving = whole.family("charging.back_kw")
    for name, feeder in whole.outlook.of(Feeder).items():
        cars = [n for n in wanted if n in points and points[n].feeder == name]
        if not cars:
            continue
        limits = np.array([_limit(whole, "charging.charge_kw", n) for n in cars])
        needs = np.array([wanted[n] for n in cars])
        hours = whole.outlook.slots.hours
        charge = at_once_kw(limits, needs, hours, feeder.limit_kw, [points[n].phase for n in cars])
        alone = {"charging.charge_kw": dict(zip(cars, charge, strict=True))}
        if giving is not None and giving.size:
            alone["charging.back_kw"] = {n: np.zeros(whole.outlook.slots.count) for n in cars if n in giving.members[0]}
        asset = cars[0] if len(cars) == 1 else name  # what one car does tells of a person: it goes by its own name
        yield _decision(whole, asset, "cars", [*cars, name], alone, gives=("charging.back_kw",))


def _bikes(whole: Whole) -> Iterator[Decision]:
    wanted, hours = _sockets(whole), whole.outlook.slots.hours
    for name in [n for n in whole.outlook.of(BikeRoom) if n in wanted]:
        limit = _limit(whole, "charging.charge_kw", name)[None, :]
        row = at_once_kw(limit, np.array([wanted[name]]), hours, np.inf)[0]
        yield _decision(whole, name, "bikes", [name], {"charging.charge_kw": {name: row}})


def _deferrables(whole: Whole) -> Iterator[Decision]:
    outlook = whole.outlook
    family = whole.family("deferrable.on_share")
    for i, (name, load) in enumerate(outlook.of(Deferrable).items()):
        if family is None or not outlook.in_service(name):
            continue
        high, on = family.of(whole.matrix.upper)[i], np.zeros(outlook.slots.count)
        for task in tasks(load, outlook):
            if load.contiguous:
                inside = slice(task.first, task.first + length_of(task, outlook.slots.hours))
                on[inside] = high[inside]
                continue
            left = task.work_h
            for t in range(task.first, task.last + 1):
                on[t] = max(on[t], min(high[t], max(left, 0.0) / outlook.slots.hours))
                left -= on[t] * outlook.slots.hours
        on = np.maximum(on, family.of(whole.matrix.lower)[i])
        columns, price = family.positions[i], whole.price_at("electricity", load.supply)
        kw = np.full(on.size, load.running_kw)
        yield Decision(name, "deferrable", (name,), columns, on, kw, price, np.zeros(on.size))


def _tanks(whole: Whole) -> Iterator[Decision]:
    family = whole.family("tank.charge_kw")
    if family is None or not family.size:
        return
    hours, names = whole.outlook.slots.hours, family.members[0]
    full = whole.matrix.columns["tank.energy_kwh"].of(whole.matrix.upper)
    draw, loss, start = (whole.number("tank", p) for p in ("draw_kw", "loss_kw", "at_start_kwh"))
    limit = family.of(whole.matrix.upper)
    for i, name in enumerate(names):
        energy, row = float(start[i]), np.zeros(whole.outlook.slots.count)
        for t in range(row.size):
            missing = (full[i, t + 1] - energy) / hours + draw[i, t] + loss[i]
            row[t] = min(max(missing, 0.0), limit[i, t])
            energy = max(next_energy_kwh(energy, row[t], 0.0, draw[i, t], loss[i], hours), 0.0)
        yield _decision(whole, str(name), "tank", [str(name)], {"tank.charge_kw": {str(name): row}})


def _rooms(whole: Whole) -> Iterator[Decision]:
    """Large zones each for itself; the dwellings of a building together."""
    family = whole.family("zone.heating_kw")
    if family is None or not family.size:
        return
    outlook = whole.outlook
    known = rooms({n: a for n, a in outlook.assets.items() if isinstance(a, Dwelling | Zone)}, outlook)
    heating, cold = thermostat_kw(whole, known)
    together: dict[str, list[str]] = {}
    for name, room in known.items():
        together.setdefault(room.group or name, []).append(name)
    for asset, names in together.items():
        alone = {"zone.heating_kw": {n: heating[n] for n in names}}
        cooled = {n: cold[n] for n in names if _limit(whole, "zone.cold_kw", n).any()}
        if cooled:
            alone["zone.cold_kw"] = cooled
        homes = bool(known[names[0]].members)
        label = known[names[0]].members[0].name if homes and _is_one_home(known, names) else asset
        yield _decision(whole, label, "homes" if homes else "zone", names, alone)


def _is_one_home(known: dict[str, Room], names: list[str]) -> bool:
    return sum(len(known[n].members) for n in names) == 1


def thermostat_kw(whole: Whole, known: dict[str, Room]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Heat and cold that hold every room at its set point, kW by slot.

    Homes at what their residents ask; large zones at their set points for open and closed hours. Nobody is left colder
    than the plan's own band allows: the comparison is between ways of keeping warm.
    """
    outlook, names = whole.outlook, list(known)
    asked, count = asked_c(known, outlook), outlook.slots.count
    warm, cool = np.empty((len(names), count)), np.full((len(names), count), np.inf)
    for i, (name, room) in enumerate(known.items()):
        if room.zone is None:
            band = outlook.comfort[room.use]
            warm[i] = min(max(asked[name], band.floor_c), band.ceiling_c)
            continue
        zone, open_now = room.zone, open_slots(room.zone, outlook)
        warm[i] = np.where(open_now, zone.heating_occupied_c, zone.heating_unoccupied_c)
        if zone.cooling_occupied_c is not None:
            closed = zone.cooling_unoccupied_c
            cool[i] = np.where(open_now, zone.cooling_occupied_c, np.inf if closed is None else closed)
    warm = np.maximum(warm, whole.number("zone", "low_c"))
    step = np.moveaxis(whole.number("zone", "step"), 0, -1)
    outdoor, on_light, on_mass = (whole.number("zone", p) for p in ("outdoor_c", "free_on_light_kw", "free_on_mass_kw"))
    light, mass = (whole.number("zone", f"{node}_at_start_c") for node in ("light", "mass"))
    limits = [whole.matrix.columns[f"zone.{q}"].of(whole.matrix.upper) for q in ("heating_kw", "cold_kw")]
    heat, cold = np.zeros((len(names), count)), np.zeros((len(names), count))
    for t in range(count):
        free = (outdoor[t], on_light[:, t], on_mass[:, t])
        left_alone, _ = next_temperatures_c(step, light, mass, *free)
        heat[:, t] = np.clip((warm[:, t] - left_alone) / step[0, 3], 0.0, limits[0][:, t])
        cold[:, t] = np.clip((left_alone - cool[:, t]) / step[0, 3], 0.0, limits[1][:, t])
        light, mass = next_temperatures_c(step, light, mass, free[0], free[1] + heat[:, t] - cold[:, t], free[2])
    return dict(zip(names, heat, strict=True)), dict(zip(names, cold, strict=True))


def _sun(whole: Whole) -> Iterator[Decision]:
    family = whole.family("photovoltaic.used_kw")
    for name in [] if family is None or not family.size else family.members[0]:
        offered = _limit(whole, "photovoltaic.used_kw", name)
        gives = ("photovoltaic.used_kw",)
        yield _decision(whole, name, "sun", [name], {"photovoltaic.used_kw": {name: offered}}, gives)


def _both_sides(whole: Whole) -> Iterator[Decision]:
    """Circuits that heat and cool at once, against one side at a time."""
    family = whole.family("plant.running_share")
    if family is None or not family.size:
        return
    power, limit = whole.number("plant", "power_per_circuit_kw"), whole.planned.values
    at = [i for i, mode in enumerate(family.members[1]) if mode.endswith("_and_cold")]
    for i, name in enumerate(family.members[0]):
        columns = family.positions[i][at].ravel()
        if float(limit[columns].sum()) > 1e-6:
            node = whole.outlook.assets[name]
            price = np.tile(whole.price_at("electricity", getattr(node, "supply")), len(at))  # noqa: B009
            kw, zero = power[i][at].ravel(), np.zeros(columns.size)
            yield Decision(name, "both-sides", (name,), columns, zero, kw, price, zero)


def together(decisions: list[Decision]) -> Decision:
    """All of them as one: the plan against every asset by itself."""
    parts = [
        np.concatenate([getattr(d, f) for d in decisions]) for f in ("columns", "alone", "kw", "price_per_kwh", "gives")
    ]
    columns, alone, kw, price, gives = parts
    return Decision("plan", "plan", (), columns, alone, kw, price, gives)
