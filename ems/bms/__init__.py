"""The way to the devices: BACnet/IP and Modbus/TCP, with a quality on every sample and an outcome for every command."""

from ems.bms.belief import Event, Finding
from ems.bms.field import Field, FieldLink
from ems.bms.health import BusHealth, Patience
from ems.bms.line import Holder
from ems.bms.mirror import Mirror, dead_man
from ems.bms.shadow import ShadowField, StandingError

__all__ = [
    "BusHealth",
    "Event",
    "Field",
    "FieldLink",
    "Finding",
    "Holder",
    "Mirror",
    "Patience",
    "ShadowField",
    "StandingError",
    "dead_man",
]
