"""From set points to commands, through the gate, on the default district."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.command import Command, Setpoint
from ems.dispatch import due, heartbeats, permit, verify
from ems.district import District, read_district
from ems.points import Quality, Sample
from ems.snapshot import Override, Snapshot

NOW = datetime(2026, 1, 20, 7, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=30)
OFFSET = "horizon/flat-0101/setpoint_offset_k"
CURVE = "horizon/substation/heating_curve_offset_k"
CHARGE = "horizon/tank/charge_on"


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(Path("buildings"))


def snapshot(values: Mapping[str, float | None], **more: object) -> Snapshot:
    samples = {p: Sample(v, Quality.GOOD if v is not None else Quality.UNREACHABLE, NOW) for p, v in values.items()}
    return Snapshot(at=NOW, samples=samples, **more)  # type: ignore[arg-type]


def command(point: str, value: float | None, **more: object) -> Command:
    return Command(key=f"k:{point}", point=point, value=value, expires_at=SOON, **more)  # type: ignore[arg-type]


def refusals(district: District, seen: Mapping[str, float | None], *commands: Command) -> list[str]:
    return [r.why for _, r in permit(commands, district=district, snapshot=snapshot(seen), now=NOW).refused]


def test_a_set_point_that_stands_is_not_written_again(district: District) -> None:
    wanted = [Setpoint(OFFSET, 0.5)]
    seen = snapshot({OFFSET: 0.5})
    assert due(wanted, district=district, snapshot=seen, standing={OFFSET: 0.5}, expires_at=SOON) == []
    # It stands there by chance, not by our command: then it is claimed.
    assert len(due(wanted, district=district, snapshot=seen, standing={}, expires_at=SOON)) == 1
    # A reboot put it back to 0: it is written again.
    moved = snapshot({OFFSET: 0.0})
    assert len(due(wanted, district=district, snapshot=moved, standing={OFFSET: 0.5}, expires_at=SOON)) == 1


def test_a_large_change_is_taken_in_steps(district: District) -> None:
    [first] = due(
        [Setpoint(CURVE, 5.0)], district=district, snapshot=snapshot({CURVE: 0.0}), standing={}, expires_at=SOON
    )
    assert first.value == 3.0  # 3 K a quarter-hour
    assert first.previous == 0.0


def test_a_person_is_not_fought(district: District) -> None:
    wanted = [Setpoint(OFFSET, 0.5)]
    held = Override(OFFSET, 0.0, "manager", "visit", SOON)
    seen = snapshot({OFFSET: 0.0}, overrides={OFFSET: held})
    assert due(wanted, district=district, snapshot=seen, standing={}, expires_at=SOON) == []
    at_device = snapshot({OFFSET: -1.0})
    held_below = {OFFSET: 0.3}  # what stands in our own slot of the priority array
    assert due(wanted, district=district, snapshot=at_device, standing={}, overridden=held_below, expires_at=SOON) == []
    # They let go: our slot's value is back, and what is wanted now goes out again.
    let_go = snapshot({OFFSET: 0.3})
    assert due(wanted, district=district, snapshot=let_go, standing={}, overridden=held_below, expires_at=SOON)


def test_an_asset_out_of_service_is_left_alone(district: District) -> None:
    seen = snapshot({CURVE: 0.0}, out_of_service=frozenset({"horizon/substation"}))
    assert due([Setpoint(CURVE, 1.0)], district=district, snapshot=seen, standing={}, expires_at=SOON) == []


def test_the_gate_itself_respects_people(district: District) -> None:
    held = Override(CURVE, 0.0, "lea", "visit", SOON)
    seen = snapshot({CURVE: 0.0, OFFSET: 0.0}, overrides={CURVE: held}, out_of_service={"horizon/flat-0101"})
    wanted = [command(CURVE, 1.0), command(OFFSET, 0.0)]
    permission = permit(wanted, district=district, snapshot=seen, now=NOW)
    assert [r.why for _, r in permission.refused] == [
        f"is held at 0 by lea until {SOON.isoformat()}",
        "belongs to an asset that is out of service or handed back",
    ]
    assert permit([command(CURVE, None)], district=district, snapshot=seen, now=NOW).refused == []


@pytest.mark.parametrize(
    ("point", "value", "why"),
    [
        ("nowhere/x/y_on", 1.0, "no point of this district"),
        ("horizon/flat-0101/temperature_c", 20.0, "cannot be written"),
        ("station/loop/setpoint_c", 16.0, "authority is observe"),
        (OFFSET, 1.5, "above the maximum of 1"),
        (OFFSET, math.nan, "no finite number"),
        (OFFSET, 0.5, "set point is not known"),
        (CHARGE, 0.0, "outlet temperature is not known"),
        ("plant-a/heat-pumps/enable_on", 0.0, "needs it"),
        ("parking/point-01/current_limit_a", 3.0, "between 0 and the smallest value of 6"),
        ("parking/battery/power_setpoint_kw", 200.0, "above the maximum of 150"),
        ("parking/battery/power_setpoint_kw", 50.0, "content is not known"),
    ],
)
def test_the_gate_says_why(district: District, point: str, value: float, why: str) -> None:
    [said] = refusals(district, {OFFSET: 0.0}, command(point, value))
    assert why in said


def test_the_gate_refuses_what_is_late_loud_or_double(district: District) -> None:
    late = Command(key="k", point=CURVE, value=1.0, expires_at=NOW)
    loud = command(CURVE, 1.0, priority=8)
    assert "expired" in refusals(district, {}, late)[0]
    assert "priority 8" in refusals(district, {}, loud)[0]
    assert refusals(district, {CURVE: 0.0}, command(CURVE, 1.0), command(CURVE, 2.0)) == [
        "is commanded twice in one slot"
    ]


def test_giving_back_is_always_allowed(district: District) -> None:
    assert refusals(district, {}, command(CHARGE, None), command(OFFSET, None)) == []


def test_a_hot_tank_may_wait_and_a_cool_one_may_not(district: District) -> None:
    hot = {
        "horizon/tank/top_temperature_c": 60.0,
        "horizon/tank/middle_temperature_c": 55.0,
        "horizon/tank/return_temperature_c": 52.0,
    }
    cool = hot | {"horizon/tank/top_temperature_c": 56.0}
    assert refusals(district, hot, command(CHARGE, 0.0)) == []
    assert "must stay 2 K above" in refusals(district, cool, command(CHARGE, 0.0))[0]


HOT = {
    f"{tank}/tank/{where}_temperature_c": degrees
    for tank in ("horizon", "jardins", "mistral", "littoral", "calanques")
    for where, degrees in (("top", 60.0), ("middle", 57.0), ("return", 53.0))
}
ENABLE = "plant-a/heat-pumps/enable_on"


def test_a_plant_rests_while_its_tanks_are_hot_and_its_compressors_have_run(district: District) -> None:
    seen = snapshot({**HOT, ENABLE: 1.0})
    rest = [command(ENABLE, 0.0)]
    assert permit(rest, district=district, snapshot=seen, now=NOW).refused == []
    just_on = {ENABLE: NOW - timedelta(minutes=5)}
    [(_, refusal)] = permit(rest, district=district, snapshot=seen, now=NOW, since=just_on).refused
    assert "on for 5 of at least 10 min" in refusal.why
    off = snapshot({**HOT, ENABLE: 0.0})
    [(_, refusal)] = permit([command(ENABLE, 1.0)], district=district, snapshot=off, now=NOW, since=just_on).refused
    assert "off for 5 of at least 10 min" in refusal.why


def test_a_capacity_of_nothing_is_a_stop_too(district: District) -> None:
    capacity = "plant-a/heat-pumps/capacity_share"
    seen = snapshot({**HOT, capacity: 0.4})
    just_on = {capacity: NOW - timedelta(minutes=9)}
    [(_, refusal)] = permit([command(capacity, 0.0)], district=district, snapshot=seen, now=NOW, since=just_on).refused
    assert "on for 9 of at least 10 min" in refusal.why
    assert permit([command(capacity, 0.2)], district=district, snapshot=seen, now=NOW, since=just_on).refused == []
    cold = snapshot({**HOT, "horizon/tank/top_temperature_c": 50.0, capacity: 0.4})
    [(_, refusal)] = permit([command(capacity, 0.0)], district=district, snapshot=cold, now=NOW).refused
    assert "horizon/tank needs it: the outlet is at 50 degC" in refusal.why


def test_a_reading_of_long_ago_judges_nothing(district: District) -> None:
    late = NOW + timedelta(minutes=21)
    still_good = NOW + timedelta(minutes=20)
    hold = [replace(command(CHARGE, 0.0), expires_at=late + timedelta(minutes=15))]
    assert permit(hold, district=district, snapshot=snapshot(HOT), now=still_good).refused == []
    [(_, refusal)] = permit(hold, district=district, snapshot=snapshot(HOT), now=late).refused
    assert "outlet temperature is not known" in refusal.why


def test_a_sign_of_life_is_commanded_by_nobody(district: District) -> None:
    beat = "plant-a/heat-pumps/heartbeat_count"
    assert refusals(district, {beat: 5.0}, command(beat, 6.0)) == ["is a sign of life, which nobody commands"]
    assert refusals(district, {}, command(beat, None)) == []


def test_what_stands_by_our_command_is_not_sent_again(district: District) -> None:
    setpoint = "horizon/flat-0101/setpoint_c"
    seen = snapshot({OFFSET: 0.5, setpoint: 19.0})

    def said(value: float) -> list[str]:
        wanted = [command(OFFSET, value)]
        permission = permit(wanted, district=district, snapshot=seen, now=NOW, standing={OFFSET: 0.5})
        return [r.why for _, r in permission.refused]

    assert said(0.5) == ["it stands at 0.5 by our command, and a change of 0 is not worth a write"]
    assert len(said(0.7)) == 1
    assert said(0.8) == said(0.0) == []


@pytest.mark.parametrize(
    ("point", "value", "supply"),
    [
        ("parking/point-01/current_limit_a", 16.0, "parking/landlord"),
        ("plant-a/heat-pumps/capacity_share", 0.9, "plant-a/plant"),
        ("plant-a/heat-pumps/enable_on", 1.0, "plant-a/plant"),
    ],
)
def test_no_load_is_raised_above_a_full_fuse(district: District, point: str, value: float, supply: str) -> None:
    metered = f"{supply}/power_kw"
    assert metered in district.wires
    limit = district.assets[supply].physical_limit_kw  # type: ignore[attr-defined]
    off = {f"parking/point-{i:02d}/current_limit_a": 0.0 for i in range(1, 21)} | {point: 0.0}
    assert refusals(district, off | {metered: limit}, command(point, value)) == []
    [said] = refusals(district, off | {metered: limit + 1}, command(point, value))
    assert "what its fuse takes" in said
    assert refusals(district, off | {point: value, metered: limit + 1}, command(point, value)) == []


def test_a_tank_is_never_set_below_hot(district: District) -> None:
    aim = "horizon/tank/setpoint_c"
    wire = district.wires[aim]
    write = wire.measure.write
    assert write is not None
    # A device file that allows less does not make it hot water.
    lax = replace(wire, measure=wire.measure.model_copy(update={"write": write.model_copy(update={"minimum": 40.0})}))
    lenient = replace(district, wires={**district.wires, aim: lax})
    assert "no hot water" in refusals(lenient, {aim: 58.0}, command(aim, 50.0))[0]
    assert refusals(lenient, {aim: 58.0}, command(aim, 55.0)) == []


def test_a_tank_is_charged_only_to_what_its_plant_reaches(district: District) -> None:
    aim, leaving = "horizon/tank/setpoint_c", "plant-a/heat-pumps/hot_water_leaving_setpoint_c"
    plant = district.assets["horizon/tank"].plant  # type: ignore[attr-defined]
    leaving = f"{plant}/hot_water_leaving_setpoint_c"
    assert "cannot charge a tank to 64" in refusals(district, {aim: 60.0, leaving: 62.0}, command(aim, 64.0))[0]
    assert refusals(district, {aim: 60.0}, command(aim, 64.0)) == []
    assert "cannot charge a tank" in refusals(district, {aim: 64.0, leaving: 66.0}, command(leaving, 60.0))[0]


def test_an_occupied_zone_keeps_its_floor(district: District) -> None:
    heating = next(p for p in district.commanded if p.endswith("/heating_setpoint_c"))
    mode, cooling = (heating.replace("heating_setpoint_c", q) for q in ("occupancy_mode", "cooling_setpoint_c"))
    seen = {heating: 17.5, mode: 2.0, cooling: 26.0}
    assert "below the floor" in refusals(district, seen, command(heating, 17.0))[0]
    assert refusals(district, seen | {mode: 3.0}, command(heating, 17.0)) == []
    if cooling in district.commanded:
        assert refusals(district, seen, command(cooling, 25.0)) == []


def test_a_battery_is_charged_within_its_content_and_its_fuse(district: District) -> None:
    power, supply = "parking/battery/power_setpoint_kw", f"{district.assets['parking/battery'].supply}/power_kw"  # type: ignore[attr-defined]
    seen = {power: 0.0, "parking/battery/stored_kwh": 100.0, "parking/battery/power_kw": 0.0, supply: 0.0}
    assert refusals(district, seen, command(power, 50.0)) == []
    assert "what its fuse takes" in refusals(district, seen | {supply: 5000.0}, command(power, 50.0))[0]
    assert "carries now is not known" in refusals(district, seen | {supply: None}, command(power, 50.0))[0]
    unmetered = replace(district, wires={p: w for p, w in district.wires.items() if p != supply})
    assert refusals(unmetered, seen | {supply: None}, command(power, 50.0)) == []


def test_chargers_on_one_cable_are_shed_together(district: District) -> None:
    # feeder-north carries 110 kW; every fourth of its 20 points has three phases: 5 x 22.08 + 15 x 7.36 = 220.8 kW.
    limits = [f"parking/point-{i:02d}/current_limit_a" for i in range(1, 21)]
    seen = dict.fromkeys(limits, 0.0)
    said = refusals(district, seen, *(command(p, 32.0) for p in limits))
    assert len(said) == 20
    assert "the cable carries 110" in said[0]
    # At 10 A: 5 x 6.9 + 15 x 2.3 = 69 kW.
    assert refusals(district, seen, *(command(p, 10.0) for p in limits)) == []


def test_lowering_is_allowed_even_on_an_overloaded_cable(district: District) -> None:
    limits = [f"parking/point-{i:02d}/current_limit_a" for i in range(1, 21)]
    seen = dict.fromkeys(limits, 32.0)
    assert refusals(district, seen, command(limits[0], 6.0)) == []


def test_what_moved_is_seen(district: District) -> None:
    [deviation] = verify({OFFSET: 0.5, CURVE: 1.0}, snapshot({OFFSET: 0.0, CURVE: 1.0}))
    assert str(deviation) == f"{OFFSET} was commanded to 0.5 and stands at 0"
    assert verify({OFFSET: 0.5}, snapshot({OFFSET: None})) == []  # unread proves nothing


def test_heartbeats_belong_to_the_adapters(district: District) -> None:
    assert "plant-a/heat-pumps/heartbeat_count" in heartbeats(district)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_number_outside_the_limits_passes(data: st.DataObject) -> None:
    wired = _district()
    point = data.draw(st.sampled_from(sorted(wired.commanded)))
    value = data.draw(st.floats(allow_nan=True, allow_infinity=True))
    write = wired.wires[point].measure.write
    assert write is not None
    for allowed in permit([command(point, value)], district=wired, snapshot=snapshot({}), now=NOW).allowed:
        assert allowed.value is not None
        assert write.minimum - 1e-6 <= allowed.value <= write.maximum + 1e-6


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_is_due_passes_range_and_ramp(data: st.DataObject) -> None:
    wired = _district()
    point = data.draw(st.sampled_from(sorted(wired.commanded)))
    write = wired.wires[point].measure.write
    assert write is not None
    found = data.draw(st.floats(write.minimum, write.maximum))
    value = data.draw(st.floats(-100, 100))
    for wanted in due(
        [Setpoint(point, value)], district=wired, snapshot=snapshot({point: found}), standing={}, expires_at=SOON
    ):
        assert wanted.value is not None
        assert write.minimum <= wanted.value <= write.maximum
        assert write.ramp_per_slot is None or abs(wanted.value - found) <= write.ramp_per_slot + 1e-6


_cached: list[District] = []


def _district() -> District:
    if not _cached:
        _cached.append(read_district(Path("buildings")))
    return _cached[0]
