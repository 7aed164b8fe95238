"""Latest values, set points, overrides, decisions; and who may open the database for what."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from ems.points import Quality, Sample
from ems.snapshot import Override
from ems.store import Store, StoreError, sqlite_concern
from ems.store.database import fetch_all

NOW = datetime(2026, 11, 20, 10, 7, 30, 250_000, tzinfo=UTC)


def test_latest_gives_back_what_was_swept(any_store: Store) -> None:
    first = {
        "a/b/power_kw": Sample(1.5, Quality.GOOD, NOW),
        "a/c/power_kw": Sample(None, Quality.UNREACHABLE, NOW - timedelta(minutes=3)),
    }
    any_store.save_latest(first)
    assert any_store.latest() == first
    later = {"a/b/power_kw": Sample(None, Quality.MISSING, NOW + timedelta(minutes=1))}
    any_store.save_latest(later)
    assert any_store.latest() == first | later


def test_set_points_are_stored_on_change(any_store: Store) -> None:
    point = "a/tank/setpoint_c"
    minutes = [timedelta(minutes=15 * i) for i in range(5)]
    wanted = [60.0, 60.0, 62.0, None, None]
    changed = [any_store.save_setpoints({point: v}, NOW + m) for v, m in zip(wanted, minutes, strict=True)]
    assert changed == [1, 0, 1, 1, 0]
    seen = any_store.setpoints(point, NOW + timedelta(minutes=20), NOW + timedelta(hours=2))
    assert [value for _, value in seen] == [60.0, 62.0, None]
    assert any_store.save_setpoints({"a/never/setpoint_c": None}, NOW) == 0


def test_an_override_holds_until_its_end(any_store: Store) -> None:
    override = Override("a/b/setpoint_c", 21.0, by="N. Faure", reason="concert", until=NOW + timedelta(hours=1))
    any_store.save_override(override)
    assert any_store.overrides(NOW) == {override.point: override}
    assert any_store.overrides(override.until) == {}
    assert any_store.end_override(override.point)
    assert not any_store.end_override(override.point)
    assert any_store.overrides(NOW) == {}


def test_decisions_are_kept_for_their_time(url: str) -> None:
    with Store.open(url, retain_days=1) as store:
        assert store.last_decision() is None
        for slot in range(1000, 1200):
            store.save_decision(slot, {"slot": slot, "note": "été"})
        assert store.last_decision() == {"slot": 1199, "note": "été"}
        assert store.decision(1102) is None
        assert store.decision(1103) == {"slot": 1103, "note": "été"}


def test_a_decision_holds_no_nan(store: Store) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        store.save_decision(1, {"value": float("nan")})


def test_read_only_reads_and_cannot_write(url: str, store: Store) -> None:
    store.save_decision(7, {"slot": 7})
    with Store.read_only(url) as web:
        assert web.last_decision() == {"slot": 7}
        with pytest.raises(StoreError, match="read-only"):
            web.save_decision(8, {"slot": 8})
        with pytest.raises(DBAPIError, match=r"readonly|read-only"):
            web._database.read("test", lambda c: c.exec_driver_sql("DELETE FROM decision"))


def test_sqlite_is_opened_as_it_should_be(store: Store) -> None:
    def pragma(name: str) -> int | str:
        [(found,)] = store._database.write("test", lambda c: fetch_all(c, f"PRAGMA {name}"))
        return found  # type: ignore[no-any-return]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2  # FULL
    assert pragma("foreign_keys") == 1
    assert pragma("trusted_schema") == 0
    assert pragma("cell_size_check") == 1
    assert pragma("busy_timeout") == 2000


def test_strict_tables_refuse_text_for_a_number(tmp_path: Path, store: Store) -> None:
    connection = sqlite3.connect(tmp_path / "site.db")
    connection.execute("INSERT INTO point (id, name) VALUES (1, 'a/b/power_kw')")
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in REAL"):
        connection.execute("INSERT INTO reading VALUES (1, 900, 'garbage', 0)")
    connection.close()


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(StoreError, match="sqlite:///"):
        Store.open(url)


@pytest.mark.parametrize(
    ("version", "known_bad"),
    [
        ((3, 40, 1), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 50, 7), False),
        ((3, 50, 6), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 52, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_names_the_wal_reset_bug(version: tuple[int, ...], known_bad: bool) -> None:
    concern = sqlite_concern(version)
    assert (concern is not None) == known_bad
    if concern is not None:
        assert concern.name == "sqlite-wal-reset"
        assert "3.51.3" in concern.text
