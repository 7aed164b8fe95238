"""Similar homes: groups that are told apart."""

from __future__ import annotations

from dataclasses import replace

from ems.district import District
from ems.web.similar import groups


def test_two_kinds_of_homes_in_one_building_are_two_groups_of_two_names(district: District) -> None:
    """What was told of one group is kept under its name: the other must not be told the same."""
    homes = [n for n, home in district.dwellings.items() if home.building == "horizon"]
    seniors = set(homes[: len(homes) // 2])
    assets = {
        n: a.model_copy(update={"use": "senior-home", "surface_m2": 60.0} if n in seniors else {"surface_m2": 60.0})
        if n in homes
        else a
        for n, a in district.assets.items()
    }
    known = groups(replace(district, assets=assets))
    one, other = known[homes[0]], known[homes[-1]]
    assert set(one.surface_m2) == seniors and seniors.isdisjoint(other.surface_m2)
    assert one.name != other.name
    assert {g.name for g in groups(district).values() if g.building == "horizon"} == {"horizon:0-72.7", "horizon:72.7-"}
