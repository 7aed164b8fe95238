"""Rooms identified from measurements: what was put in comes out, a building is forecast better, drift shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ems.assets import Dwelling, Fabric, Tank
from ems.assets.tank import hot_energy_kwh, profile_c
from ems.district import District, read_district
from ems.estimate import learnt, observed, with_fabrics
from ems.estimate.fabric import (
    FIGURES,
    PRIOR_SHARE,
    Identified,
    Together,
    TooLittleError,
    ahead_error_k,
    drifted,
    identify,
    stepped,
    together,
)
from ems.estimate.tanks import SENSORS
from ems.series import Floats, History
from ems.simulate.plant import World
from ems.slots import Slots
from tests.optimise import small
from tests.small_district import copy_small_district

START = datetime(2026, 1, 10, tzinfo=UTC)
DAYS = 10
FABRIC = Fabric(
    loss_w_per_k_m2=1.0, light_wh_per_k_m2=15, mass_wh_per_k_m2=50, coupling_w_per_k_m2=6.5, solar_aperture_share=0.05,
    gains_w_per_m2=4, heating_w_per_m2=50,
)  # fmt: skip


def measured(factors: Floats, days: int = DAYS, seed: int = 1) -> Together:
    """Rooms of 1000 m2 that really are `factors` from their design, heated by a thermostat that turns down at night."""
    slots = Slots(START, days * 96)
    draw = np.random.default_rng(seed)
    hour = np.arange(slots.count) / 4 % 24
    outdoor = 7 + 5 * np.sin((hour - 9) / 24 * 2 * np.pi) + np.cumsum(draw.normal(0, 0.05, slots.count))
    irradiance = 500 * np.clip(np.sin((hour - 7) / 10 * np.pi), 0, None) * (hour > 7) * (hour < 17)
    irradiance *= np.repeat(draw.uniform(0.1, 1, days), 96)
    gains = np.where((hour > 8) & (hour < 19), 1.0, 0.2) * 4.0
    blank = np.zeros(slots.count)
    known = Together("house/station", 1000.0, FABRIC, slots, blank, blank, outdoor, irradiance, gains)
    step, into = stepped(known, factors)
    light, mass, temperature, heat = 19.0, 19.0, np.zeros(slots.count), np.zeros(slots.count)
    for t in range(slots.count):
        temperature[t] = light + draw.normal(0, 0.05)
        heat[t] = np.clip(25 * ((19.5 if 5 < hour[t] < 21 else 16.5) - light), 0, 50)
        sun = into["aperture_m2"] * irradiance[t] / 1000
        x = np.array([light, mass, outdoor[t], heat[t] + into["gains"] * gains[t] + sun / 2, sun / 2])
        light, mass = step @ x + draw.normal(0, [0.02, 0.002])
    return replace(known, temperature_c=temperature, heat_kw=heat)


def test_what_was_put_in_comes_out() -> None:
    """A third more loss, less coupling, more sun: found within 10 %, and as sure of it as it says."""
    truth = np.array([1.3, 1.15, 0.85, 0.9, 1.4, 1.0])
    found = identify(measured(truth), START)
    by_name = dict(zip(FIGURES, found.factors, strict=True))
    assert by_name["loss_w_per_k_m2"] == pytest.approx(1.3, rel=0.1)
    assert by_name["mass_wh_per_k_m2"] == pytest.approx(0.85, rel=0.15)
    assert by_name["solar_aperture_share"] == pytest.approx(1.4, rel=0.1)
    distance = np.abs(np.log(found.factors) - np.log(truth)) / np.array(found.spread)
    assert distance.max() < 4.0
    assert min(found.spread) < 0.05 and max(found.spread) <= PRIOR_SHARE
    assert found.error_k < 0.5 * found.design_error_k


def test_what_is_as_designed_stays_so() -> None:
    found = identify(measured(np.ones(len(FIGURES))), START)
    assert np.abs(np.log(found.factors)).max() < 0.15


def test_without_light_the_sun_keeps_its_design_value() -> None:
    """In the dark nothing is learnt of windows: the prior stands, and the spread says so."""
    dark = measured(np.array([1.3, 1.0, 1.0, 1.0, 1.0, 1.0]))
    dark = replace(dark, irradiance_w_per_m2=np.zeros(dark.slots.count))
    found = dict(zip(FIGURES, zip(*(lambda i: (i.factors, i.spread))(identify(dark, START)), strict=True), strict=True))
    factor, spread = found["solar_aperture_share"]
    assert factor == pytest.approx(1.0, abs=0.01)
    assert spread == pytest.approx(PRIOR_SHARE, rel=0.05)


def test_gaps_in_the_measurements_are_no_zeros() -> None:
    truth = np.array([1.3, 1.0, 1.0, 1.0, 1.0, 1.0])
    known = measured(truth)
    temperature, heat = known.temperature_c.copy(), known.heat_kw.copy()
    temperature[100:180], heat[400:440] = np.nan, np.nan
    found = identify(replace(known, temperature_c=temperature, heat_kw=heat), START)
    assert found.factors[0] == pytest.approx(1.3, rel=0.1)


def test_drift_shows_when_a_building_has_changed() -> None:
    """A facade renovated, or windows left open: what was identified no longer forecasts."""
    truth = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    found = identify(measured(truth), START)
    assert not drifted(found, measured(truth, seed=2))
    assert drifted(found, measured(truth * [1.8, 1, 1, 1, 1, 1], seed=2))


def test_too_little_is_refused() -> None:
    with pytest.raises(TooLittleError, match=r"house/station: 3\.0 days are measured; 5 are the least"):
        identify(measured(np.ones(len(FIGURES)), days=3), START)


def test_a_fabric_takes_the_factors_and_keeps_its_emitters() -> None:
    found = Identified("s", (1.2, 1.0, 2.0, 1.0, 0.5, 3.0), (0.1,) * 6, 0.1, 0.2, START)
    applied = found.applied(FABRIC)
    assert (applied.loss_w_per_k_m2, applied.mass_wh_per_k_m2) == (1.2, 100.0)
    assert (applied.heating_w_per_m2, applied.gains_w_per_m2) == (50, 4)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[District, History, World]:
    """Nine winter days of a part of the default district, as its sensors show them every quarter-hour."""
    district = read_district(copy_small_district(tmp_path_factory.mktemp("small")))
    world = World(district, start=START, seed=5)
    rows = []
    for k in range(9 * 96):
        shown = []
        for m in (5, 10, 15):
            world.advance(START + timedelta(minutes=15 * k + m))
            shown.append(world.values.copy())
        rows.append(np.mean(shown, axis=0))
    table = np.array(rows).T
    return district, History(Slots(START, 9 * 96), dict(zip(world.index, table, strict=True))), world


def test_a_simulated_building_is_forecast_better_on_days_that_were_not_learnt_from(
    simulated: tuple[District, History, World],
) -> None:
    district, history, _ = simulated
    name = "mistral/substation"
    first, last = 6 * 96, 3 * 96
    learning = History(Slots(START, first), {p: row[:first] for p, row in history.values.items()})
    unseen = History(Slots(history.slots.at(first), last), {p: row[first:] for p, row in history.values.items()})
    found = identify(together(district, name, learning), START)
    known = together(district, name, unseen)
    assert ahead_error_k(known, found.factors) < 0.7 * ahead_error_k(known, np.ones(len(FIGURES)))


def test_what_is_learnt_is_kept_while_it_fits(simulated: tuple[District, History, World]) -> None:
    district, history, _ = simulated
    name = "mistral/substation"
    found = learnt(district, name, history, None)
    assert found is not None
    assert learnt(district, name, history, found) is found
    changed = with_fabrics(district, {name: found})
    homes = [a for a in changed.assets.values() if isinstance(a, Dwelling)]
    assert len({h.fabric for h in homes}) == 1  # they can still be planned together
    assert homes[0].fabric.loss_w_per_k_m2 != next(iter(district.dwellings.values())).fabric.loss_w_per_k_m2


def test_walls_and_tanks_are_seen_better_than_by_their_sensors_alone(
    simulated: tuple[District, History, World],
) -> None:
    """Walls against the air beside them; a tank's hot energy against its true layers, within a tenth of its size."""
    district, history, world = simulated
    states, zones, tanks = observed(district, history), world.truth.zones, world.truth.tanks
    true = dict(zip(zones.names, zones.mass_c, strict=True))
    walls = {k.removesuffix("/mass_c"): v for k, v in states.items() if k.endswith("/mass_c")}
    assert len(walls) > 30
    error = np.array([v - true[n] for n, v in walls.items()])
    beside = np.array([history.values[f"{n}/temperature_c"][-1] - true[n] for n in walls])
    assert np.sqrt((error**2).mean()) < 0.6 * np.sqrt((beside**2).mean())
    for i, name in enumerate(tanks.names):
        tank = district.asset(name, Tank)
        held = hot_energy_kwh(tanks.layers_c[i], tank.kwh_per_k, tank.cold_water_c)
        assert abs(states[f"{name}/energy_kwh"] - min(held, tank.full_kwh)) < 0.12 * tank.full_kwh


def test_a_charge_that_is_not_read_is_not_taken_for_none() -> None:
    """Sensors that stand still for half a day, and a meter of the charge that is silent: the tank is as they say."""
    tank = Tank(
        name="house/tank", plant="house/pumps", supply="house/meter", volume_m3=3.0, charge_limit_kw=80.0,
        recirculation_loss_kw=4.0, standing_loss_kw=0.5, daily_draw_m3=3.0,
    )  # fmt: skip
    slots = Slots(START, 48)
    shown_c = (60.0, 55.0, 30.0)
    sensors = {tank.point(q): np.full(slots.count, c) for q, c in zip(SENSORS, shown_c, strict=True)}
    seen = hot_energy_kwh(profile_c(shown_c), tank.kwh_per_k, tank.cold_water_c)
    district = small.district(tank)
    never = observed(district, History(slots, sensors))
    assert never[tank.point("energy_kwh")] == pytest.approx(seen) and seen < tank.full_kwh
