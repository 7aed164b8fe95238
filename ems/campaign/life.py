"""One life of the control process: it ends where a campaign says, and nothing of it reaches anything afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ems.bms import Holder, Patience
from ems.bms.line import Line, NoAnswerError
from ems.campaign.plant import Plant
from ems.campaign.trouble import Troubles
from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Written
from ems.district import Bus, Wire
from ems.points import Quality, Sample
from ems.slots import slot_number
from ems.store import Concern, Store, StoreError
from ems.store.database import Database
from ems.store.readings import Row

T = TypeVar("T")
SLOW_S = 20.0  # of a slow bus, for one sweep
BY_HAND = 8  # the priority of a person at the device


class KilledError(BaseException):
    """The process is gone. Not an Exception: no handler of the loop may outlive it."""


class Life:
    """Counts what a process does to the outside, and ends it at its `dies_at`-th step."""

    def __init__(self, number: int, dies_at: int | None = None) -> None:
        self.number = number
        self.dies_at = dies_at
        self.steps = 0
        self.dead = False
        self.stops_at: int | None = None  # the step at which the process is paused, once
        self.on_stop: Callable[[], None] = lambda: None

    def step(self) -> None:
        """Something is about to happen, or just has. Raises KilledError when this is the end, and for ever after."""
        self.steps += 1
        if self.stops_at is not None and self.steps >= self.stops_at:
            self.stops_at = None
            self.on_stop()
        if self.dead or (self.dies_at is not None and self.steps >= self.dies_at):
            self.dead = True
            raise KilledError


class MortalDatabase(Database):
    """A database whose process may die before and after each commit."""

    life: Life

    def tell(self, sql: str) -> int:
        """A word to the writing connection itself, beside all steps; its answer, or 0 while the database is held."""
        assert self._writer is not None
        found = self._writer.tell(sql)
        return int(found[0][0]) if found else 0

    def write(self, what: str, work: Callable[[Any], T], *, attempts: int | None = None) -> T:
        self.life.step()
        result = super().write(what, work, attempts=attempts)
        self.life.step()
        return result


class WatchedStore(Store):
    """A store that notes which readings were acknowledged."""

    acknowledged: list[Row]

    def save_readings(self, rows: Iterable[Row]) -> int:
        taken = list(rows)
        try:
            return super().save_readings(taken)
        finally:
            if not self.life.dead:  # kept in the database or in the spool, also when the database was busy
                self.acknowledged += taken

    @property
    def mortal(self) -> MortalDatabase:
        assert isinstance(self._database, MortalDatabase)
        return self._database

    @property
    def life(self) -> Life:
        return self.mortal.life


def open_store(folder: Path, life: Life, acknowledged: list[Row], report: Callable[[Concern], None]) -> WatchedStore:
    """The site's real SQLite store, as this life sees it."""
    database = MortalDatabase(
        f"sqlite:///{folder / 'site.db'}", read_only=False, busy_timeout_s=0.0, attempts=1, report=report
    )
    database.life = Life(life.number)  # opening is not yet living
    store = WatchedStore(database, retain_days=3, spool=folder / "site.db.spool")
    store.acknowledged = acknowledged
    try:
        database.migrate()
    except StoreError:
        store.close()
        raise
    database.life = life
    return store


class VirtualLine(Line):
    """A bus of the plant, with the troubles of the hour between."""

    def __init__(
        self, bus: Bus, wires: Sequence[Wire], patience: Patience, plant: Plant, troubles: Troubles, life: Life
    ) -> None:
        super().__init__(bus, wires, patience)
        self.plant = plant
        self.troubles = troubles
        self.life = life

    async def sweep(self) -> dict[str, Sample]:
        self._ask()
        if self.troubles.is_on("slow", self.bus.name):
            await asyncio.sleep(SLOW_S)
        self.breaker.answered()
        found = {}
        for point in self.wires:
            value = self.troubles.seen(point, self.plant.present(point))
            if value is not None:
                found[point] = self.sample(point, value)
            else:
                found[point] = Sample(None, Quality.UNREACHABLE, self.now)
        return found

    def _ask(self) -> None:
        """Raises NoAnswerError while the bus is away, and KilledError when the process is."""
        if self.life.dead:
            raise KilledError
        if self.troubles.is_on("bus-off", self.bus.name):
            self.breaker.failed("timed out")
            raise NoAnswerError("timed out")
        if self._is_garbled():
            self.breaker.failed("an answer to another question")
            raise NoAnswerError("an answer to another question")

    def _is_garbled(self) -> bool:
        """Every other quarter-hour of a line that is disturbed: the adapters tell such answers from right ones."""
        return self.troubles.is_on("garbled", self.bus.name) and slot_number(self.plant.now) % 2 == 0

    async def send(self, commands: Sequence[Command]) -> list[Outcome]:
        return [self._deliver(command) for command in commands]

    def _deliver(self, command: Command) -> Outcome:
        self._ask()
        self.life.step()
        point = command.point
        if point.endswith("/heartbeat_count"):
            if command.value is not None:
                self.plant.beat(point, command.value)
            return Written(command.value)
        if (why := self.guard(command)) is not None:
            return Refused(why)
        if self.troubles.is_on("not-applied", point):
            return Written(command.value)  # a device that lies, and shows it later
        unanswered = self.troubles.is_on("not-acknowledged", point)
        self.plant.write(command, self.life.number, believed=not unanswered)
        self.life.step()
        if unanswered:
            return Unreachable("no answer to the write")
        shows = self.plant.present(point)
        wanted = self.plant.release(point) if command.value is None else command.value
        if abs(shows - wanted) > 1e-6:
            return Overridden(shows, f"priority {BY_HAND}")
        return Written(command.value)

    async def count(self, beat: Command) -> Outcome:
        return self._deliver(beat)

    async def holders(self, points: Sequence[str]) -> dict[str, Holder | None]:
        if self.bus.protocol != "bacnet":
            return {}
        try:
            self._ask()
        except NoAnswerError:
            return {}
        held = self.plant.manual
        told = (p for p in points if self.troubles.seen(p, 0.0) is not None)
        return {p: (BY_HAND, held[p]) if p in held else None for p in told}

    def silent(self) -> list[None]:  # type: ignore[override]
        return [None] if self.breaker.is_open else []

    async def answers(self, which: object) -> bool:
        if self.life.dead or self.troubles.is_on("bus-off", self.bus.name) or self._is_garbled():
            return False
        self.breaker.answered()
        return True
