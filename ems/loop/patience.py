"""The loop's way to its store: off the event loop, one call at a time, and patient with a database somebody holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from ems.loop.events import Settings
from ems.loop.watch import Watch
from ems.store import Store, StoreBusy

T = TypeVar("T")


class PatientStore:
    """Calls to the store. All instants are arguments of the calls; waiting is counted by the loop's own timer."""

    def __init__(self, store: Store, settings: Settings, watch: Watch) -> None:
        self.store = store
        self.settings = settings
        self.watch = watch
        self._turn = asyncio.Lock()
        self._held_since: float | None = None

    async def call(self, call: Callable[[], T], patience: timedelta | None = None) -> T:
        """One call; while the database is held it is tried again for a while. Raises StoreBusy after that."""
        patience = self.settings.patience if patience is None else patience
        elapsed = asyncio.get_running_loop().time
        deadline = elapsed() + patience.total_seconds()
        while True:
            try:
                result = await self.elsewhere(call)
            except StoreBusy as busy:
                self._away(busy, elapsed())
                if elapsed() >= deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                self._back(elapsed())
                return result

    async def at_exit(self, call: Callable[[], T]) -> T:
        """The same with the patience of somebody who leaves."""
        return await self.call(call, self.settings.exit_patience)

    async def at_once(self, call: Callable[[], T]) -> T | None:
        """One attempt; None when the database is held. It is said all the same."""
        try:
            return await self.call(call, timedelta(0))
        except StoreBusy:
            return None

    async def elsewhere(self, call: Callable[[], T]) -> T:
        """One attempt, of which nothing is said: for another database than the loop's own, and its caller's concern."""
        async with self._turn:
            return await asyncio.to_thread(call) if self.settings.threads else call()

    def _away(self, busy: StoreBusy, at: float) -> None:
        if self._held_since is None:
            self._held_since = at
            state = "is locked" if "locked" in str(busy) else "takes nothing"
            where = "a file" if self.store.spools else "memory only"
            self.watch.wrong("database-held", "", f"the database {state} ({busy}); readings wait in {where}")

    def _back(self, at: float) -> None:
        if not self.store.takes_writes:
            return  # what could be read says nothing of what can be written
        if self._held_since is not None:
            waited_s, self._held_since = at - self._held_since, None
            self.watch.right("database-held", "", f"the database is free again after {waited_s:.0f} s")
        elif ("database-held", "") in self.watch.standing:  # so a process before this one left it, or a back-up had it
            self.watch.right("database-held", "", "the database is free")
