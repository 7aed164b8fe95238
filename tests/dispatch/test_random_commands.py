"""The short form of `benchmarks/gate.py`: what leaves is judged a second time by rules written apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import gate
from ems.command import Command
from ems.dispatch import Permission


def test_no_random_command_outside_the_envelope_leaves() -> None:
    tally = gate.trial(6000, seed=11)
    assert tally.broken == []
    assert tally.left > 1000  # it is not a gate that is always shut
    assert len(tally.refused) > 30  # and every rule had its say


def test_a_gate_that_stands_open_is_found_out() -> None:
    def open_gate(commands: Sequence[Command], **_: Any) -> Permission:
        once = {c.point: c for c in commands}
        return Permission(list(once.values()), [])

    tally = gate.trial(2000, seed=12, gate=open_gate)
    found = " ".join(tally.broken)
    for rule in ("out of range", "ramp", "no number", "too soon", "for nothing", "band", "not hot", "fuse", "carry"):
        assert rule in found, rule
