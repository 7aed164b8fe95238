"""Ctrl-C in a study or a campaign: a pool left to itself goes through all that waits first."""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest

from ems.workers import deaf_to_ctrl_c, workers


def test_ctrl_c_ends_what_runs_and_what_waits() -> None:
    with pytest.raises(KeyboardInterrupt), workers(1) as pool:
        with deaf_to_ctrl_c():
            runs = [pool.submit(signal.pause) for _ in range(4)]  # none of them ever ends by itself
        raise KeyboardInterrupt
    assert all(run.done() and (run.cancelled() or run.exception() is not None) for run in runs)


def test_whoever_stops_listening_ends_what_runs() -> None:
    def outcomes() -> Generator[int]:
        with workers(1) as pool:
            running = pool.submit(signal.pause)
            yield 1
            running.result()

    heard = outcomes()
    assert next(heard) == 1
    heard.close()  # returns
