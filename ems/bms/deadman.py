"""The dead-man: a small process of its own that gives the field back when the control process is gone.

It shares nothing with the control process but a file and a pipe: this file imports nothing of `ems` and is run by its
path. The control process mirrors its standing commands into the file, fsynced, before a device hears of them; each with
the very bytes that take it back and the answer a device owes. Over the pipe comes a beat every second. When the pipe
closes (a kill closes it at once) or no beat comes for `hang_s`, everything in the file is taken back, again and again
until each device has answered, `rounds` times at most. A file of another owner is left alone: then somebody else leads.

    python deadman.py FILE OWNER HANG_S ROUNDS < pipe
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

TIMEOUT_S = 1.0
SILENCE_S = 0.05  # longer than 3.5 characters at 1200 baud
PAUSE_S = 2.0  # between two rounds, for devices that did not answer
GOODBYE = b"q"

Entries = Sequence[dict[str, Any]]


def watch(beats: int, hang_s: float, heard: Callable[[], None] = lambda: None) -> str:
    """Waits until the other end falls silent. Tells why: `ended`, `hung`, or `goodbye` when all was given back.

    `heard` is called after each beat.
    """
    while True:
        ready, _, _ = select.select([beats], [], [], hang_s)
        if not ready:
            return "hung"
        data = os.read(beats, 4096)
        if not data:
            return "ended"
        if GOODBYE in data:
            return "goodbye"
        heard()


def standing(path: Path, owner: str, known: Entries = ()) -> list[dict[str, Any]]:
    """What the file says stands in devices; nothing when it is another's, and what was `known` when it is gone."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return list(known)
    if content["owner"] != owner:
        return []
    found: list[dict[str, Any]] = content["standing"]
    return found


def store(path: Path, owner: str, left: list[dict[str, Any]]) -> None:
    """Puts the file in place whole or not at all, and on the disk before it returns."""
    torn = path.with_suffix(f".{os.getpid()}.tmp")
    with torn.open("w") as file:
        json.dump({"owner": owner, "standing": left}, file)
        file.flush()
        os.fsync(file.fileno())
    torn.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def serial_port(entry: dict[str, Any]) -> Iterator[int]:
    """A serial port as its bus is set. Raises OSError, and termios.error, which is none."""
    line = os.open(entry["host"], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        mode = termios.CS8 | termios.CREAD | termios.CLOCAL
        mode |= {"none": 0, "even": termios.PARENB, "odd": termios.PARENB | termios.PARODD}[entry["parity"]]
        mode |= termios.CSTOPB if entry["stop_bits"] == 2 else 0
        speed = getattr(termios, f"B{entry['port']}")
        termios.tcsetattr(line, termios.TCSANOW, [0, 0, mode, 0, speed, speed, termios.tcgetattr(line)[6]])
        yield line
    finally:
        os.close(line)


def take_back_on_line(entry: dict[str, Any]) -> bool:
    """The same over a serial line, after a silence that ends whatever frame was cut off."""
    owed, answer = bytes.fromhex(entry["owed"]), b""
    try:
        with serial_port(entry) as line:
            time.sleep(SILENCE_S)
            termios.tcflush(line, termios.TCIFLUSH)
            os.write(line, bytes.fromhex(entry["request"]))
            while len(answer) < len(owed) and select.select([line], [], [], TIMEOUT_S)[0]:
                part = os.read(line, 1024)
                if not part:
                    return False
                answer += part
    except (OSError, termios.error, AttributeError):
        return False
    return answer[: len(owed)] == owed


def take_back(entry: dict[str, Any]) -> bool:
    """Sends the bytes that take a command back. Whether the device answered what it owes."""
    if entry["transport"] == "serial":
        return take_back_on_line(entry)
    kind = socket.SOCK_DGRAM if entry["transport"] == "udp" else socket.SOCK_STREAM
    owed = bytes.fromhex(entry["owed"])
    try:
        with socket.socket(socket.AF_INET, kind) as line:
            line.settimeout(TIMEOUT_S)
            line.connect((entry["host"], entry["port"]))
            line.sendall(bytes.fromhex(entry["request"]))
            answer = b""
            while len(answer) < len(owed):
                part = line.recv(1024)
                if not part:
                    return False
                answer += part
            return answer[: len(owed)] == owed
    except OSError:
        return False


def take_all_back(path: Path, owner: str, rounds: int, known: Entries = ()) -> tuple[int, int]:
    """Rounds over what stands until nothing does. How many were taken back, and how many could not be.

    `known` is what the file last said, should its disk be gone: one cause may have ended it and the control process.
    A file that cannot be written, as on a full disk, ends no round: what is left is known here.
    """
    done = 0
    left = in_file = standing(path, owner, known)
    while left:
        silent: set[tuple[str, int]] = set()  # one silence of a gateway is enough for a round
        missed = []
        for entry in left:
            where = (entry["host"], entry["port"])
            if where not in silent and take_back(entry):
                done += 1
            else:
                silent.add(where)
                missed.append(entry)
        if standing(path, owner, in_file) != in_file:
            return done, 0  # somebody leads again: what stands now is theirs
        with contextlib.suppress(OSError):
            store(path, owner, missed)
            in_file = missed
        rounds -= 1
        if not missed or rounds <= 0:
            return done, len(missed)
        time.sleep(PAUSE_S)
        found = standing(path, owner, in_file)
        left, in_file = missed if found == in_file else found, found
    return done, 0


def main(path: Path, owner: str, hang_s: float, rounds: int) -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # it ends with the process that it watches, not with the terminal
    beats, known = sys.stdin.fileno(), standing(path, owner)

    def look() -> None:
        nonlocal known
        known = standing(path, owner, known)

    while (why := watch(beats, hang_s, look)) != "goodbye":
        done, missed = take_all_back(path, owner, rounds, known)
        line = {"why": why, "taken_back": done, "unanswered": missed}
        with contextlib.suppress(OSError), path.with_name("deadman.log").open("a") as log:
            log.write(json.dumps(line) + "\n")
        if why == "ended":
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
