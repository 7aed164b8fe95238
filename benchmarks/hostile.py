"""Peers that lie: a Modbus gateway, meters on a serial line and a BACnet station whose answers are flipped, cut, late,
doubled and made up.

Every answer counts as a frame. What is honest must be believed, what is not must become no number; a flip that leaves
a plausible value in a frame that fits its question cannot be told and is counted as `undetectable`. Then random
commands at the write gate: none outside the envelope may leave. One JSON line with `--json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import struct
import sys
import time
import tty
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

from ems.bms import Field, Patience, rtu  # noqa: E402
from ems.bms.bacnet import BacnetLine  # noqa: E402
from ems.bms.line import Line  # noqa: E402
from ems.command import Command, Outcome, Written  # noqa: E402
from ems.dispatch import permit  # noqa: E402
from ems.district import Bus, Device, DeviceType, Serial, Wire, read_district  # noqa: E402
from ems.points import Quality, Sample  # noqa: E402
from ems.snapshot import Snapshot  # noqa: E402

START = datetime(2026, 1, 15, tzinfo=UTC)
NETWORK = 58
UNITS = 6
TIMEOUT_S = 0.03
PATIENCE = Patience(0.004, 0.02)
HANG_S = 2.0
LINE_SHARE = 40  # one frame in so many comes over a serial line, which is slow
LINE_TIMEOUT_S = 0.1  # a pseudo-terminal hands bytes on when the kernel finds time for it
LAG_S = 0.005  # the machine was away for so long: what nobody heard then is not our fault

METER = DeviceType.model_validate({
    "maker": "hostile", "model": "meter", "source": "made up", "verified": False, "protocol": "modbus",
    "registers": {
        "voltage_v": {"function": 4, "address": 0, "type": "float32", "unit": "V", "minimum": 180, "maximum": 280},
        "power_kw": {"function": 4, "address": 2, "type": "int32", "unit": "W", "scale": 0.001, "nan": -(2**31),
                     "minimum": -20, "maximum": 40},
        "temperature_c": {"function": 4, "address": 5, "type": "int16", "unit": "degC", "scale": 0.1, "minimum": -30,
                          "maximum": 90, "jump_per_min": 2.0},
        "energy_kwh": {"function": 4, "address": 6, "type": "uint32", "unit": "Wh", "scale": 0.001, "minimum": 0,
                       "words": "little", "jump_per_min": 0.7},
    },
})  # fmt: skip
CONTROLLER = DeviceType.model_validate({
    "maker": "hostile", "model": "controller", "source": "made up", "verified": False, "protocol": "bacnet",
    "objects": {
        "temperature_c": {"object": "analog-input", "instance": 0, "unit": "degC", "minimum": -10, "maximum": 60,
                          "jump_per_min": 2.0},
        "heat_power_kw": {"object": "analog-input", "instance": 1, "unit": "kW", "minimum": -50, "maximum": 3000},
        "pump_on": {"object": "binary-input", "instance": 2, "unit": "state", "minimum": 0, "maximum": 1},
        "occupancy_mode": {"object": "multi-state-input", "instance": 3, "unit": "state", "minimum": 1, "maximum": 3},
    },
})  # fmt: skip
_NUMBERS = {"analog-input": 0, "binary-input": 3, "multi-state-input": 13}


@dataclass
class Tally:
    """What came of the frames."""

    frames: int = 0
    honest: int = 0
    crashes: int = 0
    hangs: int = 0
    accepted_wrong: int = 0
    refused_good: int = 0
    undetectable: int = 0
    after_undetectable: int = 0  # honest, and doubted because a flip before it could not be told
    unheard_by_machine: int = 0  # honest, and past our time-out because the machine was away
    findings: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def wrong(self, what: str) -> None:
        self.accepted_wrong += 1
        self.keep(f"accepted wrong: {what}")

    def refused(self, what: str) -> None:
        self.refused_good += 1
        self.keep(f"refused good: {what}")

    def crashed(self, what: str) -> None:
        self.crashes += 1
        self.keep(f"crash: {what}")

    def keep(self, what: str) -> None:
        """The first few of each kind."""
        if sum(example[:8] == what[:8] for example in self.examples) < 3:
            self.examples.append(what)


class Truth:
    """What the devices really show: it changes with every sweep, as slowly as such things do."""

    def __init__(self, dice: random.Random, wires: Sequence[Wire]) -> None:
        self.dice = dice
        self.values: dict[str, float] = {}
        self.wires = wires
        for wire in wires:
            start = {"voltage_v": 230.0, "power_kw": 1.0, "temperature_c": 20.0, "energy_kwh": 900.0}
            self.values[wire.point] = start.get(wire.quantity, 1.0)

    def move(self) -> None:
        for wire in self.wires:
            value = self.values[wire.point]
            match wire.quantity:
                case "voltage_v":
                    value = _real(self.dice.uniform(210, 250))
                case "power_kw":
                    value = self.dice.randint(-20000, 40000) * 0.001
                case "temperature_c":
                    value = min(max(value + self.dice.randint(-12, 12) * 0.1, 5), 35)
                    value = round(value * 10) * 0.1 if wire.bus.protocol == "modbus" else _real(value)
                case "energy_kwh":
                    value = round(value * 1000 + self.dice.randint(0, 600)) * 0.001
                case "heat_power_kw":
                    value = _real(self.dice.uniform(0, 2000))
                case "pump_on":
                    value = float(self.dice.getrandbits(1))
                case _:
                    value = float(self.dice.randint(1, 3))
            self.values[wire.point] = value


@dataclass
class Said:
    """What a peer sent for one question: point by point the values a strict reader would find, or none."""

    kind: str
    honest: bool
    values: dict[str, float]


class Peer:
    """What both peers share: the dice, and a log of the running sweep."""

    def __init__(self, dice: random.Random, truth: Truth, tally: Tally) -> None:
        self.dice, self.truth, self.tally = dice, truth, tally
        self.log: dict[int, list[Said]] = defaultdict(list)
        self.older: dict[int, bytes] = {}

    def note(self, unit: int, kind: str, honest: bool, values: dict[str, float]) -> None:
        self.tally.frames += 1
        self.tally.honest += honest
        self.tally.kinds[kind] += 1
        self.log[unit].append(Said(kind, honest, values))

    def flipped(self, frame: bytes, count: int) -> bytes:
        out = bytearray(frame)
        for _ in range(count):
            bit = self.dice.randrange(8 * len(out))
            out[bit // 8] ^= 1 << bit % 8
        return bytes(out)


# Modbus

LIES = (
    ("honest", 600), ("dribble", 10), ("twice", 10), ("stale first", 20), ("flip", 120), ("flips", 40), ("cut", 4),
    ("hang up", 6), ("noise", 10), ("silence", 2), ("late", 2), ("transaction", 2), ("unit", 20), ("function", 20),
    ("count", 20), ("length", 20), ("exception", 20), ("odd exception", 10), ("shorter", 15), ("longer", 15),
    ("not available", 20), ("implausible", 20), ("jump", 20), ("unasked", 10),
)  # fmt: skip


class Gateway(Peer, asyncio.Protocol):
    """Several meters behind one Modbus/TCP gateway; one object serves one connection after the other."""

    transport: Any = None

    def __init__(self, dice: random.Random, truth: Truth, tally: Tally, wires: Sequence[Wire]) -> None:
        super().__init__(dice, truth, tally)
        self.wires: dict[int, list[Wire]] = defaultdict(list)
        for wire in wires:
            self.wires[wire.device.unit].append(wire)

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 12:
            question, self.buffer = self.buffer[:12], self.buffer[12:]
            self.reply(*struct.unpack(">HHHBBHH", question))

    def reply(
        self, transaction: int, _protocol: int, _length: int, unit: int, function: int, address: int, n: int
    ) -> None:
        right = self.frame(transaction, unit, function, self.words(unit, self.truth.values)[address : address + n])
        kind = self.dice.choices([k for k, _ in LIES], [w for _, w in LIES])[0]
        sent, at_once = self.lie(kind, right, transaction, unit, function, address, n)
        honest = kind in ("honest", "dribble", "twice", "stale first", "unasked")
        stream = b"".join(sent)
        self.note(unit, kind, honest, self.strictly(stream, transaction, unit, function, address, n))
        self.older[unit] = right
        transport = self.transport
        if kind == "late":
            asyncio.get_running_loop().call_later(1.2 * TIMEOUT_S, transport.write, right)
        elif at_once:
            transport.write(stream)
        else:
            for part in sent:
                transport.write(part)
        # Most frames that never come to an end are followed by a hang-up: waiting for all of them would take hours.
        if kind == "hang up" or (kind not in PATIENT and self.waits(stream, transaction) and self.dice.random() < 0.95):
            transport.close()

    @staticmethod
    def waits(stream: bytes, transaction: int) -> bool:
        """Whether a reader would wait for more."""
        while len(stream) >= 6:
            number, protocol, length = struct.unpack(">HHH", stream[:6])
            if protocol or not 3 <= length <= 254:
                return False
            if len(stream) < 6 + length:
                return True
            if number == transaction:
                return False
            stream = stream[6 + length :]
        return True

    def lie(
        self, kind: str, right: bytes, transaction: int, unit: int, function: int, address: int, n: int
    ) -> tuple[list[bytes], bool]:
        """The parts to send, and whether in one piece."""
        dice, body = self.dice, right[9:]
        match kind:
            case "dribble":
                return [right[i : i + 1] for i in range(len(right))], False
            case "twice":
                return [right, right], True
            case "stale first":
                return [
                    self.older.get(unit, self.frame(transaction - 1 & 0xFFFF, unit, function, [1] * n)),
                    right,
                ], True
            case "unasked":  # before its turn, with a number that may be the next one's
                wrong = self.frame(transaction + 1 & 0xFFFF, unit, function, [7] * n)
                return [wrong, right], True
            case "flip" | "flips":
                return [self.flipped(right, 1 if kind == "flip" else dice.randint(2, 12))], True
            case "cut":
                return [right[: dice.randrange(1, len(right))]], True
            case "noise":
                return [bytes([dice.getrandbits(8) | 1 for _ in range(dice.randint(6, 60))])], True
            case "silence" | "late" | "hang up":
                return [], True
            case "transaction":
                return [struct.pack(">H", transaction ^ dice.randint(1, 0xFFFF)) + right[2:]], True
            case "unit":
                return [right[:6] + bytes([unit ^ dice.randint(1, 255)]) + right[7:]], True
            case "function":
                return [right[:7] + bytes([function ^ dice.randint(1, 127)]) + right[8:]], True
            case "count":
                return [right[:8] + bytes([right[8] ^ dice.randint(1, 255)]) + right[9:]], True
            case "length":
                shift = dice.choice([-4, -2, -1, 1, 2])
                return [right[:4] + struct.pack(">H", len(right) - 6 + shift) + right[6:] + bytes(max(shift, 0))], True
            case "exception" | "odd exception":
                code = dice.choice((1, 2, 3, 4, 6, 11)) if kind == "exception" else dice.randint(12, 255)
                return [struct.pack(">HHHBBB", transaction, 0, 3, unit, function | 0x80, code)], True
            case "shorter" | "longer":
                words = list(struct.unpack(f">{n}H", body))
                return [self.frame(transaction, unit, function, words[:-1] if kind == "shorter" else [*words, 9])], True
            case "not available" | "implausible" | "jump":
                values = dict(self.truth.values)
                for wire in self.wires[unit]:
                    values[wire.point] = {
                        "not available": {"voltage_v": math.nan, "power_kw": -(2.0**31) * 0.001},
                        "implausible": {
                            "voltage_v": dice.choice([0.0, 281.0, 1e30, math.inf, -math.inf, math.nan]),
                            "power_kw": dice.choice([-20.001, 40.001, 2e6]),
                            "temperature_c": dice.choice([-30.1, 90.1, 3000.0]),
                        },
                        "jump": {
                            "temperature_c": dice.choice([-25.0, 60.0, 85.0]),
                            "energy_kwh": dice.choice([0.0, 1e6]),
                        },
                    }[kind].get(wire.quantity, values[wire.point])
                return [self.frame(transaction, unit, function, self.words(unit, values)[address : address + n])], True
            case _:
                return [right], True

    @staticmethod
    def frame(transaction: int, unit: int, function: int, words: Sequence[int]) -> bytes:
        return struct.pack(
            f">HHHBBB{len(words)}H", transaction, 0, 3 + 2 * len(words), unit, function, 2 * len(words), *words
        )

    def words(self, unit: int, values: dict[str, float]) -> list[int]:
        """The unit's eight registers, packed by hand and not by the code on trial."""
        of = {wire.quantity: values[wire.point] for wire in self.wires[unit]}
        energy = round(of["energy_kwh"] * 1000)
        data = struct.pack(">f", of["voltage_v"]) + struct.pack(">i", round(of["power_kw"] * 1000)) + b"\xab\xcd"
        data += struct.pack(">h", round(of["temperature_c"] * 10))
        data += struct.pack(">HH", energy & 0xFFFF, energy >> 16 & 0xFFFF)
        return list(struct.unpack(">8H", data))

    def strictly(
        self, stream: bytes, transaction: int, unit: int, function: int, address: int, n: int
    ) -> dict[str, float]:
        """The values in the first whole frame of this transaction, if it fits the question in every field."""
        while len(stream) >= 9:
            number, protocol, length, whose, what, size = struct.unpack(">HHHBBB", stream[:9])
            if protocol or not 3 <= length <= 254 or len(stream) < 6 + length:
                return {}
            if number == transaction:
                fits = whose == unit and what == function and size == 2 * n and length == 3 + 2 * n
                return self.found(unit, address, n, stream[9 : 9 + 2 * n]) if fits else {}
            stream = stream[6 + length :]
        return {}

    def found(self, unit: int, address: int, n: int, data: bytes) -> dict[str, float]:
        layout = {"voltage_v": (0, ">f", 1.0), "power_kw": (2, ">i", 0.001), "temperature_c": (5, ">h", 0.1)}
        values = {}
        for wire in self.wires[unit]:
            if wire.quantity == "energy_kwh":
                at = 2 * (6 - address)
                if at >= 0 and at + 4 <= 2 * n:
                    low, high = struct.unpack(">HH", data[at : at + 4])
                    values[wire.point] = (high << 16 | low) * 0.001
                continue
            start, form, scale = layout[wire.quantity]
            at = 2 * (start - address)
            if at >= 0 and at + struct.calcsize(form) <= 2 * n:
                values[wire.point] = struct.unpack(form, data[at : at + struct.calcsize(form)])[0] * scale
        return values


PATIENT = ("silence", "late", "transaction")

# The same meters on a serial line

LINE_LIES = (
    ("honest", 600), ("dribble", 20), ("other unit first", 20), ("flip", 120), ("flips", 40), ("cut", 6), ("noise", 10),
    ("silence", 3), ("late", 6), ("unit", 20), ("function", 20), ("count", 20), ("exception", 20),
    ("odd exception", 10), ("shorter", 15), ("longer", 15), ("behind the end", 10), ("not available", 20),
    ("implausible", 20), ("jump", 20),
)  # fmt: skip


class SerialMeters(Gateway):
    """The far end of a line."""

    def __init__(self, dice: random.Random, truth: Truth, tally: Tally, wires: Sequence[Wire], master: int) -> None:
        super().__init__(dice, truth, tally, wires)
        self.master = master

    def readable(self) -> None:
        questions = os.read(self.master, 4096)  # several, when the machine was away and the first were given up
        for at in range(0, len(questions), 8):
            self.reply_on_line(questions[at : at + 8])

    def reply_on_line(self, question: bytes) -> None:
        if len(question) != 8 or rtu.crc(question[:6]) != question[6:]:
            self.tally.crashed(f"{question.hex(' ')} is no question")
            return
        unit, function, address, n = struct.unpack(">BBHH", question[:6])
        words = self.words(unit, self.truth.values)[address : address + n]
        right = self.rtu(unit, function, words)
        kind = self.dice.choices([k for k, _ in LINE_LIES], [w for _, w in LINE_LIES])[0]
        sent = self.line_lie(kind, right, unit, function, address, n)
        honest = kind in ("honest", "dribble", "other unit first")
        self.note(unit, f"line: {kind}", honest, self.strictly_rtu(b"".join(sent), unit, function, address, n))
        if kind == "late":
            asyncio.get_running_loop().call_later(1.2 * LINE_TIMEOUT_S, os.write, self.master, right)
        for part in sent:
            os.write(self.master, part)

    def line_lie(self, kind: str, right: bytes, unit: int, function: int, address: int, n: int) -> list[bytes]:
        """What is written, part by part."""
        dice = self.dice
        match kind:
            case "dribble":
                return [right[i : i + 1] for i in range(len(right))]
            case "other unit first":
                return [self.rtu(unit % UNITS + 1, function, [7] * n), right]
            case "flip" | "flips":
                return [self.flipped(right, 1 if kind == "flip" else dice.randint(2, 12))]
            case "cut":
                return [right[: dice.randrange(1, len(right))]]
            case "noise":
                return [bytes([dice.getrandbits(8) for _ in range(dice.randint(3, 60))])]
            case "silence" | "late":
                return []
            case "unit":
                return [self.rtu(unit ^ dice.randint(1, 255), function, list(struct.unpack(f">{n}H", right[3:-2])))]
            case "function":
                return [self.rtu(unit, function ^ dice.randint(1, 127), list(struct.unpack(f">{n}H", right[3:-2])))]
            case "count":
                body = right[:2] + bytes([right[2] ^ dice.randint(1, 255)]) + right[3:-2]
                return [body + rtu.crc(body)]
            case "exception" | "odd exception":
                code = dice.choice((1, 2, 3, 4, 6, 11)) if kind == "exception" else dice.randint(12, 255)
                body = bytes([unit, function | 0x80, code])
                return [body + rtu.crc(body)]
            case "behind the end":
                return [right + bytes([dice.getrandbits(8)])]
            case "honest":
                return [right]
            case _:  # what TCP can tell too: its bytes in another frame
                (frame,), _ = self.lie(kind, self.frame(1, unit, function, list(struct.unpack(f">{n}H", right[3:-2]))),
                                       1, unit, function, address, n)  # fmt: skip
                return [frame[6:] + rtu.crc(frame[6:])]

    @staticmethod
    def rtu(unit: int, function: int, words: list[int]) -> bytes:
        body = struct.pack(f">BBB{len(words)}H", unit, function, 2 * len(words), *words)
        return body + rtu.crc(body)

    def strictly_rtu(self, stream: bytes, unit: int, function: int, address: int, n: int) -> dict[str, float]:
        """The values in the first whole frame of this unit, if it fits in every field; whatever stands behind it."""
        while len(stream) >= 5:
            size = 5 + stream[2] if stream[1] in (3, 4) else 5 if stream[1] & 0x80 else 8
            whole, stream = stream[:size], stream[size:]
            if len(whole) < size or rtu.crc(whole[:-2]) != whole[-2:]:
                return {}
            if whole[0] == unit:
                fits = whole[1] == function and whole[2] == 2 * n
                return self.found(unit, address, n, whole[3:-2]) if fits else {}
        return {}


# BACnet

BACNET_LIES = (
    ("honest", 600), ("twice", 10), ("stale first", 20), ("flip", 150), ("flips", 50), ("cut", 15), ("noise", 5),
    ("silence", 2), ("late", 2), ("invoke", 2), ("service", 2), ("stranger", 2), ("error", 10), ("reject", 10),
    ("abort", 10), ("segmented", 1), ("other objects", 20), ("fewer", 20), ("more", 20), ("not available", 20),
    ("implausible", 20), ("jump", 20), ("wrong type", 20),
)  # fmt: skip


class Station(Peer, asyncio.DatagramProtocol):
    """One controller with four objects; it answers ReadProperty and ReadPropertyMultiple."""

    def __init__(self, dice: random.Random, truth: Truth, tally: Tally, wires: Sequence[Wire], bus: Bus) -> None:
        super().__init__(dice, truth, tally)
        self.bus = bus
        self.by_id = {_NUMBERS[w.object_id[0]] << 22 | w.object_id[1]: w for w in wires}
        self.stranger: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if len(data) < 10 or data[4:6] != b"\x01\x04" or data[6] & 0xF0:
            return
        invoke, service, body = data[8], data[9], data[10:]
        if service == 12 and body[:5] == b"\x0c" + (8 << 22 | 77).to_bytes(4, "big"):
            self.transport.sendto(self.ack(invoke, 12, body[:5] + b"\x19\x3e\x3e\x22\x05\xc4\x3f"), addr)
            return
        identifiers = (
            [int.from_bytes(body[1:5], "big")]
            if service == 12
            else [int.from_bytes(body[at + 1 : at + 5], "big") for at in range(0, len(body), 9)]
        )
        right = self.ack(invoke, service, self.body(service, identifiers, self.truth.values))
        kind = self.dice.choices([k for k, _ in BACNET_LIES], [w for _, w in BACNET_LIES])[0]
        sent = self.lie(kind, right, invoke, service, identifiers)
        honest = kind in ("honest", "twice", "stale first")
        if kind not in ("silence", "late", "stranger", "invoke", "service") and self.dice.random() < 0.95:
            sent = [*sent, right]  # most of what fits no question is followed by what does: nobody can hang up here
        self.note(0, kind, honest, self.strictly(sent, invoke, service, identifiers))
        self.older[0] = right
        if kind == "late":
            asyncio.get_running_loop().call_later(1.2 * TIMEOUT_S, self.transport.sendto, right, addr)
        if kind == "stranger":
            self.stranger.sendto(right, addr)
        for message in sent:
            self.transport.sendto(message, addr)

    def lie(self, kind: str, right: bytes, invoke: int, service: int, identifiers: Sequence[int]) -> list[bytes]:
        dice, values = self.dice, dict(self.truth.values)
        match kind:
            case "twice":
                return [right, right]
            case "stale first":
                return [self.older[0], right] if 0 in self.older and self.older[0][7] != invoke else [right]
            case "flip" | "flips":
                return [self.flipped(right, 1 if kind == "flip" else dice.randint(2, 12))]
            case "cut":
                short = right[: dice.randrange(9, len(right))]
                return [short[:2] + struct.pack(">H", len(short)) + short[4:]]
            case "noise":
                return [bytes([dice.getrandbits(8) for _ in range(dice.randint(1, 60))])]
            case "silence" | "late" | "stranger":
                return []
            case "invoke":
                return [right[:7] + bytes([invoke ^ dice.randint(1, 255)]) + right[8:]]
            case "service":
                return [right[:8] + bytes([service ^ dice.randint(1, 15)]) + right[9:]]
            case "error":
                return [b"\x81\x0a\x00\x0d\x01\x00\x50" + bytes([invoke, service]) + b"\x91\x02\x91\x1f"]
            case "reject" | "abort":
                head = b"\x60" if kind == "reject" else b"\x71"
                return [b"\x81\x0a\x00\x09\x01\x00" + head + bytes([invoke, dice.choice((0, 1, 4, 5, 9, 200))])]
            case "segmented":
                body = bytes([0x3C, invoke, 0, 4, service]) + right[9:]
                return [b"\x81\x0a" + struct.pack(">H", 6 + len(body)) + b"\x01\x00" + body]
            case "other objects" | "fewer" | "more":
                other = [i ^ 1 << dice.randrange(22) for i in identifiers[:1]] + list(identifiers[1:])
                listed = {"fewer": list(identifiers[1:]), "more": [*identifiers, identifiers[0]]}.get(kind, other)
                return [self.ack(invoke, service, self.body(service, listed, values))]
            case "not available" | "implausible" | "jump":
                for wire in self.by_id.values():
                    values[wire.point] = {
                        "not available": {"heat_power_kw": math.nan, "temperature_c": math.nan},
                        "implausible": {
                            "heat_power_kw": dice.choice([-51.0, 3001.0, math.inf, math.nan, 1e38]),
                            "temperature_c": dice.choice([-11.0, 61.0, -math.inf]),
                            "pump_on": 2.0, "occupancy_mode": dice.choice([0.0, 4.0, 255.0]),
                        },
                        "jump": {"temperature_c": dice.choice([-9.0, 45.0, 59.0])},
                    }[kind].get(wire.quantity, values[wire.point])  # fmt: skip
                return [self.ack(invoke, service, self.body(service, identifiers, values))]
            case "wrong type":
                return [self.ack(invoke, service, self.body(service, identifiers, values, tag=0x24))]
            case _:
                return [right]

    @staticmethod
    def ack(invoke: int, service: int, body: bytes) -> bytes:
        return b"\x81\x0a" + struct.pack(">H", 9 + len(body)) + bytes([1, 0, 0x30, invoke, service]) + body

    def body(self, service: int, identifiers: Sequence[int], values: dict[str, float], tag: int = 0x44) -> bytes:
        out = b""
        for identifier in identifiers:
            wire = self.by_id.get(identifier)
            value = 7.0 if wire is None else values[wire.point]
            if identifier >> 22 == 0:
                shown = struct.pack(">Bf", tag, value)
            else:
                shown = bytes([0x91 if identifier >> 22 == 3 else 0x21, int(value)])
            oid = b"\x0c" + identifier.to_bytes(4, "big")
            out += oid + (
                b"\x19\x55\x3e" + shown + b"\x3f" if service == 12 else b"\x1e\x29\x55\x4e" + shown + b"\x4f\x1f"
            )
        return out

    def strictly(
        self, sent: Sequence[bytes], invoke: int, service: int, identifiers: Sequence[int]
    ) -> dict[str, float]:
        """The values in the first datagram that fits the question byte by byte, but for the values themselves."""
        for message in sent:
            wanted = self.ack(invoke, service, self.body(service, identifiers, dict.fromkeys(self.truth.values, 1.0)))
            if len(message) != len(wanted):
                if message[6:9] == wanted[6:9] and message[4:6] == b"\x01\x00":
                    return {}
                continue
            at, found = 9, {}
            if message[:2] != wanted[:2] or message[4] != 1 or message[5] & ~3 or message[6:9] != wanted[6:9]:
                continue
            if message[2:4] != wanted[2:4]:
                continue
            for identifier in identifiers:
                head, width = (
                    (8, 5 if identifier >> 22 == 0 else 2) if service == 12 else (9, 5 if identifier >> 22 == 0 else 2)
                )
                tail = 1 if service == 12 else 2
                end = at + head + width
                if (
                    message[at : at + head + 1] != wanted[at : at + head + 1]
                    or message[end : end + tail] != wanted[end : end + tail]
                ):
                    return {}
                data = message[at + head + 1 : end]
                value = struct.unpack(">f", data)[0] if width == 5 else float(data[0])
                found[self.by_id[identifier].point] = value
                at = end + tail
            return found
        return {}


def _real(value: float) -> float:
    return float(struct.unpack(">f", struct.pack(">f", value))[0])


# The trial


async def trial(frames: int, seed: int, network: int = NETWORK) -> Tally:
    """Sweeps until so many frames were answered."""
    dice, tally = random.Random(seed), Tally()
    gateway_bus = Bus("hostile/meters", "modbus", f"127.{network}.1.1", 5020)
    station_bus = Bus("hostile/controller", "bacnet", f"127.{network}.1.2", 47808, 77)
    wires: list[Wire] = []
    for unit in range(1, UNITS + 1):
        device = Device(f"hostile/meter-{unit}", METER, gateway_bus, unit=unit)
        wires += [Wire(f"{device.asset}/{q}", device, m, "observe") for q, m in METER.registers.items()]
    meters = list(wires)
    room = Device("hostile/room", CONTROLLER, station_bus)
    controlled = [Wire(f"{room.asset}/{q}", room, m, "observe") for q, m in CONTROLLER.objects.items()]
    wires += controlled
    truth = Truth(dice, wires)
    gateway = Gateway(dice, truth, tally, meters)
    station = Station(dice, truth, tally, controlled, station_bus)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: tally.crashed(f"{context['message']}: {context.get('exception')!r}"))
    server = await loop.create_server(lambda: gateway, gateway_bus.host, gateway_bus.port)
    served, _ = await loop.create_datagram_endpoint(lambda: station, local_addr=(station_bus.host, station_bus.port))
    station.stranger, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=(f"127.{network}.1.3", station_bus.port)
    )
    try:
        await sweeps(frames, tally, truth, {gateway_bus.name: gateway, station_bus.name: station}, wires)
    finally:
        server.close()
        served.close()
        station.stranger.close()
    return tally


async def line_trial(frames: int, seed: int) -> Tally:
    """The same on a serial line: a pseudo-terminal, which knows no parity and no speed."""
    dice, tally = random.Random(seed), Tally()
    master, slave = os.openpty()
    tty.setraw(slave)
    port = os.ttyname(slave)
    bus = Bus("hostile/line", "modbus", "", 0, None, 115200, Serial(port, 115200, "none"))
    wires: list[Wire] = []
    for unit in range(1, UNITS + 1):
        device = Device(f"hostile/meter-{unit}", METER, bus, unit=unit)
        wires += [Wire(f"{device.asset}/{q}", device, m, "observe") for q, m in METER.registers.items()]
    truth = Truth(dice, wires)
    meters = SerialMeters(dice, truth, tally, wires, master)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: tally.crashed(f"{context['message']}: {context.get('exception')!r}"))
    loop.add_reader(master, meters.readable)
    try:
        await sweeps(frames, tally, truth, {bus.name: meters}, wires, LINE_TIMEOUT_S)
    finally:
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)
    return tally


async def sweeps(
    frames: int, tally: Tally, truth: Truth, peers: Mapping[str, Peer], wires: Sequence[Wire],
    timeout_s: float = TIMEOUT_S,
) -> None:  # fmt: skip
    """Sweeps and judges until so many frames were answered."""
    field_ = Field({wire.point: wire for wire in wires}, patience=PATIENCE, timeout_s=timeout_s)
    await field_.start()
    judge = Judge(wires, tally)
    lag = Lag()
    now, last_answered = START, tally.frames
    try:
        while tally.frames < frames:
            now += timedelta(minutes=1)
            truth.move()
            for peer in peers.values():
                peer.log.clear()
            lag.reset()
            health = field_.health
            resting = {bus: not h.up and h.failures > 1 for bus, h in health.items()}
            silent = {(bus, unit) for bus, h in health.items() for unit in h.silent_units}
            began = time.perf_counter()
            try:
                samples = await asyncio.wait_for(field_.sweep(now), 30)
            except Exception as fault:
                tally.crashed(f"{type(fault).__name__}: {fault}")
                continue
            if time.perf_counter() - began > HANG_S:
                tally.hangs += 1
                said = [s.kind for peer in peers.values() for log in peer.log.values() for s in log]
                tally.keep(f"hang: {time.perf_counter() - began:.1f} s, lag {lag.worst:.3f} s, said {said}")
            findings = field_.findings()
            tally.findings += len(findings)
            told = {finding.point for finding in findings}
            for wire in wires:
                log = peers[wire.bus.name].log[wire.device.unit]
                if resting[wire.bus.name] or (wire.bus.name, wire.device.unit) in silent:
                    log = [*log, *log]  # a probe asked, not the sweep: what it heard is no sample
                line = field_._lines[wire.bus.name]
                by_library = isinstance(line, BacnetLine) and line.by_library
                judge.look(
                    wire, samples[wire.point], log, truth.values[wire.point], wire.point in told, lag.worst, by_library,
                    line.breaker.last_error,
                )  # fmt: skip
            if tally.frames == last_answered:
                await asyncio.sleep(0.002)  # everything rests: let the probes come
            last_answered = tally.frames
        tally.crashes += sum(line.defects for line in field_._lines.values())
        for line in field_._lines.values():
            if line.defects:
                tally.keep(f"crash: {line.bus.name}: {line.breaker.last_error}")
    finally:
        lag.stop()
        await field_.stop()


class Lag:
    """How long the loop was not let run, at worst."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._handle = self._loop.call_later(0.002, self._tick)

    def _tick(self) -> None:
        self.worst = max(self.worst, self._loop.time() - self._due - 0.002)
        self._due = self._loop.time()
        self._handle = self._loop.call_later(0.002, self._tick)

    def reset(self) -> None:
        self.worst = 0.0

    def stop(self) -> None:
        self._handle.cancel()


class Judge:
    """Compares samples with what the peers know that they sent."""

    def __init__(self, wires: Sequence[Wire], tally: Tally) -> None:
        self.tally = tally
        self.last: dict[str, list[tuple[float, int]]] = defaultdict(list)  # believed values and their sweeps
        self.poisoned: dict[str, int] = {}  # until which sweep a wrong value lies in what is believed
        self.sweep = 0
        self.first = wires[0].point

    def look(
        self, wire: Wire, sample: Sample, log: list[Said], truth: float, told: bool, lag: float, by_library: bool,
        why: str,
    ) -> None:  # fmt: skip
        tally, point = self.tally, wire.point
        self.sweep += point == self.first
        if sample.value is not None:
            self._believed(wire, sample.value, log, truth, told, by_library)
        elif len(log) == 1 and log[0].honest:
            if self.poisoned.get(point, -1) >= self.sweep:
                tally.after_undetectable += 1
            elif lag > LAG_S and (sample.quality is Quality.UNREACHABLE or wire.bus.serial is not None):
                tally.unheard_by_machine += 1  # on a line, what was given up and what is asked then come together
            else:
                told_why = f"{why}, lag {lag:.3f} s"
                tally.refused(
                    f"{point} {sample.quality} (raw {sample.raw}) for {truth}, said {log[0].kind}: {told_why}"
                )

    def _believed(self, wire: Wire, value: float, log: list[Said], truth: float, told: bool, by_library: bool) -> None:
        point, measure = wire.point, wire.measure
        heard = [said for said in log if point in said.values and _near(said.values[point], value)]
        # The library keeps the outermost envelope to itself: of what it passed on only the value can be judged.
        if not heard and not (by_library and _near(value, truth)):
            self.tally.wrong(f"{point}: {value} was in no answer to this question; truth {truth}, said {log}")
        low, high = measure.minimum, measure.maximum
        if (low is not None and value < low - 1e-5) or (high is not None and value > high + 1e-5):
            self.tally.wrong(f"{point}: {value} lies outside {low}..{high}")
        jump = measure.jump_per_min
        if jump is not None and self.last[point] and not told:
            reach = [abs(value - was) - jump * max(1, self.sweep - at) for was, at in self.last[point]]
            if min(reach) > 0.1001:
                self.tally.wrong(f"{point}: {value} after {self.last[point]}")
        if not _near(value, truth):
            self.tally.undetectable += 1
            self.poisoned[point] = self.sweep + 6
        elif told:
            self.poisoned[point] = self.sweep + 1
        self.last[point] = [*self.last[point], (value, self.sweep)][-2:]


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 * max(1.0, abs(b))


# The write gate


class Recorder(Line):
    """A line that keeps what leaves."""

    def __init__(self, bus: Bus, wires: Sequence[Wire]) -> None:
        super().__init__(bus, wires, Patience())
        self.left: list[Command] = []

    async def sweep(self) -> dict[str, Sample]:
        return {}

    async def send(self, commands: Sequence[Command]) -> list[Outcome]:
        self.left += commands
        return [Written(command.value) for command in commands]

    def silent(self) -> list[Any]:
        return []

    async def answers(self, which: Any) -> bool:
        return True


async def writes(count: int, seed: int) -> dict[str, int]:
    """Random commands, to the adapters' own last check, and through the whole gate with a random snapshot."""
    dice = random.Random(seed)
    district = read_district(PROJECT / "buildings")
    wires = list(district.wires.values())
    writable = [wire for wire in wires if wire.writable]
    line = Recorder(wires[0].bus, wires)
    outside = through = 0
    for at in range(0, count, 100):
        now = START + timedelta(minutes=dice.randrange(10**6))
        line.tell(now)
        commands = [_random_command(dice, wires, writable, now, at + n) for n in range(min(100, count - at))]
        if at // 100 % 2:
            samples = {}
            for wire in dice.sample(writable, 200):
                value = _random_value(dice, wire)
                finite = value if value is not None and math.isfinite(value) else 1.0
                samples[wire.point] = Sample(finite, Quality.GOOD, now)
            allowed = permit(commands, district=district, snapshot=Snapshot(at=now, samples=samples), now=now).allowed
            for command in allowed:
                limits = district.wires[command.point].measure.write
                was = samples.get(command.point)
                if limits and limits.ramp_per_slot and was and was.value is not None and command.value is not None:
                    outside += abs(command.value - was.value) > limits.ramp_per_slot + 1e-5
            commands = allowed
        line.left.clear()
        await line.write(commands)
        for command in line.left:
            through += 1
            wire = district.wires[command.point]
            limits = wire.measure.write
            value = command.value
            fine = limits is not None and wire.authority != "observe" and 9 <= command.priority <= 15
            if fine and value is not None:
                fine = (
                    type(value) in (int, float) and math.isfinite(value)
                    and limits.minimum - 1e-6 <= value <= limits.maximum + 1e-6 and command.expires_at > now
                )  # fmt: skip
            outside += not fine
    return {"commands": count, "left": through, "outside_envelope": outside}


def _random_value(dice: random.Random, wire: Wire) -> float | None:
    limits = wire.measure.write
    low, high = (0.0, 1.0) if limits is None else (limits.minimum, limits.maximum)
    return dice.choice([
        None, math.nan, math.inf, -math.inf, low, high, low - 1e-3, high + 1e-3, -low, 0, -0.0, True, 1e300, -1e300,
        5e-324, 2**70, dice.uniform(low, high), dice.uniform(low, high), dice.uniform(low, high),
        round(dice.uniform(low, high)), dice.uniform(low - 10, high + 10), dice.gauss(0, 1e4),
    ])  # fmt: skip


def _random_command(
    dice: random.Random, wires: Sequence[Wire], writable: Sequence[Wire], now: datetime, number: int
) -> Command:
    wire = dice.choice(writable if dice.random() < 0.9 else wires)
    return Command(
        key=f"{number}",
        point=wire.point,
        value=_random_value(dice, wire),
        expires_at=now + timedelta(minutes=dice.choice([30, 30, 30, 30, 1, 0, -1])),
        priority=dice.choice([12] * 12 + [9, 15, 8, 16, 1, 0, -1, 17]),
    )


def _resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return math.nan


async def everything(frames: int, commands: int, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    warm = await trial(max(frames // 10, 100), seed)
    memory = _resident_mib()
    await asyncio.sleep(1.3)  # the library's address is free again a second later
    on_line = await line_trial(frames // LINE_SHARE, seed + 2)
    main = await trial(frames - warm.frames - on_line.frames, seed + 1)
    growth = _resident_mib() - memory
    kinds = warm.kinds + on_line.kinds + main.kinds
    tallies = (warm, on_line, main)
    figures = {
        key: sum(getattr(tally, key) for tally in tallies)
        for key, value in asdict(main).items()
        if isinstance(value, int)
    }
    gate = await writes(commands, seed)
    return {
        **figures,
        "memory_growth_mib": round(growth, 1),
        "commands": gate["commands"],
        "commands_left": gate["left"],
        "outside_envelope": gate["outside_envelope"],
        "seconds": round(time.perf_counter() - began, 1),
        "kinds": dict(sorted(kinds.items())),
        "line_frames": on_line.frames,
        "examples": warm.examples + on_line.examples + main.examples,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=50_000, help="answers of hostile peers")
    parser.add_argument("--commands", type=int, default=100_000, help="random commands at the write gate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON line")
    asked = parser.parse_args()
    figures = asyncio.run(everything(asked.frames, asked.commands, asked.seed))
    if asked.json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key.replace('_', ' '):<24} {value}")
    return int(any(figures[key] for key in ("crashes", "hangs", "accepted_wrong", "refused_good", "outside_envelope")))


if __name__ == "__main__":
    sys.exit(main())
