"""The supervisor: starts the control process, and starts it again when it ends or falls silent.

It knows nothing of the district and imports little, so that there is little in it to fail. A child that tells no sign
of life within `silence` hangs, whatever its process table says, and is killed. Signals that end the supervisor are
passed on, and the child is given time to hand the devices back. A supervisor that is killed takes its child with it, as
politely: a loop that nobody ends when it hangs must not lead, and keeps its successor waiting for the lock.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ems.loop.alive import LEAVING, READY, STARTING, STILL_THERE, tell_supervisor

WRONG = 2  # exit code of a process that starting again cannot help: its configuration is wrong
BUSY = 75  # of one that the world keeps from working, as another leader or a held database does: later, perhaps


@dataclass(frozen=True)
class Patience:
    """How long to wait for what."""

    silence: timedelta = timedelta(minutes=10)  # longer than two answers of a planner that hangs
    leaving: timedelta = timedelta(minutes=2)
    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(minutes=1)


class Supervisor:
    """Keeps one command running until `stop`."""

    def __init__(self, command: Sequence[str], say: Callable[[str], None], patience: Patience | None = None) -> None:
        self.command = list(command)
        self.say = say
        self.patience = patience or Patience()
        self.restarts = 0
        self._stopping = asyncio.Event()
        self._heard = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> int:
        """Runs until `stop`, or until starting again cannot help. Returns the exit code of the last process."""
        with tempfile.TemporaryDirectory(prefix="ems-") as folder:
            address = Path(folder) / "alive"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ears:
                ears.bind(str(address))
                asyncio.get_running_loop().add_reader(ears, self._hear, ears)
                try:
                    return await self._keep_running({**os.environ, "NOTIFY_SOCKET": str(address)})
                finally:
                    asyncio.get_running_loop().remove_reader(ears)

    async def _keep_running(self, environment: dict[str, str]) -> int:
        pause = self.patience.first_pause
        while True:
            # A pipe that nothing goes through: it ends with us, however we end (`ems.loop.site.end_with_input`).
            process = await asyncio.create_subprocess_exec(
                *self.command, env=environment, stdin=asyncio.subprocess.PIPE, start_new_session=True
            )
            lived_well = await self._watch(process)
            code = process.returncode
            assert code is not None
            if self._stopping.is_set() or code in (0, WRONG):
                return code
            pause = self.patience.first_pause if lived_well else min(2 * pause, self.patience.longest_pause)
            self.restarts += 1
            self.say(f"the control process ended with {code}; it is started again in {pause.total_seconds():g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause.total_seconds())
                return code

    async def _watch(self, process: asyncio.subprocess.Process) -> bool:
        """Until the process ends. Returns whether it gave a sign of life."""
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        lived = False
        try:
            while not ended.done():
                heard = asyncio.create_task(self._heard.wait())
                done, _ = await asyncio.wait(
                    {ended, stopping, heard},
                    timeout=self.patience.silence.total_seconds(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                heard.cancel()
                if stopping in done:
                    await self._end(process, ended)
                elif heard in done:
                    self._heard.clear()
                    lived = True
                elif not done:
                    self.say(f"no sign of life for {self.patience.silence.total_seconds():g} s: it is killed")
                    process.kill()
                    await ended
        finally:
            stopping.cancel()
        return lived

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        tell_supervisor(LEAVING)
        done, _ = await asyncio.wait({ended}, timeout=self.patience.leaving.total_seconds())
        if not done:
            process.kill()
            await ended

    def _hear(self, ears: socket.socket) -> None:
        """Signs of life go on upwards: our own supervisor hears of us only while the child lives."""
        with suppress(BlockingIOError):
            while words := ears.recv(256).decode(errors="replace"):
                self._heard.set()
                if words in (READY, STARTING, STILL_THERE):
                    tell_supervisor(words)


async def supervised(command: Sequence[str], say: Callable[[str], None]) -> int:
    """Runs a command under a supervisor until Ctrl-C, a polite kill or a closed terminal."""
    supervisor = Supervisor(command, say)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, supervisor.stop)
    return await supervisor.run()
