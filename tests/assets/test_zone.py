"""Rooms: the exact step, the band, occupancy by local time, groups of dwellings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from ems.assets import Dwelling, Fabric, Opening, Zone
from ems.assets.outlook import Outlook
from ems.assets.zone import (
    Step,
    ZoneUse,
    band_c,
    cooling_limit_c,
    gains_kw,
    mass_now_c,
    next_temperatures_c,
    occupied,
    open_slots,
    own_offset_k,
    rooms,
    share_out,
)
from ems.optimise.plan import outlook_of
from ems.points import good
from ems.slots import Slots
from ems.snapshot import Override, Snapshot
from tests.optimise import small
from tests.optimise.small import HOURLY

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


def test_nobody_comes_on_a_closing_day_of_the_local_clock() -> None:
    """Monday 2 March 2026, 23:30 UTC, is Tuesday in Paris."""
    slots = Slots(datetime(2026, 3, 2, 12, tzinfo=UTC), 24, 60)
    always = Opening(days=(1, 2, 3, 4, 5, 6, 7), from_hour=0, until_hour=24)
    found = occupied(always, slots, "Europe/Paris", {date(2026, 3, 3)})
    assert found.tolist() == [True] * 11 + [False] * 13


@pytest.mark.parametrize(
    ("use", "said", "day", "comes"),
    [
        ("offices", None, 14, False),  # Tuesday 14 July 2026
        ("school", None, 14, False),
        ("offices", None, 15, True),
        ("offices", True, 14, False),
        ("offices", False, 14, True),
        ("shops", False, 14, True),
        ("hotel", None, 14, True),
        ("common-room", None, 14, True),
        ("hotel", True, 14, False),
    ],
)
def test_offices_and_schools_are_shut_on_public_holidays(
    use: ZoneUse, said: bool | None, day: int, comes: bool
) -> None:
    """Open from 8 to 19 h in Paris: in summer the eleven hours from 6 h UTC."""
    opening = Opening(days=(1, 2, 3, 4, 5), from_hour=8, until_hour=19, closed_on_holidays=said)
    zone = Zone(name="a/desks", use=use, surface_m2=1000, substation="a/station", fabric=FABRIC, opening=opening)
    slots = Slots(datetime(2026, 7, day, tzinfo=UTC), 22, 60)
    here = small.district(zone)
    outlook = Outlook(
        slots, {zone.name: zone}, Snapshot(slots.start, {}), {}, {}, here.comfort, here.values, "Europe/Paris"
    )
    assert np.flatnonzero(open_slots(zone, outlook)).tolist() == (list(range(6, 17)) if comes else [])
    # Whose holidays are kept elsewhere is not known: the timetable holds.
    assert open_slots(zone, replace(outlook, time_zone="Europe/Rome")).sum() == 11


def test_what_is_cooled_is_cool_half_an_hour_before_people_come() -> None:
    """Open from 7 h UTC: 26 degC are wished from the slot before on, 30 in the night."""
    opening = Opening(days=(1, 2, 3, 4, 5), from_hour=8, until_hour=19)
    zone = Zone(
        name="a/desks", use="offices", surface_m2=1000, substation="a/station", fabric=FABRIC, opening=opening,
        cooling_occupied_c=26.0, cooling_unoccupied_c=30.0,
    )  # fmt: skip
    here, slots = small.district(zone), Slots(datetime(2026, 7, 15, tzinfo=UTC), 96)
    outlook = Outlook(
        slots, {zone.name: zone}, Snapshot(slots.start, {}), {}, {}, here.comfort, here.values, "Europe/Paris"
    )
    limit = cooling_limit_c(rooms({zone.name: zone})[zone.name], outlook)
    assert limit[:22] == pytest.approx(30.0)  # until 5:30 UTC
    assert limit[22:68] == pytest.approx(26.0)
    assert limit[68:] == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("wanted", "standing", "written"),
    [(0.4, 0.3, 0.3), (0.6, 0.1, 0.1), (0.8, 0.1, 0.8), (0.0, 0.2, 0.0), (0.5, 0.0, 0.0), (0.1, -0.2, 0.1)],
)
def test_an_offset_changes_by_steps_worth_a_write(wanted: float, standing: float, written: float) -> None:
    home = flat("a/one", 50.0)
    samples = {
        home.point("setpoint_c"): good(19.0, HOURLY.start),
        home.point("setpoint_offset_k"): good(standing, HOURLY.start),
    }
    here = small.district(home)
    outlook = Outlook(HOURLY, {home.name: home}, Snapshot(HOURLY.start, samples), {}, {}, here.comfort, here.values)
    assert own_offset_k(home, wanted, outlook) == pytest.approx(written)


@pytest.mark.parametrize(("measured", "colder"), [(20.4, True), (20.6, False), (None, False)])
def test_whoever_turned_the_thermostat_up_is_not_asked_to_wait(measured: float | None, colder: bool) -> None:
    """21 degC asked, half a kelvin below may be waited for: at 20.4 the heat is not put off; unknown is not cold."""
    home = flat("a/one", 50.0)
    samples = {home.point("setpoint_c"): good(21.0, HOURLY.start)}
    if measured is not None:
        samples[home.point("temperature_c")] = good(measured, HOURLY.start)
    here = small.district(home)
    outlook = Outlook(HOURLY, {home.name: home}, Snapshot(HOURLY.start, samples), {}, {}, here.comfort, here.values)
    assert outlook.colder_than_asked(home) is colder


def flat(name: str, surface: float) -> Dwelling:
    return Dwelling(
        name=name, floor=1, surface_m2=surface, rooms=3, orientation="south", prm="30000000000001",
        substation=f"{name.split('/')[0]}/station", fabric=FABRIC,
    )  # fmt: skip


def test_dwellings_that_stand_alike_are_grouped_by_building_with_their_surfaces_summed() -> None:
    """The band's lower edge is 19 - 0.5 degC: 18.6 stands in the step 0 above it, 20.1 in the next."""
    flats = {n: flat(n, s) for n, s in {"a/one": 50.0, "a/two": 70.0, "a/three": 40.0, "b/one": 60.0}.items()}
    readings = {"a/one": 18.6, "a/two": 18.7, "a/three": 20.1, "b/one": 18.6}
    samples = {f"{n}/temperature_c": good(c, HOURLY.start) for n, c in readings.items()}
    samples |= {f"{n}/setpoint_c": good(19.0, HOURLY.start) for n in flats}
    here = small.district(*flats.values())
    outlook = Outlook(HOURLY, flats, Snapshot(HOURLY.start, samples), {}, {}, here.comfort, here.values, grouped=True)
    found = rooms(flats, outlook)
    assert sorted((r.surface_m2, [m.name for m in r.members]) for r in found.values()) == [
        (40, ["a/three"]), (60, ["b/one"]), (120, ["a/one", "a/two"]),
    ]  # fmt: skip
    assert {r.group for r in found.values()} == {"a/homes", "b/homes"}
    assert set(rooms(flats)) == set(flats)


def test_shares_add_up_to_the_groups_heat_and_the_second_plan_leaves_nobody_cold() -> None:
    """Two equal homes at 19 and 18 degC, no losses to speak of: 1 kW in all goes to the colder one first."""
    step = np.zeros((2, 2, 5))
    step[:, 0, 0] = step[:, 1, 1] = 1.0
    step[:, 0, 3] = 1.0  # 1 K per kW and slot
    each = {
        "step": step, "outdoor_c": np.zeros(2),
        "free_on_light_kw": np.zeros((2, 2)), "free_on_mass_kw": np.zeros((2, 2)),
        "low_c": np.full((2, 2), 18.5), "high_c": np.full((2, 2), 20.0),
        "light_at_start_c": np.array([19.0, 18.0]), "mass_at_start_c": np.zeros(2),
    }  # fmt: skip
    whole = {"low_c": np.full((1, 2), 18.5), "high_c": np.full((1, 2), 20.0)}
    planned = {"light_c": np.array([[18.5, 18.6, 18.6]]), "heating_kw": np.array([[0.2, 0.0]])}
    exact, warm = share_out(each, whole, {"heating_kw": np.full((2, 2), 3.0)}, planned, np.array([0, 0]))
    assert exact["heating_kw"].sum(axis=0) == pytest.approx([0.2, 0.0])
    assert exact["heating_kw"][:, 0] == pytest.approx([0.0, 0.2])  # the warmer one waits
    assert exact["too_cold_k"][1] == pytest.approx([0.3, 0.3])
    assert warm["heating_kw"][1, 0] == pytest.approx(0.5)
    assert warm["too_cold_k"].sum() == pytest.approx(0.0)
    assert warm["light_c"][1] == pytest.approx([18.0, 18.5, 18.5])


def test_a_band_is_drawn_together_where_somebody_asked_for_an_offset() -> None:
    """Asked 19.5 and +0.5 for two hours: 20 to 20.3; then 19 to 20.5 again. Of two alike, half of that."""
    homes = {
        n: Dwelling(
            name=n, floor=1, surface_m2=50, rooms=3, orientation="south", prm="30000000000001",
            substation="a/station", fabric=FABRIC,
        )
        for n in ("a/one", "a/two")
    }  # fmt: skip
    point = "a/one/setpoint_offset_k"
    held = {point: Override(point, 0.5, "resident", "wish", HOURLY.at(2))}
    outlook = outlook_of(small.district(small.supply()), replace(small.snapshot(), holds=held), {}, HOURLY)
    single, other = (rooms(homes)[n] for n in homes)
    low, high = band_c(single, 19.5, outlook)
    assert low == pytest.approx([20.0] * 2 + [19.0] * 22) and high == pytest.approx([20.3] * 2 + [20.5] * 22)
    assert band_c(other, 19.5, outlook)[0] == pytest.approx([19.0] * 24)
    both = replace(single, members=(*single.members, *other.members), surface_m2=100.0)
    assert band_c(both, 19.5, outlook)[0] == pytest.approx([19.5] * 2 + [19.0] * 22)


def test_walls_are_where_an_observer_sees_them_else_the_last_plan_else_near_the_air() -> None:
    flat = Dwelling(
        name="a/one", floor=1, surface_m2=50, rooms=3, orientation="south", prm="30000000000001",
        substation="a/station", fabric=FABRIC,
    )  # fmt: skip
    room = rooms({"a/one": flat})["a/one"]
    outlook = outlook_of(small.district(small.supply()), small.snapshot(), {}, HOURLY)
    assert mass_now_c(room, 19.0, outlook) == 19.0
    assert mass_now_c(room, 19.0, replace(outlook, foreseen={"a/one/mass_c": 20.5})) == 20.5
    seen = replace(
        outlook, snapshot=replace(small.snapshot(), states={"a/one/mass_c": 21.0}), foreseen={"a/one/mass_c": 20.5}
    )
    assert mass_now_c(room, 19.0, seen) == 21.0


def test_the_gains_of_a_buildings_homes_are_shared_out_once() -> None:
    """Two kinds of homes in one building: of the 10 kW expected of all of them each has its share by surface."""
    homes = [flat("house/flat-1", 60), flat("house/flat-2", 90)]
    seniors = [flat(f"house/flat-{i}", 50).model_copy(update={"use": "senior-home"}) for i in (3, 4)]
    fleet = {h.name: h for h in (*homes, *seniors)}
    here, expected = small.district(*fleet.values()), small.forecasts(house__homes__gains_kw=10.0)
    comfort = {**here.comfort, "senior-home": here.comfort["home"]}
    for grouped in (False, True):
        outlook = Outlook(HOURLY, fleet, small.snapshot(), expected, {}, comfort, here.values, grouped=grouped)
        gains = {"home": 0.0, "senior-home": 0.0}
        for room in rooms(fleet, outlook).values():
            gains[room.use] += float(gains_kw(room, outlook)[0])
        assert gains == pytest.approx({"home": 6.0, "senior-home": 4.0}), grouped
