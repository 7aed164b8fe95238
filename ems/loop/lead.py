"""Leadership as the loop holds it: renewed beside the cycle, and looked at once more right before anything is written.

A process that was frozen wakes up with a lease that is over by its own timer, which counts sleep too. It then asks the
store before it writes: either nobody took over, and the lease is renewed under the same fence, or it is lost for good.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from ems.command import Command
from ems.loop.events import Settings
from ems.loop.patience import PatientStore
from ems.store import HeldBy, LeadershipLost, Lease, StoreBusy

LONGEST_WRITE = timedelta(seconds=15)  # from the last look at the lease to the last byte on a bus
RENEWALS = 4  # in the time of one lease


class NotLeaderError(RuntimeError):
    """Another process controls this site: two loops on one field would fight."""


def seconds_awake_or_not() -> float:
    """A timer that nobody sets and that counts the time in which this machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lead:
    """Leadership of one site. `real` is the time that other processes judge a lease by."""

    def __init__(
        self,
        store: PatientStore,
        settings: Settings,
        real: Callable[[], datetime],
        elapsed: Callable[[], float] = seconds_awake_or_not,
    ) -> None:
        self._store = store
        self._settings = settings
        self._real = real
        self._elapsed = elapsed
        self._lease: Lease | None = None
        self._renewed_at = 0.0
        self._unheard_at: float | None = None  # the database gave no answer then, and none since

    @property
    def fence(self) -> int:
        """The number that shows this process to be the newest leader. Raises LeadershipLost when it is none."""
        if self._lease is None:
            raise LeadershipLost("this process does not lead the site; nothing is written")
        return self._lease.fence

    @property
    def holds(self) -> bool:
        return self._lease is not None

    @property
    def stands(self) -> bool:
        """Whether it is held and has not run out."""
        lasts_s = self._settings.lease.total_seconds()
        return self._lease is not None and self._elapsed() < self._renewed_at + lasts_s

    def now(self) -> datetime:
        """The time leases are judged by."""
        return self._real()

    async def take(self) -> None:
        """Become the leader. Raises NotLeaderError while another process is."""
        begun = self._elapsed()
        leadership = self._store.store.leadership
        taken = await self._store.call(
            lambda: leadership.take(self._settings.owner, self._real(), self._settings.lease)
        )
        if isinstance(taken, HeldBy):
            raise NotLeaderError(
                f"{taken.owner} controls this site (until {taken.expires_at:%H:%M:%S} UTC); stop it first"
            )
        self._lease, self._renewed_at = taken, begun

    async def renew_if_due(self) -> None:
        """Prolong the lease several times in its life. Raises LeadershipLost when another process took over."""
        if self._elapsed() - self._renewed_at < self._settings.lease.total_seconds() / RENEWALS:
            return
        with suppress(StoreBusy):  # said already; it is tried again with the next pulse
            await self._renew(timedelta(0))

    async def assure(self) -> int:
        """The fence under which a write may begin now. Raises LeadershipLost when it may not."""
        fence = self.fence
        left_s = self._renewed_at + self._settings.lease.total_seconds() - self._elapsed()
        # The store judges by the machine's clock: set forward, it would find a lease over that was renewed just now.
        by_clock = timedelta(0) if self._lease is None else self._lease.expires_at - self._real()
        if left_s < LONGEST_WRITE.total_seconds() or by_clock < LONGEST_WRITE:
            await self._renew(self._settings.patience)
        return fence

    def objection(self, command: Command) -> str | None:
        """Why a command may not leave now, or None: asked by the adapters right before each write.

        While the database is away nobody can take over through it either, as far as we can know, and devices are given
        back to their own control though the lease has run out: people who ask for it must not wait for a database.
        """
        if self._lease is None:
            return "this process does not lead the site"
        if self.stands:
            return None
        if command.value is None and self._just_unheard():
            return None
        return "the leadership of this process has run out and is not renewed"

    def _just_unheard(self) -> bool:
        """Whether the database was asked just now and could not answer: a process that slept must ask it again."""
        return self._unheard_at is not None and self._elapsed() < self._unheard_at + LONGEST_WRITE.total_seconds()

    async def _renew(self, patience: timedelta) -> None:
        begun, lease = self._elapsed(), self._lease
        if lease is None:
            raise LeadershipLost("this process does not lead the site; nothing is written")
        leadership = self._store.store.leadership
        try:
            self._lease = await self._store.call(
                lambda: leadership.renew(lease, self._real(), self._settings.lease), patience
            )
        except LeadershipLost:
            self._lease = None
            raise
        except StoreBusy:
            self._unheard_at = self._elapsed()
            raise
        self._renewed_at, self._unheard_at = begun, None

    async def give_up(self) -> None:
        """Leave the lock to whoever comes next."""
        if self._lease is not None:
            lease, self._lease = self._lease, None
            await self._store.at_exit(lambda: self._store.store.leadership.release(lease, self._real()))
