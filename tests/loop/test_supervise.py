"""The supervisor against real processes: what ends is started again, what is wrong is not, what hangs is killed."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
from configparser import ConfigParser
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ems.loop.alive import STARTING
from ems.loop.supervise import BUSY, WRONG, Patience, Supervisor
from ems.store import Lease, Store
from tests.small_district import copy_small_district

QUICK = Patience(
    silence=timedelta(seconds=3),
    leaving=timedelta(seconds=10),
    first_pause=timedelta(milliseconds=10),
    longest_pause=timedelta(milliseconds=20),
)
ALIVE = "from ems.loop.alive import READY, tell_supervisor; tell_supervisor(READY);"


def supervisor(program: str, said: list[str]) -> Supervisor:
    return Supervisor([sys.executable, "-c", program], said.append, QUICK)


def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    # It dies twice, by a signal as kill -9 sends it, and then ends as it should.
    program = (
        f"import os, pathlib; p = pathlib.Path({str(tmp_path)!r}, str(os.getpid())); p.touch();"
        " n = len(list(p.parent.iterdir())); os.kill(os.getpid(), 9) if n < 3 else None"
    )
    said: list[str] = []
    one = supervisor(program, said)
    assert asyncio.run(one.run()) == 0
    assert one.restarts == 2
    assert all("ended with -9" in text for text in said)


def test_what_starting_again_cannot_help_is_left() -> None:
    said: list[str] = []
    one = supervisor(f"raise SystemExit({WRONG})", said)
    assert asyncio.run(one.run()) == WRONG
    assert (one.restarts, said) == (0, [])


def test_a_held_database_at_the_start_is_no_reason_to_give_up(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path / 'site.db'}").close()
    other = sqlite3.connect(tmp_path / "site.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    place = ["--folder", str(tmp_path), "--buildings", str(copy_small_district(tmp_path)), "--port", "0"]
    run = [sys.executable, "-m", "ems", "run", *place, "--no-restart"]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    other.close()
    assert ended.returncode == BUSY, ended.stderr
    assert "database is locked" in ended.stderr


def test_a_site_that_is_expected_is_waited_for_and_not_made(tmp_path: Path) -> None:
    """As after a restart of the control process while the disk of the site is away: its mount point is empty."""
    (tmp_path / "site").mkdir()
    place = ["--folder", str(tmp_path / "site"), "--buildings", str(copy_small_district(tmp_path)), "--port", "0"]
    run = [sys.executable, "-m", "ems", "run", *place, "--no-restart", "--existing"]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == BUSY, ended.stderr
    assert "the disk it is on may be missing" in ended.stderr
    assert list((tmp_path / "site").iterdir()) == []


def test_the_service_makes_no_site() -> None:
    unit = (Path(__file__).parents[2] / "deploy" / "ems.service").read_text()
    assert "ems run --existing" in unit


def test_a_log_on_a_full_disk_ends_nothing() -> None:
    program = "from ems.__main__ import err; [err.print('a line') for _ in range(3)]; print(len(err._buffer))"
    with Path("/dev/full").open("w") as full:
        run = [sys.executable, "-c", program]
        ended = subprocess.run(run, stdout=subprocess.PIPE, stderr=full, text=True, timeout=120, check=False)
    assert ended.stdout == "0\n"  # nothing was raised, and nothing is kept for ever


def test_a_process_without_a_sign_of_life_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "second"
    program = (
        f"import pathlib, time; p = pathlib.Path({str(mark)!r}); again = p.exists(); p.touch();"
        " None if again else time.sleep(600)"
    )
    said: list[str] = []
    assert asyncio.run(supervisor(program, said).run()) == 0
    assert "no sign of life" in said[0]


def test_a_stop_reaches_the_process_and_signs_of_life_go_up(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def stop_when_heard() -> int:
        import socket

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as above:
            above.bind(str(tmp_path / "above"))
            above.setblocking(False)
            os.environ["NOTIFY_SOCKET"] = str(tmp_path / "above")
            try:
                one = supervisor(f"{ALIVE} import time; time.sleep(600)", [])
                running = asyncio.create_task(one.run())
                heard.append(await asyncio.get_running_loop().sock_recv(above, 100))
                one.stop()
                return await running
            finally:
                del os.environ["NOTIFY_SOCKET"]

    assert asyncio.run(stop_when_heard()) == -15
    assert heard == [b"READY=1"]


def test_control_leaves_politely_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    """Nobody would start it again, or end it where it hangs; and it would keep the lock from its successor."""
    place = ["--folder", str(tmp_path / "site"), "--buildings", str(copy_small_district(tmp_path)), "--port", "0"]
    run = [sys.executable, "-m", "ems", "run", *place, "--network", "128"]
    with subprocess.Popen(run, stderr=subprocess.PIPE, text=True) as supervising:
        assert supervising.stderr is not None
        said = [next(line for line in supervising.stderr if line.startswith("Controlling"))]
        supervising.kill()
        said += list(supervising.stderr)  # to its end: the control process has it too
    assert any("commands given back to local control" in line for line in said)
    with Store.open(f"sqlite:///{tmp_path / 'site' / 'site.db'}") as store:
        assert isinstance(store.leadership.take("the next", datetime(2030, 1, 1, tzinfo=UTC)), Lease)


def test_what_does_not_leave_when_asked_ends_all_the_same() -> None:
    program = (
        "import signal, time; from datetime import timedelta; from ems.loop.site import end_with_input\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
        "print('here', flush=True); end_with_input(timedelta(milliseconds=50)); time.sleep(600)"
    )
    run = [sys.executable, "-c", program]
    ended = subprocess.run(run, input="", stdout=subprocess.PIPE, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout.split()) == (1, ["here", "asked"])


def test_a_migration_that_goes_on_is_not_killed_by_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signs reach systemd too, which would end a start that takes longer than `TimeoutStartSec`."""
    heard, said = list[bytes](), list[str]()
    program = (
        "from alembic import op\n"
        "numbers = 'WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c'\n"
        "op.create_index = lambda *a, **k: op.execute(numbers)\n"  # it would never end
        "from ems.__main__ import main; main()"
    )
    place = ["--folder", str(tmp_path / "site"), "--buildings", str(copy_small_district(tmp_path)), "--port", "0"]

    async def start() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as above:
            above.bind(str(tmp_path / "above"))
            above.setblocking(False)
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "above"))
            command = [sys.executable, "-c", program, "run", *place, "--no-restart", "--end-with-input"]
            one = Supervisor(command, said.append)
            running = asyncio.create_task(one.run())
            heard.append(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(above, 100), 60))
            one.stop()
            await running

    asyncio.run(start())
    assert heard == [STARTING.encode()]


def test_systemd_is_more_patient_than_the_supervisor() -> None:
    unit = ConfigParser(interpolation=None)
    unit.read(Path(__file__).parents[2] / "deploy" / "ems.service")
    service, patience = unit["Service"], Patience()
    assert int(service["TimeoutStartSec"]) > patience.silence.total_seconds()  # a migration is not killed after 90 s
    assert int(service["WatchdogSec"]) > patience.silence.total_seconds()
    assert int(service["TimeoutStopSec"]) > patience.leaving.total_seconds()
