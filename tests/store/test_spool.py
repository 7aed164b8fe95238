"""The spool: what was kept is kept over a kill and a torn end, and drained in order, once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.points import Quality
from ems.store import Concern, People, Store, StoreBusy, StoreError
from ems.store.database import fetch_all
from ems.store.spool import Row, Spool

AT = 1_767_225_600  # 2026-01-01 00:00 UTC
POWER = "a/meter/power_kw"


def row(slot: int, value: float | None = 1.0) -> Row:
    return (POWER, AT + 900 * slot, value, Quality.GOOD if value is not None else Quality.MISSING)


def test_what_was_appended_is_read_in_order_by_the_next_process(tmp_path: Path) -> None:
    Spool(tmp_path / "s").append([row(0), row(1, None)])
    again = Spool(tmp_path / "s")
    again.append([row(2)])
    assert list(Spool(tmp_path / "s").frames()) == [[row(0), row(1, None)], [row(2)]]
    assert again.rows == 3
    again.clear()
    assert Spool(tmp_path / "s").rows == 0


@given(cut=st.integers(0, 400), flipped=st.integers(0, 400))
def test_a_torn_end_costs_only_what_was_not_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flipped: int
) -> None:
    path = tmp_path_factory.mktemp("spool") / "s"
    spool = Spool(path)
    spool.append([row(0)])
    whole = path.stat().st_size
    spool.append([row(1), row(2)])
    data = bytearray(path.read_bytes()[: whole + cut])
    if whole + flipped < len(data):
        data[whole + flipped] ^= 0x10
    path.write_bytes(data)
    found = Spool(path)
    assert next(found.frames()) == [row(0)]
    found.append([row(3)])  # takes the place of the torn one
    assert list(Spool(path).frames())[-1] == [row(3)]


def hold(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_readings_of_a_held_database_survive_a_kill_and_arrive(tmp_path: Path, url: str) -> None:
    with Store.open(url, busy_timeout_s=0.01, attempts=1) as store:
        store.save_readings([row(0)])
        other = hold(tmp_path / "site.db")
        for slot in (1, 2):
            with pytest.raises(StoreBusy):
                store.save_readings([row(slot)])
        assert store.backlog == 2
    other.close()
    with Store.open(url) as store:  # the process after the kill
        assert store.backlog == 2
        assert store.save_readings([row(3)]) == 3
        assert store.backlog == 0
        assert store.count_readings() == 4
    assert not (tmp_path / "site.db.spool").exists()


def test_a_drain_that_stops_half_way_loses_nothing(tmp_path: Path, url: str) -> None:
    with Store.open(url, busy_timeout_s=0.01, attempts=1) as store:
        store.save_readings([row(0)])
        other = hold(tmp_path / "site.db")
        for slot in (1, 2, 3):  # each delivery tries to drain what waits, and cannot
            with pytest.raises(StoreBusy):
                store.save_readings([row(slot)])
        other.close()
        assert list(Spool(tmp_path / "site.db.spool").frames()) == [[row(1)], [row(2)], [row(3)]]
        assert store.save_readings([row(4)]) == 4


def test_a_full_disk_is_survived_in_memory_and_said(tmp_path: Path, url: str) -> None:
    said: list[Concern] = []
    with Store.open(url, busy_timeout_s=0.01, attempts=1, report=said.append) as store:
        store.save_readings([row(0)])
        other = hold(tmp_path / "site.db")
        spool = tmp_path / "site.db.spool"
        spool.symlink_to("/dev/full")
        with pytest.raises(StoreBusy):
            store.save_readings([row(1)])
        assert "spool-failed" in {c.name for c in said}
        assert store.backlog == 1
        other.close()
        spool.unlink()
        assert store.save_readings([]) == 1


def test_what_waits_in_memory_goes_to_the_disk_as_soon_as_that_takes_it(tmp_path: Path, url: str) -> None:
    """The database may be held for hours yet, and a kill takes what is in memory alone."""
    with Store.open(url, busy_timeout_s=0.01, attempts=1) as store:
        store.save_readings([row(0)])
        other, spool = hold(tmp_path / "site.db"), tmp_path / "site.db.spool"
        spool.symlink_to("/dev/full")
        with pytest.raises(StoreBusy):
            store.save_readings([row(1)])
        assert not store.spools
        spool.unlink()
        with pytest.raises(StoreBusy):
            store.save_readings([row(2)])
        assert store.spools
        assert [r for frame in Spool(spool).frames() for r in frame] == [row(1), row(2)]
        other.close()
        assert store.save_readings([row(3)]) == 3


def test_readings_of_storage_that_vanished_wait_in_memory(tmp_path: Path) -> None:
    """After an I/O error the file is opened anew, and there is none; nor is there a place for the spool."""
    disk, away = tmp_path / "disk", tmp_path / "away"
    url = f"sqlite:///{disk / 'site.db'}"
    with Store.open(url, busy_timeout_s=0.01, attempts=1) as store:
        store.save_readings([row(0)])
        store._database.close()
        disk.rename(away)
        with pytest.raises(StoreBusy):
            store.save_readings([row(1)])
        assert store.backlog == 1
        with pytest.raises(StoreBusy):  # it was there: that it is gone is a state, as for a write
            store.count_readings()
        away.rename(disk)
        assert store.save_readings([row(2)]) == 2
        assert store.count_readings() == 3


@pytest.mark.parametrize("in_its_place", ["nothing", "an empty database", "an older site"])
def test_an_empty_mount_point_is_not_the_disk(tmp_path: Path, in_its_place: str) -> None:
    """Where a disk goes away its mount point shows: no database is made there, and no other one is written to."""
    disk, away, said = tmp_path / "disk", tmp_path / "away", list[Concern]()
    url = f"sqlite:///{disk / 'site.db'}"
    with Store.open(url, busy_timeout_s=0.01, attempts=1, report=said.append) as store:
        store.save_readings([row(0)])
        other = hold(disk / "site.db")
        with pytest.raises(StoreBusy):
            store.save_readings([row(1)])  # waits in the spool on that disk
        other.close()
        store._database.close()  # as after an I/O error
        disk.rename(away)
        disk.mkdir()
        if in_its_place == "an empty database":
            sqlite3.connect(disk / "site.db").close()
            (disk / "site.db").touch()
        elif in_its_place == "an older site":
            Store.open(url).close()
        there = sorted(path.name for path in disk.iterdir())
        for slot in (2, 3):
            with pytest.raises(StoreBusy):
                store.save_readings([row(slot)])
        with pytest.raises(StoreBusy):
            store.save_decision(1, {})
        with pytest.raises(StoreBusy):
            store.count_readings()
        assert store.backlog == 3
        if in_its_place == "nothing":
            assert sorted(path.name for path in disk.iterdir()) == there  # neither a database nor a spool
            assert "spool-failed" in {c.name for c in said}
        disk.rename(tmp_path / "hidden")
        away.rename(disk)
        assert store.save_readings([row(4)]) == 4
        assert (store.backlog, store.count_readings()) == (0, 5)


def test_a_file_that_was_moved_away_takes_no_readings(tmp_path: Path, url: str) -> None:
    with Store.open(url, attempts=1) as store:
        store.save_readings([row(0)])
        (tmp_path / "site.db").rename(tmp_path / "moved.db")  # its connections are open still
        with pytest.raises(StoreBusy, match="there is no"):
            store.save_readings([row(1)])
        (tmp_path / "moved.db").rename(tmp_path / "site.db")
        assert store.save_readings([]) == 1


def test_what_is_expected_is_not_made(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreBusy, match="disk"):
        Store.open(url, create=False)
    with pytest.raises(StoreBusy, match="disk"):
        People.open(f"sqlite:///{tmp_path / 'people.db'}", create=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "site.db").touch()
    with pytest.raises(StoreBusy, match="disk"):
        Store.open(url, create=False)
    Store.open(url).close()
    Store.open(url, create=False).close()


def test_a_spool_whose_folder_went_with_the_last_row_ends_nothing(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(url, busy_timeout_s=0.01, attempts=1) as store:
        other = hold(tmp_path / "site.db")
        with pytest.raises(StoreBusy):
            store.save_readings([row(0)])
        other.close()

        def is_gone(folder: Path) -> None:
            raise FileNotFoundError(2, "No such file or directory", str(folder))

        monkeypatch.setattr("ems.store.spool._sync_folder", is_gone)
        assert store.save_readings([row(1)]) == 2
        assert store.backlog == 0


def test_a_spool_that_cannot_be_read_waits_and_holds_nobody_up(tmp_path: Path, url: str) -> None:
    said: list[Concern] = []
    spool, away = tmp_path / "site.db.spool", tmp_path / "away"
    with Store.open(url, busy_timeout_s=0.01, attempts=1, report=said.append) as store:
        other = hold(tmp_path / "site.db")
        with pytest.raises(StoreBusy):
            store.save_readings([row(0)])
        other.close()
        spool.rename(away)
        spool.mkdir()  # reading it is an error
        assert store.save_readings([row(1)]) == 1
        assert (store.backlog, said[-1].name) == (1, "spool-failed")
        spool.rmdir()
        away.rename(spool)
        assert store.save_readings([row(2)]) == 2
        assert store.backlog == 0


def test_a_spool_that_somebody_removed_is_said_once(tmp_path: Path, url: str) -> None:
    said: list[Concern] = []
    with Store.open(url, busy_timeout_s=0.01, attempts=1, report=said.append) as store:
        other = hold(tmp_path / "site.db")
        with pytest.raises(StoreBusy):
            store.save_readings([row(0)])
        other.close()
        (tmp_path / "site.db.spool").unlink()
        assert store.save_readings([row(1)]) == 1
        assert store.save_readings([row(2)]) == 1
    assert [c.name for c in said].count("readings-lost") == 1


def test_zeros_at_the_end_of_a_spool_are_no_frame(tmp_path: Path) -> None:
    Spool(tmp_path / "s").append([row(0)])
    with (tmp_path / "s").open("ab") as file:
        file.write(bytes(64))  # what some file systems leave after a power cut
    assert list(Spool(tmp_path / "s").frames()) == [[row(0)]]


def test_a_site_that_never_ran_has_no_store_yet(tmp_path: Path) -> None:
    with Store.read_only(f"sqlite:///{tmp_path / 'site.db'}") as store, pytest.raises(StoreError, match="no store at"):
        store.latest()


def test_a_full_database_keeps_readings_waiting(tmp_path: Path, url: str) -> None:
    with Store.open(url, attempts=1) as store:
        store.save_readings([row(0)])
        [(pages,)] = store._database.write("test", lambda c: fetch_all(c, "PRAGMA page_count"))
        store._database.write("test", lambda c: fetch_all(c, f"PRAGMA max_page_count={pages}"))
        rows = [(f"a/meter-{i}/power_kw", AT, 1.0, Quality.GOOD) for i in range(2000)]
        with pytest.raises(StoreBusy, match="full"):
            store.save_readings(rows)
        assert store.backlog == 2000
        store._database.write("test", lambda c: fetch_all(c, "PRAGMA max_page_count=1000000"))
        assert store.save_readings([]) == 2000
