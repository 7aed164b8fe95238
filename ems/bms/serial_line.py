"""A serial line with Modbus RTU: one question on it at a time, silence between frames, checksums looked at here.

A late answer carries no number that tells it from the right one. So a unit that did not answer in time is not asked
again before its answer, twice as late as allowed, would have come and been thrown away; whole frames of other units are
passed over. An answer later than that would be taken for one to another question of the same length: RTU cannot tell.
"""

from __future__ import annotations

import asyncio
import termios
from contextlib import suppress

import serial

from ems.bms import rtu
from ems.bms.frames import BrokenStreamError, Malformed, Stale
from ems.bms.train import Silence, Train
from ems.district import Bus

_PARITY = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


class SerialLine(Train):
    """Open it with `open`."""

    def __init__(self, port: serial.Serial, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self._port = port
        self._baud = port.baudrate
        self._buffer = bytearray()
        self._asking = False  # whether the running question has left
        self._quiet_from = self._loop.time()  # since when nothing was on the line
        self._late: dict[int, float] = {}  # until when a silent unit's answer may still come
        self._start: asyncio.TimerHandle | None = None
        self._loop.add_reader(port.fileno(), self._readable)

    @classmethod
    def open(cls, bus: Bus, timeout_s: float) -> SerialLine:
        """Raises OSError when the port is not there, not a terminal, or somebody else's."""
        settings = bus.serial
        assert settings is not None
        try:
            port = serial.Serial(
                settings.port, settings.baud, parity=_PARITY[settings.parity], stopbits=settings.stop_bits,
                timeout=0, write_timeout=0, exclusive=True,
            )  # fmt: skip
        except (termios.error, ValueError) as fault:  # it opens, and does not do what is asked of it
            raise OSError(f"{settings.port} cannot be set to {settings}: {fault}") from None
        port.reset_input_buffer()
        return cls(port, timeout_s)

    @property
    def is_open(self) -> bool:
        return bool(self._port.is_open)

    def close(self) -> None:
        self._rest()
        if self._start is not None:
            self._start.cancel()
        if self._port.is_open:
            self._loop.remove_reader(self._port.fileno())
            with suppress(OSError):
                self._port.close()
        self._end(Silence("the line was closed"))

    # Inside

    def _gave_up(self) -> None:
        """The line stays open; what comes late or in pieces is thrown away before the next question."""
        if len(self._answers) < len(self._asked):
            self._late[self._asked[len(self._answers)].unit] = self._loop.time() + self._timeout_s
        self._asking = False
        if self._start is not None:
            self._start.cancel()

    def _send(self) -> None:
        asked = self._asked[len(self._answers)]
        now = self._loop.time()
        self._asking = False
        waits_s = max(0.0, self._quiet_from + rtu.gap_s(self._baud) - now, self._late.pop(asked.unit, now) - now)
        frames_s = rtu.wire_s(len(rtu.frame(asked)) + rtu.answer_bytes(asked), self._baud)
        self._deadline = now + waits_s + frames_s + self._timeout_s
        self._start = self._loop.call_later(waits_s, self._speak)

    def _speak(self) -> None:
        """Send the running question, as soon as the line has been silent for long enough."""
        self._readable()  # what has come and nobody looked at: a late answer, while this process was away
        if self._ended is None:
            return
        now = self._loop.time()
        if (early_s := self._quiet_from + rtu.gap_s(self._baud) - now) > 0:
            if now < self._deadline:
                self._start = self._loop.call_later(early_s, self._speak)
            return  # else a line that never falls silent: the timer ends it
        question = rtu.frame(self._asked[len(self._answers)])
        self._buffer.clear()
        self._asking = True
        try:
            self._port.write(question)
        except OSError as fault:
            self._lost(fault)
            return
        self._quiet_from = now + rtu.wire_s(len(question), self._baud)

    def _readable(self) -> None:
        try:
            data = self._port.read(4096)
        except OSError as fault:
            self._lost(fault)
            return
        if data:
            self._quiet_from = max(self._quiet_from, self._loop.time())
        if not self._asking or self._ended is None:
            return  # nobody asks: late, or noise
        self._buffer += data
        try:
            while (length := rtu.frame_length(self._buffer)) is not None and len(self._buffer) >= length:
                whole = bytes(self._buffer[:length])
                del self._buffer[:length]
                found = rtu.answer(whole, self._asked[len(self._answers)])
                if isinstance(found, Stale):
                    continue
                self._asking = False  # what stands behind it is late, and thrown away before the next question
                self._take(found)
                return
        except BrokenStreamError as fault:
            self._end(Malformed(str(fault)))

    def _lost(self, fault: OSError) -> None:
        """The port is gone: an adapter that was pulled out."""
        self._end(Silence(f"the port is gone: {fault}"))
        self.close()
