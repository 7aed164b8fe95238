"""Losing a gateway, a controller, the database or the weather: the loop goes on, says so, and recovers."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from ems.demo import DemoSettings, DistrictProcess, demo
from ems.loop.control import Control, Event, Totals

NETWORK = 43
GATEWAY, CONTROLLER = "mistral/electricity", "mistral/controller"


async def answers(control: Control, bus: str, timeout_s: float = 60.0) -> None:
    """Waits until a bus is found again by the probes, which run in real time."""
    deadline = time.monotonic() + timeout_s
    while not control.field.health[bus].up:
        assert time.monotonic() < deadline, f"{bus} was not found again within {timeout_s:g} s"
        await asyncio.sleep(0.1)


def hold_database(path: Path, seconds: float) -> None:
    """Somebody else (a back-up, a curious person) holds the write lock."""
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")


def test_the_loop_goes_on(small_district: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    plans_after: list[int] = []
    site = tmp_path / "site"

    async def lose_gateway(control: Control, plant: DistrictProcess) -> None:
        await plant.order(do="silence", bus=GATEWAY)

    async def gateway_back_lose_controller(control: Control, plant: DistrictProcess) -> None:
        await plant.order(do="restore", bus=GATEWAY)
        await answers(control, GATEWAY)
        await plant.order(do="silence", bus=CONTROLLER)

    async def controller_back_lose_database(control: Control, plant: DistrictProcess) -> None:
        await plant.order(do="restore", bus=CONTROLLER)
        await answers(control, CONTROLLER)
        held = asyncio.create_task(asyncio.to_thread(hold_database, site / "site.db", 10.0))
        await asyncio.sleep(0.2)
        holding.append(held)

    async def lose_weather(control: Control, plant: DistrictProcess) -> None:
        await holding[0]
        await plant.order(do="weather", up=False)

    async def weather_back(control: Control, plant: DistrictProcess) -> None:
        await plant.order(do="weather", up=True)

    async def nothing(control: Control, plant: DistrictProcess) -> None:
        return None

    holding: list[asyncio.Task[None]] = []
    Act = Callable[[Control, DistrictProcess], Awaitable[None]]  # noqa: N806 - a type
    acts: list[Act] = [
        lose_gateway,
        gateway_back_lose_controller,
        controller_back_lose_database,
        lose_weather,
        weather_back,
        nothing,
    ]

    async def on_cycle(control: Control, plant: DistrictProcess) -> None:
        plans_after.append(control.totals.plans)
        await acts[len(plans_after) - 1](control, plant)

    async def run() -> Totals:
        settings = DemoSettings(
            buildings=small_district,
            scenario=Path("scenarios/ordinary"),
            folder=site,
            speed=None,
            cycles=len(acts),
            network=NETWORK,
            history_days=0,
            sweep_minutes=15,
        )
        totals, _ = await demo(settings, on_event=events.append, on_progress=lambda _: None, on_cycle=on_cycle)
        return totals

    totals = asyncio.run(run())
    said = [f"{e.kind}: {e.text}" for e in events]
    assert totals.plans == len(acts), "\n".join(said)
    for wanted in (
        f"alarm: {GATEWAY} does not answer",
        f"recovered: {GATEWAY} answers again",
        f"alarm: {CONTROLLER} does not answer",
        f"recovered: {CONTROLLER} answers again",
        "alarm: the database is locked",
        "recovered: the database is free again",
        "fallback: weather forecast",
        "recovered: the weather forecast is back",
    ):
        assert any(line.startswith(wanted) for line in said), f"{wanted!r} was not said among {said}"
    assert totals.relinquished_at_exit > 0
