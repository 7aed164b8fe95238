"""Charging of cars and bicycles by session: an energy needed until a departure.

power_kw >= 0. A charge point takes a current limit in A: 0, or at least its minimum current.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ems.assets.asset import Asset, NotNegative, Positive

VOLTAGE_V = 230.0


class Feeder(Asset):
    """A cable that several charge points share: the sum of their power stays below its limit."""

    type: Literal["feeder"] = "feeder"
    supply: str
    limit_kw: Positive


class ChargePoint(Asset):
    """One socket for a car, private or for a shared car of the district."""

    type: Literal["charge-point"] = "charge-point"
    feeder: str
    phases: Literal[1, 3] = 3
    minimum_current_a: NotNegative = 6.0
    maximum_current_a: Positive = 32.0
    fail_safe_current_a: NotNegative = 10.0
    shared_car_kwh: NotNegative = 0.0  # battery of the shared car that lives here, 0 for a public socket

    @property
    def limit_kw(self) -> float:
        return self.kw(self.maximum_current_a)

    def kw(self, current_a: float) -> float:
        """Power at a current, kW: current x voltage x phases."""
        return current_a * VOLTAGE_V * self.phases / 1000


class BikeRoom(Asset):
    """A room where bicycles charge: one meter and one power limit for all its sockets."""

    type: Literal["bike-room"] = "bike-room"
    supply: str
    places: int = Field(ge=1)
    limit_kw: Positive
