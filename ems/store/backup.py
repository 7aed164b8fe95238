"""Back-up and restore of a site's folder: whole databases, checked when they are made and before they are used.

What the site itself knows better than any back-up stays: who was erased since, what waited in the spool, and whether a
person has given control back to the devices.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ems.slots import as_utc
from ems.store import tombstones
from ems.store.database import StoreError
from ems.store.people import People
from ems.store.requests import write_whole
from ems.store.space import LOW_BYTES
from ems.store.spool import Spool
from ems.store.store import Store, from_us

DATABASES = ("site.db", "people.db")
SPOOL, HANDOVER = "site.db.spool", "handover.json"
BESIDE = (SPOOL, HANDOVER)
MANIFEST = "manifest.json"
LAST = "backed-up.json"  # in the site's folder
KEEP_ALL = timedelta(hours=48)
KEEP_DAYS = 30
KEEP_MONTHS = 12
_NAME = "%Y%m%dT%H%M%SZ"


class BackupError(StoreError):
    """A back-up cannot be made, or is not what it was."""


@dataclass(frozen=True)
class Backup:
    """One back-up: a folder with databases, and the digest of each file."""

    folder: Path
    made_at: datetime
    digests: dict[str, str]


def back_up(site: Path, into: Path, now: datetime, free_bytes: int | None = None) -> Backup:
    """Copy the databases of a running or a stopped site, each of one instant, into a new folder below `into`.

    Raises BackupError when a copy is not sound, for a back-up that cannot be restored is none, and when it would leave
    little room on the disk of `into`, which is asked without `free_bytes`.
    """
    if not (site / "site.db").exists():
        raise BackupError(f"{site} holds no site.db; name the folder of a site")
    into.mkdir(parents=True, exist_ok=True)
    with _alone(into):
        return _back_up(site, into, now, free_bytes)


def _back_up(site: Path, into: Path, now: datetime, free_bytes: int | None) -> Backup:
    folder = into / as_utc(now).strftime(_NAME)
    torn = into / f".{folder.name}"
    for left in into.glob(".*T*Z"):  # of one that was killed, or found the disk full: it would stay so
        if _instant(left.name[1:]) is not None:
            shutil.rmtree(left, ignore_errors=True)
    _refuse_without_room(site, into, shutil.disk_usage(into).free if free_bytes is None else free_bytes)
    torn.mkdir()
    try:
        for name in DATABASES:
            if (site / name).exists():
                try:
                    _copy_database(site / name, torn / name)
                except sqlite3.Error as error:  # the disk is full, for one
                    raise BackupError(f"{site / name} is not backed up into {into}: {error}") from error
        for name in BESIDE:
            if (site / name).exists():
                shutil.copy2(site / name, torn / name)
                _sync(torn / name)
        digests = {path.name: _digest(path) for path in sorted(torn.iterdir())}
        manifest = {"made_at": as_utc(now).isoformat(), "site": str(site.resolve()), "files": digests}
        write_whole(torn / MANIFEST, json.dumps(manifest, indent=1))
    except BaseException:
        shutil.rmtree(torn, ignore_errors=True)
        raise
    tombstones.add(into, _erased(site))
    torn.rename(folder)
    _sync(into)  # before an older one goes
    with suppress(OSError):  # a site that cannot be written to is backed up all the same
        write_whole(site / LAST, json.dumps({"made_at": manifest["made_at"], "folder": str(folder)}))
    return Backup(folder, as_utc(now), digests)


def prune(into: Path, site: Path) -> list[Path]:
    """Remove the back-ups of a site that later ones stand for; call it after a new one is complete. Returns which.

    The erased beside them stay on their list: an older back-up that is kept holds them still.
    """
    with _alone(into):
        found = {made_at: path for path in into.iterdir() if (made_at := _made_of(path, site)) is not None}
        gone = []
        for made_at in sorted(found.keys() - to_keep(found)):
            path = found[made_at]
            torn = path.with_name(f".{path.name}")  # killed half-way it is no back-up any more: the next one removes it
            path.rename(torn)
            shutil.rmtree(torn)
            gone.append(path)
        return gone


@contextmanager
def _alone(into: Path) -> Iterator[None]:
    """One at a time in a folder of back-ups: what another is making looks like what a killed one left."""
    with (into / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupError(
                f"a back-up into {into} is being made already; begin this one when that has ended"
            ) from error
        yield


def to_keep(made: Iterable[datetime]) -> set[datetime]:
    """All of the KEEP_ALL before the newest, the last of each of KEEP_DAYS days and of KEEP_MONTHS months.

    Days and months (UTC) without a back-up do not count: neither a long rest nor a clock that runs ahead removes what
    nothing newer stands for. The newest is always among them.
    """
    in_order = sorted(made)
    days = {at.date(): at for at in in_order}  # the last of each
    months = {(at.year, at.month): at for at in in_order}
    recent = {at for at in in_order if at >= in_order[-1] - KEEP_ALL}
    return recent | set(list(days.values())[-KEEP_DAYS:]) | set(list(months.values())[-KEEP_MONTHS:])


def last_backup(site: Path) -> tuple[datetime, str] | None:
    """When a site was last backed up from here, and into which folder; None when that is not known."""
    try:
        found = json.loads((site / LAST).read_text(encoding="utf-8"))
        return datetime.fromisoformat(found["made_at"]), str(found["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_backup(folder: Path) -> Backup:
    """A back-up whose every file is what it was. Raises BackupError."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        made_at, digests = datetime.fromisoformat(manifest["made_at"]), dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{folder} is no back-up ({error}); give a folder that `ems backup` made") from error
    for name, digest in digests.items():
        path = folder / name
        if Path(name).name != name or not path.is_file() or _digest(path) != digest:
            raise BackupError(f"{path} is missing or is not what was backed up; use another back-up")
    return Backup(folder, made_at, digests)


def restore(backup: Backup, site: Path, now: datetime) -> Path | None:
    """Put a back-up in the place of a stopped site's files. Returns where the files before it are kept, if there were.

    Refuses while a control process holds the site. The back-up is copied beside the site's files, opened, brought to
    the newest form, its seals are checked and whoever was erased since is erased again; only then it takes their place.
    What fails before that, as a full disk does, leaves the site as it was.
    """
    site.mkdir(parents=True, exist_ok=True)
    with (site / "site.db.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupError(f"a control process runs in {site}; stop it before restoring") from error
        erased = _erased(site) | tombstones.known(backup.folder.parent)  # before anything is moved: it may not be read
        tombstones.add(site, erased)
        beside = site / ".restoring"
        shutil.rmtree(beside, ignore_errors=True)  # of a restore that was killed
        try:
            beside.mkdir()
            for name in backup.digests:
                shutil.copy2(backup.folder / name, beside / name)
            _make_ready(beside, Spool(site / SPOOL), erased)
            if (site / HANDOVER).exists():
                (beside / HANDOVER).unlink(missing_ok=True)
            for path in beside.iterdir():
                _sync(path)
            return _take_place(beside, site, site / f"before-restore-{as_utc(now):%Y%m%dT%H%M%SZ}")
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _make_ready(folder: Path, waiting: Spool, erased: set[tuple[str, datetime]]) -> None:
    """Bring restored databases to the newest form, with what waits in the site's spool and without the erased."""
    with Store.open(f"sqlite:///{folder / 'site.db'}") as store:
        store.save_readings([])  # what waited in the spool of the back-up, and then in the site's own
        for rows in waiting.frames():
            store.save_readings(rows)
        wrong = store.damaged_days()
        for home, until in sorted(erased):
            store.erase(home, until)
    if wrong:
        raise BackupError(f"the restored readings are damaged: {'; '.join(wrong.values())}; use another back-up")
    if (folder / "people.db").exists():
        with People.open(f"sqlite:///{folder / 'people.db'}") as people:
            for home, until in sorted(erased):
                people.erase_again(home, until)


def _take_place(new: Path, site: Path, aside: Path) -> Path | None:
    """Put files in the place of a site's own, which are kept in `aside` first: no database is ever missing.

    On an error the site's own stand where they stood.
    """
    names = [*(f"{d}{end}" for d in DATABASES for end in ("", "-wal", "-shm")), *BESIDE]
    present = [name for name in names if (site / name).exists()]
    arriving = sorted(path.name for path in new.iterdir())
    if present:
        aside.mkdir()
    try:
        for name in present:
            _keep(site / name, aside / name)
        if present:
            _sync(aside)
        for name in present:
            if name.endswith(("-wal", "-shm")):  # first: the log of the old database must not be read into the new one
                (site / name).unlink()
        for name in arriving:
            (new / name).replace(site / name)
        for name in {*present} - {*arriving, HANDOVER}:  # such as the spool, which was read into the new database
            (site / name).unlink(missing_ok=True)
        _sync(site)
    except BaseException:
        for name in {*arriving} - {*present}:
            (site / name).unlink(missing_ok=True)
        for path in aside.iterdir() if present else ():
            path.replace(site / path.name)
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return aside if present else None


def _keep(file: Path, aside: Path) -> None:
    """A second name for a file; where the file system knows no such thing, a copy."""
    try:
        os.link(file, aside)
    except OSError as error:
        if error.errno not in (
            errno.EPERM,
            errno.EOPNOTSUPP,
            errno.ENOSYS,
        ):  # FAT says the first, network folders others
            raise
        shutil.copy2(file, aside)
        _sync(aside)


def _refuse_without_room(site: Path, into: Path, free_bytes: int) -> None:
    """Raises BackupError when a copy of the site would leave less than LOW_BYTES of `free_bytes`."""
    names = [*(f"{database}{end}" for database in DATABASES for end in ("", "-wal")), *BESIDE]
    needed = sum((site / name).stat().st_size for name in names if (site / name).exists())
    if free_bytes - needed >= LOW_BYTES:
        return
    tombstones.add(into, _erased(site))  # few bytes, and what a restore of an older one must know
    raise BackupError(
        f"{site} is not backed up into {into}: it takes up to {needed / 1e6:.0f} MB, {free_bytes / 1e6:.0f} MB are "
        f"free, and {LOW_BYTES / 1e6:.0f} MB must stay so; make room on that disk, or name a folder on another one"
    )


def _instant(name: str) -> datetime | None:
    """When the back-up of this name was made; None for a name that we give to none."""
    if re.fullmatch(r"\d{8}T\d{6}Z", name) is None:
        return None
    try:
        return datetime.strptime(name, _NAME).replace(tzinfo=UTC)
    except ValueError:
        return None


def _made_of(path: Path, site: Path) -> datetime | None:
    """When this back-up of this site was made; None for whatever else may lie beside back-ups."""
    made_at = _instant(path.name)
    if made_at is None or path.is_symlink():
        return None
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        ours = manifest.get("site", str(site.resolve())) == str(site.resolve())  # the first ones did not tell
        same = datetime.fromisoformat(manifest["made_at"]).replace(microsecond=0) == made_at
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return made_at if ours and same else None


def _erased(site: Path) -> set[tuple[str, datetime]]:
    """Who the site knows to be erased: by its list, and by its people's database as far as that can be read."""
    erased = tombstones.known(site)
    if (site / "people.db").exists():
        try:
            with closing(sqlite3.connect(f"file:{site / 'people.db'}?mode=ro", uri=True, timeout=10)) as people:
                erased |= {(home, from_us(at)) for home, at in people.execute("SELECT home, at_us FROM erasure")}
        except sqlite3.DatabaseError:  # damaged, or older than erasures: the list has told what there is to tell
            return erased
    return erased


def _copy_database(source: Path, target: Path) -> None:
    """VACUUM INTO: one instant of the database, whoever writes meanwhile; then it is looked through."""
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=10)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    with closing(sqlite3.connect(target)) as copy:
        [verdict] = copy.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        raise BackupError(f"{source} cannot be backed up, it is damaged: {verdict}")
    _sync(target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
