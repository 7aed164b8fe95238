"""Answers that may be given again: while nothing they were made from has changed, a page need not be made twice.

What a page is made from is the two databases, whose every commit shows in their files, and the minute. So a kept page
is never older than the data, and a session that was ended opens nothing. Who holds the same page already is told so
(304) instead of being sent it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEEP = "x-keep"  # on an answer on its way out of a route: may be given again; never sent
MOST_BYTES = 16 * 1024 * 1024
ASKED_BY = ("cookie", "accept-language", "accept-encoding")  # what an answer depends on besides its address


def minute(instant: datetime) -> datetime:
    """The whole minute an instant lies in."""
    return instant.replace(second=0, microsecond=0)


@dataclass(frozen=True)
class Kept:
    """One answer as it went out."""

    state: Hashable
    headers: list[tuple[bytes, bytes]]
    body: bytes
    tag: bytes


class Shelf:
    """Keeps what routes allow, at most `MOST_BYTES` of it; what was asked for longest ago goes first.

    `state` tells what answers are made from; None when that cannot be told, and then nothing is kept.
    """

    def __init__(self, app: ASGIApp, state: Callable[[], Hashable], most_bytes: int = MOST_BYTES) -> None:
        self.app = app
        self.state = state
        self.most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._bytes = 0
        self._of: Hashable = None  # the state that everything kept is of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = (scope["scheme"], scope["path"], scope["query_string"], *(headers.get(name) for name in ASKED_BY))
        state = self._state()
        if state is not None and state != self._of:  # what was kept is told no more, and of nobody who was erased
            self._kept.clear()
            self._bytes, self._of = 0, state
        kept = self._kept.get(asked)
        if kept is not None and state is not None and kept.state == state:
            self._kept.move_to_end(asked)
            await _give(kept, headers, send)
            return
        await self._make(scope, receive, send, asked, state, headers)

    def _state(self) -> Hashable:
        try:
            return self.state()
        except Exception:  # the page itself will say what is wrong; it is not kept
            return None

    async def _make(
        self, scope: Scope, receive: Receive, send: Send, asked: Hashable, state: Hashable, headers: Headers
    ) -> None:
        start: Message | None = None
        parts: list[bytes] = []

        async def take(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                if KEEP.encode() in names:
                    start = message
                    return
            if start is None:
                await send(message)
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                kept = _kept(state, start, b"".join(parts))
                if state is not None and b"set-cookie" not in {name for name, _ in kept.headers}:
                    self._put(asked, kept)
                await _give(kept, headers, send)

        await self.app(scope, receive, take)

    def _put(self, asked: Hashable, kept: Kept) -> None:
        before = self._kept.pop(asked, None)
        self._bytes += len(kept.body) - (0 if before is None else len(before.body))
        self._kept[asked] = kept
        while self._bytes > self.most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.body)


def _kept(state: Hashable, start: Message, body: bytes) -> Kept:
    """An answer with its tag; a browser asks again each time, and no one between keeps it."""
    tag = b'"' + hashlib.sha256(body).hexdigest()[:24].encode() + b'"'
    ours = (KEEP.encode(), b"cache-control", b"etag")
    headers = [(name, value) for name, value in start["headers"] if name.lower() not in ours]
    headers += [(b"cache-control", b"private, no-cache"), (b"etag", tag)]
    return Kept(state, headers, body, tag)


async def _give(kept: Kept, headers: Headers, send: Send) -> None:
    known = headers.get("if-none-match", "").encode()
    if kept.tag in [one.strip().removeprefix(b"W/") for one in known.split(b",")]:
        bare = [(name, value) for name, value in kept.headers if name not in (b"content-length", b"content-type")]
        await send({"type": "http.response.start", "status": 304, "headers": bare})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.start", "status": 200, "headers": kept.headers})
    await send({"type": "http.response.body", "body": kept.body})
