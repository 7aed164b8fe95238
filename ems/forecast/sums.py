"""Forecasts of sums: the electricity of each building and of the district that nobody commands.

The median of a sum is the sum of the medians. Its quantiles are not the sum of quantiles: meters err together as far as
weather and habits move them together, and apart otherwise. So what lies between a meter's median and its quantile is
added up like a standard deviation, with the correlation that the meters' departures from the week before have shown.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ems.district import District
from ems.district.electricity import sums
from ems.forecast.calendar import calendar
from ems.forecast.models import Past, days_before, taken
from ems.series import Floats, Forecast, History, scaled_sum

NAME = "sum of its meters"
LEAST_DAYS = 7  # that two meters must both have departed from a week before, for their correlation to be known
ENOUGH_FLATS = 0.5
WEEK = 7


def summed(district: District, history: History, forecasts: Mapping[str, Forecast]) -> dict[str, Forecast]:
    """The sums of `forecasts` by their points; none of what lacks the forecast of a meter.

    Meters of which too little is known err as if alike, which is the widest that they can, and the forecast says so.
    """
    wanted = {p: members for p, members in sums(district).items() if all(m in forecasts for m in members)}
    every = list(dict.fromkeys(m for members in wanted.values() for m in members))
    if not every:
        return {}
    past = np.stack([_past(district, history, point) for point in every])
    together, known = correlation(departures(past, history, district.place.time_zone), history)
    made = {}
    for point, members in wanted.items():
        rows = np.array([every.index(m) for m in members])
        parts = [forecasts[m] for m in members]
        below, middle, above = (np.stack([getattr(f, q) for f in parts]) for q in ("low", "median", "high"))
        low, median, high = added(below, middle, above, together[np.ix_(rows, rows)])
        standing_in = sum(1 for f in parts if f.fallback)
        why = [f"{standing_in} of its {len(parts)} meters have a stand-in"] if standing_in else []
        if not known[np.ix_(rows, rows)].all():
            why.append("too little is known of how its meters err together: some are taken as alike")
        first = parts[0]
        made[point] = Forecast(point, first.issued_at, first.slots, low, median, high, NAME, "; ".join(why))
    return made


def added(low: Floats, median: Floats, high: Floats, together: Floats) -> tuple[Floats, Floats, Floats]:
    """Quantiles [N] of the sum of meters with quantiles [M, N], whose errors are correlated as `together` [M, M]."""
    middle = median.sum(axis=0)
    below, above = (
        np.sqrt(np.maximum(np.einsum("mt,mk,kt->t", side, together, side), 0.0))
        for side in (median - low, high - median)
    )
    return middle - below, middle, middle + above


def departures(values: Floats, history: History, time_zone: str) -> Floats:
    """[M, T] by how much meters departed from the same local time a week before; NaN where either is not known."""
    whole, count = calendar(history.slots, time_zone), values.shape[1]
    past = Past(values, whole, np.zeros_like(values))
    return values - taken(past, count, days_before(past, np.arange(count), np.full(count, WEEK)))


def correlation(departed: Floats, history: History) -> tuple[Floats, NDArray[np.bool_]]:
    """([M, M] the correlation of departures about zero, over the slots that two meters share; which of them is known).

    What is not known is taken as 1.
    """
    heard = np.isfinite(departed)
    values = np.where(heard, departed, 0.0)
    squares, common = values**2 @ heard.T, heard.astype(float) @ heard.T
    scale = np.sqrt(squares * squares.T)
    known = (common >= LEAST_DAYS * 24 * 60 / history.slots.minutes) & (scale > 0)
    found = np.clip(np.where(known, values @ values.T / np.where(scale > 0, scale, 1.0), 1.0), -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return found, known


def _past(district: District, history: History, point: str) -> Floats:
    """The past of a meter [T], of `homes` the kept sum or else that of the flats; NaN where nothing is known."""
    nothing = np.full(history.slots.count, np.nan)
    kept = history.values.get(point, nothing)
    building, _, rest = point.partition("/")
    if rest != "homes/power_kw" or np.isfinite(kept).all():
        return kept
    flats = [d.point("power_kw") for d in district.dwellings.values() if d.building == building]
    told = np.stack([history.values.get(flat, nothing) for flat in flats])
    return np.where(np.isfinite(kept), kept, scaled_sum(told, ENOUGH_FLATS))
