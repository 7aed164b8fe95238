"""What a forecast may say: one that has run away is not planned on, and what stands in its place is named.

And what is forecast for people alone, from what the plan was made on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np

from ems.district import District
from ems.estimate.arrivals import expected_traffic
from ems.forecast.sums import summed
from ems.series import Floats, Forecast, History
from ems.slots import Slots

# Times the largest value of the known past. Generous, for the first cold day after a mild month may take several times
# what the month took; a model that has run away is off by more.
FAR = 10.0
LEAST_KNOWN = 96  # quarter-hours of past below which nothing is judged
PER_DAY = 96
DAYS_BACK = (7, 1, 2, 3, 4, 5, 6)  # the same quarter-hour of which day stands in, in this order


def believed(forecasts: Mapping[str, Forecast], history: History) -> tuple[dict[str, Forecast], dict[str, str]]:
    """(the forecasts, with last week in the place of each that cannot be; why those were refused, by point).

    `history` ends where the forecasts begin.
    """
    kept: dict[str, Forecast] = {}
    refused: dict[str, str] = {}
    for point, forecast in forecasts.items():
        past = history.values.get(point)
        most = None if past is None else _largest(past)
        told = max(abs(float(forecast.high.max())), abs(float(forecast.low.min())))
        if past is None or most is None or told <= FAR * most:
            kept[point] = forecast
            continue
        why = f"{point}: {told:.4g} was forecast ({forecast.model}), and at most {most:.4g} was ever measured"
        refused[point] = f"{why}; last week stands in"
        kept[point] = _last_week(forecast, past, why)
    return kept, refused


def for_people(
    district: District, history: History, forecasts: Mapping[str, Forecast], slots: Slots, issued_at: datetime
) -> dict[str, Forecast]:
    """What no plan asks for: the sums of buildings and district, and the cars that will come and go."""
    return summed(district, history, forecasts) | expected_traffic(district, history, slots, issued_at)


def _largest(past: Floats) -> float | None:
    """The largest value, whatever its sign; None while too little is known, or never anything but 0."""
    known = past[np.isfinite(past)]
    return (float(np.abs(known).max()) or None) if known.size >= LEAST_KNOWN else None


def _last_week(forecast: Forecast, past: Floats, why: str) -> Forecast:
    known = past[np.isfinite(past)]
    median = np.full(forecast.slots.count, float(np.median(known)))
    for k in range(forecast.slots.count):
        for day in DAYS_BACK:
            at = len(past) - day * PER_DAY + k
            if 0 <= at < len(past) and np.isfinite(past[at]):
                median[k] = past[at]
                break
    low, high = np.quantile(known, (0.1, 0.9))
    return replace(
        forecast,
        low=np.minimum(median, low),
        median=median,
        high=np.maximum(median, high),
        model="last week",
        fallback=why,
    )
