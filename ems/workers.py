"""Processes for runs of minutes to hours, which Ctrl-C ends at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context


@contextmanager
def workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that does not go through all that waits before it ends, as a pool left to itself would.

    Spawned: a process forked from one with threads may hang.
    """
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        try:
            yield pool
        except (KeyboardInterrupt, GeneratorExit):
            for worker in active_children():
                worker.terminate()
            raise


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Who is started in here hears no Ctrl-C: a terminal tells the whole family, and one of it answers."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
