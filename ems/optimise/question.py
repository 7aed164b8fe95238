"""Refuses a question that has no answer before any solver is asked: what is wrong, where, and what to do about it.

What is only inconvenient (a store beyond its bounds, a reading that is missing, a limit nobody can keep) is planned
around. What contradicts itself or is no number is a mistake of whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ems.assets import Battery, ChargePoint, Dwelling, Loop, Tank, Zone
from ems.district import District
from ems.series import Forecast
from ems.snapshot import Session, Snapshot

REFERENCES = ("supply", "plant", "loop", "feeder", "substation")


def refuse_wrong(district: District, snapshot: Snapshot, forecasts: Mapping[str, Forecast]) -> None:
    """Raises ValueError for the first thing that is wrong; its message begins with the asset or point."""
    for name, asset in district.assets.items():
        if name != asset.name:
            raise ValueError(f"assets[{name!r}] is called {asset.name!r}; give it the name it stands under")
        for reference in REFERENCES:
            target = getattr(asset, reference, None)
            if target is not None and target not in district.assets:
                raise ValueError(f"{name}: {reference} is {target!r}, which is no asset of the district; add it")
        match asset:
            case Battery():
                _ordered(name, "minimum_share", asset.minimum_share, "maximum_share", asset.maximum_share)
            case Tank() | Loop():
                _ordered(name, "minimum_c", asset.minimum_c, "maximum_c", asset.maximum_c)
            case ChargePoint():
                low, high = asset.minimum_current_a, asset.maximum_current_a
                _ordered(name, "minimum_current_a", low, "maximum_current_a", high)
            case Dwelling() | Zone():
                band = district.comfort.get(asset.use)
                if band is None:
                    raise ValueError(f"{name}: use is {asset.use!r}, for which the district has no comfort; add it")
                _ordered(name, f"comfort.{asset.use}.floor_c", band.floor_c, "ceiling_c", band.ceiling_c)
    for point, forecast in forecasts.items():
        for label in ("low", "median", "high"):
            values = getattr(forecast, label)
            if values.shape != (forecast.slots.count,):
                raise ValueError(f"{point}: {label} has {values.size} values for {forecast.slots.count} slots")
            wrong = np.flatnonzero(~np.isfinite(values))
            if wrong.size:
                at = forecast.slots.at(int(wrong[0])).isoformat()
                raise ValueError(f"{point}: {label} is {values[wrong[0]]} at {at}; leave out what is unknown")
    for name, session in snapshot.sessions.items():
        _finite_session(name, session)
    for point, sample in snapshot.samples.items():
        if sample.usable is not None and not math.isfinite(sample.usable):
            raise ValueError(f"{point}: is {sample.usable} and called good; a reading that is no number is missing")
    for point, held in (*snapshot.overrides.items(), *snapshot.holds.items()):
        if not math.isfinite(held.value):
            raise ValueError(f"{point}: is held at {held.value} by {held.by}; hold it at a number")


def _ordered(name: str, low_field: str, low: float, high_field: str, high: float) -> None:
    if low > high:
        raise ValueError(f"{name}: {low_field} is {low:g}, above its {high_field} of {high:g}; swap or correct them")


def _finite_session(name: str, session: Session) -> None:
    for field in ("needed_kwh", "stored_kwh", "capacity_kwh", "most_kw", "may_leave_per_h"):
        value = getattr(session, field)
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name}: the session's {field} is {value}; give a number, or None where nobody knows")
    _outcomes(name, "may_need_kwh", session.may_need_kwh, "needed_kwh", session.needed_kwh)
    _outcomes(name, "may_depart_at", session.may_depart_at, "departs_at", session.departs_at)


def _outcomes(name: str, field: str, outcomes: Sequence[Any], most_field: str, most: Any) -> None:
    """Refuses outcomes out of order, or whose last is not what the session says besides."""
    if outcomes and (list(outcomes) != sorted(outcomes) or outcomes[-1] != most):
        raise ValueError(f"{name}: the session's {field} must ascend and end with its {most_field}, {most}")
