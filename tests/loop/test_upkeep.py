"""What a night's upkeep leaves behind: homes' quarter-hours are kept for months, and all that is left is sealed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from ems.loop.events import Settings, Totals
from ems.loop.patience import PatientStore
from ems.loop.upkeep import Upkeep
from ems.loop.watch import Watch
from ems.slots import Slots
from ems.store import Store
from ems.store.ageing import OF_HOMES, OF_PLANTS

NIGHT = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
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
