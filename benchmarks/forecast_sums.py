"""What the bands of sums hold: errors as far as they go together, against added up and against independent.

The tasks of a backtest script with a district (`--protocol`, `--data`), hourly, at its 24 origins. Of 35 days, as the
loop keeps, the race of naive models makes each meter's quantiles and `ems.forecast.sums` those of the sum. Of each way
the share of what came within the 80 % band, the band's width and the pinball loss, both over the mean. `--json`
prints one line.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from benchmarks.forecast import SHARED, loaded  # noqa: E402
from ems.forecast.calendar import calendar  # noqa: E402
from ems.forecast.models import Past  # noqa: E402
from ems.forecast.race import race  # noqa: E402
from ems.forecast.sums import added, correlation, departures  # noqa: E402
from ems.series import History  # noqa: E402
from ems.slots import Slots  # noqa: E402

DAYS, HORIZON, BLOCKS, PER_BLOCK, APART = 35, 48, 4, 6, 27  # the last three as the protocol has them; hours
QUANTILES = (0.1, 0.5, 0.9)


def origins(count: int) -> list[int]:
    """Those of the protocol."""
    begins = np.linspace(max(int(count * 0.4), 42 * 24), count - HORIZON - PER_BLOCK * APART - 1, BLOCKS).astype(int)
    return [int(begin) + k * APART for begin in begins for k in range(PER_BLOCK)]


def sums(judged: ModuleType, task: dict[str, Any]) -> dict[str, Any]:
    """The figures of one task, by way of adding up."""
    frames = task["frames"]
    parts = [name for name in frames if name != "district"]
    stamps = pd.DatetimeIndex(frames[parts[0]].index)
    stamps = stamps.tz_localize("UTC") if stamps.tz is None else stamps
    values, whole = np.stack([frames[p].y.to_numpy(float) for p in parts]), frames["district"].y.to_numpy(float)
    truth: list[Any] = []
    said: dict[str, list[Any]] = {"as seen": [], "added up": [], "independent": []}
    for at in origins(len(stamps)):
        slots = Slots(stamps[at - DAYS * 24].to_pydatetime(), DAYS * 24, 60)
        known = values[:, at - DAYS * 24 : at]
        level = np.repeat(np.nan_to_num(np.nanmean(known, axis=1))[:, None], known.shape[1] + HORIZON, axis=1)
        past = Past(known, calendar(Slots(slots.start, level.shape[1], 60), task["tz"]), level)
        raced = race(past, np.arange(past.length, past.length + HORIZON))
        low, median, high = (np.stack([getattr(o, q) for o in raced]) for q in ("low", "median", "high"))
        seen, _ = correlation(departures(known, History(slots), task["tz"]), History(slots))
        for way, together in zip(said, (seen, np.ones_like(seen), np.eye(len(seen))), strict=True):
            said[way].append(np.stack(added(low, median, high, together)))
        truth.append(whole[at : at + HORIZON])
    came = np.concatenate(truth)
    heard = np.isfinite(came)
    mean = float(np.abs(came[heard]).mean())
    row: dict[str, Any] = {"task": task["name"], "meters": len(parts)}
    for way, made in said.items():
        quantiles = np.concatenate(made, axis=1)[:, heard]
        inside = (came[heard] >= quantiles[0]) & (came[heard] <= quantiles[2])
        loss = np.mean([judged.pinball(came[heard], f, q).mean() for f, q in zip(quantiles, QUANTILES, strict=True)])
        figures = (inside.mean(), (quantiles[2] - quantiles[0]).mean() / mean, loss / mean)
        row[way] = dict(zip(("cover", "width", "pinball"), (float(f"{f:.3g}") for f in figures), strict=True))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON and nothing else")
    parser.add_argument("--data", type=Path, default=SHARED / "data", help="folder of measured series")
    parser.add_argument("--protocol", type=Path, default=SHARED / "forecast_backtest.py", help="the backtest's script")
    asked = parser.parse_args()
    judged = loaded(asked.protocol)
    chosen = [t for t in judged.load_tasks(str(asked.data)) if t.get("district")]
    rows = [sums(judged, task) for task in chosen]
    if asked.json:
        print(json.dumps({"sums": rows}))
        return
    for row in rows:
        print(f"{row.pop('task')}, {row.pop('meters')} meters")
        for way, figures in row.items():
            print(f"  {way:12} " + ", ".join(f"{name} {value:g}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
