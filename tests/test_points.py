"""Names and units: one suffix per quantity, and a sample that is believed only when it is good."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.points import (
    UNITS,
    Quality,
    Sample,
    dimension,
    good,
    is_counter,
    is_name,
    is_quantity,
    point_name,
    quantity_of,
    split_point,
    unit_label,
    unit_suffix,
)

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("quantity", "label", "what"),
    [
        ("power_kw", "kW", "power"),
        ("heat_energy_kwh", "kWh", "energy"),
        ("supply_temperature_c", "°C", "temperature"),
        ("heating_curve_offset_k", "K", "temperature difference"),
        ("flow_m3_per_h", "m³/h", "volume flow"),  # not hours
        ("wind_m_per_s", "m/s", "speed"),  # not seconds
        ("irradiance_w_per_m2", "W/m²", "irradiance"),
        ("price_per_kwh", "€/kWh", "price"),  # not energy
        ("carbon_kg_per_kwh", "kg/kWh", "carbon"),
        ("pump_on", "", "state"),
    ],
)
def test_the_longest_suffix_is_the_unit(quantity: str, label: str, what: str) -> None:
    assert (unit_label(quantity), dimension(quantity)) == (label, what)


@given(st.sampled_from(sorted(UNITS)))
def test_every_suffix_names_itself(suffix: str) -> None:
    assert unit_suffix(suffix) == unit_suffix(f"some_{suffix}") == suffix


def test_a_number_without_a_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="'power' ends in no unit; end it in one of _a,"):
        unit_suffix("power")


def test_counters_only_count_up() -> None:
    assert is_counter("energy_kwh") and is_counter("water_m3")
    assert not is_counter("power_kw") and not is_counter("flow_m3_per_h")


def test_a_point_is_building_asset_quantity() -> None:
    point = point_name("court", "battery", "power_kw")
    assert point == "court/battery/power_kw"
    assert split_point(point) == ("court", "battery", "power_kw") and quantity_of(point) == "power_kw"
    with pytest.raises(ValueError, match="a point is building/asset/quantity"):
        split_point("court/battery")


@pytest.mark.parametrize(
    ("text", "fine"),
    [("flat-101", True), ("a", True), ("Flat", False), ("a--b", False), ("-a", False), ("", False), ("é", False)],
)
def test_names_are_lower_case_words_joined_by_hyphens(text: str, fine: bool) -> None:
    assert is_name(text) is fine


@pytest.mark.parametrize(
    ("text", "fine"), [("power_kw", True), ("power-kw", False), ("_kw", False), ("Power_kw", False)]
)
def test_quantities_are_lower_case_words_joined_by_underscores(text: str, fine: bool) -> None:
    assert is_quantity(text) is fine


@pytest.mark.parametrize("quality", list(Quality))
def test_only_good_and_substituted_values_may_be_used(quality: Quality) -> None:
    sample = Sample(5.0, quality, NOW)
    assert sample.usable == (5.0 if quality in (Quality.GOOD, Quality.SUBSTITUTED) else None)
    assert sample.is_good is (quality is Quality.GOOD)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_missing_not_zero(value: float) -> None:
    assert good(value, NOW) == Sample(None, Quality.MISSING, NOW)
    assert good(0.0, NOW).usable == 0.0
