"""A question that is wrong is refused by the name of the asset or point, and before there is anything to solve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ems.assets import Asset, BaseLoad, Battery, ChargePoint, Feeder, Loop
from ems.district import Comfort
from ems.optimise.plan import outlook_of
from ems.points import Quality, Sample
from ems.snapshot import Override, Session
from tests.assets.rich import SLOTS, rich_district, rich_forecasts, rich_snapshot
from tests.optimise.small import HOURLY, district, forecasts, snapshot, supply

LOAD = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1)
CELLAR = {"name": "house/cellar", "supply": "house/meter", "capacity_kwh": 9.0, "charge_limit_kw": 4.0}


@pytest.mark.parametrize(
    ("asset", "says"),
    [
        (
            Battery(**CELLAR, discharge_limit_kw=4, minimum_share=0.9, maximum_share=0.2),
            "house/cellar: minimum_share is 0.9, above its maximum_share of 0.2",
        ),
        (
            Loop(
                name="house/loop", supply="house/meter", volume_m3=1, heat_limit_kw=1, cold_limit_kw=1, pump_kw=0,
                exchanger_kw_per_k=1, minimum_c=30, maximum_c=20,
            ),
            "house/loop: minimum_c is 30, above its maximum_c of 20",
        ),
        (
            ChargePoint(name="house/point", feeder="house/feeder", minimum_current_a=20, maximum_current_a=16),
            "house/point: minimum_current_a is 20, above its maximum_current_a of 16",
        ),
    ],
)  # fmt: skip
def test_limits_that_contradict_each_other(asset: Asset, says: str) -> None:
    here = district(supply(), Feeder(name="house/feeder", supply="house/meter", limit_kw=10), asset)
    with pytest.raises(ValueError, match=f"^{says}"):
        outlook_of(here, snapshot(), {}, HOURLY)


def test_a_band_upside_down_names_the_home() -> None:
    here = rich_district()
    upside_down = {**here.comfort, "home": Comfort(floor_c=22, default_c=20, ceiling_c=19)}
    with pytest.raises(ValueError, match=r"^house/flat: comfort\.home\.floor_c is 22, above its ceiling_c of 19"):
        outlook_of(replace(here, comfort=upside_down), rich_snapshot(), rich_forecasts(), SLOTS)


def test_a_forecast_that_is_no_number_or_too_short_names_its_point() -> None:
    here, expected = district(supply(), LOAD), forecasts(house__load__power_kw=1.0)
    (forecast,) = expected.values()
    forecast.median[3] = np.nan  # an array may change after it was looked at
    with pytest.raises(ValueError, match=r"^house/load/power_kw: low is nan at 2026-01-14T03:00"):
        outlook_of(here, snapshot(), expected, HOURLY)
    object.__setattr__(forecast, "low", np.zeros(5))
    with pytest.raises(ValueError, match=r"^house/load/power_kw: low has 5 values for 24 slots"):
        outlook_of(here, snapshot(), expected, HOURLY)


def test_sessions_readings_and_holds_are_numbers() -> None:
    here = district(supply(), LOAD)
    stay = Session("house/point", float("nan"), HOURLY.end)
    with pytest.raises(ValueError, match=r"^house/point: the session's needed_kwh is nan"):
        outlook_of(here, snapshot(sessions={"house/point": stay}), {}, HOURLY)
    known = snapshot()
    read = replace(known, samples={"house/cellar/stored_kwh": Sample(float("inf"), Quality.GOOD, known.at)})
    with pytest.raises(ValueError, match=r"^house/cellar/stored_kwh: is inf and called good"):
        outlook_of(here, read, {}, HOURLY)
    held = Override("house/cellar/power_setpoint_kw", float("nan"), "anne", "test", HOURLY.end)
    with pytest.raises(ValueError, match=r"^house/cellar/power_setpoint_kw: is held at nan by anne"):
        outlook_of(here, replace(known, holds={held.point: held}), {}, HOURLY)
