"""From set points to commands, through the gate, on the default district."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.assets import Tank, Zone
from ems.command import Command, Setpoint
from ems.dispatch import due, heartbeats, permit, verify
from ems.dispatch.due import shaped, step_of
from ems.dispatch.rules import rule_setpoints
from ems.district import District
from ems.points import Quality, Sample
from ems.snapshot import Override, Snapshot
from tests.served_district import whole_district

NOW = datetime(2026, 1, 20, 7, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=30)
OFFSET = "horizon/flat-0101/setpoint_offset_k"
CURVE = "horizon/substation/heating_curve_offset_k"
CHARGE = "horizon/tank/charge_on"


@pytest.fixture(scope="module")
def district() -> District:
    return whole_district()


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


@pytest.mark.parametrize(
    ("at", "closed", "mode"),
    [
        (datetime(2026, 7, 15, 8, tzinfo=UTC), False, 2.0),  # a Wednesday, ten in Paris
        (datetime(2026, 7, 14, 8, tzinfo=UTC), False, 3.0),  # the day before, a public holiday
        (datetime(2026, 7, 15, 8, tzinfo=UTC), True, 3.0),
    ],
)
def test_without_a_plan_too_an_office_is_shut_on_holidays_and_closing_days(
    district: District, at: datetime, closed: bool, mode: float
) -> None:
    offices = next(n for n, z in district.of(Zone).items() if z.use == "offices")
    seen = replace(snapshot({}), closed={offices: frozenset({at.date()})} if closed else {})
    wanted = {s.point: s.value for s in rule_setpoints(district, seen, at)}
    assert wanted[f"{offices}/occupancy_mode"] == mode


def test_a_large_change_is_taken_in_steps(district: District) -> None:
    [first] = due(
        [Setpoint(CURVE, 5.0)], district=district, snapshot=snapshot({CURVE: 0.0}), standing={}, expires_at=SOON
    )
    assert first.value == 3.0  # 3 K a quarter-hour
    assert first.previous == 0.0


def test_a_device_outside_its_range_is_led_back_a_ramp_at_a_time(district: District) -> None:
    # The curve takes -5..5 K, 3 K a quarter-hour; somebody left it at 9: 6 is as far back as one step leads.
    [back] = due(
        [Setpoint(CURVE, 0.0)], district=district, snapshot=snapshot({CURVE: 9.0}), standing={}, expires_at=SOON
    )
    assert back.value == 5.0  # what is written is within the range, and the gate judges the step
    assert shaped(0.0, district.wires[CURVE], -8.5) == -5.0


@pytest.mark.parametrize(
    ("wanted", "found", "step", "written"),
    [
        (5.0, 0.0, 0.1, 3.0),  # one ramp up
        (-5.0, 0.0, 0.1, -3.0),  # and down
        (9.0, 4.0, 0.1, 5.0),  # the range ends before the ramp
        (-9.0, -4.0, 0.1, -5.0),
        (1.04, 0.0, 0.1, 1.0),
        (1.06, None, 0.1, 1.1),  # where it stands is not known: the gate will say so
        (5.0, 0.3, 0.5, 3.0),  # 3.3 would be 3.5 in halves: beyond the ramp
        (-5.0, -0.3, 0.5, -3.0),
        (4.2, None, 2.0, 4.0),
    ],
)
def test_a_set_point_is_shaped_to_ramp_range_and_step(
    district: District, wanted: float, found: float | None, step: float, written: float
) -> None:
    wire = district.wires[CURVE]
    coarse = replace(wire, measure=wire.measure.model_copy(update={"resolution": step}))
    assert shaped(wanted, coarse, found) == written


def test_a_current_limit_is_rounded_down_lest_a_cable_be_overfilled(district: District) -> None:
    """Three at 9.96, 6.98 and 14.94 A make 31.88 A; rounded to tenths 31.9 A, rounded down 31.7 A."""
    wire = next(w for p, w in district.wires.items() if p.endswith("/current_limit_a"))
    assert [shaped(a, wire, None) for a in (9.96, 6.98, 14.94)] == [9.9, 6.9, 14.9]
    assert shaped(6.0 - 1e-9, wire, None) == 6.0  # a solver's six


@pytest.mark.parametrize(
    ("quantity", "step"),
    [
        ("supply_temperature_c", 0.1),
        ("offset_k", 0.1),
        ("power_kw", 0.1),
        ("limit_a", 0.1),
        ("capacity_share", 0.01),
        ("enable_on", 1.0),
        ("starts_count", 1.0),
        ("pump_hz", 1e-6),  # nobody said what is worth a write
    ],
)
def test_a_step_is_what_somebody_notices(district: District, quantity: str, step: float) -> None:
    more, point = with_point(district, CURVE, quantity)
    assert step_of(more.wires[point]) == step


def test_within_the_dead_band_nothing_is_due(district: District) -> None:
    more, point = with_point(district, CURVE, "trial_k", dead_band=0.5)

    def due_from(standing: float, found: float | None, wanted: float) -> list[float | None]:
        commands = due(
            [Setpoint(point, wanted)], district=more, snapshot=snapshot({point: found}), standing={point: standing},
            expires_at=SOON,
        )  # fmt: skip
        return [c.value for c in commands]

    assert due_from(0.5, 0.5, 1.0) == []  # no more than half a kelvin
    assert due_from(0.5, 0.5, 1.1) == [1.1]
    assert due_from(0.5, 0.5, 0.0) == [0.0]  # back to nothing
    assert due_from(0.0, 0.0, 0.0) == []
    assert due_from(0.5, 0.5 + 2**-14, 0.5) == []
    assert due_from(0.5, 0.5 + 2**-13, 0.5) == [0.5]  # it moved
    assert due_from(0.5, None, 0.5) == [0.5]


def test_what_a_command_says(district: District) -> None:
    wanted = [Setpoint(OFFSET, 0.5, "why"), Setpoint(CURVE, 1.0)]
    first, second = due(wanted, district=district, snapshot=snapshot({OFFSET: 0.0}), standing={}, expires_at=SOON)
    slot = int(NOW.timestamp()) // 900
    assert first == Command(f"{slot}:{OFFSET}", OFFSET, 0.5, SOON, previous=0.0, reason="why")
    assert second == Command(f"{slot}:{CURVE}", CURVE, 1.0, SOON)


def test_what_is_no_number_is_left_to_the_gate(district: District) -> None:
    [command] = due([Setpoint(CURVE, math.inf)], district=district, snapshot=snapshot({}), standing={}, expires_at=SOON)
    assert command.value == math.inf


def test_a_person_is_not_fought(district: District) -> None:
    wanted = [Setpoint(OFFSET, 0.5)]
    held = Override(OFFSET, 0.0, "manager", "visit", SOON)
    seen = snapshot({OFFSET: 0.0}, overrides={OFFSET: held})
    assert due(wanted, district=district, snapshot=seen, standing={}, expires_at=SOON) == []
    at_device = snapshot({OFFSET: -1.0})
    held_below = {OFFSET: 0.3}  # what stands in our own slot of the priority array
    assert due(wanted, district=district, snapshot=at_device, standing={}, overridden=held_below, expires_at=SOON) == []
    blind = snapshot({OFFSET: None})
    assert due(wanted, district=district, snapshot=blind, standing={}, overridden=held_below, expires_at=SOON)
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


@pytest.mark.parametrize(("priority", "ours"), [(8, False), (9, True), (15, True), (16, False)])
def test_our_priorities_lie_between_people_and_timetables(district: District, priority: int, ours: bool) -> None:
    said = refusals(district, {CURVE: 0.0}, command(CURVE, 1.0, priority=priority))
    assert (said == []) is ours


def test_a_command_holds_until_it_expires(district: District) -> None:
    last = replace(command(CURVE, 1.0), expires_at=NOW + timedelta(microseconds=1))
    assert refusals(district, {CURVE: 0.0}, last) == []


def test_what_a_person_holds_may_be_confirmed(district: District) -> None:
    held = Override(CURVE, 1.0, "lea", "visit", SOON)
    seen = snapshot({CURVE: 0.0}, overrides={CURVE: held})
    assert permit([command(CURVE, 1.0)], district=district, snapshot=seen, now=NOW).refused == []


def with_point(district: District, like: str, quantity: str, **write: float) -> tuple[District, str]:
    """The district with one more point beside another one, written as that is but for what is told."""
    wire = district.wires[like]
    assert wire.measure.write is not None
    point = f"{like.rpartition('/')[0]}/{quantity}"
    limits = wire.measure.write.model_copy(update=write)
    more = replace(wire, point=point, measure=wire.measure.model_copy(update={"write": limits}))
    return replace(district, wires={**district.wires, point: more}), point


def test_the_limits_of_a_current_are_those_of_nothing_else(district: District) -> None:
    more, enable = with_point(district, "parking/point-01/current_limit_a", "enable_on", minimum=0, maximum=1)
    assert refusals(more, {enable: 0.0}, command(enable, 1.0)) == []
    assert "not a whole state" in refusals(more, {enable: 0.0}, command(enable, 0.5))[0]
    more, reserve = with_point(district, "parking/battery/power_setpoint_kw", "reserve_kw", minimum=-300, maximum=300)
    assert refusals(more, {reserve: 0.0}, command(reserve, 200.0)) == []
    assert refusals(more, {reserve: 0.0}, command(reserve, -200.0)) == []
    battery = "parking/battery/power_setpoint_kw"
    assert "below the minimum of -150" in refusals(district, {}, command(battery, -151.0))[0]
    more, steps = with_point(district, "parking/point-01/current_limit_a", "step_count", minimum=0, maximum=9)
    assert "not a whole state" in refusals(more, {steps: 0.0}, command(steps, 2.5))[0]
    more, share = with_point(district, "parking/point-01/current_limit_a", "limit_share", minimum=0, maximum=1)
    assert refusals(more, {share: 0.0}, command(share, 0.5)) == []


def test_a_recirculation_pump_goes_on_whoever_could_stop_it(district: District) -> None:
    more, pump = with_point(district, CHARGE, "recirculation_on")
    assert "never stopped" in refusals(more, {pump: 1.0}, command(pump, 0.0))[0]
    assert refusals(more, {pump: 0.0}, command(pump, 1.0)) == []


def test_heating_and_cooling_are_judged_together(district: District) -> None:
    zone = next(p for p in district.commanded if p.endswith("/cooling_setpoint_c")).rpartition("/")[0]
    heating, cooling = f"{zone}/heating_setpoint_c", f"{zone}/cooling_setpoint_c"
    seen = {heating: 20.0, cooling: 26.0, f"{zone}/occupancy_mode": 2.0}
    assert refusals(district, seen, command(heating, 23.0), command(cooling, 25.0)) == []
    # Each by itself would do; both together do not, and each waits for the other.
    assert len(refusals(district, seen, command(heating, 23.5), command(cooling, 25.0))) == 2
    assert "less than 2 K apart" in refusals(district, seen | {heating: 23.5}, command(cooling, 25.0))[0]
    assert "less than 2 K apart" in refusals(district, seen | {cooling: 25.0}, command(heating, 23.5))[0]
    # 24 degC of heating needs a cooling set point of 26: that is refused as late, and what stands does not do.
    late = replace(command(cooling, 26.0), expires_at=NOW)
    said = refusals(district, seen | {heating: 23.0, cooling: 25.5}, command(heating, 24.0), late)
    assert "expired" in said[0] and "less than 2 K apart" in said[1]


def test_a_mode_that_is_commanded_counts_before_the_one_that_stands(district: District) -> None:
    heating = next(p for p in district.commanded if p.endswith("/heating_setpoint_c"))
    mode = heating.replace("heating_setpoint_c", "occupancy_mode")
    seen = {heating: 19.0, mode: 2.0}
    assert refusals(district, seen, command(heating, 16.0), command(mode, 3.0)) == []
    assert len(refusals(district, seen | {mode: 3.0}, command(heating, 16.0), command(mode, 2.0))) == 1


def test_to_charge_is_always_allowed(district: District) -> None:
    assert refusals(district, {CHARGE: 0.0}, command(CHARGE, 1.0)) == []
    assert refusals(district, {"plant-a/heat-pumps/enable_on": 0.0}, command("plant-a/heat-pumps/enable_on", 1.0)) == []


def test_a_plant_looks_at_its_own_tanks_alone(district: District) -> None:
    plants = {n: t.plant for n, t in district.of(Tank).items()}
    enable = "plant-a/heat-pumps/enable_on"
    for tank, plant in plants.items():
        cold = {**HOT, enable: 1.0, f"{tank}/middle_temperature_c": 45.0}
        said = refusals(district, cold, command(enable, 0.0))
        assert (said == []) is (plant != "plant-a/heat-pumps"), tank
    cold = {**HOT, enable: 1.0, "horizon/tank/return_temperature_c": 45.0}
    assert "returns at 45" in refusals(district, cold, command(enable, 0.0))[0]


def test_a_plant_leaves_warm_enough_for_the_tanks_that_are_known(district: District) -> None:
    leaving = "plant-a/heat-pumps/hot_water_leaving_setpoint_c"
    tanks = [n for n, t in district.of(Tank).items() if t.plant == "plant-a/heat-pumps"]
    others = [n for n, t in district.of(Tank).items() if t.plant != "plant-a/heat-pumps"]
    warm = {f"{others[0]}/setpoint_c": 65.0, f"{tanks[0]}/setpoint_c": 60.0, leaving: 66.0}
    assert refusals(district, warm, command(leaving, 62.0)) == []
    assert refusals(district, {leaving: 66.0}, command(leaving, 61.0)) == []  # no tank is known to want more
    # A set point of the same slot counts.
    both = (command(leaving, 62.0), command(f"{tanks[0]}/setpoint_c", 64.0))
    assert len(refusals(district, warm, *both)) == 2
    assert refusals(district, warm, command(leaving, 66.0), command(f"{tanks[0]}/setpoint_c", 64.0)) == []
    raised = (command(leaving, 67.0), command(f"{tanks[0]}/setpoint_c", 65.0))
    assert refusals(district, warm, *raised) == []


def test_a_battery_keeps_a_tenth_and_leaves_a_twentieth(district: District) -> None:
    power, stored = "parking/battery/power_setpoint_kw", "parking/battery/stored_kwh"
    supply = "parking/landlord/power_kw"
    seen = {power: 0.0, "parking/battery/power_kw": 0.0, supply: 0.0}
    # 300 kWh: between 30 and 285.
    assert refusals(district, seen | {stored: 31.0}, command(power, -20.0)) == []
    assert "at least 30" in refusals(district, seen | {stored: 30.0}, command(power, -20.0))[0]
    assert refusals(district, seen | {stored: 284.0}, command(power, 20.0)) == []
    assert "at most 285" in refusals(district, seen | {stored: 285.0}, command(power, 20.0))[0]


def test_a_battery_that_charges_is_not_counted_twice(district: District) -> None:
    power, stored = "parking/battery/power_setpoint_kw", "parking/battery/stored_kwh"
    # The fuse takes 325 kW; 320 are carried, 100 of them by the battery: 105 fit.
    seen = {power: 100.0, stored: 100.0, "parking/battery/power_kw": 100.0, "parking/landlord/power_kw": 320.0}
    assert refusals(district, seen, command(power, 105.0)) == []
    assert "would carry 326.0 kW" in refusals(district, seen, command(power, 106.0))[0]
    full = seen | {"parking/landlord/power_kw": 400.0}
    assert refusals(district, full, command(power, 90.0)) == []  # less than now


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


def test_a_clock_that_went_back_locks_no_plant_until_it_has_caught_up(district: District) -> None:
    off = snapshot({**HOT, ENABLE: 0.0})
    to_come = {ENABLE: NOW + timedelta(days=1)}
    assert permit([command(ENABLE, 1.0)], district=district, snapshot=off, now=NOW, since=to_come).refused == []
    just_now = {ENABLE: NOW}
    [(_, refusal)] = permit([command(ENABLE, 1.0)], district=district, snapshot=off, now=NOW, since=just_now).refused
    assert "off for 0 of at least 10 min" in refusal.why


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
        ("calanques/bikes/power_limit_kw", 2.0, "calanques/landlord"),
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
    # A tank out of service stands where it stands: the plant may be raised towards it, ramp by ramp.
    assert refusals(district, {aim: 64.0, leaving: 60.0}, command(leaving, 63.0)) == []


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
    # The other cable's points are not known and may draw in full: that is its own matter.
    south = "parking/point-24/current_limit_a"
    assert len(refusals(district, seen, command(limits[0], 10.0), command(south, 16.0))) == 1
    wide = district.assets["parking/feeder-south"].model_copy(update={"limit_kw": 500.0})
    wider = replace(district, assets={**district.assets, "parking/feeder-south": wide})
    assert refusals(wider, seen, command(limits[0], 10.0), command(south, 16.0)) == []


def test_lowering_is_allowed_even_on_an_overloaded_cable(district: District) -> None:
    limits = [f"parking/point-{i:02d}/current_limit_a" for i in range(1, 21)]
    seen = dict.fromkeys(limits, 32.0)
    assert refusals(district, seen, command(limits[0], 6.0)) == []
    assert refusals(district, seen, command(limits[0], 32.0)) == []  # it asks for no more
    assert len(refusals(district, seen | {limits[0]: 31.0}, command(limits[0], 32.0))) == 1
    assert len(refusals(district, seen | {limits[0]: None}, command(limits[0], 6.0))) == 1  # it may have rested


def test_what_moved_is_seen(district: District) -> None:
    [deviation] = verify({OFFSET: 0.5, CURVE: 1.0}, snapshot({OFFSET: 0.0, CURVE: 1.0}))
    assert str(deviation) == f"{OFFSET} was commanded to 0.5 and stands at 0"
    assert verify({OFFSET: 0.5}, snapshot({OFFSET: None})) == []  # unread proves nothing
    assert verify({OFFSET: 0.5}, snapshot({OFFSET: 0.75}), tolerance=0.25) == []
    assert verify({OFFSET: 0.5}, snapshot({OFFSET: 0.45})) == []  # a tenth is what devices resolve


def test_heartbeats_belong_to_the_adapters(district: District) -> None:
    beats = heartbeats(district)
    assert "plant-a/heat-pumps/heartbeat_count" in beats
    assert all(beat in district.wires and beat.endswith("heartbeat_count") for beat in beats)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_number_outside_the_limits_passes(data: st.DataObject) -> None:
    wired = whole_district()
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
    wired = whole_district()
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
