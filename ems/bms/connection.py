"""One TCP connection to a Modbus gateway: a train of questions, one in flight, each answer checked against its own.

The next question leaves in the callback that received the last answer: no task wakes up between them. A connection
that fell silent, broke or was given a malformed answer is closed, so that nothing late can meet a later question;
transaction numbers go on in the next one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from ems.bms.frames import BrokenStreamError, Malformed, Question, Refusal, Stale, answer, frame_length


class Silence(Exception):  # noqa: N818 - what it is, not what went wrong
    """No answer in time, or a connection that ended."""


Answer = bytes | Refusal | Malformed | Silence


class Transactions:
    """Numbers of questions, never the same twice within 65 536, across the connections of one gateway."""

    def __init__(self) -> None:
        self._last = random.getrandbits(16)

    def next(self) -> int:
        self._last = self._last + 1 & 0xFFFF
        return self._last


class Connection(asyncio.Protocol):
    """Open it with `connect`; ask with `ask`, one train at a time."""

    def __init__(self, transactions: Transactions, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._transactions = transactions
        self._timeout_s = timeout_s
        self._transport: asyncio.Transport | None = None
        self._train: Sequence[Question] = ()
        self._answers: list[Answer] = []
        self._buffer = bytearray()
        self._transaction = -1
        self._deadline = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[None] | None = None

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
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, train: Sequence[Question]) -> list[Answer]:
        """The answers in the order of the questions, up to the first that is silence or malformed.

        After such a one the connection is closed and the rest of the train was not asked.
        """
        assert self._done is None, "one train at a time"
        self._train, self._answers = train, []
        if not train:
            return []
        if not self.is_open:
            return [Silence("the connection is closed")]
        self._done = self._loop.create_future()
        self._send()
        self._watch = self._loop.call_later(self._timeout_s, self._look)
        try:
            await self._done
        except BaseException:  # cancelled: what is under way must not meet the next question
            self.close()
            raise
        finally:
            self._done = None
            self._watch.cancel()
        return self._answers

    # Inside

    def _send(self) -> None:
        assert self._transport is not None
        self._transaction = self._transactions.next()
        self._deadline = self._loop.time() + self._timeout_s
        self._transport.write(self._train[len(self._answers)].frame(self._transaction))

    def _look(self) -> None:
        """The one timer of a train: it looks again when the running question's time is up."""
        if self._done is None or self._done.done():
            return
        if (left := self._deadline - self._loop.time()) > 0.001:
            self._watch = self._loop.call_later(left, self._look)
        else:
            self._end(Silence("no answer in time"))

    def _end(self, last: Answer | None) -> None:
        """The train is through; with `last`, it stopped there and the connection goes with it."""
        if last is not None:
            self.close()
            if self._done is not None and not self._done.done():
                self._answers.append(last)
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
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
                if not self._take(whole):
                    return
        except BrokenStreamError as fault:
            self._end(Silence(str(fault)))
            return
        if frame is not self._buffer:
            self._buffer = bytearray(frame)

    def _take(self, frame: bytes | bytearray) -> bool:
        """One whole frame. False when the connection went with it."""
        if self._done is None or self._done.done():
            return True  # nobody asks: an answer that comes by itself answers nothing
        found = answer(frame, self._transaction, self._train[len(self._answers)])
        if isinstance(found, Stale):
            return True
        if isinstance(found, Malformed):
            self._end(found)
            return False
        self._answers.append(found)
        if len(self._answers) < len(self._train):
            self._send()
        else:
            self._end(None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Silence("the connection ended" if exc is None else f"the connection ended: {exc}"))
