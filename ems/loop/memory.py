"""What a step of the journal looks like as JSON, and the decision record that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np

from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Withheld, Written
from ems.dispatch import Deviation
from ems.estimate.arrivals import QUANTITIES as OF_CARS
from ems.optimise import Plan
from ems.points import Quality, Sample
from ems.series import Floats, Forecast
from ems.slots import Slots
from ems.snapshot import Override, Session, Snapshot

_QUALITIES = {quality.value: quality for quality in Quality}


def dump_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    # Thousands of samples of a sweep share a few instants; each is written, and below read, once.
    instants = {at: at.isoformat() for at in {s.at for s in snapshot.samples.values()}}
    return {
        "at": snapshot.at.isoformat(),
        "samples": {p: [s.value, s.quality, instants[s.at]] for p, s in snapshot.samples.items()},
        "sessions": [_session(s) for s in snapshot.sessions.values()],
        "overrides": [_override(o) for o in snapshot.overrides.values()],
        "holds": [_override(o) for o in snapshot.holds.values()],
        "out_of_service": sorted(snapshot.out_of_service),
        "closed": {asset: sorted(day.isoformat() for day in days) for asset, days in snapshot.closed.items()},
    }


def load_snapshot(data: dict[str, Any]) -> Snapshot:
    when = datetime.fromisoformat
    instants = {at: when(at) for at in {at for _, _, at in data["samples"].values()}}
    return Snapshot(
        at=when(data["at"]),
        samples={p: Sample(v, _QUALITIES[q], instants[at]) for p, (v, q, at) in data["samples"].items()},
        sessions={s["asset"]: _read_session(s) for s in data["sessions"]},
        overrides={p: Override(p, v, by, why, when(until)) for p, v, by, why, until in data["overrides"]},
        holds={p: Override(p, v, by, why, when(until)) for p, v, by, why, until in data.get("holds", [])},
        out_of_service=frozenset(data["out_of_service"]),
        closed={asset: frozenset(map(date.fromisoformat, days)) for asset, days in data.get("closed", {}).items()},
    )


def _override(held: Override) -> list[Any]:
    return [held.point, held.value, held.by, held.reason, held.until.isoformat()]


def _session(session: Session) -> dict[str, Any]:
    """Every field that says something; instants as text."""
    known = {k: v for k, v in vars(session).items() if v not in (None, ())}  # what may be, the planner knows anew
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in known.items()}


def _read_session(data: Mapping[str, Any]) -> Session:
    instants = {k: datetime.fromisoformat(data[k]) for k in ("departs_at", "arrives_at") if k in data}
    return Session(**{**data, **instants})


def dump_forecasts(forecasts: Mapping[str, Forecast]) -> list[dict[str, Any]]:
    return [_forecast(f) for f in forecasts.values()]


def load_forecasts(stored: list[dict[str, Any]]) -> dict[str, Forecast]:
    found = {}
    for data in stored:
        slots = Slots(datetime.fromisoformat(data["start"]), data["count"], data["minutes"])
        found[data["point"]] = Forecast(
            point=data["point"],
            issued_at=datetime.fromisoformat(data["issued_at"]),
            slots=slots,
            low=_floats(data["low"]),
            median=_floats(data["median"]),
            high=_floats(data["high"]),
            model=data["model"],
            fallback=data["fallback"],
        )
    return found


def _forecast(forecast: Forecast) -> dict[str, Any]:
    return {
        "point": forecast.point,
        "issued_at": forecast.issued_at.isoformat(),
        "start": forecast.slots.start.isoformat(),
        "count": forecast.slots.count,
        "minutes": forecast.slots.minutes,
        "low": forecast.low.tolist(),
        "median": forecast.median.tolist(),
        "high": forecast.high.tolist(),
        "model": forecast.model,
        "fallback": forecast.fallback,
    }


def _floats(values: Sequence[float]) -> Floats:
    return np.asarray(values, dtype=np.float64)


def dump_commands(commands: Sequence[Command]) -> list[dict[str, Any]]:
    return [_command(c) for c in commands]


def load_commands(data: Sequence[dict[str, Any]]) -> list[Command]:
    return [_read_command(c) for c in data]


def _command(command: Command) -> dict[str, Any]:
    return {**vars(command), "expires_at": command.expires_at.isoformat()}


def _read_command(data: dict[str, Any]) -> Command:
    return Command(**{**data, "expires_at": datetime.fromisoformat(data["expires_at"])})


def decision(
    *,
    slot: int,
    now: datetime,
    plan: Plan | None,
    forecasts: Mapping[str, Forecast],
    commands: Sequence[Command],
    outcomes: Mapping[str, Outcome],
    refused: Sequence[tuple[Command, Refused]],
    deviations: Sequence[Deviation],
    events: Sequence[Mapping[str, Any]],
    counts: Mapping[str, int],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The record of one slot: what was known, planned, sent and found, and why."""
    return {
        "slot": slot,
        "at": now.isoformat(),
        "plan": None if plan is None else plan.to_json(),
        "forecasts": {
            p: {"model": f.model, "fallback": f.fallback, "median": _rounded(f.median)} | _doubt(f)
            for p, f in forecasts.items()
        },
        "sent": [
            {
                "point": c.point,
                "value": c.value,
                "previous": c.previous,
                "reason": c.reason,
                "outcome": _outcome(outcomes[c.key]),
            }
            for c in commands
        ],
        "refused": [{"point": c.point, "value": c.value, "why": r.why} for c, r in refused],
        "deviations": [{"point": d.point, "commanded": d.commanded, "found": d.found} for d in deviations],
        "fallbacks": [str(e["text"]) for e in events if e["kind"] == "fallback"],
        "events": [{"at": e["at"].isoformat(), "kind": e["kind"], "text": e["text"]} for e in events],
        "counts": dict(counts),
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
    }


def _doubt(forecast: Forecast) -> dict[str, list[float]]:
    """The 10 and 90 % quantiles of electric powers and of cars, from which pages draw how sure they are."""
    if forecast.point.rpartition("/")[2] not in ("power_kw", *OF_CARS):
        return {}
    return {"low": _rounded(forecast.low), "high": _rounded(forecast.high)}


def _rounded(values: Floats) -> list[float]:
    return [round(v, 3) for v in values.tolist()]


def _outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Written(value):
            return {"kind": "written", "value": value}
        case Overridden(read_back, holder):
            return {"kind": "overridden", "value": read_back, "why": holder}
        case Refused(why):
            return {"kind": "refused", "why": why}
        case Unreachable(why):
            return {"kind": "unreachable", "why": why}
        case Withheld(value):
            return {"kind": "withheld", "value": value}
