"""The time grid: slots that begin at a UTC instant and are half-open.

Everything planned or stored lives on quarter-hours counted from the UTC epoch. A slot is computed from the clock,
never counted, so a restart or a clock step cannot shift it. A flow has one value per slot (its mean); a stock has one
value per boundary, hence one more. Local days (92, 96 or 100 quarter-hours) exist only in tariff calendars and pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SLOT_SECONDS = 900
SLOT = timedelta(seconds=SLOT_SECONDS)


def slot_number(now: datetime) -> int:
    """The quarter-hour that `now` lies in, as UTC epoch seconds / 900."""
    return int(as_utc(now).timestamp()) // SLOT_SECONDS


def slot_start(number: int) -> datetime:
    """The UTC instant at which a quarter-hour begins."""
    return datetime.fromtimestamp(number * SLOT_SECONDS, tz=UTC)


def floor(now: datetime) -> datetime:
    """The start of the quarter-hour that `now` lies in."""
    return slot_start(slot_number(now))


def as_utc(instant: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError for a naive datetime: it names no instant."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone; give an aware datetime, for example with +00:00")
    return instant.astimezone(UTC)


@dataclass(frozen=True)
class Slots:
    """`count` consecutive slots of `minutes` each, from the UTC instant `start`.

    `minutes` divides an hour. `flows` indexes the N slots, `stocks` the N + 1 boundaries.
    """

    start: datetime
    count: int
    minutes: int = 15

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", as_utc(self.start))
        if self.count < 1:
            raise ValueError(f"count is {self.count}; a horizon has at least one slot")
        if self.minutes < 1 or 60 % self.minutes:
            raise ValueError(f"minutes is {self.minutes}; slots divide an hour: 1, 5, 10, 15, 20, 30 or 60")

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=self.minutes)

    @property
    def hours(self) -> float:
        """Length of one slot in hours: kW times this is kWh."""
        return self.minutes / 60

    @property
    def end(self) -> datetime:
        return self.start + self.count * self.length

    @property
    def flows(self) -> range:
        return range(self.count)

    @property
    def stocks(self) -> range:
        return range(self.count + 1)

    def at(self, index: int) -> datetime:
        """The instant of boundary `index`: the start of slot `index`."""
        return self.start + index * self.length

    @property
    def starts(self) -> list[datetime]:
        start, length = self.start, self.length
        return [start + i * length for i in self.flows]

    def __iter__(self) -> Iterator[datetime]:
        return iter(self.starts)

    def __len__(self) -> int:
        return self.count

    def index_of(self, instant: datetime) -> int:
        """Which slot `instant` lies in; ValueError outside the horizon."""
        index = (as_utc(instant) - self.start) // self.length
        if not 0 <= index < self.count:
            raise ValueError(f"{instant.isoformat()} lies outside {self.start.isoformat()} .. {self.end.isoformat()}")
        return index
