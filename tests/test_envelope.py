"""The envelope: each rule once by hand, and what must hold for any number."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems import envelope
from ems.envelope import Limits

CHARGER = Limits(minimum=0, maximum=32, zero_or_at_least=6)
COMPRESSOR = Limits(minimum=0, maximum=1, least_on_s=600, least_off_s=300)


def test_imports_nothing_of_ems() -> None:
    tree = ast.parse(Path(envelope.__file__).read_text(encoding="utf-8"))
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert not [name for name in imported if name and name.startswith("ems")]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "5", None, True])
def test_what_is_no_number_never_leaves(value: object) -> None:
    assert "no finite number" in (envelope.outside_limits(value, CHARGER) or "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (-1, "below the minimum of 0"),
        (33, "above the maximum of 32"),
        (3, "between 0 and the smallest value of 6"),
        (0.5, "between 0 and the smallest value of 6"),
    ],
)
def test_a_charger_takes_nothing_or_its_minimum(value: float, why: str) -> None:
    assert why in (envelope.outside_limits(value, CHARGER) or "")


@pytest.mark.parametrize("value", [0, 6, 16.5, 32])
def test_a_charger_takes_what_it_can_follow(value: float) -> None:
    assert envelope.outside_limits(value, CHARGER) is None


def test_a_state_is_whole() -> None:
    assert "whole" in (envelope.outside_limits(0.5, Limits(minimum=0, maximum=1, whole=True)) or "")


def test_a_whole_state_may_be_any_of_them() -> None:
    assert envelope.outside_limits(2, Limits(minimum=1, maximum=3, whole=True)) is None


def test_a_limit_is_a_limit_to_the_last_digit() -> None:
    # A millionth is rounding; 2**-20 and its sums with 32 are exact.
    assert envelope.outside_limits(32 + 2**-20, CHARGER) is None
    assert envelope.outside_limits(32 + 2**-20 + 2**-40, CHARGER) is not None
    assert envelope.outside_limits(-(2**-20), CHARGER) is None
    assert envelope.outside_limits(-(2**-20) - 2**-40, CHARGER) is not None


def test_nothing_is_limited_that_nobody_limits() -> None:
    plain = Limits(minimum=0, maximum=1)
    assert plain == Limits(
        minimum=0, maximum=1, ramp_per_slot=None, least_on_s=0, least_off_s=0, dead_band=0, zero_or_at_least=None,
        whole=False,
    )  # fmt: skip
    assert envelope.changes_nothing(0.5 + 2**-14, 0.5, 0.5, plain) is not None  # the same, to a float32
    assert envelope.changes_nothing(0.5 + 2**-13, 0.5, 0.5, plain) is None


def test_a_ramp_counts_from_what_stands() -> None:
    limits = Limits(minimum=-5, maximum=5, ramp_per_slot=3)
    assert envelope.too_fast(4, 2, limits) is None
    assert envelope.too_fast(-1, 2, limits) is None
    assert envelope.too_fast(3, 0, limits) is None
    assert "more than 3" in (envelope.too_fast(3.5, 0, limits) or "")
    assert "where it stands is not known" in (envelope.too_fast(0, None, limits) or "")
    assert envelope.too_fast(5, None, Limits(minimum=-5, maximum=5)) is None  # no ramp, nothing to know


@pytest.mark.parametrize(
    ("offset", "setpoint", "refused"),
    [
        (0, None, False),  # no offset is always safe
        (-1, None, True),  # not known, so no offset is safe
        (-1, 19, False),  # 18 is the floor
        (-1, 18.5, True),  # 17.5 is below it
        (1, 20, False),
        (1, 20.5, True),
        (-1, 23, False),  # a resident who asks for more than the ceiling may be lowered ...
        (0.5, 23, True),  # ... and is not pushed further
        (1, 16, False),  # an economical resident may be warmed a little ...
        (-0.5, 16, True),  # ... and is not cooled further
        (0.5, 16, False),
        (-0.5, 23, False),
        (0.5, 20.75, True),
    ],
)
def test_homes_stay_in_their_band(offset: float, setpoint: float | None, refused: bool) -> None:
    assert (envelope.outside_band(offset, setpoint, 18, 21) is not None) is refused


@given(st.floats(-1, 1), st.floats(5, 30))
def test_an_offset_that_passes_never_leaves_the_band_further(offset: float, setpoint: float) -> None:
    if envelope.outside_band(offset, setpoint, 18, 21) is None:
        target = setpoint + offset
        assert target >= min(18, setpoint) - 1e-3
        assert target <= max(21, setpoint) + 1e-3


def test_heating_and_cooling_stand_two_kelvin_apart() -> None:
    assert envelope.heats_against_cooling(24, 26) is None
    assert "less than 2 K" in (envelope.heats_against_cooling(24.5, 26) or "")
    assert envelope.heats_against_cooling(24, None) is None


@pytest.mark.parametrize(
    ("outlet", "middle", "back", "why"),
    [
        (None, 55, 51, "outlet temperature is not known"),
        (56.9, 55, 51, "must stay 2 K above 55"),
        (60, None, 51, "tank's middle is not known"),
        (60, 49, 51, "too little of it is hot"),
        (60, 55, None, "return temperature is not known"),
        (60, 55, 49, "must stay at 50"),
    ],
)
def test_a_tank_that_is_not_surely_hot_goes_on_charging(
    outlet: float | None, middle: float | None, back: float | None, why: str
) -> None:
    assert why in (envelope.starves_hot_water(outlet, middle, back) or "")


def test_a_hot_tank_may_wait() -> None:
    assert envelope.starves_hot_water(57, 50, 50) is None


def test_a_plant_leaves_warmer_than_the_tanks_it_charges() -> None:
    assert envelope.leaves_too_cool(66, [60, 64]) is None
    assert "cannot charge a tank to 65" in (envelope.leaves_too_cool(66, [60, 65]) or "")
    assert envelope.leaves_too_cool(58, []) is None
    # Out of 60 degC it is raised by as much as its ramp allows; let it be lowered and it may not stay too cool.
    assert envelope.leaves_too_cool(66, [65], now_c=60) is None
    assert "cannot charge" in (envelope.leaves_too_cool(66, [65], now_c=66) or "")
    assert "cannot charge" in (envelope.leaves_too_cool(64, [65], now_c=66) or "")


@pytest.mark.parametrize(
    ("power", "stored", "refused"),
    [
        (10, None, True),
        (0, None, False),
        (10, 95, True),
        (0.5, 95, True),
        (-10, 95, False),
        (-10, 10, True),
        (-0.5, 10, True),
        (10, 10, False),
        (0.5, 10, False),
    ],
)
def test_a_battery_is_neither_overfilled_nor_drained(power: float, stored: float | None, refused: bool) -> None:
    assert (envelope.overfills(power, stored, 10, 95) is not None) is refused


def test_a_cable_carries_what_it_carries() -> None:
    assert envelope.overloads([50, 60], 110) is None
    assert "together 111.0 kW" in (envelope.overloads([50, 61], 110) or "")


def test_a_recirculation_is_never_stopped() -> None:
    assert "never stopped" in (envelope.stops_recirculation("recirculation_on", 0) or "")
    assert envelope.stops_recirculation("recirculation_on", 1) is None
    assert envelope.stops_recirculation("charge_on", 0) is None


@pytest.mark.parametrize(
    ("heating", "present", "occupied", "refused"),
    [
        (17, 19, True, True),
        (17, None, True, True),  # where it stands is not known
        (17, 16, True, False),  # on its way up
        (17, 19, False, False),
        (18, 19, True, False),
        (17, 17, True, False),  # it stays where it is
    ],
)
def test_people_are_not_chilled(heating: float, present: float | None, occupied: bool, refused: bool) -> None:
    assert (envelope.chills_people(heating, present, 18, occupied=occupied) is not None) is refused


@pytest.mark.parametrize(
    ("power", "present", "supply", "own", "why"),
    [
        (10, 0, 50, 0, ""),  # 60 of 60
        (11, 0, 50, 0, "would carry 61.0 kW"),
        (11, 0, 55, 5, "would carry 61.0 kW"),  # what the battery takes already is not counted twice
        (-20, 0, None, None, ""),
        (5, 8, None, None, ""),  # less than now
        (8, 8, None, None, ""),
        (0.5, 0, None, 0, "not known"),
        (5, None, 90, 0, "would carry 95.0 kW"),
        (5, 0, None, 0, "not known"),
        (5, 0, 10, None, "not known"),
    ],
)
def test_a_battery_leaves_the_fuse_whole(
    power: float, present: float | None, supply: float | None, own: float | None, why: str
) -> None:
    said = envelope.overdraws(power, present, supply, own, 60)
    assert (said is None) if not why else (why in (said or ""))


@pytest.mark.parametrize(
    ("value", "present", "unchanged_s", "why"),
    [
        (0, 1, 300, "on for 5 of at least 10 min"),
        (0, 1, 599, "on for 9 of at least 10 min"),
        (0, 1, 600, ""),
        (1, 0, 240, "off for 4 of at least 5 min"),
        (1, 0, 300, ""),
        (0.5, 1, 0, ""),  # less of it is no switch
        (0, 0, 0, ""),
        (1, 1, 0, ""),
        (0, None, 0, ""),  # starting from the unknown is the ramp's matter
        (0, 1, None, ""),
    ],
)
def test_a_compressor_runs_and_rests_for_its_least_time(
    value: float, present: float | None, unchanged_s: float | None, why: str
) -> None:
    said = envelope.switches_too_soon(value, present, unchanged_s, COMPRESSOR)
    assert (said is None) if not why else (why in (said or ""))


OFFSET = Limits(minimum=-1, maximum=1, dead_band=0.25)


@pytest.mark.parametrize(
    ("value", "standing", "found", "refused"),
    [
        (0.5, 0.5, 0.5, True),  # it stands there
        (0.75, 0.5, 0.5, True),  # a quarter more is not felt
        (0.8, 0.5, 0.5, False),
        (0.0, 0.2, 0.2, False),  # back to nothing is always worth it
        (0.0, 0.0, 0.0, True),
        (0.5, 0.5, 0.0, False),  # a reboot put it back
        (0.5, None, 0.5, False),  # it stands there, but not by our command: claimed
        (0.5, 0.5, None, False),  # nobody knows where it stands
        (0.5, 0.5, 0.5 + 2**-14, True),  # a float32 of the same
        (0.5, 0.5, 0.5 + 2**-13, False),
    ],
)
def test_a_write_that_changes_nothing_is_none(
    value: float, standing: float | None, found: float | None, refused: bool
) -> None:
    said = envelope.changes_nothing(value, standing, found, OFFSET)
    assert (said is not None) is refused
    assert said is None or "by our command" in said


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_beyond_the_dead_band_every_change_leaves(value: float, standing: float) -> None:
    said = envelope.changes_nothing(value, standing, standing, OFFSET)
    assert said is None or abs(value - standing) <= 0.25
    if abs(value - standing) > 0.25:
        assert said is None


@pytest.mark.parametrize(
    ("value", "present", "supply", "refused"),
    [
        (16, 10, 60.0, False),
        (16, 10, 60.1, True),
        (16, None, 60.1, True),
        (10, 10, 90, False),  # it stays
        (6, 10, 90, False),  # or takes less
        (16, 10, None, False),  # the cable's own limit holds
    ],
)
def test_nothing_is_raised_above_a_full_fuse(
    value: float, present: float | None, supply: float | None, refused: bool
) -> None:
    said = envelope.carries_too_much(value, present, supply, 60)
    assert (said is not None) is refused
    assert said is None or "carries 60.1 kW already, and 60" in said


def test_a_tank_keeps_its_outlet_hot() -> None:
    assert envelope.stands_too_cool(55) is None
    assert "no hot water" in (envelope.stands_too_cool(54.9) or "")


@pytest.mark.parametrize(("age_s", "old"), [(0, False), (900, False), (1200, False), (1201, True), (-1, True)])
def test_an_old_reading_judges_nothing(age_s: float, old: bool) -> None:
    assert envelope.too_old(age_s) is old
