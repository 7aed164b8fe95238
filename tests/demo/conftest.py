"""A district that starts and plans in seconds, in a folder of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.small_district import copy_small_district


@pytest.fixture
def small_district(tmp_path: Path) -> Path:
    return copy_small_district(tmp_path)
