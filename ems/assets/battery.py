"""A battery: takes in electricity, gives back a little less.

power_kw > 0 charges, as everywhere: positive flows into the asset.
"""

from __future__ import annotations

from typing import Literal

from ems.assets.asset import Asset, NotNegative, Positive, Share


class Battery(Asset):
    """A stationary battery behind one supply point."""

    type: Literal["battery"] = "battery"
    supply: str
    capacity_kwh: Positive
    charge_limit_kw: Positive
    discharge_limit_kw: Positive
    one_way_efficiency: Share = 0.95
    minimum_share: Share = 0.1
    maximum_share: Share = 0.95
    wear_per_kwh: NotNegative = 0.03  # euro per kWh discharged
