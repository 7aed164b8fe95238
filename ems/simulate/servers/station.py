"""A BACnet/IP station with its objects, on an address of its own.

bacpypes3 carries the protocol. Present values come from the world when they are read; outputs have a priority array and
a relinquish default; inputs refuse writes, which the library's own objects would not.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bacpypes3 import object as standard
from bacpypes3.apdu import (
    ConfirmedCOVNotificationRequest,
    ConfirmedRequestPDU,
    Error,
    ErrorRejectAbortNack,
    SimpleAckPDU,
    UnconfirmedCOVNotificationRequest,
)
from bacpypes3.app import Application
from bacpypes3.basetypes import (
    BinaryPV,
    EngineeringUnits,
    ObjectTypesSupported,
    OptionalUnsigned,
    PriorityValue,
    PropertyValue,
    ServicesSupported,
    StatusFlags,
)
from bacpypes3.constructeddata import AnyAtomic, ArrayOf
from bacpypes3.errors import ExecutionError, PropertyError
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.local.object import Object as LocalObject
from bacpypes3.primitivedata import Null, ObjectIdentifier, Real, Unsigned

from ems.district import BacnetObject, Bus, Wire
from ems.simulate.servers.plant import Plant

VENDOR = "Smartseille simulation"
OVERRIDE_PRIORITY = 8  # a person at the controller
OUR_PRIORITIES = range(9, 16)
READ_PROPERTY_MULTIPLE = 14
_PRESENT_VALUE, _PRIORITY_ARRAY = 85, 87
_APDU_SIZES = (50, 128, 206, 480, 1024, 1476) + (0,) * 10  # ASHRAE 135, clause 20.1.2.5

_UNITS = {
    "W": "watts", "kW": "kilowatts", "MW": "megawatts", "Wh": "wattHours", "kWh": "kilowattHours",
    "MWh": "megawattHours", "degC": "degreesCelsius", "K": "degreesKelvin", "A": "amperes", "V": "volts", "Hz": "hertz",
    "m3": "cubicMeters", "l": "liters", "m3/h": "cubicMetersPerHour", "l/h": "litersPerHour", "s": "seconds",
    "min": "minutes", "h": "hours", "ppm": "partsPerMillion", "%": "percent", "W/m2": "wattsPerSquareMeter",
    "m/s": "metersPerSecond",
}  # fmt: skip
_NUMBERS = {
    "analog-input": 0, "analog-output": 1, "analog-value": 2, "binary-input": 3, "binary-output": 4, "binary-value": 5,
    "multi-state-input": 13, "multi-state-output": 14, "multi-state-value": 19,
}  # fmt: skip


@dataclass(eq=False)
class Cell:
    """What stands behind one object: the world's value, or the highest command in its sixteen slots."""

    wire: Wire
    plant: Plant
    place: int | None  # in the world's values

    def __post_init__(self) -> None:
        self.slots: list[float | None] = [None] * 16

    @property
    def writable(self) -> bool:
        return self.wire.measure.write is not None

    @property
    def release(self) -> float:
        assert self.wire.measure.write is not None
        return self.wire.measure.write.release

    @property
    def commanding(self) -> int | None:
        """The priority that holds the object, 1-16, or None."""
        return next((i + 1 for i, value in enumerate(self.slots) if value is not None), None)

    @property
    def value(self) -> float:
        """Present value; NaN when the device has none."""
        if self.writable:
            holder = self.commanding
            held = None if holder is None else self.slots[holder - 1]
            return self.release if held is None else held
        assert self.place is not None
        return float(self.plant.values[self.place])

    def put(self, priority: int, value: float | None) -> None:
        """Fill or empty a slot, and tell the world when that changes what the device applies."""
        before = self.value
        self.slots[priority - 1] = value
        if self.place is not None and self.value != before:
            self.plant.command(self.wire.point, self.value)


class Served:
    """Mixed into the standard objects: present value and priorities come from the object's cell."""

    def __init__(self, cell: Cell, **details: Any) -> None:
        self._cell = cell
        super().__init__(**details)

    def _typed(self, value: float) -> Any:
        kind: str = self._cell.wire.object_id[0]
        if not kind.startswith("analog") and not math.isfinite(value):
            raise PropertyError("valueNotInitialized")
        return _typed(kind, value)

    @property
    def presentValue(self) -> Any:  # noqa: N802 - BACnet's names
        return self._typed(self._cell.value)

    @presentValue.setter
    def presentValue(self, value: Any) -> None:  # noqa: N802
        """Initialisation by the library; the value lives in the cell."""

    @property
    def statusFlags(self) -> Any:  # noqa: N802
        return StatusFlags([0, int(not math.isfinite(self._cell.value)), 0, 0])

    @statusFlags.setter
    def statusFlags(self, value: Any) -> None:  # noqa: N802
        """See presentValue."""

    async def write_property(
        self, attr: int | str, value: Any, index: int | None = None, priority: int | None = None
    ) -> None:
        """Only present values of outputs can be written, within their limits; Null empties a slot."""
        name = attr if isinstance(attr, str) else self._property_identifier_class(attr).attr  # type: ignore[attr-defined]
        limits = self._cell.wire.measure.write
        if name != "presentValue" or limits is None:
            raise PropertyError("writeAccessDenied")
        wanted = None if isinstance(value, Null) else float(int(value) if isinstance(value, BinaryPV) else value)
        if wanted is not None and (
            not math.isfinite(wanted) or not _real(limits.minimum) <= wanted <= _real(limits.maximum)
        ):
            raise PropertyError("valueOutOfRange")
        self._cell.put(16 if priority is None else priority, wanted)


class ServedOutput(Served):
    """A commandable object."""

    @property
    def priorityArray(self) -> Any:  # noqa: N802
        slots = [PriorityValue(Null(()) if v is None else self._typed(v)) for v in self._cell.slots]
        return ArrayOf(PriorityValue, _length=16)(slots)

    @priorityArray.setter
    def priorityArray(self, value: Any) -> None:  # noqa: N802
        """See presentValue."""

    @property
    def relinquishDefault(self) -> Any:  # noqa: N802
        return self._typed(self._cell.release)

    @relinquishDefault.setter
    def relinquishDefault(self, value: Any) -> None:  # noqa: N802
        """See presentValue."""

    @property
    def currentCommandPriority(self) -> Any:  # noqa: N802
        holder = self._cell.commanding
        return OptionalUnsigned(null=()) if holder is None else OptionalUnsigned(unsigned=holder)

    @currentCommandPriority.setter
    def currentCommandPriority(self, value: Any) -> None:  # noqa: N802
        """See presentValue."""


def _classes() -> dict[tuple[str, bool], type]:
    """A served class for each object type, commandable and not."""
    made = {}
    for kind in _NUMBERS:
        name = "".join(part.capitalize() for part in kind.split("-")) + "Object"
        stock = getattr(standard, name)
        made[kind, False] = type(f"Served{name}", (Served, LocalObject, stock), {})
        made[kind, True] = type(f"Commandable{name}", (ServedOutput, LocalObject, stock), {})
    return made


_CLASSES = _classes()


class ServedDevice(DeviceObject):  # type: ignore[misc]
    """The Device object, with the services and object types that are really there: the library's own list is wrong."""

    vendorName = VENDOR  # noqa: N815
    modelName = "simulated controller"  # noqa: N815
    firmwareRevision = "simulated"  # noqa: N815

    @property
    def protocolServicesSupported(self) -> Any:  # noqa: N802
        supported = ServicesSupported([])
        for name in (
            "readProperty", "readPropertyMultiple", "writeProperty", "subscribeCov", "whoIs", "whoHas", "iAm", "iHave",
        ):  # fmt: skip
            supported[getattr(supported, name)] = 1
        return supported

    @protocolServicesSupported.setter
    def protocolServicesSupported(self, value: Any) -> None:  # noqa: N802
        """Follows from the programme."""

    @property
    def protocolObjectTypesSupported(self) -> Any:  # noqa: N802
        supported = ObjectTypesSupported([])
        for item in self._app.objectIdentifier if self._app else ():
            supported[int(item[0])] = 1
        return supported

    @protocolObjectTypesSupported.setter
    def protocolObjectTypesSupported(self, value: Any) -> None:  # noqa: N802
        """Follows from the objects."""


class ServedApplication(Application):  # type: ignore[misc]
    """The library's application with a direct way for the one request that is nearly all of the traffic."""

    cells: dict[int, Cell]
    failing = False

    notices: Notices

    async def do_SubscribeCOVRequest(self, apdu: Any) -> None:  # noqa: N802 - named by the library's dispatch
        """Take a subscription, renew it, or end it; what it is told of follows at once."""
        kind, instance = apdu.monitoredObjectIdentifier
        cell = self.cells.get(int(kind) << 22 | int(instance))
        if cell is None:
            raise ExecutionError(errorClass="object", errorCode="unknownObject")
        if self.notices.refused or not self.notices.tells(cell):
            raise ExecutionError(errorClass="object", errorCode="optionalFunctionalityNotSupported")
        ends = apdu.issueConfirmedNotifications is None and apdu.lifetime is None
        lifetime_s = None if ends else float(apdu.lifetime or 0)
        confirmed = bool(apdu.issueConfirmedNotifications)
        await self.response(SimpleAckPDU(context=apdu))
        self.notices.subscribe(apdu.pduSource, int(apdu.subscriberProcessIdentifier), cell, lifetime_s, confirmed)

    async def indication(self, apdu: Any) -> None:
        if self.failing and isinstance(apdu, ConfirmedRequestPDU):
            fault = Error(
                service_choice=apdu.apduService, errorClass="device", errorCode="operationalProblem", context=apdu
            )
            await self.response(fault)
        else:
            await super().indication(apdu)

    def direct(self, message: bytes) -> bytes | None:
        """The whole reply to a plain unsegmented ReadPropertyMultiple, or None for the library's way.

        BVLL Original-Unicast-NPDU (ASHRAE 135 annex J), an NPDU without routing (clause 6.2), a Confirmed-Request.
        """
        if len(message) < 10 or message[:2] != b"\x81\x0a" or message[4:6] != b"\x01\x04":
            return None
        kind, sizes, invoke, service = message[6:10]
        if kind & 0xFD or service != READ_PROPERTY_MULTIPLE or self.failing:
            return None
        body = self._answer(message[10:])
        if body is None or len(body) + 3 > _APDU_SIZES[sizes & 0x0F]:
            return None
        return (
            b"\x81\x0a"
            + struct.pack(">H", len(body) + 9)
            + b"\x01\x00\x30"
            + bytes((invoke, READ_PROPERTY_MULTIPLE))
            + body
        )

    def _answer(self, data: bytes) -> bytes | None:
        """The ReadPropertyMultiple-ACK's body (ASHRAE 135, clauses 15.7 and 20.2), or None for the long way."""
        out = bytearray()
        at, end = 0, len(data)
        try:
            while at < end:
                cell = self.cells.get(int.from_bytes(data[at + 1 : at + 5], "big"))
                if cell is None or data[at] != 0x0C or data[at + 5] != 0x1E:
                    return None
                out += data[at : at + 6]
                at += 6
                while data[at] != 0x1F:
                    if data[at] != 0x09:
                        return None
                    if data[at + 1] == _PRESENT_VALUE and data[at + 2] in (0x09, 0x1F):
                        value: float | None = cell.value
                        out += b"\x29\x55"
                        at += 2
                    elif data[at + 1] == _PRIORITY_ARRAY and data[at + 2] == 0x19 and 1 <= data[at + 3] <= 16:
                        if not cell.writable:
                            return None
                        value = cell.slots[data[at + 3] - 1]
                        out += b"\x29\x57\x39" + data[at + 3 : at + 4]
                        at += 4
                    else:
                        return None
                    out += _tagged(cell.wire.object_id[0], value)
                out += b"\x1f"
                at += 1
        except IndexError:
            return None
        return bytes(out)


def _typed(kind: str, value: float) -> Any:
    """A present value as the library has it."""
    if kind.startswith("analog"):
        return Real(value)
    return BinaryPV(int(value)) if kind.startswith("binary") else Unsigned(int(value))


def _real(value: float) -> float:
    """A number as a BACnet Real carries it."""
    return float(struct.unpack(">f", struct.pack(">f", value))[0])


def _tagged(kind: str, value: float | None) -> bytes:
    if value is None:
        return b"\x4e\x00\x4f"
    if kind.startswith("analog"):
        return struct.pack(">BBfB", 0x4E, 0x44, value, 0x4F)
    if not math.isfinite(value):
        return b"\x5e\x91\x02\x91\x48\x5f"  # class property, code value-not-initialized
    return bytes([0x4E, 0x91 if kind.startswith("binary") else 0x21, int(value), 0x4F])


@dataclass
class _Subscription:
    """Who is told of a cell, until when on the loop's clock (0 is for ever), and what was told last."""

    to: Any
    process: int
    cell: Cell
    until_s: float
    confirmed: bool
    told: float | None = None


class Notices:
    """The subscriptions of a station. `refused` and `lost` are faults on demand."""

    def __init__(self, device_instance: int | None) -> None:
        self.device_instance = device_instance
        self.refused = False
        self.lost = False
        self.sent = 0
        self.app: Any = None
        self.subscriptions: dict[tuple[str, int, str], _Subscription] = {}
        self._sending: set[asyncio.Task[Any]] = set()

    @staticmethod
    def tells(cell: Cell) -> bool:
        """Whether a change is defined: of a state, or by an increment."""
        measure = cell.wire.measure
        assert isinstance(measure, BacnetObject)
        return not measure.object.startswith("analog") or measure.cov_increment is not None

    def subscribe(self, to: Any, process: int, cell: Cell, lifetime_s: float | None, confirmed: bool) -> None:
        """Tell `to` of `cell` for so long; with None, no more."""
        key = (str(to), process, cell.wire.point)
        if lifetime_s is None:
            self.subscriptions.pop(key, None)
            return
        until_s = asyncio.get_running_loop().time() + lifetime_s if lifetime_s else 0.0
        self.subscriptions[key] = made = _Subscription(to, process, cell, until_s, confirmed)
        self._tell(made)

    def look(self) -> None:
        """Tell of whatever has changed enough."""
        if not self.subscriptions:
            return
        clock_s = asyncio.get_running_loop().time()
        for key, item in list(self.subscriptions.items()):
            if item.until_s and clock_s >= item.until_s:
                del self.subscriptions[key]
            elif _changed(item, item.cell.value):
                self._tell(item)

    def _tell(self, item: _Subscription) -> None:
        value = item.told = item.cell.value
        if self.lost or self.app is None:
            return
        kind, instance = item.cell.wire.object_id
        known = math.isfinite(value) or kind.startswith("analog")
        values = [
            PropertyValue(propertyIdentifier="presentValue", value=AnyAtomic(_typed(kind, value if known else 1.0))),
            PropertyValue(propertyIdentifier="statusFlags", value=AnyAtomic(StatusFlags([0, int(not known), 0, 0]))),
        ]
        clock_s = asyncio.get_running_loop().time()
        request = (ConfirmedCOVNotificationRequest if item.confirmed else UnconfirmedCOVNotificationRequest)(
            subscriberProcessIdentifier=item.process,
            initiatingDeviceIdentifier=("device", self.device_instance),
            monitoredObjectIdentifier=(kind, instance),
            timeRemaining=int(max(0.0, item.until_s - clock_s)) if item.until_s else 0,
            listOfValues=values,
            destination=item.to,
        )
        self.sent += 1
        task = asyncio.create_task(self._send(request))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, request: Any) -> None:
        with suppress(ErrorRejectAbortNack, asyncio.CancelledError):
            await self.app.request(request)


def _changed(item: _Subscription, value: float) -> bool:
    if item.told is None or math.isfinite(value) != math.isfinite(item.told):
        return True
    measure = item.cell.wire.measure
    assert isinstance(measure, BacnetObject)
    return math.isfinite(value) and abs(value - item.told) >= (measure.cov_increment or 1e-9)


class Station:
    """The objects of one bus. `silent`, `delay_s` and `failing` are faults on demand."""

    def __init__(self, bus: Bus, wires: Sequence[Wire], plant: Plant) -> None:
        self.bus = bus
        self.plant = plant
        self.silent = False
        self.delay_s = 0.0
        self.cells = {wire.point: Cell(wire, plant, plant.index.get(wire.point)) for wire in wires}
        for cell in self.cells.values():
            if cell.place is None and not cell.writable:
                raise ValueError(f"{cell.wire.point} is no point of the world; it cannot be shown")
        self.notices = Notices(bus.device_instance)
        self._watches = [Watch(self, cell) for cell in self.cells.values() if _is_heartbeat(cell.wire)]
        self._app: ServedApplication | None = None

    @property
    def failing(self) -> bool:
        return self._app is not None and self._app.failing

    @failing.setter
    def failing(self, failing: bool) -> None:
        if self._app is not None:
            self._app.failing = failing

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        # bacpypes3 would share a taken port with its owner and lose half of the requests: ask first.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((self.bus.host, self.bus.port))
            except OSError as fault:
                raise OSError(f"{self.bus.name}: {self.bus.address} cannot be taken: {fault}") from None
        instance = self.bus.device_instance
        device = ServedDevice(
            objectIdentifier=("device", instance),
            objectName=self.bus.name,
            vendorName=VENDOR,
            description="A simulated device of a simulated district",
        )
        port = NetworkPortObject(
            f"{self.bus.host}/32:{self.bus.port}", objectIdentifier=("network-port", 1), objectName="network port"
        )
        app = ServedApplication.from_object_list([device, port, *(self._object(c) for c in self.cells.values())])
        app.notices = self.notices
        app.cells = {_identifier(cell.wire): cell for cell in self.cells.values()}
        for link in app.link_layers.values():
            self._gate(link.server)
            await asyncio.wait_for(link.server._local_transport_ready.wait(), 5)
        self._app = self.notices.app = app

    async def stop(self) -> None:
        if self._app is not None:
            self._app.close()
            self._app = self.notices.app = None
            self.notices.subscriptions.clear()
            await asyncio.sleep(0)

    def tick(self) -> None:
        """Let the station's watchdogs look at the site's clock, and tell who subscribed of what has changed."""
        for watch in self._watches:
            watch.look()
        if not self.silent:
            self.notices.look()

    def _object(self, cell: Cell) -> Any:
        kind, instance = cell.wire.object_id
        measure = cell.wire.measure
        assert isinstance(measure, BacnetObject)
        details: dict[str, Any] = {
            "objectIdentifier": ObjectIdentifier((kind, instance)),
            "objectName": cell.wire.point,
            "description": measure.note or cell.wire.device.type.model,
            "eventState": "normal",
            "outOfService": False,
        }
        if kind.startswith("analog"):
            details["units"] = EngineeringUnits(_UNITS.get(measure.unit, "noUnits"))
            if measure.resolution:
                details["resolution"] = measure.resolution
            if measure.cov_increment:
                details["covIncrement"] = measure.cov_increment
            if measure.minimum is not None:
                details["minPresValue"] = measure.minimum
            if measure.maximum is not None:
                details["maxPresValue"] = measure.maximum
        elif kind in ("binary-input", "binary-output"):
            details["polarity"] = "normal"
        elif kind.startswith("multi"):
            limits = measure.write
            details["numberOfStates"] = int(limits.maximum if limits else measure.maximum or 1)
        return _CLASSES[kind, cell.writable](cell, **details)

    def _gate(self, server: Any) -> None:
        """Faults on demand stand before the socket's messages reach the library."""
        pass_on = server.confirmation

        async def gate(pdu: Any) -> None:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if self.silent:
                return
            reply = None if self._app is None else self._app.direct(bytes(pdu.pduData))
            if reply is not None:
                server.local_transport.sendto(reply, pdu.pduSource.addrTuple)
            else:
                await pass_on(pdu)

        server.confirmation = gate


class Watch:
    """A heartbeat we count up: while it stands still too long, our slots on the covered objects are emptied."""

    def __init__(self, station: Station, heartbeat: Cell) -> None:
        watchdog = heartbeat.wire.device.type.watchdog
        assert watchdog is not None
        self.heartbeat = heartbeat
        self.plant = station.plant
        self.timeout = timedelta(seconds=watchdog.timeout_s)
        own_device = heartbeat.wire.device
        self.covered = [
            cell
            for cell in station.cells.values()
            if cell.writable and (watchdog.covers == "station" or cell.wire.device == own_device)
        ]
        self.last: float | None = None
        self.since: datetime = station.plant.now

    def look(self) -> None:
        """Compare the heartbeat with what it was, and act when it has stood still for the time-out, in site time."""
        beat = self.heartbeat.value
        if beat != self.last:
            self.last, self.since = beat, self.plant.now
        elif self.plant.now - self.since >= self.timeout:
            for cell in self.covered:
                for priority in OUR_PRIORITIES:
                    cell.put(priority, None)
            self.last = self.heartbeat.value


def _is_heartbeat(wire: Wire) -> bool:
    watchdog = wire.device.type.watchdog
    return watchdog is not None and watchdog.kind == "counter" and wire.quantity == watchdog.quantity


def _identifier(wire: Wire) -> int:
    kind, instance = wire.object_id
    return _NUMBERS[kind] << 22 | instance
