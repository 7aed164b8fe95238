"""The house rules: lint, format, types, and no trace of any one machine in a file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TREES = ("ems", "tests", "benchmarks")

# Written in pieces, so that this file does not hold what it looks for.
# /home/day, /home/month, /home/year and /home/history are pages.
MACHINE_PATHS = re.compile(r"(?<![\w.~/-])/(?:work|root|home(?!/(?:day|month|year|history)\b)|Users|opt)/" + r"[\w.-]+")
REGISTRY_HOSTS = re.compile(r"(?:files\.pythonhosted|pypi|registry\.npmjs|deb\.debian)\.(?:org|python\.org)")
TEXT = {
    ".py",
    ".yaml",
    ".yml",
    ".toml",
    ".md",
    ".txt",
    ".json",
    ".html",
    ".css",
    ".js",
    ".sh",
    ".ini",
    ".cfg",
    ".mako",
    "",
}


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def trees() -> list[str]:
    return [tree for tree in TREES if any((PROJECT / tree).rglob("*.py"))]


def test_lint() -> None:
    run("ruff", "check", "--no-cache", *trees())


def test_format() -> None:
    run("ruff", "format", "--check", "--no-cache", *trees())


def test_types() -> None:
    run("mypy")


def committed() -> list[Path]:
    """Every text file that version control knows, or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout: which files are the project's is not known")
    paths = (PROJECT / line for line in listed.stdout.splitlines())
    return [p for p in paths if p.suffix in TEXT and p.is_file()]


@pytest.mark.parametrize("trace", [MACHINE_PATHS, REGISTRY_HOSTS], ids=["machine path", "registry host"])
def test_no_file_knows_the_machine_it_was_written_on(trace: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{number}: {hit.group()}"
        for path in committed()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (hit := trace.search(line))
    ]
    assert not found, "\n".join(found)
