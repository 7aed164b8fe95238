"""The asset types of a district, one file each."""

from ems.assets.asset import Asset, Entry
from ems.assets.base_load import BaseLoad
from ems.assets.battery import Battery
from ems.assets.charging import BikeRoom, ChargePoint, Feeder
from ems.assets.loop import Loop
from ems.assets.photovoltaic import Photovoltaic
from ems.assets.plant import Plant
from ems.assets.substation import Substation
from ems.assets.supply import Supply
from ems.assets.tank import Tank
from ems.assets.weather_station import WeatherStation
from ems.assets.zone import Dwelling, Fabric, Opening, Zone

# A new asset type: its file, and a line here.
ASSET_TYPES: tuple[type[Asset], ...] = (
    BaseLoad,
    Battery,
    BikeRoom,
    ChargePoint,
    Dwelling,
    Feeder,
    Loop,
    Photovoltaic,
    Plant,
    Substation,
    Supply,
    Tank,
    WeatherStation,
    Zone,
)

__all__ = [
    "ASSET_TYPES",
    "Asset",
    "BaseLoad",
    "Battery",
    "BikeRoom",
    "ChargePoint",
    "Dwelling",
    "Entry",
    "Fabric",
    "Feeder",
    "Loop",
    "Opening",
    "Photovoltaic",
    "Plant",
    "Substation",
    "Supply",
    "Tank",
    "WeatherStation",
    "Zone",
]
