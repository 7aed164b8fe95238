"""How well and how fast meters are forecast.

Accuracy: the rolling-origin protocol of a backtest script on a folder of measured series (`--protocol`, `--data`), one
row a task; with `--beside` over last week and four weeks (for the sun: yesterday, persistence of a clear sky) and the
reference forecasters (`--references`) at the same origins: above 1 is worse. Speed: made-up meters of a district, 60
days at 15 min, 48 h ahead in three quantiles, against a plain LightGBM for each series and quantile (timed on a sample
of the same meters in the same run) and a pooled one. `--json` prints one line.

`--left-out` is the proof that nothing was tuned to what it is judged on: how doubtful a blend must be is chosen on half
of the series in the first half of their time, and the figures are of the other series in the second half, beside those
of last week, of the mean of four weeks and of the reference forecasters (`--references`) at the same origins.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

import numpy as np  # noqa: E402

import ems.forecast.learn  # noqa: E402
from ems.forecast import boosting  # noqa: E402
from ems.forecast.calendar import calendar  # noqa: E402
from ems.forecast.experience import Experience  # noqa: E402
from ems.forecast.features import Signals  # noqa: E402
from ems.forecast.learn import QUANTILES, Learnt, expect, learn  # noqa: E402
from ems.forecast.models import Past  # noqa: E402
from ems.forecast.protocol import forecast_many  # noqa: E402
from ems.slots import Slots  # noqa: E402

SHARED = PROJECT.parent / "shared"
METERS, MANY, DAYS, HORIZON, CORES = 450, 4500, 60, 192, 2
SAMPLE = 4  # series the plain reference is timed on
ROUNDS = 3
START = datetime(2026, 1, 5, tzinfo=UTC)
# What is chosen from in `--left-out`: how much relative loss tells blends apart, and how much a meter's own counts.
CANDIDATES = tuple({"DOUBTED": d, "OWN_SHARE": o} for d, o in ((0.005, 0.5), (0.015, 0.5), (0.015, 0.8), (0.05, 0.5)))
FIRST_SHARE = 1 / 6  # of a file that is left away so that the protocol's origins, in the last 60 %, begin at its middle
FIGURES = ("nMAE24", "nMAE48", "rel7_48", "rel1_48", "nPL48", "cov48", "BU48", "direct48", "s_call", "s_first", "bad")


def made_up(meters: int, seed: int = 1) -> Past:
    """Meters with days, weeks, levels of their own and noise."""
    slots = Slots(START, DAYS * 96 + HORIZON)
    whole = calendar(slots, "Europe/Paris")
    rng = np.random.default_rng(seed)
    hour, kind = whole.hour, whole.kind
    level = rng.lognormal(0, 1, meters)[:, None]
    peak = rng.uniform(7, 21, meters)[:, None]
    shape = 1 + 1.5 * np.exp(-(((hour - peak) / 3) ** 2)) * np.where(kind > 0, rng.uniform(0.2, 1, meters)[:, None], 1)
    values = (level * shape * rng.gamma(8, 1 / 8, (meters, slots.count)))[:, : DAYS * 96]
    temperature = 10 + 6 * np.sin(np.arange(slots.count) / 700)[None, :]
    return Past(values, whole, np.broadcast_to(level, (meters, slots.count)), {"temp_air_c": temperature})


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a core's time (all is done in one thread), which others on the machine do not stretch; the result."""
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def speed(meters: int) -> dict[str, float]:
    """Seconds of the daily fit (once) and of a refresh (median)."""
    past = made_up(meters)
    fit_s, learnt = timed(lambda: learn(past, HORIZON))
    if not isinstance(learnt, Learnt):
        raise SystemExit(f"nothing was learnt: {learnt}")
    found: Learnt = learnt
    refresh_s = statistics.median(timed(lambda: expect(found, past, HORIZON))[0] for _ in range(ROUNDS))
    return {"daily_fit_s": fit_s, "refresh_s": refresh_s}


def references(meters: int) -> dict[str, float]:
    """A LightGBM for each series and quantile, on a sample and scaled up; and one pooled for all, on as many rows."""
    library = boosting.library()
    if isinstance(library, str):
        raise SystemExit(library)
    past = made_up(SAMPLE)
    rng = np.random.default_rng(0)
    origin = rng.integers(28 * 96, DAYS * 96 - HORIZON, 8000)
    target = origin + rng.integers(0, HORIZON, 8000)
    fit_s = refresh_s = 0.0
    settings = {"objective": "quantile", "verbosity": -1, "num_threads": 1}
    for k in range(SAMPLE):
        took, refreshed = _plain(library, past.only([k]), origin, target, settings)
        fit_s, refresh_s = fit_s + took, refresh_s + refreshed
    pooled = made_up(64)

    def pooled_fit() -> None:
        count = boosting.MOST_ROWS // 64
        rows = Signals(pooled).rows(origin[:count], target[:count])
        truth = pooled.values[:, target[:count]]
        data = library.Dataset(rows.x.reshape(-1, rows.x.shape[2]), truth.ravel())
        for q in QUANTILES:
            library.train({**settings, "alpha": q}, data, 120)

    return {
        "lgbm_per_series_fit_s": fit_s * meters / SAMPLE,
        "lgbm_per_series_refresh_s": refresh_s * meters / SAMPLE,
        "lgbm_pooled_fit_s": timed(pooled_fit)[0],
    }


def _plain(library: ModuleType, one: Past, origin: Any, target: Any, settings: dict[str, Any]) -> tuple[float, float]:
    """Seconds to learn one series with a model for each quantile, and to forecast it."""

    def fitted() -> list[Any]:
        rows, truth = Signals(one).rows(origin, target), one.values[0, target]
        return [library.train({**settings, "alpha": q}, library.Dataset(rows.x[0], truth), 120) for q in QUANTILES]

    def refreshed() -> None:
        ahead = np.arange(one.length, one.length + HORIZON)
        rows = Signals(one).rows(np.full(HORIZON, one.length), ahead)
        for model in models:
            model.predict(rows.x[0])

    fit_s, models = timed(fitted)
    return fit_s, timed(refreshed)[0]


def protocol(
    script: Path, data: Path, tasks: str, blocks: int, per_block: int, references: Path | None = None
) -> list[dict[str, Any]]:
    """The protocol's figures, one row a task, with `references` beside those of the others."""
    judged = loaded(script)
    chosen = [t for t in judged.load_tasks(str(data)) if not tasks or any(k in t["name"] for k in tasks.split(","))]
    rows = []
    for task in chosen:
        table = judged.run(forecast_many, [task], blocks, per_block, many=True, verbose=False)
        mean = table[table.series.str.startswith("MEAN")].iloc[0]
        row = {"task": task["name"]} | {k: _rounded(mean[k]) for k in FIGURES if k in mean and mean[k] == mean[k]}
        if references is not None:
            row |= {k: _rounded(v) for k, v in _beside(judged, references, task, mean, blocks, per_block).items()}
        rows.append(row)
    return rows


def _beside(
    judged: ModuleType, references: Path, task: dict[str, Any], ours: Any, blocks: int, per_block: int
) -> dict[str, float]:
    """Our error and pinball loss over those of others, the naive ones and the references where they are there."""
    sun = task["kind"] == "pv"
    others = {"yesterday": judged.seasonal_naive} if sun else {}
    if not sun:
        others = {"last week": judged.seasonal_naive, "four weeks": judged.mean4w}
    if references.exists():
        known = loaded(references)
        others |= {"clear sky": known.pv_clear, "reference": known.pv_noisy} if sun else {"reference": known.lgb_pool}
    found = {}
    for name, other in others.items():
        theirs = _mean(judged, other, task, blocks, per_block)
        found |= {f"{k} / {name}": float(ours[k]) / theirs[k] for k in ("nMAE48", "nPL48")}
    return found


def left_out(
    script: Path, references: Path, data: Path, tasks: str, blocks: int, per_block: int
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The candidate chosen on half of the series and time, and rows of figures of the rest, one a task."""
    judged = loaded(script)
    chosen = [t for t in judged.load_tasks(str(data)) if not tasks or any(k in t["name"] for k in tasks.split(","))]
    # Blends say nothing of the sun, whose halves would take most of the time.
    halves = [half for half in _halves(chosen, tuned=True) if half["kind"] != "pv"]
    losses = []
    for candidate in CANDIDATES:
        _set(candidate)
        runs = [_mean(judged, forecast_many, half, blocks, per_block) for half in halves]
        # A floor keeps one task with a small mean from deciding.
        losses.append(sum(r["nPL48"] / max(r["naive_nPL48"], 1e-6) for r in runs))
    best = CANDIDATES[int(np.argmin(losses))]
    _set(best)
    rows = []
    for task in _halves(chosen, tuned=False):
        ours = _mean(judged, forecast_many, task, blocks, per_block)
        row: dict[str, Any] = {"task": task["name"], **{k: ours[k] for k in ("nMAE48", "rel7_48", "nPL48", "cov48")}}
        row |= _beside(judged, references, task, ours, blocks, per_block)
        rows.append({k: v if k == "task" else _rounded(v) for k, v in row.items()})
    return dict(best), rows


def _set(candidate: dict[str, float]) -> None:
    for name, value in candidate.items():
        setattr(ems.forecast.learn, name, value)


def _halves(tasks: list[dict[str, Any]], tuned: bool) -> list[dict[str, Any]]:
    """Every other series (of tasks with one series, every other task) in the first half of its time, or the rest."""
    found = []
    for number, task in enumerate(tasks):
        names = [n for n in task["frames"] if n != "district"]
        mine = names[::2] if tuned else names[1::2]
        if len(names) == 1:
            mine = names if (number % 2 == 0) == tuned else []
        if not mine:
            continue
        frames = {}
        for name in mine:
            frame = task["frames"][name]
            frames[name] = frame.iloc[: len(frame) // 2] if tuned else frame.iloc[int(len(frame) * FIRST_SHARE) :]
        found.append({**task, "frames": frames, "district": False})
    return found


def _mean(judged: ModuleType, forecaster: Any, task: dict[str, Any], blocks: int, per_block: int) -> dict[str, float]:
    """Means over a task's series; `naive_nPL48` is that of the same time last week."""
    many = forecaster is forecast_many or forecaster.__name__ == "lgb_pool"
    call = partial(forecast_many, experience=Experience()) if forecaster is forecast_many else forecaster
    table = judged.run(call, [task], blocks, per_block, many=many, verbose=False)
    found = {k: float(v) for k, v in table[table.series.str.startswith("MEAN")].iloc[0].items() if k in FIGURES}
    if forecaster is forecast_many:
        naive = judged.run(judged.seasonal_naive, [task], blocks, per_block, verbose=False)
        found["naive_nPL48"] = float(naive[naive.series.str.startswith("MEAN")].iloc[0]["nPL48"])
    return found


def loaded(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("backtest_protocol", script)
    if spec is None or spec.loader is None or not script.exists():
        raise SystemExit(f"{script} does not exist; name the protocol's script with --protocol, or give --speed-only")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _rounded(value: float) -> float:
    return float(f"{float(value):.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON and nothing else")
    parser.add_argument("--speed-only", action="store_true", help="no protocol: seconds and ratios alone")
    parser.add_argument("--meters", type=int, default=METERS)
    parser.add_argument("--many", type=int, default=MANY, help="meters of the growth figure; 0 leaves it out")
    parser.add_argument("--data", type=Path, default=SHARED / "data", help="folder of measured series")
    parser.add_argument("--protocol", type=Path, default=SHARED / "forecast_backtest.py", help="the backtest's script")
    parser.add_argument("--tasks", default="", help="parts of tasks' names, with commas; all by default")
    parser.add_argument("--left-out", action="store_true", help="tune on half of the series and time, judge the rest")
    parser.add_argument("--beside", action="store_true", help="the protocol's figures over those of others")
    parser.add_argument("--references", type=Path, default=SHARED / "forecast_references.py", help="who is compared")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--per-block", type=int, default=6)
    asked = parser.parse_args()
    if asked.left_out:
        chosen, rows = left_out(
            asked.protocol, asked.references, asked.data, asked.tasks, asked.blocks, asked.per_block
        )
        if asked.json:
            print(json.dumps({"chosen": chosen, "left_out": rows}))
            return
        print("chosen:", ", ".join(f"{k} {v}" for k, v in chosen.items()))
        for row in rows:
            print(f"{row['task']:<22} " + "  ".join(f"{k} {v:.3f}" for k, v in row.items() if k != "task"))
        return

    found: dict[str, Any] = {"meters": asked.meters, "steps": HORIZON, "quantiles": len(QUANTILES), "cores": CORES}
    found |= speed(asked.meters)
    found |= references(asked.meters)
    found["refresh_vs_lgbm"] = found["refresh_s"] / found["lgbm_per_series_refresh_s"]
    found["fit_vs_lgbm"] = found["daily_fit_s"] / found["lgbm_per_series_fit_s"]
    found["fit_vs_pooled"] = found["daily_fit_s"] / found["lgbm_pooled_fit_s"]
    found["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if asked.many:
        grown = speed(asked.many)
        found["fit_growth"] = grown["daily_fit_s"] / found["daily_fit_s"]
        found["refresh_growth"] = grown["refresh_s"] / found["refresh_s"]
        found["growth_meters"] = asked.many
        found["memory_grown_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {k: _rounded(v) if isinstance(v, float) else v for k, v in found.items()}
    if not asked.speed_only:
        beside = asked.references if asked.beside else None
        found["protocol"] = protocol(asked.protocol, asked.data, asked.tasks, asked.blocks, asked.per_block, beside)
    if asked.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        if name != "protocol":
            print(f"{name:<28} {value}")
    for row in found.get("protocol", []):
        print(f"{row['task']:<22} " + "  ".join(f"{k} {v:.3f}" for k, v in row.items() if k != "task"))


if __name__ == "__main__":
    main()
