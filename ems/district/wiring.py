"""Where each point lives in the field: which bus, which device on it, which register or object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ems.district.device import Authority, BacnetObject, DeviceType, Register

if TYPE_CHECKING:
    from ems.district.model import District


@dataclass(frozen=True)
class Serial:
    """A serial line with Modbus RTU on it: eight bits, one start bit, as set at every device."""

    port: str  # /dev/ttyUSB0
    baud: int
    parity: Literal["none", "even", "odd"] = "even"
    stop_bits: Literal[1, 2] = 1


@dataclass(frozen=True)
class Bus:
    """One connection that takes one request at a time: a Modbus/TCP gateway, a serial line, or a BACnet/IP station."""

    name: str  # building/bus
    protocol: str  # "modbus" or "bacnet"
    host: str  # nothing for a serial line
    port: int
    device_instance: int | None = None  # BACnet only
    baud: int | None = (
        None  # of the serial line, or of that behind a gateway; None when it is not known or there is none
    )
    serial: Serial | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}" if self.serial is None else self.serial.port


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


def relocate(district: District, net: int) -> District:
    """The same district with its loopback hosts 127.x.y.z moved to 127.`net`.y.z, so that two can run side by side.

    Hosts that are not on loopback stay where they are. Raises ValueError for a `net` outside 0-255.
    """
    if not 0 <= net <= 255:
        raise ValueError(f"net is {net}; it is the second number of an address, 0 to 255")

    def moved(host: str) -> str:
        parts = host.split(".")
        return ".".join(["127", str(net), *parts[2:]]) if parts[0] == "127" and len(parts) == 4 else host

    buses = {name: replace(bus, host=moved(bus.host)) for name, bus in district.buses.items()}
    devices = {id(device): replace(device, bus=buses[device.bus.name]) for device in district.devices}
    wires = {
        point: replace(wire, device=devices.get(id(wire.device)) or replace(wire.device, bus=buses[wire.bus.name]))
        for point, wire in district.wires.items()
    }
    return replace(district, buses=buses, devices=tuple(devices.values()), wires=wires)
