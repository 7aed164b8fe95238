"""The whole way of a decision on real sockets, as a person starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

# Each test that starts a district takes a loopback network of its own.
DEMO, REPLAY = 41, 42


def ems(*arguments: str, timeout_s: float = 280) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ems", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )


def last_line(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert finished.returncode == 0, finished.stderr[-4000:]
    figures: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return figures


def test_four_cycles_headless(tmp_path: Path) -> None:
    finished = ems(
        "demo", "--headless", "--cycles", "4", "--speed", "max", "--json",
        "--network", str(DEMO), "--folder", str(tmp_path),
    )  # fmt: skip
    figures = last_line(finished)
    assert figures["plans"] == 4
    assert figures["setpoints_written"] >= 200
    assert figures["setpoints_confirmed"] == figures["setpoints_written"]
    assert figures["bad_quality"] == 0
    assert figures["fallbacks"] == 0
    assert figures["points_read"] >= 4000
    assert figures["dwellings"] == 385
    assert figures["buildings"] == 17
    assert figures["bacnet_devices"] >= 15
    assert figures["modbus_units"] >= 400
    assert figures["readings_stored"] > 4 * 4000
    assert figures["relinquished_at_exit"] > 0
    assert "given back to local control" in finished.stderr


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    finished = ems(
        "demo", "--scenario", "scenarios/replay", "--headless", "--cycles", "1", "--speed", "max",
        "--data", str(tmp_path / "nowhere"), "--folder", str(tmp_path), "--network", str(REPLAY), "--history-days", "0",
    )  # fmt: skip
    assert finished.returncode != 0
    assert "nowhere" in finished.stderr
    assert "Traceback" not in finished.stderr
