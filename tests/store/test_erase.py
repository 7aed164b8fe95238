"""Who asks to be forgotten is: nothing of before is left of their home, and nothing of others is touched."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from ems.points import Quality, Sample
from ems.slots import SLOT, Slots
from ems.store import Store

UNTIL = datetime(2026, 10, 24, 0, 0, tzinfo=UTC)
MINE, OTHER = "horizon/flat-0101", "horizon/flat-0102"


def test_nothing_of_before_is_left_and_nothing_of_others_is_touched(any_store: Store) -> None:
    slots = Slots(UNTIL - 96 * SLOT, 192)
    values = np.arange(192, dtype=np.float64)
    points = [f"{home}/{q}" for home in (MINE, OTHER) for q in ("energy_kwh", "temperature_c")]
    any_store.save_series([(point, slots, values) for point in points])
    any_store.save_latest({p: Sample(1.0, Quality.GOOD, UNTIL - SLOT) for p in points})
    any_store.save_setpoints({f"{home}/setpoint_offset_k": 0.5 for home in (MINE, OTHER)}, UNTIL - SLOT)
    assert any_store.erase(MINE, UNTIL) > 192
    history = any_store.history(points, slots).values
    for point in points:
        erased = point.startswith(MINE)
        assert np.isnan(history[point][:96]).all() == erased, point
        assert np.isfinite(history[point][96:]).all(), point
    assert set(any_store.latest()) == {p for p in points if p.startswith(OTHER)}
    assert any_store.setpoints(f"{MINE}/setpoint_offset_k", UNTIL - 4 * SLOT, UNTIL) == []
    assert any_store.setpoints(f"{OTHER}/setpoint_offset_k", UNTIL - 4 * SLOT, UNTIL) != []
    assert any_store.daily(f"{MINE}/energy_kwh", 20261001, 20261022) == []
    assert any_store.erase(MINE, UNTIL) == 0  # once more, after a restore, is no harm
