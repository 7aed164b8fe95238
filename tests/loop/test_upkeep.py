"""What a night's upkeep leaves behind: homes' quarter-hours are kept for months, and all that is left is sealed.

Every sealed day is looked at, again and again.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from math import ceil
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ems.loop.events import Settings, Totals
from ems.loop.patience import PatientStore
from ems.loop.upkeep import CHECKED_A_NIGHT, Upkeep, looked_at
from ems.loop.watch import Watch
from ems.slots import Slots
from ems.store import Store
from ems.store.ageing import OF_HOMES, OF_PLANTS

NIGHT = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
DAYS = [int(f"{date(2026, 3, 28) + timedelta(days=k):%Y%m%d}") for k in range(730)]
HOME, PLANT = "horizon/flat-0101", "horizon/chiller"


def test_a_night_forgets_what_was_kept_long_enough(tmp_path: Path) -> None:
    begin = NIGHT - timedelta(days=440)
    slots = Slots(begin.replace(hour=22), 20 * 96)  # midnight in Marseille, and so ten days beyond what is kept
    with Store.open(f"sqlite:///{tmp_path}/site.db") as store:
        points = [f"{HOME}/temperature_c", f"{PLANT}/power_kw"]
        store.save_series([(point, slots, np.ones(slots.count)) for point in points])
        watch = Watch(store, lambda: NIGHT, Totals(), lambda event: None)
        patient = PatientStore(store, Settings(owner="test"), watch)
        upkeep = Upkeep(None, patient, watch, {HOME: OF_HOMES, PLANT: OF_PLANTS})
        for instant, nights in ((NIGHT - timedelta(hours=1), 0), (NIGHT, 1)):
            asyncio.run(upkeep.each_slot(instant))
            left = {p: int(np.isfinite(row).sum()) for p, row in store.history(points, slots).values.items()}
            assert left[f"{PLANT}/power_kw"] == slots.count
            assert (left[f"{HOME}/temperature_c"] < 12 * 96) == bool(nights)
        assert store.damaged_days() == {} and len(store.sealed_days()) >= 20


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 40_000), st.integers(1, 200), st.sets(st.integers(0, 199), max_size=30))
@example(20_600, 730, set())
def test_every_sealed_day_has_its_turn_while_days_are_added(first_night: int, nights: int, absent: set[int]) -> None:
    """One day is sealed each night; some never, or late: no other loses its turn by that."""
    seen: dict[int, int] = {}
    for night in range(nights):
        sealed = [DAYS[k] for k in range(night + 1) if k not in absent]
        chosen = looked_at(sealed, first_night + night)
        assert chosen == sorted(set(chosen)) and chosen[-1:] == sealed[-1:]
        assert len(chosen) <= 2 * CHECKED_A_NIGHT + 1 + len(absent)
        seen |= dict.fromkeys(chosen, night)
        assert all(night - seen[day] < ceil(len(sealed) / CHECKED_A_NIGHT) for day in sealed)


def test_a_night_looks_at_ten_of_a_month_at_most() -> None:
    # By hand: 30 days, 6 fives; the power of two below is 4: 7 or 8 days a night, and the newest.
    month = DAYS[:30]
    counts = [len(looked_at(month, night)) for night in range(4)]
    assert sum(counts) == 30 + 3 and max(counts) <= 9
    assert looked_at([], 7) == []
