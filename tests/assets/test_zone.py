"""Rooms: the exact step, the band, occupancy by local time, groups of dwellings."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from ems.assets import Dwelling, Fabric, Opening
from ems.assets.zone import Step, next_temperatures_c, occupied, rooms
from ems.slots import Slots

FABRIC = Fabric(
    loss_w_per_k_m2=1.0, light_wh_per_k_m2=15, mass_wh_per_k_m2=50, coupling_w_per_k_m2=6.5, solar_aperture_share=0.03,
    gains_w_per_m2=3, heating_w_per_m2=40,
)  # fmt: skip


def test_a_room_at_outdoor_temperature_stays_there() -> None:
    step = Step.exact(FABRIC, 100, 0.25)
    assert next_temperatures_c(step.of, 12.0, 12.0, 12.0, 0.0, 0.0) == pytest.approx((12.0, 12.0))


def test_constant_heat_ends_at_loss_times_difference() -> None:
    """100 m2 lose 0.1 kW/K: 1 kW holds 10 K above outdoors."""
    step, light, mass = Step.exact(FABRIC, 100, 1.0), 0.0, 0.0
    for _ in range(2000):
        light, mass = next_temperatures_c(step.of, light, mass, 0.0, 1.0, 0.0)
    assert (light, mass) == pytest.approx((10.0, 10.0), abs=1e-3)


def test_four_quarters_are_an_hour() -> None:
    quarter, hour = Step.exact(FABRIC, 100, 0.25), Step.exact(FABRIC, 100, 1.0)
    state = (19.0, 20.0)
    for _ in range(4):
        state = next_temperatures_c(quarter.of, *state, 5.0, 2.0, 0.5)
    assert state == pytest.approx(next_temperatures_c(hour.of, 19.0, 20.0, 5.0, 2.0, 0.5))


def test_occupancy_follows_the_local_clock() -> None:
    """8 h in Paris is 7 h UTC in winter and 6 h in summer; Sunday is closed."""
    opening = Opening(days=(1, 2, 3, 4, 5, 6), from_hour=8, until_hour=19)
    winter = occupied(opening, Slots(datetime(2026, 1, 14, tzinfo=UTC), 24, 60), "Europe/Paris")
    summer = occupied(opening, Slots(datetime(2026, 7, 15, tzinfo=UTC), 24, 60), "Europe/Paris")
    sunday = occupied(opening, Slots(datetime(2026, 1, 18, tzinfo=UTC), 20, 60), "Europe/Paris")
    assert np.flatnonzero(winter).tolist() == list(range(7, 18))
    assert np.flatnonzero(summer).tolist() == list(range(6, 17))
    assert not sunday.any()


def test_dwellings_are_grouped_by_building_with_their_surfaces_summed() -> None:
    def flat(name: str, surface: float) -> Dwelling:
        return Dwelling(
            name=name, floor=1, surface_m2=surface, rooms=3, orientation="south", prm="30000000000001",
            substation=f"{name.split('/')[0]}/station", fabric=FABRIC,
        )  # fmt: skip

    flats = {n: flat(n, s) for n, s in {"a/one": 50, "a/two": 70, "b/one": 60}.items()}
    found = rooms(flats)
    assert {n: r.surface_m2 for n, r in found.items()} == {"a/homes": 120, "b/homes": 60}
    assert [m.name for m in found["a/homes"].members] == ["a/one", "a/two"]
