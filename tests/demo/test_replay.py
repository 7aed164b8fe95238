"""Measured series behind simulated meters: what is stored is what was measured, and a gap stays a gap."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from ems.demo import DemoSettings, DistrictProcess, demo
from ems.loop.control import Control
from ems.points import Quality
from ems.slots import Slots
from ems.store import Store

NETWORK = 45
START = datetime(2026, 3, 16, 6, 15, tzinfo=UTC)
CYCLES = 8
HOME, HEAT, ROOF = "mistral/flat-0101/power_kw", "mistral/flat-0102/heat_power_kw", "mistral/roof/power_kw"

SCENARIO = f"""
start: {START.isoformat()}
seed: 1
replay:
  - {{point: {HOME}, file: homes.parquet, column: load_power_kw, start: "2017-01-10T18:15:00+00:00"}}
  - {{point: {HEAT}, file: heat.csv, column: heat_power_kw, start: "2018-02-01T07:15:00+00:00"}}
  - {{point: {ROOF}, file: sun.parquet, column: pv_power_kw, start: "2020-06-01T10:15:00+00:00", scale: -1}}
"""


def series(start: str, step: str, values: list[float], column: str) -> pd.DataFrame:
    index = pd.date_range(start, periods=len(values), freq=step, tz="UTC", name="timestamp_utc")
    return pd.DataFrame({column: values}, index=index)


def test_what_is_stored_is_what_was_measured(small_district: Path, tmp_path: Path) -> None:
    data, scenario = tmp_path / "data", tmp_path / "replay"
    data.mkdir()
    scenario.mkdir()
    (scenario / "why.md").write_text("Measured input.")
    (scenario / "scenario.yaml").write_text(SCENARIO)
    # An hourly home, a half-hourly heat meter with a gap, a roof in steps of ten minutes.
    home = series("2017-01-10 16:00", "1h", [0.3, 0.4, 1.25, 2.5, 0.75, 0.5], "load_power_kw")
    home.to_parquet(data / "homes.parquet")
    heat = series("2018-02-01 07:00", "30min", [3.25, np.nan, 1.5, 2.0, 2.5, 3.0], "heat_power_kw")
    heat.reset_index().to_csv(data / "heat.csv", index=False)
    sun = series("2020-06-01 10:00", "10min", [20.0] * 3 + [22.0] * 3 + [24.0] * 15, "pv_power_kw")
    sun.to_parquet(data / "sun.parquet")
    seen: list[Quality] = []

    async def look(control: Control, plant: DistrictProcess) -> None:
        seen.append(control.samples[HEAT].quality)

    settings = DemoSettings(
        buildings=small_district,
        scenario=scenario,
        folder=tmp_path / "site",
        data=data,
        speed=None,
        cycles=CYCLES,
        network=NETWORK,
        history_days=0,
        sweep_minutes=5,
    )
    totals, _ = asyncio.run(demo(settings, on_event=lambda event: None, on_progress=lambda step: None, on_cycle=look))
    assert totals.plans == CYCLES
    with Store.read_only(f"sqlite:///{tmp_path / 'site' / 'site.db'}") as store:
        stored = store.history([HOME, HEAT, ROOF], Slots(START, CYCLES - 1)).values
    # 18.15 h to 20 h of the home: three quarter-hours of 1.25 kW, then four of 2.5 kW. The meter is a float in W.
    np.testing.assert_allclose(stored[HOME], [1.25] * 3 + [2.5] * 4, atol=0.0005)
    # 7.15 h of the heat meter: one more quarter-hour, half an hour without a value, then 1.5 and 2 kW.
    np.testing.assert_allclose(stored[HEAT], [3.25, np.nan, np.nan, 1.5, 1.5, 2.0, 2.0], atol=0.0005)
    # A cycle sees the moment before its slot begins.
    assert seen[:5] == [Quality.GOOD, Quality.GOOD, Quality.MISSING, Quality.MISSING, Quality.GOOD]
    # 10.15 h of the roof, negated: sampled at 10.15, 10.20 and 10.25, then from 10.30 on.
    np.testing.assert_allclose(stored[ROOF][:2], [-20.0, -22.0], atol=0.0005)
