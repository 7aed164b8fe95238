"""Courses that were run, a line each, so that a campaign of hours can be broken off and gone on with."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

import ems
from ems import defaults
from ems.campaign.course import START, Outcome, run_course

_OUTCOME = TypeAdapter(Outcome)


@dataclass(frozen=True)
class Asked:
    """One course that is to be run, by whichever process."""

    seed: int
    days: float
    real: bool
    full_size: bool

    def run(self, keep: tuple[int, ...] | None = None) -> Outcome:
        """The course; `keep`: with these of its troubles only."""
        buildings = defaults.folder("buildings") if self.full_size else None
        return run_course(self.seed, self.days, real=self.real, keep=keep, buildings=buildings)


class RecordError(ValueError):
    """The file is no record of this code's courses."""


class Record:
    """What came of courses, kept in a file; with None in memory alone."""

    def __init__(self, file: Path | None) -> None:
        """Raises RecordError when the file holds courses of other code, or what is no course, or cannot be one."""
        self.file = file
        self.known: dict[Asked, Outcome] = {}
        if file is not None and not file.parent.is_dir():  # said now, not after the first course
            raise RecordError(f"{file}: there is no folder {file.parent}; make it, or name another file")
        if file is not None and file.exists():
            self._read(file)

    def _read(self, file: Path) -> None:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):  # whoever wrote it was stopped in the middle
                file.write_text("".join(lines[:-1]), encoding="utf-8")
                break
            try:
                data = json.loads(line)
                code, asked, outcome = data["code"], Asked(**data["asked"]), _OUTCOME.validate_python(data["outcome"])
            except (ValueError, KeyError, TypeError) as error:
                where = f"{file}, line {number}"
                raise RecordError(f"{where}: is no course of a campaign ({error}); name another file") from error
            if code != code_digest():
                raise RecordError(f"{file}, line {number}: was run by other code than this; name another file")
            self.known[asked] = outcome

    def take(self, asked: Asked, outcome: Outcome) -> None:
        """Keep what came of a course; of its log only what did not hold."""
        self.known[asked] = outcome
        if self.file is None:
            return
        kept = replace(outcome, log=findings(outcome))
        line = {"code": code_digest(), "asked": asdict(asked), "outcome": _OUTCOME.dump_python(kept, mode="json")}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def findings(outcome: Outcome) -> list[str]:
    """The lines of a log that tell what did not hold."""
    return [line for line in outcome.log if line.startswith(f"{START.year}-")]


def code_digest() -> str:
    """Of all that makes a course what it is: our own code."""
    found = hashlib.sha256()
    folder = Path(ems.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]
