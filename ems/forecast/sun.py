"""Photovoltaics: physical first. Irradiance on the plane of each array, times what the array has lately made of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pvlib

from ems.assets import Photovoltaic
from ems.forecast.calendar import Calendar
from ems.series import Floats, Forecast

STANDARD_W_PER_M2 = 1000.0
LEARNT_DAYS = 14
ENOUGH_SLOTS = 40
BRIGHT_W_PER_M2 = 120.0
NOW_H = 2.0  # for how long the clearness measured just now says more than the forecast
MODEL_SPREAD = 0.06  # of the power, from the model itself (assumption)


def plane_w_per_m2(array: Photovoltaic, ghi: Floats, sky: pd.DataFrame, calendar: Calendar) -> Floats:
    """Irradiance on the array's plane from global horizontal: Erbs' split, isotropic sky (pvlib)."""
    zenith = sky["zenith"].to_numpy()
    split = pvlib.irradiance.erbs(ghi, zenith, calendar.year_day)
    plane = pvlib.irradiance.get_total_irradiance(
        array.tilt_deg, array.azimuth_deg, zenith, sky["azimuth"].to_numpy(), split["dni"], ghi, split["dhi"]
    )
    return np.asarray(np.nan_to_num(np.clip(np.asarray(plane["poa_global"], dtype=float), 0, 1500)))


def physical_kw(array: Photovoltaic, ghi: Floats, sky: pd.DataFrame, calendar: Calendar) -> Floats:
    """What the array would generate by its data sheet, kW, positive."""
    plane = plane_w_per_m2(array, ghi, sky, calendar)
    return np.asarray(np.minimum(plane / STANDARD_W_PER_M2 * array.performance_share, 1.0) * array.peak_kw)


def learnt_share(
    array: Photovoltaic, power_kw: Floats, limit_share: Floats, ghi: Floats, sky: pd.DataFrame, calendar: Calendar
) -> float | None:
    """What the array generated of its physical power in bright, uncurtailed slots; None where too few are known.

    All arrays hold the past only; `power_kw` is negative as measured, `ghi` measured on the district's roof.
    """
    expected = physical_kw(array, np.nan_to_num(ghi), sky, calendar)
    free = ~(limit_share < 0.999)  # not known counts as free
    use = np.isfinite(power_kw) & np.isfinite(ghi) & (ghi > BRIGHT_W_PER_M2) & free & (expected > 0.05 * array.peak_kw)
    use[: -LEARNT_DAYS * calendar.per_day] = False
    if use.sum() < ENOUGH_SLOTS:
        return None
    return float(np.clip(-power_kw[use].sum() / expected[use].sum(), 0.0, 1.4))


def clearness_now(ghi: Floats, clear: Floats, known: int, per_hour: int) -> float | None:
    """Measured over clear-sky irradiance of the last hour; None at night or where nothing was measured."""
    last = slice(max(known - per_hour, 0), known)
    use = np.isfinite(ghi[last]) & (clear[last] > BRIGHT_W_PER_M2)
    if not use.any():
        return None
    return float(np.clip(ghi[last][use].sum() / clear[last][use].sum(), 0.03, 1.2))


def blended_ghi(irradiance: Forecast, clear: Floats, now: float | None, lead_h: Floats) -> Floats:
    """[3, N] irradiance quantiles: for the next hours drawn towards the clearness measured just now."""
    quantiles = np.stack([irradiance.low, irradiance.median, irradiance.high])
    bright = clear > BRIGHT_W_PER_M2
    if now is None or not bright[:1].any():
        return quantiles
    expected = np.clip(irradiance.median / np.maximum(clear, 1), 0.03, 1.2)
    weight = np.exp(-np.maximum(lead_h, 0) / NOW_H)
    factor = np.where(bright, (now / expected) ** weight, 1.0)
    return np.asarray(np.clip(quantiles * factor, 0, 1.1 * clear + 20))


def generation_kw(
    array: Photovoltaic, ghi: Floats, sky: pd.DataFrame, calendar: Calendar, share: float | None
) -> tuple[Floats, Floats, Floats]:
    """Low, median and high of the array's power (<= 0, so low is the sunniest) from irradiance quantiles [3, N]."""
    by_sheet = np.stack([physical_kw(array, q, sky, calendar) for q in ghi])
    generated = np.minimum(by_sheet * (1.0 if share is None else share), array.peak_kw)
    generated[0] *= 1 - MODEL_SPREAD
    generated[2] = np.minimum(generated[2] * (1 + MODEL_SPREAD), array.peak_kw)
    low, median, high = np.sort(-generated, axis=0)
    return low, median, high
