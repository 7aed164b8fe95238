"""A photovoltaic array on a roof. power_kw <= 0: it generates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ems.assets.asset import Asset, Positive, Share


class Photovoltaic(Asset):
    """One array behind one inverter and one supply point."""

    type: Literal["photovoltaic"] = "photovoltaic"
    supply: str
    peak_kw: Positive
    tilt_deg: float = Field(ge=0, le=90)
    azimuth_deg: float = Field(ge=0, lt=360)  # 180 is south
    performance_share: Share = 0.82  # inverter, temperature, dirt
