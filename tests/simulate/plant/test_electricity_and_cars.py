"""Batteries, arrays, charge points, bicycles and the loop, one by one."""

import numpy as np
import pytest

from ems.assets import Battery, ChargePoint, Feeder, Loop, Photovoltaic
from ems.simulate.plant.cars import (
    CHARGING,
    FREE,
    FULL,
    TWO_WAY_CAR_KWH,
    TWO_WAY_EFFICIENCY,
    TWO_WAY_RESERVE_SHARE,
    WAITING,
    ChargePoints,
    Stay,
)
from ems.simulate.plant.electricity import Arrays, Batteries
from ems.simulate.plant.loop import TemperedLoop

FEEDER = Feeder(name="park/feeder", supply="s", limit_kw=12)


def batteries() -> Batteries:
    it = Batteries([Battery(name="b", supply="s", capacity_kwh=100, charge_limit_kw=50, discharge_limit_kw=40)], 0)
    it.capacity_kwh[:], it.efficiency[:] = 100, 0.9
    it.minimum_kwh[:], it.maximum_kwh[:], it.stored_kwh[:] = 10, 90, 50
    return it


def test_a_battery_loses_on_both_ways() -> None:
    it = batteries()
    it.setpoint_kw[:] = 30
    for _ in range(60):
        it.step()
    assert it.stored_kwh[0] == pytest.approx(50 + 27)
    it.setpoint_kw[:] = -27
    for _ in range(60):
        it.step()
    assert it.stored_kwh[0] == pytest.approx(77 - 30)
    assert it.loss_kwh[0] == pytest.approx(3 + 3)


def test_a_battery_keeps_its_limits_and_rests_at_zero() -> None:
    it = batteries()
    it.setpoint_kw[:] = 300
    it.step()
    assert it.power_kw[0] == 50
    for _ in range(300):
        it.step()
    assert it.stored_kwh[0] == pytest.approx(90)
    assert it.power_kw[0] == pytest.approx(0, abs=1e-9)
    it.setpoint_kw[:] = 0
    it.step()
    assert it.stored_kwh[0] == pytest.approx(90)


def test_an_array_gives_what_its_limit_allows() -> None:
    it = Arrays([Photovoltaic(name="roof", supply="s", peak_kw=40, tilt_deg=10, azimuth_deg=180)], 0)
    it.possible_kw[:] = 30.0
    it.step(0)
    assert it.power_kw[0] == -30
    it.limit_share[:] = 0.5
    it.step(1)
    assert it.power_kw[0] == -20
    assert it.curtailed_kwh[0] == pytest.approx(10 / 60)


def points(*stays: Stay, count: int = 2) -> ChargePoints:
    sockets = [ChargePoint(name=f"park/point-{k}", feeder="park/feeder", phases=1) for k in range(count)]
    it = ChargePoints(sockets, [FEEDER], 0)
    it._coming = list(stays)
    return it


def stay(point: int = 0, *, arrives: int = 0, leaves: int = 600, kwh: float = 5.0, sleeps: bool = False) -> Stay:
    return Stay(point, arrives, leaves, leaves, kwh, 32.0, sleeps)


def test_a_car_charges_at_the_fail_safe_current_by_itself() -> None:
    it = points(stay(kwh=20.0))
    for minute in range(60):
        it.step(minute)
    # 10 A x 230 V for an hour.
    assert it.session_kwh[0] == pytest.approx(2.3)
    assert it.state().tolist() == [CHARGING, FREE]


def test_a_limit_below_six_ampere_is_a_pause_and_some_cars_sleep_through_the_rest() -> None:
    it = points(stay(0, kwh=20), stay(1, kwh=20, sleeps=True))
    it.step(0)
    it.limit_a[:] = 0
    for minute in range(1, 20):
        it.step(minute)
    assert it.power_kw.tolist() == [0, 0]
    assert it.state().tolist() == [WAITING, WAITING]
    it.limit_a[:] = 16
    it.step(20)
    assert it.power_kw[0] > 3
    assert it.power_kw[1] == 0


def test_a_full_car_says_so_and_one_that_leaves_early_misses_something() -> None:
    it = points(stay(0, kwh=1.0), stay(1, kwh=30.0, leaves=30))
    for minute in range(120):
        it.step(minute)
    assert it.state().tolist() == [FULL, FREE]
    assert it.session_kwh[0] == pytest.approx(1.0)
    assert it.missing_kwh[1] == pytest.approx(30 - 2.3 / 2, abs=0.1)
    assert it.not_ready == 1


def test_the_feeder_shares_when_everybody_wants_all() -> None:
    it = points(*(stay(k, kwh=40) for k in range(4)), count=4)
    it.limit_a[:] = 32
    it.step(0)
    assert it.power_kw.sum() == pytest.approx(12.0)


def test_the_loop_floats_with_the_sea_and_books_every_kwh() -> None:
    loop = TemperedLoop(
        Loop(
            name="l",
            supply="s",
            volume_m3=180,
            heat_limit_kw=2500,
            cold_limit_kw=2800,
            exchanger_kw_per_k=1100,
            pump_kw=90,
        ),
        16.0,
    )
    before = loop.stored_kwh()
    for _ in range(24 * 60):
        loop.step(13.0, 800.0, 800.0)
    # 800 kW out of the loop come from a sea of 13 degC over an approach of 1-3 K.
    assert 10.0 < loop.temperature_c < 12.5
    assert loop.sea_kw == pytest.approx(800, rel=0.05)
    assert loop.stored_kwh() - before == pytest.approx(loop.sea_kwh + loop.ground_kwh - loop.plants_kwh)
    for _ in range(48 * 60):
        loop.step(24.0, -800.0, 800.0)
    assert 24.5 < loop.temperature_c < 27
    assert np.isfinite(loop.flow_m3_per_h())


def test_a_car_that_may_gives_back_down_to_its_own_reserve() -> None:
    """16 A x 230 V for an hour are 3.68 kWh at the socket, and 3.68 / 0.86 less in the battery."""
    socket = ChargePoint(name="park/point-0", feeder="park/feeder", phases=1, give_back_current_a=16)
    it = ChargePoints([socket], [FEEDER], 0)
    it._coming = [stay(kwh=10.0, leaves=6000)]
    it.limit_a[:], it.give_a[:] = 0.0, 16.0
    it.step(0)
    before = it.stored_kwh[0]
    for minute in range(1, 61):
        it.step(minute)
    assert it.power_kw[0] == pytest.approx(-3.68)
    assert before - it.stored_kwh[0] == pytest.approx(3.68 / TWO_WAY_EFFICIENCY)
    assert it.session_kwh[0] == 0.0
    for minute in range(61, 3000):
        it.step(minute)
    assert it.stored_kwh[0] == pytest.approx(TWO_WAY_RESERVE_SHARE * TWO_WAY_CAR_KWH)
    # What it gave it needs again: 0.8 of its battery at departure.
    assert it.needed_kwh[0] == pytest.approx(0.6 * TWO_WAY_CAR_KWH)


def test_an_ordinary_socket_gives_nothing_back() -> None:
    it = points(stay(kwh=10.0))
    it.give_a[:] = 16.0
    it.step(0)
    assert it.power_kw[0] > 0
