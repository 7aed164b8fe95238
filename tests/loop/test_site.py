"""The processes beside the control process."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

from ems.store import Store
from tests.small_district import copy_small_district

CONTROL = """
import asyncio, sys
from pathlib import Path
from ems.loop.site import Site, pages

async def control():
    async with pages(Site(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])):
        await asyncio.sleep(600)

asyncio.run(control())
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(port: int, wanted: bool, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while listens(port) is not wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return listens(port) is wanted


def test_after_kill_9_of_the_control_process_the_port_of_its_pages_is_free(tmp_path: Path) -> None:
    buildings = copy_small_district(tmp_path)
    Store.open(f"sqlite:///{tmp_path / 'site.db'}").close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    control = subprocess.Popen([sys.executable, "-c", CONTROL, str(tmp_path), str(buildings), str(port)])
    try:
        assert until(port, True, 60)
    finally:
        control.kill()
        control.wait()
    assert until(port, False, 10)
