"""Changes of value: which points a station tells us of by itself, and how long what it told may be believed.

SubscribeCOV and its unconfirmed notifications (ANSI/ASHRAE 135, clauses 13.1, 13.14 and 21). A subscription lives for
seconds of the station's clock and is renewed at half of them; nobody tells us when one is lost. So what a station has
not confirmed within the floor is read, a reading that differs from what was told shows a lost subscription, and a point
that the station does not take, or loses again and again, is polled, by name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ems.bms.apdu import PRESENT_VALUE, Property, present_value
from ems.district import BacnetObject, Wire

SUBSCRIBE_COV = 5
_UNCONFIRMED_COV = b"\x10\x02"
_STATUS_FLAGS = 111
LOSSES_AT_MOST = 2  # of one subscription, then its point is polled


def follows(wire: Wire) -> bool:
    """Whether a point is worth a subscription: its type says so, it is not ours to write, and a change is defined."""
    measure = wire.measure
    if wire.device.type.cov is None or not isinstance(measure, BacnetObject) or measure.write is not None:
        return False
    return measure.cov_increment is not None or not measure.object.startswith("analog")


def subscribe_request(process: int, item: Property, lifetime_s: int | None) -> bytes:
    """SubscribeCOV-Request for unconfirmed notifications; without a lifetime, its end."""
    out = struct.pack(">BIBI", 0x0C, process, 0x1C, item.object_type << 22 | item.instance)
    return out if lifetime_s is None else out + b"\x29\x00" + struct.pack(">BI", 0x3C, lifetime_s)


@dataclass(frozen=True)
class Notice:
    """What a station says by itself of an object; `fault` is its own doubt about the value."""

    process: int
    device: int
    object: tuple[int, int]  # type and instance
    value: float | None
    fault: bool


def notice(message: bytes) -> Notice | None:
    """The unconfirmed notification in a whole BACnet/IP message; None for anything else, or a malformed one."""
    if len(message) < 12 or message[:2] != b"\x81\x0a" or int.from_bytes(message[2:4], "big") != len(message):
        return None
    if message[4] != 1 or message[5] & ~0x03 or message[6:8] != _UNCONFIRMED_COV:
        return None
    try:
        return _body(message[8:])
    except (ValueError, IndexError, struct.error):
        return None


def _body(data: bytes) -> Notice:
    process, at = _number(data, 0, 0)
    device, at = _identifier(data, at, 1)
    monitored, at = _identifier(data, at, 2)
    _, at = _number(data, at, 3)
    if data[at] != 0x4E:
        raise ValueError("no list of values")
    at += 1
    value: float | None = None
    fault = found = False
    while data[at] != 0x4F:
        what, at = _number(data, at, 0)
        if data[at] != 0x2E:
            raise ValueError("no value")
        end = data.index(0x2F, at + 1)
        if what == PRESENT_VALUE:
            value, end = present_value(data, at + 1, monitored[0])
            found = True
        elif what == _STATUS_FLAGS:
            if data[at + 1 : at + 3] != b"\x82\x04":
                raise ValueError("no status flags")
            fault, end = bool(data[at + 3] & 0x40), at + 4
        if data[end] != 0x2F:
            raise ValueError("a value does not end")
        at = end + 1
    if not found or at + 1 != len(data):
        raise ValueError("no present value, or something behind the end")
    return Notice(process, device[1], monitored, value, fault)


def _number(data: bytes, at: int, tag: int) -> tuple[int, int]:
    size = data[at] & 7
    if data[at] >> 4 != tag or not data[at] & 0x08 or not 1 <= size <= 4 or at + 1 + size > len(data):
        raise ValueError(f"byte {at} is not context tag {tag}")
    return int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size


def _identifier(data: bytes, at: int, tag: int) -> tuple[tuple[int, int], int]:
    if data[at] != tag << 4 | 0x0C:
        raise ValueError(f"byte {at} is no object identifier")
    number, at = _number(data, at, tag)
    return (number >> 22, number & 0x3FFFFF), at


@dataclass
class _Followed:
    """What is known of one point. Real seconds for the subscription, site time for what was confirmed."""

    increment: float
    until_s: float = 0.0  # the subscription's end on the loop's clock; 0 before there is one
    value: float | None = None
    confirmed: datetime | None = None
    doubted: bool = False
    losses: int = 0


@dataclass
class Following:
    """The followed points of one station. Pure: told of answers, notices and times."""

    items: Mapping[str, Property]
    wires: Mapping[str, Wire]
    lifetime_s: float
    floor: timedelta
    polled: dict[str, str] = field(default_factory=dict)  # what is polled instead, and why

    def __post_init__(self) -> None:
        self._by_object = {(item.object_type, item.instance): point for point, item in self.items.items()}
        self._of: dict[str, _Followed] = {}
        for point in self.items:
            measure = self.wires[point].measure
            assert isinstance(measure, BacnetObject)
            self._of[point] = _Followed(measure.cov_increment or 0.0)

    @staticmethod
    def of(wires: Iterable[Wire], items: Mapping[str, Property]) -> Following | None:
        """The points of a station that are worth it; None without any."""
        chosen = {wire.point: wire for wire in wires if follows(wire)}
        settings = [wire.device.type.cov for wire in chosen.values() if wire.device.type.cov is not None]
        if not settings:
            return None
        return Following(
            {point: items[point] for point in chosen},
            chosen,
            min(cov.lifetime_s for cov in settings),
            timedelta(seconds=min(cov.floor_s for cov in settings)),
        )

    def sure(self, point: str, now: datetime, clock_s: float) -> float | None:
        """The value that a point stands at because nothing else was told, or None where it has to be read."""
        item = self._of.get(point)
        if item is None or point in self.polled or item.doubted or clock_s >= item.until_s or item.confirmed is None:
            return None
        fresh = timedelta(0) <= now - item.confirmed < self.floor
        return item.value if fresh else None

    def confirmed_at(self, point: str) -> datetime | None:
        """When a point was last told or read."""
        item = self._of.get(point)
        return None if item is None else item.confirmed

    def due(self, clock_s: float) -> list[str]:
        """What is to be subscribed to, or renewed."""
        return [
            point
            for point, item in self._of.items()
            if point not in self.polled and item.until_s - clock_s < self.lifetime_s / 2
        ]

    def subscribed(self, point: str, clock_s: float) -> None:
        self._of[point].until_s = clock_s + self.lifetime_s

    def refused(self, point: str, why: str) -> None:
        self.polled[point] = why

    def told(self, what: Notice, device: int | None, now: datetime) -> None:
        """A notification came. What is not of this station and these points is passed over."""
        point = self._by_object.get(what.object)
        if point is None or (device is not None and what.device != device):
            return
        item = self._of[point]
        item.value, item.confirmed, item.doubted = what.value, now, what.fault or what.value is None

    def read(self, point: str, value: float | None, now: datetime, clock_s: float) -> None:
        """A reading came. One that differs from what should have been told casts doubt; a second one is a loss."""
        item = self._of.get(point)
        if item is None or point in self.polled:
            return
        subscribed = clock_s < item.until_s and item.value is not None
        missed = (
            subscribed
            and value is not None
            and item.value is not None
            and abs(value - item.value) > item.increment * (1 + 1e-6) + 1e-6
        )
        if missed and item.doubted:
            item.losses += 1
            item.until_s = 0.0
            item.doubted = False
            if item.losses >= LOSSES_AT_MOST:
                self.refused(point, f"the station did not tell of {item.losses} changes")
        if missed and not item.doubted and item.until_s:
            item.doubted = True  # the notice may be under way: it is read once more before it is called lost
            return
        if not missed:
            item.doubted = value is None
        item.value, item.confirmed = value, now

    def forget(self) -> None:
        """The station was away: whatever it knew of us is gone, and it may have learnt to follow meanwhile."""
        self.polled.clear()
        for item in self._of.values():
            item.until_s, item.losses, item.doubted = 0.0, 0, False
