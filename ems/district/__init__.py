"""The district: what stands where, how it is wired, and what may be written. Read from a folder of YAML."""

from ems.district.device import Authority, BacnetObject, DeviceType, Register, Watchdog, Write
from ems.district.model import Building, Comfort, District, Label, Place, Values, json_schemas
from ems.district.read import DistrictError, Refusal, read_district
from ems.district.wiring import Bus, Device, Wire, relocate

__all__ = [
    "Authority",
    "BacnetObject",
    "Building",
    "Bus",
    "Comfort",
    "Device",
    "DeviceType",
    "District",
    "DistrictError",
    "Label",
    "Place",
    "Refusal",
    "Register",
    "Values",
    "Watchdog",
    "Wire",
    "Write",
    "json_schemas",
    "read_district",
    "relocate",
]
