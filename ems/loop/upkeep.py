"""What keeps a site well for weeks, beside its control: room on the disk, seals, and what was kept long enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

from ems.loop.patience import PatientStore
from ems.loop.watch import Watch
from ems.slots import SLOT_SECONDS, slot_number
from ems.store import StoreError
from ems.store.ageing import Kept
from ems.store.space import Level, Space

NIGHTLY_AT = timedelta(hours=2)  # UTC: past midnight in Marseille all year, and nobody is awake
CHECKED_A_NIGHT = 5  # sealed days at least, and up to twice as many: a month is looked through within four nights


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
        tonight = looked_at(sealed, slot_number(now) // 96)
        wrong = await self._store.at_exit(lambda: store.damaged_days(tonight))
        for day, text in wrong.items():
            self._watch.wrong("store-damaged", str(day), text)
        for day in set(tonight) - set(wrong):
            self._watch.right("store-damaged", str(day))
        await self._store.at_exit(lambda: store.alarms.forget(now))


def looked_at(sealed: Sequence[int], night: int) -> list[int]:
    """Which sealed days (as 20261122, in order) are looked at in a night: the newest, and those whose turn it is.

    Each has its turn every `turns` nights, by its own date, so that it keeps its place when a day is added or a seal is
    broken. `turns` is a power of two: when it doubles, the turns go on where they were. A number that grew with every
    fifth day would shift them all each time, and leave a day unlooked-at for years.
    """
    if not sealed:
        return []
    turns = 1 << (-(-len(sealed) // CHECKED_A_NIGHT)).bit_length() - 1
    return [
        day for day in sealed if day == sealed[-1] or (date.fromisoformat(str(day)).toordinal() - night) % turns == 0
    ]
