"""What people ask of the control process, as files: the way stays open when the database and the planner are gone.

`Handover` says which buildings are given back to their own control ("rendre la main"); the control process looks at it
every moment, and one that starts respects it before its first write. `Requests` is an inbox for what can wait until
the database answers: an alarm seen, an alarm shelved.

Every file is written whole, synced, and then renamed into its place.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ems.slots import as_utc

DISTRICT = "*"  # in a handover: every building


class RequestError(ValueError):
    """A file of requests holds something else."""


@dataclass(frozen=True)
class Given:
    """Control of a building (or of `DISTRICT`) is with its devices: since when, by whom, why."""

    by: str
    at: datetime
    reason: str = ""


class Handover:
    """Which buildings are under their own control because a person said so."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "handover.json"
        self.followed = folder / "handover-followed.json"  # the buildings that the control process has given back

    def given(self) -> dict[str, Given]:
        """By building, or `DISTRICT`. Raises RequestError for a file that says something else."""
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
            return {
                name: Given(entry["by"], datetime.fromisoformat(entry["at"]), entry["reason"])
                for name, entry in content.items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RequestError(
                f"{self.file}: no list of buildings given back ({error}); nothing is written to any device until it is"
                " removed or put right"
            ) from error

    def give(self, building: str, by: str, now: datetime, reason: str = "") -> None:
        """Give a building (or `DISTRICT`) back to its own control, until `take`."""
        entry = {"by": by, "at": as_utc(now).isoformat(), "reason": reason}
        self._change(lambda content: content | {building: entry})

    def take(self, building: str) -> bool:
        """Take control of it again. False: it was not given back."""
        known = building in self.given()
        self._change(lambda content: {name: entry for name, entry in content.items() if name != building})
        return known

    def _change(self, change: Any) -> None:
        with locked(self.file.with_suffix(".lock")):
            try:
                self.given()
                content = json.loads(self.file.read_text(encoding="utf-8"))
            except (FileNotFoundError, RequestError):
                content = {}
            write_whole(self.file, json.dumps(change(content), ensure_ascii=False, indent=1))


@dataclass(frozen=True)
class Request:
    """`seen` or `shelve` of an alarm by its number; `until` for a shelf."""

    do: Literal["seen", "shelve"]
    alarm: int
    by: str
    at: datetime
    until: datetime | None = None


class Requests:
    """The inbox of the control process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "requests"

    def ask(self, request: Request) -> None:
        """Hand a request in. It is done within a minute while the control process runs, else when it starts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "do": request.do,
            "alarm": request.alarm,
            "by": request.by,
            "at": as_utc(request.at).isoformat(),
            "until": None if request.until is None else as_utc(request.until).isoformat(),
        }
        name = f"{as_utc(request.at):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}.json"
        write_whole(self.folder / name, json.dumps(content, ensure_ascii=False))

    def waiting(self) -> dict[Path, Request | RequestError]:
        """What was handed in and not done, oldest first."""
        found: dict[Path, Request | RequestError] = {}
        for path in sorted(self.folder.glob("*.json")):
            try:
                found[path] = _read(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, KeyError, TypeError) as error:
                found[path] = RequestError(f"{path.name} is no request ({error})")
        return found

    def done(self, path: Path) -> None:
        path.unlink(missing_ok=True)


def _read(content: Mapping[str, Any]) -> Request:
    if content["do"] not in ("seen", "shelve"):
        raise ValueError(f"{content['do']!r} is neither seen nor shelve")
    until = content["until"]
    return Request(
        do=content["do"],
        alarm=int(content["alarm"]),
        by=str(content["by"]),
        at=as_utc(datetime.fromisoformat(content["at"])),
        until=None if until is None else as_utc(datetime.fromisoformat(until)),
    )


def write_whole(path: Path, text: str) -> None:
    """Write a file so that after a power cut it is the old one or the new one, never half of one."""
    torn = path.with_name(f".{path.name}.{os.getpid()}")
    with torn.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    torn.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Two people at once: one after the other. `path` is a file of its own, beside what is changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
