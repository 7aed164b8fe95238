"""One dated French electricity contract per kind of supply point.

The only local calendar in the core: periods are drawn on local time (Europe/Paris by default), everything else is UTC.
All prices in euro, before VAT unless the file's note says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ems.series import Floats
from ems.slots import Slots


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Part):
    """Hours of a local day that belong to a period. `from_hour` 22 and `until_hour` 6 run over midnight.

    `dates`: on these local days alone, such as the red days of a Tempo contract; empty for any day.
    """

    from_hour: float = Field(ge=0, le=24)
    until_hour: float = Field(ge=0, le=24)
    months: tuple[int, ...] = tuple(range(1, 13))
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)  # ISO weekdays, 1 is Monday
    dates: tuple[date, ...] = ()

    def holds(self, local: datetime) -> bool:
        hour = local.hour + local.minute / 60
        if local.month not in self.months or local.isoweekday() not in self.days:
            return False
        if self.dates and local.date() not in self.dates:
            return False
        if self.from_hour <= self.until_hour:
            return self.from_hour <= hour < self.until_hour
        return hour >= self.from_hour or hour < self.until_hour


class Period(_Part):
    """One price class, for example HPH (heures pleines, saison haute). The first period whose window holds wins."""

    windows: tuple[Window, ...] = ()  # empty: everything that is left
    energy_per_kwh: float = Field(ge=0)
    network_per_kwh: float = Field(ge=0)


class Contract(_Part):
    """Energy, network and power terms of one kind of supply point, valid between two dates."""

    name: str = ""
    note: str
    kind: Literal["landlord", "tertiary", "home"]
    valid_from: date
    valid_until: date
    time_zone: str = "Europe/Paris"
    periods: dict[str, Period] = Field(min_length=1)
    subscription_per_kw_year: float = Field(ge=0)
    exceedance_per_kwh: float = Field(ge=0)  # energy above the subscribed power
    export_per_kwh: float = Field(ge=0)
    carbon_kg_per_kwh: float = Field(ge=0)


@dataclass(frozen=True)
class Prices:
    """What one kWh costs in each slot, euro per kWh, and what it emits, kg per kWh."""

    energy_per_kwh: Floats
    network_per_kwh: Floats
    export_per_kwh: Floats
    carbon_kg_per_kwh: Floats
    periods: tuple[str, ...]

    @property
    def import_per_kwh(self) -> Floats:
        return self.energy_per_kwh + self.network_per_kwh


def period_at(contract: Contract, instant: datetime) -> str:
    """The name of the price period at an instant. Raises ValueError when no period covers it."""
    local = instant.astimezone(ZoneInfo(contract.time_zone))
    for name, period in contract.periods.items():
        if not period.windows or any(w.holds(local) for w in period.windows):
            return name
    raise ValueError(
        f"contract {contract.name}: no period covers {local.isoformat()}; let the last one have no windows"
    )


def prices(contract: Contract, slots: Slots) -> Prices:
    """Prices of a contract over slots; a slot takes the price that holds at its start."""
    names = tuple(period_at(contract, start) for start in slots)
    periods = [contract.periods[n] for n in names]
    return Prices(
        energy_per_kwh=np.array([p.energy_per_kwh for p in periods]),
        network_per_kwh=np.array([p.network_per_kwh for p in periods]),
        export_per_kwh=np.full(slots.count, contract.export_per_kwh),
        carbon_kg_per_kwh=np.full(slots.count, contract.carbon_kg_per_kwh),
        periods=names,
    )
