"""What the pages weigh and cost: bytes of visits, paint against a blank page, answers a second against an empty route,
memory of listening pages, and how a loop beside the pages keeps its time while they are flooded.

python benchmarks/web.py [--json] [--clients 400]

Ratios are of one run on one machine; absolute times are not worth much on a shared one. Without chromium there is no
paint, and the figure is null.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from ems.district import District, read_district
from ems.points import Quality, Sample
from ems.store import People, Store
from ems.web.invitation import agree, invite
from tests.web.minute import NOW
from tests.web.serving import FLAGS, PARIS, chromium
from tests.web.weeks import HOME, fill

PROJECT = Path(__file__).parents[1]

# The pages in a process of their own, as they are served; the empty route answers within the same middleware.
SERVER = """
import gc
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
import uvicorn
from starlette.responses import PlainTextResponse, HTMLResponse
from ems.district import read_district
from ems.store import People
from ems.web import create_app
folder, port = Path(sys.argv[1]), int(sys.argv[2])
now = datetime.fromisoformat(sys.argv[3])
app = create_app(f"sqlite:///{folder}/site.db", lambda: now, read_district(Path("buildings")),
                 People.open(f"sqlite:///{folder}/people.db"), folder=folder, live_every_s=0.5)
async def empty():
    return PlainTextResponse("ok")
async def blank():
    return HTMLResponse("<!doctype html><html lang=fr><title>blank</title><p>blank</p>")
app.add_api_route("/empty", empty)
app.add_api_route("/blank", blank)
gc.set_threshold(50_000, 20, 50)  # as `ems web` does
os.nice(5)  # as well
uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
"""
FLOOD = """
import asyncio, contextlib, sys
import httpx
async def go():
    async with httpx.AsyncClient(base_url=sys.argv[1], timeout=60) as client:
        async def ask(i):
            for n in range(100_000):
                with contextlib.suppress(httpx.HTTPError):
                    await client.get(f"/?n={i}-{n}")
        await asyncio.gather(*(ask(i) for i in range(20)))
asyncio.run(go())
"""


@contextlib.contextmanager
def server(folder: Path, port: int) -> Iterator[tuple[str, int]]:
    """Address and process number of the pages."""
    command = [sys.executable, "-c", SERVER, str(folder), str(port), NOW.isoformat()]
    process = subprocess.Popen(command, cwd=PROJECT)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{address}/empty", timeout=1)
                break
            time.sleep(0.1)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)


def signed_in(address: str, code: str) -> httpx.Client:
    client = httpx.Client(base_url=address, headers={"accept-encoding": "gzip"}, timeout=30)
    token = client.get("/sign-in").text.split('name="token" value="')[1].split('"')[0]
    client.post("/sign-in", data={"token": token, "code": code})
    return client


def wire_bytes(response: httpx.Response) -> int:
    """Status line, headers and body as sent."""
    head = sum(len(k) + len(v) + 4 for k, v in response.headers.raw) + 20
    return head + int(response.headers.get("content-length", 0))


def first_visit(client: httpx.Client, path: str) -> tuple[int, int]:
    """(bytes over the wire, requests) of somebody who was never here."""
    page = client.get(path)
    files = sorted(set(re.findall(r'"(/static/[^"]+\.(?:css|js|svg))"', page.text)))
    return wire_bytes(page) + sum(wire_bytes(client.get(f)) for f in files), 1 + len(files)


def return_visit(client: httpx.Client, path: str) -> int:
    """Bytes when the page did not change; its files are kept for ever."""
    tag = client.get(path).headers["etag"]
    answer = client.get(path, headers={"if-none-match": tag})
    assert answer.status_code == 304, answer.status_code
    return wire_bytes(answer)


def rate(client: httpx.Client, paths: list[str], seconds: float) -> float:
    """Answers a second to one client that asks one after the other."""
    count, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        client.get(paths[count % len(paths)])
        count += 1
    return count / (time.perf_counter() - begun)


def ratios(client: httpx.Client, seconds: float) -> dict[str, float]:
    """Answers a second against the empty route, alternating so that the machine's moods hit all alike."""
    day = [(NOW.date() - timedelta(days=d + 1)).isoformat() for d in range(35)]
    kept, made, empty = [], [], []
    asked = 0
    for _ in range(5):
        empty.append(rate(client, ["/empty"], seconds))
        client.get("/my-home")
        kept.append(rate(client, ["/my-home"], seconds))
        fresh = [f"/my-home/day/{day[i % len(day)]}?lang=fr&n={asked + i}" for i in range(2000)]
        made.append(rate(client, fresh, seconds))
        asked += 2000
    median = statistics.median(empty)
    return {
        "cached_vs_empty_route": round(statistics.median(kept) / median, 2),
        "uncached_vs_empty_route": round(statistics.median(made) / median, 2),
        "empty_route_per_s": round(median),
    }


def memory_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    assert found is not None
    return int(found[1])


async def listening(address: str, pid: int, folder: Path, district: District, clients: int) -> dict[str, Any]:
    """KiB of the server per listening page, and messages per tick after three waves of reconnecting."""

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /live?lang=fr HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, br, zstd\r\n\r\n")
        await writer.drain()
        await reader.readuntil(b"retry: 5000")
        return reader, writer

    async def wave(count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        found = []
        for begin in range(0, count, 50):
            found += await asyncio.gather(*(connect() for _ in range(min(50, count - begin))))
        return found

    before = memory_kib(pid)
    per_client = []
    for _ in range(3):
        pages = await wave(clients)
        per_client.append((memory_kib(pid) - before) / clients)
        for _, writer in pages:
            writer.close()
        await asyncio.sleep(0.5)
    pages = await wave(clients)
    point = next(p for p in district.wires if p.endswith("/outdoor_temperature_c"))
    received = [0] * clients

    async def count(i: int, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            received[i] += line.startswith(b"data: ")

    counting = [asyncio.create_task(count(i, reader)) for i, (reader, _) in enumerate(pages)]
    ticks = 5
    with Store.open(f"sqlite:///{folder}/site.db") as store:
        for i in range(ticks):
            await asyncio.to_thread(store.save_latest, {point: Sample(10.0 + i, Quality.GOOD, NOW)})
            deadline = time.monotonic() + 60
            while min(received) <= i and time.monotonic() < deadline:  # a loaded machine takes its time
                await asyncio.sleep(0.1)
            await asyncio.sleep(1)  # in which a second message for the same tick would come
    for task in counting:
        task.cancel()
    for _, writer in pages:
        writer.close()
    return {
        "sse_kib_per_client": round(max(per_client), 1),
        "sse_messages_per_tick": [min(received) / ticks, max(received) / ticks],
        "sse_clients": clients,
    }


def jitter_ms(address: str, seconds: float) -> dict[str, float]:
    """How late a loop that wakes every 20 ms in a process of its own is, at rest and while the pages are flooded."""
    program = (
        "import sys, time\nlate, due = [], time.monotonic()\n"
        f"end = due + {seconds}\n"
        "while due < end:\n    due += 0.02\n    time.sleep(max(due - time.monotonic(), 0))\n"
        "    late.append((time.monotonic() - due) * 1000)\n"
        "late.sort()\nprint(late[int(len(late) * 0.99)])\n"
    )

    def measured() -> float:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return float(done.stdout)

    quiet = measured()

    # Those who flood would be other machines: here they get what is left over.
    flood = subprocess.Popen(["nice", "-n", "19", sys.executable, "-c", FLOOD, address])
    try:
        time.sleep(1)
        flooded = measured()
    finally:
        flood.terminate()
        flood.wait(timeout=20)
    return {"control_jitter_ms_p99": round(flooded, 1), "control_jitter_ms_p99_quiet": round(quiet, 1)}


def paint(address: str, code: str) -> float | None:
    """First contentful paint of a resident's day against that of a blank page, at a CPU four times slower; medians."""
    program = chromium()
    if program is None:
        return None
    from playwright.sync_api import sync_playwright

    ask = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(f"{address}/sign-in?code={code}")
        with page.expect_navigation():
            page.locator("main button").first.click()
        page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
        times: dict[str, list[float]] = {"/blank": [], "/my-home": []}
        for _ in range(9):
            for path, found in times.items():
                page.goto(address + path)
                page.wait_for_function(ask)
                found.append(page.evaluate(ask))
        browser.close()
    return round(statistics.median(times["/my-home"]) / statistics.median(times["/blank"]), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one JSON line")
    parser.add_argument("--clients", type=int, default=400, help="pages that listen at once")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement of answers a second")
    parser.add_argument("--port", type=int, default=8971)
    chosen = parser.parse_args()
    district = read_district(PROJECT / "buildings")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store.open(f"sqlite:///{folder}/site.db") as store:
            fill(store, district, PARIS)
        with People.open(f"sqlite:///{folder}/people.db") as people:
            codes = invite(people, district, NOW)
            agree(people, NOW)  # who agreed to it sees the drawings too: the page at its heaviest
        with server(folder, chosen.port) as (address, pid):
            resident, manager = signed_in(address, codes[HOME]), signed_in(address, codes["manager"])
            weight, requests = first_visit(resident, "/my-home")
            figures["resident_first_visit_kb"] = round(weight / 1000, 1)
            figures["resident_first_visit_requests"] = requests
            figures["return_visit_kb"] = round(return_visit(resident, "/my-home") / 1000, 2)
            heaviest = [first_visit(manager, path)[0] for path in ("/manager/abnormal", "/manager", "/manager/plan")]
            figures["manager_first_visit_kb"] = round(max(heaviest) / 1000, 1)
            figures["fcp_vs_blank"] = paint(address, codes[HOME])
            figures |= ratios(resident, chosen.seconds)
            figures |= asyncio.run(listening(address, pid, folder, district, chosen.clients))
            figures |= jitter_ms(address, 10 * chosen.seconds)
    if chosen.json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key:32} {value}")


if __name__ == "__main__":
    main()
