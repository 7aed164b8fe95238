"""Seals, back-ups, and the order in which things stop on a full disk."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ems.points import Quality
from ems.store import Store
from ems.store.backup import BackupError, back_up, read_backup, restore
from ems.store.space import BALLAST_BYTES, LOW_BYTES, SCARCE_BYTES, Level, Space

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
CHANGE = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)  # midnight before the day of 92 quarter-hours


def fill(store: Store, days: int = 3, value: float = 1.0) -> None:
    start = int(CHANGE.timestamp()) - 86_400
    store.save_readings([("a/meter/power_kw", start + 900 * k, value, Quality.GOOD) for k in range(96 * days)])


def test_days_that_are_over_are_sealed_once(any_store: Store) -> None:
    fill(any_store)
    assert any_store.seal_days(NOW) == [20260328]
    assert any_store.seal_days(NOW + timedelta(days=1)) == [20260329]
    assert any_store.seal_days(NOW + timedelta(days=1)) == []
    assert any_store.damaged_days() == {}


def test_a_flipped_bit_in_a_sealed_day_is_seen(tmp_path: Path, url: str) -> None:
    with Store.open(url) as store:
        fill(store)
        store.seal_days(NOW)
    with sqlite3.connect(tmp_path / "site.db") as database:
        database.execute(
            "UPDATE reading SET value = 1.0000000000000002 WHERE at = ?",
            (int(CHANGE.timestamp()) - 900,),
        )
    database.close()
    with Store.open(url) as store:
        [text] = store.damaged_days().values()
        assert text.startswith("20260328: sealed with 96 readings")
        assert store.damaged_days([20260327]) == {}


def test_a_late_reading_breaks_the_seal_on_purpose(any_store: Store) -> None:
    fill(any_store)
    any_store.seal_days(NOW)
    any_store.save_readings([("a/late/power_kw", int(CHANGE.timestamp()) - 900, 1.0, Quality.GOOD)])
    assert any_store.sealed_days() == []
    assert any_store.seal_days(NOW) == [20260328]
    assert any_store.damaged_days() == {}


def test_a_back_up_is_restored_and_what_was_there_is_kept(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    url = f"sqlite:///{site / 'site.db'}"
    with Store.open(url) as store:
        fill(store)
        store.seal_days(NOW)
        made = back_up(site, tmp_path / "backups", NOW)  # while it is open
        store.save_readings([("a/meter/power_kw", int(NOW.timestamp()), 7.0, Quality.GOOD)])
        before = store.count_readings()
    kept = restore(read_backup(made.folder), site, NOW)
    assert kept is not None
    with Store.open(url) as store:
        assert store.count_readings() == before - 1
        assert store.damaged_days() == {}
    with Store.open(f"sqlite:///{kept / 'site.db'}") as store:
        assert store.count_readings() == before


def test_a_running_site_is_not_restored_over(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    with Store.open(f"sqlite:///{site / 'site.db'}") as store:
        made = back_up(site, tmp_path / "backups", NOW)
        store.leadership.take("the loop", NOW)
        with pytest.raises(BackupError, match="stop it before restoring"):
            restore(made, site, NOW)


def test_a_back_up_that_was_changed_is_refused(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    Store.open(f"sqlite:///{site / 'site.db'}").close()
    made = back_up(site, tmp_path / "backups", NOW)
    with (made.folder / "site.db").open("r+b") as file:
        file.seek(5000)
        file.write(b"x")
    with pytest.raises(BackupError, match="is not what was backed up"):
        read_backup(made.folder)
    with pytest.raises(BackupError, match="is no back-up"):
        read_backup(tmp_path)
    with pytest.raises(BackupError, match="holds no site"):
        back_up(tmp_path, tmp_path / "backups", NOW)


def test_things_stop_in_order_and_the_ballast_is_freed(tmp_path: Path) -> None:
    space = Space(tmp_path)
    assert space.level() in Level
    assert space.level(LOW_BYTES) is Level.AMPLE
    assert space.level(LOW_BYTES - 1) is Level.LOW
    assert space.level(SCARCE_BYTES - 1) is Level.SCARCE
    assert space.keep_ballast(Level.AMPLE)
    assert space.ballast.stat().st_size == BALLAST_BYTES
    assert space.keep_ballast(Level.LOW)
    assert not space.keep_ballast(Level.SCARCE)
