"""Migrations: killed half-way the old form is left, and the classes say what the steps made."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from ems.store import Store, StoreError, database
from ems.store.database import fetch_all
from ems.store.tables import metadata


def test_the_steps_make_what_the_classes_say(any_store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    assert any_store._database.read("test", differences) == []


def test_narrow_tables_are_strict_and_without_rowid(tmp_path: Path, store: Store) -> None:
    connection = sqlite3.connect(tmp_path / "site.db")
    tables = {name: (bool(wr), bool(strict)) for _, name, _, _, wr, strict in connection.execute("PRAGMA table_list")}
    connection.close()
    for name in ("reading", "hourly", "daily", "latest"):
        assert tables[name] == (True, True), name
    plain = set(tables) - {"alembic_version", "sqlite_schema", "sqlite_temp_schema"}
    assert all(tables[name][1] for name in plain)


def test_opening_again_changes_nothing(url: str) -> None:
    with Store.open(url) as store:
        store.save_decision(1, {"slot": 1})
    with Store.open(url) as store:
        assert store.last_decision() == {"slot": 1}


def test_a_migration_killed_half_way_leaves_the_old_form(tmp_path: Path, url: str) -> None:
    program = (
        "import os, sys; from alembic import op; from ems.store import Store\n"
        "make = op.create_index\n"
        "op.create_index = lambda *a, **k: os.kill(os.getpid(), 9)\n"
        "Store.open(sys.argv[1])"
    )
    died = subprocess.run([sys.executable, "-c", program, url], capture_output=True, timeout=60, check=False)
    assert died.returncode == -9
    connection = sqlite3.connect(tmp_path / "site.db")
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    connection.close()
    with Store.open(url) as store:
        assert store.count_readings() == 0


def test_a_long_migration_says_that_it_goes_on(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000) SELECT count(*) FROM c"
    make = op.create_index

    def slowly(*arguments: Any, **options: Any) -> None:
        make(*arguments, **options)
        op.execute(count)  # ten steps of SQLite's machine and more for each

    monkeypatch.setattr(op, "create_index", slowly)
    monkeypatch.setattr(database, "_STEPS_A_SIGN", 100_000)
    signs: list[None] = []
    with Store.open(url, working=lambda: signs.append(None)) as store:
        told = len(signs)
        assert told >= 10
        store._database.write("test", lambda c: fetch_all(c, count))
        assert len(signs) == told  # after it nobody is told


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path, url: str) -> None:
    Store.open(url).close()
    connection = sqlite3.connect(tmp_path / "site.db")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="9999, which this program does not know"):
        Store.open(url)
