"""Site time: by hand, and faster than real time but never past an unfinished cycle."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ems.loop.bell import VirtualBell
from ems.loop.clock import FastClock, LockStep

START = datetime(2026, 1, 20, 7, 0, tzinfo=UTC)


def test_lock_step_tells_the_plant_before_it_moves() -> None:
    told: list[datetime] = []

    async def advance(to: datetime) -> None:
        told.append(to)

    async def ring_three_times() -> datetime:
        clock = LockStep(START, advance)
        bell = VirtualBell(clock)
        for _ in range(3):
            await bell.ring()
        return clock.now()

    assert asyncio.run(ring_three_times()) == START + timedelta(minutes=3)
    assert told == [START + timedelta(minutes=m) for m in (1, 2, 3)]


def test_a_fast_clock_never_passes_the_hold() -> None:
    async def run_against_the_hold() -> FastClock:
        clock = FastClock(START, speed=1e6)
        clock.hold_at = START + timedelta(minutes=15)
        task = asyncio.create_task(clock.run(step_s=0.001))
        for _ in range(1000):
            await asyncio.sleep(0.001)
            if clock.held_s > 0:
                break
        task.cancel()
        return clock

    clock = asyncio.run(run_against_the_hold())
    assert START <= clock.now() < START + timedelta(minutes=15)
    assert clock.held_s > 0


def test_a_clock_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="give a positive number"):
        FastClock(START, speed=0)
