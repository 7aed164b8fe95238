"""The tempered loop on seawater: a store of lukewarm water that floats with the sea.

It belongs to another operator: we observe temperature, flow, limit and tariff at the delivery exchanger. heat_kw > 0
flows into the loop (from the sea, or rejected by a plant that cools).
"""

from __future__ import annotations

from typing import Literal

from ems.assets.asset import Asset, Celsius, NotNegative, Positive


class Loop(Asset):
    """One loop with one seawater exchanger."""

    type: Literal["loop"] = "loop"
    supply: str  # of the seawater and loop pumps
    volume_m3: Positive
    heat_limit_kw: Positive  # sea to loop
    cold_limit_kw: Positive  # loop to sea
    exchanger_kw_per_k: Positive
    minimum_c: Celsius = 8.0
    maximum_c: Celsius = 32.0
    pump_kw: NotNegative  # at full flow; the cube of flow below
    heat_price_per_kwh: NotNegative = 0.0  # what the operator bills for heat taken
    cold_price_per_kwh: NotNegative = 0.0
