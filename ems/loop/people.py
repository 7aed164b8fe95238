"""What people ask of the running loop: wishes, holds, control given back to devices, alarms seen or shelved."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from ems.district import District
from ems.loop.asked import Wanted
from ems.loop.hands import Hands
from ems.loop.homes import Agreements
from ems.loop.patience import PatientStore
from ems.loop.watch import Watch
from ems.slots import as_utc
from ems.store import Asked, StoreBusy, StoreError
from ems.store.requests import DISTRICT, Given, Handover, Request, RequestError, Requests, write_whole


class Wishes:
    """The handover and the inbox of one site, as the loop follows them. Without a folder nobody can ask."""

    def __init__(
        self,
        folder: Path | None,
        district: District,
        hands: Hands,
        store: PatientStore,
        watch: Watch,
        asks_homes: bool = True,
    ) -> None:
        self._handover = None if folder is None else Handover(folder)
        self._requests = None if folder is None else Requests(folder)
        self._district = district
        self._hands = hands
        self._store = store
        self._watch = watch
        self._asked = None if folder is None else folder / "people.db"
        self._asks_homes = asks_homes and folder is not None
        self._reading: Asked | None = None
        self._erased: dict[str, datetime] = {}
        self._withdrawn: dict[tuple[str, str], datetime] = {}
        self._agreed: Agreements = {}
        self._stripping: dict[str, datetime] = {}  # homes whose name still stands in older decision records
        self._seen: tuple[int, int] | None = None
        self._given: dict[str, Given] = {}

    @property
    def given_back(self) -> frozenset[str]:
        """The buildings that are under their own control because a person said so."""
        if DISTRICT in self._given:
            return frozenset(self._district.buildings)
        return frozenset(self._given)

    @property
    def assets_given_back(self) -> frozenset[str]:
        """Their assets: nothing is planned for them and nothing written."""
        given = self.given_back
        if not given:
            return frozenset()
        return frozenset(d.asset for d in self._district.devices if d.asset.partition("/")[0] in given)

    async def follow(self) -> None:
        """Looks at what people asked; gives back at once what was asked back. Costs one look at a file."""
        if self._handover is None:
            return
        try:
            mark = self._handover.file.stat()
            seen = (mark.st_mtime_ns, mark.st_ino)
        except OSError:
            seen = (0, 0)
        if seen == self._seen or (seen == (0, 0) and self._is_away()):
            return
        before = self.given_back
        try:
            self._given = self._handover.given()
        except OSError:  # a disk that goes: what was given back stays so
            return
        except RequestError as error:  # a file nobody can read says at least that somebody wanted something
            self._given = {DISTRICT: Given("unknown", as_utc(self._hands.now()), str(error))}
        self._seen = seen
        new = self.given_back - before
        if new:
            await self._hands.relinquish(new)
        # Whoever asked waits for this word, and gives back from their own process what is not in it.
        followed = [b for b in sorted(self._given) if not self._hands.still_stands(None if b == DISTRICT else b)]
        with suppress(OSError):  # a full disk keeps nobody from their devices
            write_whole(self._handover.followed, json.dumps(followed))
        texts = {
            b: f"{b}: control was handed back to its devices by {g.by}" + (f": {g.reason}" if g.reason else "")
            for b, g in ((b, self._given.get(b) or self._given[DISTRICT]) for b in sorted(self.given_back))
        }
        self._watch.only("handed-back", texts, "{} is under our control again")

    def _is_away(self) -> bool:
        """Whether the site's folder is gone, with its disk: nobody took control again because their word is not there.

        This process left a word of its own in it.
        """
        return self._handover is not None and bool(self._given) and not self._handover.followed.exists()

    async def asked(self, at: datetime) -> Wanted:
        """What residents wish and managers hold. Where that cannot be read nothing is, and it is said."""
        reading = self._asked_of()
        if reading is None:
            return Wanted()
        try:
            found = await self._store.elsewhere(lambda: wanted(reading, at))
        except StoreError as error:
            text = f"what people ask cannot be read ({error}); nobody's wish is followed"
            self._watch.wrong("database-held", "people.db", text, says="fallback")
            return Wanted()
        self._watch.right("database-held", "people.db", "what people ask can be read again")
        return found

    def _asked_of(self) -> Asked | None:
        if self._reading is None and self._asked is not None and self._asked.exists():
            self._reading = Asked.read_only(f"sqlite:///{self._asked}")
        return self._reading

    async def agreements(self) -> Agreements | None:
        """By purpose, the homes that agreed to it, as last read. None: nobody can be asked here."""
        if not self._asks_homes:
            return None
        reading = self._asked_of()
        if reading is not None:
            with suppress(StoreError):  # the wishes say so in the same quarter-hour
                self._agreed = await self._store.elsewhere(reading.agreements)
        return self._agreed

    async def _erase(self) -> None:
        """Deletes what was kept of those who asked for it; again at each start, lest a restore brought it back."""
        reading = self._asked_of()
        if reading is None:
            return
        store = self._store.store
        for home, until in (await self._store.elsewhere(reading.erasures)).items():
            if self._erased.get(home) != until:
                await self._store.at_exit(partial(store.erase, home, until))
                self._stripping[home] = until
                self._erased[home] = until
        for (home, purpose), until in (await self._store.elsewhere(reading.withdrawals)).items():
            if self._withdrawn.get((home, purpose)) != until:
                days = purpose != "daily" and home in (await self.agreements() or {}).get("daily", ())
                await self._store.at_exit(partial(store.forget_electricity, home, until, but_midnights=days))
                self._withdrawn[home, purpose] = until
        for home, until in list(self._stripping.items()):
            # Some records at a time: a year of them would hold up the loop.
            if not await self._store.at_exit(partial(store.strip_decisions, home, until)):
                del self._stripping[home]

    async def answer(self) -> None:
        """Does what waits in the inbox. What the database does not take now goes on waiting."""
        try:
            await self._erase()
        except StoreError as error:
            self._watch.say("info", f"who is to be erased waits: {error}")
        if self._requests is None:
            return
        for path, request in self._requests.waiting().items():
            try:
                if isinstance(request, RequestError):
                    raise request
                await self._do(request)
            except StoreBusy:
                return
            except (RequestError, StoreError) as error:
                self._watch.say("info", f"a request was refused: {error}")
            self._requests.done(path)

    async def _do(self, request: Request) -> None:
        alarms, now = self._store.store.alarms, self._hands.now()
        if request.do == "seen":
            await self._store.at_exit(lambda: alarms.acknowledge(request.alarm, request.by, now))
        elif request.until is None:
            raise RequestError(f"alarm {request.alarm} is to be shelved, but not until when")
        else:
            until = request.until
            await self._store.at_exit(lambda: alarms.shelve(request.alarm, request.by, now, until))


def wanted(reading: Asked, at: datetime) -> Wanted:
    """What stands asked for at an instant. Raises StoreError."""
    return Wanted(
        wishes=reading.comfort_wishes(),
        heating=reading.heating_now(at),
        departures=reading.departures(at),
        holds=reading.holds(at),
        locked=frozenset(reading.maintenance()),
        reservations=reading.reservations(at),
        closings=reading.closings(),
    )
