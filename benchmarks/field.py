"""How long the field takes: the default district's servers in one process, the adapters in another, on this machine.

Prints seconds and points per second: servers up, our own start, sweeps (healthy, and with two of the buses silent),
all set points written and read back, all given back.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

from ems.bms import Field  # noqa: E402
from ems.command import Command, Written  # noqa: E402
from ems.district import District, read_district, relocate  # noqa: E402
from ems.simulate.plant import World  # noqa: E402
from ems.simulate.servers import FieldServers  # noqa: E402

NET = 126
START = datetime(2026, 1, 15, 12, tzinfo=UTC)
SILENT = ("mistral/electricity", "creche/controller")


def district() -> District:
    return relocate(read_district(PROJECT / "buildings"), NET)


def serve(pipe: Connection) -> None:
    """Servers that obey the words `silence`, `restore` and `stop`, and answer each."""

    async def run() -> None:
        wired = district()
        world = World(wired, start=START)
        servers = FieldServers(wired, world)
        began = time.perf_counter()
        await servers.start()
        pipe.send(time.perf_counter() - began)
        while (word := await asyncio.to_thread(pipe.recv)) != "stop":
            for bus in SILENT:
                await (servers.silence(bus) if word == "silence" else servers.restore(bus))
            pipe.send(word)
        await servers.stop()

    asyncio.run(run())


async def measure(pipe: Connection) -> None:
    wired = district()
    print(f"servers of {len(wired.buses)} buses up in {pipe.recv():.2f} s")
    began = time.perf_counter()
    field = Field(wired.wires)
    await field.start()
    print(f"our BACnet device up in {time.perf_counter() - began:.2f} s, most of it importing")

    async def sweeps(count: int) -> list[float]:
        taken = []
        for _ in range(count):
            began = time.perf_counter()
            samples = await field.sweep(START)
            taken.append(time.perf_counter() - began)
        good = sum(sample.is_good for sample in samples.values())
        print(f"  {good} of {len(samples)} points good")
        return taken

    first, *rest = await sweeps(11)
    healthy = statistics.median(rest)
    rate = len(wired.wires) / healthy
    print(f"sweep: first {first:.2f} s, then median {healthy:.2f} s, worst {max(rest):.2f} s, {rate:.0f} points/s")

    commands = []
    for point, wire in wired.wires.items():
        limits = wire.measure.write
        if limits is not None and wire.commanded and not point.endswith("heartbeat_count"):
            value = limits.minimum if limits.maximum == limits.release else limits.maximum
            commands.append(Command(point, point, value, START + timedelta(hours=1)))
    for word, batch in (
        ("written", commands),
        ("given back", [Command(c.key, c.point, None, c.expires_at) for c in commands]),
    ):
        began = time.perf_counter()
        outcomes = await field.write(batch)
        confirmed = sum(isinstance(outcome, Written) for outcome in outcomes)
        print(f"{confirmed} of {len(batch)} set points {word} and read back in {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    print(f"{len(await field.refresh(START))} heartbeats counted in {time.perf_counter() - began:.2f} s")

    pipe.send("silence")
    pipe.recv()
    lost = await sweeps(8)
    print(f"two buses silent: {', '.join(f'{s:.2f}' for s in lost)} s")
    pipe.send("restore")
    pipe.recv()
    began = time.perf_counter()
    while not all(health.up for health in field.health.values()):
        await asyncio.sleep(0.1)
    print(f"both found again after {time.perf_counter() - began:.1f} s")
    await field.stop()


def main() -> None:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    asyncio.run(measure(ours))
    ours.send("stop")
    process.join(10)


if __name__ == "__main__":
    main()
