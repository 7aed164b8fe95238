"""A battery in the plan, with numbers one can reckon by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from ems.assets import BaseLoad, Battery
from ems.assets.battery import followed_kw, next_energy_kwh
from ems.optimise import Plan, plan
from ems.optimise.plan import outlook_of
from ems.slots import Slots
from ems.snapshot import Override
from tests.optimise.small import HOURLY, MIDNIGHT, district, forecasts, snapshot, supply

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


@pytest.mark.parametrize(
    ("bought", "planned_kw", "rest", "price", "wanted"),
    [
        (0.0, 4.0, -6.5, 0.30, 6.5),  # all of a surplus was to be taken up: what there really is
        (0.0, -4.0, 2.5, 0.30, -2.5),  # a purchase was to be spared: what is really bought
        (3.0, 2.0, 1.0, 0.30, 2.0),  # filled from the grid, as planned
        (3.0, 2.0, -5.0, 0.30, 5.0),  # the sun shines after all
        (3.0, -4.0, 1.0, 0.30, -1.0),  # never sold by mistake
        (-6.0, 0.0, -6.0, 0.30, 6.0),  # left over, and worth 0.9 x 0.30 later
        (-6.0, 0.0, -6.0, 0.05, 0.0),  # left over, and worth no more than its sale at 0.06
        (-6.0, 3.0, 2.0, 0.05, 0.0),  # what was to be taken up is not there
        (-2.0, -4.0, 1.0, 0.30, -4.0),  # sold, as planned
        (0.0, 4.0, -60.0, 0.30, 10.0),  # its own limit
        (0.0, -4.0, 60.0, 0.30, -9.0),  # it holds 2.5 kWh: 9 kW for a quarter of an hour after losses
    ],
)
def test_its_power_follows_what_its_meter_really_shows(
    bought: float, planned_kw: float, rest: float, price: float, wanted: float
) -> None:
    battery = Battery(
        name="house/cellar", supply="house/meter", capacity_kwh=10, charge_limit_kw=10, discharge_limit_kw=10,
        one_way_efficiency=0.9, minimum_share=0, maximum_share=1, wear_per_kwh=0.0,
    )  # fmt: skip
    own = 1.0
    seen = snapshot(house__cellar__stored_kwh=2.5, house__cellar__power_kw=own, house__meter__power_kw=rest + own)
    slots = Slots(MIDNIGHT, 4)
    here = district(supply(), battery, prices=[price])
    outlook = outlook_of(here, seen, {}, slots)
    tariff = replace(outlook.tariffs["house/meter"], export_per_kwh=np.full(4, 0.06))
    flows = {
        "house/cellar/power_kw": np.full(4, planned_kw),
        "house/meter/import_kw": np.full(4, max(bought, 0.0)),
        "house/meter/export_kw": np.full(4, max(-bought, 0.0)),
    }
    draft = Plan(slots, MIDNIGHT, "optimal", flows, {}, {})
    found = followed_kw(draft, "house/cellar", battery, replace(outlook, tariffs={"house/meter": tariff}))
    assert found == pytest.approx(wanted)


def test_without_a_meter_the_plan_is_followed() -> None:
    assert planned(limit=2.0).setpoints[0].value == pytest.approx(2.0)


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


def held_at(power_kw: float, stored: float) -> Plan:
    battery = Battery(
        name="house/cellar", supply="house/meter", capacity_kwh=10, charge_limit_kw=10, discharge_limit_kw=10,
        one_way_efficiency=1.0, minimum_share=0, maximum_share=1, wear_per_kwh=0,
    )  # fmt: skip
    load = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1)
    point = "house/cellar/power_setpoint_kw"
    known = snapshot(house__cellar__stored_kwh=stored)
    known = replace(known, overrides={point: Override(point, power_kw, "anne", "test", MIDNIGHT + timedelta(hours=3))})
    return plan(district(supply(), battery, load, prices=PRICES), known, forecasts(house__load__power_kw=5.0), HOURLY)


def test_a_power_that_somebody_holds_is_planned_with() -> None:
    """Held at rest for three of the four cheap hours, it fills in the fourth; held at -2 kW it gives that much."""
    assert held_at(0.0, 0.0).flow("house/cellar", "power_kw")[:4] == pytest.approx([0, 0, 0, 10])
    assert held_at(-2.0, 8.0).flow("house/cellar", "power_kw")[:4] == pytest.approx([-2, -2, -2, 8])


def test_what_is_held_ends_where_the_battery_does() -> None:
    """4 kW for three hours into 6 kWh of room: 4, 2, and nothing more."""
    power = held_at(4.0, 4.0).flow("house/cellar", "power_kw")
    assert power[:3].sum() == pytest.approx(6.0) and power[:3].max() <= 4.0 + 1e-9
