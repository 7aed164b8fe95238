"""The recorded past of the default district."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ems.assets import Dwelling
from ems.district import District, read_district
from ems.points import is_counter
from ems.series import Floats
from ems.simulate.past import OF_A_DWELLING, STOCKS, past
from ems.simulate.plant import World
from ems.simulate.weather import Weather
from ems.slots import Slots

END = datetime(2026, 2, 4, 9, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


@pytest.fixture(scope="module")
def recorded(district: District) -> dict[str, tuple[Slots, Floats]]:
    seen: list[tuple[int, int]] = []
    told = past(district, end=END, days=1, seed=3, progress=lambda done, days: seen.append((done, days)))
    by_point = {point: (slots, values) for point, slots, values in told}
    assert seen == [(1, 1)]
    return by_point


def test_covers_the_days_before_the_end(recorded: dict[str, tuple[Slots, Floats]]) -> None:
    for slots, values in recorded.values():
        assert slots.end == END
        assert slots.count == 96
        assert values.shape == (96,)
        assert np.isfinite(values).all()


def test_buildings_come_before_dwellings_and_nothing_written_is_in_it(
    district: District, recorded: dict[str, tuple[Slots, Floats]]
) -> None:
    dwelling = [isinstance(district.assets[district.wires[p].device.asset], Dwelling) for p in recorded]
    assert dwelling == sorted(dwelling)
    assert not any(district.wires[p].writable for p in recorded)
    metered = {
        p for p, w in district.wires.items() if w.device.asset in district.dwellings and w.quantity in OF_A_DWELLING
    }
    assert metered <= set(recorded)


def test_counters_meet_the_world_that_begins_at_the_end(
    district: District, recorded: dict[str, tuple[Slots, Floats]]
) -> None:
    world = World(district, start=END, seed=3, warm_up_hours=1)
    for point, (_, values) in recorded.items():
        quantity = district.wires[point].quantity
        if is_counter(quantity) and quantity not in STOCKS:
            assert (np.diff(values) >= -1e-9).all(), point
            now = world.values[world.index[point]]
            assert now - values[-1] + 1e-6 >= 0, point
            assert now - values[0] < 30000, point


def test_power_is_the_mean_that_the_register_counted(recorded: dict[str, tuple[Slots, Floats]]) -> None:
    power, energy = recorded["horizon/flat-0102/power_kw"][1], recorded["horizon/flat-0102/energy_kwh"][1]
    assert power[:-1] == pytest.approx(np.diff(energy) * 4, abs=1e-6)
    roof = recorded["horizon/roof/power_kw"][1]
    assert roof.max() <= 0
    assert roof.min() < -0.5


def test_the_weather_is_the_weather(district: District, recorded: dict[str, tuple[Slots, Floats]]) -> None:
    slots, outdoor = recorded["station/weather/outdoor_temperature_c"]
    minutes = Weather(district.place, 3).minutes(slots.start, 96 * 15).outdoor_c
    sensor = outdoor - minutes.reshape(96, 15).mean(axis=1)
    assert abs(sensor.mean()) < 0.5  # its constant error
    assert sensor.std() < 0.1


def test_refuses_half_slots_and_no_days(district: District) -> None:
    with pytest.raises(ValueError, match="quarter-hour"):
        next(past(district, end=END + timedelta(minutes=3), days=1))
    with pytest.raises(ValueError, match="at least one day"):
        next(past(district, end=END, days=0))
