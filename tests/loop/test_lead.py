"""Leadership in the hands of the loop, with clocks that step."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ems.command import Command
from ems.loop.events import Settings, Totals
from ems.loop.lead import Lead
from ems.loop.patience import PatientStore
from ems.loop.watch import Watch
from ems.store import LeadershipLost, Store

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def test_a_clock_set_forward_costs_nobody_the_lead(tmp_path: Path) -> None:
    """The store judges a lease by the machine's clock, the leader renews it by a timer that nobody sets."""
    clock = [NOW]
    settings = Settings(owner="test")

    async def lead() -> None:
        with Store.open(f"sqlite:///{tmp_path / 'site.db'}") as store:
            watch = Watch(store, lambda: NOW, Totals(), lambda event: None)
            one = Lead(PatientStore(store, settings, watch), settings, lambda: clock[0], lambda: 0.0)
            await one.take()
            clock[0] += timedelta(hours=1)
            fence = await one.assure()
            store.journal.commit_intents([], fence, leading_at=one.now())

    asyncio.run(lead())


def test_without_the_database_devices_are_still_given_back_and_nothing_else_is_written(tmp_path: Path) -> None:
    """A lease that nobody can renew runs out; who asks for control back must not wait for the database."""
    seconds = [0.0]
    settings = Settings(owner="test")
    asked = Command("1", "mistral/tank/setpoint_c", 62.0, NOW + timedelta(hours=1))
    release = Command("release:1", "mistral/tank/setpoint_c", None, NOW + timedelta(hours=1))

    async def lead() -> None:
        with Store.open(f"sqlite:///{tmp_path / 'site.db'}", busy_timeout_s=0.01, attempts=1) as store:
            watch = Watch(store, lambda: NOW, Totals(), lambda event: None)
            one = Lead(PatientStore(store, settings, watch), settings, lambda: NOW, lambda: seconds[0])
            assert one.objection(release) is not None  # never led
            await one.take()
            assert one.objection(asked) is None
            other = sqlite3.connect(tmp_path / "site.db", isolation_level=None, timeout=0)
            other.execute("BEGIN IMMEDIATE")
            seconds[0] = 200.0
            assert one.objection(release) is not None  # run out, as after a sleep: the database was not asked since
            await one.renew_if_due()
            assert one.objection(asked) is not None
            assert one.objection(release) is None
            seconds[0] = 230.0
            assert one.objection(release) is not None  # it slept again
            other.execute("ROLLBACK")
            await one.renew_if_due()
            assert one.objection(asked) is None
            other.execute("UPDATE leadership SET fence = fence + 1")
            other.close()
            seconds[0] = 500.0
            with pytest.raises(LeadershipLost):
                await one.renew_if_due()
            assert one.objection(release) is not None

    asyncio.run(lead())
