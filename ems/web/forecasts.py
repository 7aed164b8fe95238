"""What was expected of each meter a day ahead against what came, building by building.

The decision made when a day begins says what was expected of it; those of the last days, one after the other, are
compared with the readings and with what the same time a week before would have said. The sum of a building's homes is
shown, never a home; and what is added up of them, and the cars that come to a group of charge points and leave it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from fastapi import HTTPException, Response

from ems.district.electricity import EVERYTHING, SUM, sums, uncommanded
from ems.estimate.arrivals import QUANTITIES as OF_CARS
from ems.estimate.arrivals import traffic, traffic_points
from ems.estimate.habits import habit_points
from ems.series import Floats, scaled_sum
from ems.slots import SLOT, Slots, as_utc, slot_number
from ems.store import StoreError
from ems.web.access import Permission
from ems.web.chart import Band, Line, draw
from ems.web.consumption import today
from ems.web.figures import Figure, marks, ticks
from ems.web.pages import Pages, Visit
from ems.web.words import Words, said

DAYS = 7  # before today, judged
WEEK = 7 * 96
LATE = 8  # quarter-hours after a day's beginning, within which its decision is looked for
DRAWN_DAYS = 3  # yesterday, today and what is left of the horizon, at most
ENOUGH = 24  # compared quarter-hours, below which nothing is said of skill
ENOUGH_FLATS = 0.5  # of a building's, that a sum is made of
_APART = 96  # gaps further apart than these slots are filled one by one: what lies between is not read of each flat
# What a record's model may be called, and what is said of it. Longer names first: one may begin like another.
NAMES = (
    "regression with trees", "regression", "boosted trees", "neural network", "plane of array", "same time last week",
    "mean of four weeks", "mean of like days", "yesterday", "climatology", "better than naive", "not believed",
    "learnt", "sum of its meters", "quantiles of like days",
)  # fmt: skip
REASONS = (
    "Some of the meter's values were not believed, and not learnt from.",
    "The meter's values are believed again.",
    "What was learnt did better than the naive models on the meter's own last weeks.",
    "It was learnt anew, and on the meter's own last weeks another part did best.",
    "What was learnt did no better than the naive models on the meter's own last weeks, and gave way.",
    "On the meter's own last days another one did best.",
)


@dataclass(frozen=True)
class Issue:
    """What one decision expected of a meter from slot `begin` on: quantiles [3, N] and by what."""

    begin: int
    quantiles: Floats
    model: str
    fallback: str


@dataclass(frozen=True)
class Score:
    """A day ahead: error over the mean magnitude, the same of last week, share within the band; of `n` slots."""

    error: float
    naive: float
    coverage: float
    n: int

    @property
    def skill(self) -> float:
        """What is saved of last week's error; negative where last week would have done better."""
        return 1 - self.error / self.naive if self.naive > 0 else 0.0


@dataclass(frozen=True)
class Change:
    """From the day on which another kind of model was in use: before, now, and why."""

    day: date
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class MeterView:
    """One meter of the page; `score` is None where too little can be compared."""

    point: str
    title: str
    figure: Figure | None
    score: Score | None
    model: str
    fallback: str
    changes: tuple[Change, ...]


class Issued:
    """What decisions expected, taken out of their records once: a record is two megabytes, and what is over stays."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self._kept: dict[int, Mapping[str, Issue]] = {}

    def at(self, slot: int) -> Mapping[str, Issue] | None:
        """By meter, from a slot counted as `slot_number` does; None without a decision."""
        found = self._kept.get(slot)
        if found is None and (record := self.pages.store.decision(slot)) is not None:
            found = _issues(record)
            if slot < slot_number(self.pages.now()):
                self._kept[slot] = found
            while len(self._kept) > DAYS + 1:
                self._kept.pop(min(self._kept), None)
        return found


class Forecasts:
    """Adds the page of forecasts."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.issued = Issued(pages)
        pages.route("/manager/forecasts", Permission.MANAGER, self.show, keep=True)

    def show(self, visit: Visit) -> Response:
        groups = meter_groups(self.pages)
        chosen = visit.request.query_params.get("of", next(iter(groups), ""))
        if chosen not in groups:
            raise HTTPException(404)
        try:
            found = meters(self.pages, visit, groups[chosen], self.issued)
        except StoreError:
            found = []
        return self.pages.page(
            visit, "manager_forecasts.html", groups=list(groups), chosen=chosen, meters=found, days=DAYS, all=EVERYTHING
        )


def meter_groups(pages: Pages) -> dict[str, list[str]]:
    """What is forecast of electricity and of cars, the whole district first and then by building."""
    district, added = pages.district, sums(pages.district)
    meters = uncommanded(district)
    cars: dict[str, list[str]] = {}
    for (building, _), points in traffic_points(district).items():
        cars[building] = [*cars.get(building, []), *points]
    found = {
        b: [p for p in (f"{b}/{SUM}",) if p in added] + meters.get(b, []) + cars.get(b, [])
        for b in (EVERYTHING, *district.buildings)
    }
    return {b: points for b, points in found.items() if points}


def meters(pages: Pages, visit: Visit, points: Sequence[str], issued: Issued) -> list[MeterView]:
    """Views of some meters: what was expected when each of the last days began, and what came."""
    first = today(pages.now(), pages.zone) - timedelta(days=DAYS)
    begins = [_begin(pages, first + timedelta(days=i)) for i in range(DAYS + DRAWN_DAYS)]
    slots = Slots(begins[0], int((begins[-1] - begins[0]) / SLOT))
    at = [int((b - begins[0]) / SLOT) for b in begins]
    issues: dict[str, list[Issue]] = {p: [] for p in points}
    first_slot = slot_number(slots.start)
    for begin in at[: DAYS + 1]:
        late = (issued.at(first_slot + begin + k) for k in range(LATE))
        expected_of = next((found for found in late if found is not None), {})
        for point in points:
            if (issue := expected_of.get(point)) is not None:
                issues[point].append(replace(issue, begin=issue.begin - first_slot))
    known = int(np.clip((pages.now() - slots.start) / SLOT, 0, slots.count))
    ended = _measured(pages, points, Slots(slots.start - WEEK * SLOT, known + WEEK))
    measured = {p: np.append(values, np.full(slots.count - known, np.nan)) for p, values in ended.items()}
    found = []
    for point in points:
        expected, truth, naive = joined(issues[point], slots.count), measured[point][WEEK:], measured[point][:-WEEK]
        last = issues[point][-1] if issues[point] else None
        shown = slice(at[DAYS - 1], slots.count)
        found.append(
            MeterView(
                point,
                title(point, pages, visit.words),
                _figure(
                    point, expected[:, shown], truth[shown], slots.at(shown.start), known - shown.start, visit.words
                ),
                score(expected[:, : at[DAYS]], truth[: at[DAYS]], naive[: at[DAYS]]),
                "" if last is None else told(last.model, visit.words),
                "" if last is None else said(last.fallback, visit.words.language),
                tuple(changes(issues[point], slots, pages, visit.words)),
            )
        )
    return found


def title(point: str, pages: Pages, words: Words) -> str:
    """What a meter, a sum or a group of charge points is called."""
    asset, _, quantity = point.rpartition("/")
    if point.endswith(f"/{SUM}"):
        return words.text("Electricity together, less the sun's; without what is commanded")
    if quantity not in OF_CARS:
        return pages.asset_name(asset, words)
    of = words.text("shared cars") if asset.endswith("/shared-cars") else words.text("charge points")
    told = {
        "arrivals_count": words.text("cars that come, each hour"),
        "departures_count": words.text("cars that leave, each hour"),
        "arriving_kwh": words.text("what those take that come, kWh each hour"),
    }
    return words.text("{group}: {what}", group=of, what=told[quantity])


def _begin(pages: Pages, day: date) -> datetime:
    return as_utc(datetime.combine(day, time(), pages.zone))


def _issues(record: Mapping[str, Any]) -> dict[str, Issue]:
    plan = record.get("plan") or {}
    if "start" not in plan:
        return {}
    begin, issues = slot_number(datetime.fromisoformat(plan["start"])), {}
    for point, found in record.get("forecasts", {}).items():
        if "low" in found:
            quantiles = np.array([found["low"], found["median"], found["high"]], dtype=float)
            issues[point] = Issue(begin, quantiles, str(found.get("model", "")), str(found.get("fallback", "")))
    return issues


def joined(issues: Sequence[Issue], count: int) -> Floats:
    """[3, count]: of every slot what the latest issue before it said; NaN where there was none."""
    expected = np.full((3, count), np.nan)
    for issue in sorted(issues, key=lambda i: i.begin):
        begin = max(issue.begin, 0)
        part = issue.quantiles[:, begin - issue.begin :][:, : count - begin]
        expected[:, begin : begin + part.shape[1]] = part
    return expected


def score(expected: Floats, truth: Floats, naive: Floats) -> Score | None:
    """None where too little can be compared, or nothing flowed."""
    known = np.isfinite(expected[1]) & np.isfinite(truth) & np.isfinite(naive)
    mean = float(np.abs(truth[known]).mean()) if known.sum() >= ENOUGH else 0.0
    if mean == 0:
        return None
    low, median, high = expected[:, known]
    inside = (truth[known] >= low) & (truth[known] <= high)
    errors = [float(np.abs(truth[known] - f).mean()) / mean for f in (median, naive[known])]
    return Score(errors[0], errors[1], float(inside.mean()), int(known.sum()))


def changes(issues: Sequence[Issue], slots: Slots, pages: Pages, words: Words) -> list[Change]:
    """Where the kind of model differs from one day to the next, newest first."""
    found = []
    for before, after in pairwise(issues):
        if leading(before.model) != leading(after.model) or doubted(before.model) != doubted(after.model):
            day = slots.at(after.begin).astimezone(pages.zone).date()
            why = words.text(_why(before.model, after.model))
            found.append(Change(day, told(before.model, words), told(after.model, words), why))
    return found[::-1]


def leading(model: str) -> str:
    """The name of the model that has the largest part, which is named first."""
    return next((n for n in NAMES if re.match(rf"(\d+\s?% )?{re.escape(n)}", model)), model)


def doubted(model: str) -> str:
    """What of the meter was not believed; empty mostly."""
    return model.partition("(not believed: ")[2]


def _why(before: str, after: str) -> str:
    learnt_before, learnt_after = ("better than naive" in m for m in (before, after))
    if doubted(after) and doubted(after) != doubted(before):
        return REASONS[0]
    if doubted(before) and not doubted(after):
        return REASONS[1]
    if learnt_after:
        return REASONS[3] if learnt_before else REASONS[2]
    return REASONS[4] if learnt_before else REASONS[5]


def told(model: str, words: Words) -> str:
    """What a record calls the model, in the reader's language."""
    names = "|".join(re.escape(n) for n in NAMES)
    return re.sub(names, lambda m: words.text(m[0]), model)


def _measured(pages: Pages, points: Sequence[str], slots: Slots) -> dict[str, Floats]:
    """What came, by point; of a sum NaN where one of its meters is not known."""
    added, electric = sums(pages.district), [p for p in points if p.rpartition("/")[2] not in OF_CARS]
    parts = {p: _power(pages, p, slots) for p in dict.fromkeys(m for e in electric for m in added.get(e, [e]))}
    found = {e: np.sum([parts[m] for m in added.get(e, [e])], axis=0) for e in electric}
    if len(found) < len(points):
        found |= traffic(pages.district, pages.store.history(habit_points(pages.district), slots))
    return found


def _power(pages: Pages, point: str, slots: Slots) -> Floats:
    """Mean power of each slot, kW; of `homes` the kept sum of the flats, or else the sum of what is kept of each."""
    building, _, rest = point.partition("/")
    kept = np.asarray(pages.store.history([point], slots).values[point])
    lacking = np.flatnonzero(np.isnan(kept))
    if rest != "homes/power_kw" or not len(lacking):
        return kept
    flats = [d.point("power_kw") for d in pages.district.dwellings.values() if d.building == building]
    found = np.full(slots.count, np.nan)
    for part in np.split(lacking, np.flatnonzero(np.diff(lacking) > _APART) + 1):
        begin, count = int(part[0]), int(part[-1] - part[0]) + 1
        history = pages.store.history(flats, Slots(slots.at(begin), count)).values
        found[begin : begin + count] = scaled_sum(np.stack([history[f] for f in flats]), ENOUGH_FLATS)
    return np.where(np.isnan(kept), found, kept)


def _figure(point: str, expected: Floats, truth: Floats, start: datetime, now: int, words: Words) -> Figure | None:
    """Band, median and what came; None where nothing was expected. The drawing ends with the last that was expected."""
    known = np.flatnonzero(np.isfinite(expected[1]))
    if not len(known):
        return None
    count = int(known[-1]) + 1
    low, median, high, came = (
        [float(v) if np.isfinite(v) else None for v in row[:count]] for row in (*expected, truth)
    )
    quantity = point.rpartition("/")[2]
    title = words.text("Expected a day ahead and measured, kW")
    if quantity in OF_CARS:
        title = words.text("Expected a day ahead and measured, each hour")
    heard = [v for v in came if v is not None]
    description = words.text(
        "Expected {low} to {high}; measured {measured}.",
        low=words.value(quantity, float(np.nanmin(expected[1]))),
        high=words.value(quantity, float(np.nanmax(expected[1]))),
        measured=words.text("nothing")
        if not heard
        else " – ".join(words.value(quantity, f(heard)) for f in (min, max)),
    )
    lines = [Line(words.text("expected"), median, "l2"), Line(words.text("measured"), came, "l1")]
    band = Band(words.text("eight in ten"), low, high, "l1")
    chart = draw(
        lines=lines, title=title, description=description, band=band, now=now if 0 < now < count else None
    )  # fmt: skip
    legend = [(line.ink, line.label) for line in lines] + [("doubt", band.label)]
    legend += [("now", words.text("Now"))] if 0 < now < count else []
    return Figure(chart, ticks(chart, words), marks(Slots(start, count), words), legend, title, description)
