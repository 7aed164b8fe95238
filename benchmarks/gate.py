"""Random commands at the write gate, before random readings: none outside the envelope may leave.

What left is judged again here, by rules written down a second time and not taken from `ems.envelope`: range, type,
ramp, least times, dead band, bands of comfort, hygiene of hot water, batteries, cables, fuses, holds, authority, age of
readings. One JSON line with `--json`; exit code 1 if any left.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

from ems.assets import Battery, ChargePoint, Dwelling, Feeder, Plant, Supply, Tank, Zone  # noqa: E402
from ems.command import Command  # noqa: E402
from ems.dispatch import Permission, permit  # noqa: E402
from ems.district import District, Wire, read_district  # noqa: E402
from ems.points import Quality, Sample  # noqa: E402
from ems.snapshot import Override, Snapshot  # noqa: E402

START = datetime(2026, 1, 15, tzinfo=UTC)
BATCH = 40
SLACK = 1e-5
Gate = Callable[..., Permission]


@dataclass
class Tally:
    """What came of the commands; `broken` holds what left and should not have, with the rule."""

    commands: int = 0
    left: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scene:
    """What the gate is shown once: readings, people, what stands, and when things last switched."""

    now: datetime
    snapshot: Snapshot
    since: Mapping[str, datetime]
    standing: Mapping[str, float]

    def reads(self, point: str) -> float | None:
        """A reading that may be used, not older than 20 minutes."""
        sample = self.snapshot.samples.get(point)
        if sample is None or sample.value is None or sample.quality not in (Quality.GOOD, Quality.SUBSTITUTED):
            return None
        return sample.value if timedelta(0) <= self.now - sample.at <= timedelta(minutes=20) else None


def trial(count: int, seed: int, district: District | None = None, gate: Gate = permit) -> Tally:
    """`count` random commands in batches, each before a scene of its own."""
    dice, tally = random.Random(seed), Tally()
    district = district or read_district(PROJECT / "buildings")
    others = [wire for wire in district.wires.values() if not wire.writable]
    writable: dict[str, list[Wire]] = defaultdict(list)  # by quantity: 385 dwellings must not crowd out three plants
    for wire in district.wires.values():
        if wire.writable:
            writable[wire.quantity].append(wire)
    kinds, seen = list(writable.values()), _judged_by(district)
    for first in range(0, count, BATCH):
        scene = _scene(dice, district, seen)
        size = min(BATCH, count - first)
        alike = dice.choice(kinds)
        if dice.random() < 0.2 and len(alike) >= size:  # all chargers, or homes, at once
            wires = dice.sample(alike, size)
        else:
            wires = [dice.choice(dice.choice(kinds) if dice.random() < 0.97 else others) for _ in range(size)]
        commands = [_command(dice, scene, wire, f"{first + n}") for n, wire in enumerate(wires)]
        permission = gate(
            commands, district=district, snapshot=scene.snapshot, now=scene.now, since=scene.since,
            standing=scene.standing,
        )  # fmt: skip
        tally.commands += len(commands)
        tally.left += len(permission.allowed)
        tally.refused.update(_kind(r.why) for _, r in permission.refused)
        if len(permission.allowed) + len(permission.refused) != len(commands):
            tally.broken.append("a command is neither allowed nor refused")
        tally.broken += list(violations(permission.allowed, district, scene))
    return tally


# The scene


def _judged_by(district: District) -> list[Wire]:
    """The points that a judgement may need: all that can be written, and what is measured beside them."""
    ends = ("_temperature_c", "/setpoint_c", "/stored_kwh", "/power_kw")
    return [w for p, w in district.wires.items() if w.writable or p.endswith(ends)]


def _scene(dice: random.Random, district: District, seen: list[Wire]) -> Scene:
    now = START + timedelta(seconds=dice.randrange(10**7))
    samples = {}
    for wire in seen:
        chance = dice.random()
        at = now - timedelta(
            seconds=dice.choice((0, 30, 600, 1199)) if chance > 0.03 else dice.choice((1201, 7200, -5))
        )
        if chance > 0.95:
            samples[wire.point] = Sample(None, dice.choice((Quality.MISSING, Quality.STALE, Quality.UNREACHABLE)), at)
        else:
            samples[wire.point] = Sample(_reading(dice, district, wire), Quality.GOOD, at)
    writable = [w.point for w in seen if w.writable]
    held = {p: Override(p, dice.uniform(-1, 20), "lea", "", now) for p in dice.sample(writable, 10)}
    locked = frozenset(p.rpartition("/")[0] for p in dice.sample(writable, 5))
    standing = {}
    for point in dice.sample(writable, len(writable) // 2):
        value = samples[point].value
        standing[point] = value if value is not None and dice.random() < 0.8 else dice.uniform(0, 30)
    since = {p: now - timedelta(seconds=dice.randrange(1500)) for p in writable if p.endswith(("_on", "_share"))}
    snapshot = Snapshot(at=now, samples=samples, overrides=held, out_of_service=locked)
    return Scene(now, snapshot, since, standing)


def _reading(dice: random.Random, district: District, wire: Wire) -> float:
    write, asset = wire.measure.write, district.assets.get(wire.device.asset)
    if write is not None and isinstance(asset, ChargePoint):
        return dice.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 6.0, 10.0, 32.0))
    if write is not None and write.maximum - write.minimum <= 2 and wire.quantity.endswith(("_on", "_mode")):
        return float(dice.randint(round(write.minimum), round(write.maximum)))
    if write is not None:
        return dice.choice((dice.uniform(write.minimum, write.maximum), write.release))
    if isinstance(asset, Tank):
        return dice.gauss(60, 3) if "return" not in wire.quantity else dice.gauss(54, 2)
    if isinstance(asset, Battery) and wire.quantity == "stored_kwh":
        return dice.uniform(-1, asset.capacity_kwh + 1)
    if isinstance(asset, Supply):
        return dice.uniform(-0.5, 1.2) * asset.physical_limit_kw
    return dice.uniform(17, 23) if wire.quantity.endswith("_c") else dice.uniform(-50, 50)


def _command(dice: random.Random, scene: Scene, wire: Wire, key: str) -> Command:
    write = wire.measure.write
    low, high = (0.0, 1.0) if write is None else (write.minimum, write.maximum)
    found = scene.reads(wire.point)
    near = dice.uniform(low, high) if found is None else found
    ramp = 1.0 if write is None or write.ramp_per_slot is None else write.ramp_per_slot
    value = dice.choice([
        None, math.nan, math.inf, low, high, low - 1e-3, high + 1e-3, 0.0, -0.0, True, "5", 1e300, 5e-324,
        near, near + 0.2, near + ramp, near - ramp, near + 1.001 * ramp, round(near), near + dice.uniform(-ramp, ramp),
        round(dice.uniform(low, high)), round(dice.uniform(low, high)), dice.uniform(low, high),
        min(max(near + dice.uniform(-ramp, ramp), low), high), min(max(near + dice.uniform(-ramp, ramp), low), high),
    ])  # fmt: skip
    return Command(
        key=key,
        point=wire.point if dice.random() > 0.002 else f"{wire.point}x",
        value=value,  # type: ignore[arg-type]
        expires_at=scene.now + timedelta(minutes=dice.choice((30,) * 16 + (15, 1, 0, -1))),
        priority=dice.choice((12,) * 20 + (9, 15, 8, 16)),
    )


def _kind(why: str) -> str:
    """A refusal without its numbers and names, for counting."""
    words = [w for w in why.split() if w.isalpha()]
    return " ".join(words[:6])


# The second judgement


def violations(left: list[Command], district: District, scene: Scene) -> Iterator[str]:
    """Whatever is outside the envelope among the commands that left, in the order of the rules."""
    points = [c.point for c in left]
    if len(set(points)) < len(points):
        yield "a point is commanded twice"
    then = {c.point: c.value for c in left if type(c.value) in (int, float)}
    for command in left:
        wire = district.wires.get(command.point)
        if wire is None or wire.measure.write is None or wire.authority == "observe":
            yield f"{command.point} is not ours"
        elif not 9 <= command.priority <= 15:
            yield f"{command.point} at priority {command.priority}"
        elif command.value is not None:
            said = f"{command.point} = {command.value!r}"
            yield from (f"{said}: {why}" for why in _broken(command, wire, scene))
            if command.point in then:
                yield from (f"{said}: {why}" for why in _of_asset(command, district, scene, then))
    yield from _overloaded(then, district, scene)


def _broken(command: Command, wire: Wire, scene: Scene) -> Iterator[str]:
    write, value, found = wire.measure.write, command.value, scene.reads(command.point)
    assert write is not None and value is not None
    if type(value) not in (int, float) or not math.isfinite(value):
        yield "no number"
        return
    if not write.minimum - SLACK <= value <= write.maximum + SLACK:
        yield "out of range"
    if wire.quantity.endswith(("_on", "_mode", "_count")) and abs(value - round(value)) > SLACK:
        yield "half a state"
    if write.ramp_per_slot is not None and (found is None or abs(value - found) > write.ramp_per_slot + SLACK):
        yield "ramp"
    if found is not None and (value > 1e-6) != (found > 1e-6) and command.point in scene.since:
        stood_s = (scene.now - scene.since[command.point]).total_seconds()
        if stood_s < (write.least_on_s if found > 0 else write.least_off_s):
            yield "switched too soon"
    ours = scene.standing.get(command.point)
    if ours is not None and found is not None and abs(found - ours) < 6e-5:
        moved = abs(value - ours)
        if moved < 6e-5 or (value != 0 and moved <= write.dead_band):
            yield "written for nothing"
    if command.expires_at <= scene.now:
        yield "expired"
    held = scene.snapshot.overrides.get(command.point)
    if held is not None and held.value != value:
        yield "held by a person"
    if wire.device.asset in scene.snapshot.out_of_service:
        yield "out of service"
    watchdog = wire.device.type.watchdog
    if watchdog is not None and watchdog.quantity == wire.quantity:
        yield "a sign of life"


def _of_asset(command: Command, district: District, scene: Scene, then: Mapping[str, float]) -> Iterator[str]:
    asset_name, _, quantity = command.point.rpartition("/")
    asset, value = district.assets.get(asset_name), command.value
    assert value is not None

    def stands(point: str) -> float | None:
        return then[point] if point in then else scene.reads(point)

    if isinstance(asset, Dwelling) and quantity == "setpoint_offset_k" and abs(value) > SLACK:
        own, band = scene.reads(f"{asset_name}/setpoint_c"), district.comfort[asset.use]
        if own is None:
            yield "nobody knows what the resident asked for"
        elif not min(band.floor_c, own) - SLACK <= own + value <= max(band.ceiling_c, own) + SLACK:
            yield "outside the home's band"
    if isinstance(asset, Zone) and quantity in ("heating_setpoint_c", "cooling_setpoint_c"):
        heating, cooling = stands(f"{asset_name}/heating_setpoint_c"), stands(f"{asset_name}/cooling_setpoint_c")
        if heating is not None and cooling is not None and cooling - heating < 2 - SLACK:
            yield "heats against cooling"
        floor = district.comfort[asset.use].floor_c
        if quantity.startswith("heating") and stands(f"{asset_name}/occupancy_mode") != 3 and value < floor - SLACK:
            found = scene.reads(command.point)
            if found is None or value < found - SLACK:
                yield "chills people"
    if isinstance(asset, Tank) and quantity == "charge_on" and value < 1 and not _hot(asset_name, scene):
        yield "a tank that is not hot is inhibited"
    if isinstance(asset, Tank) and quantity == "setpoint_c":
        leaving = stands(f"{asset.plant}/hot_water_leaving_setpoint_c")
        if value < 55 - SLACK or (leaving is not None and leaving < value + 2 - SLACK):
            yield "a tank that its plant cannot charge, or a cold one"
    if isinstance(asset, Plant):
        mine = [n for n, t in district.of(Tank).items() if t.plant == asset_name]
        if quantity in ("enable_on", "capacity_share") and value <= 0 and not all(_hot(n, scene) for n in mine):
            yield "a plant stops while a tank is cold"
        asked = [s for n in mine if (s := stands(f"{n}/setpoint_c")) is not None]
        if quantity == "hot_water_leaving_setpoint_c" and asked and value < max(asked) + 2 - SLACK:
            found = scene.reads(command.point)
            if found is None or value <= found + SLACK:
                yield "leaves too cool"
    if isinstance(asset, Battery) and quantity == "power_setpoint_kw" and abs(value) > SLACK:
        yield from _battery(asset, value, district, scene)
    if isinstance(asset, ChargePoint) and quantity == "current_limit_a" and value > SLACK:
        low, high = asset.minimum_current_a - SLACK, asset.maximum_current_a + SLACK
        if not low <= value <= high:
            yield "a current that the charge point cannot follow"
    if "recirculation" in quantity and value <= 0:
        yield "recirculation stopped"


def _hot(tank: str, scene: Scene) -> bool:
    top, middle, back = (scene.reads(f"{tank}/{where}_temperature_c") for where in ("top", "middle", "return"))
    return (
        None not in (top, middle, back) and top >= 57 - SLACK and middle >= 50 - SLACK and back >= 50 - SLACK  # type: ignore[operator]
    )


def _battery(battery: Battery, value: float, district: District, scene: Scene) -> Iterator[str]:
    stored = scene.reads(battery.point("stored_kwh"))
    if not -battery.discharge_limit_kw - SLACK <= value <= battery.charge_limit_kw + SLACK:
        yield "more than the battery gives or takes"
    if stored is None:
        yield "nobody knows what the battery holds"
    elif value > 0 and stored >= battery.capacity_kwh * battery.maximum_share:
        yield "a full battery is charged"
    elif value < 0 and stored <= battery.capacity_kwh * battery.minimum_share:
        yield "an empty battery is drained"
    present, supply = scene.reads(battery.point("power_setpoint_kw")), district.asset(battery.supply, Supply)
    if value > 0 and (present is None or value > present + SLACK) and supply.point("power_kw") in district.wires:
        carried, own = scene.reads(supply.point("power_kw")), scene.reads(battery.point("power_kw"))
        if carried is None or own is None or carried - own + value > supply.physical_limit_kw + SLACK:
            yield "the fuse"


def _overloaded(then: Mapping[str, float], district: District, scene: Scene) -> Iterator[str]:
    """Cables by the currents that would stand; fuses by what they carry now."""
    for name, feeder in district.of(Feeder).items():
        total, raised = 0.0, False
        full = scene.reads(f"{feeder.supply}/power_kw")
        for point in district.of(ChargePoint).values():
            if point.feeder != name:
                continue
            limit = point.point("current_limit_a")
            now = scene.reads(limit)
            currents = then.get(limit, now)
            total += point.kw(point.maximum_current_a if currents is None else currents)
            more = then.get(limit, 0.0) > SLACK and (now is None or then[limit] > now + SLACK)
            raised = raised or more
            if more and full is not None and full > district.asset(feeder.supply, Supply).physical_limit_kw + SLACK:
                yield f"{limit} is raised while {feeder.supply} carries {full:.0f} kW"
        if raised and total > feeder.limit_kw + SLACK:
            yield f"{name} would carry {total:.1f} kW of {feeder.limit_kw:g}"
    for name, plant in district.of(Plant).items():
        full = scene.reads(f"{plant.supply}/power_kw")
        if full is None or full <= district.asset(plant.supply, Supply).physical_limit_kw + SLACK:
            continue
        for point in (f"{name}/enable_on", f"{name}/capacity_share"):
            now = scene.reads(point)
            if point in then and (now is None or then[point] > now + SLACK):
                yield f"{point} is raised while {plant.supply} carries {full:.0f} kW"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one line of figures and no more")
    asked = parser.parse_args()
    began = time.perf_counter()
    tally = trial(asked.commands, asked.seed)
    figures = {
        "commands": tally.commands,
        "left": tally.left,
        "outside_envelope": len(tally.broken),
        "seconds": round(time.perf_counter() - began, 1),
        "examples": tally.broken[:5],
        "refused": dict(tally.refused.most_common()),
    }
    print(json.dumps(figures, indent=None if asked.json else 1))
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
