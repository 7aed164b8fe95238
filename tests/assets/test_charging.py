"""Cars charged by session: before departure, in the cheapest slots, under the cable."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from ems.assets import BaseLoad, ChargePoint, Feeder
from ems.assets.charging import cable_kw, needed_in_horizon_kwh, plugged_share, whole_current_a
from ems.optimise import Plan, plan
from ems.snapshot import Override, Session
from tests.optimise.small import HOURLY, MIDNIGHT, district, forecasts, snapshot, supply

FEEDER = Feeder(name="house/feeder", supply="house/meter", limit_kw=5)
# One phase and 32 A: 7.36 kW, of which a usual car takes 16 A, 3.68 kW.
POINTS = [ChargePoint(name=f"house/point-{i}", feeder="house/feeder", phases=1) for i in (1, 2)]
PRICES = [0.30] * 3 + [0.10] * 2 + [0.20] * 19


def session(point: int, needed: float, hours: float) -> dict[str, Session]:
    name = f"house/point-{point}"
    return {name: Session(name, needed, MIDNIGHT + timedelta(hours=hours))}


def test_charges_in_the_cheapest_hours_before_departure() -> None:
    """8.68 kWh by 6 h: 7.36 in the two hours at 0.10, the rest in the one at 0.20."""
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    result = plan(here, snapshot(sessions=session(1, 8.68, 6)), forecasts(), HOURLY)
    power = result.flow("house/point-1", "power_kw")
    assert power == pytest.approx([0, 0, 0, 3.68, 3.68, 1.32] + [0] * 18, abs=1e-6)
    assert result.cost_terms["energy"] == pytest.approx(7.36 * 0.10 + 1.32 * 0.20)
    # Until then it waits at its minimum: some cars do not wake after a pause.
    [limit] = [s.value for s in result.setpoints if s.point == "house/point-1/current_limit_a"]
    assert limit == 6.0


def test_a_car_seen_to_take_more_is_counted_on_for_more() -> None:
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    seen = snapshot(sessions=session(1, 5, 1), house__point_1__current_a=20.0)
    assert plan(here, seen, forecasts(), HOURLY).flow("house/point-1", "power_kw")[0] == pytest.approx(5.0)


def test_what_cannot_be_charged_is_named() -> None:
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    result = plan(here, snapshot(sessions=session(1, 10, 1)), forecasts(), HOURLY)
    (shortfall,) = result.shortfalls
    assert shortfall.asset == "house/point-1"
    assert shortfall.amount == pytest.approx(10 - 3.68)
    assert (shortfall.en, shortfall.unit) == ("charge missing at departure", "kWh")


def test_the_cable_is_shared() -> None:
    here = district(supply(), FEEDER, *POINTS, prices=[0.1])
    both = session(1, 7, 1) | session(2, 7, 1)
    result = plan(here, snapshot(sessions=both), forecasts(), HOURLY)
    total = sum(result.flow(p.name, "power_kw")[0] for p in POINTS)
    assert total == pytest.approx(5.0)
    currents = {s.point: s.value for s in result.setpoints}
    assert sum(POINTS[0].kw(a) for a in currents.values()) <= 5.0 + 1e-6


def test_who_arrives_may_start_at_once_and_show_what_it_takes() -> None:
    # 5 kW over two free sockets are 10.8 A each, 10 whole ones; alone, a car may take 20 A, more than a usual one does.
    here = district(supply(), FEEDER, *POINTS, prices=[0.1])
    result = plan(here, snapshot(), forecasts(), HOURLY)
    assert {s.value for s in result.setpoints} == {10.0}
    alone = district(supply(), FEEDER, POINTS[0], prices=[0.1])
    assert [s.value for s in plan(alone, snapshot(), forecasts(), HOURLY).setpoints] == [20.0]


def test_who_is_to_take_all_of_a_usual_cars_current_is_asked_for_more() -> None:
    wide = FEEDER.model_copy(update={"limit_kw": 10})
    here = district(supply(), wide, *POINTS, prices=[0.1])
    cars = session(1, 20, 6) | session(2, 20, 6)
    result = plan(here, snapshot(sessions=cars), forecasts(), HOURLY)
    # 16 A each are planned; 20 A each are 9.2 kW, which the cable carries.
    assert {s.value for s in result.setpoints} == {20.0}
    shown = {n: replace(s, most_kw=3.68) for n, s in cars.items()}
    assert {s.value for s in plan(here, snapshot(sessions=shown), forecasts(), HOURLY).setpoints} == {16.0}


def test_what_a_car_was_seen_to_take_is_counted_on() -> None:
    here = district(supply(), FEEDER, *POINTS, prices=[0.1])
    slow = replace(session(1, 5, 1)["house/point-1"], most_kw=2.3)
    assert plan(here, snapshot(sessions={slow.asset: slow}), forecasts(), HOURLY).shortfalls[0].amount == pytest.approx(
        2.7
    )


def test_a_car_that_may_leave_early_waits_only_for_a_saving_worth_the_risk() -> None:
    """3.68 kWh at 0.30 now or at 0.10 in 3 h: 0.20 are saved, and 3 h x chance x 1.50 risked: worth it below 4.4 %."""
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    for chance, first in ((0.03, 0.0), (0.06, 3.68)):
        stay = replace(session(1, 3.68, 6)["house/point-1"], may_leave_per_h=chance)
        result = plan(here, snapshot(sessions={stay.asset: stay}), forecasts(), HOURLY)
        assert result.flow("house/point-1", "power_kw")[0] == pytest.approx(first, abs=1e-6)


def test_a_kwh_that_one_car_in_five_wants_is_bought_below_a_fifth_of_what_missing_it_costs() -> None:
    """A missing kWh costs 1.50: one that is wanted with a chance of a fifth is worth 0.30."""
    stay = replace(session(1, 3, 1)["house/point-1"], may_need_kwh=(2.0, 2.0, 2.0, 2.0, 3.0))
    for price, charged in ((0.2, 3.0), (0.4, 2.0)):
        here = district(supply(), FEEDER, *POINTS, prices=[price])
        result = plan(here, snapshot(sessions={stay.asset: stay}), forecasts(), HOURLY)
        assert result.flow("house/point-1", "power_kw")[0] == pytest.approx(charged, abs=1e-6)
        assert not result.shortfalls  # what only may be wanted is no shortfall


def test_a_car_of_an_hour_in_which_many_leave_soon_does_not_wait() -> None:
    """Two of four cars like it are gone within the hour: the hours at 0.10 would come too late for them."""
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    for soon_h, first in ((1.0, 3.68), (5.5, 0.0)):
        leaves = tuple(MIDNIGHT + timedelta(hours=h) for h in (soon_h, soon_h, 6, 6))
        stay = replace(session(1, 3.68, 6)["house/point-1"], may_depart_at=leaves)
        result = plan(here, snapshot(sessions={stay.asset: stay}), forecasts(), HOURLY)
        assert result.flow("house/point-1", "power_kw")[0] == pytest.approx(first, abs=1e-6)


def test_a_shared_car_is_charged_between_its_return_and_its_next_trip() -> None:
    """Back at 4 h and wanted at 6 h with 5 kWh more: 3.68 in the hour at 0.10, the rest in one at 0.20."""
    trip = Session(
        "house/point-1", 5.0, MIDNIGHT + timedelta(hours=6), arrives_at=MIDNIGHT + timedelta(hours=4)
    )  # fmt: skip
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    result = plan(here, snapshot(sessions={trip.asset: trip}), forecasts(), HOURLY)
    assert result.flow("house/point-1", "power_kw") == pytest.approx([0] * 4 + [3.68, 1.32] + [0] * 18, abs=1e-6)
    # Its socket is free until then.
    assert {s.value for s in result.setpoints} == {10.0}


def test_a_phase_carries_a_third_of_its_cable() -> None:
    """12 kW are 4 on each phase: two single-phase cars that lack 2.5 kWh share them, or have a phase each."""
    cable = Feeder(name="house/feeder", supply="house/meter", limit_kw=12)

    def planned(*phases: int) -> float:
        points = [p.model_copy(update={"phase": k}) for p, k in zip(POINTS, phases, strict=True)]
        both = session(1, 2.5, 1) | session(2, 2.5, 1)
        result = plan(district(supply(), cable, *points, prices=[0.1]), snapshot(sessions=both), forecasts(), HOURLY)
        return sum(float(result.flow(p.name, "power_kw")[0]) for p in points)

    assert planned(1, 1) == pytest.approx(4.0)
    assert planned(1, 2) == pytest.approx(5.0)


def test_currents_respect_each_phase_too() -> None:
    """12 kW are 4 on each phase: of two cars on one of them at 16 A (3.68 kW each) one waits; on two, none does."""
    fed = {p.name: p for p in POINTS}
    one = {n: p.model_copy(update={"phase": 1}) for n, p in fed.items()}
    two = {n: p.model_copy(update={"phase": k}) for (n, p), k in zip(fed.items(), (1, 2), strict=True)}
    both = dict.fromkeys(fed, 16.0)
    assert cable_kw(fed, both) == pytest.approx(7.36)
    assert cable_kw(one, both) == pytest.approx(3 * 7.36)
    assert cable_kw(two, both) == pytest.approx(3 * 3.68)
    cable = Feeder(name="house/feeder", supply="house/meter", limit_kw=12)
    here = district(supply(), cable, *one.values(), prices=[0.1])
    waiting = plan(here, snapshot(sessions=session(1, 3.68, 1) | session(2, 3.68, 1)), forecasts(), HOURLY)
    amps = {s.point.rpartition("/")[0]: s.value for s in waiting.setpoints}
    assert cable_kw(one, amps) <= 12 + 1e-6


GIVING = ChargePoint(
    name="house/point-1", feeder="house/feeder", phases=1, give_back_current_a=16, give_back_efficiency=0.8,
    give_back_wear_per_kwh=0.05,
)  # fmt: skip


def giving(prices: list[float], **known: float | None) -> Plan:
    """A car of 40 kWh, half full, needed with 22 by 10 h; it never goes below 12."""
    here = district(
        supply(), FEEDER, GIVING, BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1),
        prices=prices,
    )  # fmt: skip
    stay = Session("house/point-1", 2.0, MIDNIGHT + timedelta(hours=10), **known)  # type: ignore[arg-type]
    return plan(here, snapshot(sessions={stay.asset: stay}), forecasts(house__load__power_kw=10.0), HOURLY)


def test_a_car_that_may_gives_back_in_the_dear_hours_and_leaves_as_wanted() -> None:
    """16 A give back 3.68 kW: in the two hours at 1.00 that is 7.36 kWh, which take 9.2 out of its 20.

    20 - 9.2 = 10.8 would be below the 12 it keeps: 8 kWh come out, 6.4 kWh arrive. Then 10 kWh at 0.10.
    """
    result = giving([1.0, 1.0] + [0.1] * 22, stored_kwh=20.0, capacity_kwh=40.0)
    back, charge = result.flow("house/point-1", "back_kw"), result.flow("house/point-1", "charge_kw")
    assert back.sum() == pytest.approx(6.4) and back[2:].sum() == pytest.approx(0.0, abs=1e-9)
    assert charge.sum() == pytest.approx(10.0)
    assert result.cost_terms["wear"] == pytest.approx(6.4 * 0.05)
    assert result.flow("house/point-1", "power_kw") == pytest.approx(charge - back)
    values = {s.point: s.value for s in result.setpoints}
    assert values["house/point-1/give_back_current_a"] >= 6.0
    assert values["house/point-1/current_limit_a"] == 0.0


def test_a_car_that_does_not_say_how_full_it_is_gives_nothing_back() -> None:
    result = giving([1.0, 1.0] + [0.1] * 22)
    assert result.flow("house/point-1", "back_kw").sum() == 0.0
    assert result.flow("house/point-1", "charge_kw").sum() == pytest.approx(2.0)


def test_a_current_that_somebody_holds_is_planned_with() -> None:
    """10 A are 2.3 kW, held for two hours: of 5 kWh by 2 h only 4.6 can be charged."""
    point = "house/point-1/current_limit_a"
    known = replace(
        snapshot(sessions=session(1, 5, 2)),
        overrides={point: Override(point, 10.0, "anne", "weak cable", MIDNIGHT + timedelta(hours=2))},
    )
    result = plan(district(supply(), FEEDER, *POINTS, prices=[0.1]), known, forecasts(), HOURLY)
    assert result.flow("house/point-1", "power_kw")[:2] == pytest.approx([2.3, 2.3])
    assert [s.amount for s in result.shortfalls] == [pytest.approx(0.4)]


@pytest.mark.parametrize(("stands_a", "most_kw", "limit_a"), [(10.0, 2.7, 11.7), (16.0, 1.32, 0.0), (None, 0.0, 0.0)])
def test_a_socket_out_of_service_may_draw_what_it_stands_at(
    stands_a: float | None, most_kw: float, limit_a: float
) -> None:
    """10 A leave 2.7 of 5 kW, 11.7 A; 16 A leave 1.32, and a car takes at least 1.38; the unknown may be 32 A."""
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    read = {} if stands_a is None else {"house__point_2__current_limit_a": stands_a}
    locked = replace(snapshot(sessions=session(1, 24, 6), **read), out_of_service=frozenset(["house/point-2"]))
    result = plan(here, locked, forecasts(), HOURLY)
    assert result.flow("house/point-1", "power_kw").max() == pytest.approx(most_kw, abs=1e-6)
    limits = {s.point: s.value for s in result.setpoints}
    assert limits["house/point-2/current_limit_a"] == 0.0  # nobody writes it
    assert limits["house/point-1/current_limit_a"] == limit_a


@pytest.mark.parametrize(
    ("power", "current"), [(0.0, 0.0), (0.5, 0.0), (0.8, 6.0), (1.38, 6.0), (2.3, 10.0), (9.0, 32.0)]
)
def test_current_is_zero_or_at_least_the_minimum(power: float, current: float) -> None:
    assert whole_current_a(POINTS[0], power) == pytest.approx(current)


def test_a_car_that_leaves_within_a_slot_has_part_of_it() -> None:
    left = Session("p", 5, MIDNIGHT + timedelta(hours=1, minutes=15))
    assert plugged_share(left, HOURLY)[:3] == pytest.approx(np.array([1, 0.25, 0]))


def test_a_car_that_leaves_after_the_horizon_need_not_be_full_by_its_end() -> None:
    later = Session("p", 20, HOURLY.end + timedelta(hours=4))
    assert needed_in_horizon_kwh(later, 7.0, HOURLY) == pytest.approx(20 - 0.5 * 7 * 4)
