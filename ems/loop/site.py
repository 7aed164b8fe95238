"""Puts one running site together: field, store, planner, loop and, beside them, the pages in a process of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ems.bms import Field
from ems.district import District
from ems.loop.bell import Bell
from ems.loop.clock import Clock
from ems.loop.control import Control, Event, Settings
from ems.loop.planner import Planner
from ems.store import Store

CLOCK_FILE = "clock.json"


@dataclass(frozen=True)
class Site:
    """Where one running district keeps its files."""

    folder: Path

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.folder / 'site.db'}"

    @property
    def people_url(self) -> str:
        return f"sqlite:///{self.folder / 'people.db'}"

    @property
    def weather_file(self) -> Path:
        return self.folder / "weather.json"

    @property
    def clock_file(self) -> Path:
        return self.folder / CLOCK_FILE


@asynccontextmanager
async def controlled(
    district: District,
    site: Site,
    *,
    store: Store,
    planner: Planner,
    clock: Clock,
    bell: Bell,
    sweep_every: timedelta,
    on_event: Callable[[Event], None],
    on_cycle: Callable[[Control], Awaitable[None]],
    bacnet_address: str | None = None,
) -> AsyncIterator[Control]:
    """A control loop with its field open; field and planner are closed behind it."""
    link = Field(district.wires, bacnet_address=bacnet_address)
    await link.start()
    try:
        yield Control(
            district,
            field_link=link,
            store=store,
            planner=planner,
            clock=clock,
            bell=bell,
            settings=Settings(
                owner=f"{socket.gethostname()}:{os.getpid()}",
                weather_file=site.weather_file,
                sweep_every=sweep_every,
            ),
            on_event=on_event,
            on_cycle=on_cycle,
        )
    finally:
        planner.stop()
        await link.stop()


def stop_on_signals(control: Control) -> None:
    """Ctrl-C, a polite kill or a closed terminal end the run, and give the field back."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, control.stop)


@asynccontextmanager
async def pages(site: Site, folder: Path, port: int) -> AsyncIterator[str | None]:
    """The web process. It sees the store, never the field; port 0 means no pages."""
    if port == 0:
        yield None
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ems", "web",
        "--store", site.store_url, "--people", site.people_url, "--port", str(port),
        "--clock-file", str(site.clock_file),
        "--buildings", str(folder),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the control process; it ends this one
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def write_clock(path: Path, site_now: datetime, real_now: datetime, speed: float) -> None:
    """Leaves the site's time for the web process, which asks no clock of the field."""
    torn = path.with_suffix(".tmp")
    torn.write_text(json.dumps({"site": site_now.isoformat(), "real": real_now.isoformat(), "speed": speed}))
    torn.replace(path)


class ClockReader:
    """Site time for the web process, from the file that the control process leaves every half second.

    Between two writes it goes on at the file's speed, so that a stopped loop shows growing ages.
    """

    def __init__(self, path: Path | None, real: Clock) -> None:
        self.path = path
        self.real = real

    def now(self) -> datetime:
        if self.path is None or not self.path.exists():
            return self.real.now()
        data = json.loads(self.path.read_text())
        passed = self.real.now() - datetime.fromisoformat(data["real"])
        return datetime.fromisoformat(data["site"]) + passed * float(data["speed"])
