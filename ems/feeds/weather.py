"""The weather forecast as a small file: whoever fetches one writes it, the loop reads it.

    {"version": 1, "issued_at": "2026-03-10T05:00:00+00:00", "start": "2026-03-10T05:00:00+00:00", "minutes": 15,
     "count": 192, "model": "weather service",
     "points": {"station/weather/outdoor_temperature_c": {"low": [...], "median": [...], "high": [...]}}}

A forecast that is torn, old or absurd is not used: reading answers `Absent` with the reason, and the caller names it as
the fallback it takes. Absent never means calm weather.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ems.points import quantity_of
from ems.series import Floats, Forecast
from ems.slots import Slots, as_utc

VERSION = 1
MAX_AGE = timedelta(hours=12)
MAX_BYTES = 5_000_000
AHEAD = timedelta(minutes=10)  # how far a writer's clock may run before ours
MOST_SLOTS = 16 * 96

# What each quantity can be on earth, in the unit of its name.
PLAUSIBLE: dict[str, tuple[float, float]] = {
    "outdoor_temperature_c": (-40, 55),
    "irradiance_w_per_m2": (0, 1500),
    "humidity_share": (0, 1),
    "wind_m_per_s": (0, 90),
    "seawater_temperature_c": (-3, 40),
}


@dataclass(frozen=True)
class Absent:
    """There is no forecast to use; `why` says so in words."""

    why: str


def read_weather_file(path: Path, now: datetime, max_age: timedelta = MAX_AGE) -> dict[str, Forecast] | Absent:
    """The forecasts of a file by point, or why there are none. Never raises for what the file is or holds."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return Absent(f"weather forecast {path.name} is larger than {MAX_BYTES} bytes; it is no forecast file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Absent(f"weather forecast {path.name} does not exist")
    except (OSError, UnicodeDecodeError) as error:
        return Absent(f"weather forecast {path.name} cannot be read: {error}")
    try:
        forecasts = forecast_from_json(text)
    except ValueError as error:
        return Absent(f"weather forecast {path.name} cannot be used: {error}")
    first = next(iter(forecasts.values()))
    age = as_utc(now) - first.issued_at
    if age > max_age:
        return Absent(f"weather forecast {path.name} is {_hours(age)} old; at most {_hours(max_age)} are trusted")
    if age < -AHEAD:
        return Absent(f"weather forecast {path.name} was issued {_hours(-age)} in the future; check the writer's clock")
    if first.slots.end <= as_utc(now):
        return Absent(f"weather forecast {path.name} ended at {first.slots.end.isoformat()}")
    return forecasts


def write_weather_file(path: Path, forecasts: Mapping[str, Forecast]) -> None:
    """Write forecasts so that a reader sees the old file or the new one, never a part. Raises OSError, ValueError."""
    text = forecast_to_json(forecasts)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def forecast_to_json(forecasts: Mapping[str, Forecast]) -> str:
    """The text of the file. All forecasts share instant of issue, slots and model; ValueError if they do not."""
    if not forecasts:
        raise ValueError("no forecast to write; a weather forecast has at least one point")
    first = next(iter(forecasts.values()))
    for f in forecasts.values():
        if (f.issued_at, f.slots, f.model) != (first.issued_at, first.slots, first.model):
            raise ValueError(f"{f.point} and {first.point} differ in issue, slots or model; write one forecast a file")
    return json.dumps(
        {
            "version": VERSION,
            "issued_at": as_utc(first.issued_at).isoformat(),
            "start": first.slots.start.isoformat(),
            "minutes": first.slots.minutes,
            "count": first.slots.count,
            "model": first.model,
            "points": {
                f.point: {k: [round(float(v), 4) for v in getattr(f, k)] for k in ("low", "median", "high")}
                for f in forecasts.values()
            },
        },
        separators=(",", ":"),
        allow_nan=False,
    )


def forecast_from_json(text: str) -> dict[str, Forecast]:
    """The forecasts of a file's text. Raises ValueError that names the key and the value that is wrong."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no complete JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not an object")
    version = content.get("version")
    if version != VERSION or isinstance(version, bool):
        raise ValueError(f"version is {version!r}; this reader knows {VERSION}")
    minutes, count = _whole(content, "minutes"), _whole(content, "count")
    if not 1 <= count <= MOST_SLOTS:
        raise ValueError(f"count is {count}; a forecast has 1 to {MOST_SLOTS} slots")
    issued_at = _instant(content, "issued_at")
    slots = Slots(_instant(content, "start"), count, minutes)
    model, points = content.get("model"), content.get("points")
    if not isinstance(model, str):
        raise ValueError(f"model is {model!r}; name what made the forecast")
    if not isinstance(points, dict) or not points:
        raise ValueError("points is empty; list at least one")
    forecasts = {}
    for point, quantiles in points.items():
        if not isinstance(quantiles, dict):
            raise ValueError(f"points.{point} is no object with low, median and high")
        low, median, high = (_values(point, quantiles, key, count) for key in ("low", "median", "high"))
        forecasts[point] = Forecast(point, issued_at, slots, low, median, high, model=model)
    return forecasts


def _values(point: str, quantiles: dict[str, Any], key: str, count: int) -> Floats:
    given = quantiles.get(key)
    if not isinstance(given, list) or len(given) != count:
        length = len(given) if isinstance(given, list) else "no"
        raise ValueError(f"points.{point}.{key} has {length} values; count says {count}")
    if not set(map(type, given)) <= {int, float}:
        raise ValueError(f"points.{point}.{key} has a value that is no number")
    low, high = PLAUSIBLE.get(quantity_of(point), (-math.inf, math.inf))
    for v in given:
        if not (low <= v <= high and -math.inf < v < math.inf):
            raise ValueError(f"points.{point}.{key} holds {v}, which it cannot be ({low}..{high})")
    return np.array(given, dtype=np.float64)


def _whole(content: dict[str, Any], key: str) -> int:
    value = content.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key} is {value!r}; give a whole number")
    return value


def _instant(content: dict[str, Any], key: str) -> datetime:
    value = content.get(key)
    try:
        return as_utc(datetime.fromisoformat(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{key} is {value!r}; give an instant with its zone, as in 2026-03-10T05:00:00Z") from error


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.1f} h"
