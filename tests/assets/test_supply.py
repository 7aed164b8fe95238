"""A supply point's bill, term by term."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ems.assets import BaseLoad, Battery
from ems.optimise import plan
from tests.optimise.small import HOURLY, district, forecasts, snapshot, supply

LOAD = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1)


def test_the_peak_bears_its_share_of_the_yearly_subscription() -> None:
    """10 kW in one hour, 2 kW else, 10 kW subscribed: 5 kW above the half that is paid anyway.

    365 euro per kW and year are 1 euro per kW and day: 5 euro.
    """
    here = district(supply(subscribed_kw=10), LOAD, prices=[0.0], subscription=365.0)
    load = [2.0] * 12 + [10.0] + [2.0] * 11
    result = plan(here, snapshot(), forecasts(house__load__power_kw=load), HOURLY)
    assert result.cost_terms["peak"] == pytest.approx(5.0)
    # One more kWh in the hour of the peak costs the whole of that euro, elsewhere nothing.
    marginal = result.marginal_per_kwh["house/meter"]
    assert marginal[12] == pytest.approx(1.0) and marginal[:12] == pytest.approx([0.0] * 12)


def test_exceedance_is_billed_on_top_of_energy() -> None:
    """2 kW above 8 for 24 h at 1.50, and 10 kW x 24 h at 0.20."""
    here = district(supply(subscribed_kw=8), LOAD, prices=[0.20], exceedance=1.5)
    result = plan(here, snapshot(), forecasts(house__load__power_kw=10.0), HOURLY)
    assert result.cost_terms["exceedance"] == pytest.approx(2 * 24 * 1.5)
    assert result.cost_terms["energy"] == pytest.approx(10 * 24 * 0.20)


def test_what_is_given_back_earns_the_export_price_up_to_its_limit() -> None:
    """3 kW come from the load's side; 2 may leave, at 0.06: 2.88 euro in a day. The third has nowhere to go."""
    here = district(supply(export_limit_kw=2), LOAD, prices=[0.2], export=0.06)
    result = plan(here, snapshot(), forecasts(house__load__power_kw=-3.0), HOURLY)
    assert result.cost_terms["energy"] == pytest.approx(-2 * 24 * 0.06)
    (shortfall,) = result.shortfalls
    assert (shortfall.en, shortfall.amount) == ("electricity with nowhere to go", pytest.approx(24.0))


def test_sun_reaches_another_meter_by_settlement_and_pays_the_network() -> None:
    """10 kW leave one meter, 6 are used behind another: bought at 0.15 + 0.05, or shared and only 0.05 paid.

    With sharing the 6 kWh spare 0.15 each and do not earn the 0.04 of export: 0.11 x 6 an hour less.
    """
    roof = BaseLoad(name="roof/load", supply="roof/meter", use="home", yearly_kwh=1)
    terms = {"prices": [0.15], "export": 0.04}
    expected = forecasts(house__load__power_kw=6.0, roof__load__power_kw=-10.0)

    def cost(shares_in: str | None) -> dict[str, float]:
        meters = (supply(shares_in=shares_in), supply(name="roof/meter", prm="30000000000002", shares_in=shares_in))
        here = district(*meters, LOAD, roof, **terms)  # type: ignore[arg-type]
        period = here.contracts["test"].periods
        dear = {n: p.model_copy(update={"network_per_kwh": 0.05}) for n, p in period.items()}
        contracts = {"test": here.contracts["test"].model_copy(update={"periods": dear})}
        return plan(replace(here, contracts=contracts), snapshot(), expected, HOURLY).cost_terms

    alone, together = cost(None), cost("smart-sun")
    assert alone["energy"] == pytest.approx(24 * (6 * 0.15 - 10 * 0.04))
    assert alone["energy"] - together["energy"] == pytest.approx(24 * 6 * 0.11)
    assert together["network"] == pytest.approx(24 * 6 * 0.05) == alone["network"]


BATTERY = Battery(
    name="house/cellar", supply="house/meter", capacity_kwh=100, charge_limit_kw=100, discharge_limit_kw=100,
    one_way_efficiency=1.0, minimum_share=0, maximum_share=1, wear_per_kwh=0,
)  # fmt: skip


def test_a_price_on_ramps_keeps_import_level() -> None:
    """10 kW in one hour in 24, else none: 10 up and 10 down cost 20 x 0.50; a battery of 10 kWh spares them."""
    here = district(supply(ramp_price_per_kw=0.5), LOAD, prices=[0.2])
    load = [0.0] * 12 + [10.0] + [0.0] * 11
    bare = plan(here, snapshot(), forecasts(house__load__power_kw=load), HOURLY)
    assert bare.cost_terms["ramping"] == pytest.approx(10.0)
    stored = plan(
        district(supply(ramp_price_per_kw=0.5), LOAD, BATTERY, prices=[0.2]),
        snapshot(house__cellar__stored_kwh=50.0), forecasts(house__load__power_kw=load), HOURLY,
    )  # fmt: skip
    assert stored.cost_terms["ramping"] == pytest.approx(0.0, abs=1e-6)


def test_a_price_on_the_load_factor_is_for_the_peak_above_the_mean() -> None:
    """24 kW in one hour are 1 kW in the mean: 23 kW above it, at 0.30 a day."""
    here = district(supply(uneven_price_per_kw=0.3), LOAD, prices=[0.2])
    load = [0.0] * 12 + [24.0] + [0.0] * 11
    result = plan(here, snapshot(), forecasts(house__load__power_kw=load), HOURLY)
    assert result.cost_terms["peak"] == pytest.approx(23 * 0.3)


def test_within_what_the_forecast_may_err_by_a_kwh_costs_the_exceedance_times_its_chance() -> None:
    """12 kW subscribed, 11 expected, once in ten times 14: 2 of the 3 kW of margin are entered, 24 h at 1.5 x 0.3.

    A second load whose forecast is sure adds nothing to the margin: sqrt(3^2 + 0^2) = 3.
    """
    meter = supply(subscribed_kw=12.0)
    loads = [BaseLoad(name=f"house/{n}", supply="house/meter", use="home", yearly_kwh=1) for n in ("load", "sure")]
    here = district(meter, *loads, exceedance=1.5)
    expected = forecasts(house__load__power_kw=6.0, house__sure__power_kw=5.0)
    point = "house/load/power_kw"
    expected[point] = replace(expected[point], high=np.full(24, 9.0))
    result = plan(here, snapshot(), expected, HOURLY)
    assert result.cost_terms["margins"] == pytest.approx(24 * 2 * 1.5 * 0.3)
    assert result.cost_terms["exceedance"] == pytest.approx(0.0)
    assert result.shortfalls == ()
