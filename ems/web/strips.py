"""Strips under the plan: when something binds it. A supply point near its subscribed power, a battery full or empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ems.assets import Battery, Supply
from ems.district import District
from ems.slots import Slots
from ems.web.record import Record
from ems.web.words import Words

_STEP = 4  # drawing units per slot, as in the charts
NEAR_SHARE = 0.9  # of the subscribed power
FULL_SHARE, EMPTY_SHARE = 0.98, 0.02  # of a battery's capacity
MOST = 8  # strips shown


@dataclass(frozen=True)
class Strip:
    """One thing that can bind, over the horizon; a level per slot: 0 free, 1 near, 2 at or over the limit."""

    asset: str
    levels: tuple[int, ...]
    told: str
    svg: Markup


def strips(record: Record, district: District, words: Words, past: int = 0) -> list[Strip]:
    """What binds the plan at some time, most first; `past` slots before it stay empty, as in the chart above."""
    slots = record.slots
    if slots is None:
        return []
    found: list[Strip] = []
    for name, supply in district.of(Supply).items():
        row = record.flow(f"{name}/power_kw")
        limit = supply.subscribed_kw

        def level_of(kw: float, limit: float = limit) -> int:
            return 2 if kw > limit * 1.0001 else int(kw >= NEAR_SHARE * limit)

        text = words.text(
            "subscribed {power}, planned at most {most}",
            power=words.power(limit),
            most=words.power(max(row, default=None)),
        )
        _put(found, name, row, level_of, text, slots, words, past)
    for name, battery in district.of(Battery).items():
        stored = record.state(f"{name}/energy_kwh") or record.state(f"{name}/stored_kwh")

        def filled(kwh: float, capacity: float = battery.capacity_kwh) -> int:
            return 2 * int(kwh >= FULL_SHARE * capacity or kwh <= EMPTY_SHARE * capacity)

        _put(found, name, stored[: slots.count], filled, words.text("full or empty"), slots, words, past)
    return sorted(found, key=lambda s: -sum(s.levels))[:MOST]


def _put(
    found: list[Strip],
    name: str,
    row: Sequence[float],
    level_of: Callable[[float], int],
    text: str,
    slots: Slots,
    words: Words,
    past: int,
) -> None:
    """Adds a strip unless nothing binds there."""
    levels = tuple(level_of(v) for v in row)
    if not any(levels):
        return
    worst = max(levels)
    first = levels.index(worst)
    hours = sum(1 for v in levels if v == worst) * slots.hours
    told = words.text(
        "{text}; for {hours} h, first on {when}", text=text, hours=words.number(hours, 1 if hours % 1 else 0),
        when=words.day(slots.at(first)),
    )  # fmt: skip
    found.append(Strip(name, levels, told, _drawn(levels, past, past + slots.count)))


def _drawn(levels: Sequence[int], past: int, count: int) -> Markup:
    """A strip as high as a line of words is small; what is near and what is over are drawn apart."""
    paths = ""
    for level, ink in ((1, "near"), (2, "over")):
        path, run = "", 0
        for i, found in enumerate([*levels, -1]):
            if found == level:
                run += 1
            elif run:
                path += f"M{(past + i - run) * _STEP} {6 - 3 * level}h{run * _STEP}v{4 + 3 * level}h-{run * _STEP}z"
                run = 0
        paths += f'<path class="{ink}" d="{path}"/>' if path else ""
    width = count * _STEP
    return Markup(
        f'<svg class="strip" viewBox="0 0 {width} 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="track" d="M0 0h{width}v12h-{width}z"/>{paths}</svg>'
    )
