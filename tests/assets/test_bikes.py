"""Bicycles: small sessions in one room, charged in the cheap hours."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ems.assets import BikeRoom
from ems.optimise import Plan, plan
from ems.snapshot import Session
from tests.optimise.small import HOURLY, MIDNIGHT, district, forecasts, snapshot, supply

ROOM = BikeRoom(name="house/bikes", supply="house/meter", places=10, limit_kw=2)


def planned(needed: float, hours: float) -> Plan:
    session = {"house/bikes": Session("house/bikes", needed, MIDNIGHT + timedelta(hours=hours))}
    here = district(supply(), ROOM, prices=[0.3, 0.1, 0.2, 0.3])
    return plan(here, snapshot(sessions=session), forecasts(), HOURLY)


def test_charges_in_the_cheapest_hours_before_they_leave() -> None:
    """3 kWh by 4 h: 2 in the hour at 0.10, 1 in the one at 0.20."""
    result = planned(3.0, 4)
    assert result.flow("house/bikes", "power_kw")[:5] == pytest.approx([0, 2, 1, 0, 0])
    assert result.cost_terms["energy"] == pytest.approx(2 * 0.10 + 1 * 0.20)
    (limit,) = result.setpoints
    assert (limit.point, limit.value) == ("house/bikes/power_limit_kw", 0.0)


def test_what_the_room_cannot_give_is_named() -> None:
    (shortfall,) = planned(5.0, 2).shortfalls
    assert (shortfall.asset, shortfall.amount) == ("house/bikes", pytest.approx(1.0))
