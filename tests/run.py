"""Runs the tests group by group, each in a process of its own, and says how long each took.

    python tests/run.py            all groups, three at a time
    python tests/run.py house web  these
    python tests/run.py web        one alone, its output as it comes

A group is a set of folders below `tests/`; a folder that no group names is a group of its own, so nothing is left out.
Each has networks, ports and folders of its own. Of several at a time one word is said when one begins, and its output
when it ends, so that they can be told apart.
The guards (envelope, write gate, journal) are counted branch by branch as they run: one not gone through is a failure.
A failing group does not stop the next one; the exit code is 1 when any failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TESTS = Path(__file__).parent
PROJECT = TESTS.parent
KINDS = ("passed", "failed", "skipped")

LANES = 3  # groups at a time: on two cores, two at a time left half of them idle, waiting for peers and for the clock
GUARDS = "guards"
# Begun in this order: what tells soonest, then the longest first, so that no lane is left alone with one at the end.
# `.` are the files directly in tests/. What the guards name runs there alone.
GROUPS: dict[str, tuple[str, ...]] = {
    "house": ("house",),
    "web": ("web",),
    "scenarios": ("demo", "scenarios", "study"),
    "campaign": ("campaign",),
    "field": ("bms", "commission"),
    "planner": ("optimise",),
    "loop": ("loop",),
    "plant": ("simulate",),
    "units": (".", "assets", "market", "district", "estimate", "feeds", "settle"),
    "store": ("store",),
    "forecast": ("forecast", "backtest"),
    GUARDS: ("test_envelope.py", "dispatch", "store/test_journal.py"),
}


@dataclass(frozen=True)
class Group:
    """A named group and its paths."""

    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Result:
    """What became of a group: counts by kind, wall-clock minutes, and pytest's exit code."""

    name: str
    counts: dict[str, int]
    minutes: float
    code: int

    @property
    def failed(self) -> bool:
        return self.code not in (0, 5)  # 5: nothing collected


def groups() -> list[Group]:
    """All groups that have a test on disk."""
    guarded = {TESTS / part for part in GROUPS[GUARDS]}
    folders = sorted(p.name for p in TESTS.iterdir() if p.is_dir() and any(p.rglob("test_*.py")))
    named = {folder for paths in GROUPS.values() for folder in paths}
    wanted = {**GROUPS, **{f: (f,) for f in folders if f not in named}}
    found = []
    for name, parts in wanted.items():
        loose = sorted(set(TESTS.glob("test_*.py")) - guarded) if "." in parts else []
        paths = (*loose, *(TESTS / part for part in parts if part != "." and (TESTS / part).exists()))
        if paths:
            found.append(Group(name, paths))
    return found


def run(group: Group, alone: bool) -> Result:
    """Run one group; alone its output goes to the terminal as it comes, otherwise whole at its end."""
    title = f"== {group.name} " + "=" * (76 - len(group.name))
    print(f"\n{title}" if alone else f".. {group.name} begins", flush=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Path(folder, "output.txt").open("w+") as output:
        into = None if alone else output
        report = Path(folder) / "report.xml"
        command = ["-m", "pytest", "-rs", f"--junitxml={report}", *map(str, group.paths)]
        if group.name == GUARDS:
            (PROJECT / "var").mkdir(exist_ok=True)
            code = _python(into, "-m", "coverage", "run", *command) or _python(into, "-m", "coverage", "report")
        else:
            code = _python(into, *command, *(f"--ignore={TESTS / part}" for part in GROUPS[GUARDS]))
        counts = _counts(report)
        if not alone:
            output.seek(0)
            print(f"\n{title}\n{output.read()}", end="", flush=True)
    return Result(group.name, counts, (time.monotonic() - start) / 60, code)


def _python(into: IO[str] | None, *arguments: str) -> int:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=PROJECT, stdout=into, stderr=into, check=False).returncode


def _counts(report: Path) -> dict[str, int]:
    if not report.exists():  # pytest itself did not get that far
        return {"passed": 0, "failed": 1, "skipped": 0}
    suite = next(ET.parse(report).getroot().iter("testsuite"))
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return {"passed": max(total - failed - skipped, 0), "failed": failed, "skipped": skipped}


def main(names: list[str]) -> int:
    known = groups()
    unknown = set(names) - {g.name for g in known}
    if unknown:
        print(f"no group called {', '.join(sorted(unknown))}; there are {', '.join(g.name for g in known)}")
        return 2
    wanted = [g for g in known if not names or g.name in names]
    start = time.monotonic()
    with ThreadPoolExecutor(LANES) as lanes:
        results = list(lanes.map(run, wanted, [len(wanted) == 1] * len(wanted)))
    print("\ngroup        minutes   passed  failed  skipped")
    for r in results:
        mark = "   <- failed" if r.failed else ""
        print(f"{r.name:<12} {r.minutes:7.2f} " + "".join(f"{r.counts[k]:8d}" for k in KINDS) + mark)
    print(f"{'all':<12} {(time.monotonic() - start) / 60:7.2f}")
    sums = {kind: sum(r.counts[kind] for r in results) for kind in KINDS}
    broken = [r for r in results if r.failed]
    sums["failed"] = max(sums["failed"], len(broken))
    print(", ".join(f"{sums[k]} {k}" for k in KINDS))
    return 1 if broken or not sums["passed"] else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main(sys.argv[1:]))
