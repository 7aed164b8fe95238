"""The default district, and worlds that many tests only look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ems.district import District, read_district
from ems.series import Floats
from ems.simulate.plant import World

BUILDINGS = Path(__file__).parents[3] / "buildings"
WINTER = datetime(2026, 1, 13, 5, tzinfo=UTC)  # a Tuesday
SUMMER = datetime(2026, 7, 15, 5, tzinfo=UTC)


class Watched:
    """A world that ran for a day, and what its points showed every five minutes."""

    def __init__(self, district: District, start: datetime) -> None:
        self.world = World(district, start=start, seed=3)
        self.before = self.world.truth
        self.before_stored = (self.before.zones.stored_kwh, self.before.tanks.stored_kwh)
        shown = [self.world.values.copy()]
        peak = np.zeros(len(self.before.electric.supplies))
        for _ in range(24 * 12):
            self.world.advance(self.world.now + timedelta(minutes=5))
            shown.append(self.world.values.copy())
            peak = np.maximum(peak, self.world.truth.electric.supply_kw)
        self.shown: Floats = np.array(shown)
        self.peak_kw = peak
        self.after = self.world.truth


@pytest.fixture(scope="session")
def district() -> District:
    return read_district(BUILDINGS)


@pytest.fixture(scope="session")
def winter_day(district: District) -> Watched:
    return Watched(district, WINTER)


@pytest.fixture(scope="session")
def summer_day(district: District) -> Watched:
    return Watched(district, SUMMER)
