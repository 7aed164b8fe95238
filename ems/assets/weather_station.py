"""A weather station: outdoor temperature, humidity, irradiance, seawater. It only measures."""

from __future__ import annotations

from typing import Literal

from ems.assets.asset import Asset


class WeatherStation(Asset):
    """Sensors of the district's surroundings."""

    type: Literal["weather-station"] = "weather-station"
