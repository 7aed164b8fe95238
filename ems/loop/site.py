"""Puts one running site together: field, store, planner, loop and, beside them, the pages in a process of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ems.bms import Field, dead_man
from ems.district import District
from ems.loop.alive import STILL_THERE, tell_supervisor
from ems.loop.answers import keep_answering
from ems.loop.bell import Bell
from ems.loop.clock import Clock
from ems.loop.control import Control, Event, Settings
from ems.loop.messages import Postman, keep_telling, read_messages
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
    shadow: bool = False,
    asks_homes: bool = True,
) -> AsyncIterator[Control]:
    """A control loop with its field open; field and planner are closed behind it. `shadow`: it writes nothing.

    `asks_homes`: what homes use is kept with their agreement, else without (they are made up).
    """
    dead = nullcontext() if shadow else dead_man(site.folder, lambda text: on_event(Event(clock.now(), "alarm", text)))
    async with dead as mirror:
        link = Field(district.wires, bacnet_address=bacnet_address, mirror=mirror)
        await link.start()
        try:
            control = Control(
                district,
                field_link=link,
                store=store,
                planner=planner,
                clock=clock,
                bell=bell,
                settings=Settings(
                    owner=f"{socket.gethostname()}:{os.getpid()}",
                    folder=site.folder,
                    weather_file=site.weather_file,
                    sweep_every=sweep_every,
                    asks_homes=asks_homes,
                    shadow=shadow,
                ),
                on_event=on_event,
                on_cycle=on_cycle,
                on_alive=lambda: tell_supervisor(STILL_THERE),
            )
            telling = _telling(control, site)
            try:
                yield control
            finally:
                if telling is not None:
                    telling.cancel()
        finally:
            planner.stop()
            await link.stop()


def _telling(control: Control, site: Site) -> asyncio.Task[None] | None:
    """Tells people of alarms beside the loop, when messages.yaml in the site's folder says how."""
    settings = read_messages(site.folder / "messages.yaml")
    if settings is None:
        return None
    postman = Postman(settings, control.district.label.fr, control.patient, control.say, control.decides)
    return asyncio.create_task(keep_telling(postman, control.clock.now))


def stop_on_signals(control: Control) -> None:
    """Ctrl-C, a polite kill or a closed terminal end the run, and give the field back."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, control.stop)


@asynccontextmanager
async def pages(
    site: Site, folder: Path, port: int, on_end: Callable[[str], None] = lambda text: None,
    arguments: Sequence[str] = (), address: str = "",
) -> AsyncIterator[str | None]:  # fmt: skip
    """The web process, started again when it ends. It sees the store, never the field; port 0 means no pages.

    `arguments` tell `ems web` where to listen, and `address` is what a browser opens; without, plain on loopback.
    """
    if port == 0:
        yield None
        return
    serving = asyncio.create_task(_serve_pages(site, folder, arguments or ("--port", str(port)), on_end))
    answering = asyncio.create_task(keep_answering(site.folder, folder))
    try:
        yield address or f"http://127.0.0.1:{port}/"
    finally:
        for task in (serving, answering):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _serve_pages(site: Site, folder: Path, arguments: Sequence[str], on_end: Callable[[str], None]) -> None:
    pause_s = 1.0
    while True:
        process = await _start_pages(site, folder, arguments)
        begun = asyncio.get_running_loop().time()
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise
        pause_s = 1.0 if asyncio.get_running_loop().time() - begun > 60 else min(2 * pause_s, 60.0)
        on_end(f"the process of the pages ended with {code}; it is started again in {pause_s:g} s")
        await asyncio.sleep(pause_s)


async def _start_pages(site: Site, folder: Path, arguments: Sequence[str]) -> asyncio.subprocess.Process:
    """The web process. It ends when its standard input does: with us, even if we are killed outright."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ems", "web",
        "--store", site.store_url, "--people", site.people_url, *arguments,
        "--clock-file", str(site.clock_file),
        "--buildings", str(folder), "--folder", str(site.folder), "--end-with-input",
        stdin=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the control process; it ends this one
    )  # fmt: skip


def end_with_input(leaving: timedelta = timedelta(0)) -> None:
    """Ends this process when its standard input ends: whoever holds the other end of that pipe is gone.

    Else pages would keep their port, and control its lock, from those that the next one starts. With `leaving` it is
    asked first, as its supervisor asks it, and has so long to give the devices back.
    """

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        if leaving:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(leaving.total_seconds())
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


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
