"""Leadership in the hands of the loop, with clocks that step."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ems.loop.events import Settings, Totals
from ems.loop.lead import Lead
from ems.loop.patience import PatientStore
from ems.loop.watch import Watch
from ems.store import Store

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
