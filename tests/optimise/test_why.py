"""Reasons: figures one can reckon by hand, and an ordinary Pyomo model that finds the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.reasons import measure
from ems.assets import BaseLoad, Battery, ChargePoint, Feeder, Photovoltaic
from ems.optimise import AT_LENGTH, Effort, Plan, Reason, plan
from ems.optimise.why.alone import at_once_kw
from ems.snapshot import Session
from tests.optimise.small import HOURLY, district, forecasts, snapshot, supply

CHEAP_NIGHT = [0.10] * 6 + [0.20] * 18
LOAD = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1)
BATTERY = Battery(
    name="house/cellar", supply="house/meter", capacity_kwh=10, charge_limit_kw=5, discharge_limit_kw=5,
    one_way_efficiency=1.0, minimum_share=0.0, maximum_share=1.0, wear_per_kwh=0.0,
)  # fmt: skip
FEEDER, CAR = Feeder(name="house/feeder", supply="house/meter", limit_kw=7), ChargePoint(
    name="house/point", feeder="house/feeder", phases=1, minimum_current_a=0,
)  # fmt: skip


def reasons(result: Plan, asset: str, against: str = "nothing") -> list[Reason]:
    return [r for r in result.reasons if r.asset == asset and r.against == against]


def test_a_battery_is_worth_what_it_buys_cheap_and_spares_dear() -> None:
    """10 kWh bought at 0.10 at night spare 10 at 0.20 by day: 1.00 EUR against resting, 10 in and 10 out."""
    known = snapshot(house__cellar__stored_kwh=0.0)
    expected = forecasts(house__load__power_kw=3.0)
    result = plan(district(supply(), LOAD, BATTERY, prices=CHEAP_NIGHT), known, expected, HOURLY, effort=AT_LENGTH)
    stored_kwh = float(result.state("house/cellar", "energy_kwh")[-1])
    (reason,) = reasons(result, "house/cellar")
    at_end = stored_kwh * (0.175 + 0.001 - 0.20)  # what is kept to the end spares the mean price instead
    assert reason.euro == pytest.approx(1.00 + at_end, abs=2e-3)
    assert "au lieu de rester au repos" in reason.fr and "instead of resting" in reason.en
    assert f"{reason.euro:.2f} EUR" in reason.en and f"{reason.euro:.2f}".replace(".", ",") in reason.fr


def test_a_car_that_waits_for_the_night_says_what_at_once_would_cost() -> None:
    """12 kWh at once (3.68 kW) cost 0.30; the cheap hours from the tenth on cost 0.10: 2.40 EUR less."""
    here = district(supply(), FEEDER, CAR, prices=[0.30] * 10 + [0.10] * 14)
    known = snapshot(sessions={"house/point": Session("house/point", 12.0, HOURLY.at(20))})
    result = plan(here, known, {}, HOURLY, effort=AT_LENGTH)
    (reason,) = reasons(result, "house/point")
    assert reason.euro == pytest.approx(12 * 0.20, abs=0.02)  # and a hair for charging sooner
    assert (reason.kwh, reason.kind) == (pytest.approx(24.0), "cars")
    assert reason.price_per_kwh == pytest.approx(0.10, abs=1e-3)


def test_carbon_is_told_beside_euro() -> None:
    """Sun from 10 to 12 o'clock is stored for the dear twelve hours after: 12 kWh less bought, at 0.05 kg each."""
    sun = Photovoltaic(name="house/roof", supply="house/meter", peak_kw=20, tilt_deg=10, azimuth_deg=180)
    battery = BATTERY.model_copy(update={"capacity_kwh": 20.0, "charge_limit_kw": 10.0})
    here = district(supply(), LOAD, sun, battery, prices=[0.2] * 12 + [0.3] * 12)
    priced = here.contracts["test"].model_copy(update={"carbon_kg_per_kwh": 0.05})
    power = np.where((np.arange(24) >= 10) & (np.arange(24) < 12), -11.0, 0.0)
    expected = forecasts(house__load__power_kw=1.0, house__roof__power_kw=power.tolist())
    result = plan(
        replace(here, contracts={"test": priced}), snapshot(house__cellar__stored_kwh=0.0), expected, HOURLY,
        effort=AT_LENGTH,
    )  # fmt: skip
    (reason,) = reasons(result, "house/cellar")
    assert reason.kg_co2 == pytest.approx(0.05 * 12, abs=0.01)
    assert "0.6 kg CO2 less" in reason.en and "0,6 kg CO2 de moins" in reason.fr


def test_what_binds_is_told_with_what_more_of_it_would_spare() -> None:
    """A battery of 10 kWh that is filled and emptied once: one kWh more would spare 0.10 EUR."""
    expected = forecasts(house__load__power_kw=3.0)
    here = district(supply(), LOAD, BATTERY, prices=CHEAP_NIGHT)
    result = plan(here, snapshot(house__cellar__stored_kwh=0.0), expected, HOURLY, effort=AT_LENGTH)
    (reason,) = reasons(result, "house/cellar")
    assert "what binds: its capacity (0.10 EUR for 1 kWh more room)" in reason.en
    assert "ce qui limite : sa capacité (0,10 € pour 1 kWh de marge)" in reason.fr


def test_a_change_of_plan_is_worth_something_against_the_plan_before() -> None:
    """The dear hours move: charging as planned before would cost 0.20 EUR a kWh more."""
    known = snapshot(sessions={"house/point": Session("house/point", 12.0, HOURLY.at(20))})
    before = plan(district(supply(), FEEDER, CAR, prices=[0.10] * 10 + [0.30] * 14), known, {}, HOURLY)
    after = plan(
        district(supply(), FEEDER, CAR, prices=[0.30] * 10 + [0.10] * 14), known, {}, HOURLY, before, effort=AT_LENGTH
    )
    (reason,) = reasons(after, "house/point", "previous")
    leaving = 0.002 * 24  # the price of leaving the plan before is paid by the new one
    assert reason.euro == pytest.approx(12 * 0.20 - leaving, abs=0.02)
    assert "since the previous plan" in reason.en and "depuis le plan précédent" in reason.fr


def test_nothing_is_told_that_no_effort_was_made_to_show() -> None:
    here = district(supply(), LOAD, BATTERY, prices=CHEAP_NIGHT)
    arguments = (here, snapshot(house__cellar__stored_kwh=0.0), forecasts(house__load__power_kw=3.0), HOURLY)
    assert plan(*arguments, effort=Effort(0, 10.0)).reasons == ()
    one = plan(*arguments, effort=Effort(1, 10.0))
    assert [r.asset for r in one.reasons] == ["house/cellar"] and "what binds" not in one.reasons[0].en
    assert one.explained == {"decisions": 1, "worthy": 1, "explained": 1, "resolves": 1}


def test_cars_left_alone_share_a_full_cable() -> None:
    """They ask for 4 and 6 kW of a cable of 8: four fifths each; then 0.8 and 6 fit, then what is left of 12 kWh."""
    found = at_once_kw(np.full((2, 3), 6.0), np.array([4.0, 12.0]), 1.0, 8.0)
    assert found.ravel() == pytest.approx([3.2, 0.8, 0.0, 4.8, 6.0, 1.2])


def test_an_ordinary_pyomo_model_agrees() -> None:
    """Twenty sentences of drawn districts; `benchmarks/reasons.py` has five hundred."""
    count = measure(20)
    assert count.wrong == []
    assert count.sampled == 20 and count.explained >= 0.9 * count.worthy > 0
