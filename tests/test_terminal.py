"""Bars that a person can reckon."""

from __future__ import annotations

import numpy as np

from ems.terminal import bars


def test_bars_stand_between_least_and_greatest() -> None:
    assert bars(np.array([0.0, 1.0, 6.0, 7.0])) == "▁▂▇█"


def test_a_level_row_is_level() -> None:
    assert bars(np.full(5, 3.0)) == "▁▁▁▁▁"


def test_many_values_become_means_of_columns() -> None:
    assert bars(np.array([0.0, 0.0, 7.0, 7.0]), width=2) == "▁█"
