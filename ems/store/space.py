"""What happens as the disk fills: a ballast that is freed, and an order in which things stop.

Control and readings are the last to stop. A full disk also blocks the clean-up, so space for it is kept in advance.
"""

from __future__ import annotations

import os
import shutil
from enum import IntEnum
from pathlib import Path

BALLAST_BYTES = 64 * 1024 * 1024
LOW_BYTES = 1024 * 1024 * 1024
SCARCE_BYTES = 256 * 1024 * 1024


class Level(IntEnum):
    """AMPLE: everything. LOW: no back-ups, nothing is archived. SCARCE: no decision records; the ballast is freed."""

    AMPLE = 0
    LOW = 1
    SCARCE = 2


class Space:
    """The disk under a site's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def level(self, free_bytes: int | None = None) -> Level:
        """How much room there is; without `free_bytes` the disk is asked."""
        free = shutil.disk_usage(self.folder).free if free_bytes is None else free_bytes
        if free < SCARCE_BYTES:
            return Level.SCARCE
        return Level.LOW if free < LOW_BYTES else Level.AMPLE

    def keep_ballast(self, level: Level) -> bool:
        """Lays the ballast while there is room, frees it when there is not. Returns whether it lies there."""
        if level is Level.SCARCE:
            self.ballast.unlink(missing_ok=True)
        elif level is Level.AMPLE and not self.ballast.exists():
            handle = os.open(self.ballast, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                os.posix_fallocate(handle, 0, BALLAST_BYTES)
            except OSError:
                self.ballast.unlink(missing_ok=True)
            finally:
                os.close(handle)
        return self.ballast.exists()
