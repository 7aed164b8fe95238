"""Serves the digital district on loopback: plant physics behind real BACnet/IP and Modbus/TCP servers.

Its time is told from outside: by lines on standard input (`follow`, as the demo does), or by a clock (`keep_pace`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ems.feeds import write_weather_file
from ems.simulate.plant import World
from ems.simulate.servers import FieldServers
from ems.simulate.weather import Weather
from ems.slots import Slots, floor

FORECAST_EVERY = timedelta(hours=1)
FORECAST_SLOTS = 4 * 60  # 60 h, so that a file of some hours' age still covers two days
MINUTE = timedelta(minutes=1)


@dataclass
class ServedDistrict:
    """A world, its servers, and the weather forecast that it leaves in a file, if one is wanted."""

    world: World
    servers: FieldServers
    weather: Weather
    weather_file: Path | None = None
    weather_feed_up: bool = True
    _forecast_at: datetime | None = None

    async def start(self) -> None:
        self.issue_forecast()
        await self.servers.start()

    async def stop(self) -> None:
        await self.servers.stop()

    def advance(self, until: datetime) -> None:
        """Moves the plant, minute by minute, so that device watchdogs see each of them."""
        while self.world.now + MINUTE <= until:
            self.world.advance(self.world.now + MINUTE)
            self.servers.tick()
        self.issue_forecast()

    def issue_forecast(self) -> None:
        now = self.world.now
        if self.weather_file is None or not self.weather_feed_up:
            return
        if self._forecast_at is None or now - self._forecast_at >= FORECAST_EVERY:
            write_weather_file(self.weather_file, self.weather.forecast(now, Slots(floor(now), FORECAST_SLOTS)))
            self._forecast_at = now

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """One order of whoever leads the time; answers what came of it, or `error` with the reason."""
        match order:
            case {"do": "advance", "to": str(to)}:
                self.advance(datetime.fromisoformat(to))
            case {"do": "measure", "points": list(points)}:
                shown = {p: float(self.world.values[self.world.index[p]]) for p in points}
                return {
                    "at": self.world.now.isoformat(),
                    "values": {p: v if v == v else None for p, v in shown.items()},
                }
            case {"do": "silence", "bus": str(bus)}:
                await self.servers.silence(bus)
            case {"do": "restore", "bus": str(bus)}:
                await self.servers.restore(bus)
            case {"do": "override", "point": str(point), "value": value}:
                await self.servers.override(point, None if value is None else float(value))
            case {"do": "weather", "up": bool(up)}:
                self.weather_feed_up = up
                self._forecast_at = None
                if not up and self.weather_file is not None:
                    self.weather_file.unlink(missing_ok=True)
                self.issue_forecast()
            case {"do": "now"}:
                pass
            case _:
                return {
                    "error": f"{order} is no order; do advance, measure, silence, restore, override, weather or now"
                }
        return {"at": self.world.now.isoformat()}


async def follow(district: ServedDistrict, lines: AsyncIterator[str], answer: Callable[[str], None]) -> None:
    """Obeys one JSON order a line until the lines end; each is answered by one line."""
    async for line in lines:
        try:
            order = json.loads(line)
        except ValueError as error:
            answer(json.dumps({"error": f"not JSON: {error}"}))
            continue
        if order == {"do": "stop"}:
            break
        try:
            reply = await district.obey(order)
        except (KeyError, ValueError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        answer(json.dumps(reply))


async def keep_pace(district: ServedDistrict, now: Callable[[], datetime], stopped: asyncio.Event) -> None:
    """Moves the plant with a clock until stopped."""
    while not stopped.is_set():
        district.advance(now())
        try:
            await asyncio.wait_for(stopped.wait(), timeout=0.2)
        except TimeoutError:
            continue
