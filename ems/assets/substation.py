"""A building's heat (and cold) substation: it takes heat from its plant and hands it to the zones behind it.

heat_kw > 0 flows into the building.
"""

from __future__ import annotations

from typing import Literal

from ems.assets.asset import Asset, Celsius, NotNegative, Positive


class Substation(Asset):
    """Weather-compensated distribution: we may shift its heating curve by -5..+5 K."""

    type: Literal["substation"] = "substation"
    plant: str
    supply: str  # of its pumps
    heat_limit_kw: Positive
    cold_limit_kw: NotNegative = 0.0
    pump_kw: NotNegative = 0.5
    design_supply_c: Celsius = 40.0  # at design outdoor temperature
    design_outdoor_c: Celsius = -3.0
    neutral_outdoor_c: Celsius = 17.0  # no heating above
    neutral_supply_c: Celsius = 25.0
