"""Live values: one message to each page when something is measured, however often pages come and go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from ems.district import District
from ems.points import Quality, Sample
from ems.store import Store
from ems.web import create_app
from ems.web.ticks import BEHIND, _say
from tests.web.minute import NOW, samples
from tests.web.serving import served


def apart(work: Coroutine[Any, Any, None]) -> None:
    """Run in a thread of its own: the browser's driver keeps an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def measured(store: Store, district: District, celsius: float) -> None:
    point = next(p for p in district.wires if p.endswith("/outdoor_temperature_c"))
    store.save_latest({point: Sample(celsius, Quality.GOOD, NOW)})


async def next_message(lines: AsyncIterator[str]) -> dict[str, str]:
    async for line in lines:
        if line.startswith("data: "):
            found: dict[str, str] = json.loads(line.removeprefix("data: "))
            return found
    raise AssertionError("the stream ended")


def test_one_message_a_tick_after_three_waves_of_reconnecting(tmp_path: Path, district: District) -> None:
    url = f"sqlite:///{tmp_path}/site.db"

    async def listen(address: str, store: Store) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=20) as client:
            for _ in range(3):  # come and go
                async with AsyncExitStack() as wave:
                    for _ in range(10):
                        await wave.enter_async_context(client.stream("GET", "/live"))
            async with AsyncExitStack() as stack:
                streams = [await stack.enter_async_context(client.stream("GET", "/live?lang=en")) for _ in range(5)]
                assert all(s.headers["content-type"].startswith("text/event-stream") for s in streams)
                assert all("content-encoding" not in s.headers for s in streams)  # squeezing each costs memory
                lines = [s.aiter_lines() for s in streams]
                for celsius in (11.0, 12.0, 13.0):  # were there two tellers, an old value would come again
                    await asyncio.to_thread(measured, store, district, celsius)
                    told = await asyncio.gather(*(next_message(line) for line in lines))
                    assert {one["outdoors"] for one in told} == {f"{celsius:.1f}\u00a0°C"}

    with Store.open(url) as store:
        store.save_latest(samples(district))
        with served(create_app(url, lambda: NOW, district, live_every_s=0.2)) as address:
            apart(listen(address, store))


def test_a_page_that_does_not_keep_up_is_let_go() -> None:
    async def go() -> None:
        queue: asyncio.Queue[dict[str, str] | None] = asyncio.Queue(BEHIND)
        assert all(_say(queue, {"fr": "{}"}) for _ in range(BEHIND))
        assert not _say(queue, {"fr": "{}"})
        assert queue.get_nowait() is None

    apart(go())


@pytest.mark.parametrize("language", ["fr", "en"])
def test_an_open_page_shows_what_is_measured(
    browser: Browser, tmp_path: Path, district: District, language: str
) -> None:
    url = f"sqlite:///{tmp_path}/site.db"
    with Store.open(url) as store:
        store.save_latest(samples(district))
        with served(create_app(url, lambda: NOW, district, live_every_s=0.1)) as address:
            page = browser.new_page()
            with page.expect_response(lambda answer: "/live" in answer.url):
                page.goto(f"{address}/?lang={language}")
            measured(store, district, -3.25)
            page.get_by_text("−3,2\u00a0°C" if language == "fr" else "−3.2\u00a0°C").wait_for(timeout=20_000)
            page.close()
