import pytest

from ems.district import District
from ems.study.part import PartError, part, without


def test_a_part_keeps_what_belongs_to_its_buildings(whole: District, small: District) -> None:
    assert set(small.buildings) == {"mistral", "plant-c", "parking", "station"}
    assert len(small.dwellings) == 50
    assert all(p.partition("/")[0] in small.buildings for p in small.wires)
    assert {d.bus.name for d in small.devices} == set(small.buses)
    assert part(whole, ()) is whole


def test_a_part_that_refers_to_something_missing_is_refused(whole: District) -> None:
    with pytest.raises(PartError, match="plant-c/heat-pumps by its plant; name plant-c too"):
        part(whole, ("mistral", "parking", "station"))


def test_an_unknown_building_is_named(whole: District) -> None:
    with pytest.raises(PartError, match="mistal is no building of smartseille; there are calanques"):
        part(whole, ("mistal",))


def test_an_asset_leaves_with_its_device_and_points(small: District) -> None:
    left = without(small, {"parking/battery"})
    assert "parking/battery" not in left.assets
    assert not any(p.startswith("parking/battery/") for p in left.wires)
    assert len(left.devices) == len(small.devices) - 1
