"""Plans districts drawn at random, sensible and absurd, and counts what must never happen.

Limits that contradict each other, stores beyond their bounds, readings and forecasts that are missing or wrong, cars
that leave at once, slots of any length that divides an hour, days of 92, 96 and 100 slots. Every question ends in

    planned    a plan that the checker passes, and whose set points the write gate takes, once shaped for the devices
    answered   a ValueError before any solver runs, which names the asset (or the point) and what is wrong with it

and everything else is a failure: `infeasible`, `refused_by_checker`, `refused_by_gate`, `broken`. A question that is
not wrong has to be planned: `answered` there counts as `broken`. `--json` prints one line; a seed makes one district.

    python benchmarks/plans.py --districts 10000 --json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

import numpy as np  # noqa: E402

from ems.assets import (  # noqa: E402
    Asset,
    BaseLoad,
    Battery,
    BikeRoom,
    ChargePoint,
    Deferrable,
    Dwelling,
    Fabric,
    Feeder,
    Loop,
    Opening,
    Photovoltaic,
    Plant,
    Substation,
    Tank,
    WeatherStation,
    Zone,
)
from ems.dispatch import due, permit  # noqa: E402
from ems.district import District, Wire, read_district  # noqa: E402
from ems.optimise import WrongPlanError, plan  # noqa: E402
from ems.optimise.solve import UnsolvedError  # noqa: E402
from ems.optimise.why import NOT_AT_ALL  # noqa: E402
from ems.points import Quality, Sample, good  # noqa: E402
from ems.series import Forecast  # noqa: E402
from ems.slots import Slots  # noqa: E402
from ems.snapshot import Session, Snapshot  # noqa: E402
from tests.optimise.small import MIDNIGHT, contract, district, supply  # noqa: E402

FAILURES = ("infeasible", "refused_by_checker", "refused_by_gate", "broken")


@dataclass(frozen=True)
class Question:
    """What the planner is asked. `wrong` is part of the message it must answer with; "" where it must plan."""

    district: District
    snapshot: Snapshot
    forecasts: dict[str, Forecast]
    slots: Slots
    wrong: str = ""


class Dice:
    """A seeded generator with the few throws that districts are made of."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def of(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def between(self, low: float, high: float) -> float:
        return round(float(self.rng.uniform(low, high)), 3)

    def size(self, low: float, high: float) -> float:
        """Spread evenly over orders of magnitude."""
        return round(float(np.exp(self.rng.uniform(np.log(low), np.log(high)))), 4)


def question(seed: int) -> Question:
    """The same seed, the same question."""
    dice = Dice(seed)
    minutes, count = dice.of((15, 1), (15, 4), (60, 24), (60, 23), (60, 25), (30, 12), (20, 9), (12, 10), (10, 18),
                             (6, 10), (5, 12), (4, 15), (3, 8), (2, 6), (1, 7))  # fmt: skip
    if dice.chance(0.06):
        minutes, count = 15, dice.of(92, 96, 100)
    start = MIDNIGHT + timedelta(days=dice.of(0, 74, 180, 283), minutes=minutes * int(dice.rng.integers(0, 24)))
    slots = Slots(start, count, minutes)
    assets = _assets(dice)
    prices = [dice.between(0, 0.6) for _ in range(int(dice.rng.integers(1, 24)))]
    priced = contract(
        prices, export=dice.between(0, 0.3), exceedance=dice.between(0, 5), subscription=dice.between(0, 60)
    )
    here = _wired(district(*assets, contracts={"test": priced}))
    asked = Question(here, _snapshot(dice, here, slots), _forecasts(dice, here, slots), slots)
    return dice.of(*WRONGS)(dice, asked) if dice.chance(0.1) else asked


def _assets(dice: Dice) -> list[Asset]:
    meter, station, plant = "house/meter", "house/station", "house/pumps"
    fabric = Fabric(
        loss_w_per_k_m2=dice.size(0.2, 5), light_wh_per_k_m2=dice.between(5, 40), mass_wh_per_k_m2=dice.between(10, 90),
        coupling_w_per_k_m2=dice.between(1, 12), solar_aperture_share=dice.between(0, 0.2), gains_w_per_m2=3,
        heating_w_per_m2=dice.size(1, 90), cooling_w_per_m2=dice.of(0.0, dice.size(1, 90)),
    )  # fmt: skip
    physical = dice.size(0.1, 300)
    always: list[Asset] = [
        supply(
            subscribed_kw=physical * dice.size(0.01, 3), physical_limit_kw=physical,  # above the fuse too
            export_limit_kw=dice.of(None, 0.0, physical / 2), shares_in=dice.of(None, "sun"),
            ramp_price_per_kw=dice.of(0.0, 0.05), uneven_price_per_kw=dice.of(0.0, 0.1),
        ),
        WeatherStation(name="house/sky"),
        Loop(
            name="house/loop", supply=meter, volume_m3=dice.size(0.5, 200), heat_limit_kw=dice.size(0.01, 500),
            cold_limit_kw=dice.size(0.01, 500), exchanger_kw_per_k=dice.size(0.1, 1000), pump_kw=dice.between(0, 50),
        ),
        Plant(
            name=plant, supply=meter, loop="house/loop", circuits=int(dice.rng.integers(1, 5)),
            heat_kw=dice.size(0.5, 400), cold_kw=dice.size(0.5, 400), pump_kw=dice.of(0.0, 4.0),
            minimum_load_share=dice.of(0.0, 0.25, 0.9), quiet_from_hour=22 if (quiet := dice.chance(0.3)) else None,
            quiet_until_hour=7 if quiet else None,
        ),
        Substation(
            name=station, plant=plant, supply=meter, heat_limit_kw=dice.size(0.01, 500),
            cold_limit_kw=dice.of(0.0, dice.size(0.1, 300)),
        ),
    ]  # fmt: skip
    optional: list[Asset] = [
        supply(name="roof/meter", prm="30000000000002", shares_in="sun", export_limit_kw=dice.of(None, 0.0, 30.0)),
        Photovoltaic(name="roof/array", supply="roof/meter", peak_kw=dice.size(0.1, 200), tilt_deg=9, azimuth_deg=90),
        BaseLoad(name="house/load", supply=meter, use="home", yearly_kwh=1),
        Battery(
            name="house/cellar", supply=meter, capacity_kwh=dice.size(0.1, 500), charge_limit_kw=dice.size(0.1, 200),
            discharge_limit_kw=dice.size(0.1, 200), one_way_efficiency=dice.between(0.5, 1),
            minimum_share=dice.of(0.0, 0.1, 0.5), maximum_share=dice.of(0.5, 0.95, 1.0),
            wear_per_kwh=dice.between(0, 0.5),
        ),
        Photovoltaic(name="house/roof", supply=meter, peak_kw=dice.size(0.1, 200), tilt_deg=10, azimuth_deg=180),
        Feeder(name="house/feeder", supply=meter, limit_kw=dice.size(0.1, 60)),
        *[
            ChargePoint(
                name=f"house/point-{k}", feeder="house/feeder", phases=dice.of(1, 3), phase=dice.of(None, 1, 2, 3),
                minimum_current_a=dice.of(0.0, 6.0, 13.0), maximum_current_a=dice.of(13.0, 16.0, 32.0),
                give_back_current_a=dice.of(0.0, 16.0),
            )
            for k in range(int(dice.rng.integers(0, 4)))
        ],
        BikeRoom(name="house/bikes", supply=meter, places=8, limit_kw=dice.size(0.1, 5)),
        Deferrable(
            name="house/laundry", supply=meter, running_kw=dice.size(0.1, 20), run_h=dice.size(0.1, 30),
            contiguous=dice.chance(0.5), from_hour=float(dice.of(0, 7, 20)), until_hour=float(dice.of(4, 12, 24)),
        ),
        Tank(
            name="house/tank", plant=plant, supply=meter, volume_m3=dice.size(0.1, 10),
            charge_limit_kw=dice.size(0.1, 200), recirculation_loss_kw=dice.between(0, 10),
            standing_loss_kw=dice.between(0, 2), heater_kw=dice.of(0.0, dice.between(0, 30)),
            daily_draw_m3=dice.size(0.1, 20), minimum_hot_share=dice.of(0.0, 0.4, 1.0),
        ),
        *[
            Dwelling(
                name=f"house/flat-{k}", floor=k, surface_m2=dice.size(10, 400), rooms=2, orientation="south",
                prm="30000000000009", substation=station, fabric=fabric, use=dice.of("home", "senior-home"),
                thermostat=dice.chance(0.8),
            )
            for k in range(int(dice.of(0, 1, 3) if dice.chance(0.95) else 30))  # many are planned in groups
        ],
        Zone(
            name="house/office", use="offices", surface_m2=dice.size(10, 9000), substation=station, fabric=fabric,
            opening=Opening(days=(1, 2, 3, 4, 5), from_hour=dice.of(1, 8), until_hour=dice.of(6, 18)),
            heating_occupied_c=dice.between(15, 24), cooling_occupied_c=dice.of(None, 22.0, 26.0),
        ),
    ]  # fmt: skip
    kept = [a for a in optional if dice.chance(0.75)]
    names = {a.name for a in kept}
    roofless = {"roof/array"} if "roof/meter" not in names else set()
    unfed = {n for n in names if n.startswith("house/point")} if "house/feeder" not in names else set()
    home_use = [a.model_copy(update={"use": "home"}) if isinstance(a, Dwelling) else a for a in kept]
    return always + [a for a in home_use if a.name not in roofless | unfed]


@cache
def _usual_wires() -> dict[tuple[str, str], Wire]:
    """How the default district writes each quantity of each type of asset."""
    default = read_district(PROJECT / "buildings")
    found: dict[tuple[str, str], Wire] = {}
    for wire in default.wires.values():
        if wire.commanded and wire.device.asset in default.assets:
            found.setdefault((type(default.assets[wire.device.asset]).__name__, wire.quantity), wire)
    return found


def _wired(here: District) -> District:
    """Every asset on devices such as the default district's."""
    wires = {}
    for name, asset in here.assets.items():
        for (kind, quantity), wire in _usual_wires().items():
            if kind == type(asset).__name__ and not quantity.endswith("heartbeat_count"):
                point = asset.point(quantity)
                wires[point] = replace(wire, point=point, device=replace(wire.device, asset=name))
    return replace(here, wires=wires)


def _forecasts(dice: Dice, here: District, slots: Slots) -> dict[str, Forecast]:
    """Of any size, for most points; some districts have none."""
    blind, rows = dice.chance(0.05), {}
    ranges: dict[type, dict[str, tuple[float, float]]] = {
        WeatherStation: {"outdoor_temperature_c": (-25, 45), "irradiance_w_per_m2": (0, 1100)},
        Loop: {"seawater_temperature_c": (-2, 40)},
        BaseLoad: {"power_kw": (-50, 400)},
        Photovoltaic: {"power_kw": (-300, 0)},
        Tank: {"draw_kw": (0, 300)},
        Zone: {"gains_kw": (0, 100)},
    }
    for name, asset in here.assets.items():
        for quantity, (low, high) in ranges.get(type(asset), {}).items():
            rows[f"{name}/{quantity}"] = (low, high)
    rows["house/homes/gains_kw"] = (0, 5)
    found = {}
    for point, (low, high) in rows.items():
        if blind or dice.chance(0.1):
            continue
        level, swing = dice.rng.uniform(low, high), dice.of(0.0, 0.0, 1.0)
        values = level + swing * (dice.rng.uniform(low, high, slots.count) - level)
        found[point] = Forecast(point, slots.start, slots, values, values, values, model="dice")
    return found


def _snapshot(dice: Dice, here: District, slots: Slots) -> Snapshot:
    """Readings from far below to far beyond what is possible; some missing, some stale."""
    ranges: dict[type, dict[str, tuple[float, float]]] = {
        Battery: {"stored_kwh": (-10, 700)},
        Tank: {f"{level}_temperature_c": (0, 100) for level in ("top", "middle", "bottom", "return")},
        Dwelling: {"temperature_c": (-5, 45), "setpoint_c": (5, 30)},
        Zone: {"temperature_c": (-5, 45)},
        Loop: {"temperature_c": (-5, 50)},
        Plant: {"fault_on": (0, 0)},
        Deferrable: {"done_h": (0, 40)},
    }
    samples, sessions = {}, {}
    for name, asset in here.assets.items():
        for quantity, (low, high) in ranges.get(type(asset), {}).items():
            chance, point = dice.rng.random(), asset.point(quantity)
            if chance < 0.8:
                samples[point] = good(dice.between(low, high), slots.start)
            elif chance < 0.9:
                samples[point] = Sample(dice.between(low, high), Quality.STALE, slots.start)
        if isinstance(asset, Plant) and dice.chance(0.1):
            samples[asset.point("fault_on")] = good(1.0, slots.start)
        if isinstance(asset, ChargePoint | BikeRoom) and dice.chance(0.8):
            arrives = dice.of(None, slots.start + dice.between(-5, slots.count) * slots.length)
            capacity = dice.of(None, dice.between(5, 100))
            sessions[name] = Session(
                name, dice.between(-5, 100), slots.start + dice.between(-2, 1.5 * slots.count) * slots.length,
                arrives_at=arrives, capacity_kwh=capacity,
                stored_kwh=None if capacity is None else dice.between(-5, 120),
            )  # fmt: skip
    for point, wire in here.wires.items():
        write = wire.measure.write
        # What stands there already: there are ramps, and where nobody can read that, the gate refuses whatever comes.
        if write is not None and (write.ramp_per_slot is not None or dice.chance(0.3)):
            samples.setdefault(point, good(dice.between(write.minimum, write.maximum), slots.start))
    out = frozenset(n for n in here.assets if dice.chance(0.03) and not n.endswith("meter"))
    return Snapshot(slots.start, samples, sessions, out_of_service=out)


def _with(asked: Question, wrong: str, **changes: Any) -> Question:
    return replace(asked, wrong=wrong, **changes)


def _altered(asked: Question, name: str, **fields: Any) -> District:
    return replace(
        asked.district, assets={**asked.district.assets, name: asked.district.assets[name].model_copy(update=fields)}
    )


def _with_no_number(dice: Dice, asked: Question) -> Question:
    if not asked.forecasts:
        return asked
    point = dice.of(*sorted(asked.forecasts))
    spoiled = replace(asked.forecasts[point])
    spoiled.median[0] = dice.of(np.nan, np.inf)  # an array changes under whoever holds it
    return _with(asked, point, forecasts={**asked.forecasts, point: spoiled})


def _of_other_slots(dice: Dice, asked: Question) -> Question:
    # What nobody asks for may be of any slots: gains where no one dwells, sun on walls where there is no room.
    homes, rooms = asked.district.dwellings, asked.district.of(Zone)
    unasked = (*(() if homes else ("/homes/gains_kw",)), *(() if homes or rooms else ("/irradiance_w_per_m2",)))
    needed = sorted(p for p in asked.forecasts if not p.endswith(unasked))
    if not needed:
        return asked
    point, other = dice.of(*needed), Slots(asked.slots.at(1), asked.slots.count, asked.slots.minutes)
    return _with(asked, point, forecasts={**asked.forecasts, point: replace(asked.forecasts[point], slots=other)})


def _without_meter(dice: Dice, asked: Question) -> Question:
    return _with(asked, "house/pumps", district=_altered(asked, "house/pumps", supply="house/nowhere"))


def _without_contract(dice: Dice, asked: Question) -> Question:
    return _with(asked, "house/meter", district=_altered(asked, "house/meter", contract="nobody"))


def _colder_than_cold(dice: Dice, asked: Question) -> Question:
    return _with(asked, "house/loop", district=_altered(asked, "house/loop", minimum_c=40.0, maximum_c=20.0))


def _fuller_than_full(dice: Dice, asked: Question) -> Question:
    if "house/cellar" not in asked.district.assets:
        return asked
    return _with(asked, "house/cellar", district=_altered(asked, "house/cellar", minimum_share=0.9, maximum_share=0.2))


def _hotter_than_hot(dice: Dice, asked: Question) -> Question:
    if "house/tank" not in asked.district.assets:
        return asked
    return _with(asked, "house/tank", district=_altered(asked, "house/tank", minimum_c=70.0, maximum_c=60.0))


def _session_of_no_number(dice: Dice, asked: Question) -> Question:
    if not asked.snapshot.sessions:
        return asked
    name = dice.of(*sorted(asked.snapshot.sessions))
    spoiled = replace(asked.snapshot.sessions[name], needed_kwh=float("nan"))
    sessions = {**asked.snapshot.sessions, name: spoiled}
    return _with(asked, name, snapshot=replace(asked.snapshot, sessions=sessions))


WRONGS: tuple[Callable[[Dice, Question], Question], ...] = (
    _with_no_number, _of_other_slots, _without_meter, _without_contract, _colder_than_cold, _fuller_than_full,
    _hotter_than_hot, _session_of_no_number,
)  # fmt: skip


def outcome(asked: Question) -> tuple[str, str]:
    """How a question ended, and what was said."""
    try:
        result = plan(asked.district, asked.snapshot, asked.forecasts, asked.slots, effort=NOT_AT_ALL)
    except UnsolvedError as error:
        return "infeasible", str(error)
    except WrongPlanError as error:
        return "refused_by_checker", str(error)
    except ValueError as error:
        named = bool(asked.wrong) and asked.wrong in str(error)
        return ("answered" if named else "broken"), f"ValueError: {error}"
    except Exception as error:
        return "broken", f"{type(error).__name__}: {error}"
    if asked.wrong:
        return "broken", f"planned, though {asked.wrong} is wrong"
    refused = _refused(asked, result)
    return ("refused_by_gate", "; ".join(refused)) if refused else ("planned", "")


def _refused(asked: Question, result: Any) -> list[str]:
    """What the write gate says to the plan's set points, each as its device can follow it."""
    here, known = asked.district, asked.snapshot
    expires = known.at + timedelta(minutes=30)
    commands = due(result.setpoints, district=here, snapshot=known, standing={}, expires_at=expires)
    permission = permit(commands, district=here, snapshot=known, now=known.at)
    return [f"{command.point} at {command.value}: {why.why}" for command, why in permission.refused]


def campaign(seeds: range, tell: Callable[[int, str, str], None] = lambda *_: None) -> Counter[str]:
    """How many of these seeds' questions ended how; `tell` hears of every failure."""
    ends: Counter[str] = Counter()
    for seed in seeds:
        end, said = outcome(question(seed))
        ends[end] += 1
        if end in FAILURES:
            tell(seed, end, said)
    return ends


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--districts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the first district")
    parser.add_argument("--json", action="store_true", help="one line for machines")
    asked = parser.parse_args()
    begun = time.perf_counter()

    def tell(seed: int, end: str, said: str) -> None:
        print(f"seed {seed}: {end}: {said[:400]}", file=sys.stderr, flush=True)

    ends = campaign(range(asked.seed, asked.seed + asked.districts), tell)
    figures = {
        "districts": asked.districts,
        **{end: ends[end] for end in ("planned", "answered", *FAILURES)},
        "seconds": round(time.perf_counter() - begun, 1),
    }
    if asked.json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key:<20} {value}")
    return 1 if any(ends[end] for end in FAILURES) else 0


if __name__ == "__main__":
    sys.exit(main())
