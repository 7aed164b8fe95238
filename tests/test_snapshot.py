"""A snapshot answers with what may be believed, or None: missing is not zero."""

from __future__ import annotations

from datetime import UTC, datetime

from ems.points import Quality, Sample
from ems.snapshot import Snapshot

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
SNAPSHOT = Snapshot(
    at=NOW,
    samples={
        "a/b/power_kw": Sample(0.0, Quality.GOOD, NOW),
        "a/c/power_kw": Sample(7.0, Quality.STALE, NOW),
        "a/d/power_kw": Sample(None, Quality.UNREACHABLE, NOW),
    },
)


def test_zero_is_a_value_and_a_stale_one_is_none() -> None:
    assert SNAPSHOT.value("a/b/power_kw") == 0.0
    assert SNAPSHOT.value("a/c/power_kw") is None
    assert SNAPSHOT.value("a/d/power_kw") is None
    assert SNAPSHOT.value("nobody/measures/this_kw") is None


def test_counts_by_quality() -> None:
    assert [SNAPSHOT.count(q) for q in (Quality.GOOD, Quality.STALE, Quality.MISSING)] == [1, 1, 0]
