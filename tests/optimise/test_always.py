"""A plan always exists: impossible inputs give shortfalls with names, ranked, and never an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ems.assets import BaseLoad, Battery, Plant, Supply
from ems.district import District, read_district
from ems.optimise import plan
from ems.points import Quality, Sample
from ems.slots import Slots
from tests.optimise import synthetic
from tests.optimise.small import HOURLY, district, forecasts, snapshot, supply

HALF_A_DAY = Slots(synthetic.WINTER, 12, minutes=60)


@pytest.fixture(scope="module")
def smartseille() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


def with_assets(district: District, **changes: dict[str, float]) -> District:
    """The district with some figures of every asset of a type changed."""
    assets = {
        n: a.model_copy(update=changes[type(a).__name__]) if type(a).__name__ in changes else a
        for n, a in district.assets.items()
    }
    return replace(district, assets=assets)


def test_physical_limit_below_the_base_load() -> None:
    """10 kW are asked for, 6 can come: 4 kW x 24 h are not served, and the plan says where."""
    load = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1)
    here = district(supply(subscribed_kw=6, physical_limit_kw=6), load)
    result = plan(here, snapshot(), forecasts(house__load__power_kw=10.0), HOURLY)
    (shortfall,) = result.shortfalls
    assert (shortfall.asset, shortfall.en, shortfall.unit) == ("house/meter", "electricity not served", "kWh")
    assert shortfall.amount == pytest.approx(96.0)
    assert shortfall.remedy_en == "raise the physical limit or shed load"


def test_above_the_subscribed_power_is_named_and_priced() -> None:
    load = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1)
    here = district(supply(subscribed_kw=6), load, exceedance=1.5)
    result = plan(here, snapshot(), forecasts(house__load__power_kw=10.0), HOURLY)
    assert result.cost_terms["exceedance"] == pytest.approx(4 * 24 * 1.5)
    assert [s.en for s in result.shortfalls] == ["above the subscribed power"]


def test_generation_with_nowhere_to_go_is_spilled() -> None:
    load = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1)
    here = district(supply(export_limit_kw=0), load)
    result = plan(here, snapshot(), forecasts(house__load__power_kw=-3.0), HOURLY)
    assert [s.en for s in result.shortfalls] == ["electricity with nowhere to go"]


def test_eight_kelvin_too_cold_and_no_plant(smartseille: District) -> None:
    known = synthetic.snapshot_of(smartseille, HALF_A_DAY, temperature_c=11.0)
    known = replace(known, out_of_service=frozenset(smartseille.of(Plant)))
    result = plan(smartseille, known, synthetic.forecasts_of(smartseille, HALF_A_DAY), HALF_A_DAY)
    cold = {s.asset for s in result.shortfalls if s.en == "too cold"}
    assert {"horizon", "jardins", "hotel"} <= {name.split("/")[0] for name in cold}
    assert sum(name in smartseille.dwellings for name in cold) > 300
    assert list(result.shortfalls) == sorted(result.shortfalls, key=lambda s: -s.cost)
    enabled = {s.point: s.value for s in result.setpoints if s.point.endswith("enable_on")}
    assert set(enabled.values()) == {0.0}


def test_tanks_and_loop_beyond_their_limits(smartseille: District) -> None:
    known = synthetic.snapshot_of(
        smartseille, HALF_A_DAY, top_temperature_c=95.0, middle_temperature_c=95.0, bottom_temperature_c=95.0,
        loop_c=40.0,
        stored_kwh=900.0,
    )  # fmt: skip
    result = plan(smartseille, known, synthetic.forecasts_of(smartseille, HALF_A_DAY), HALF_A_DAY)
    assert sum("planned from" in note for note in result.notes) == 7 + 1 + 2


def test_no_exchanger_and_no_subscription(smartseille: District) -> None:
    here = with_assets(
        smartseille,
        Loop={"heat_limit_kw": 0.001, "cold_limit_kw": 0.001},
        Supply={"subscribed_kw": 0.001, "physical_limit_kw": 0.001},
    )
    result = plan(here, synthetic.snapshot_of(here, HALF_A_DAY), synthetic.forecasts_of(here, HALF_A_DAY), HALF_A_DAY)
    unserved = {s.asset for s in result.shortfalls if s.en == "electricity not served"}
    assert {"quai-offices/tenant", "school/tenant"} <= unserved


def test_nothing_known_at_all_is_planned_on_named_stand_ins(smartseille: District) -> None:
    known = synthetic.snapshot_of(smartseille, HALF_A_DAY, sessions=0)
    blind = replace(known, samples={p: Sample(None, Quality.UNREACHABLE, known.at) for p in known.samples})
    result = plan(smartseille, blind, {}, HALF_A_DAY)
    assert any("parking/battery/stored_kwh is not known" in note for note in result.notes)
    assert any("has no forecast" in note for note in result.notes)
    assert len(result.setpoints) == sum(1 for p in smartseille.commanded if not p.endswith("heartbeat_count"))


def test_a_previous_plan_stands_in_for_a_silent_battery(smartseille: District) -> None:
    here, now = smartseille, HALF_A_DAY
    first = plan(here, synthetic.snapshot_of(here, now), synthetic.forecasts_of(here, now), now)
    later = Slots(now.at(1), 12, minutes=60)
    known = synthetic.snapshot_of(here, later)
    silent = replace(
        known, samples={**known.samples, "parking/battery/stored_kwh": Sample(None, Quality.STALE, known.at)}
    )
    second = plan(here, silent, synthetic.forecasts_of(here, later), later, first)
    assert second.state("parking/battery", "energy_kwh")[0] == pytest.approx(
        first.state("parking/battery", "energy_kwh")[1], abs=1e-6
    )
    assert any("the previous plan's" in note for note in second.notes)


def test_a_reference_that_does_not_exist_is_refused_before_any_solver_runs() -> None:
    battery = Battery(
        name="house/cellar", supply="house/nowhere", capacity_kwh=1, charge_limit_kw=1, discharge_limit_kw=1
    )
    with pytest.raises(ValueError, match="house/cellar: supply is 'house/nowhere'"):
        plan(district(supply(), battery), snapshot(), {}, HOURLY)


def test_forecasts_of_other_slots_are_refused() -> None:
    load = BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1)
    other = forecasts(Slots(HOURLY.start, 10, minutes=60), house__load__power_kw=1.0)
    with pytest.raises(ValueError, match="house/load/power_kw: forecast covers 10 slots"):
        plan(district(supply(), load), snapshot(), other, HOURLY)


def test_five_houses_with_a_battery_each() -> None:
    """A district built in Python, without a file or a wire: each house buys its own cheap hours."""
    houses: list[Supply | Battery | BaseLoad] = []
    known, expected = {}, {}
    for i in range(5):
        houses += [
            supply(name=f"house-{i}/meter", prm=f"3000000000000{i}", subscribed_kw=9, physical_limit_kw=12),
            Battery(
                name=f"house-{i}/cellar",
                supply=f"house-{i}/meter",
                capacity_kwh=8,
                charge_limit_kw=4,
                discharge_limit_kw=4,
            ),
            BaseLoad(name=f"house-{i}/load", supply=f"house-{i}/meter", use="home", yearly_kwh=4000),
        ]
        known[f"house-{i}__cellar__stored_kwh"] = 1.0
        expected[f"house-{i}__load__power_kw"] = 1.0 + 0.1 * i
    result = plan(district(*houses, prices=[0.1] * 6 + [0.4] * 18), snapshot(**known), forecasts(**expected), HOURLY)
    for i in range(5):
        power = result.flow(f"house-{i}/cellar", "power_kw")
        assert power[:6].sum() > 6 and power[6:].sum() < -5
    assert len(result.setpoints) == 5
    assert result.shortfalls == () and result.notes == ()
    assert np.isfinite(result.cost)
