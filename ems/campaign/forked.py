"""Real processes for kills and rivals: forked warm, one quarter-hour each, with the devices in the parent.

The child has the real loop and the real store; its bus is a socket to the parent, whose plant outlives every child and
sees every write. A child ends, or stops itself, exactly where it is told.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from mmap import mmap
from pathlib import Path
from typing import Any

from ems.bms import Field, Patience
from ems.bms.line import Line
from ems.campaign.course import SETTINGS, START
from ems.campaign.life import Life, VirtualLine, open_store
from ems.campaign.planners import STUB_HORIZON, StubPlanner
from ems.campaign.plant import Plant
from ems.campaign.time import SlotBell, SteppedClock, VirtualLoop, run_virtually
from ems.campaign.trouble import Troubles
from ems.command import Command
from ems.district import Bus, District, Wire
from ems.loop.control import Control
from ems.loop.events import Settings
from ems.slots import SLOT, slot_number
from ems.store import LeadershipLost

LEASE = timedelta(seconds=60)
FENCED, FAILED = 3, 4  # exit codes of a child that was told it leads no longer, and of one with an error


class SignalledLife(Life):
    """A life that sends itself a signal at a step: SIGKILL to end there, SIGSTOP to freeze there."""

    def __init__(self, number: int, at: int | None, with_signal: int = signal.SIGKILL) -> None:
        super().__init__(number)
        self.at = at
        self.with_signal = with_signal

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            os.kill(os.getpid(), self.with_signal)


class FarPlant:
    """The plant as a child reaches it: one question, one answer."""

    def __init__(self, wire: socket.socket, beats: Sequence[str]) -> None:
        self._wire = wire
        self.beats = dict.fromkeys(beats)
        self.manual: dict[str, float] = {}  # nobody holds anything here

    def _ask(self, *question: Any) -> Any:
        _send(self._wire, question)
        return _receive(self._wire)

    def present(self, point: str) -> float:
        return float(self._ask("present", point))

    def release(self, point: str) -> float:
        return float(self._ask("release", point))

    def write(self, command: Command, life: int, *, believed: bool = True) -> None:
        self._ask("write", command, life)

    def beat(self, point: str, value: float) -> None:
        self._ask("beat", point, value)


@dataclass
class Timer:
    """Real time of all processes of a round, in shared memory: it moves when the campaign says so."""

    memory: mmap

    def now_s(self) -> float:
        return float(struct.unpack("d", self.memory[:8])[0])

    def move(self, seconds: float) -> None:
        self.memory[:8] = struct.pack("d", self.now_s() + seconds)

    def real(self) -> datetime:
        return START + timedelta(seconds=self.now_s())

    now = real


class Round:
    """One quarter-hour of one small district, lived by several processes one after another or at once."""

    def __init__(self, district: District, folder: Path, seed: int) -> None:
        self.district = district
        self.folder = folder
        self.seed = seed
        self.at = START + SLOT
        self.plant = Plant(district, START, random.Random(seed))
        self.plant.advance(self.at)
        self.timer = Timer(mmap(-1, 8))
        self._wires: dict[int, socket.socket] = {}

    @property
    def slot(self) -> int:
        return slot_number(self.at)

    def fork(self, life: SignalledLife) -> int:
        """Starts a process that lives one quarter-hour. Returns its number; `serve` answers its questions."""
        mine, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            mine.close()
            os._exit(self._live(life, theirs))
        theirs.close()
        self._wires[pid] = mine
        return pid

    def serve(self, pid: int) -> int:
        """Is the devices until the process ends or stops; returns its wait status."""
        wire = self._wires[pid]
        while True:
            wire.settimeout(0.002)
            try:
                question = _receive(wire)
            except TimeoutError:
                found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
                if found:
                    return status
                continue
            except EOFError:
                _, status = os.waitpid(pid, os.WUNTRACED)
                return status
            wire.settimeout(None)
            what, *rest = question
            answer = getattr(self.plant, what)(*rest)
            try:
                _send(wire, answer)
            except BrokenPipeError:
                continue

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()

    def _live(self, life: SignalledLife, wire: socket.socket) -> int:
        """In the child."""
        loop = VirtualLoop()
        loop.passed_s = (self.at - START).total_seconds()
        try:
            run_virtually(self._cycle(life, FarPlant(wire, list(self.plant.beats)), loop), loop)
        except LeadershipLost:
            return FENCED
        except BaseException:
            import traceback

            traceback.print_exc()
            return FAILED
        return 0

    async def _cycle(self, life: SignalledLife, plant: Any, loop: VirtualLoop) -> None:
        clock = SteppedClock(loop, START)

        def line_of(bus: Bus, wires: Sequence[Wire], patience: Patience) -> Line:
            return VirtualLine(bus, wires, patience, plant, Troubles([]), life)

        store = open_store(self.folder, life, [], lambda concern: None)
        field = Field(self.district.wires, patience=Patience(60.0, 300.0), line_of=line_of)
        control = Control(
            self.district,
            field_link=field,
            store=store,
            planner=StubPlanner(self.district, self.seed, life.number),
            clock=clock,
            bell=SlotBell(clock),
            settings=Settings(
                owner=f"life {life.number}",
                horizon_slots=STUB_HORIZON,
                **{**SETTINGS, "lease": LEASE},  # type: ignore[arg-type]
            ),
            real=self.timer,
            elapsed=self.timer.now_s,
        )
        await control.start()
        await control.tick(clock.now())
        if control.lost is not None:
            raise control.lost
        await asyncio.sleep(0)


def _send(wire: socket.socket, content: Any) -> None:
    data = pickle.dumps(content)
    wire.sendall(struct.pack("<I", len(data)) + data)


def _receive(wire: socket.socket) -> Any:
    """The next message; TimeoutError when none has begun, EOFError when the other side is gone."""
    head = _exactly(wire, 4, may_wait=True)
    return pickle.loads(_exactly(wire, struct.unpack("<I", head)[0], may_wait=False))


def _exactly(wire: socket.socket, count: int, *, may_wait: bool) -> bytes:
    data = b""
    while len(data) < count:
        try:
            part = wire.recv(count - len(data))
        except ConnectionResetError as error:
            raise EOFError from error
        except TimeoutError:
            if may_wait and not data:
                raise
            continue
        if not part:
            raise EOFError
        data += part
    return data


Report = Callable[[str], None]
