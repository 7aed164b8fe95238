"""What a scenario does to the plant and its weather really happens there, and ends when it should."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ems.district import District
from ems.market import prices
from ems.simulate.scenario import Scenario, ScenarioError
from ems.slots import Slots
from ems.study.conditions import ShiftedWeather, StagedWorld, with_periods

START = datetime(2026, 1, 13, 5, tzinfo=UTC)
H = timedelta(hours=1)


def scenario(**more: object) -> Scenario:
    return Scenario.model_validate({"name": "x", "start": START, "days": 1, **more})


def test_a_plant_that_is_out_stands_still_says_so_and_comes_back(small: District) -> None:
    out = {"plant": "plant-c/heat-pumps", "begins": START + H, "ends": START + 2 * H}
    world = StagedWorld(small, scenario(plants_out=[out]), seed=1)
    fault, power = (world.index[f"plant-c/heat-pumps/{q}"] for q in ("fault_on", "compressors_count"))
    world.advance(START + 0.9 * H)
    assert world.values[fault] == 0
    world.advance(START + 1.5 * H)
    world.command("plant-c/heat-pumps/enable_on", 1.0)  # whatever it is told
    world.advance(START + 1.9 * H)
    assert world.values[fault] == 1
    assert world.values[power] == 0
    world.advance(START + 3 * H)
    assert world.values[fault] == 0
    assert world.values[power] >= 1  # after an hour without, everything calls


def test_a_plant_with_half_its_capacity_makes_no_more(small: District) -> None:
    out = {"plant": "plant-c/heat-pumps", "begins": START, "capacity_share": 0.5}
    world = StagedWorld(small, scenario(plants_out=[out]), seed=1)
    world.advance(START + H)
    assert sum(c.load for c in world.physics.plants[0].circuits) <= 0.5 * 2 + 1e-9
    assert world.values[world.index["plant-c/heat-pumps/fault_on"]] == 0


def test_an_unknown_plant_is_refused(small: District) -> None:
    with pytest.raises(ScenarioError, match="plant-b/heat-pumps is no plant of this district; there are plant-c"):
        StagedWorld(small, scenario(plants_out=[{"plant": "plant-b/heat-pumps", "begins": START}]), seed=1)


def test_a_share_of_residents_turns_up_and_back(small: District) -> None:
    turned = {"begins": START + H, "ends": START + 2 * H, "share": 0.5, "change_k": 2}
    world = StagedWorld(small, scenario(thermostats=[turned]), seed=1)
    plain = StagedWorld(small, scenario(), seed=1)
    for at, changed in ((0.9, 0), (1.5, 25), (2.5, 0)):
        world.advance(START + at * H)
        plain.advance(START + at * H)
        differ = np.abs(world.asked_c - plain.asked_c) > 0.4
        assert differ.sum() == pytest.approx(changed, abs=4)  # some stood at their limit, some turned it themselves


def test_shifted_weather_comes_evenly_and_is_forecast_as_far_as_foreseen(small: District) -> None:
    shift = {"begins": START, "outdoor_k": 6, "seawater_k": -4, "over_hours": 4, "foreseen_share": 0.5}
    moved = ShiftedWeather.under(scenario(weather=[shift]), small, 1)
    plain = ShiftedWeather.under(scenario(), small, 1)
    change = moved.minutes(START, 600).outdoor_c - plain.minutes(START, 600).outdoor_c
    assert change[0] == pytest.approx(0)
    assert change[120] == pytest.approx(3)  # half of 6 K after half of 4 h
    assert change[-1] == pytest.approx(6)
    slots = Slots(START, 40)
    point = "station/loop/seawater_temperature_c"
    said = moved.forecast(START, slots)[point].median - plain.forecast(START, slots)[point].median
    assert said[-1] == pytest.approx(-2)


def test_a_cleared_sky_closes_its_irradiances(small: District) -> None:
    noon = datetime(2026, 5, 31, 10, tzinfo=UTC)
    weather = ShiftedWeather.under(scenario(weather=[{"begins": START, "clear_share": 1}]), small, 3)
    sky, clear = weather.minutes(noon, 60), weather.clear_sky(noon, 60)
    assert sky.ghi_w_per_m2 == pytest.approx(clear, rel=0.02)
    assert (sky.dni_w_per_m2 > 500).all()


def test_periods_of_a_scenario_come_first_on_their_dates_alone(small: District) -> None:
    red = {"windows": [{"from_hour": 6, "until_hour": 22, "dates": ["2026-01-14"]}], "energy_per_kwh": 0.55,
           "network_per_kwh": 0.06}  # fmt: skip
    district = with_periods(small, scenario(periods={"landlord-c4": {"RED": red}}))
    noons = Slots(datetime(2026, 1, 13, 11, tzinfo=UTC), 97)
    known = prices(district.contracts["landlord-c4"], noons)
    assert known.periods[0] == "HPH"
    assert known.periods[96] == "RED"
    assert known.import_per_kwh[96] == pytest.approx(0.61)
    with pytest.raises(ScenarioError, match="nobody is no contract"):
        with_periods(small, scenario(periods={"nobody": {"RED": red}}))
