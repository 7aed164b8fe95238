"""Where the sun stands, and what it sends onto a tilted plane."""

from __future__ import annotations

import numpy as np

from ems.series import Floats

GROUND_ALBEDO = 0.2


def position(epoch_s: Floats, latitude_deg: float, longitude_deg: float) -> tuple[Floats, Floats]:
    """Elevation and azimuth (from north, clockwise) in radians, at instants in UTC epoch seconds.

    Low-precision formulae of the Astronomical Almanac, as in J. Michalsky, Solar Energy 40 (1988) 227: 0.01 degree.
    """
    days = epoch_s / 86400.0 - 10957.5  # since J2000.0
    mean_longitude = np.radians((280.460 + 0.9856474 * days) % 360)
    anomaly = np.radians((357.528 + 0.9856003 * days) % 360)
    ecliptic = mean_longitude + np.radians(1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    right_ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    sidereal_h = 6.697375 + 0.0657098242 * days + (epoch_s % 86400) / 3600
    hour_angle = np.radians((sidereal_h * 15 + longitude_deg) % 360) - right_ascension
    latitude = np.radians(latitude_deg)
    elevation = np.arcsin(
        np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    )
    azimuth = np.arctan2(
        -np.cos(declination) * np.sin(hour_angle),
        np.sin(declination) * np.cos(latitude) - np.cos(declination) * np.sin(latitude) * np.cos(hour_angle),
    )
    return elevation, azimuth % (2 * np.pi)


def on_plane(
    elevation: Floats, azimuth: Floats, ghi: Floats, dni: Floats, dhi: Floats, tilt_deg: float, facing_deg: float
) -> Floats:
    """Irradiance on a plane, W/m2: beam, isotropic sky (Liu and Jordan 1960) and the light ground."""
    tilt, facing = np.radians(tilt_deg), np.radians(facing_deg)
    incidence = np.sin(elevation) * np.cos(tilt) + np.cos(elevation) * np.sin(tilt) * np.cos(azimuth - facing)
    beam = np.where(elevation > 0, dni * np.maximum(incidence, 0), 0)
    sky = dhi * (1 + np.cos(tilt)) / 2
    ground = ghi * GROUND_ALBEDO * (1 - np.cos(tilt)) / 2
    return np.asarray(beam + sky + ground)
