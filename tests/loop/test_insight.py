"""What a planner learns from the past: states for one instant alone, and rooms one substation at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ems.district import District, read_district
from ems.loop.insight import FIRST_LEARNS_AT, Insight
from ems.series import History
from ems.slots import Slots
from ems.snapshot import Snapshot
from tests.small_district import copy_small_district

START = datetime(2026, 1, 10, tzinfo=UTC)
STATION, HOMES = "mistral/substation", "mistral/flat-"


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> District:
    return read_district(copy_small_district(tmp_path_factory.mktemp("small")))


def history(district: District, days: int = 8) -> History:
    """Rooms that swing by a kelvin a day about 19.5 degC, whose heat follows, under a sky without surprises."""
    slots = Slots(START, days * 96)
    hour = np.arange(slots.count) / 4 % 24
    swing = np.sin(hour / 24 * 2 * np.pi)
    rows = {f"{n}/temperature_c": 19.5 + 0.5 * swing for n in district.dwellings}
    rows |= {
        f"{STATION}/heat_power_kw": 30 + 10 * swing,
        "station/weather/outdoor_temperature_c": 8 + 4 * swing,
        "station/weather/irradiance_w_per_m2": 300 * np.clip(-np.cos(hour / 24 * 2 * np.pi), 0, None),
    }
    return History(slots, {p: np.asarray(row, dtype=float) for p, row in rows.items()})


def test_states_are_of_their_instant(district: District) -> None:
    insight, past = Insight(district), history(district)
    insight.learn(past)
    now = insight.seen(Snapshot(past.slots.end + timedelta(seconds=40), {}))
    walls = {k: v for k, v in now.states.items() if k.startswith(HOMES)}
    assert len(walls) > 30
    assert all(15 < v < 24 for v in walls.values())
    later = insight.seen(Snapshot(past.slots.end + timedelta(hours=1), {}))
    assert later.states == {}


def test_learns_one_substation_at_a_time_once_it_has_planned(district: District) -> None:
    insight, past = Insight(district), history(district)
    assert [insight.learn(past) for _ in range(FIRST_LEARNS_AT - 1)] == [False] * (FIRST_LEARNS_AT - 1)
    assert insight.district is district
    changed = insight.learn(past)
    assert changed == bool(insight.identified)
    assert set(insight.identified) <= {STATION}
    if changed:
        assert insight.district is not district
        assert insight.learn(past) is False  # it still fits
