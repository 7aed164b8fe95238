"""Replay of measured series: a meter of the simulated district shows what a real one once measured.

A source is a column of a Parquet or CSV file whose first column (or index) holds UTC interval starts. A series coarser
than the minute is held over its interval; a gap, a NaN and the time after its end are a missing value (None), never a
zero and never an older value.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ems.series import Floats
from ems.simulate.scenario import Replayed, Scenario
from ems.slots import Slots, as_utc


class ReplayError(ValueError):
    """Why a series cannot be replayed: which file or column, what there is instead, what to do."""


@dataclass(frozen=True)
class Source:
    """One measured series: `starts` of its intervals in UTC epoch seconds, ascending, `step_s` long."""

    starts: NDArray[np.int64]
    values: Floats
    step_s: int

    def at(self, seconds: NDArray[np.int64]) -> Floats:
        """The value of the interval that each instant lies in; NaN where there is none."""
        index = np.searchsorted(self.starts, seconds, side="right") - 1
        found = np.clip(index, 0, None)
        held = (index >= 0) & (seconds < self.starts[found] + self.step_s)
        return np.where(held, self.values[found], np.nan)


class Replay:
    """The replayed points of a scenario, from its `start` on (and before it, as far as the source reaches)."""

    def __init__(self, start: datetime, sources: dict[str, tuple[Source, timedelta]]) -> None:
        """`sources`: by point, the series (already scaled) and what to add to now for the source's own time."""
        self.start = as_utc(start)
        self._sources = sources

    @classmethod
    def read(cls, scenario: Scenario, data: Path | None, points: Collection[str]) -> Self:
        """Load what `scenario.replay` names from the folder `data`.

        `points` are the district's wired points. Raises ReplayError for what is not there.
        """
        where = f"{scenario.name}/scenario.yaml"
        _need_files(where, scenario.replay, data)
        assert data is not None or not scenario.replay
        frames: dict[str, pd.DataFrame] = {}
        sources = {}
        for i, entry in enumerate(scenario.replay):
            if entry.point not in points:
                close = get_close_matches(entry.point, points, n=1)
                meant = f"; did you mean {close[0]}?" if close else ""
                raise ReplayError(
                    f"{where}: replay.{i}.point is {entry.point}, which no device of the district has{meant}"
                )
            assert data is not None
            if entry.file not in frames:
                frames[entry.file] = _read_frame(data / entry.file)
            source = _source(f"{where}: replay.{i}", frames[entry.file], entry)
            sources[entry.point] = (source, as_utc(entry.start) - scenario.start)
        return cls(scenario.start, sources)

    @classmethod
    def asked(cls, scenario: Scenario, data: Path | None, points: Collection[str]) -> Self | None:
        """The replay of a scenario; None where it replays nothing. Raises ReplayError, for a folder in vain too."""
        if scenario.replay:
            return cls.read(scenario, data, points)
        if data is not None:
            raise ReplayError(
                f"{scenario.name}/scenario.yaml replays nothing, so --data {data} would go unread; "
                "list points under `replay`, as in scenarios/replay, or leave --data out"
            )
        return None

    @property
    def points(self) -> tuple[str, ...]:
        return tuple(self._sources)

    def __contains__(self, point: object) -> bool:
        return point in self._sources

    def value_at(self, point: str, now: datetime) -> float | None:
        """What the point shows at `now`, in its own unit; None where the source has no value.

        Raises KeyError for a point that is not replayed.
        """
        value = float(self.minutes(point, now, 1)[0])
        return None if np.isnan(value) else value

    def minutes(self, point: str, start: datetime, count: int) -> Floats:
        """The point's values at `count` whole minutes from `start`; NaN is missing."""
        source, shift = self._sources[point]
        first = int((as_utc(start) + shift).timestamp())
        return source.at(first + 60 * np.arange(count, dtype=np.int64))

    def means(self, point: str, slots: Slots) -> Floats:
        """The mean of the point over each slot; NaN where a minute of the slot is missing."""
        values = self.minutes(point, slots.start, slots.count * slots.minutes)
        return np.asarray(values.reshape(slots.count, slots.minutes).mean(axis=1))


def _need_files(where: str, entries: Sequence[Replayed], data: Path | None) -> None:
    """Say everything that is missing at once."""
    files = sorted({e.file for e in entries})
    if not files:
        return
    if data is None:
        raise ReplayError(f"{where} replays measured data, but no data folder was given; "
                          f"name the folder that holds {', '.join(files)} with --data")  # fmt: skip
    if not data.is_dir():
        raise ReplayError(f"the data folder {data} does not exist; {where} needs {', '.join(files)} in it")
    missing = [f for f in files if not (data / f).is_file()]
    if missing:
        there = sorted(p.name for p in data.iterdir() if p.name.endswith((".parquet", ".csv", ".csv.gz")))
        raise ReplayError(
            f"{data} lacks {', '.join(missing)}, which {where} needs; it holds {', '.join(there) or 'no series'}"
        )


def _read_frame(file: Path) -> pd.DataFrame:
    """A file's columns with a UTC index in order. Stamps without a zone are taken as UTC, as the formats here say."""
    if file.name.endswith(".parquet"):
        frame = pd.read_parquet(file)
    elif file.name.endswith((".csv", ".csv.gz")):
        frame = pd.read_csv(file, index_col=0)
    else:
        raise ReplayError(f"{file} is neither .parquet nor .csv nor .csv.gz; convert it to one of these")
    if not isinstance(frame.index, pd.DatetimeIndex):
        try:
            frame.index = pd.DatetimeIndex(pd.to_datetime(frame.index, utc=True, format="ISO8601"))
        except (ValueError, TypeError) as error:
            raise ReplayError(
                f"{file}: its first column holds no time stamps ({error}); put UTC interval starts there"
            ) from error
    index = frame.index.tz_localize("UTC") if frame.index.tz is None else frame.index.tz_convert("UTC")
    frame.index = index
    if index.has_duplicates:
        twice = index[index.duplicated()][0]
        raise ReplayError(f"{file}: {twice.isoformat()} is there twice; keep one row per instant")
    return frame.sort_index()


def _source(where: str, frame: pd.DataFrame, entry: Replayed) -> Source:
    if entry.column not in frame.columns:
        raise ReplayError(
            f"{where}.column is {entry.column}, which {entry.file} has not; it has {', '.join(map(str, frame.columns))}"
        )
    try:
        column = pd.to_numeric(frame[entry.column])
    except (ValueError, TypeError) as error:
        raise ReplayError(f"{where}.column: {entry.column} of {entry.file} is not all numbers: {error}") from error
    index = pd.DatetimeIndex(frame.index)
    if len(index) < 2:
        raise ReplayError(f"{where}.file: {entry.file} has {len(index)} rows; a series has at least two")
    starts = np.asarray(index.as_unit("s").asi8, dtype=np.int64)
    step_s = int(np.median(np.diff(starts)))
    start = int(as_utc(entry.start).timestamp())
    if not starts[0] <= start < starts[-1] + step_s:
        raise ReplayError(
            f"{where}.start is {entry.start.isoformat()}, outside {entry.file}, which runs from "
            f"{index[0].isoformat()} to {index[-1].isoformat()}"
        )
    return Source(starts, column.to_numpy(dtype=np.float64) * entry.scale, step_s)
