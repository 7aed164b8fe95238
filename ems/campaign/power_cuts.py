"""Power cuts: every write and sync of a real process, recorded by strace, cut at many points and opened again.

What a disk may hold after a cut: everything up to the last sync of each file, and of what was written later any part,
cut at blocks of 512 bytes. Each such state is laid out in a folder of its own, opened by the program, and asked for
every reading that had been acknowledged before the cut.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ems.campaign.kills import quick_folder
from ems.points import Quality
from ems.store import Store, StoreBusy, StoreError

AT = 1_767_225_600  # 2026-01-01 00:00 UTC
SECTOR = 512
ACKNOWLEDGED = "acknowledged"
FOLDER = "site"
_CALL = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+=\s+(-?\d+)")
_TRACED = "openat,close,lseek,write,pwrite64,fsync,fdatasync,ftruncate,unlink,unlinkat,rename"


class NoStraceError(RuntimeError):
    """strace is not on this machine."""


@dataclass
class Cut:
    """The figures of the campaign."""

    points: int = 0
    operations: int = 0
    acknowledged: int = 0
    lost: int = 0
    corrupt: int = 0
    said: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {k: v for k, v in vars(self).items() if k != "said"}

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.corrupt)


@dataclass(frozen=True)
class Operation:
    """One thing the process did to a file: write at an offset, truncate, sync, unlink; or it acknowledged readings."""

    what: str
    file: str
    offset: int = 0
    data: bytes = b""


def cut_power(points: int, seed: int = 1, ticks: int = 24) -> Cut:
    """`points` cuts in the record of one process. Raises NoStraceError without strace."""
    if shutil.which("strace") is None:
        raise NoStraceError("power cuts are replayed from what strace records; install it: apt-get install strace")
    result = Cut()
    with tempfile.TemporaryDirectory(prefix="ems-power-", dir=quick_folder()) as name:
        folder = Path(name)
        operations = list(record(folder, ticks))
        result.operations = len(operations)
        result.acknowledged = sum(1 for o in operations if o.what == ACKNOWLEDGED)
        chance = random.Random(seed)
        for number in range(points):
            cut = chance.randrange(1, len(operations) + 1)
            _check(operations[:cut], folder / f"cut-{number}", chance, result)
            shutil.rmtree(folder / f"cut-{number}")
    return result


def work(folder: Path, ticks: int) -> None:
    """What the recorded process does: a site's store for some quarter-hours, held by somebody else now and then.

    After each acknowledgement a line is written to a file, so that the record knows what was promised when.
    """
    other = None
    with (folder / ACKNOWLEDGED).open("wb", buffering=0) as promised:
        store = Store.open(f"sqlite:///{folder / 'site.db'}", busy_timeout_s=0.0, attempts=1)
        for tick in range(ticks):
            if tick % 8 == 4:
                other = sqlite3.connect(folder / "site.db", isolation_level=None)
                other.execute("BEGIN IMMEDIATE")
            if tick % 8 == 6 and other is not None:
                other.close()
                other = None
            rows = [(f"a/meter-{i}/power_kw", AT + 900 * tick, float(tick), Quality.GOOD) for i in range(5)]
            try:
                store.save_readings(rows)
                store.save_decision(tick, {"slot": tick})
            except StoreBusy:
                pass  # in the spool: acknowledged all the same
            promised.write(json.dumps(tick).encode() + b"\n")
        store.close()


def record(folder: Path, ticks: int) -> Iterator[Operation]:
    """Runs `work` under strace and reads what it did."""
    site, log = folder / FOLDER, folder / "strace.log"
    site.mkdir()
    program = (
        "import sys; from pathlib import Path; from ems.campaign.power_cuts import work;"
        " work(Path(sys.argv[1]), int(sys.argv[2]))"
    )
    command = ["strace", "-f", "-xx", "-s", "10000000", "-e", f"trace={_TRACED}", "-o", str(log)]
    subprocess.run([*command, sys.executable, "-c", program, str(site), str(ticks)], check=True, timeout=300)
    files: dict[int, str] = {}
    ends: dict[int, int] = {}
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = _CALL.match(line)
            if match is None or int(match[3]) < 0:
                continue
            yield from _read(match[1], match[2], int(match[3]), files, ends, str(site))


def _read(
    call: str, arguments: str, answer: int, files: dict[int, str], ends: dict[int, int], site: str
) -> Iterator[Operation]:
    """One line of the record. `files` are the open files of the site by number, `ends` where plain writes stand."""
    if call == "openat":
        path = _bytes(arguments.split('"')[1]).decode()
        if path.startswith(site) and not path.endswith(("-shm", ".lock")) and "O_DIRECTORY" not in arguments:
            files[answer], ends[answer] = Path(path).name, 0
            if "O_TRUNC" in arguments:
                yield Operation("truncate", files[answer], 0)
        else:
            files.pop(answer, None)
        return
    if call in ("unlink", "unlinkat"):
        path = _bytes(arguments.split('"')[1]).decode()
        if path.startswith(site):
            yield Operation("unlink", Path(path).name)
        return
    number = int(arguments.split(",")[0])
    name = files.get(number)
    if call == "close":
        files.pop(number, None)
    elif name is None:
        return
    elif call == "lseek":
        ends[number] = answer
    elif call in ("fsync", "fdatasync"):
        yield Operation("sync", name)
    elif call == "ftruncate":
        yield Operation("truncate", name, int(arguments.split(",")[1]))
    else:
        data = _bytes(arguments.split('"')[1])
        if name == ACKNOWLEDGED:
            yield Operation(ACKNOWLEDGED, name, data=data)
            return
        offset = int(arguments.rsplit(",", 1)[1]) if call == "pwrite64" else ends[number]
        ends[number] = offset + len(data)
        yield Operation("write", name, offset, data)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _check(operations: list[Operation], folder: Path, chance: random.Random, result: Cut) -> None:
    """One cut: what the disk may hold, opened again, and asked for what was promised."""
    result.points += 1
    promised = [json.loads(o.data) for o in operations if o.what == ACKNOWLEDGED]
    folder.mkdir()
    for name, content in disk_after(operations, chance).items():
        (folder / name).write_bytes(content)
    try:
        with Store.open(f"sqlite:///{folder / 'site.db'}") as store:
            store.save_readings([])  # what waits in the spool arrives
        with sqlite3.connect(folder / "site.db") as database:
            [verdict] = database.execute("PRAGMA integrity_check").fetchone()
            found = {at for (at,) in database.execute("SELECT at FROM reading GROUP BY at HAVING count(*) = 5")}
        database.close()
    except (StoreError, sqlite3.Error) as error:
        result.corrupt += 1
        result.said.append(f"cut after {len(operations)}: {error}")
        return
    if verdict != "ok":
        result.corrupt += 1
        result.said.append(f"cut after {len(operations)}: {verdict}")
    missing = [tick for tick in promised if AT + 900 * tick not in found]
    result.lost += len(missing)
    if missing:
        result.said.append(f"cut after {len(operations)}: quarter-hours {missing} of {len(promised)} are lost")


def disk_after(operations: list[Operation], chance: random.Random) -> dict[str, bytes]:
    """A state that the disk may be in: all that was synced, and of what came later a random part, block by block."""
    durable: dict[str, bytearray] = {}
    pending: dict[str, list[Operation]] = {}
    for operation in operations:
        name = operation.file
        match operation.what:
            case "write" | "truncate" | "unlink":
                pending.setdefault(name, []).append(operation)
            case "sync" if name == FOLDER:  # which files there are is durable now
                for gone in [n for n, waiting in pending.items() if any(o.what == "unlink" for o in waiting)]:
                    for waiting in pending.pop(gone):
                        _apply(durable, waiting)
            case "sync":
                for waiting in pending.pop(name, []):
                    _apply(durable, waiting)
    for waiting_ones in pending.values():
        for waiting in waiting_ones:
            if waiting.what == "write":
                for part in _blocks(waiting):
                    if chance.random() < 0.5:
                        _apply(durable, part)
            elif waiting.what == "unlink":
                if chance.random() < 0.5:
                    _apply(durable, waiting)
            elif chance.random() < 0.5:
                _apply(durable, waiting)
    return {name: bytes(content) for name, content in durable.items()}


def _blocks(write: Operation) -> Iterator[Operation]:
    start = 0
    while start < len(write.data):
        end = min(start + SECTOR - (write.offset + start) % SECTOR, len(write.data))
        yield Operation("write", write.file, write.offset + start, write.data[start:end])
        start = end


def _apply(files: dict[str, bytearray], operation: Operation) -> None:
    if operation.what == "unlink":
        files.pop(operation.file, None)
        return
    content = files.setdefault(operation.file, bytearray())
    if operation.what == "truncate":
        if operation.offset < len(content):
            del content[operation.offset :]
        return
    end = operation.offset + len(operation.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[operation.offset : end] = operation.data
