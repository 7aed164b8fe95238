"""What a step of the journal looks like as JSON, and the decision record that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np

from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Written
from ems.dispatch import Deviation, Permission
from ems.optimise import Plan
from ems.points import Quality, Sample
from ems.series import Floats, Forecast
from ems.slots import Slots
from ems.snapshot import Override, Session, Snapshot


def dump_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "at": snapshot.at.isoformat(),
        "samples": {p: [s.value, s.quality.value, s.at.isoformat()] for p, s in snapshot.samples.items()},
        "sessions": [[s.asset, s.needed_kwh, s.departs_at.isoformat()] for s in snapshot.sessions.values()],
        "overrides": [[o.point, o.value, o.by, o.reason, o.until.isoformat()] for o in snapshot.overrides.values()],
        "out_of_service": sorted(snapshot.out_of_service),
    }


def load_snapshot(data: dict[str, Any]) -> Snapshot:
    when = datetime.fromisoformat
    return Snapshot(
        at=when(data["at"]),
        samples={p: Sample(v, Quality(q), when(at)) for p, (v, q, at) in data["samples"].items()},
        sessions={a: Session(a, kwh, when(until)) for a, kwh, until in data["sessions"]},
        overrides={p: Override(p, v, by, why, when(until)) for p, v, by, why, until in data["overrides"]},
        out_of_service=frozenset(data["out_of_service"]),
    )


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


def dump_plan(plan: Plan) -> dict[str, Any]:
    return plan.to_json()


def load_plan(data: dict[str, Any]) -> Plan:
    return Plan.from_json(data)


def dump_permission(permission: Permission) -> dict[str, Any]:
    return {
        "allowed": [_command(c) for c in permission.allowed],
        "refused": [{"command": _command(c), "why": r.why} for c, r in permission.refused],
    }


def load_permission(data: dict[str, Any]) -> Permission:
    return Permission(
        allowed=[_read_command(c) for c in data["allowed"]],
        refused=[(_read_command(r["command"]), Refused(r["why"])) for r in data["refused"]],
    )


def _command(command: Command) -> dict[str, Any]:
    return {**asdict(command), "expires_at": command.expires_at.isoformat()}


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
            p: {"model": f.model, "fallback": f.fallback, "median": [round(v, 3) for v in f.median.tolist()]}
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
