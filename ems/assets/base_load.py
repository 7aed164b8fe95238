"""Electricity that nobody steers: lifts, lighting, computers, kitchens. power_kw >= 0."""

from __future__ import annotations

from typing import Literal

from ems.assets.asset import Asset, Positive

LoadUse = Literal["home", "landlord", "offices", "shops", "hotel", "creche", "school", "parking", "plant-room"]


class BaseLoad(Asset):
    """An uncontrolled load behind one supply point, with its design yearly energy."""

    type: Literal["base-load"] = "base-load"
    supply: str
    use: LoadUse
    yearly_kwh: Positive
