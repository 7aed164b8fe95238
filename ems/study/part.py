"""A part of a district: some of its buildings, with everything they refer to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ems.district import District
from ems.district.read import REFERENCES


class PartError(ValueError):
    """A part that cannot stand alone, or a building that does not exist."""


def part(district: District, buildings: Collection[str]) -> District:
    """The district reduced to these buildings; all of it when none is named.

    Raises PartError for an unknown building, and for a building that is missing but referred to.
    """
    if not buildings:
        return district
    unknown = sorted(set(buildings) - set(district.buildings))
    if unknown:
        known = ", ".join(district.buildings)
        raise PartError(f"buildings: {', '.join(unknown)} is no building of {district.name}; there are {known}")
    assets = {n: a for n, a in district.assets.items() if a.building in buildings}
    for name, asset in assets.items():
        for key in REFERENCES:
            target = getattr(asset, key, None)
            if target is not None and target not in assets:
                missing = str(target).partition("/")[0]
                raise PartError(f"buildings: {name} refers to {target} by its {key}; name {missing} too")
    return without(district, set(district.assets) - set(assets))


def without(district: District, gone: Collection[str]) -> District:
    """The district without these assets, their devices and their points."""
    assets = {n: a for n, a in district.assets.items() if n not in gone}
    left = {a.building for a in assets.values()}
    devices = tuple(d for d in district.devices if d.asset not in gone)
    buses = {d.bus.name for d in devices}
    return replace(
        district,
        buildings={n: b for n, b in district.buildings.items() if n in left},
        assets=assets,
        devices=devices,
        buses={n: b for n, b in district.buses.items() if n in buses},
        wires={p: w for p, w in district.wires.items() if w.device.asset not in gone},
    )
