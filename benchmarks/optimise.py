"""How fast a district of hundreds of dwellings is planned, against named references on the same model in one run.

The district is that of `tests/optimise/large.py`. The references: HiGHS's interior point HiPO on the one large
programme (crossover off, tolerance 1e-4; the better of 1 and 2 threads, each in a process of its own, for HiGHS's count
of threads is one per process), linopy and Pyomo's `appsi` handing over the same model. HiPO is given the finished
matrix, `find` begins with the outlook. What is not installed (requirements-bench.txt) is null, and stderr
says so.

    lower_vs_linopy   rules read, lowered and passed to HiGHS, over linopy doing so; linopy states the dwellings' rules
                      in its own expressions on ready arrays (a band as two rows: it has none with two bounds), and
                      takes the terms of all other rules as ready arrays
    lower_vs_appsi    the same over the same rules as an ordinary ConcreteModel and appsi's `set_instance`
    cold_vs_hipo      the whole schedule from nothing, over HiPO; `warm_`: the next quarter-hour with new states,
                      forecasts and the plan before; `tight_`: with limits at 0.55, so that they bind
    *_gap             (cost - bound) / (cost + what initial stores are worth - loads nobody moves), certified
    true_gap          the same with the monolith's optimum, by HiPO to the same 1e-4, for the bound
    integer_gap       the same for the plan in which the next hour is settled: median over cold, warm and tight
    growth, horizon   cold times over each other
    plan_vs_plant_kwh electricity that plants were planned to take in a summer week and what the simulated plant took:
                      one block, weather and needs known, a plan each four hours
    flexmeasures_ratio  50 batteries for 96 steps planned, over FlexMeasures' device scheduler, where it is installed

`--json` prints one line; times are medians of `--rounds` interleaved rounds, wall time, where `cpu` does not say
otherwise: on a machine that others load CPU time is the fairer measure. `--quick` plans few homes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

import highspy  # noqa: E402
import numpy as np  # noqa: E402
import pyomo.environ as pyo  # noqa: E402

from ems.assets import Asset, Battery, Supply  # noqa: E402
from ems.assets.outlook import Outlook  # noqa: E402
from ems.optimise.divide import Memory, find  # noqa: E402
from ems.optimise.matrix import Matrix  # noqa: E402
from ems.optimise.model import Composed, compose  # noqa: E402
from ems.optimise.outline import family_name, numbers  # noqa: E402
from ems.optimise.plan import plan  # noqa: E402
from ems.optimise.solve import hand_over  # noqa: E402
from ems.optimise.why import NOT_AT_ALL  # noqa: E402
from ems.points import good  # noqa: E402
from ems.slots import Slots  # noqa: E402
from ems.snapshot import Snapshot  # noqa: E402
from tests.optimise.large import PRICES, START, Large, large  # noqa: E402
from tests.optimise.small import contract  # noqa: E402
from tests.optimise.small import district as small_district  # noqa: E402

HIPO_LIMIT_S = 1200.0
TOLERANCE = 1e-4  # of the interior point and of HiGHS's own look at what came of it, else that says Unknown
SUMMER_WEEK = "2026-07-13T00:00:00Z"  # a Monday
BLOCK = ("mistral", "city-offices", "plant-c", "parking", "station")  # of the district in buildings/
FOLLOWED = 16  # quarter-hours that each plan is followed for


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Ended:
    """A solution of the monolith: seconds to hand over and solve, of them CPU's, how HiGHS says it ended, euro."""

    seconds: float
    cpu: float
    status: str
    objective: float


def hipo(matrix: Matrix, threads: int) -> Ended:
    """HiPO on the whole programme; to be called in a process of its own."""
    begun, cpu = time.perf_counter(), time.process_time()
    highs = highspy.Highs()
    for option, value in {
        "output_flag": False, "threads": threads, "parallel": "on" if threads > 1 else "off", "solver": "hipo",
        "run_crossover": "off", "ipm_optimality_tolerance": TOLERANCE, "kkt_tolerance": TOLERANCE,
        "time_limit": HIPO_LIMIT_S,
    }.items():  # fmt: skip
        highs.setOptionValue(option, value)
    hand_over(matrix, highs)
    highs.run()
    status = highs.modelStatusToString(highs.getModelStatus())
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return Ended(seconds, cpu, status, float(highs.getInfo().objective_function_value))


def aside(call: Callable[..., Any], *arguments: Any) -> Any:
    """The answer of a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def monolith(outlook: Outlook, previous: Any = None) -> Matrix:
    return compose(replace(outlook, grouped=False), previous).matrix()


@dataclass
class Case:
    """One model and how it fared: seconds and gaps by round, HiPO's by number of threads."""

    name: str
    seconds: list[float]
    cpu: list[float]
    relaxed: list[float]
    whole: list[float]
    true: list[float]
    hipo: dict[int, list[float]]
    hipo_cpu: list[float]  # on one thread
    statuses: set[str]

    @classmethod
    def called(cls, name: str) -> Case:
        return cls(name, [], [], [], [], [], {1: [], 2: []}, [], set())

    def plan(self, outlook: Outlook, held: Any = None, memory: Memory | None = None) -> Any:
        """Timed and certified on the continuous model, as HiPO solves it; then once more with the next hour settled."""
        begun, cpu = time.perf_counter(), time.process_time()
        found = find(outlook, held, memory, halves=True)
        self.seconds.append(time.perf_counter() - begun)
        self.cpu.append(time.process_time() - cpu)
        self.relaxed.append(found.gap)
        self.whole.append(find(outlook, held, memory).gap)
        say(
            f"{self.name}: {self.seconds[-1]:.2f} s, CPU {self.cpu[-1]:.2f} s, gap {self.relaxed[-1]:.3%}, "
            f"settled {self.whole[-1]:.3%}"
        )
        return found

    def solve(self, outlook: Outlook, held: Any, found: Any, threads: tuple[int, ...]) -> None:
        matrix = monolith(outlook, held)
        for count in (n for n in threads if n in self.hipo):
            ended = aside(hipo, matrix, count)
            self.hipo[count].append(ended.seconds)
            if count == 1:
                self.hipo_cpu.append(ended.cpu)
            self.statuses.add(ended.status)
            if ended.status == "Optimal":
                self.true.append(replace(found, bound=ended.objective).gap)
            say(
                f"{self.name}: HiPO on {count} thread(s) {ended.seconds:.2f} s, CPU {ended.cpu:.2f} s, {ended.status}, "
                f"{ended.objective:.3f} €"
            )

    @property
    def ratio(self) -> float | None:
        best = min((statistics.median(s) for s in self.hipo.values() if s), default=None)
        return None if best is None else statistics.median(self.seconds) / best


def handed_over(outlook: Outlook) -> tuple[float, Composed, Matrix]:
    """Seconds from the outlook to a model in HiGHS, and what was made on the way."""
    begun = time.perf_counter()
    composed = compose(replace(outlook, grouped=False))
    matrix = composed.matrix()
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    hand_over(matrix, highs)
    return time.perf_counter() - begun, composed, matrix


def by_linopy(composed: Composed, matrix: Matrix) -> float:
    """Seconds for linopy to state the same model and hand it to HiGHS; every number it needs is ready before."""
    import linopy
    import xarray

    zone = composed.model.zone
    known = {p.local_name: numbers(p) for p in zone.component_objects(pyo.Param)}
    own = {f"zone.{rule}" for rule in ("light_keeps_heat", "mass_keeps_heat", "stays_in_band")}
    rest = [(f, *_terms(matrix, f)) for name, f in matrix.rows.items() if name not in own]
    room, slot = list(zone.fleet), np.arange(len(zone.flows))

    def table(values: Any) -> Any:
        return xarray.DataArray(values, coords={"room": room, "slot": slot}, dims=("room", "slot"))

    def by_room(values: Any) -> Any:
        return xarray.DataArray(values, coords={"room": room}, dims="room")

    begun = time.perf_counter()
    model = linopy.Model()
    columns: dict[str, Any] = {}
    labels = np.empty(matrix.cost.size, dtype=np.int64)
    objective = []
    for name, family in matrix.columns.items():
        if family.size == 0:
            continue
        dims = [f"{name}_{k}" for k in range(len(family.shape))]
        if name.startswith("zone."):
            dims = ["room", "slot" if family.shape[1] == slot.size else "boundary"]
        coordinates = {
            d: list(m) if d == "room" else np.arange(len(m)) for d, m in zip(dims, family.members, strict=True)
        }
        low, high, price = (
            xarray.DataArray(family.of(v), coords=coordinates, dims=dims)
            for v in (matrix.lower, matrix.upper, matrix.cost)
        )
        columns[name] = model.add_variables(low, high, name=name)
        labels[family.slice] = columns[name].labels.values.ravel()
        if (family.of(matrix.cost) != 0).any():
            objective.append((columns[name] * price).sum())
    light, mass, heat, cold, too_cold, too_hot = (
        columns[f"zone.{v}"] for v in ("light_c", "mass_c", "heating_kw", "cold_kw", "too_cold_k", "too_hot_k")
    )
    now, after = ({"boundary": slice(a, a + slot.size)} for a in (0, 1))
    at = {"boundary": slot}
    light_now, mass_now, light_next, mass_next = (
        v.isel(part).assign_coords(at).rename(boundary="slot") for part in (now, after) for v in (light, mass)
    )
    for node, after_it in ((0, light_next), (1, mass_next)):
        a = [by_room(known["step"][:, node, i]) for i in range(5)]
        free = a[2] * xarray.DataArray(known["outdoor_c"], coords={"slot": slot}, dims="slot")
        free = free + a[3] * table(known["free_on_light_kw"]) + a[4] * table(known["free_on_mass_kw"])
        model.add_constraints(
            after_it - a[0] * light_now - a[1] * mass_now - a[3] * heat + a[3] * cold == free, name=f"keeps_heat_{node}"
        )
    model.add_constraints(light_next + too_cold >= table(known["low_c"]), name="stays_warm")
    model.add_constraints(light_next - too_hot <= table(known["high_c"]), name="stays_cool")
    for family, variables, coefficients, sign, right in rest:
        dims = [f"{family.name}_row"]
        left = linopy.LinearExpression(
            xarray.Dataset({
                "vars": ((*dims, "_term"), np.where(variables < 0, -1, labels[variables])),
                "coeffs": ((*dims, "_term"), coefficients),
                "const": (dims, np.zeros(family.size)),
            }),
            model,
        )  # fmt: skip
        model.add_constraints(left, sign, xarray.DataArray(right, dims=dims), name=family.name)
    model.add_objective(sum(objective[1:], objective[0]))
    model.to_highspy()
    return time.perf_counter() - begun


def _terms(matrix: Matrix, family: Any) -> tuple[Any, Any, str, Any]:
    """A family's variables and coefficients as linopy keeps them (-1 and NaN: no term), its sign and right side."""
    a = matrix.a[family.slice]
    count = np.diff(a.indptr)
    place = (
        np.repeat(np.arange(family.size), count),
        np.concatenate([np.arange(c) for c in count] or [[]]).astype(int),
    )
    variables = np.full((family.size, int(count.max(initial=1))), -1)
    coefficients = np.full(variables.shape, np.nan)
    variables[place], coefficients[place] = a.indices, a.data
    low, high = matrix.row_lower[family.slice], matrix.row_upper[family.slice]
    if (low == high).all():
        return variables, coefficients, "=", low
    return (variables, coefficients, "<=", high) if np.isfinite(high).all() else (variables, coefficients, ">=", low)


def by_appsi(outlook: Outlook) -> float:
    """Seconds for the same rules as an ordinary Pyomo model, and for appsi's HiGHS to take it."""
    from pyomo.contrib.appsi.solvers import Highs

    begun = time.perf_counter()
    composed = compose(replace(outlook, grouped=False), new_block=pyo.Block)
    priced: dict[str, Any] = {}
    for cost in composed.costs:
        price = np.broadcast_to(cost.price, (len(cost.variable),)) if np.ndim(cost.price) == 0 else cost.price.ravel()  # type: ignore[union-attr]
        priced[family_name(cost.variable)] = priced.get(family_name(cost.variable), 0.0) + price
    by_name = {family_name(v): v for v in composed.model.component_objects(pyo.Var)}
    composed.model.cost = pyo.Objective(
        expr=pyo.quicksum(
            float(p) * v
            for name, prices in priced.items()
            for p, v in zip(prices, by_name[name].values(), strict=True)
            if p
        )
    )
    Highs().set_instance(composed.model)
    return time.perf_counter() - begun


def peak_memory(homes: int, slots: int) -> float:
    """MiB that a process needs for a cold and a warm plan of the district."""
    here = large(homes)
    cold_and_warm(here, slots, Case.called("memory"), Case.called("memory"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cold_and_warm(here: Large, slots: int, cold: Case, warm: Case | None) -> tuple[Any, ...]:
    """A plan from nothing, and the next quarter-hour's: outlook, flows held and what was found, of each."""
    first = Slots(START, slots)
    outlook, memory = here.outlook(first), Memory()
    found = cold.plan(outlook, None, memory)
    if warm is None:
        return ((outlook, None, found),)
    before = plan(here.district, outlook.snapshot, outlook.forecasts, first, memory=memory, effort=NOT_AT_ALL)
    then = Slots(first.at(1), slots)
    later, held = here.outlook(then, before), before.on(then)
    return (outlook, None, found), (later, held, warm.plan(later, held, memory))


def plan_vs_plant(days: float) -> dict[str, float]:
    """What plants were planned to take, quarter-hour by quarter-hour, and what they took, kWh."""
    from ems.assets import Plant
    from ems.district import read_district
    from ems.optimise import Plan
    from ems.simulate.scenario import Scenario
    from ems.study.controllers import Oracle
    from ems.study.part import part
    from ems.study.run import Case, planner_of, run_with, simulated_past

    class Following(Oracle):
        """Keeps every plan it makes."""

        def decide(self, snapshot: Snapshot, slots: Slots) -> Plan:
            plans.append(super().decide(snapshot, slots))
            return plans[-1]

    plans: list[Plan] = []
    week = {"name": "summer-week", "start": SUMMER_WEEK, "days": days, "history_days": 2, "warm_up_hours": 48}
    scenario = Scenario.model_validate({**week, "buildings": BLOCK})
    district = part(read_district(PROJECT / "buildings"), BLOCK)
    case = Case(
        PROJECT / "buildings", Path("scenarios/summer-week"), "oracle", 1, replan_every=FOLLOWED, horizon_slots=96
    )

    def planner(world: Any) -> Following:
        oracle = planner_of(case, district, scenario, world)
        assert isinstance(oracle, Oracle)
        return Following(district, world=world, known=oracle.known, replan_every=FOLLOWED)

    record = run_with(case, district, scenario, planner, history=simulated_past(district, scenario, 1)).record
    ends = [p.slots.start for p in plans[1:]] + [scenario.start + timedelta(days=days)]
    planned = 0.0
    for made, end in zip(plans, ends, strict=True):
        followed = round((end - made.slots.start) / made.slots.length)
        planned += sum(float(made.flow(n, "power_kw")[:followed].sum()) * made.slots.hours for n in district.of(Plant))
    taken = sum(float(record.device_kwh[:, record.devices.index(n)].sum()) for n in district.of(Plant))
    return {"planned": round(planned, 1), "taken": round(taken, 1), "ratio": round(taken / planned, 4)}


def flexmeasures_seconds(batteries: int, steps: int) -> float:
    """Seconds for FlexMeasures' device scheduler to plan batteries behind one connection at our prices."""
    import pandas as pd
    from flexmeasures.data.models.planning.linear_optimization import device_scheduler

    index = pd.date_range(START, periods=steps, freq="15min", name="datetime")
    price = np.resize(np.repeat(PRICES, 4), steps)
    devices = []
    for _ in range(batteries):
        columns = {
            "min": 0.0, "max": 10.0, "equals": np.nan, "derivative min": -5.0, "derivative max": 5.0,
            "derivative equals": np.nan, "derivative down efficiency": 0.95, "derivative up efficiency": 0.95,
            "stock delta": 0.0,
        }  # fmt: skip
        devices.append(pd.DataFrame(columns, index=index))
    free = {"min": np.nan, "max": np.nan, "equals": np.nan, "derivative min": -400.0, "derivative max": 400.0}
    network = pd.DataFrame({**free, "derivative equals": np.nan}, index=index)
    energy = pd.DataFrame(
        {
            "quantity": 0.0,
            "downwards deviation price": 0.3 * price,
            "upwards deviation price": price,
            "group": range(steps),
        },
        index=index,
    )
    begun = time.perf_counter()
    device_scheduler(devices, network, commitments=[energy], initial_stock=[4.0] * batteries)
    return time.perf_counter() - begun


def batteries_seconds(batteries: int, steps: int) -> float:
    """Seconds for a whole plan of the same batteries behind one supply point."""
    meter = Supply(
        name="site/meter", prm="30000000000001", contract="test", subscribed_kw=400.0, physical_limit_kw=500.0
    )
    assets: list[Asset] = [meter]
    for k in range(batteries):
        assets.append(
            Battery(
                name=f"site/battery-{k}", supply="site/meter", capacity_kwh=10.0, charge_limit_kw=5.0,
                discharge_limit_kw=5.0,
            )
        )  # fmt: skip
    here = small_district(*assets, contracts={"test": contract(PRICES, export=0.06)})
    slots = Slots(START, steps)
    stored = {f"site/battery-{k}/stored_kwh": good(4.0, START) for k in range(batteries)}
    begun = time.perf_counter()
    plan(here, Snapshot(START, stored), {}, slots, effort=NOT_AT_ALL)
    return time.perf_counter() - begun


def flexmeasures_ratio() -> float | None:
    """Ours over theirs; None where FlexMeasures is not installed."""
    if not installed("flexmeasures"):
        return None
    return batteries_seconds(50, 96) / flexmeasures_seconds(50, 96)


def installed(name: str) -> bool:
    if importlib.util.find_spec(name) is None:
        say(f"{name} is not installed: its figures are null")
        return False
    return True


def missing_hipo() -> bool:
    try:
        importlib.metadata.version("highspy-extras")
    except importlib.metadata.PackageNotFoundError:
        say("highspy-extras is not installed: there is no HiPO, its figures are null")
        return True
    return False


def everything(homes: int, more: int, slots: int, rounds: int, with_appsi: bool, days: float) -> dict[str, Any]:
    here, tight_here = large(homes), large(homes, tight=True)
    cold, warm, tight = Case.called("cold"), Case.called("warm"), Case.called("tight")
    many, long = Case.called(f"{more} homes"), Case.called(f"{2 * slots} slots")
    threads: tuple[int, ...] = () if missing_hipo() else (1, 2)
    lowered, linopy, appsi = [], [], []
    for number in range(rounds):
        outlook = here.outlook(Slots(START, slots))
        seconds, composed, matrix = handed_over(outlook)
        lowered.append(seconds)
        if installed("linopy"):
            linopy.append(by_linopy(composed, matrix))
        if with_appsi and not appsi:  # minutes long and a hundred times the other: once
            appsi.append(by_appsi(outlook))
        say(f"handed over in {lowered[-1]:.3f} s; linopy {linopy[-1:]}, appsi {appsi[-1:]}")
        pairs = cold_and_warm(here, slots, cold, warm)
        pairs += cold_and_warm(tight_here, slots, tight, None)
        cold_and_warm(large(more), slots, many, None)
        cold_and_warm(here, 2 * slots, long, None)
        for case, (at, held, found) in zip((cold, warm, tight), pairs, strict=True):
            case.solve(at, held, found, threads)
            if number == 0 and all(case.hipo.values()):  # from then on only the better of the two
                best = min(case.hipo, key=lambda count: case.hipo[count][0])
                case.hipo = {best: case.hipo[best]}

    def median(values: list[float], over: float | None = 1.0) -> float | None:
        return round(statistics.median(values) / over, 5) if values and over else None

    figures = {
        "homes": homes,
        "slots": slots,
        "rounds": rounds,
        "columns": matrix.a.shape[1],
        "rows": matrix.a.shape[0],
        "lower_s": median(lowered),
        "lower_vs_linopy": median(lowered, statistics.median(linopy) if linopy else None),
        "lower_vs_appsi": median(lowered, appsi[0] if appsi else None),
        "cold_s": median(cold.seconds),
        "warm_s": median(warm.seconds),
        "tight_s": median(tight.seconds),
        "cpu_s": {c.name: median(c.cpu) for c in (cold, warm, tight, many, long)},
        "cold_vs_hipo": cold.ratio,
        "warm_vs_hipo": warm.ratio,
        "tight_vs_hipo": tight.ratio,
        "hipo_s": {c.name: {n: median(s) for n, s in c.hipo.items() if s} for c in (cold, warm, tight)},
        "hipo_cpu_s": {c.name: median(c.hipo_cpu) for c in (cold, warm, tight)},
        "hipo_status": sorted(cold.statuses | warm.statuses | tight.statuses),
        "cold_gap": median(cold.relaxed),
        "warm_gap": median(warm.relaxed),
        "tight_gap": median(tight.relaxed),
        "true_gap": median(cold.true),
        "integer_gap": statistics.median([*cold.whole, *warm.whole, *tight.whole]),
        f"growth_{homes}_to_{more}": median(many.seconds, statistics.median(cold.seconds)),
        f"horizon_{2 * slots}_vs_{slots}": median(long.seconds, statistics.median(cold.seconds)),
        "peak_memory_mib": round(aside(peak_memory, homes, slots), 1),
        "plan_vs_plant_kwh": aside(plan_vs_plant, days),
        "flexmeasures_ratio": flexmeasures_ratio(),
    }
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line for machines")
    parser.add_argument("--quick", action="store_true", help="60 and 140 homes, one round, a summer day")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--homes", type=int, default=420)
    parser.add_argument("--more", type=int, default=1000, help="homes of the larger district")
    asked = parser.parse_args()
    homes, more, rounds = (60, 140, 1) if asked.quick else (asked.homes, asked.more, asked.rounds)
    figures = everything(homes, more, 96, rounds, installed("pyomo"), 1.0 if asked.quick else 7.0)
    if asked.json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key:<24} {value}")


if __name__ == "__main__":
    main()
