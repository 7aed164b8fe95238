"""Small districts of any kind, any weather and any reading: always a plan, and the checker passes it."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ems.assets import (
    Asset,
    BaseLoad,
    Battery,
    ChargePoint,
    Dwelling,
    Fabric,
    Feeder,
    Loop,
    Opening,
    Photovoltaic,
    Plant,
    Substation,
    Tank,
    WeatherStation,
    Zone,
)
from ems.optimise import check, plan
from ems.slots import Slots
from ems.snapshot import Session
from tests.optimise.small import MIDNIGHT, district, forecasts, snapshot, supply


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False).map(lambda x: round(x, 2))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_there_is_always_a_plan_and_it_holds(data: st.DataObject) -> None:
    draw = data.draw
    slots = Slots(MIDNIGHT, draw(st.integers(1, 12)), draw(st.sampled_from([15, 30, 60])))
    fabric = Fabric(
        loss_w_per_k_m2=draw(number(0.2, 5)),
        light_wh_per_k_m2=draw(number(5, 40)),
        mass_wh_per_k_m2=draw(number(10, 90)),
        coupling_w_per_k_m2=draw(number(1, 12)),
        solar_aperture_share=draw(number(0, 0.2)),
        gains_w_per_m2=3,
        heating_w_per_m2=draw(number(1, 90)),
        cooling_w_per_m2=draw(number(0, 90)),
    )
    physical = draw(number(0.1, 300))
    assets: list[Asset] = [
        supply(subscribed_kw=max(physical * draw(number(0, 1)), 0.01), physical_limit_kw=physical),
        BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1),
        Battery(
            name="house/cellar",
            supply="house/meter",
            capacity_kwh=draw(number(0.1, 500)),
            charge_limit_kw=draw(number(0.1, 200)),
            discharge_limit_kw=draw(number(0.1, 200)),
            one_way_efficiency=draw(number(0.5, 1)),
            wear_per_kwh=draw(number(0, 1)),
        ),
        Photovoltaic(
            name="house/roof", supply="house/meter", peak_kw=draw(number(0.1, 200)), tilt_deg=10, azimuth_deg=180
        ),
        Feeder(name="house/feeder", supply="house/meter", limit_kw=draw(number(0.1, 30))),
        ChargePoint(name="house/point", feeder="house/feeder"),
        Loop(
            name="house/loop",
            supply="house/meter",
            volume_m3=draw(number(0.5, 200)),
            heat_limit_kw=draw(number(1, 500)),
            cold_limit_kw=draw(number(1, 500)),
            exchanger_kw_per_k=draw(number(0.1, 1000)),
            pump_kw=draw(number(0, 50)),
        ),
        Plant(
            name="house/pumps",
            supply="house/meter",
            loop="house/loop",
            circuits=draw(st.integers(1, 4)),
            heat_kw=draw(number(0.5, 400)),
            cold_kw=draw(number(0.5, 400)),
        ),
        Substation(
            name="house/station",
            plant="house/pumps",
            supply="house/meter",
            heat_limit_kw=draw(number(0.1, 500)),
            cold_limit_kw=draw(number(0, 300)),
        ),
        Tank(
            name="house/tank",
            plant="house/pumps",
            supply="house/meter",
            volume_m3=draw(number(0.1, 10)),
            charge_limit_kw=draw(number(0.1, 200)),
            recirculation_loss_kw=draw(number(0, 10)),
            standing_loss_kw=draw(number(0, 2)),
            heater_kw=draw(number(0, 30)),
            daily_draw_m3=draw(number(0.1, 20)),
        ),
        WeatherStation(name="house/sky"),
        Dwelling(
            name="house/flat",
            floor=0,
            surface_m2=draw(number(10, 400)),
            rooms=2,
            orientation="south",
            prm="30000000000009",
            substation="house/station",
            fabric=fabric,
        ),
        Zone(
            name="house/office",
            use="offices",
            surface_m2=draw(number(10, 9000)),
            substation="house/station",
            fabric=fabric,
            opening=Opening(days=(1, 2, 3, 4, 5), from_hour=1, until_hour=6),
            cooling_occupied_c=draw(st.sampled_from([None, 26.0])),
        ),
    ]
    optional = [a for a in assets if isinstance(a, Battery | Photovoltaic | Tank | BaseLoad)]
    dropped = {a.name for a in optional if draw(st.booleans())}
    here = district(
        *[a for a in assets if a.name not in dropped],
        prices=draw(st.lists(number(0, 2), min_size=1, max_size=12)),
        export=draw(number(0, 0.5)),
        exceedance=draw(number(0, 5)),
        subscription=draw(number(0, 50)),
    )
    expected = forecasts(
        slots,
        house__load__power_kw=draw(number(-50, 400)),
        house__roof__power_kw=-draw(number(0, 300)),
        house__tank__draw_kw=draw(number(0, 300)),
        house__sky__outdoor_temperature_c=draw(number(-25, 45)),
        house__sky__irradiance_w_per_m2=draw(number(0, 1100)),
        house__homes__gains_kw=draw(number(0, 5)),
        house__office__gains_kw=draw(number(0, 100)),
        house__loop__seawater_temperature_c=draw(number(-2, 40)),
    )
    session = Session("house/point", draw(number(0, 100)), slots.start + draw(number(-2, 20)) * slots.length)
    known = snapshot(
        slots,
        {"house/point": session},
        [n for n in ("house/pumps", "house/cellar", "house/tank") if draw(st.integers(0, 5)) == 0],
        house__cellar__stored_kwh=draw(number(-10, 700)),
        house__tank__top_temperature_c=draw(number(0, 100)),
        house__tank__middle_temperature_c=draw(number(0, 100)),
        house__tank__bottom_temperature_c=draw(number(0, 100)),
        house__flat__temperature_c=draw(number(-5, 45)),
        house__flat__setpoint_c=draw(number(5, 30)),
        house__office__temperature_c=draw(number(-5, 45)),
        house__loop__temperature_c=draw(number(-5, 50)),
    )
    result = plan(here, known, expected, slots)
    assert check(here, known, expected, result) == ()
    values = {s.point.rpartition("/")[2]: s.value for s in result.setpoints}
    assert values["current_limit_a"] == 0 or values["current_limit_a"] >= 6
    assert -1 <= values["setpoint_offset_k"] <= 1
