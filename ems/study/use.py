"""What a run used per m2: the figures by which a district is held against others, and against its own bills.

Heating is also given as a mean year's weather would have made it: heating of the run x degree days of the same days in
the mean climate of the place / degree days of the run. Degree days count kelvins of a day's mean below BASE_C ("DJU").
"""

from __future__ import annotations

from scipy.stats import norm

from ems.assets import BaseLoad, Zone
from ems.district import District
from ems.series import Floats
from ems.simulate.weather import DAY_MEAN_K, normal_outdoor_c
from ems.slots import Slots
from ems.study.record import Record

BASE_C = 18.0
FEW_PER_DAY = 1.0  # degree days a day: below it heating says nothing about the weather


def use(district: District, record: Record) -> dict[str, float]:
    """Energy per m2 of the run, its peaks of heat and cold, degree days and heating in a mean climate."""
    totals = record.totals
    buildings = {d.building for d in district.dwellings.values()}
    homes_m2 = sum(d.surface_m2 for d in district.dwellings.values())
    large = record.zones[record.homes :]
    offices = [k for k, n in enumerate(large) if district.asset(n, Zone).use == "offices"]
    offices_m2 = sum(district.asset(large[k], Zone).surface_m2 for k in offices)
    of_homes = [k for k, n in enumerate(record.tanks) if n.partition("/")[0] in buildings]
    desks = [k for k, n in enumerate(record.devices) if _is_offices(district, n)]
    heat = totals["zone_heat"]
    days = record.slots.count * record.slots.hours / 24
    had, normal = degree_days(record.outdoor_c, record.slots), normal_degree_days(record.slots)
    found = {
        "heat_peak_kw": float(record.made_kwh["heat"].max() / record.slots.hours),
        "cold_peak_kw": float(record.made_kwh["cold"].max() / record.slots.hours),
        "degree_days": had,
        "degree_days_normal": normal,
    }
    if homes_m2:
        found |= {
            "dwelling_heating_kwh_per_m2": float(heat[: record.homes].sum()) / homes_m2,
            "dwelling_hot_water_kwh_per_m2": float(totals["draw"][of_homes].sum()) / homes_m2,
            "dwelling_hot_water_losses_kwh_per_m2": float(
                (totals["riser_loss"] + totals["standing"])[of_homes].sum() / homes_m2
            ),
            "dwelling_electricity_kwh_per_m2": float(totals["home"].sum()) / homes_m2,
        }
    if offices_m2:
        found |= {
            "office_heating_kwh_per_m2": float(heat[record.homes :][offices].sum()) / offices_m2,
            "office_cooling_kwh_per_m2": float(totals["zone_cold"][offices].sum()) / offices_m2,
            "office_electricity_kwh_per_m2": float(record.device_kwh[:, desks].sum()) / offices_m2,
        }
    if had > FEW_PER_DAY * days:
        for name in ("dwelling_heating", "office_heating"):
            if f"{name}_kwh_per_m2" in found:
                found[f"{name}_in_a_mean_climate_kwh_per_m2"] = found[f"{name}_kwh_per_m2"] * normal / had
    return found


def _is_offices(district: District, name: str) -> bool:
    asset = district.assets[name]
    return isinstance(asset, BaseLoad) and asset.use == "offices"


def degree_days(outdoor_c: Floats, slots: Slots) -> float:
    """K.d below BASE_C of means over days counted from the start; the last day may be a part of one."""
    per_day = round(24 / slots.hours)
    parts = [outdoor_c[k : k + per_day] for k in range(0, slots.count, per_day)]
    return sum(max(BASE_C - float(part.mean()), 0.0) * part.size / per_day for part in parts)


def normal_degree_days(slots: Slots) -> float:
    """What a mean year would have: the expected value over days whose mean is normal around the climate's, K.d.

    E max(B - T, 0) = (B - m) P(z) + s p(z) with z = (B - m) / s, P and p the normal distribution and its density.
    """
    below = BASE_C - normal_outdoor_c(slots)
    z = below / DAY_MEAN_K
    return float((below * norm.cdf(z) + DAY_MEAN_K * norm.pdf(z)).sum()) * slots.hours / 24
