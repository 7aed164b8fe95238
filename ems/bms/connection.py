"""One TCP connection to a Modbus gateway.

A connection that fell silent, broke or was given a malformed answer is closed, so that nothing late can meet a later
question; transaction numbers go on in the next one.
"""

from __future__ import annotations

import asyncio
import random

from ems.bms.frames import BrokenStreamError, Question, Stale, answer, frame_length
from ems.bms.train import Silence, Train


class Transactions:
    """Numbers of questions, never the same twice within 65 536, across the connections of one gateway."""

    def __init__(self) -> None:
        self._last = random.getrandbits(16)

    def next(self) -> int:
        self._last = self._last + 1 & 0xFFFF
        return self._last


class Connection(Train, asyncio.Protocol):
    """Open it with `connect`."""

    def __init__(self, transactions: Transactions, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self._transactions = transactions
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._transaction = -1
        self._head, self._length = b"", 0  # of the answer that is waited for

    @classmethod
    async def connect(cls, host: str, port: int, transactions: Transactions, timeout_s: float) -> Connection:
        """Raises OSError when the gateway does not take a connection in time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, made = await loop.create_connection(lambda: cls(transactions, timeout_s), host, port)
        except TimeoutError:
            raise OSError(f"{host}:{port} took no connection within {timeout_s:g} s") from None
        return made

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        self._rest()
        if self._transport is not None:
            self._transport.abort()

    def _gave_up(self) -> None:
        self.close()

    def _send(self) -> None:
        asked = self._asked[len(self._answers)]
        assert self._transport is not None and isinstance(asked, Question)
        self._transaction = self._transactions.next()
        self._deadline = self._loop.time() + self._timeout_s
        self._head, self._length = asked.head(self._transaction), asked.length
        self._transport.write(asked.frame(self._transaction))

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if len(data) == self._length and data.startswith(self._head) and not self._buffer and self._ended is not None:
            self._take(data[9:])  # nearly every answer: `answer` would say the same, and slower
            return
        frame: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            frame = self._buffer
        try:
            while (length := frame_length(frame)) is not None and len(frame) >= length:
                if len(frame) == length:
                    whole, frame = frame, b""
                else:
                    whole, frame = frame[:length], frame[length:]
                self._heard(whole)
                if not self.is_open:
                    return
        except BrokenStreamError as fault:
            self._end(Silence(str(fault)))
            return
        if frame is not self._buffer:
            self._buffer = bytearray(frame)

    def _heard(self, frame: bytes | bytearray) -> None:
        """One whole frame."""
        if self._ended is None:
            return  # nobody asks: an answer that comes by itself answers nothing
        asked = self._asked[len(self._answers)]
        assert isinstance(asked, Question)
        found = answer(frame, self._transaction, asked)
        if not isinstance(found, Stale):
            self._take(found)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Silence("the connection ended" if exc is None else f"the connection ended: {exc}"))
