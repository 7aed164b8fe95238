"""Everything that touches the field: sweeps, watchdogs, the one way to write, and giving back.

Nothing is written without the lease, the gate and an intent on record, in this order, right before the bus is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType

from ems.bms import Event, FieldLink, Holder
from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Withheld, Written
from ems.dispatch import Permission, heartbeats, permit
from ems.district import District
from ems.loop.clock import Clock
from ems.loop.events import Totals
from ems.loop.lead import Lead
from ems.loop.patience import PatientStore
from ems.loop.watch import Watch
from ems.points import Quality, Sample
from ems.slots import SLOT
from ems.snapshot import Snapshot

# Kind of alarm, its words, and the qualities it is raised for.
UNBELIEVED = (
    ("meter-missing", "gives no value", (Quality.MISSING, Quality.UNREACHABLE)),
    ("meter-implausible", "shows what cannot be", (Quality.IMPLAUSIBLE,)),
    ("meter-frozen", "stands still", (Quality.STALE,)),
)
HOLDERS_ROUND = 4  # quarter-hours in which each output is asked once who holds it; the ones that are held, each time
REFRESH_AT_MOST = timedelta(seconds=55)  # of site time: a bell that rings each minute is never just too early


@dataclass
class Delivery:
    """What came of a slot's commands: `outcomes` by key of those that passed the gate, and what did not pass."""

    permission: Permission
    outcomes: dict[str, Outcome] = field(default_factory=dict)


class Hands:
    """The field of one district, as far as it is ours."""

    def __init__(
        self,
        district: District,
        link: FieldLink,
        store: PatientStore,
        lead: Lead,
        clock: Clock,
        watch: Watch,
        totals: Totals,
    ) -> None:
        self.district = district
        self.link = link
        self.samples: dict[str, Sample] = {}
        self.swept_at: datetime | None = None
        self.overridden: dict[str, float] = {}  # points held by somebody at the device, and what we hold below
        self._store = store
        self._lead = lead
        self._clock = clock
        self._watch = watch
        self._totals = totals
        self._beats = heartbeats(district)
        self._outputs = sorted(
            p for p in district.commanded if p not in self._beats and district.wires[p].bus.protocol == "bacnet"
        )
        self._holders: Mapping[str, Holder | None] = {}  # what outputs said when last asked
        self._switches = switches(district)
        self._since: dict[str, datetime] = {}  # when these were last seen to go on or off
        self._refresh_every = shortest_refresh(district)
        self._refreshed_at: datetime | None = None
        self._under_way = 0
        self._silent: set[str] = set()

    def now(self) -> datetime:
        """Site time."""
        return self._clock.now()

    @property
    def busy(self) -> bool:
        """Whether something is under way on a bus that must not be torn."""
        return self._under_way > 0

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """What is under way on a bus is brought to its end, whatever else ends."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def recall(self) -> None:
        """What was switched lately by a process before this one has its least time still to run or rest."""
        now, store = self._clock.now(), self._store.store
        for point, least in self._switches.items():
            known = await self._store.call(partial(store.setpoints, point, now - least, now))
            changes = [at for at, _ in known if at > now - least]
            if changes:
                self._since[point] = changes[-1]

    # Reading

    async def sweep(self, now: datetime) -> Mapping[str, Sample]:
        """A sample of every point, and an alarm for every bus that gives none."""
        before = self.samples
        with self.undisturbed():
            self.samples = await self.link.sweep(now)
        self.swept_at = now
        for point in self._switches:
            was, found = before.get(point), self.samples.get(point)
            if was is None or found is None or was.value is None or found.value is None:
                continue
            if (was.value > 0) != (found.value > 0):
                self._since[point] = now
        totals = self._totals
        totals.sweeps += 1
        totals.points_read = sum(1 for s in self.samples.values() if s.quality is not Quality.UNREACHABLE)
        totals.bad_quality = max(totals.bad_quality, sum(1 for s in self.samples.values() if not s.is_good))
        self._watch_buses()
        self._watch_points()
        return self.samples

    def _watch_buses(self) -> None:
        health = self.link.health
        self._silent = {name for name, one in health.items() if not one.up}
        self._watch.only(
            "bus-silent",
            {n: f"{n} does not answer: {health[n].last_error}; its devices run on their own" for n in self._silent},
            "{} answers again",
        )

    def _watch_points(self) -> None:
        """An alarm per device whose points give nothing to believe, though its bus answers; and what series show."""
        doubted = [
            (point, sample.quality)
            for point, sample in self.samples.items()
            if not sample.is_good and self.district.wires[point].bus.name not in self._silent
        ]
        for kind, said, qualities in UNBELIEVED:
            found: dict[str, list[str]] = {}
            for point, quality in doubted:
                if quality in qualities:
                    found.setdefault(point.rpartition("/")[0], []).append(point)
            texts = {asset: f"{points[0]} {said}" + _and_more(points) for asset, points in found.items()}
            self._watch.only(kind, texts, "{} can be believed again")
        for finding in self.link.findings():
            if finding.event in (Event.STEP, Event.RESTARTED, Event.EXCHANGED):
                self._watch.wrong("meter-changed", finding.point, str(finding))

    # Watchdogs

    async def refresh(self, now: datetime) -> None:
        """Keeps the devices' watchdogs content: several times in the shortest of their time-outs, in site time."""
        # A clock that went back must not silence the heartbeats: anything but a little later is due.
        if self._refreshed_at is not None and timedelta(0) <= now - self._refreshed_at < self._refresh_every:
            return
        self._refreshed_at = now
        before = self.link.standing
        with self.undisturbed():
            outcomes = await self.link.refresh(now)
        refused = outcomes.items() if self._lead.stands else ()  # else it is we who keep nothing alive, said elsewhere
        unheard = {p: f"{p} cannot be kept alive: {o.why}" for p, o in refused if isinstance(o, Refused)}
        self._watch.only("device-unheard", unheard, "{} is kept alive again")
        # What somebody else gave back while this waited for the bus has not expired.
        expired = [c for point, c in before.items() if point in outcomes and point not in self.link.standing]
        if expired:
            first = expired[0].point
            self._watch.wrong("command-expired", "", f"{len(expired)} commands expired and were given back: {first}")
            await self._record_given_back(expired)

    # Writing

    async def write(
        self,
        commands: Sequence[Command],
        snapshot: Snapshot,
        standing: Mapping[str, float] = MappingProxyType({}),
        *,
        of_slot: bool = True,
    ) -> Delivery:
        """The commands of a slot, to the field. What a process before this one has written is not written again.

        With `of_slot` False they come beside a slot's: they are not all, and no refusal is over because it is not among
        theirs.
        `snapshot` is the freshest there is: the gate judges by it, last of all. `standing` is what was last confirmed
        of each point. Raises LeadershipLost.
        """
        journal = self._store.store.journal
        states = await self._store.call(lambda: journal.states([c.key for c in commands]))
        done: dict[str, Outcome] = {
            c.key: Written(c.value) for c in commands if _arrived(c, states.get(c.key), snapshot)
        }
        open_ones = [c for c in commands if c.key not in done]
        fence = await self._lead.assure()
        now = self._clock.now()
        permission = permit(
            open_ones, district=self.district, snapshot=snapshot, now=now, since=self._since, standing=standing
        )
        await self._store.call(
            lambda: journal.commit_intents(
                permission.allowed, fence, now, leading_at=self._lead.now(), withheld=self._store.settings.shadow
            )
        )
        await self._lead.assure()  # the store may have kept us waiting
        with self.undisturbed():
            answers = await self.link.write(permission.allowed)
        outcomes = done | dict(zip([c.key for c in permission.allowed], answers, strict=True))
        refused = {c.key: r for c, r in permission.refused if c.key in states}  # permitted once, and not any more
        await self._store.call(lambda: journal.record_outcomes({**outcomes, **refused}))
        self._judge(commands, outcomes, permission, of_slot)
        stand = {c.point: c.value for c in commands if isinstance(outcomes.get(c.key), Written)}
        await self._store.call(lambda: self._store.store.save_setpoints(stand, now))
        await self._take_back_unsafe(snapshot, set(outcomes))
        already = [c for c in commands if c.key in done]
        return Delivery(Permission([*already, *permission.allowed], permission.refused), outcomes)

    async def _take_back_unsafe(self, snapshot: Snapshot, just_written: set[str]) -> None:
        """What stands and would not pass the gate now is given back: a tank that waited until it is cool charges."""
        now, people = self._clock.now(), replace(snapshot, overrides={}, out_of_service=frozenset())
        old = [c for p, c in self.link.standing.items() if p not in self._beats and c.key not in just_written]
        again = [replace(c, expires_at=now + SLOT) for c in old if c.value is not None]
        refused = permit(again, district=self.district, snapshot=people, now=now).refused
        if not refused:
            return
        with self.undisturbed():
            answers = await self.link.write([release_of(c, now) for c, _ in refused])
        given = [c for (c, _), o in zip(refused, answers, strict=True) if isinstance(o, Written | Overridden)]
        for command, why in refused:
            self._watch.say("info", f"{command.point} = {command.value} is taken back: it {why.why}")
        await self._record_given_back(given)

    def _judge(
        self, commands: Sequence[Command], outcomes: Mapping[str, Outcome], permission: Permission, of_slot: bool
    ) -> None:
        totals, watch = self._totals, self._watch
        refused = {c.point: f"{c.point} = {c.value} is refused by the gate: it {r.why}" for c, r in permission.refused}
        totals.refused += len(refused)
        for command in commands:
            outcome = outcomes.get(command.key)
            if outcome is None:
                continue
            if isinstance(outcome, Withheld):
                totals.withheld += 1
                continue
            totals.setpoints_written += 1
            match outcome:
                case Written():
                    totals.setpoints_confirmed += 1
                    self.overridden.pop(command.point, None)
                    for kind in ("setpoint-held", "setpoint-undelivered", "setpoint-moved"):
                        watch.right(kind, command.point)
                case Overridden(read_back, holder):
                    totals.overridden += 1
                    if command.value is not None:
                        self.overridden[command.point] = command.value
                    text = f"{command.point}: asked {command.value}, stands at {read_back}: {holder} holds it"
                    watch.wrong("setpoint-held", command.point, text)
                case Refused(why):
                    totals.refused += 1
                    refused[command.point] = f"{command.point} = {command.value} refused by the device: {why}"
                case Unreachable(why):
                    totals.unreachable += 1
                    if self.district.wires[command.point].bus.name not in self._silent:
                        text = f"{command.point} = {command.value} not delivered: {why}"
                        watch.wrong("setpoint-undelivered", command.point, text)
        if of_slot:
            watch.only("setpoint-refused", refused)

    async def look_for_holders(self, slot: int) -> None:
        """Asks outputs who stands above us in them, for a hold shows by itself only where its value differs from ours.

        A few requests in a quarter-hour: a station tells many at a time, and one output has its turn every hour.
        """
        known = {subject for kind, subject in self._watch.standing if kind == "setpoint-held"} | self.overridden.keys()
        with self.undisturbed():
            self._holders = await self.link.holders(known.union(self._outputs[slot % HOLDERS_ROUND :: HOLDERS_ROUND]))
        for point, holder in sorted(self._holders.items()):
            if holder is not None and ("setpoint-held", point) not in self._watch.standing:
                priority, value = holder
                self._watch.wrong("setpoint-held", point, f"{point} stands at {value:g}: priority {priority} holds it")

    def let_go(self, seen: Snapshot) -> None:
        """Forget who held a point once the device says so; of one that has no priorities, once our own value shows."""
        for point, below in list(self.overridden.items()):
            found = seen.value(point)
            shows = found is not None and abs(found - below) < 1e-4
            if self._holders[point] is None if point in self._holders else shows:
                del self.overridden[point]
        held = {p: t for (kind, p), t in self._watch.standing.items() if kind == "setpoint-held"}
        self._watch.only("setpoint-held", {p: t for p, t in held.items() if self._is_held(p)}, "{} is free again")

    def _is_held(self, point: str) -> bool:
        """Whether somebody holds it; who is not heard from has not let go."""
        silent = point in self.district.wires and self.district.wires[point].bus.name in self._silent
        return point in self.overridden or self._holders.get(point) is not None or silent

    # Giving back

    async def relinquish(self, of: frozenset[str] | None = None) -> int:
        """Gives standing commands back to the devices' own control: all, or those of some buildings.

        The field comes before the record: with the store gone, what this process knows to stand is given back.
        Returns how many were given back.
        """
        now = self._clock.now()
        standing = {c.point: c for c in self.link.standing.values() if c.point not in self._beats}
        with self._watch.said_if_store_fails("the journal cannot be read; what this process wrote is given back"):
            known = await self._store.at_exit(self._store.store.journal.standing)
            standing |= {c.point: c for c in known}
        kept = [c for c in standing.values() if of is None or c.point.partition("/")[0] in of]
        given: list[Command] = []
        with self.undisturbed():
            for _ in range(2):  # a lost answer is worth a second try
                outcomes = await self.link.write([release_of(c, now) for c in kept])
                given += [c for c, o in zip(kept, outcomes, strict=True) if isinstance(o, Written | Overridden)]
                kept = [c for c, o in zip(kept, outcomes, strict=True) if not isinstance(o, Written | Overridden)]
                if not kept:
                    break
            if of is None:  # a heartbeat that stops says the same as one given back, only later
                beats = [Command(f"release:{p}", p, None, expires_at=now + SLOT) for p in sorted(self._beats)]
                await self.link.write(beats)
        with self._watch.said_if_store_fails("what was given back is not on record"):
            await self._record_given_back(given)
        if kept:
            self._watch.say("alarm", f"{len(kept)} commands could not be given back, first {kept[0].point}")
        self._watch.say("info", f"{len(given)} commands given back to local control")
        return len(given)

    def still_stands(self, building: str | None) -> bool:
        """Whether any command of ours stands in a building, or anywhere, as far as this process knows."""
        ours = (p for p in self.link.standing if p not in self._beats)
        return any(building is None or p.partition("/")[0] == building for p in ours)

    async def _record_given_back(self, commands: list[Command]) -> None:
        """Puts on record that devices hold these commands no longer."""
        if not commands:
            return
        for command in commands:
            self.overridden.pop(command.point, None)  # there is nothing of ours below any more
        now, store, fence = self._clock.now(), self._store.store, self._lead.fence
        releases = [release_of(c, now) for c in commands]
        await self._store.at_exit(lambda: store.journal.commit_intents(releases, fence))
        await self._store.at_exit(lambda: store.journal.record_outcomes({c.key: Written(None) for c in releases}))
        await self._store.at_exit(lambda: store.save_setpoints({c.point: None for c in commands}, now))


def _arrived(command: Command, state: str | None, seen: Snapshot) -> bool:
    """Whether a process before this one has written a command: it says so, or died before it could and the point
    shows it. Read before write: a device is not told twice."""
    if state in ("intended", "unreachable") and command.value is not None:
        found = seen.value(command.point)
        return found is not None and abs(found - command.value) < 1e-4
    return state == "written"


def release_of(command: Command, now: datetime) -> Command:
    """The command that takes another one back."""
    return Command(
        key=f"release:{command.key}",
        point=command.point,
        value=None,
        expires_at=now + SLOT,
        priority=command.priority,
        previous=command.value,
    )


def switches(district: District) -> dict[str, timedelta]:
    """The points that are ours and have a least time on or off, with the longer of the two."""
    limits = ((p, district.wires[p].measure.write) for p in district.commanded)
    least = {p: max(w.least_on_s, w.least_off_s) for p, w in limits if w is not None}
    return {p: timedelta(seconds=s) for p, s in least.items() if s > 0}


def shortest_refresh(district: District) -> timedelta:
    """A third of the shortest watchdog in the district, and at most `REFRESH_AT_MOST`."""
    timeouts = [d.type.watchdog.timeout_s for d in district.devices if d.type.watchdog is not None]
    shortest = min((t for t in timeouts if t), default=None)
    return REFRESH_AT_MOST if shortest is None else min(REFRESH_AT_MOST, timedelta(seconds=shortest / 3))


def _and_more(points: Sequence[str]) -> str:
    return f" and {len(points) - 1} more" if len(points) > 1 else ""
