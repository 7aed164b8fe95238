"""What keeps a site well for weeks, beside its control: room on the disk, seals, and what was kept long enough."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from ems.loop.patience import PatientStore
from ems.loop.watch import Watch
from ems.slots import SLOT_SECONDS, slot_number
from ems.store import StoreError
from ems.store.ageing import Kept
from ems.store.space import Level, Space

NIGHTLY_AT = timedelta(hours=2)  # UTC: past midnight in Marseille all year, and nobody is awake
CHECKED_A_NIGHT = 5  # sealed days, besides the newest: a month is looked through within a week


class Upkeep:
    """The housekeeping of one site."""

    def __init__(self, folder: Path | None, store: PatientStore, watch: Watch, ages: Mapping[str, Kept]) -> None:
        """`ages` says of each asset how long its readings are kept."""
        self.level = Level.AMPLE
        self._space = None if folder is None else Space(folder)
        self._store = store
        self._watch = watch
        self._ages = ages

    def look_at_disk(self) -> None:
        """How much room there is, and an alarm when it is little."""
        if self._space is None:
            return
        try:
            self.level = self._space.level()
            self._space.keep_ballast(self.level)
        except OSError as error:
            self._watch.wrong("disk-low", "", f"the disk cannot be asked: {error}")
            return
        if self.level is Level.AMPLE:
            self._watch.right("disk-low", "", "there is room on the disk again")
        else:
            stops = "sealing stops" if self.level is Level.LOW else "sealing and decision records stop"
            self._watch.wrong("disk-low", "", f"little room is left on the disk of {self._space.folder}; {stops}")

    async def each_slot(self, now: datetime) -> None:
        """Looks at the disk; and once a night seals, checks and forgets."""
        self.look_at_disk()
        if slot_number(now) % (86_400 // SLOT_SECONDS) != NIGHTLY_AT.total_seconds() // SLOT_SECONDS:
            return
        try:
            await self._nightly(now)
        except StoreError as error:
            self._watch.say("info", f"the night's upkeep waits for the next night: {error}")

    async def _nightly(self, now: datetime) -> None:
        store = self._store.store
        for asset, kept in self._ages.items():  # each by itself, so that nobody waits long for the database
            await self._store.at_exit(partial(store.age, asset, now, kept))
        if self.level is Level.AMPLE:
            await self._store.at_exit(lambda: store.seal_days(now))
        sealed = await self._store.at_exit(store.sealed_days)
        tonight = sealed[-1:]
        if sealed:
            turn = slot_number(now) // 96 * CHECKED_A_NIGHT
            tonight += [sealed[(turn + k) % len(sealed)] for k in range(CHECKED_A_NIGHT)]
        wrong = await self._store.at_exit(lambda: store.damaged_days(tonight))
        for day, text in wrong.items():
            self._watch.wrong("store-damaged", str(day), text)
        for day in set(tonight) - set(wrong):
            self._watch.right("store-damaged", str(day))
        await self._store.at_exit(lambda: store.alarms.forget(now))
