"""Live values to open pages: one message to each when something was measured, by server-sent events.

One task looks for news and tells everybody, however often pages come and go. Who does not keep up loses the connection
and comes back by itself; nobody waits for anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ems.web.access import Permission
from ems.web.live import Live
from ems.web.pages import Pages, Visit
from ems.web.words import LANGUAGES, Words

MOST = 1000  # pages listening at once
BEHIND = 4  # messages that may wait for a slow page
SILENCE_S = 20.0  # after which a line goes out that says nothing, so that a dead page is noticed


class Ticks:
    """Adds the stream of live values."""

    def __init__(self, pages: Pages, look_every_s: float = 1.0) -> None:
        self.pages = pages
        self.look_every_s = look_every_s
        self.listening: set[asyncio.Queue[dict[str, str] | None]] = set()
        self._running = False
        pages.route("/live", Permission.EVERYBODY, self.listen)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the application runs, one task tells the news."""
        task = asyncio.create_task(self._tell())
        self._running = True
        try:
            yield
        finally:
            self._running = False
            task.cancel()
            for queue in list(self.listening):
                _say(queue, None)
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def listen(self, visit: Visit) -> Response:
        if not self._running or len(self.listening) >= MOST:
            raise HTTPException(503)
        stream = self._stream(visit.words.language)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _stream(self, language: str) -> AsyncIterator[str]:
        queue: asyncio.Queue[dict[str, str] | None] = asyncio.Queue(BEHIND)
        self.listening.add(queue)
        try:
            yield "retry: 5000\n\n"
            while True:
                try:
                    told = await asyncio.wait_for(queue.get(), SILENCE_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if told is None:
                    return
                yield f"data: {told[language]}\n\n"
        finally:
            self.listening.discard(queue)

    async def _tell(self) -> None:
        seen, told, fresh = self._state(), None, False
        while True:
            await asyncio.sleep(self.look_every_s)
            state = self._state()
            if (state == seen and not fresh) or not self.listening:
                continue
            # The database's log grows a moment before what it holds can be read: after a change, one look more.
            seen, fresh = state, state != seen
            news = await run_in_threadpool(self._news)
            if news == told:
                continue
            told = news
            for queue in list(self.listening):
                if not _say(queue, told):
                    self.listening.discard(queue)

    def _state(self) -> object:
        """What changes when something was measured; on PostgreSQL, whose files are not ours, the minute."""
        stamp = self.pages.store.stamp()
        return self.pages.now().replace(second=0, microsecond=0) if stamp is None else stamp

    def _news(self) -> dict[str, str]:
        """The live values as each language writes them."""
        live = Live(self.pages.district, self.pages.samples(), self.pages.now())
        told = {}
        for language in LANGUAGES:
            words = Words(language, self.pages.zone)
            values = {t.key: words.power(None if t.kw is None else abs(t.kw)) for t in live.totals()}
            outdoor = live.outdoor()
            if outdoor is not None:
                values["outdoors"] = words.value(outdoor.quantity, outdoor.value)
            told[language] = json.dumps(values, ensure_ascii=False)
        return told


def _say(queue: asyncio.Queue[dict[str, str] | None], told: dict[str, str] | None) -> bool:
    """False: it is full, and is told to end as soon as there is room."""
    try:
        queue.put_nowait(told)
    except asyncio.QueueFull:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
        return False
    return True
