"""What was measured grows old: quarter-hours go before days, and of homes sooner than of plants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from ems.slots import SLOT, Slots
from ems.store import Store
from ems.store.ageing import OF_HOMES, OF_PLANTS, Kept

MIDNIGHT = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)  # in Marseille; the day that begins has 92 quarter-hours
HOME, OTHER, PLANT = "horizon/flat-0101", "horizon/flat-0102", "horizon/chiller"
THREE_DAYS = Slots(MIDNIGHT, 92 + 2 * 96)


def filled(store: Store) -> None:
    points = [f"{HOME}/heat_energy_kwh", f"{HOME}/temperature_c", f"{OTHER}/temperature_c", f"{PLANT}/power_kw"]
    store.save_series([(point, THREE_DAYS, np.arange(284, dtype=np.float64)) for point in points])


def known(store: Store, point: str) -> list[int]:
    return np.flatnonzero(np.isfinite(store.history([point], THREE_DAYS).values[point])).tolist()


def test_midnights_and_days_outlive_quarter_hours(any_store: Store) -> None:
    filled(any_store)
    noon = MIDNIGHT + 130 * SLOT  # on the second day
    kept = Kept(timedelta(days=30), timedelta(days=60))
    assert any_store.age(HOME, noon + kept.quarters, kept) == 2 * (91 + 23)  # 91 quarter-hours and 23 hours of a point
    for quantity in ("heat_energy_kwh", "temperature_c"):
        assert known(any_store, f"{HOME}/{quantity}") == [0, *range(92, 284)]
    assert any_store.registers([f"{HOME}/heat_energy_kwh"], [20260329, 20260330])[f"{HOME}/heat_energy_kwh"] == [0, 92]
    assert any_store.daily(f"{HOME}/temperature_c", 20260329, 20260329) == [(20260329, 92, 92, 4186.0, 0.0, 91.0)]
    for point in (f"{OTHER}/temperature_c", f"{PLANT}/power_kw"):
        assert known(any_store, point) == list(range(284))
    assert any_store.age(HOME, noon + kept.quarters, kept) == 0


def test_in_the_end_days_go_too_and_of_plants_never(any_store: Store) -> None:
    filled(any_store)
    end = THREE_DAYS.end
    for asset, kept in ((HOME, OF_HOMES), (PLANT, OF_PLANTS)):
        any_store.age(asset, end + timedelta(days=4000), kept)
    assert known(any_store, f"{HOME}/heat_energy_kwh") == []
    assert any_store.daily(f"{HOME}/temperature_c", 20260301, 20260401) == []
    assert known(any_store, f"{PLANT}/power_kw") == [0, 92, 188]
    assert len(any_store.daily(f"{PLANT}/power_kw", 20260301, 20260401)) == 3


def test_what_is_meant_to_go_breaks_no_seal(any_store: Store) -> None:
    filled(any_store)
    now = THREE_DAYS.end + timedelta(days=9)
    sealed = any_store.seal_days(now)
    assert sealed == [20260329, 20260330, 20260331]
    kept = Kept(now - MIDNIGHT - timedelta(hours=30), None)
    assert any_store.age(HOME, now, kept) > 0
    assert any_store.sealed_days() == sealed[1:]
    assert any_store.seal_days(now) == sealed[:1] and any_store.damaged_days() == {}
