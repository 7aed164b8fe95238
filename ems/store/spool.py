"""Readings that the database does not take now: appended to a file and synced, before anybody calls them kept.

One frame per delivery: length, CRC-32, deflated JSON. A frame torn by a power cut was never acknowledged: what follows
it is not read, and the next delivery takes its place. Draining the same frames twice changes nothing in the database.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ems.points import Quality

Row = tuple[str, int, float | None, Quality]
_HEAD = struct.Struct("<II")  # length of the payload, its CRC-32


class Spool:
    """A file of readings that wait, oldest first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0  # waiting
        self._whole = 0  # bytes up to the end of the last whole frame
        for frame, end in self._scan():
            self.rows += len(frame)
            self._whole = end

    def append(self, rows: Sequence[Row]) -> None:
        """Keep rows. When this returns they are on the disk; OSError leaves what was there before."""
        payload = zlib.compress(json.dumps([(p, at, value, q.value) for p, at, value, q in rows]).encode(), 1)
        new = not self.path.exists()
        with self.path.open("r+b" if not new else "w+b") as file:
            file.seek(self._whole)
            try:
                file.write(_HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
                file.flush()
                file.truncate()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._whole)
                raise
            self._whole = file.tell()
        if new:
            _sync_folder(self.path.parent)
        self.rows += len(rows)

    def frames(self) -> Iterator[list[Row]]:
        """The deliveries that wait, in their order."""
        for frame, _ in self._scan():
            yield frame

    def _scan(self) -> Iterator[tuple[list[Row], int]]:
        """Each whole frame and where it ends. Leaves no trace in this object: a drain may stop half-way."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                length, crc = _HEAD.unpack(head)
                payload = file.read(length)
                if len(payload) < length or zlib.crc32(payload) != crc:
                    return
                rows = json.loads(zlib.decompress(payload))
                yield [(p, at, value, Quality(q)) for p, at, value, q in rows], file.tell()

    def clear(self) -> None:
        """Everything is in the database."""
        self.path.unlink(missing_ok=True)
        _sync_folder(self.path.parent)
        self.rows = self._whole = 0


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
