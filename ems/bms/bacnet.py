"""BACnet/IP through BAC0 and bacpypes3: properties in, values or errors out, one request in flight per station.

BAC0 brings up the device and its socket; bacpypes3 below it carries invoke ids, time-outs, retries and segments. Our
requests go in and come out as bytes (`apdu`), for speed. Its time-outs and refusals are `BaseException`s that fly
through every `except Exception`, so nobody but this file may call it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import ipaddress
import logging
import math
import os
import socket
import tempfile
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from bacpypes3.apdu import (
    AbortPDU,
    AbortReason,
    ComplexAckPDU,
    ConfirmedRequestPDU,
    ErrorPDU,
    ErrorRejectAbortNack,
    RejectPDU,
    RejectReason,
)
from bacpypes3.comm import ServiceAccessPoint
from bacpypes3.pdu import Address

from ems.bms.apdu import (
    OBJECT_TYPES,
    PRIORITY_ARRAY,
    READ_PROPERTY,
    READ_PROPERTY_MULTIPLE,
    VALUE_NOT_INITIALIZED,
    WRITE_PROPERTY,
    Property,
    PropertyFault,
    Value,
    encode_value,
    read_answer,
    read_one_answer,
    read_one_request,
    read_request,
    write_request,
)
from ems.bms.health import Patience
from ems.bms.line import Line, NoAnswerError
from ems.bms.reads import BATCH_OBJECTS, batches
from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Written
from ems.district import Bus, Wire
from ems.points import Quality, Sample

APDU_RETRIES = 1
SEGMENTS_S = 4.0  # on top of the time-out, for an answer that comes in segments or hangs in them
_ABORT_TOO_BIG = (1, 4, 9, 11)  # buffer overflow, segmentation not supported, out of resources, APDU too long


class DeviceError(Exception):
    """An Error, Reject or Abort from the device itself."""

    def __init__(self, why: str, *, too_big: bool = False, unknown_service: bool = False) -> None:
        super().__init__(why)
        self.too_big = too_big
        self.unknown_service = unknown_service


class Stack:
    """The one BACnet device we are, on its own address, for all stations.

    `address` as BAC0 takes it: `192.168.1.10/24:47808`. On loopback give a port that no station has: bacpypes3 keeps
    requests to any 127.x.y.z on its own port for itself.
    """

    def __init__(self, address: str, timeout_s: float = 1.0) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._lite: Any = None
        self._app: Any = None

    async def start(self) -> None:
        """Bring up the device. Raises OSError when the address cannot be bound."""
        bac0 = quiet_bac0()

        class Silent(bac0.lite):  # type: ignore[misc, name-defined]
            """BAC0's device without its announcement: on a /32 there is nobody to broadcast to."""

            def i_am(self) -> None:
                self._initialized = True

        json_file = Path(str(bac0.core.app.asyncApp.__file__)).with_name("device.json")
        try:
            self._lite = Silent(ip=self.address, ping=False, json_file=str(json_file), localObjName="smartseille-ems")
        except Exception as fault:
            raise OSError(f"BACnet address {self.address} cannot be taken: {fault}") from None
        self._app = self._lite.this_application.app
        self._app.device_object.apduTimeout = int(self.timeout_s * 1000 / (APDU_RETRIES + 1))
        self._app.device_object.numberOfApduRetries = APDU_RETRIES
        self._app.asap.sap_response = self._answered
        for link in self._app.link_layers.values():
            await asyncio.wait_for(link.server._local_transport_ready.wait(), 5)

    async def stop(self) -> None:
        if self._lite is not None:
            await self._lite._disconnect()
            self._lite = self._app = None
            await asyncio.sleep(0)  # the transport closes its socket one turn of the loop later

    async def request(self, address: Address, service: int, data: bytes) -> bytes:
        """Send a confirmed request and wait: the answer's bytes, or none for a simple acknowledgement.

        Raises NoAnswerError and DeviceError.
        """
        if self._app is None:
            raise NoAnswerError("the BACnet stack is not started")
        pdu = ConfirmedRequestPDU(service, destination=address)
        pdu.apduSA, pdu.apduMaxSegs, pdu.apduMaxResp = True, 64, 1024
        pdu.put_data(data)
        try:
            answer = await asyncio.wait_for(self._app.request(pdu), self.timeout_s + SEGMENTS_S)
        except TimeoutError:
            raise NoAnswerError(f"{address} did not finish its answer") from None
        except ErrorRejectAbortNack as nack:
            raise _translate(address, nack) from None
        return bytes(answer.pduData) if isinstance(answer, ComplexAckPDU) else b""

    async def _answered(self, apdu: Any) -> None:
        """Pass the answers to reads up undecoded; the library decodes everything else."""
        if isinstance(apdu, ComplexAckPDU) and apdu.apduService in (READ_PROPERTY, READ_PROPERTY_MULTIPLE):
            await ServiceAccessPoint.sap_response(self._app.asap, apdu)
        else:
            await type(self._app.asap).sap_response(self._app.asap, apdu)


def _translate(address: Address, nack: BaseException) -> Exception:
    """What an Error, Reject or Abort means: silence, or a refusal by the device."""
    if isinstance(nack, AbortPDU):
        reason = nack.apduAbortRejectReason
        if reason == AbortReason.noResponse:
            return NoAnswerError(f"{address} did not answer")
        return DeviceError(f"abort {reason}", too_big=int(reason) in _ABORT_TOO_BIG)
    if isinstance(nack, RejectPDU):
        reason = nack.apduAbortRejectReason
        return DeviceError(f"reject {reason}", unknown_service=reason == RejectReason.unrecognizedService)
    if isinstance(nack, ErrorPDU):
        return DeviceError(f"error {getattr(nack, 'errorCode', nack)}")
    return DeviceError(str(nack))


def quiet_bac0() -> ModuleType:
    """BAC0 without its side effects on import: no ~/.BAC0 folder, no .env read, no lines on the console."""
    kept = {key: os.environ.get(key) for key in ("HOME", "PYTHON_DOTENV_DISABLED")}
    with tempfile.TemporaryDirectory() as home, contextlib.redirect_stdout(io.StringIO()):
        os.environ.update(HOME=home, PYTHON_DOTENV_DISABLED="1")
        try:
            import BAC0
        finally:
            for key, value in kept.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value
        for name, logger in logging.root.manager.loggerDict.items():
            if name.startswith("BAC0_Root") and isinstance(logger, logging.Logger):
                for handler in list(logger.handlers):
                    logger.removeHandler(handler)
                    handler.close()
                logger.addHandler(logging.NullHandler())
                logger.setLevel(logging.CRITICAL)
    return BAC0  # type: ignore[no-any-return]


def own_address(buses: Sequence[Bus]) -> str:
    """Where our BACnet device can live when all stations are on loopback: a free port on the same 127.x network.

    Raises ValueError for stations on a real network, where the interface must be named.
    """
    hosts = [ipaddress.ip_address(bus.host) for bus in buses]
    for bus, host in zip(buses, hosts, strict=True):
        if not host.is_loopback:
            raise ValueError(
                f"{bus.name} is at {bus.host}; give the EMS its own BACnet address on that network, "
                "such as 192.168.1.10/24:47808"
            )
    network = hosts[0].packed[1]
    host_name = f"127.{network}.255.1"
    taken = {bus.port for bus in buses}
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host_name, 0))
            port = probe.getsockname()[1]
        if port not in taken:
            return f"{host_name}/32:{port}"


class BacnetLine(Line):
    """One BACnet station."""

    def __init__(self, bus: Bus, wires: Sequence[Wire], patience: Patience, stack: Stack) -> None:
        super().__init__(bus, wires, patience)
        self.stack = stack
        self.station = Address(bus.address)
        self.properties: Mapping[str, Property] = {wire.point: _property(wire) for wire in wires}
        self._plan(BATCH_OBJECTS)

    def _plan(self, size: int) -> None:
        """Batches of `size` objects, their requests ready; of one, each is a ReadProperty."""
        self.batch_size = size
        self.batches = [
            (batch, self._question([self.properties[wire.point] for wire in batch]))
            for batch in batches(tuple(self.wires.values()), size)
        ]

    def _question(self, wanted: Sequence[Property]) -> bytes:
        return read_one_request(wanted[0]) if self.batch_size == 1 else read_request(wanted)

    # Reading

    async def sweep(self) -> dict[str, Sample]:
        samples: dict[str, Sample] = {}
        at, why = 0, ""
        while at < len(self.batches):
            batch, request = self.batches[at]
            wanted = [self.properties[wire.point] for wire in batch]
            try:
                found = await self._ask(wanted, request)
            except ValueError as fault:
                self.breaker.last_error = str(fault)
                samples.update((wire.point, Sample(None, Quality.IMPLAUSIBLE, self.now)) for wire in batch)
            except DeviceError as refusal:
                self.breaker.last_error = why = str(refusal)
                if self._adapts(refusal):
                    at = 0
                    continue
            else:
                samples.update((w.point, self._sample(w, found.get(self.properties[w.point]))) for w in batch)
            at += 1
        if not samples and why:
            raise NoAnswerError(why)  # a station that refuses everything is as good as silent
        self.breaker.answered()
        return samples

    def _adapts(self, refusal: DeviceError) -> bool:
        """Smaller batches from now on, if that is what the station told us it needs."""
        if self.batch_size == 1 or not (refusal.too_big or refusal.unknown_service):
            return False
        self._plan(1 if refusal.unknown_service else self.batch_size // 2)
        return True

    def _sample(self, wire: Wire, found: Value | PropertyFault) -> Sample:
        if isinstance(found, PropertyFault):
            self.breaker.last_error = f"{wire.point}: {found}"
            missing = found.error_code == VALUE_NOT_INITIALIZED
            return Sample(None, Quality.MISSING if missing else Quality.UNREACHABLE, self.now)
        return self.sample(wire, math.nan if found is None else found, self.now)

    # Writing

    def objection(self, command: Command) -> Outcome | None:
        objected = super().objection(command)
        if objected is None:
            try:
                encode_value(self.properties[command.point].object_type, command.value)
            except ValueError as fault:
                return Refused(str(fault))
        return objected

    async def send(self, commands: Sequence[Command]) -> list[Outcome]:
        """Write at each command's priority, then read back present values and our slots, many at a time."""
        refused: dict[int, Outcome] = {}
        silences = 0
        for i, command in enumerate(commands):
            try:
                await self._put(command)
            except DeviceError as refusal:
                refused[i] = Refused(str(refusal))
            except NoAnswerError as silence:
                silences += 1
                if silences == 2:  # one lost answer costs one command; a second one is a silent station
                    raise
                refused[i] = Unreachable(str(silence))
        found = await self._read_back([command for i, command in enumerate(commands) if i not in refused])
        outcomes: list[Outcome] = []
        for i, command in enumerate(commands):
            outcomes.append(refused[i] if i in refused else await self._judge(command, found))
        self.breaker.answered()
        return outcomes

    async def count(self, command: Command) -> Outcome:
        """Write without reading back: a heartbeat is seen by what does not happen."""
        if (objected := self.objection(command)) is not None:
            return objected
        try:
            await self._put(command)
        except DeviceError as refusal:
            return Refused(str(refusal))
        except Exception as fault:  # whatever a station answers, the heartbeats of the others go on
            why = str(fault) if isinstance(fault, NoAnswerError) else f"{type(fault).__name__}: {fault}"
            self.breaker.failed(why)
            self.note_health()
            return Unreachable(why)
        self.breaker.answered()
        return Written(command.value)

    async def _put(self, command: Command) -> None:
        item = self.properties[command.point]
        async with self.turn:
            await self.stack.request(self.station, WRITE_PROPERTY, write_request(item, command.value, command.priority))

    async def _read_back(self, commands: Sequence[Command]) -> dict[Property, Value | PropertyFault]:
        wanted: dict[Property, None] = {}
        for command in commands:
            item = self.properties[command.point]
            wanted[item] = wanted[_slot(item, command.priority)] = None
        return await self._read(tuple(wanted))

    async def _read(self, wanted: Sequence[Property]) -> dict[Property, Value | PropertyFault]:
        """Properties in as many requests as the station needs. A refusal leaves its properties out."""
        found: dict[Property, Value | PropertyFault] = {}
        at = 0
        while at < len(wanted):
            part = wanted[at : at + self.batch_size]
            try:
                found.update(await self._ask(part, self._question(part)))
            except ValueError as fault:
                self.breaker.last_error = str(fault)
            except DeviceError as refusal:
                self.breaker.last_error = str(refusal)
                if self._adapts(refusal):
                    continue
            at += len(part)
        return found

    async def _judge(self, command: Command, found: Mapping[Property, Value | PropertyFault]) -> Outcome:
        item = self.properties[command.point]
        present, slot = found.get(item), found.get(_slot(item, command.priority))
        if present is None or isinstance(present, PropertyFault):
            return Unreachable(f"written, but {command.point} could not be read back: {present}")
        if command.value is None:
            if isinstance(slot, PropertyFault) or _slot(item, command.priority) not in found:
                return Unreachable(f"released, but our slot of {command.point} could not be read back: {slot}")
            if slot is None:
                return Written(present)
            return Refused(f"the device acknowledged, but still holds {slot} at priority {command.priority}")
        if isinstance(slot, PropertyFault) or _slot(item, command.priority) not in found:
            return Unreachable(f"written, but our slot of {command.point} could not be read back: {slot}")
        if _equal(present, command.value) and isinstance(slot, float) and _equal(slot, command.value):
            return Written(command.value)
        if not isinstance(slot, float) or not _equal(slot, command.value):
            return Refused(f"the device acknowledged, but holds {slot} at priority {command.priority}")
        return Overridden(present, await self._holder(item, command.priority))

    async def _holder(self, item: Property, priority: int) -> str:
        """Who stands above our slot."""
        above = [_slot(item, number) for number in range(1, priority)]
        found = await self._read(above)
        for slot in above:
            if isinstance(found.get(slot), float):
                return f"priority {slot.index}"
        return "the device"

    async def _ask(self, wanted: Sequence[Property], request: bytes) -> dict[Property, Value | PropertyFault]:
        """One read. Raises NoAnswerError, DeviceError, or ValueError for a malformed answer."""
        if self.batch_size > 1:
            async with self.turn:
                return read_answer(await self.stack.request(self.station, READ_PROPERTY_MULTIPLE, request))
        async with self.turn:
            return {wanted[0]: read_one_answer(await self.stack.request(self.station, READ_PROPERTY, request))}

    # Probing

    def silent(self) -> list[Hashable]:
        return [None] if self.breaker.is_open else []

    async def answers(self, which: Hashable) -> bool:
        first = next(iter(self.properties.values()))
        try:
            await self._ask([first], self._question([first]))
        except DeviceError as refusal:
            self.breaker.last_error = str(refusal)
            return False
        self.breaker.answered()
        return True


def _property(wire: Wire) -> Property:
    kind, instance = wire.object_id
    return Property(OBJECT_TYPES[kind], instance)


def _slot(item: Property, priority: int) -> Property:
    return Property(item.object_type, item.instance, PRIORITY_ARRAY, priority)


def _equal(found: float, wanted: float) -> bool:
    """Equal as far as a BACnet Real can tell."""
    return abs(found - wanted) <= max(1e-6, abs(wanted) * 2.0**-22)
