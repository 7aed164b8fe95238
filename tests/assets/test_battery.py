"""A battery in the plan, with numbers one can reckon by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ems.assets import BaseLoad, Battery
from ems.assets.battery import next_energy_kwh
from ems.optimise import Plan, plan
from tests.optimise.small import HOURLY, district, forecasts, snapshot, supply

PRICES = [0.10] * 4 + [0.40] * 4 + [0.20] * 16


def planned(*, wear: float = 0.0, stored: float = 0.0, prices: list[float] = PRICES, limit: float = 10.0) -> Plan:
    battery = Battery(
        name="house/cellar", supply="house/meter", capacity_kwh=10, charge_limit_kw=limit, discharge_limit_kw=limit,
        one_way_efficiency=0.9, minimum_share=0, maximum_share=1, wear_per_kwh=wear,
    )  # fmt: skip
    load = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1)
    here = district(supply(), battery, load, prices=prices)
    return plan(here, snapshot(house__cellar__stored_kwh=stored), forecasts(house__load__power_kw=5.0), HOURLY)


def test_the_law_takes_numbers_and_arrays() -> None:
    assert next_energy_kwh(5.0, 10.0, 0.0, 0.9, 0.5) == pytest.approx(9.5)
    assert next_energy_kwh(np.array([5.0]), np.array([0.0]), np.array([9.0]), 0.9, 0.5) == pytest.approx([0.0])


def test_buys_cheap_and_serves_the_dear_hours() -> None:
    """By hand: 10 kWh stored cost 10 / 0.9 kWh at 0.10; 9 kWh come back at 0.40 in place of purchase."""
    result = planned()
    assert result.flow("house/cellar", "charge_kw")[:4].sum() == pytest.approx(10 / 0.9, abs=1e-4)
    assert result.flow("house/cellar", "discharge_kw")[4:8].sum() == pytest.approx(9.0, abs=1e-4)
    base = 5 * sum(PRICES)
    # what is left at the end was bought at 0.20 or is worth less than that: compare until then
    bought = result.flow("house/meter", "import_kw")[:8] @ np.array(PRICES[:8])
    assert bought == pytest.approx(5 * sum(PRICES[:8]) + 10 / 0.9 * 0.10 - 9 * 0.40, abs=1e-3)
    assert result.cost_terms["energy"] <= base


def test_does_not_move_for_less_than_its_wear() -> None:
    """Buying at 0.10 and giving back at 0.40 gains 0.40 - 0.10 / 0.81 = 0.277 a kWh: less than a wear of 0.30."""
    assert planned(wear=0.30).flow("house/cellar", "power_kw") == pytest.approx(np.zeros(24), abs=1e-6)


def test_a_flat_price_leaves_it_alone_and_does_not_empty_it() -> None:
    result = planned(stored=6.0, prices=[0.2])
    assert result.state("house/cellar", "energy_kwh") == pytest.approx(np.full(25, 6.0), abs=1e-6)


def test_set_point_is_the_first_power_with_a_reason_in_both_languages() -> None:
    (setpoint,) = planned(limit=2.0).setpoints
    assert setpoint.point == "house/cellar/power_setpoint_kw"
    assert setpoint.value == pytest.approx(2.0)
    assert (
        setpoint.reason == "charge à 0,100 €/kWh, avant 0,400 plus tard | charges at 0.100 EUR/kWh, before 0.400 later"
    )


def test_more_than_it_can_hold_is_clipped_and_noted() -> None:
    result = planned(stored=14.0)
    assert result.state("house/cellar", "energy_kwh")[0] == pytest.approx(10.0)
    assert any("house/cellar/stored_kwh is 14" in note for note in result.notes)
