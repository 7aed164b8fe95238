"""Sun is used, else sold, else thrown away."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ems.assets import BaseLoad, Photovoltaic
from ems.optimise import plan
from ems.snapshot import Override
from tests.optimise.small import HOURLY, MIDNIGHT, district, forecasts, snapshot, supply

ROOF = Photovoltaic(name="house/roof", supply="house/meter", peak_kw=20, tilt_deg=10, azimuth_deg=180)
LOAD = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1)


def test_what_is_not_used_is_sold() -> None:
    result = plan(
        district(supply(), ROOF, LOAD, prices=[0.2], export=0.05),
        snapshot(), forecasts(house__roof__power_kw=-10.0, house__load__power_kw=4.0), HOURLY,
    )  # fmt: skip
    assert result.flow("house/meter", "export_kw") == pytest.approx([6.0] * 24)
    assert result.flow("house/roof", "curtailed_kw") == pytest.approx([0.0] * 24)
    assert result.flow("house/roof", "power_kw") == pytest.approx([-10.0] * 24)
    assert result.setpoints[0].value == 1.0


def test_is_curtailed_only_where_export_is_not_allowed() -> None:
    result = plan(
        district(supply(export_limit_kw=0), ROOF, LOAD, prices=[0.2]),
        snapshot(), forecasts(house__roof__power_kw=-10.0, house__load__power_kw=4.0), HOURLY,
    )  # fmt: skip
    assert result.flow("house/roof", "curtailed_kw") == pytest.approx([6.0] * 24)
    assert result.setpoints[0].value == pytest.approx(0.20)  # 4 of 20 kW
    assert "6.0 kW" in result.setpoints[0].reason


def test_worthless_export_is_still_better_than_throwing_away() -> None:
    result = plan(
        district(supply(), ROOF, LOAD, prices=[0.2], export=0.0),
        snapshot(), forecasts(house__roof__power_kw=-10.0, house__load__power_kw=4.0), HOURLY,
    )  # fmt: skip
    assert result.flow("house/roof", "curtailed_kw").sum() == pytest.approx(0.0)


def test_a_limit_that_somebody_holds_is_planned_with() -> None:
    """Held at a tenth of 20 kW for two hours: 2 kW, then 10."""
    point = "house/roof/limit_share"
    held = {point: Override(point, 0.1, "anne", "grid works", MIDNIGHT + timedelta(hours=2))}
    result = plan(
        district(supply(), ROOF, LOAD, prices=[0.2], export=0.05), replace(snapshot(), overrides=held),
        forecasts(house__roof__power_kw=-10.0, house__load__power_kw=4.0), HOURLY,
    )  # fmt: skip
    assert result.flow("house/roof", "used_kw") == pytest.approx([2.0] * 2 + [10.0] * 22)
