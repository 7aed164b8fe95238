"""What is imported is declared, and what is declared is locked with hashes and names no index."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def plain(requirement: str) -> str:
    """The name of a requirement as locks write it: `APScheduler>=3.11` is `apscheduler`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!;~]", requirement, maxsplit=1)[0]).lower()


def imported(tree: Path) -> Iterator[tuple[str, Path]]:
    for path in tree.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((alias.name.partition(".")[0], path) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0], path


def test_every_import_is_declared() -> None:
    owners = packages_distributions()
    extras = [r for extra in ("postgres", "oidc", "pdf") for r in PYPROJECT["optional-dependencies"][extra]]
    declared = {plain(r) for r in (*PYPROJECT["dependencies"], *extras)}
    foreign = {
        (name, path.relative_to(PROJECT).as_posix())
        for name, path in imported(PROJECT / "ems")
        if name != "ems" and name not in sys.stdlib_module_names
    }
    loose = sorted(f"{p}: {n}" for n, p in foreign if declared.isdisjoint(map(plain, owners.get(n, [n]))))
    assert not loose, "imported, but not among the dependencies in pyproject.toml:\n" + "\n".join(loose)


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("requirements.txt", {"checkout"}),
        ("requirements-dev.txt", set(PYPROJECT["optional-dependencies"]) - {"bench"}),
        ("requirements-bench.txt", {"bench"}),
    ],
)
def test_a_lock_is_complete(lock: str, extras: set[str]) -> None:
    text = (PROJECT / lock).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("==" in e.splitlines()[0] and "--hash=sha256:" in e for e in entries), "a version or a hash is missing"
    assert not re.search(r"https?://|file:|--index|--find-links", text), "a lock names no index"
    locked = {plain(e) for e in entries}
    wanted = {plain(r) for r in PYPROJECT["dependencies"]}
    wanted |= {plain(r) for extra in extras for r in PYPROJECT["optional-dependencies"][extra]}
    assert wanted <= locked, f"run make lock; not locked: {', '.join(sorted(wanted - locked))}"
