"""BACnet/IP reads on a plain UDP socket beside the library's: what comes back whole is taken, nothing else.

ANSI/ASHRAE 135, annex J (BVLL), clause 6.2 (NPDU), clause 20.1 (APDUs). We say that we take no segments; an answer that
is segmented or routed all the same is `Odd`, and the library asks again. An answer belongs to a question when station,
invoke id and service agree; an id whose question was given up rests for a minute, so that nothing late meets a new one.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from ems.bms.cov import Notice, notice

READS_AT_ONCE = 256  # invoke ids
REST_S = 60.0  # longer than any network keeps a datagram
_ORIGINAL_UNICAST = 0x0A
_HEAD_BYTES = 6  # BVLL and NPDU of an answer that was not routed
SIMPLE_ACK, COMPLEX_ACK, ERROR, REJECT, ABORT = 2, 3, 5, 6, 7

Peer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A whole ComplexACK's service data; none of a SimpleACK."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Denied:
    """An Error, Reject or Abort: the PDU's type, and its reason or what stands in its body."""

    kind: int
    reason: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Odd:
    """An answer that we leave to the library: in segments, or from behind a router."""


Reply = Acknowledged | Denied | Odd


def question(invoke: int, service: int, data: bytes) -> bytes:
    """A Confirmed-Request of an answer up to 1476 bytes in one piece."""
    return struct.pack(">BBHBBBBBB", 0x81, _ORIGINAL_UNICAST, 10 + len(data), 1, 4, 0, 5, invoke, service) + data


def reply(message: bytes) -> tuple[int, int | None, Reply] | None:
    """Invoke id, service (None where the PDU names none) and meaning of a datagram; None for what is no answer."""
    if len(message) < _HEAD_BYTES + 3 or message[0] != 0x81 or message[1] != _ORIGINAL_UNICAST:
        return None
    if int.from_bytes(message[2:4], "big") != len(message) or message[4] != 1:
        return None
    control = message[5]
    if control & 0x80:
        return None  # a message of the network layer
    if control & 0x28:
        return _routed(message)
    if control & ~0x03:
        return None  # a question, or bits that the standard keeps
    kind, flags, invoke, what = message[6] >> 4, message[6] & 0x0F, message[7], message[8]
    if kind == COMPLEX_ACK:
        if flags & 0x0C:
            return (invoke, message[10], Odd()) if len(message) > 10 else None
        return (invoke, what, Acknowledged(message[9:])) if not flags else None
    if kind == SIMPLE_ACK and not flags:
        return (invoke, what, Acknowledged(b"")) if len(message) == _HEAD_BYTES + 3 else None
    if kind == ERROR and not flags:
        return invoke, what, Denied(kind, 0, message[9:])
    if (kind == REJECT and not flags) or (kind == ABORT and flags == 1):
        return (invoke, None, Denied(kind, what)) if len(message) == _HEAD_BYTES + 3 else None
    return None


def _routed(message: bytes) -> tuple[int, int | None, Reply] | None:
    """An answer from behind a router: found out only as far as to leave it to the library."""
    at, control = _HEAD_BYTES, message[5]
    try:
        if control & 0x20:
            at += 3 + message[at + 2]
        if control & 0x08:
            at += 3 + message[at + 2]
        at += 1 if control & 0x20 else 0
        return (message[at + 1], None, Odd()) if message[at] >> 4 in (COMPLEX_ACK, ERROR, REJECT, ABORT) else None
    except IndexError:
        return None


@dataclass(slots=True)
class _Ids:
    """The invoke ids of one station."""

    last: int = 0
    resting: dict[int, float] = field(default_factory=dict)  # until when, on the loop's clock

    def take(self, now: float, busy: set[int]) -> int:
        for step in range(1, READS_AT_ONCE + 1):
            invoke = (self.last + step) % READS_AT_ONCE
            if invoke not in busy and self.resting.get(invoke, 0.0) <= now:
                self.resting.pop(invoke, None)
                self.last = invoke
                return invoke
        raise TimeoutError(f"all {READS_AT_ONCE} invoke ids of the station are waited for")


class Datagrams(asyncio.DatagramProtocol):
    """One socket for the reads of all stations."""

    def __init__(self, timeout_s: float, tries: int = 2) -> None:
        self.timeout_s = timeout_s
        self.tries = tries
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: dict[tuple[Peer, int], tuple[int, asyncio.Future[Reply]]] = {}
        self._ids: dict[Peer, _Ids] = {}
        self._listeners: dict[tuple[Peer, int], Callable[[Notice], None]] = {}

    @classmethod
    async def open(cls, host: str, timeout_s: float) -> Datagrams:
        """A socket on an own port of `host`. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_datagram_endpoint(lambda: cls(timeout_s), local_addr=(host, 0))
        return made

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def ask(self, station: Peer, service: int, data: bytes) -> Reply:
        """The station's answer. Asked again once within the time-out. Raises TimeoutError when none comes."""
        assert self._transport is not None
        busy = {invoke for peer, invoke in self._waiting if peer == station}
        ids = self._ids.setdefault(station, _Ids())
        invoke = ids.take(self._loop.time(), busy)
        message = question(invoke, service, data)
        waiting: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting[station, invoke] = service, waiting
        again = self._loop.call_later(self.timeout_s / self.tries, self._repeat, station, message, self.tries - 1)
        end = self._loop.call_later(self.timeout_s, _give_up, waiting)
        try:
            self._transport.sendto(message, station)
            return await waiting
        except BaseException:
            ids.resting[invoke] = self._loop.time() + REST_S
            raise
        finally:
            again.cancel()
            end.cancel()
            del self._waiting[station, invoke]

    def listen(self, station: Peer, process: int, told: Callable[[Notice], None]) -> None:
        """Pass the notifications of a station for one of our process identifiers on."""
        self._listeners[station, process] = told

    def tell(self, station: Peer, service: int, data: bytes) -> None:
        """Send a request whose answer nobody waits for."""
        if self._transport is not None and not self._transport.is_closing():
            ids = self._ids.setdefault(station, _Ids())
            invoke = ids.take(self._loop.time(), {number for peer, number in self._waiting if peer == station})
            ids.resting[invoke] = self._loop.time() + REST_S
            self._transport.sendto(question(invoke, service, data), station)

    def _repeat(self, station: Peer, message: bytes, left: int) -> None:
        if left and self._transport is not None and (station, message[8]) in self._waiting:
            self._transport.sendto(message, station)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # which asyncio's own does not say it is

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        found = reply(data)
        if found is None:
            if self._listeners and (told := notice(data)) is not None:
                listener = self._listeners.get((addr, told.process))
                if listener is not None:
                    listener(told)
            return
        invoke, service, meaning = found
        asked = self._waiting.get((addr, invoke))
        if asked is not None and service in (None, asked[0]) and not asked[1].done():
            asked[1].set_result(meaning)

    def error_received(self, exc: Exception) -> None:
        """A port that nobody listens on: the question runs into its time-out."""


def _give_up(waiting: asyncio.Future[Reply]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError("no answer in time"))
