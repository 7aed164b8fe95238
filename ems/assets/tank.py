"""A collective hot-water tank: stratified, recirculated, hygienic.

Outlet at least 55 degC and return at least 50 degC always; what is flexible is the hot volume and 55-65 degC.
charge_kw > 0 is heat from the plant into the tank.
"""

from __future__ import annotations

from typing import Literal

from ems.assets.asset import Asset, Celsius, NotNegative, Positive


class Tank(Asset):
    """The hot-water tank (or the row of tanks) of one building."""

    type: Literal["tank"] = "tank"
    plant: str
    supply: str  # of the electric heater and the pumps
    volume_m3: Positive
    charge_limit_kw: Positive
    recirculation_loss_kw: NotNegative
    standing_loss_kw: NotNegative
    heater_kw: NotNegative = 0.0
    minimum_c: Celsius = 55.0
    maximum_c: Celsius = 65.0
    cold_water_c: Celsius = 15.0
    daily_draw_m3: Positive  # at 60 degC equivalents, design mean
