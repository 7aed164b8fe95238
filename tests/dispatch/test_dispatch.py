"""From set points to commands, through the gate, on the default district."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
    [said] = refusals(district, {}, command(point, value))
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
