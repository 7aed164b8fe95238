"""What stands in devices because of us, on disk before they hear of it, and the dead-man who reads it when we are gone.

See `deadman`. A command is in the mirror from before its write until it is known to be taken back: an entry too many
costs a release of what does not stand, one too few a device that keeps our command.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import struct
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ems.bms import deadman, rtu
from ems.bms.apdu import OBJECT_TYPES, WRITE_PROPERTY, Property, write_request
from ems.bms.codec import encode
from ems.bms.datagrams import question
from ems.command import Command
from ems.district import Register, Wire

FILE = "standing.json"
BEAT_S = 1.0
HANG_S = 90.0  # longer than any cycle keeps the event loop
ROUNDS = 600  # of two seconds and more: devices that are dark with us come back with the power
_INVOKE = 0xEE
_TRANSACTION = 0x0EAD


def release_entry(wire: Wire, priority: int) -> dict[str, Any]:
    """How the dead-man takes a command of `wire` back: where to, which bytes, and the answer the device owes.

    BACnet: Null into our slot (ASHRAE 135, clause 19.2); Modbus: the release value into the register.
    """
    bus, limits = wire.bus, wire.measure.write
    assert limits is not None
    if not isinstance(wire.measure, Register):
        kind, instance = wire.object_id
        body = write_request(Property(OBJECT_TYPES[kind], instance), None, priority)
        request = question(_INVOKE, WRITE_PROPERTY, body)
        owed = bytes([0x81, 0x0A, 0, 9, 1, 0, 0x20, _INVOKE, WRITE_PROPERTY])
    elif bus.serial is not None:
        words = encode(wire.measure, limits.release)
        function = 6 if limits.function == 6 and len(words) == 1 else 16
        request = rtu.frame(rtu.Order(wire.device.unit, function, wire.measure.written_address, words))
        owed = request[:6] + rtu.crc(request[:6])
        line = bus.serial
        return {
            "point": wire.point,
            "transport": "serial",
            "host": line.port,
            "port": line.baud,
            "parity": line.parity,
            "stop_bits": line.stop_bits,
            "request": request.hex(),
            "owed": owed.hex(),
        }
    else:
        words = encode(wire.measure, limits.release)
        if limits.function == 6 and len(words) == 1:
            address = wire.measure.written_address
            request = struct.pack(">HHHBBHH", _TRANSACTION, 0, 6, wire.device.unit, 6, address, words[0])
            owed = request
        else:
            head = struct.pack(">BBHHB", wire.device.unit, 16, wire.measure.written_address, len(words), 2 * len(words))
            pdu = head + struct.pack(f">{len(words)}H", *words)
            request = struct.pack(">HHH", _TRANSACTION, 0, len(pdu)) + pdu
            owed = struct.pack(">HHH", _TRANSACTION, 0, 6) + head[:6]
    return {
        "point": wire.point,
        "transport": "udp" if bus.protocol == "bacnet" else "tcp",
        "host": bus.host,
        "port": bus.port,
        "request": request.hex(),
        "owed": owed.hex(),
    }


class Mirror:
    """The file of one control process; `owner` tells its dead-man that it is this process's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = secrets.token_hex(8)
        self._entries: dict[str, dict[str, Any]] = {}
        self._stored: dict[str, dict[str, Any]] | None = None
        self._stored_as: tuple[int, int] | None = None  # which file that was

    @property
    def points(self) -> frozenset[str]:
        """The points of which a command may stand."""
        return frozenset(self._entries)

    async def before(self, wires: Iterable[tuple[Wire, Command]]) -> None:
        """Puts commands on disk that are about to be written. Raises OSError: then nothing may be written."""
        for wire, command in wires:
            if command.value is not None:
                self._entries[wire.point] = release_entry(wire, command.priority)
        await self._store()

    async def after(self, standing: Iterable[str]) -> None:
        """Forgets what neither stands nor may stand."""
        kept = set(standing)
        self._entries = {point: entry for point, entry in self._entries.items() if point in kept}
        await self._store()

    async def _store(self) -> None:
        # A dead-man who took us for hung has emptied the file: what stands is told again.
        if self._entries != self._stored or self._file() != self._stored_as:
            entries = dict(self._entries)
            await asyncio.to_thread(deadman.store, self.path, self.owner, list(entries.values()))
            self._stored, self._stored_as = entries, self._file()

    def _file(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


@asynccontextmanager
async def dead_man(
    folder: Path, on_end: Callable[[str], None] = lambda text: None, hang_s: float = HANG_S
) -> AsyncIterator[Mirror]:
    """A mirror in `folder` with its dead-man beside it, started again should it end."""
    folder.mkdir(parents=True, exist_ok=True)
    mirror = Mirror(folder / FILE)
    await mirror.before(())
    process = await _start(mirror, hang_s)

    async def beat() -> None:
        nonlocal process
        while True:
            await asyncio.sleep(BEAT_S)
            if process.returncode is not None:
                on_end("the dead-man had ended and was started again")
                process = await _start(mirror, hang_s)
            assert process.stdin is not None
            with contextlib.suppress(ConnectionError):
                process.stdin.write(b".")
                await process.stdin.drain()

    beating = asyncio.create_task(beat(), name="dead-man's beat")
    try:
        yield mirror
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        assert process.stdin is not None
        if not mirror.points:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(deadman.GOODBYE)
        process.stdin.close()  # with commands left it takes them back, whether we are there to see it or not
        if not mirror.points:
            await process.wait()


async def _start(mirror: Mirror, hang_s: float) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(Path(deadman.__file__)), str(mirror.path), mirror.owner,
        str(hang_s), str(ROUNDS),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
