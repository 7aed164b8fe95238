"""Rooms of two flats and an office, small enough to reckon by hand."""

import numpy as np
import pytest

from ems.assets import Dwelling, Fabric, Opening, Substation, Zone
from ems.simulate.plant.rooms import Rooms

FABRIC = Fabric(
    loss_w_per_k_m2=1, light_wh_per_k_m2=14, mass_wh_per_k_m2=50, coupling_w_per_k_m2=6, solar_aperture_share=0.03,
    gains_w_per_m2=3, heating_w_per_m2=40, cooling_w_per_m2=60,
)  # fmt: skip


def flat(number: int, floor: int) -> Dwelling:
    return Dwelling(
        name=f"court/flat-{number}", floor=floor, surface_m2=60, rooms=3, orientation="south", prm=f"{number:014}",
        substation="court/substation", fabric=FABRIC,
    )  # fmt: skip


def rooms(seed: int = 0) -> Rooms:
    substation = Substation(name="court/substation", plant="p", supply="s", heat_limit_kw=100, cold_limit_kw=100)
    office = Zone(
        name="court/office", use="offices", surface_m2=500, substation="court/substation", fabric=FABRIC,
        opening=Opening(days=(1,), from_hour=8, until_hour=18),
    )  # fmt: skip
    return Rooms([flat(1, 1), flat(2, 2)], [office], [substation], seed)


def run(
    it: Rooms,
    minutes: int,
    outdoor_c: float = 5.0,
    gains_kw: tuple[float, float, float] = (0.2, 0.2, 0.2),
    *,
    pump: bool = True,
) -> None:
    sun, air, supply, cold = np.full(3, 0.1), np.ones(3), np.array([40.0]), np.array([8.0])
    gains, heating, cooling = np.array(gains_kw), np.full(3, 20.0), np.array([26.0])
    for _ in range(minutes):
        it.step(outdoor_c, gains, sun, air, supply, np.array([pump]), cold, heating, cooling)


def test_true_figures_lie_within_30_percent_of_design_and_differ_by_seed() -> None:
    for seed in range(5):
        loss = rooms(seed).loss_kw_per_k / np.array([0.06, 0.06, 0.5])
        assert ((loss > 0.7) & (loss < 1.3)).all()
    assert (rooms(0).loss_kw_per_k != rooms(1).loss_kw_per_k).all()


def test_a_thermostat_keeps_its_room_near_the_set_point() -> None:
    it = rooms()
    run(it, 48 * 60)
    # Within half of the valve's band and the sensor's bias.
    assert np.abs(it.light_c + it.bias_k - 20).max() < 0.6


def test_without_pump_a_room_settles_where_gains_meet_losses() -> None:
    it = rooms()
    for temperature in (it.light_c, it.mass_c, it.emitter_c):
        temperature[:] = 9.0
    run(it, 15 * 24 * 60, pump=False)
    total = (it.loss_kw_per_k * (it.light_c - 5.0)).sum()
    assert total == pytest.approx(3 * 0.3, rel=0.02)  # neighbours only pass it on


def test_heat_flows_from_the_warmer_flat_to_the_colder_and_none_is_lost() -> None:
    it = rooms()
    it.mass_c[0] += 3
    run(it, 1, pump=False)
    assert it.neighbour_kw[0] > 0 > it.neighbour_kw[1]
    assert it.neighbour_kw.sum() == pytest.approx(0, abs=1e-12)


def test_a_floor_warms_its_room_only_after_a_while() -> None:
    it = rooms()
    before = it.light_c[0]
    run(it, 5)
    assert it.heat_kw[0] > 1
    assert it.light_c[0] - before < 0.2


def test_every_kwh_is_accounted_for() -> None:
    it = rooms()
    it.window[0] = 1.0
    before = it.stored_kwh()
    run(it, 24 * 60, outdoor_c=28.0, gains_kw=(0.5, 0.5, 30.0))
    change = it.stored_kwh() - before
    booked = it.heat_kwh + it.gain_kwh - it.loss_kwh - it.neighbour_kwh
    booked[2] -= it.cold_kwh[0]
    assert it.cold_kwh[0] > 10
    assert change == pytest.approx(booked, rel=1e-6, abs=1e-6)


def test_a_substation_cannot_give_more_than_its_limit() -> None:
    it = rooms()
    it.heat_limit_kw[:] = 2.0
    run(it, 1)
    assert it.substation_heat_kw[0] == pytest.approx(2.0)


def test_windows_open_in_warm_rooms_and_shut_in_cool_ones() -> None:
    it = rooms()
    here, nobody_airs = np.array([True, True]), np.array([False, False])
    it.light_c[:2] = [28.0, 20.0]
    it.move_windows(np.array([0.1, 0.1]), here, nobody_airs, 20.0)
    assert it.window.tolist() == [1, 0, 0]
    it.light_c[0] = 21.0
    it.move_windows(np.array([0.9, 0.9]), here, nobody_airs, 20.0)
    assert it.window.tolist() == [0, 0, 0]
