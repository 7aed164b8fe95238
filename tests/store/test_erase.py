"""Who asks to be forgotten is: nothing of before is left of their home, and nothing of others is touched."""

from __future__ import annotations

import sqlite3
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from ems.points import Quality, Sample
from ems.slots import SLOT, Slots
from ems.store import ELECTRIC, Store
from ems.store.store import without

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


def test_after_a_no_nothing_of_the_electricity_is_left_but_midnights_where_days_are_agreed_to(any_store: Store) -> None:
    slots = Slots(UNTIL - 2 * SLOT - 96 * SLOT, 192)  # midnight in Marseille is two hours before
    points = [f"{home}/{q}" for home in (MINE, OTHER) for q in (*ELECTRIC, "heat_energy_kwh")]
    any_store.save_series([(point, slots, np.arange(192, dtype=np.float64)) for point in points])
    assert any_store.forget_electricity(MINE, UNTIL, but_midnights=True) > 0
    before = any_store.history(points, Slots(slots.start, 98)).values
    known = {p: np.flatnonzero(np.isfinite(row)).tolist() for p, row in before.items()}
    everything = list(range(98))
    assert known[f"{MINE}/energy_kwh"] == [90]  # 22:00 UTC, two hours before
    for quantity in ELECTRIC[1:]:
        assert known[f"{MINE}/{quantity}"] == []
    assert known[f"{MINE}/heat_energy_kwh"] == known[f"{OTHER}/energy_kwh"] == everything
    assert any_store.registers([f"{MINE}/energy_kwh"], [20261024]) == {f"{MINE}/energy_kwh": [90.0]}
    any_store.forget_electricity(MINE, UNTIL, but_midnights=False)
    assert not np.isfinite(any_store.history(points, Slots(slots.start, 98)).values[f"{MINE}/energy_kwh"]).any()


def test_an_erased_home_stands_in_no_row_no_record_and_no_alarm_and_breaks_no_seal(tmp_path: Path) -> None:
    """What is left is the name of the point, which a meter on the wall has whoever lives there."""
    before = UNTIL - timedelta(days=5)
    with Store.open(f"sqlite:///{tmp_path}/site.db") as store:
        slots = Slots(before, 192)
        store.save_series([(f"{home}/energy_kwh", slots, np.arange(192.0)) for home in (MINE, OTHER)])
        store.seal_days(UNTIL)
        assert store.sealed_days()
        for ago in range(45):
            record = {
                "slot": ago, "plan": {"flows": {f"{MINE}/heat_kw": [1.0], f"{OTHER}/heat_kw": [2.0]}},
                "sent": [{"point": f"{MINE}/setpoint_offset_k", "value": 0.5}, {"point": "a/b/c_kw", "value": 1.0}],
                "events": [f"{MINE} is cold", "all is well"],
            }  # fmt: skip
            store.save_decision(int(before.timestamp()) // 900 + ago, record)
        store.erase(MINE, UNTIL)
        while store.strip_decisions(MINE, UNTIL):
            pass
        assert store.damaged_days() == {}
        store.seal_days(UNTIL)
        assert store.damaged_days() == {}
    connection = sqlite3.connect(tmp_path / "site.db")
    assert connection.execute("SELECT count(*) FROM reading").fetchone() == (192,)
    for (record,) in connection.execute("SELECT record FROM decision").fetchall():
        text = zlib.decompress(record).decode()
        assert MINE not in text and OTHER in text and "all is well" in text and "a/b/c_kw" in text
    connection.execute("DELETE FROM point")
    assert MINE not in "\n".join(connection.iterdump())
    connection.close()


def test_without_takes_out_what_names_an_asset_alone() -> None:
    record = {MINE: 1, f"{MINE}/x": 2, f"{MINE}9": 3, "list": [MINE, {"asset": MINE}, {"asset": OTHER}, 4], "n": None}
    assert without(record, MINE) == {f"{MINE}9": 3, "list": [{"asset": OTHER}, 4], "n": None}
