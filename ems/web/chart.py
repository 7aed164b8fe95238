"""Charts as SVG drawn by the server: complete without a script, 2-3 KB, readable as text.

Values are means over quarter-hours, hence steps, or amounts, hence bars. Paths are relative and made of whole numbers.
The drawing is stretched to its place (`preserveAspectRatio="none"`), so words stand beside it as HTML and keep their
size. Colours and strokes come from the style sheet by class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_STEP = 4  # drawing units per slot
_HEIGHT = 240


@dataclass(frozen=True)
class Area:
    """A flow stacked on the ones before it: upwards where positive, downwards where negative; None adds nothing."""

    label: str
    values: Sequence[float | None]
    ink: str  # class in the style sheet


@dataclass(frozen=True)
class Line:
    """A flow as a line of steps; None leaves a gap."""

    label: str
    values: Sequence[float | None]
    ink: str


@dataclass(frozen=True)
class Bars:
    """An amount per slot, from zero up; None leaves a gap. What is only estimated is drawn as an empty box."""

    label: str
    values: Sequence[float | None]
    estimated: Sequence[bool]
    ink: str


@dataclass(frozen=True)
class Limit:
    """A level that is to be kept: a thin line from side to side."""

    label: str
    value: float
    ink: str


@dataclass(frozen=True)
class Band:
    """Between which two values something will lie, per slot; None draws nothing."""

    label: str
    low: Sequence[float | None]
    high: Sequence[float | None]
    ink: str


@dataclass(frozen=True)
class Scale:
    """The vertical axis: evenly spaced round numbers from the highest to the lowest."""

    top: float
    bottom: float
    step: float

    @property
    def ticks(self) -> list[float]:
        count = round((self.top - self.bottom) / self.step)
        return [self.top - i * self.step for i in range(count + 1)]

    def y(self, value: float) -> int:
        """Drawing units from the top."""
        return round((self.top - value) / (self.top - self.bottom) * _HEIGHT)

    def heights(self, values: Sequence[float | None]) -> list[int | None]:
        """The same of a whole row; None stays."""
        top, span = self.top, self.top - self.bottom
        return [None if value is None else round((top - value) / span * _HEIGHT) for value in values]


def scale(lowest: float, highest: float, *, from_zero: bool = True) -> Scale:
    """Round ticks, four to seven of them, that hold the values; and 0, unless it says nothing (temperatures)."""
    if from_zero:
        lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    elif highest - lowest < 1:
        lowest, highest = lowest - 0.5, highest + 0.5  # one kelvin at least: less would make noise a drama
    span = max(highest - lowest, 1e-3)
    power = 10 ** math.floor(math.log10(span / 4))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if span / (f * power) <= 5)
    top, bottom = math.ceil(highest / step - 1e-9) * step, math.floor(lowest / step + 1e-9) * step
    return Scale(top if top > bottom else step, bottom, step)


def stacked(areas: Sequence[Area]) -> list[tuple[list[float], list[float]]]:
    """(lower, upper) of each area: sources pile up below zero, needs above."""
    count = len(areas[0].values) if areas else 0
    above, below = [0.0] * count, [0.0] * count
    piles = []
    for area in areas:
        lower, upper = [], []
        for i, given in enumerate(area.values):
            value = 0.0 if given is None else given
            if value >= 0:
                lower.append(above[i])
                above[i] += value
                upper.append(above[i])
            else:
                upper.append(below[i])
                below[i] += value
                lower.append(below[i])
        piles.append((lower, upper))
    return piles


@dataclass(frozen=True)
class Chart:
    """A drawing, and the numbers that stand beside it."""

    svg: Markup
    ticks: list[float]
    step: float


def draw(
    areas: Sequence[Area] = (),
    lines: Sequence[Line] = (),
    *,
    title: str,
    description: str,
    bars: Bars | None = None,
    limits: Sequence[Limit] = (),
    band: Band | None = None,
    now: int | None = None,
    from_zero: bool = True,
) -> Chart:
    """Stacked areas or bars, a band of doubt, lines over them, limits across, an upright line before slot `now`.

    `title` and `description` are what a screen reader says.
    """
    piles = stacked(areas)
    columns = [a.values for a in areas] + [line.values for line in lines] + ([] if bars is None else [bars.values])
    count = max(len(column) for column in columns)
    known = [v for line in lines for v in line.values if v is not None] + [limit.value for limit in limits]
    known += [] if bars is None else [v for v in bars.values if v is not None]
    known += [] if band is None else [v for row in (band.low, band.high) for v in row if v is not None]
    lows = [v for lower, _ in piles for v in lower] + known
    highs = [v for _, upper in piles for v in upper] + known
    axis = scale(min(lows, default=0.0), max(highs, default=1.0), from_zero=from_zero)
    width = count * _STEP
    parts = [
        f'<svg viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none" role="img">',
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>",
    ]
    rules = "".join(f"M0 {axis.y(tick)}h{width}" for tick in axis.ticks)
    parts.append(f'<path class="rule" d="{rules}"/>')
    for area, (lower, upper) in zip(areas, piles, strict=True):
        path = ""
        for gives in (False, True):  # apart, so that no edge crosses from one side of zero to the other
            mine = [value is not None and (value < 0) == gives for value in area.values]
            tops = [axis.y(v) for v in upper]
            path += _band([axis.y(v) if m else t for v, m, t in zip(lower, mine, tops, strict=True)], tops)
        if path:
            parts.append(f'<path class="area {escape(area.ink)}" d="{path}"/>')
    if bars is not None:
        both = list(zip(bars.values, bars.estimated, strict=True))
        foot = axis.y(0)
        measured = _columns(axis.heights([None if e else v for v, e in both]), foot)
        guessed = [axis.y(v) if e and v is not None else foot for v, e in both]
        for path, ink in ((measured, bars.ink), (_band([foot] * count, guessed), f"{bars.ink} guess")):
            if path:
                parts.append(f'<path class="bars {escape(ink)}" d="{path}"/>')
    if band is not None:
        edges = [
            (0, 0) if a is None or b is None else (axis.y(a), axis.y(b))
            for a, b in zip(band.low, band.high, strict=True)
        ]
        if path := _band([low for low, _ in edges], [high for _, high in edges]):
            parts.append(f'<path class="band {escape(band.ink)}" d="{path}"/>')
    if axis.bottom <= 0 <= axis.top:
        parts.append(f'<path class="zero" d="M0 {axis.y(0)}h{width}"/>')
    for limit in limits:
        parts.append(f'<path class="limit {escape(limit.ink)}" d="M0 {axis.y(limit.value)}h{width}"/>')
    for line in lines:
        path = _steps(axis.heights(line.values))
        if path:
            parts.append(f'<path class="line {escape(line.ink)}" d="{path}"/>')
    if now is not None:
        parts.append(f'<path class="now" d="M{now * _STEP} 0v{_HEIGHT}"/>')
    parts.append("</svg>")
    return Chart(Markup("".join(parts)), axis.ticks, axis.step)


def _columns(tops: Sequence[int | None], foot: int) -> str:
    """One bar up to each top, three units wide with a gap of one, standing on zero; nothing for nothing."""
    path = []
    for i, top in enumerate(tops):
        if top is not None and (height := foot - top) > 0:
            path.append(f"M{i * _STEP} {foot}v-{height}h3v{height}z")
    return "".join(path)


def _steps(heights: Sequence[int | None]) -> str:
    """A line of steps; a gap lifts the pen."""
    path, run, last = [], 0, None
    for i, y in enumerate(heights):
        if y is None:
            if run:
                path.append(f"h{run}")
            run, last = 0, None
            continue
        if last is None:
            path.append(f"M{i * _STEP} {y}")
        elif y != last:
            path.append(f"h{run}v{y - last}")
            run = 0
        run += _STEP
        last = y
    if run:
        path.append(f"h{run}")
    return "".join(path)


def _band(lower: Sequence[int], upper: Sequence[int]) -> str:
    """The closed outline between two lines of steps, one piece for each stretch where they differ."""
    pieces, start = [], None
    for i in range(len(lower) + 1):
        differs = i < len(lower) and lower[i] != upper[i]
        if differs and start is None:
            start = i
        elif not differs and start is not None:
            there = _steps([None] * start + list(upper[start:i]))
            back = _back(lower[start:i], upper[i - 1])
            pieces.append(f"{there}{back}z")
            start = None
    return "".join(pieces)


def _back(heights: Sequence[int], begin: int) -> str:
    path, run, last = [], 0, begin
    for y in reversed(heights):
        if y != last:
            path.append((f"h-{run}" if run else "") + f"v{y - last}")
            run, last = 0, y
        run += _STEP
    return "".join(path) + f"h-{run}"
