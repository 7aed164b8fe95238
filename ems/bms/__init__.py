"""The way to the devices: BACnet/IP and Modbus/TCP, with a quality on every sample and an outcome for every command."""

from ems.bms.field import Field, FieldLink
from ems.bms.health import BusHealth, Patience

__all__ = ["BusHealth", "Field", "FieldLink", "Patience"]
