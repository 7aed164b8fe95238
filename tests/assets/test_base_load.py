"""A load nobody controls: bought at its hour's price, whatever it is."""

from __future__ import annotations

import pytest

from ems.assets import BaseLoad
from ems.optimise import plan
from tests.optimise.small import HOURLY, district, forecasts, snapshot, supply

LOAD = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=8760)


def test_is_bought_at_the_hour_s_price() -> None:
    """5 kW for 4 h at 0.10 and 20 h at 0.30: 2 + 30 euro."""
    here = district(supply(), LOAD, prices=[0.10] * 4 + [0.30] * 20)
    result = plan(here, snapshot(), forecasts(house__load__power_kw=5.0), HOURLY)
    assert result.cost == pytest.approx(32.0)
    assert result.flow("house/load", "power_kw") == pytest.approx([5.0] * 24)
    assert result.marginal_per_kwh["house/meter"] == pytest.approx([0.10] * 4 + [0.30] * 20)


def test_without_a_forecast_its_design_mean_stands_in_and_is_named() -> None:
    """8760 kWh a year are 1 kW."""
    result = plan(district(supply(), LOAD, prices=[0.2]), snapshot(), {}, HOURLY)
    assert result.flow("house/load", "power_kw") == pytest.approx([1.0] * 24)
    assert result.notes == ("house/load/power_kw has no forecast: its design value stands in",)
