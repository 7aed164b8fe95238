"""A train of questions on one connection: one in flight, each answer checked against its own.

The next question leaves in the callback that received the last answer: no task wakes up between them, and a sweep of
hundreds of connections needs none at all. What a transport adds is how a question leaves, and what it does when one
was not answered.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from ems.bms.frames import Malformed, Question, Refusal
from ems.bms.rtu import Order


class Silence(Exception):  # noqa: N818 - what it is, not what went wrong
    """No answer in time, or a connection that ended."""


Answer = bytes | Refusal | Malformed | Silence
Asked = Question | Order  # orders on serial lines only
Ended = Callable[[list[Answer]], None]


class Train(ABC):
    """Ask with `ask`, one train at a time, or with `begin` where nobody waits."""

    def __init__(self, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._asked: Sequence[Asked] = ()
        self._answers: list[Answer] = []
        self._ended: Ended | None = None  # of the running train
        self._deadline = 0.0  # of the running question
        self._watch: asyncio.TimerHandle | None = None

    # What a transport adds

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether a question can leave."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it at once; a train under way ends with silence."""

    @abstractmethod
    def _send(self) -> None:
        """Send the question after the last answer, and set its deadline."""

    @abstractmethod
    def _gave_up(self) -> None:
        """A question was not answered, or not well: see that nothing late meets the next one."""

    # What they share

    def begin(self, asked: Sequence[Asked], ended: Ended) -> None:
        """Ask without waiting: `ended` is called, once, with the answers up to the first silent or malformed one.

        After such a one the rest of the train was not asked. `ended` is called from within the arrival of the last
        answer, or at once where there is nothing to ask or nobody to be asked.
        """
        assert self._ended is None, "one train at a time"
        self._asked, self._answers = asked, []
        if not asked or not self.is_open:
            ended([Silence("the connection is closed")] if asked else [])
            return
        self._ended = ended
        self._send()
        if self._watch is None and self._ended is not None:
            self._watch = self._loop.call_at(self._deadline, self._look)

    async def ask(self, asked: Sequence[Asked]) -> list[Answer]:
        """The same for somebody who waits."""
        done: asyncio.Future[list[Answer]] = self._loop.create_future()
        self.begin(asked, lambda answers: None if done.done() else done.set_result(answers))
        try:
            return await done
        except BaseException:  # cancelled: what is under way must not meet the next question
            self._end(Silence("nobody waits any more"))
            raise

    def _take(self, found: bytes | Refusal | Malformed) -> None:
        """The answer to the running question."""
        if isinstance(found, Malformed):
            self._end(found)
            return
        self._answers.append(found)
        if len(self._answers) < len(self._asked):
            self._send()
        else:
            self._end(None)

    def _look(self) -> None:
        """The one timer of a connection: it lives on between trains, for it looks what there is to wait for."""
        self._watch = None
        if self._ended is None:
            return
        if (left := self._deadline - self._loop.time()) > 0.001:
            self._watch = self._loop.call_later(left, self._look)
        else:
            self._end(Silence("no answer in time"))

    def _end(self, last: Answer | None) -> None:
        """The train is through; with `last`, it stopped there."""
        ended, self._ended = self._ended, None
        if last is not None:
            self._gave_up()
        if ended is not None:
            if last is not None:
                self._answers.append(last)
            ended(self._answers)

    def _rest(self) -> None:
        """No timer any more."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
