"""Hot water: layers, draws, recirculation and hygiene."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.assets import Tank
from ems.simulate.plant.tanks import LAYERS, Tanks, useful_litres_at_tap

TANK = Tank(
    name="court/tank", plant="p", supply="s", volume_m3=3, charge_limit_kw=70, recirculation_loss_kw=3,
    standing_loss_kw=0.3, heater_kw=10, daily_draw_m3=4.5,
)  # fmt: skip


def tanks() -> Tanks:
    return Tanks([TANK], ("p",), np.ones((1, 1)), [False], seed=0)


def draw(it: Tanks, litres_per_minute: float) -> None:
    """The same tap for the whole day."""
    it._tapped_l[:] = litres_per_minute
    it._wanted_kw = it._tapped_l / 1000 * 1.163 * 60 * it._lift


def test_useful_litres_by_hand() -> None:
    # 4.5 m3 at 60 degC over cold water of 15 make 4.5 x 45 / 25 = 8.1 m3 at 40 degC.
    assert useful_litres_at_tap(TANK) == pytest.approx(8.1)


@settings(max_examples=20, deadline=None)
@given(
    litres=st.floats(0, 60),
    hot=st.floats(40, 75),
    charge=st.booleans(),
    pasteurise=st.booleans(),
    top=st.floats(30, 65),
)
def test_every_kwh_is_accounted_for(litres: float, hot: float, charge: bool, pasteurise: bool, top: float) -> None:
    it = tanks()
    it.layers_c[:] = np.linspace(top, 20.0, LAYERS)
    it.charge_on[:], it.pasteurise[:] = charge, pasteurise
    draw(it, litres)
    before = it.stored_kwh()
    for minute in range(300):
        it.step(minute, np.array([hot]))
    booked = it.charge_kwh + it.heater_kwh - it.draw_kwh - it.riser_loss_kwh - it.standing_kwh
    assert it.stored_kwh() - before == pytest.approx(booked, rel=1e-6, abs=1e-6)
    assert (it.layers_c > 5).all() and (it.layers_c < 76).all()


def test_a_drawn_tank_stays_hot_above_and_turns_cold_below() -> None:
    it = tanks()
    it.charge_on[:] = 0
    it.layers_c[:] = 60.0
    draw(it, 20.0)
    for minute in range(60):
        it.step(minute, np.array([60.0]))
    assert it.layers_c[0, 0] > 58
    assert it.layers_c[0, -1] < 35
    assert (np.diff(it.layers_c[0]) <= 0.5).all()


def test_charges_when_it_cools_and_stops_when_full_unless_forbidden() -> None:
    it = tanks()
    it.layers_c[:] = 50.0
    draw(it, 0.0)
    minutes = 0
    it.step(0, np.array([66.0]))
    while it.charging[0] and minutes < 600:
        minutes += 1
        it.step(minutes, np.array([66.0]))
    # By hand: 3 m3 from 50 to 62 degC take 42 kWh, at most 70 kW: more than half an hour.
    assert 30 < minutes < 180
    assert it.layers_c[0, 4] > 57
    it.layers_c[:] = 50.0
    it.charge_on[:] = 0
    it.step(0, np.array([66.0]))
    assert it.charge_kw[0] == 0


def test_a_cold_plant_does_not_cool_a_tank() -> None:
    it = tanks()
    it.layers_c[:] = 56.0
    draw(it, 0.0)
    it.step(0, np.array([50.0]))
    assert it.charging[0]
    assert it.charge_kw[0] == 0


def test_the_return_stays_above_50_in_service() -> None:
    it = tanks()
    it.layers_c[:] = 60.0
    draw(it, 5.6)  # a usual day's 8.1 m3
    for minute in range(1440):
        it.step(minute, np.array([66.0]))
    assert it.return_cool_minutes[0] == 0
    assert it.unmet_kwh[0] == pytest.approx(0, abs=1e-6)
    assert it.mixed_c()[0] < 50


def test_a_tank_that_is_forgotten_leaves_people_cold_and_its_heater_helps() -> None:
    it = tanks()
    it.charge_on[:] = 0
    it.layers_c[:] = 55.0
    draw(it, 12.0)
    for minute in range(1200):
        it.step(minute, np.array([66.0]))
    assert it.heating[0]
    assert it.unmet_kwh[0] > 1
    assert it.cool_minutes[0] > 60


def test_pasteurisation_heats_above_sixty() -> None:
    it = tanks()
    it.layers_c[:] = 58.0
    it.pasteurise[:] = 1
    draw(it, 0.0)
    for minute in range(240):
        it.step(minute, np.array([72.0]))
    assert it.layers_c[0].min() > 60
