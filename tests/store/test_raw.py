"""What a device said and nobody believed is kept: to be looked at, never to be reckoned with."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from ems.points import Quality, Sample
from ems.slots import SLOT, Slots
from ems.store import Store

SLOT_START = datetime(2026, 1, 20, 7, 0, tzinfo=UTC)
NOW = SLOT_START + timedelta(minutes=7)
TANK, METER = "a/tank/top_temperature_c", "a/meter/energy_kwh"


def implausible(value: float, at: datetime) -> Sample:
    return Sample(None, Quality.IMPLAUSIBLE, at, value)


def test_the_last_number_of_a_quarter_hour_is_kept_with_how_often(any_store: Store) -> None:
    for minute, raw in ((0, 180.0), (1, 181.5), (14, 179.0)):
        any_store.save_latest({TANK: implausible(raw, SLOT_START + timedelta(minutes=minute))})
    any_store.save_latest({TANK: Sample(None, Quality.STALE, SLOT_START + SLOT, 60.25)})
    any_store.save_latest({TANK: Sample(61.0, Quality.GOOD, SLOT_START + SLOT + timedelta(minutes=1))})
    assert any_store.disbelieved(TANK, SLOT_START, SLOT_START + 2 * SLOT) == [
        (SLOT_START, 179.0, Quality.IMPLAUSIBLE, 3),
        (SLOT_START + SLOT, 60.25, Quality.STALE, 1),
    ]
    assert any_store.disbelieved(TANK, SLOT_START + SLOT, SLOT_START + SLOT) == []
    assert any_store.disbelieved("a/b/nobody_kw", SLOT_START, SLOT_START + SLOT) == []


def test_the_latest_value_carries_it_while_it_lasts(any_store: Store) -> None:
    any_store.save_latest({TANK: implausible(180.0, NOW), METER: Sample(5.0, Quality.GOOD, NOW)})
    latest = any_store.latest()
    assert (latest[TANK].value, latest[TANK].raw, latest[METER].raw) == (None, 180.0, None)
    any_store.save_latest({TANK: Sample(60.0, Quality.GOOD, NOW + SLOT)})
    assert any_store.latest()[TANK].raw is None


def test_nothing_is_reckoned_with_it(any_store: Store) -> None:
    any_store.save_latest({TANK: implausible(180.0, NOW)})
    any_store.save_readings([(TANK, int(SLOT_START.timestamp()), None, Quality.IMPLAUSIBLE)])
    values = any_store.history([TANK], Slots(SLOT_START, 1)).values[TANK]
    assert np.isnan(values).all()


def test_it_is_forgotten_with_the_rest(any_store: Store) -> None:
    any_store.save_latest({TANK: implausible(180.0, NOW)})
    any_store.erase("a/tank", SLOT_START + SLOT)
    assert any_store.disbelieved(TANK, SLOT_START, SLOT_START + SLOT) == []


def test_a_database_of_before_is_brought_up(tmp_path: Path, url: str) -> None:
    with Store.open(url) as store:
        store.save_latest({METER: Sample(5.0, Quality.GOOD, NOW)})
    connection = sqlite3.connect(tmp_path / "site.db")
    with connection:
        connection.execute("DROP TABLE disbelieved")
        connection.execute("ALTER TABLE latest DROP COLUMN raw")
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
    connection.close()
    with Store.open(url) as store:
        assert store.latest() == {METER: Sample(5.0, Quality.GOOD, NOW)}
        store.save_latest({METER: implausible(-1.0, NOW)})
        assert store.latest()[METER].raw == -1.0
