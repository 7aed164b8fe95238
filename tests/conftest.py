"""What all tests share: a program that a check needs, or the reason why it cannot run here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest


def needs_program(program: str, install: str) -> str:
    """The path of `program`. Without it the test is skipped with the line that installs it; with CI=true it fails."""
    path = shutil.which(program)
    if path is None:
        absence(f"{program} is not on this machine; install it with: {install}")
    assert path is not None
    return path


def absence(why: str) -> None:
    """Leave the running test because this machine lacks something: a named skip, with CI=true a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{why} (CI=true: a check that cannot run is a failure)")
    pytest.skip(why)


@pytest.fixture(name="needs_program")
def _needs_program() -> Callable[[str, str], str]:
    """The same as a fixture: `path = needs_program("mbpoll", "apt-get install mbpoll")`."""
    return needs_program
