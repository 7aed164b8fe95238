"""`ems run` against `ems district`, watched by programs that share no code with us."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from ems.district import Wire, read_district, relocate
from ems.loop.site import Site
from ems.store import Store
from tests.conftest import absence

NETWORK = 44
MODULES = Path("var/npm/node_modules")
INSTALL = 'npm install --prefix var/npm "@bacnet-js/client@3.3.2"'
ANALOG_OUTPUT, PRESENT_VALUE, PRIORITY_ARRAY, RELINQUISH_DEFAULT = 1, 85, 87, 104
CURVE = "mistral/substation/heating_curve_offset_k"
CHARGER = "parking/point-01/current_limit_a"
OUR_SLOT = 12
LOCAL_WITHIN_S = 120.0  # what is promised of a control process that is gone at once and for good


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-m", "ems", *arguments], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=30)


def until(process: subprocess.Popen[str], wanted: str, timeout_s: float = 300.0) -> str:
    """What a process says on standard error up to a line that holds `wanted`."""
    assert process.stderr is not None
    said, deadline = "", time.monotonic() + timeout_s
    while wanted not in said:
        left = deadline - time.monotonic()
        assert left > 0 and _line_waits(process.stderr, left), f"{wanted!r} was not said within {timeout_s:g} s: {said}"
        line = process.stderr.readline()
        assert line, f"ended before it said {wanted!r}: {said}"
        said += line
    return said


def _line_waits(stream: IO[str], timeout_s: float) -> bool:
    return bool(select.select([stream], [], [], timeout_s)[0])


@dataclass(frozen=True)
class Outsiders:
    """A BACnet stack in TypeScript and mbpoll, which share no code with ours, and the site that they look at."""

    node: str
    mbpoll: str
    wires: Mapping[str, Wire]
    site: Site
    place: tuple[str, ...]

    def curve(self) -> tuple[list[Any], float, float]:
        """The heating curve's priority array, present value and relinquish default."""
        wire = self.wires[CURVE]
        with subprocess.Popen(
            [self.node, "tests/bms/bacnet_client.js", f"127.{NETWORK}.255.9", "47999"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NODE_PATH": str(MODULES.absolute())},
        ) as client:
            assert client.stdin is not None and client.stdout is not None and wire.object_id is not None
            place = {"address": wire.bus.address, "object": [ANALOG_OUTPUT, wire.object_id[1]]}
            found = []
            for number in (PRIORITY_ARRAY, PRESENT_VALUE, RELINQUISH_DEFAULT):
                order = {"do": "read", **place, "property": number}
                client.stdin.write(json.dumps(order) + "\n")
                client.stdin.flush()
                assert _line_waits(client.stdout, 20), f"no answer to {order}"
                found.append([item["value"] for item in json.loads(client.stdout.readline())["found"]])
            client.stdin.close()
        slots, present, default = found
        return slots, present[0], default[0]

    def limit_a(self) -> float:
        """The charge point's limit, which its register holds in mA."""
        charger = self.wires[CHARGER]
        line = [self.mbpoll, "-m", "tcp", "-p", str(charger.bus.port), "-0", "-1", "-q", "-a", str(charger.device.unit)]
        line += ["-t", "4:int", "-B", "-r", "16398", charger.bus.host]
        said = subprocess.run(line, capture_output=True, text=True, timeout=20, check=False).stdout
        return int(re.findall(r"\[16398\]:\s+(\d+)", said)[0]) / 1000


@pytest.fixture
def outsiders(small_district: Path, tmp_path: Path, needs_program: Callable[[str, str], str]) -> Outsiders:
    mbpoll = needs_program("mbpoll", "apt-get install mbpoll")
    node = needs_program("node", "apt-get install nodejs")
    if not (MODULES / "@bacnet-js" / "client").is_dir():
        absence(f"the BACnet client for node is not in var/npm; install it with: {INSTALL}")
    site = Site(tmp_path / "site")
    site.folder.mkdir()
    place = ("--buildings", str(small_district), "--network", str(NETWORK))
    return Outsiders(node, mbpoll, relocate(read_district(small_district), NETWORK).wires, site, place)


def children(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_others_see_local_control_after_supervisor_and_control_are_killed(outsiders: Outsiders) -> None:
    site, place = outsiders.site, outsiders.place
    with started("district", *place, "--weather-file", str(site.weather_file)) as district:
        until(district, "answer on loopback")
        with started("run", *place, "--folder", str(site.folder), "--port", "0") as supervisor:
            until(supervisor, "set points confirmed so far")
            slots, _, _ = outsiders.curve()
            assert slots[OUR_SLOT - 1] is not None
            [control] = children(supervisor.pid)
            supervisor.kill()  # first, or it would start another one
            os.kill(control, signal.SIGKILL)
        deadline = time.monotonic() + LOCAL_WITHIN_S
        while True:
            slots, present, default = outsiders.curve()
            local = slots == [None] * 16 and present == default and outsiders.limit_a() == 10.0
            if local or time.monotonic() > deadline:
                break
            time.sleep(1.0)
        assert local, (slots, present, outsiders.limit_a())


def test_others_see_what_we_command_and_that_we_let_go(outsiders: Outsiders) -> None:
    site, place = outsiders.site, outsiders.place
    with started("district", *place, "--weather-file", str(site.weather_file)) as district:
        until(district, "answer on loopback")
        with started("run", *place, "--folder", str(site.folder), "--port", "0") as run:
            until(run, "set points confirmed so far")
            with Store.read_only(site.store_url) as store:
                commanded = store.journal.last_confirmed()
            slots, present, _ = outsiders.curve()
            assert slots[OUR_SLOT - 1] == present == commanded[CURVE]
            assert [value for i, value in enumerate(slots) if i != OUR_SLOT - 1] == [None] * 15
            assert outsiders.limit_a() == commanded[CHARGER]
            run.send_signal(signal.SIGINT)
            assert "given back to local control" in until(run, "given back", timeout_s=30)
            assert run.wait(timeout=30) == 0
        assert district.poll() is None
        slots, present, default = outsiders.curve()
        assert slots == [None] * 16
        assert present == default == 0
        assert outsiders.limit_a() == 10.0  # the charge point's own fail-safe current
        with Store.read_only(site.store_url) as store:
            assert store.journal.standing() == []


def test_others_see_that_a_shadow_commands_nothing(outsiders: Outsiders) -> None:
    site, place = outsiders.site, outsiders.place
    with started("district", *place, "--weather-file", str(site.weather_file)) as district:
        until(district, "answer on loopback")
        with started("run", *place, "--folder", str(site.folder), "--port", "0", "--shadow") as run:
            until(run, "set points withheld so far")
            slots, present, default = outsiders.curve()
            assert slots == [None] * 16 and present == default == 0
            assert outsiders.limit_a() == 10.0  # the charge point's own current
            run.send_signal(signal.SIGINT)
            assert run.wait(timeout=60) == 0
    with Store.read_only(site.store_url) as store:
        assert store.journal.standing() == []
        record = store.last_decision()
        assert record is not None and record["shadow"] and record["sent"]
