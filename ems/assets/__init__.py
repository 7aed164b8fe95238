"""The asset types of a district, one file each.

An asset file holds

- the data: one or more `Asset` classes, listed in `TYPES`;
- the planner's law: functions for numbers, arrays and Pyomo expressions alike (planner, checker and tests share them);
- `build(block, fleet, outlook) -> Part`: ordinary Pyomo rules over the whole fleet, indexed by name and slot. No
  Python `if` on an index, sums over Pyomo Sets only, a constraint's name is a statement (`keeps_energy`): so a later
  compiler can turn a family of rules into arrays at once;
- `actuate(planned, fleet, outlook) -> [Setpoint]`: what its devices shall stand at during the running slot.

What a file needs from the rest of the district it gets from the `Outlook`, what it adds it hands back as a `Part`
(`ems/assets/outlook.py`): ports to nodes, priced variables, slacks with a name for people. The optimiser walks
`ASSET_FILES` and knows no asset type. A new type is one file, and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ems.assets import (
    base_load,
    battery,
    charging,
    deferrable,
    loop,
    photovoltaic,
    plant,
    substation,
    supply,
    tank,
    weather_station,
    zone,
)
from ems.assets.asset import Asset, Entry
from ems.assets.base_load import BaseLoad
from ems.assets.battery import Battery
from ems.assets.charging import BikeRoom, ChargePoint, Feeder
from ems.assets.deferrable import Deferrable
from ems.assets.loop import Loop
from ems.assets.outlook import Outlook, Part, Planned
from ems.assets.photovoltaic import Photovoltaic
from ems.assets.plant import Plant
from ems.assets.substation import Substation
from ems.assets.supply import Supply
from ems.assets.tank import Tank
from ems.assets.weather_station import WeatherStation
from ems.assets.zone import Dwelling, Fabric, Opening, Zone
from ems.command import Setpoint
from ems.series import Floats


class AssetFile(Protocol):
    """What a module of this folder offers."""

    @property
    def TYPES(self) -> tuple[type[Asset], ...]: ...  # noqa: N802

    def build(self, block: Any, fleet: Mapping[str, Any], outlook: Outlook) -> Part: ...

    def actuate(self, planned: Planned, fleet: Mapping[str, Any], outlook: Outlook) -> list[Setpoint]: ...


class SharedFile(AssetFile, Protocol):
    """A file whose assets are many and alike: first planned in groups, then each for itself.

    `groups` names the members of each room that `build` makes of them when the outlook is grouped. `share_out` turns
    the groups' planned variables into every member's: all arrays with names first, as the rules' Params and variables
    are called; `each` and `whole` are the numbers of members and groups, `limits` the members' upper bounds. It may
    give several plans, of which mixtures are then made; one of them must add up to what the groups do.
    """

    @property
    def MEMBERS(self) -> tuple[type[Asset], ...]: ...  # noqa: N802

    def groups(self, fleet: Mapping[str, Any], outlook: Outlook) -> dict[str, tuple[str, ...]]: ...

    def share_out(
        self,
        each: Mapping[str, Floats],
        whole: Mapping[str, Floats],
        limits: Mapping[str, Floats],
        planned: Mapping[str, Floats],
        group: NDArray[np.int64],
    ) -> tuple[dict[str, Floats], ...]: ...


# A new asset type: its file, and a word here.
ASSET_FILES: tuple[AssetFile, ...] = (
    base_load, battery, charging, deferrable, loop, photovoltaic, plant, substation, supply, tank, weather_station,
    zone,
)  # fmt: skip

SHARED_FILES: tuple[SharedFile, ...] = (zone,)

ASSET_TYPES: tuple[type[Asset], ...] = tuple(kind for file in ASSET_FILES for kind in file.TYPES)

__all__ = [
    "ASSET_FILES",
    "ASSET_TYPES",
    "SHARED_FILES",
    "Asset",
    "AssetFile",
    "BaseLoad",
    "Battery",
    "BikeRoom",
    "ChargePoint",
    "Deferrable",
    "Dwelling",
    "Entry",
    "Fabric",
    "Feeder",
    "Loop",
    "Opening",
    "Photovoltaic",
    "Plant",
    "SharedFile",
    "Substation",
    "Supply",
    "Tank",
    "WeatherStation",
    "Zone",
]
