"""Small districts built in Python, with prices per hour of the UTC day, for examples one can reckon by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from ems.assets import Asset, Supply
from ems.district import Comfort, District, Label, Place, Values
from ems.market import Contract
from ems.points import good
from ems.series import Forecast
from ems.slots import Slots
from ems.snapshot import Session, Snapshot

MIDNIGHT = datetime(2026, 1, 14, 0, 0, tzinfo=UTC)
HOURLY = Slots(MIDNIGHT, 24, minutes=60)


def contract(
    prices: Sequence[float], *, export: float = 0.0, exceedance: float = 1.0, subscription: float = 0.0
) -> Contract:
    """A price per hour of the day, energy only, no carbon."""
    hours = list(prices) + [prices[-1]] * (24 - len(prices))
    periods = {
        f"h{hour}": {
            "windows": [{"from_hour": hour, "until_hour": hour + 1}],
            "energy_per_kwh": p,
            "network_per_kwh": 0.0,
        }
        for hour, p in enumerate(hours)
    }
    return Contract(
        name="test",
        note="a test",
        kind="landlord",
        valid_from=date(2020, 1, 1),
        valid_until=date(2040, 1, 1),
        time_zone="UTC",
        periods=periods,
        subscription_per_kw_year=subscription,
        exceedance_per_kwh=exceedance,
        export_per_kwh=export,
        carbon_kg_per_kwh=0.0,
    )


def supply(**changes: Any) -> Supply:
    figures = {"prm": "30000000000001", "contract": "test", "subscribed_kw": 100.0, "physical_limit_kw": 200.0}
    return Supply(**{"name": "house/meter", **figures, **changes})


def district(
    *assets: Asset, prices: Sequence[float] = (0.2,), contracts: Mapping[str, Contract] | None = None, **terms: float
) -> District:
    """A district of these assets behind contracts of these hourly prices."""
    return District(
        name="small",
        label=Label(fr="petit", en="small"),
        place=Place(latitude_deg=43.3, longitude_deg=5.4, altitude_m=0, time_zone="UTC"),
        comfort={
            "home": Comfort(floor_c=18, default_c=19, ceiling_c=21),
            "offices": Comfort(floor_c=18.5, default_c=19, ceiling_c=21, cooling_c=26),
        },
        values=Values(
            too_cold_per_k_h=2,
            too_hot_per_k_h=1,
            hot_water_per_kwh=3,
            charging_per_kwh=1.5,
            unserved_per_kwh=20,
            carbon_per_kg=0,
            leaving_plan_per_kwh=0.002,
        ),
        assets={a.name: a for a in assets},
        contracts=dict(contracts) if contracts is not None else {"test": contract(prices, **terms)},
    )


def forecasts(slots: Slots = HOURLY, /, **rows: float | Sequence[float]) -> dict[str, Forecast]:
    """Forecasts by point; `house__load__power_kw` stands for `house/load/power_kw`, `_` in names for `-`."""
    result = {}
    for key, row in rows.items():
        building, asset, quantity = key.split("__")
        point = f"{building}/{asset.replace('_', '-')}/{quantity}"
        values = np.broadcast_to(np.asarray(row, dtype=float), (slots.count,)).copy()
        result[point] = Forecast(point, slots.start, slots, values, values, values, model="test")
    return result


def snapshot(
    slots: Slots = HOURLY, sessions: Mapping[str, Session] | None = None, out: Sequence[str] = (), **values: float
) -> Snapshot:
    samples = {}
    for key, value in values.items():
        building, asset, quantity = key.split("__")
        samples[f"{building}/{asset.replace('_', '-')}/{quantity}"] = good(value, slots.start)
    return Snapshot(slots.start, samples, dict(sessions or {}), out_of_service=frozenset(out))
