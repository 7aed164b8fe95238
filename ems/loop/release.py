"""Rendre la main: control of a building, or of the district, goes back to its devices, and stays there.

It needs neither planner nor database: first a synced file says so, which a running control process follows within
moments and a starting one before its first write; then, if no control process answers, every point that could be ours
is relinquished from here.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ems.bms import Field
from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Written
from ems.district import District
from ems.slots import SLOT
from ems.store.requests import DISTRICT, Handover

ANSWERS_WITHIN = timedelta(seconds=15)


@dataclass(frozen=True)
class Release:
    """What came of it. `by_loop`: the running control process did it; else point by point from here."""

    by_loop: bool
    released: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)


async def release(
    district: District,
    folder: Path,
    building: str,
    by: str,
    now: datetime,
    *,
    reason: str = "",
    bacnet_address: str | None = None,
    patience: timedelta = ANSWERS_WITHIN,
) -> Release:
    """Hands a building (or `DISTRICT`) back. Raises ValueError for a building that does not exist."""
    if building != DISTRICT and building not in district.buildings:
        raise ValueError(f"{building} is no building; there are {', '.join(sorted(district.buildings))}")
    handover = Handover(folder)
    handover.give(building, by, now, reason)
    if await _loop_follows(handover, building, patience):
        return Release(by_loop=True)
    points = [p for p in district.commanded if building == DISTRICT or p.partition("/")[0] == building]
    return await _release_points(district, points, now, bacnet_address)


async def _loop_follows(handover: Handover, building: str, patience: timedelta) -> bool:
    """Whether a running control process says that it gave the building back, after it was asked."""
    asked = handover.file.stat().st_mtime_ns
    timer = asyncio.get_running_loop().time
    deadline = timer() + patience.total_seconds()
    while timer() < deadline:
        try:
            followed = json.loads(handover.followed.read_text(encoding="utf-8"))
            if handover.followed.stat().st_mtime_ns >= asked and building in followed:
                return True
        except (OSError, ValueError):
            pass  # not yet, or half of an older one
        await asyncio.sleep(0.1)
    return False


async def _release_points(district: District, points: list[str], now: datetime, bacnet_address: str | None) -> Release:
    """Relinquishes from this process, bus by bus in parallel. A second try for what did not answer."""
    wires = {p: district.wires[p] for p in points}
    link = Field(wires, bacnet_address=bacnet_address)
    await link.start()
    try:
        outcomes: dict[str, Outcome] = {}
        left = points
        for _ in range(2):
            answers = await link.write([Command(f"release:{p}", p, None, now + SLOT) for p in left])
            outcomes |= dict(zip(left, answers, strict=True))
            left = [p for p in left if isinstance(outcomes[p], Unreachable)]
            if not left:
                break
    finally:
        await link.stop()
    failed = {p: o.why for p, o in outcomes.items() if isinstance(o, Refused | Unreachable)}
    released = tuple(p for p, o in outcomes.items() if isinstance(o, Written | Overridden))
    return Release(by_loop=False, released=released, failed=failed)
