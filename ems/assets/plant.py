"""A plant room: water-source heat-pump circuits between the tempered loop and a block of buildings.

A plant is a set of circuits; each circuit is in one mode at a time: off, heating, hot water, cold, or one compressor
serving both sides (heating and cold, hot water and cold). power_kw > 0 is the compressors' electricity; loop_kw > 0 is
heat taken from the loop into the plant.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ems.assets.asset import Asset, Celsius, NotNegative, Positive, Share

MODES = ("heating", "hot_water", "cold", "heating_and_cold", "hot_water_and_cold")


class Plant(Asset):
    """Several equal circuits with heating, hot-water and cold duty.

    Capacity is per circuit, at the leaving temperatures named here.
    """

    type: Literal["plant"] = "plant"
    supply: str
    loop: str
    circuits: int = Field(ge=1, le=8)
    heat_kw: Positive  # per circuit
    cold_kw: Positive  # per circuit
    carnot_share: Share = 0.47
    heating_leaving_c: Celsius = 40.0
    hot_water_leaving_c: Celsius = 65.0
    cold_leaving_c: Celsius = 8.0
    minimum_load_share: Share = 0.25  # of one circuit
    pump_kw: NotNegative = 4.0
    minimum_run_minutes: int = Field(default=10, ge=0)
    minimum_rest_minutes: int = Field(default=10, ge=0)
    starts_per_hour: int = Field(default=4, ge=1)
    heating_buffer_m3: Positive = 3.0
    cold_buffer_m3: Positive = 2.0
