"""A made-up minute of the default district: what was measured, and the record of its last decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ems.assets import BaseLoad, Battery, Photovoltaic, Plant, Supply
from ems.district import District
from ems.points import Quality, Sample
from ems.slots import floor, slot_number

NOW = datetime(2026, 10, 24, 14, 20, tzinfo=UTC)  # the day before the clocks change
SECRET = 0.4711  # what one dwelling takes: must stand on no page


def samples(district: District, now: datetime = NOW) -> dict[str, Sample]:
    """Plausible values for every wired point."""
    rng = np.random.default_rng(7)
    found = {}
    for point, wire in district.wires.items():
        value = {"temperature_c": 20.3, "setpoint_c": 19.5, "top_temperature_c": 61.0}.get(wire.quantity, 1.0)
        if wire.quantity == "power_kw":
            value = float(rng.uniform(0.1, 3))
        found[point] = Sample(value, Quality.GOOD, now - timedelta(seconds=30))
    return found


def decision(district: District, at: datetime = NOW - timedelta(minutes=4), count: int = 192) -> dict[str, Any]:
    """A record as the loop writes it; by hand: 100 kW of buildings, sun of 40 kW at noon, one battery."""
    start = floor(at)
    hours = [(start + timedelta(minutes=15 * i)).hour for i in range(count)]
    sun = [-40.0 if h == 12 else 0.0 for h in hours]
    flows: dict[str, list[float]] = {}
    loads, arrays = list(district.of(BaseLoad)), list(district.of(Photovoltaic))
    for name in loads:
        flows[f"{name}/power_kw"] = [100.0 / len(loads)] * count
    for name in arrays:
        flows[f"{name}/power_kw"] = [v / len(arrays) for v in sun]
    battery = next(iter(district.of(Battery)))
    flows[f"{battery}/power_kw"] = [10.0 if h < 6 else -10.0 if h == 19 else 0.0 for h in hours]
    supplies = list(district.of(Supply))
    total = [100.0 + s + b for s, b in zip(sun, flows[f"{battery}/power_kw"], strict=True)]
    for name in supplies:
        flows[f"{name}/power_kw"] = [v / len(supplies) for v in total]
    home = next(iter(district.dwellings))
    plant = next(iter(district.of(Plant)))
    return {
        "slot": slot_number(at),
        "at": at.isoformat(),
        "plan": {
            "start": start.isoformat(),
            "count": count,
            "minutes": 15,
            "issued_at": at.isoformat(),
            "status": "optimal",
            "flows": flows,
            "states": {f"{battery}/energy_kwh": [100.0] * (count - 9) + [0.0] * 10},
            "cost_terms": {"energy": 812.5, "network": 100.25, "stores": -50.0, "unserved": 0.0, "surprise_term": 3.0},
            "reasons": [
                {"asset": battery, "fr": "charge la nuit", "en": "charges at night", "euro": 4.2},
                {"asset": home, "fr": "secret", "en": "secret", "euro": 1.0},
            ],
            "shortfalls": [
                {
                    "asset": plant,
                    "fr": "trop peu",
                    "en": "too little",
                    "amount": 1.25,
                    "unit": "kWh",
                    "cost": 2.0,
                    "remedy_fr": "plus tôt",
                    "remedy_en": "earlier",
                }
            ],
            "setpoints": [
                {"point": f"{battery}/power_setpoint_kw", "value": 10.0, "reason": "nuit | night"},
                {"point": f"{home}/setpoint_offset_k", "value": SECRET, "reason": "secret | secret"},
                {"point": "parking/point-07/current_limit_a", "value": 16.0, "reason": "secret | leaves at 7"},
            ],
            "notes": [],
        },
        "forecasts": {
            f"{home.partition('/')[0]}/homes/power_kw": {
                "model": "last-week",
                "fallback": "",
                "low": [15.0] * count,
                "median": [20.0] * count,
                "high": [30.0] * count,
            },
            "station/weather/outdoor_temperature_c": {"model": "x", "fallback": "no weather file", "median": []},
        },
        "sent": [
            {"point": f"{home}/setpoint_offset_k", "value": SECRET, "outcome": {"kind": "written", "value": SECRET}},
            {"point": f"{battery}/power_setpoint_kw", "value": 10.0, "outcome": {"kind": "unreachable", "why": "x"}},
        ],
        "refused": [{"point": f"{home}/setpoint_offset_k", "value": 2.0, "why": "above 1"}],
        "fallbacks": [],
        "events": [
            {"at": at.isoformat(), "kind": "alarm", "text": f"{home}/power_kw = {SECRET} is secret"},
            {"at": at.isoformat(), "kind": "alarm", "text": "parking/point-07/current_limit_a is secret"},
            {"at": at.isoformat(), "kind": "alarm", "text": "the north gateway is odd <b>"},
        ],
        "counts": {"points_read": 5884},
        "seconds": {"plan": 4.25},
    }
