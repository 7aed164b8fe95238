"""A serial cable without hardware: two pseudo-terminals whose far ends are joined, byte by byte."""

from __future__ import annotations

import asyncio
import os
import tty
from types import TracebackType


class Cable:
    """`ours` and `theirs` are the device files of its two ends. Needs a running loop to carry bytes."""

    def __init__(self) -> None:
        self._ends = [os.openpty(), os.openpty()]
        for master, slave in self._ends:
            tty.setraw(slave)
            os.set_blocking(master, False)
        self.ours, self.theirs = (os.ttyname(slave) for _, slave in self._ends)
        self.carried = 0

    async def __aenter__(self) -> Cable:
        loop = asyncio.get_running_loop()
        (one, _), (other, _) = self._ends
        loop.add_reader(one, self._carry, one, other)
        loop.add_reader(other, self._carry, other, one)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for master, slave in self._ends:
            loop.remove_reader(master)
            os.close(master)
            os.close(slave)

    def _carry(self, here: int, there: int) -> None:
        data = os.read(here, 4096)
        self.carried += len(data)
        os.write(there, data)
