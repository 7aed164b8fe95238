"""Whatever is written into files, held, announced or observed: always a plan, and the checker passes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ems.assets import Asset, BaseLoad, Battery, ChargePoint, Deferrable, Feeder, Loop, Photovoltaic, Plant, Tank
from ems.optimise import check, plan
from ems.slots import Slots
from ems.snapshot import Override, Session
from tests.optimise.small import MIDNIGHT, district, forecasts, snapshot, supply

HELD = (
    "house/cellar/power_setpoint_kw",
    "house/roof/limit_share",
    "house/point/current_limit_a",
    "house/laundry/run_on",
    "house/oven/run_on",
    "house/tank/charge_on",
    "house/pumps/enable_on",
    "house/pumps/capacity_share",
)


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False).map(lambda x: round(x, 2))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_there_is_always_a_plan_and_it_holds(data: st.DataObject) -> None:
    draw = data.draw
    slots = Slots(
        MIDNIGHT + timedelta(hours=draw(st.integers(0, 23))),
        draw(st.integers(1, 30)),
        draw(st.sampled_from([15, 30, 60])),
    )
    physical = draw(number(0.1, 100))
    at: dict[str, Any] = {"supply": "house/meter"}
    hour = st.integers(0, 24).map(float)
    assets: list[Asset] = [
        supply(
            subscribed_kw=max(physical / 2, 0.01), physical_limit_kw=physical, shares_in="sun",
            ramp_price_per_kw=draw(number(0, 2)), uneven_price_per_kw=draw(number(0, 2)),
        ),
        supply(name="roof/meter", prm="30000000000002", shares_in=draw(st.sampled_from([None, "sun"]))),
        BaseLoad(name="house/load", use="home", yearly_kwh=1, **at),
        Battery(
            name="house/cellar", capacity_kwh=draw(number(1, 50)), charge_limit_kw=8, discharge_limit_kw=8,
            one_way_efficiency=draw(number(0.5, 1)), **at,
        ),
        Photovoltaic(name="house/roof", supply="roof/meter", peak_kw=40, tilt_deg=10, azimuth_deg=180),
        Feeder(name="house/feeder", limit_kw=draw(number(0.5, 30)), **at),
        ChargePoint(
            name="house/point", feeder="house/feeder", phases=1, phase=draw(st.sampled_from([None, 1, 2, 3])),
            give_back_current_a=draw(st.sampled_from([0.0, 16.0])), give_back_efficiency=draw(number(0, 1)),
            kept_share=draw(number(0, 1)),
        ),
        *(
            Deferrable(
                name=f"house/{name}", running_kw=draw(number(0.1, 20)), run_h=draw(number(0.1, 12)),
                contiguous=contiguous, from_hour=draw(hour), until_hour=draw(hour),
                days=tuple(draw(st.sets(st.integers(1, 7), min_size=1))), missed_per_kwh=draw(number(0, 2)), **at,
            )
            for name, contiguous in (("laundry", False), ("oven", True))
        ),
        Loop(
            name="house/loop", volume_m3=50, heat_limit_kw=100, cold_limit_kw=100, exchanger_kw_per_k=50, pump_kw=5,
            **at,
        ),
        Plant(
            name="house/pumps", loop="house/loop", circuits=2, heat_kw=draw(number(1, 60)), cold_kw=50,
            quiet_from_hour=draw(hour), quiet_until_hour=draw(hour), **at,
        ),
        Tank(
            name="house/tank", plant="house/pumps", volume_m3=draw(number(0.1, 5)), charge_limit_kw=60,
            recirculation_loss_kw=1, standing_loss_kw=0.2, heater_kw=draw(number(0, 20)), daily_draw_m3=2,
            pasteurise_days=tuple(draw(st.sets(st.integers(1, 7)))), **at,
        ),
    ]  # fmt: skip
    here = district(*assets, prices=draw(st.lists(number(0, 1), min_size=1, max_size=8)), export=draw(number(0, 0.5)))
    expected = forecasts(
        slots,
        house__load__power_kw=draw(number(-20, 60)),
        house__roof__power_kw=-draw(number(0, 60)),
        house__tank__draw_kw=draw(number(0, 60)),
        house__loop__seawater_temperature_c=draw(number(5, 30)),
    )
    arrives = draw(st.sampled_from([None, number]))
    stay = Session(
        "house/point", draw(number(0, 80)), slots.start + draw(number(-2, 40)) * slots.length,
        arrives_at=None if arrives is None else slots.start + draw(number(-2, 40)) * slots.length,
        stored_kwh=draw(st.sampled_from([None, 0.0, 30.0, 90.0])), capacity_kwh=draw(st.sampled_from([None, 50.0])),
    )  # fmt: skip
    known = snapshot(
        slots, {stay.asset: stay},
        [n for n in ("house/pumps", "house/oven", "house/tank", "house/point") if draw(st.integers(0, 5)) == 0],
        house__cellar__stored_kwh=draw(number(-10, 70)), house__laundry__done_h=draw(number(-1, 15)),
        house__oven__done_h=draw(number(-1, 15)), house__oven__running_on=float(draw(st.booleans())),
        house__tank__top_temperature_c=draw(number(0, 100)), house__tank__middle_temperature_c=draw(number(0, 100)),
        house__tank__bottom_temperature_c=draw(number(0, 100)), house__loop__temperature_c=draw(number(-5, 50)),
    )  # fmt: skip
    held = {
        point: Override(point, draw(number(-50, 50)), "anne", "test", slots.start + draw(number(-2, 40)) * slots.length)
        for point in HELD
        if draw(st.integers(0, 3)) == 0
    }
    states = draw(st.sampled_from([{}, {"house/tank/energy_kwh": -5.0}, {"house/tank/energy_kwh": 1e4}]))
    known = replace(known, overrides=held, states=states)
    result = plan(here, known, expected, slots)
    assert check(here, known, expected, result) == ()
