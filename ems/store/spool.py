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
from contextlib import suppress
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
        self.look()

    def look(self) -> int:
        """How many rows wait: counted anew when the file is not as we left it, as one that is gone or came back."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size != self._whole:
            found = [(len(frame), end) for frame, end in self._scan()]  # before anything is forgotten: it may fail
            self.rows = sum(count for count, _ in found)
            self._whole = found[-1][1] if found else 0
        return self.rows

    def append(self, rows: Sequence[Row]) -> None:
        """Keep rows. When this returns they are on the disk; OSError leaves what was there before."""
        payload = zlib.compress(json.dumps([(p, at, value, q.value) for p, at, value, q in rows]).encode(), 1)
        self.look()
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
        """The deliveries that wait, in their order. OSError when they cannot be read now."""
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
                if not length:  # zeros, as a power cut may leave at the end of a file
                    return
                if len(payload) < length or zlib.crc32(payload) != crc:
                    return
                rows = json.loads(zlib.decompress(payload))
                yield [(p, at, value, Quality(q)) for p, at, value, q in rows], file.tell()

    def clear(self) -> None:
        """Everything is in the database."""
        self.path.unlink(missing_ok=True)
        self.rows = self._whole = 0
        with suppress(OSError):  # not on disk, it comes back after a power cut, and is saved once more: nothing changes
            _sync_folder(self.path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
