"""What must hold after every event, said once more in other words than the loop's, from the devices' point of view."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ems.campaign.plant import Landed, Plant
from ems.campaign.trouble import GRACE, Trouble
from ems.district import District
from ems.points import Quality
from ems.slots import SLOT, SLOT_SECONDS, slot_number
from ems.store.readings import Row

OUTLET_FLOOR_C = 55.0
STANDS_AT_MOST = timedelta(minutes=75)  # two quarter-hours of a command, one of slack, one of a database just freed
SENSOR_LIES = ("frozen", "exchanged", "wrapped")  # what no single reading can show: the truth is not known to the loop


@dataclass(frozen=True)
class Violation:
    """What did not hold, when, and where."""

    at: datetime
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.rule}: {self.text}"


class Invariants:
    """The eyes of a campaign on one district and its database."""

    def __init__(self, district: District, plant: Plant, database: Path) -> None:
        self.district = district
        self.plant = plant
        self.violations: list[Violation] = []
        self._file = database
        self._database = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1.0)
        self._seen_writes = 0
        self._known_from = 0  # the slot before which nothing is remembered
        self._last: dict[str, tuple[Landed, int]] = {}  # by point: the last write and its slot
        self._values: dict[tuple[str, int], float] = {}  # what was commanded in a slot
        self._fights: Counter[str] = Counter()

    def forget_before(self, slot: int) -> None:
        """Keep no memory of what is longer past: a soak weighs the loop, not its judge."""
        self._known_from = slot
        for key in [key for key in self.plant.truth if key[1] < slot]:
            del self.plant.truth[key]
        for named in [key for key in self._values if key[1] < slot]:
            del self._values[named]
        del self.plant.landed[: self._seen_writes]
        self._seen_writes = 0

    def look_again(self) -> None:
        """Another file stands in the database's place."""
        self._database.close()
        self._database = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=1.0)

    def close(self) -> None:
        self._database.close()

    def note(self, at: datetime, rule: str, text: str) -> None:
        self.violations.append(Violation(at, rule, text))

    # Writes

    def check_writes(self, on: Iterable[Trouble], alive: int) -> None:
        """Every write that landed since the last look."""
        troubles = list(on)
        for landed in self.plant.landed[self._seen_writes :]:
            self._check_write(landed, troubles, alive)
        self._seen_writes = len(self.plant.landed)

    def _check_write(self, landed: Landed, on: list[Trouble], alive: int) -> None:
        command, at, point = landed.command, landed.at, landed.command.point
        if landed.life != alive:
            self.note(at, "dead-hand", f"{point}: life {landed.life} writes while {alive} lives")
        if command.value is None:
            self._last.pop(point, None)
            return
        write = self.district.wires[point].measure.write
        assert write is not None
        if not math.isfinite(command.value) or not write.minimum <= command.value <= write.maximum:
            self.note(at, "limits", f"{point} = {command.value} outside {write.minimum}..{write.maximum}")
        if write.ramp_per_slot is not None and abs(command.value - landed.stood) > write.ramp_per_slot + 1e-6:
            self.note(at, "ramp", f"{point} from {landed.stood} to {command.value}")
        if point.endswith("current_limit_a") and 0 < command.value < 6:
            self.note(at, "charger", f"{point} = {command.value}")
        if point.endswith("charge_on") and command.value < 1:
            top = self.plant.values[point.replace("charge_on", "top_temperature_c")]
            if top < OUTLET_FLOOR_C + 1 and command.value != landed.held:
                self.note(at, "hot-water", f"{point} inhibited at {top:.1f} degC")
        if not 9 <= command.priority <= 15:
            self.note(at, "priority", f"{point} at {command.priority}")
        self._check_record(landed)
        slot = int(command.key.partition(":")[0])
        now_slot = slot_number(at)
        if self._values.setdefault((point, slot), command.value) != command.value:
            self.note(at, "mixed-plan", f"{point}: {self._values[point, slot]} and {command.value} in one slot")
        self._check_repeat(landed, on)
        # A lock ends by the site's clock, which is all that the loop can know.
        site_now = at + sum((_step(t) for t in on), timedelta())
        for trouble in on:
            past_start = at - trouble.begins > timedelta(seconds=SLOT_SECONDS)
            if trouble.kind.name == "handed-back" and point.startswith(f"{trouble.subject}/") and past_start:
                self.note(at, "handed-back", f"{point} is written though {trouble.subject} was handed back")
            is_locked = trouble.kind.name == "locked" and point.rpartition("/")[0] == trouble.subject
            is_locked = is_locked and site_now < trouble.ends
            if is_locked and past_start and landed.held != command.value:
                self.note(at, "locked", f"{point} is written though it is out of service")
        self._last[point] = (landed, now_slot)

    def _check_record(self, landed: Landed) -> None:
        """An intent stands in the journal, under the fence that leads, before the device hears of it."""
        command = landed.command
        rows = self._database.execute("SELECT value, fence FROM command WHERE key = ?", (command.key,)).fetchall()
        if not rows:
            self.note(landed.at, "no-intent", f"{command.point} = {command.value} without an intent on record")
        elif rows[0][0] != command.value:
            self.note(landed.at, "other-intent", f"{command.point} = {command.value}, on record {rows[0][0]}")

    def _check_repeat(self, landed: Landed, on: list[Trouble]) -> None:
        """A device that stands where we put it is not written again, except to keep its watchdog content."""
        command, point = landed.command, landed.command.point
        watchdog = self.district.wires[point].device.type.watchdog
        if watchdog is not None and watchdog.kind == "rewrite":
            return
        last = self._last.get(point)
        if last is None or not last[0].believed:
            return
        before = last[0].command
        if before.key == command.key and landed.held == command.value:
            self.note(landed.at, "duplicate", f"{point} = {command.value} is written twice ({command.key})")
        # Where a device gives half of its points nobody can see that a person holds one.
        unseen = any(t.kind.name == "half-missing" and t.subject == point.rpartition("/")[0] for t in on)
        again = before.value == command.value and before.key != command.key
        if landed.manual and last[0].manual and again and not unseen:
            self._fights[point] += 1
            if self._fights[point] > 1:
                self.note(landed.at, "fight", f"{point} = {command.value} against a person, again")
        elif not landed.manual:
            self._fights[point] = 0

    # State

    def check_state(self, now: datetime, *, reachable: bool, honest_tank: bool) -> None:
        """What stands in the devices, at the end of a slot."""
        if honest_tank and self.plant.coldest_outlet_c < OUTLET_FLOOR_C:
            self.note(now, "hot-water", f"an outlet at {self.plant.coldest_outlet_c:.1f} degC")
        self.plant.coldest_outlet_c = math.inf
        if not reachable:
            return
        last = self._last_done()
        if last is not None and now - datetime.fromtimestamp(last * SLOT_SECONDS, tz=now.tzinfo) > STANDS_AT_MOST:
            left = sorted(p for p in self.plant.held if not p.endswith("heartbeat_count"))
            if left:
                self.note(now, "expired", f"{left} stand, and nothing was decided for {STANDS_AT_MOST}")

    def _last_done(self) -> int | None:
        last: int | None = self._database.execute("SELECT max(slot) FROM run WHERE state = 'done'").fetchone()[0]
        return last

    def check_decision(self, now: datetime) -> None:
        """The newest decision is of this quarter-hour or the last one, and its plan begins with it."""
        last = self._last_done()
        if last is None or slot_number(now) - last > 2:
            self.note(now, "stuck", "no quarter-hour was decided in half an hour")

    # Readings

    def check_readings(self, acknowledged: list[Row], lies: list[Trouble], now: datetime) -> int:
        """Every acknowledged reading is in the database, and tells the truth. Returns how many are lost."""
        stored = {
            (name, at): value
            for name, at, value in self._database.execute(
                "SELECT p.name, r.at, r.value FROM reading r JOIN point p ON p.id = r.point_id"
            )
        }
        lost = 0
        first: dict[tuple[str, int], float | None] = {}
        for point, at, value, quality in acknowledged:
            if first.get((point, at)) is None:
                first[point, at] = value if quality in (Quality.GOOD, Quality.SUBSTITUTED) else None
        for key, value in first.items():
            if key not in stored or (value is not None and stored[key] is None):
                lost += 1
                self.note(now, "lost-reading", f"{key[0]} at {key[1]}")
        told = _Lies(lies)
        for (point, at), value in stored.items():
            measured = point in self.district.wires  # what is summed up from others has no truth of its own
            if measured and value is not None and not self._is_true(point, at, value, told):
                self.note(now, "untrue-reading", f"{point} at {at}: {value}")
        return lost

    def _is_true(self, point: str, at: int, value: float, lies: _Lies) -> bool:
        spread = self.plant.truth.get((point, at // SLOT_SECONDS))
        if spread is None and at // SLOT_SECONDS < self._known_from:
            return True
        slack = 1e-3 * max(1.0, abs(value))
        if spread is not None and spread.low - slack <= value <= spread.high + slack:
            return True
        return lies.about(point, at)

    # Alarms

    def check_alarms(self, troubles: list[Trouble], end: datetime) -> tuple[int, int]:
        """(class A troubles that nobody was told of, alarms that nothing explains)."""
        raised = [
            (kind, subject, _when(at), _when(last))
            for kind, subject, at, last in self._database.execute("SELECT kind, subject, raised_us, last_us FROM alarm")
        ]
        missed = 0
        for trouble in troubles:
            momentary = trouble.kind.shortest == trouble.kind.longest
            if not trouble.kind.alarms or (trouble.ends - trouble.begins < trouble.kind.notice and not momentary):
                continue
            if trouble.kind.name == "manual" and self._contradicts(trouble) < trouble.kind.notice:
                continue  # somebody held what would have stood there anyway: nothing changed
            by = trouble.begins + trouble.kind.notice + SLOT
            # What nobody can put on record is put there when that is over; whoever is killed then takes it along.
            hidden_by = max(by, trouble.ends + SLOT) if trouble.kind.name in UNRECORDED else by
            hidden = any(
                o is not trouble
                and (o.kind.name in HIDES or (o.kind.name == "nan" and o.subject == trouble.subject))
                and o.begins - (BACKUP_EVERY if o.kind.name == "corrupt" else timedelta(0)) <= hidden_by
                and o.ends + AFTER >= trouble.begins
                for o in troubles
            )
            skew = _skew(trouble)
            told = any(
                k in trouble.kind.alarms and at - skew <= by and last + skew >= trouble.begins
                for k, _, at, last in raised
            )
            if not told and not hidden:
                missed += 1
                self.note(trouble.begins, "missed", f"nobody was told of {trouble}")
        false = 0
        for kind, subject, at, _ in raised:
            explained = any(
                kind in (*t.kind.alarms, *t.kind.also)
                and t.begins - SLOT - _skew(t) <= at <= t.ends + GRACE + 4 * SLOT + _skew(t)
                for t in troubles
            )
            if not explained:
                false += 1
                self.note(at, "false-alarm", f"{kind} {subject}")
        return missed, false

    def _contradicts(self, trouble: Trouble) -> timedelta:
        """For how long a person's hold stood at another value than would have stood there without."""
        spans = self.plant.against.get(trouble.subject, [])
        within = (min(until, trouble.ends) - max(since, trouble.begins) for since, until in spans)
        return sum((span for span in within if span > timedelta(0)), timedelta(0))


class _Lies:
    """Which readings are not to be believed, by what they are of: a month at full size has ten million of them."""

    def __init__(self, troubles: list[Trouble]) -> None:
        self._of: dict[str, list[tuple[float, float]]] = {}  # "": of everything
        for trouble in troubles:
            # A clock that is set back lives an hour twice: what was missing in it is read again under the same stamp.
            begins = trouble.begins + min(_step(trouble), timedelta(0)) - SLOT
            span = (begins.timestamp(), (trouble.ends + 4 * SLOT).timestamp())
            if trouble.kind.name in SENSOR_LIES:
                self._of.setdefault(trouble.subject, []).append(span)
            if trouble.kind.name.startswith("clock-"):
                self._of.setdefault("", []).append(span)

    def about(self, point: str, at: int) -> bool:
        """Whether a reading of this point at this instant (epoch s) may be untrue."""
        subjects = (point, point.rpartition("/")[0], "")
        return any(low <= at <= high for subject in subjects for low, high in self._of.get(subject, ()))


BACKUP_EVERY = timedelta(hours=6)  # what was told since the last one is gone with a database that breaks
AFTER = timedelta(hours=1)  # a killed process cannot start while the database is held
UNRECORDED = ("database-held", "disk-full", "disk-read-only")  # the loop goes on, and can only say what is wrong
# Troubles under which another one cannot be seen, or does not happen; a point without a number shows no spike either.
HIDES = (
    "bus-off", "half-missing", "database-held", "kill", "clock-back", "clock-forward", "handed-back", "locked",
    "planner-error", "planner-hangs", "planner-late", "planner-nan", "manual", "not-applied", "not-acknowledged",
    "planner-crashed", "planner-infeasible", "garbled", "disk-full", "disk-read-only", "corrupt", "paused", "slow",
)  # fmt: skip


def _step(trouble: Trouble) -> timedelta:
    """How far ahead the site's clock is while this lasts."""
    return timedelta(hours={"clock-forward": 1, "clock-back": -1}.get(trouble.kind.name, 0))


def _skew(trouble: Trouble) -> timedelta:
    """How far an alarm's own time may be off while somebody steps the clock."""
    return timedelta(hours=1) if trouble.kind.name.startswith("clock-") else timedelta(0)


def _when(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, tz=UTC)
