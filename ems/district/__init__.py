"""The district: what stands where, how it is wired, and what may be written. Read from a folder of YAML."""

from ems.district.describe import Fact, describe, out_of_date
from ems.district.device import Authority, BacnetObject, DeviceType, Register, Watchdog, Write
from ems.district.model import Building, Comfort, Contact, District, Label, Place, Values
from ems.district.read import read_district
from ems.district.refusal import DistrictError, Refusal
from ems.district.schema import json_schemas, write_schemas
from ems.district.wiring import Bus, Device, Serial, Wire, relocate

__all__ = [
    "Authority",
    "BacnetObject",
    "Building",
    "Bus",
    "Comfort",
    "Contact",
    "Device",
    "DeviceType",
    "District",
    "DistrictError",
    "Fact",
    "Label",
    "Place",
    "Refusal",
    "Register",
    "Serial",
    "Values",
    "Watchdog",
    "Wire",
    "Write",
    "describe",
    "json_schemas",
    "out_of_date",
    "read_district",
    "relocate",
    "write_schemas",
]
