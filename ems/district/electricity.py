"""The electricity that nobody commands: its meters by building, and what is added up of them."""

from __future__ import annotations

from ems.assets import BaseLoad, Photovoltaic
from ems.district.model import District

EVERYTHING = "district"  # in the place of a building: all of them
SUM = "electricity/power_kw"  # behind the building's name


def uncommanded(district: District) -> dict[str, list[str]]:
    """The powers of its homes together, its loads and its arrays, by building; without those that have none."""
    homes = dict.fromkeys(home.building for home in district.dwellings.values())
    found = {f"{building}/homes/power_kw": building for building in homes}
    assets = (*district.of(BaseLoad).values(), *district.of(Photovoltaic).values())
    found |= {asset.point("power_kw"): asset.building for asset in assets}
    return {b: points for b in district.buildings if (points := [p for p, of in found.items() if of == b])}


def sums(district: District) -> dict[str, list[str]]:
    """What is added up, by the point of the sum: of each building that has several such meters, and of all.

    A sum is what is taken less what the arrays generate, kW: below zero where the sun gives more.
    """
    by_building = uncommanded(district)
    every = [point for points in by_building.values() for point in points]
    found = {f"{building}/{SUM}": points for building, points in by_building.items()} | {f"{EVERYTHING}/{SUM}": every}
    return {point: members for point, members in found.items() if len(members) > 1}
