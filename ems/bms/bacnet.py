"""BACnet/IP through BAC0 and bacpypes3: properties in, values or errors out, one request in flight per station.

Reads go over a plain socket beside BAC0's (`datagrams`), a hundred times as fast; what comes back in segments or
through a router goes to BAC0, as writes do and, with `library_reads`, everything: tests hold both ways equal. BAC0
brings up the device we are; bacpypes3 below it carries invoke ids, time-outs, retries and segments. Its time-outs and
refusals are `BaseException`s that fly through every `except Exception`, so nobody but this file may call it.
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
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import cycle
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
from bacpypes3.primitivedata import ObjectIdentifier

from ems.bms.apdu import (
    DEVICE,
    MAX_APDU_LENGTH_ACCEPTED,
    OBJECT_TYPES,
    PRIORITY_ARRAY,
    READ_PROPERTY,
    READ_PROPERTY_MULTIPLE,
    VALUE_NOT_INITIALIZED,
    WRITE_PROPERTY,
    Property,
    PropertyFault,
    Reading,
    Value,
    encode_value,
    error_of,
    read_one_answer,
    read_one_request,
    write_request,
)
from ems.bms.cov import SUBSCRIBE_COV, Following, Notice, subscribe_request
from ems.bms.datagrams import ABORT, REJECT, Acknowledged, Datagrams, Denied, Odd
from ems.bms.health import FAILURES_TO_OPEN, BusHealth, Patience
from ems.bms.line import Holder, Line, NoAnswerError
from ems.bms.reads import APDU_BYTES, batches, objects_in
from ems.command import BACNET_PRIORITY, Command, Outcome, Overridden, Refused, Unreachable, Written
from ems.district import Bus, Wire
from ems.points import Quality, Sample

Batch = tuple[tuple[Wire, ...], Reading]
APDU_RETRIES = 1
SEGMENTS_S = 0.9  # on top of the time-out, for an answer that comes in segments or hangs in them
_ABORT_TOO_BIG = (1, 4, 9, 11)  # buffer overflow, segmentation not supported, out of resources, APDU too long


class DeviceError(Exception):
    """An Error, Reject or Abort from the device itself."""

    def __init__(self, why: str, *, too_big: bool = False, unknown_service: bool = False) -> None:
        super().__init__(why)
        self.too_big = too_big
        self.unknown_service = unknown_service


@dataclass(frozen=True)
class Described:
    """An object as its station describes it."""

    kind: str
    instance: int
    name: str
    unit: str
    value: str


class Stack:
    """The one BACnet device we are, on its own address, for all stations.

    `address` as BAC0 takes it: `192.168.1.10/24:47808`. On loopback give a port that no station has: bacpypes3 keeps
    requests to any 127.x.y.z on its own port for itself.
    """

    def __init__(self, address: str, timeout_s: float = 1.0, *, library_reads: bool = False) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self.library_reads = library_reads
        self._datagrams: Datagrams | None = None
        self._decodes = False  # whether the library decodes answers to reads, or leaves them to us
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
        self._datagrams = await Datagrams.open(self.address.partition("/")[0].partition(":")[0], self.timeout_s)

    async def stop(self) -> None:
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None
        if self._lite is not None:
            await self._lite._disconnect()
            self._lite = self._app = None
            await asyncio.sleep(0)  # the transport closes its socket one turn of the loop later

    async def who_is(self, address: str, timeout_s: float) -> int | None:
        """The device instance of a station that is asked alone; None when it does not answer."""
        try:
            found = await asyncio.wait_for(self._app.who_is(address=Address(address), timeout=timeout_s), timeout_s + 1)
        except (TimeoutError, ErrorRejectAbortNack, ValueError):
            return None
        return int(found[0].iAmDeviceIdentifier[1]) if found else None

    async def objects(self, address: str, instance: int) -> tuple[str, list[Described]]:
        """A station's name and its inputs, outputs and values, as it describes them. Raises NoAnswerError.

        Not while the stack serves sweeps: answers go to the library's decoder meanwhile.
        """
        station, device = Address(address), ObjectIdentifier(("device", instance))
        self._decodes = True
        try:
            name = str(await self._app.read_property(station, device, "object-name"))
            listed = await self._app.read_property(station, device, "object-list")
            found = []
            for identifier in listed:
                kind, number = str(identifier[0]), int(identifier[1])
                if kind in OBJECT_TYPES:
                    said = [
                        await self._said(station, identifier, key) for key in ("object-name", "units", "present-value")
                    ]
                    found.append(Described(kind, number, *said))
        except ErrorRejectAbortNack as nack:
            raise NoAnswerError(f"{address} does not tell its objects: {nack}") from None
        finally:
            self._decodes = False
        return name, found

    async def identity(self, address: str, instance: int) -> dict[str, str]:
        """What a station says of itself. Not while the stack serves sweeps, as `objects`."""
        station, device = Address(address), ObjectIdentifier(("device", instance))
        self._decodes = True
        try:
            keys = ("vendor-name", "model-name", "firmware-revision", "application-software-version")
            told = {key.replace("-", " "): await self._said(station, device, key) for key in keys}
        finally:
            self._decodes = False
        return {key: text for key, text in told.items() if text}

    async def _said(self, station: Address, identifier: ObjectIdentifier, key: str) -> str:
        try:
            return str(await self._app.read_property(station, identifier, key))
        except ErrorRejectAbortNack:
            return ""  # it has no such property

    async def read(self, address: Address, service: int, data: bytes) -> bytes | None:
        """A read over the plain socket: the answer's bytes, or None where the library has to ask.

        Raises NoAnswerError and DeviceError.
        """
        if self._datagrams is None:
            raise NoAnswerError("the BACnet stack is not started")
        try:
            answer = await self._datagrams.ask(address.addrTuple, service, data)
        except TimeoutError:
            raise NoAnswerError(f"{address} did not answer") from None
        match answer:
            case Acknowledged(body):
                return body
            case Odd():
                return None
            case Denied():
                raise _denial(answer)

    def listen(self, address: Address, process: int, told: Callable[[Notice], None]) -> None:
        """Pass on what a station tells of by itself, over the plain socket."""
        if self._datagrams is not None:
            self._datagrams.listen(address.addrTuple, process, told)

    def tell(self, address: Address, service: int, data: bytes) -> None:
        """Send a request whose answer nobody waits for."""
        if self._datagrams is not None:
            self._datagrams.tell(address.addrTuple, service, data)

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
        if answer.apduService != service:  # the library looks at the invoke id alone
            raise NoAnswerError(f"{address} answered service {answer.apduService} instead of {service}")
        return bytes(answer.pduData) if isinstance(answer, ComplexAckPDU) else b""

    async def _answered(self, apdu: Any) -> None:
        """Pass the answers to reads up undecoded; the library decodes everything else."""
        if (
            not self._decodes
            and isinstance(apdu, ComplexAckPDU)
            and apdu.apduService in (READ_PROPERTY, READ_PROPERTY_MULTIPLE)
        ):
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


def _denial(denied: Denied) -> DeviceError:
    """The same from the plain socket."""
    if denied.kind == ABORT:
        return DeviceError(f"abort {AbortReason(denied.reason)}", too_big=denied.reason in _ABORT_TOO_BIG)
    if denied.kind == REJECT:
        return DeviceError(
            f"reject {RejectReason(denied.reason)}", unknown_service=denied.reason == RejectReason.unrecognizedService
        )
    try:
        return DeviceError(str(error_of(denied.body)))
    except ValueError as fault:
        return DeviceError(f"an error that cannot be read: {fault}")


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
        self._probed = cycle(self.properties.values())
        self.by_library = stack.library_reads
        self._odd = 0  # answers in a row that the plain socket could not take
        self._heard = False  # whether it ever answered on the plain socket
        self._knows_size = self._adapted = False
        self._lost = 0  # sweeps in a row that ended in silence, whatever probes found
        self.following = None if stack.library_reads else Following.of(wires, self.properties)
        self._follower: asyncio.Task[None] | None = None
        self.process = 1 + (bus.device_instance or 0)  # by which we know whose notification it is
        self._plan(objects_in(APDU_BYTES))

    def _plan(self, size: int) -> None:
        """Batches of `size` objects, compiled; of one, each is a ReadProperty. What is followed has its own."""
        self.batch_size = size
        followed = () if self.following is None else self.following.items.keys() - self.following.polled.keys()
        self.batches = self._compiled([wire for point, wire in self.wires.items() if point not in followed])
        self.followed_batches = self._compiled([wire for point, wire in self.wires.items() if point in followed])

    def _compiled(self, wires: Sequence[Wire]) -> list[Batch]:
        return [
            (batch, Reading([self.properties[wire.point] for wire in batch]))
            for batch in batches(wires, self.batch_size)
        ]

    def _halved(self, refused: Batch) -> list[Batch]:
        """Two batches in the place of one that was refused as a whole, until batches are planned anew."""
        wires, _ = refused
        halves = [
            (part, Reading([self.properties[wire.point] for wire in part]))
            for part in (wires[: len(wires) // 2], wires[len(wires) // 2 :])
        ]
        for batches_of in (self.batches, self.followed_batches):
            for at, batch in enumerate(batches_of):
                if batch is refused:
                    batches_of[at : at + 1] = halves
                    return halves
        return halves

    def _due(self, samples: dict[str, Sample]) -> list[Batch]:
        """What a sweep has to read; `samples` takes what is sure without.

        Something is read in each sweep, the least lately confirmed: a station that is gone tells nothing either.
        """
        if self.following is None:
            return list(self.batches)
        now, clock_s = self.now, asyncio.get_running_loop().time()
        due, sure = list(self.batches), []
        for batch in self.followed_batches:
            held = {wire.point: self.following.sure(wire.point, now, clock_s) for wire in batch[0]}
            if None in held.values():
                due.append(batch)
            else:
                sure.append((batch, held))
        if not due and sure:
            sure.sort(key=lambda item: min(self._confirmed(wire.point) for wire in item[0][0]))
            due.append(sure.pop(0)[0])
        for _, held in sure:
            samples.update((point, self.sample(point, value)) for point, value in held.items() if value is not None)
        return due

    def _confirmed(self, point: str) -> datetime:
        at = None if self.following is None else self.following.confirmed_at(point)
        return at or datetime.min.replace(tzinfo=UTC)

    async def _learn_size(self) -> None:
        """Ask once how long an APDU the station takes, and plan by it; what does not say keeps the small batches."""
        instance = 4194303 if self.bus.device_instance is None else self.bus.device_instance
        try:
            size = await self._ask_one(Property(DEVICE, instance, MAX_APDU_LENGTH_ACCEPTED))
        except (DeviceError, ValueError):
            size = None
        self._knows_size = True
        if size is not None and 50 <= size <= 65535 and not self._adapted:
            self._plan(objects_in(min(int(size), 1476)))

    # Reading

    async def sweep(self) -> dict[str, Sample]:
        samples: dict[str, Sample] = {}
        at, why, now = 0, "", self.now
        if not self._knows_size:
            await self._learn_size()
        due = self._due(samples)
        while at < len(due):
            batch, reading = due[at]
            try:
                found = await self._ask(reading)
            except NoAnswerError:
                self._lost += 1
                short = objects_in(APDU_BYTES)
                if self._lost > FAILURES_TO_OPEN and self.batch_size > short:
                    # It answered a probe between: its long answers are lost on their way, in pieces.
                    self._adapted = True
                    self._plan(short)
                raise
            except ValueError as fault:
                self.breaker.last_error = str(fault)
                samples.update((wire.point, Sample(None, Quality.IMPLAUSIBLE, self.now)) for wire in batch)
            except DeviceError as refusal:
                self.breaker.last_error = why = str(refusal)
                if self._adapts(refusal):
                    at, due = 0, [*self.batches, *self.followed_batches]
                    continue
                if len(batch) > 1:  # one object that it does not know may spoil it for all others
                    due[at : at + 1] = self._halved(due[at])
                    continue
            else:
                if self.following is not None:
                    self._tell_following(batch, found)
                for wire, value in zip(batch, found, strict=True):
                    point = wire.point
                    samples[point] = (
                        self.bounds[point].sample(value, now) if type(value) is float else self._sample(point, value)
                    )
            at += 1
        if not samples and why:
            self._plan(self.batch_size)
            raise NoAnswerError(why)  # a station that refuses everything is as good as silent
        self.breaker.answered()
        self._lost = 0
        if self.following is not None and (self._follower is None or self._follower.done()):
            self._follower = asyncio.create_task(self._follow(self.following), name=f"follow {self.bus.name}")
        return samples

    # Following changes of value

    def _tell_following(self, batch: Sequence[Wire], found: Sequence[Value | PropertyFault]) -> None:
        assert self.following is not None
        clock_s, polled = asyncio.get_running_loop().time(), len(self.following.polled)
        for wire, value in zip(batch, found, strict=True):
            self.following.read(wire.point, value if isinstance(value, float) else None, self.now, clock_s)
        if len(self.following.polled) != polled:
            self._plan(self.batch_size)

    async def _follow(self, following: Following) -> None:
        """Subscribes and renews, outside the sweeps, one request at a time; ends when the station falls silent."""
        loop = asyncio.get_running_loop()
        self.stack.listen(
            self.station, self.process, lambda told: following.told(told, self.bus.device_instance, self.now)
        )
        while not self.breaker.is_open and not self.by_library:
            for point in following.due(loop.time()):
                request = subscribe_request(self.process, self.properties[point], round(following.lifetime_s))
                try:
                    async with self.turn:
                        answer = await self.stack.read(self.station, SUBSCRIBE_COV, request)
                except DeviceError as refusal:
                    self._poll_instead(point, str(refusal))
                    continue
                except NoAnswerError:
                    break
                if answer is None:
                    self._poll_instead(point, "the station answers through a router or in segments")
                else:
                    following.subscribed(point, loop.time())
            await asyncio.sleep(following.lifetime_s / 4)

    def _poll_instead(self, point: str, why: str) -> None:
        assert self.following is not None
        self.following.refused(point, why)
        self._plan(self.batch_size)

    @property
    def health(self) -> BusHealth:
        told = super().health
        if self.following is None or not self.following.polled:
            return told
        return replace(told, polled=tuple(f"{point}: {why}" for point, why in self.following.polled.items()))

    async def close(self) -> None:
        """Ends our subscriptions, without waiting for answers: a station has room for few."""
        if self._follower is not None:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower
            assert self.following is not None
            for point, item in self.following.items.items():
                if point not in self.following.polled:
                    with contextlib.suppress(TimeoutError):
                        self.stack.tell(self.station, SUBSCRIBE_COV, subscribe_request(self.process, item, None))

    def _adapts(self, refusal: DeviceError) -> bool:
        """Smaller batches from now on, if that is what the station told us it needs."""
        if self.batch_size == 1 or not (refusal.too_big or refusal.unknown_service):
            return False
        self._adapted = True
        self._plan(1 if refusal.unknown_service else self.batch_size // 2)
        return True

    def _sample(self, point: str, found: Value | PropertyFault) -> Sample:
        if isinstance(found, PropertyFault):
            self.breaker.last_error = f"{point}: {found}"
            missing = found.error_code == VALUE_NOT_INITIALIZED
            return Sample(None, Quality.MISSING if missing else Quality.UNREACHABLE, self.now)
        return self.sample(point, math.nan if found is None else found)

    # For a person who commissions

    async def identity(self, wire: Wire) -> dict[str, str]:
        if self.breaker.is_open or self.bus.device_instance is None:
            return {}
        async with self.turn:
            return await self.stack.identity(self.bus.address, self.bus.device_instance)

    async def priorities(self, wire: Wire) -> dict[int, float] | None:
        if wire.measure.write is None or self.breaker.is_open:
            return None
        item = self.properties[wire.point]
        slots = [_slot(item, number) for number in range(1, 17)]
        try:
            found = await self._read(slots)
        except NoAnswerError:
            return None
        if any(not isinstance(found.get(slot), float | None) or slot not in found for slot in slots):
            return None
        return {slot.index: value for slot in slots if slot.index and isinstance(value := found[slot], float)}

    async def holders(self, points: Sequence[str]) -> dict[str, Holder | None]:
        outputs = [point for point in points if self.wires[point].measure.write is not None]
        above = {p: [_slot(self.properties[p], n) for n in range(1, BACNET_PRIORITY)] for p in outputs}
        if not outputs or self.breaker.is_open:
            return {}
        try:
            found = await self._read([slot for slots in above.values() for slot in slots])
        except NoAnswerError:
            return {}  # the next sweep finds out whether it was more than a lost answer
        except Exception as fault:
            self.defects += 1
            self.breaker.last_error = f"{type(fault).__name__}: {fault}"
            return {}
        told: dict[str, Holder | None] = {}
        for point, slots in above.items():
            if all(slot in found and isinstance(found[slot], float | None) for slot in slots):
                held = ((slot.index, found[slot]) for slot in slots)
                told[point] = next(((n, v) for n, v in held if n is not None and isinstance(v, float)), None)
        return told

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
            if (why := self.guard(command)) is not None:
                refused[i] = Refused(why)
                continue
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
                found.update(zip(part, await self._ask(Reading(part)), strict=True))
            except ValueError as fault:
                self.breaker.last_error = str(fault)
            except DeviceError as refusal:
                self.breaker.last_error = str(refusal)
                if self._adapts(refusal):
                    continue
                if len(part) > 1:  # as in a sweep
                    found |= await self._read(part[: len(part) // 2])
                    found |= await self._read(part[len(part) // 2 :])
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
        if _equal(present, command.value) and slot is not None and _equal(slot, command.value):
            return Written(command.value)
        if slot is None:
            return Refused(f"the device acknowledged, but holds nothing at priority {command.priority}")
        if not _equal(slot, command.value):  # rounded or bounded: in our slot all the same, and ours to give back
            return Overridden(present, "the device")
        return Overridden(present, await self._holder(item, command.priority))

    async def _holder(self, item: Property, priority: int) -> str:
        """Who stands above our slot."""
        above = [_slot(item, number) for number in range(1, priority)]
        found = await self._read(above)
        for slot in above:
            if isinstance(found.get(slot), float):
                return f"priority {slot.index}"
        return "the device"

    async def _ask(self, reading: Reading) -> list[Value | PropertyFault]:
        """One read. Raises NoAnswerError, DeviceError, or ValueError for a malformed answer."""
        if self.batch_size == 1:
            return [await self._ask_one(item) for item in reading.wanted]
        return reading.values(await self._answer(READ_PROPERTY_MULTIPLE, reading.request))

    async def _ask_one(self, item: Property) -> Value:
        return read_one_answer(await self._answer(READ_PROPERTY, read_one_request(item)), item)

    async def _answer(self, service: int, request: bytes) -> bytes:
        async with self.turn:
            if not self.by_library:
                answer = await self.stack.read(self.station, service, request)
                self._heard = True
                if answer is not None:
                    self._odd = 0
                    return answer
                self._odd += 1
                self.by_library = self._odd >= 2  # in segments or through a router, and it will be so again
            return await self.stack.request(self.station, service, request)

    # Probing

    def silent(self) -> list[Hashable]:
        return [None] if self.breaker.is_open else []

    async def answers(self, which: Hashable) -> bool:
        """Read one object; another one the next time, for a station may refuse one and know all others."""
        first = next(self._probed)
        try:
            await self._ask_one(first)
        except (DeviceError, ValueError) as refusal:
            self.breaker.last_error = str(refusal)
            return False
        except NoAnswerError:
            if self.by_library or self._heard:
                raise
            await self._try_library(first)
        if self.breaker.is_open:  # what comes back may be another station: it is asked again what it takes
            self._knows_size = self._adapted = False
            if self.following is not None:
                self.following.forget()
                self._plan(self.batch_size)
        self.breaker.answered()
        return True

    async def _try_library(self, item: Property) -> None:
        """A station may answer the standard port only. Raises NoAnswerError when it is silent there too."""
        self.by_library = True
        try:
            await self._ask_one(item)
        except NoAnswerError:
            self.by_library = False
            raise


def _property(wire: Wire) -> Property:
    kind, instance = wire.object_id
    return Property(OBJECT_TYPES[kind], instance)


def _slot(item: Property, priority: int) -> Property:
    return Property(item.object_type, item.instance, PRIORITY_ARRAY, priority)


def _equal(found: float, wanted: float) -> bool:
    """Equal as far as a BACnet Real can tell."""
    return abs(found - wanted) <= max(1e-6, abs(wanted) * 2.0**-22)
