"""Where each point lives in the field: which bus, which device on it, which register or object."""

from __future__ import annotations

from dataclasses import dataclass

from ems.district.device import Authority, BacnetObject, DeviceType, Register


@dataclass(frozen=True)
class Bus:
    """One connection that takes one request at a time: a Modbus/TCP gateway, or a BACnet/IP station."""

    name: str  # building/bus
    protocol: str  # "modbus" or "bacnet"
    host: str
    port: int
    device_instance: int | None = None  # BACnet only

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Device:
    """One device on a bus: a Modbus unit, or a group of objects from `offset` on a BACnet station."""

    asset: str  # building/asset that its quantities belong to
    type: DeviceType
    bus: Bus
    unit: int = 0  # Modbus unit id
    offset: int = 0  # BACnet instance offset


@dataclass(frozen=True)
class Wire:
    """One point in the field."""

    point: str
    device: Device
    measure: Register | BacnetObject
    authority: Authority

    @property
    def bus(self) -> Bus:
        return self.device.bus

    @property
    def quantity(self) -> str:
        return self.point.rpartition("/")[2]

    @property
    def writable(self) -> bool:
        return self.measure.write is not None

    @property
    def commanded(self) -> bool:
        """Whether we may write it: it can be written and the authority is not `observe`."""
        return self.writable and self.authority != "observe"

    @property
    def object_id(self) -> tuple[str, int]:
        """BACnet object type and absolute instance."""
        assert isinstance(self.measure, BacnetObject)
        return self.measure.object, self.device.offset + self.measure.instance
