"""The short form of `benchmarks/hostile.py`: peers that lie, and random commands at the write gate."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import hostile


@pytest.mark.parametrize("seed", [11, 12])
def test_lies_become_no_number_and_the_truth_is_believed(seed: int) -> None:
    tally = asyncio.run(hostile.trial(4000, seed, network=54 + seed % 2))
    assert tally.frames >= 4000 and tally.honest > 2000
    assert len(tally.kinds) > 25  # every kind of lie was told
    assert (tally.crashes, tally.hangs, tally.accepted_wrong, tally.refused_good) == (0, 0, 0, 0), tally.examples


def test_lies_on_a_serial_line_become_no_number_and_the_truth_is_believed() -> None:
    tally = asyncio.run(hostile.line_trial(1500, 13))
    assert tally.frames >= 1500 and tally.honest > 700
    assert len(tally.kinds) > 17
    assert (tally.crashes, tally.hangs, tally.accepted_wrong) == (0, 0, 0), tally.examples
    # A pseudo-terminal on a loaded machine hands bytes on late, and then refuses what was good: seldom, at worst.
    assert tally.refused_good < 0.02 * tally.honest, tally.examples


def test_no_command_outside_the_envelope_leaves() -> None:
    figures = asyncio.run(hostile.writes(20_000, 11))
    assert figures["outside_envelope"] == 0
    assert figures["left"] > 1000
