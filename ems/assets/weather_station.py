"""A weather station: outdoor temperature, humidity, irradiance, seawater. It only measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ems.assets.asset import Asset
from ems.assets.outlook import Outlook, Part, Planned
from ems.command import Setpoint
from ems.series import Floats

DESIGN_OUTDOOR_C = 10.0


class WeatherStation(Asset):
    """Sensors of the district's surroundings."""

    type: Literal["weather-station"] = "weather-station"


TYPES = (WeatherStation,)


def outdoor_c(outlook: Outlook) -> Floats:
    """Forecast outdoor temperature, degC; else what is measured now, held."""
    return _expected(outlook, "outdoor_temperature_c", DESIGN_OUTDOOR_C)


def irradiance_w_per_m2(outlook: Outlook) -> Floats:
    """Forecast global horizontal irradiance; else none, which is the cautious side for heating."""
    return _expected(outlook, "irradiance_w_per_m2", 0.0)


def _expected(outlook: Outlook, quantity: str, design: float) -> Floats:
    stations = list(outlook.of(WeatherStation).values())
    point = stations[0].point(quantity) if stations else quantity
    now = outlook.snapshot.value(point)
    return outlook.expected(point, design if now is None else now)


def build(block: Any, fleet: Mapping[str, WeatherStation], outlook: Outlook) -> Part:
    """A sensor has no rules."""
    return Part()


def actuate(planned: Planned, fleet: Mapping[str, WeatherStation], outlook: Outlook) -> list[Setpoint]:
    """A sensor takes no set point."""
    return []
