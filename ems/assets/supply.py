"""A supply point (PRM): where a contract, a meter and a subscribed power belong together. Import is positive."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ems.assets.asset import Asset, Positive


class Supply(Asset):
    """One supply point; every electric asset stands behind exactly one."""

    type: Literal["supply"] = "supply"
    prm: str = Field(pattern=r"^\d{14}$")
    contract: str  # a file in contracts/, without .yaml
    subscribed_kw: Positive
    physical_limit_kw: Positive  # what fuse and transformer carry
