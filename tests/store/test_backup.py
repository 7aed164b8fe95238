"""Seals, back-ups, and the order in which things stop on a full disk."""

from __future__ import annotations

import errno
import json
import math
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.__main__ import main
from ems.points import Quality
from ems.slots import Slots
from ems.store import Store, StoreError, backup, tombstones
from ems.store.backup import BackupError, back_up, last_backup, prune, read_backup, restore, to_keep
from ems.store.people import People
from ems.store.requests import Handover
from ems.store.space import BALLAST_BYTES, LOW_BYTES, SCARCE_BYTES, Level, Space
from ems.store.spool import Spool

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


def test_a_back_up_that_fails_leaves_nothing_that_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, into = tmp_path / "site", tmp_path / "back-ups"
    Store.open(f"sqlite:///{site / 'site.db'}").close()
    (into / ".20260101T000000Z").mkdir(parents=True)  # the last one was killed

    def fill_the_disk(file: Path) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    with monkeypatch.context() as patched:
        patched.setattr("ems.store.backup._digest", fill_the_disk)
        with pytest.raises(OSError, match="No space"):
            back_up(site, into, NOW)
    assert [path.name for path in into.iterdir()] == [".lock"]
    assert back_up(site, into, NOW).folder.is_dir()


def laid(into: Path, site: Path, moments: list[datetime]) -> None:
    """Back-ups as they lie in a folder, without their databases."""
    for at in moments:
        folder = into / f"{at:%Y%m%dT%H%M%SZ}"
        folder.mkdir(parents=True)
        manifest = {"made_at": at.isoformat(), "site": str(site.resolve()), "files": {}}
        (folder / "manifest.json").write_text(json.dumps(manifest))


def test_old_back_ups_go_and_48_hours_30_days_and_12_months_stay(tmp_path: Path) -> None:
    site, into = tmp_path / "site", tmp_path / "back-ups"
    laid(into, site, [NOW - timedelta(hours=6 * k) for k in range(4 * 400)])
    gone = prune(into, site)
    left = sorted(datetime.strptime(p.name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for p in into.glob("2*Z"))
    # By hand: NOW is 31 March, noon. 9 of two days; 27 more days, back to 2 March; the ends of April to February.
    assert [NOW - at for at in left[-9:]] == [timedelta(hours=6 * k) for k in range(8, -1, -1)]
    days = [at for at in left if at.hour == 18]
    assert len(left) == 9 + 27 + 11 and len(gone) == 1600 - len(left)
    assert [f"{at:%m-%d}" for at in days[:12]] == [
        "04-30", "05-31", "06-30", "07-31", "08-31", "09-30", "10-31", "11-30", "12-31", "01-31", "02-28", "03-02",
    ]  # fmt: skip
    assert prune(into, site) == []


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60))
def test_the_newest_stays_and_what_is_kept_is_kept_again(hours: list[int]) -> None:
    moments = [NOW + timedelta(hours=k) for k in hours]
    left = to_keep(moments)
    assert max(moments) in left and left <= set(moments)
    assert to_keep(left) == left


def test_only_back_ups_of_this_site_are_removed(tmp_path: Path) -> None:
    site, into = tmp_path / "site", tmp_path / "back-ups"
    old = [NOW - timedelta(days=3, hours=k) for k in range(3)]
    laid(into, tmp_path / "another site", old[1:2])
    laid(into, site, [NOW, old[0], old[2]])
    others = ["20250101T000000Z", "20251301T000000Z", "holidays", ".keepTheseZ"]  # one has no manifest
    for name in others:
        (into / name).mkdir()
    (into / "erased.json").write_text("[]")
    moved = into / "20240101T000000Z"
    (into / "holidays" / "manifest.json").write_text((into / f"{NOW:%Y%m%dT%H%M%SZ}" / "manifest.json").read_text())
    moved.symlink_to(into / "holidays")
    assert [p.name for p in prune(into, site)] == [f"{old[2]:%Y%m%dT%H%M%SZ}"]
    assert {p.name for p in into.iterdir()} == {
        *others, ".lock", "erased.json", moved.name, *(f"{at:%Y%m%dT%H%M%SZ}" for at in (NOW, *old[:2])),
    }  # fmt: skip


def test_a_back_up_that_would_fill_the_disk_is_refused_and_the_erased_are_told(tmp_path: Path) -> None:
    site, into = tmp_path / "site", tmp_path / "back-ups"
    Store.open(f"sqlite:///{site / 'site.db'}").close()
    tombstones.add(site, {("horizon/flat-0101", NOW)})
    size = (site / "site.db").stat().st_size
    with pytest.raises(BackupError, match=r"is not backed up into .*must stay so; make room") as refused:
        back_up(site, into, NOW, free_bytes=LOW_BYTES + size - 1)
    assert str(site) in str(refused.value) and str(into) in str(refused.value)
    assert tombstones.known(into) == {("horizon/flat-0101", NOW)}
    assert [p for p in into.iterdir() if p.is_dir()] == []
    assert back_up(site, into, NOW, free_bytes=LOW_BYTES + 2 * size).folder.is_dir()


def test_the_command_backs_up_and_prunes_and_fails_aloud_without_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, into = tmp_path / "site", tmp_path / "back-ups"
    Store.open(f"sqlite:///{site / 'site.db'}").close()
    laid(into, site, [NOW, NOW + timedelta(hours=1)])  # long ago: a test's day has no other of today
    monkeypatch.setattr("sys.argv", ["ems", "backup", str(into), "--folder", str(site)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    left = sorted(into.glob("2*Z"))
    assert len(left) == 2 and left[0].name == f"{NOW + timedelta(hours=1):%Y%m%dT%H%M%SZ}"
    monkeypatch.setattr("ems.store.backup.LOW_BYTES", 1 << 60)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert sorted(into.glob("2*Z")) == left


def test_two_back_ups_into_one_folder_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second would take the folder of the first for what a killed one left."""
    site, into = tmp_path / "site", tmp_path / "back-ups"
    Store.open(f"sqlite:///{site / 'site.db'}").close()
    laid(into, site, [NOW - timedelta(days=900)])
    at_once = 0

    def meanwhile(path: Path) -> str:
        nonlocal at_once
        for begin in (lambda: back_up(site, into, NOW + timedelta(minutes=1)), lambda: prune(into, site)):
            with pytest.raises(BackupError, match="is being made"):
                begin()
            at_once += 1
        return digest(path)

    digest = backup._digest
    with monkeypatch.context() as patched:
        patched.setattr(backup, "_digest", meanwhile)
        made = back_up(site, into, NOW)
    assert at_once == 2
    assert read_backup(made.folder).made_at == NOW
    assert back_up(site, into, NOW + timedelta(minutes=1)).folder.is_dir()


def test_a_disk_that_fills_while_a_database_is_copied_is_one_sentence(tmp_path: Path) -> None:
    site, into = tmp_path / "site", tmp_path / "back-ups"
    with Store.open(f"sqlite:///{site / 'site.db'}") as store:
        fill(store, days=30)

    def little() -> None:  # no file of this process becomes longer
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    run = [sys.executable, "-m", "ems", "backup", str(into), "--folder", str(site)]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False, preexec_fn=little)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"{site / 'site.db'} is not backed up into {into}: ")
    assert "Traceback" not in ended.stderr and ended.stderr.count("\n") == 1
    assert [path for path in into.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_is_restored_by_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    site, url = tmp_path / "site", f"sqlite:///{tmp_path / 'site' / 'site.db'}"
    with Store.open(url) as store:
        fill(store)
        made = back_up(site, tmp_path / "back-ups", NOW)
        fill(store, days=4)

    def refuse(*_: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.link", refuse)
    kept = restore(made, site, NOW)
    assert kept is not None
    with Store.open(url) as store, Store.open(f"sqlite:///{kept / 'site.db'}") as before:
        assert (store.count_readings(), before.count_readings()) == (3 * 96, 4 * 96)


def test_a_site_knows_when_it_was_last_backed_up(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    assert last_backup(site) is None
    with Store.open(f"sqlite:///{site}/site.db"):
        made = back_up(site, tmp_path / "backups", NOW)
    assert last_backup(site) == (NOW, str(made.folder))
    (site / "backed-up.json").write_text("[]")
    assert last_backup(site) is None


@pytest.mark.parametrize("call", ["shutil.copy2", "os.link", "pathlib.Path.replace"])
def test_a_restore_that_fails_half_way_leaves_the_site_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    site, url = tmp_path / "site", f"sqlite:///{tmp_path / 'site' / 'site.db'}"
    site.mkdir()
    with Store.open(url) as store, People.open(f"sqlite:///{site / 'people.db'}"):
        fill(store)
        made = back_up(site, tmp_path / "back-ups", NOW)
        fill(store, days=4)
    Spool(site / "site.db.spool").append([("a/meter/power_kw", int(NOW.timestamp()), 3.0, Quality.GOOD)])
    Handover(site).give("a", "the caretaker", NOW)
    before = {path.name: path.read_bytes() for path in site.iterdir()}
    doers: dict[str, Callable[..., object]] = {
        "shutil.copy2": shutil.copy2, "os.link": os.link, "pathlib.Path.replace": Path.replace
    }  # fmt: skip
    does, calls = doers[call], 0

    def fill_the_disk_at_the_second(*arguments: Path) -> object:
        nonlocal calls
        calls += 1
        assert {p.name for p in site.iterdir()} >= {"site.db", "people.db", "handover.json"}  # at every moment
        if calls == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return does(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(call, fill_the_disk_at_the_second)
        with pytest.raises(OSError, match="No space"):
            restore(made, site, NOW)
    assert {name: (site / name).read_bytes() for name in before} == before
    assert [path for path in site.iterdir() if path.is_dir()] == []
    restore(made, site, NOW)
    with Store.open(url) as store:
        assert store.count_readings() == 3 * 96 + 1


def test_a_back_up_whose_readings_are_damaged_takes_no_place(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    with Store.open(f"sqlite:///{site / 'site.db'}") as store:
        fill(store)
        store.seal_days(NOW)
    with sqlite3.connect(site / "site.db") as database:
        database.execute("UPDATE reading SET value = 2 WHERE at = ?", (int(CHANGE.timestamp()) - 900,))
    database.close()
    made = back_up(site, tmp_path / "back-ups", NOW)
    (site / "site.db").unlink()
    Store.open(f"sqlite:///{site / 'site.db'}").close()
    with pytest.raises(BackupError, match="use another back-up"):
        restore(made, site, NOW)
    with Store.open(f"sqlite:///{site / 'site.db'}") as store:
        assert store.count_readings() == 0


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


def test_who_was_erased_after_the_back_up_stays_erased(tmp_path: Path) -> None:
    site, home = tmp_path / "site", "horizon/flat-0101"
    site.mkdir()
    people_url, site_url = f"sqlite:///{site / 'people.db'}", f"sqlite:///{site / 'site.db'}"
    at = int(NOW.timestamp()) - 3600
    with People.open(people_url) as people, Store.open(site_url) as store:
        for name, flat in (("Mme Blanc", home), ("M. Noir", "horizon/flat-0102")):
            people.invite(name, "resident", flat, NOW - timedelta(days=9))
            store.save_readings([(f"{flat}/energy_kwh", at, 7.0, Quality.GOOD)])
        made = back_up(site, tmp_path / "backups", NOW - timedelta(hours=1))
        [blanc] = [p.account for p in people.people(NOW) if p.account.name == "Mme Blanc"]
        people.open_session(blanc, NOW)
        people.erase(blanc, NOW)
    restore(read_backup(made.folder), site, NOW + timedelta(hours=1))
    with People.open(people_url) as people, Store.open(site_url) as store:
        assert [p.account.name for p in people.people(NOW)] == ["M. Noir"]
        assert people.erasures() == {(home, NOW)}
        assert people.trail.broken() is None  # the chain of the audit still holds
        latest = Slots(datetime.fromtimestamp(at, tz=UTC), 1)
        found = store.history([f"{home}/energy_kwh", "horizon/flat-0102/energy_kwh"], latest).values
        assert math.isnan(found[f"{home}/energy_kwh"][0]) and found["horizon/flat-0102/energy_kwh"][0] == 7.0
    with sqlite3.connect(site / "people.db") as database:
        names = {name for (name,) in database.execute("SELECT name FROM pseudonym")}
    database.close()
    assert "Mme Blanc" not in names and home not in names  # the key of the pseudonym is gone
    assert "Blanc" not in (site / tombstones.FILE).read_text()


def test_a_new_machine_learns_from_beside_the_back_ups_who_was_erased(tmp_path: Path) -> None:
    old, new, backups, home = tmp_path / "old", tmp_path / "new", tmp_path / "backups", "horizon/flat-0101"
    old.mkdir()
    with People.open(f"sqlite:///{old / 'people.db'}") as people, Store.open(f"sqlite:///{old / 'site.db'}"):
        people.invite("Mme Blanc", "resident", home, NOW)
        first = back_up(old, backups, NOW)
        people.erase(people.people(NOW)[0].account, NOW + timedelta(minutes=5))
        back_up(old, backups, NOW + timedelta(hours=1))
    assert restore(read_backup(first.folder), new, NOW + timedelta(hours=2)) is None
    with People.open(f"sqlite:///{new / 'people.db'}") as people:
        assert people.people(NOW) == []
        people.invite("M. Neuf", "resident", home, NOW + timedelta(hours=3))
    again = back_up(new, backups, NOW + timedelta(hours=4))
    restore(read_backup(again.folder), new, NOW + timedelta(hours=5))
    with People.open(f"sqlite:///{new / 'people.db'}") as people:  # who moved in later is not who was erased
        assert [p.account.name for p in people.people(NOW)] == ["M. Neuf"]


def test_what_waited_and_who_took_control_outlive_a_restore(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    Store.open(f"sqlite:///{site / 'site.db'}").close()
    made = back_up(site, tmp_path / "backups", NOW)
    Spool(site / "site.db.spool").append([("a/meter/power_kw", int(NOW.timestamp()), 3.0, Quality.GOOD)])
    Handover(site).give("a", "the caretaker", NOW)
    restore(read_backup(made.folder), site, NOW + timedelta(hours=1))
    assert set(Handover(site).given()) == {"a"}
    with Store.open(f"sqlite:///{site / 'site.db'}") as store:
        assert store.count_readings() == 1


def test_a_list_of_the_erased_that_nobody_can_read_stops_a_restore(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    Store.open(f"sqlite:///{site / 'site.db'}").close()
    made = back_up(site, tmp_path / "backups", NOW)
    (site / tombstones.FILE).write_text("[{", encoding="utf-8")
    with pytest.raises(StoreError, match="it says who was erased"):
        restore(made, site, NOW)
    assert (site / "site.db").exists()
