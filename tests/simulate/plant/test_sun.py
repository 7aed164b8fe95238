"""The sun of Marseille."""

from datetime import UTC, datetime

import numpy as np
import pytest

from ems.simulate.plant.sun import on_plane, position


def at(*instant: int) -> np.ndarray:
    return np.array([datetime(*instant, tzinfo=UTC).timestamp()])


def test_stands_highest_in_the_south_at_midsummer_noon() -> None:
    # By hand: 90 - 43.33 + 23.44 = 70.1 degrees; solar noon at 5.4 E is about 11:40 UTC.
    elevation, azimuth = position(at(2026, 6, 21, 11, 40), 43.33, 5.365)
    assert np.degrees(elevation[0]) == pytest.approx(70.1, abs=0.2)
    assert np.degrees(azimuth[0]) == pytest.approx(180, abs=3)


def test_rises_in_the_east_and_is_down_at_midnight() -> None:
    elevation, azimuth = position(at(2026, 3, 20, 6, 30), 43.33, 5.365)
    assert 0 < np.degrees(elevation[0]) < 15
    assert np.degrees(azimuth[0]) == pytest.approx(95, abs=6)
    assert position(at(2026, 3, 20, 23, 40), 43.33, 5.365)[0][0] < 0


def test_a_flat_plane_gets_the_horizontal_irradiance() -> None:
    elevation = np.radians(np.array([30.0]))
    dni, dhi = np.array([800.0]), np.array([100.0])
    ghi = dni * np.sin(elevation) + dhi
    assert on_plane(elevation, np.array([3.0]), ghi, dni, dhi, 0, 180)[0] == pytest.approx(ghi[0])


def test_a_wall_facing_the_sun_gets_the_beam_and_half_the_sky() -> None:
    elevation, azimuth = np.zeros(1) + 1e-9, np.array([np.pi])
    got = on_plane(elevation, azimuth, np.zeros(1), np.array([500.0]), np.array([80.0]), 90, 180)[0]
    assert got == pytest.approx(500 + 40)
    behind = on_plane(elevation, azimuth, np.zeros(1), np.array([500.0]), np.array([80.0]), 90, 0)[0]
    assert behind == pytest.approx(40)
