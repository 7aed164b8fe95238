"""What is wrong, in memory and in the store: neither forgets what the other knows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ems.loop.events import Totals
from ems.loop.watch import TOLD_MOST, Watch
from ems.store import Store

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def test_what_is_over_is_cleared_though_more_went_wrong_than_is_kept(tmp_path: Path) -> None:
    """As in an hour without a database, with many meters gone."""
    with Store.open(f"sqlite:///{tmp_path / 'site.db'}") as store:
        watch = Watch(store, lambda: NOW, Totals(), lambda event: None)
        watch.wrong("bus-silent", "a", "no answer")
        watch.tell()
        watch.right("bus-silent", "a")
        for k in range(TOLD_MOST + 1):
            watch.wrong("meter-missing", f"meter {k % 50}", "gives no value")
        watch.tell()
        watch.tell()
        assert {a.kind.name for a in store.alarms.open()} == {"meter-missing"}
