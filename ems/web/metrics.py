"""What a monitoring system asks: whether the district is being controlled, not whether a process lives.

The text form of Prometheus. Nothing of a person or a dwelling is in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ems.store import Alarm, Severity
from ems.web.record import Record

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WAYS = ("plan", "shifted", "rules", "local")


def metrics(record: Record, alarms: Sequence[Alarm]) -> str:
    """The page: one figure a line, each with its meaning."""
    return "".join(f"{line}\n" for line in _lines(record, alarms))


def _lines(record: Record, alarms: Sequence[Alarm]) -> Iterator[str]:
    controlled = record.mode in ("controlling", "degraded")
    yield from _one(
        "ems_controlled", "gauge", "1 while a decision of the last two quarter-hours stands", int(controlled)
    )
    if record.age is not None:
        yield from _one("ems_decision_age_seconds", "gauge", "age of the last decision", record.age.total_seconds())
    way = record.record.get("way")
    by_way = {f'way="{name}"': int(way == name) for name in WAYS}
    yield from _many("ems_way", "gauge", "how the last quarter-hour was decided", by_way)
    open_ones = Counter(alarm.kind.severity for alarm in alarms)
    by_severity = {f'severity="{s.value}"': open_ones[s] for s in Severity}
    yield from _many("ems_alarms_open", "gauge", "alarms that are not cleared", by_severity)
    for name, value in sorted(record.counts.items()):
        yield from _one(f"ems_{name}", "gauge", "of the running process, as of its last decision", value)


def _one(name: str, kind: str, meaning: str, value: float) -> Iterator[str]:
    yield from _many(name, kind, meaning, {"": value})


def _many(name: str, kind: str, meaning: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value:g}" if labels else f"{name} {value:g}"
