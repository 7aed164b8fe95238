"""Reading a folder: references across buildings, wires, authority, and all faults in one run."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from ems.assets import ChargePoint, Dwelling
from ems.district import DistrictError, describe, out_of_date, read_district

MINI = Path(__file__).parent / "mini"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MINI, tmp_path / "site"))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_names_are_building_slash_asset() -> None:
    district = read_district(MINI)
    assert list(district.dwellings) == ["court/flat-1", "court/flat-2"]
    home = district.asset("court/flat-1", Dwelling)
    assert (home.substation, home.surface_m2, home.use) == ("court/substation", 50, "home")
    with pytest.raises(TypeError, match="court/flat-1 is a Dwelling, not a ChargePoint"):
        district.asset("court/flat-1", ChargePoint)


def test_each_wires_one_device_per_asset_in_the_order_of_the_file() -> None:
    district = read_district(MINI)
    units = {d.asset: d.unit for d in district.devices if d.bus.name == "court/meters"}
    assert units == {"court/landlord": 1, "court/flat-1": 10, "court/flat-2": 11, "court/socket": 20}
    # flat-2 has no readable thermostat, so one room controller only
    assert [d.asset for d in district.devices if d.type.name == "room-controller"] == ["court/flat-1"]
    assert district.wires["court/flat-1/setpoint_offset_k"].object_id == ("analog-output", 111)


def test_authority_of_a_building_wins_over_that_of_the_type(site: Path) -> None:
    assert read_district(site).wires["court/socket/current_limit_a"].commanded
    replace(
        site / "court.yaml", "asset: socket, unit: 20", "asset: socket, unit: 20, authority: {current_limit_a: observe}"
    )
    wire = read_district(site).wires["court/socket/current_limit_a"]
    assert wire.writable and not wire.commanded


def test_a_charge_point_may_hang_on_the_feeder_of_another_building(site: Path) -> None:
    replace(site / "court.yaml", "feeder: cable", "feeder: cellar/cable")
    replace(
        site / "cellar.yaml", "assets:\n", "assets:\n  cable: {type: feeder, supply: court/landlord, limit_kw: 22}\n"
    )
    assert read_district(site).asset("court/socket", ChargePoint).feeder == "cellar/cable"


def test_one_run_names_every_fault_in_the_order_of_the_files(site: Path) -> None:
    replace(site / "court.yaml", "tilt_deg: 10", "tilt_deg: 100")
    replace(site / "court.yaml", "contract: landlord", "contract: nobody")
    replace(site / "devices" / "meter.yaml", "unit: W,", "unit: watt,")
    replace(site / "district.yaml", "latitude_deg: 43.3", "latitude_deg: 143.3")
    with pytest.raises(DistrictError) as caught:
        read_district(site)
    assert [(r.file, r.key) for r in caught.value.refusals] == [
        ("site/court.yaml", "assets.roof.tilt_deg"),
        ("site/devices/meter.yaml", "registers.power_kw.unit"),
        ("site/district.yaml", "place.latitude_deg"),
    ]
    # The contract of a building that could not be read is looked at in the next run.
    assert str(caught.value).count("\n") == 2


def test_what_only_follows_from_another_fault_is_not_told(site: Path) -> None:
    replace(site / "cellar.yaml", "heat_kw: 40", "heat_kw: -40")  # court takes its heat from there
    with pytest.raises(DistrictError) as caught:
        read_district(site)
    assert [r.key for r in caught.value.refusals] == ["assets.heat-pumps.heat_kw"]


def test_the_line_is_that_of_the_key(site: Path) -> None:
    path = site / "court.yaml"
    line = next(n for n, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if "flat-2" in text)
    replace(path, "surface_m2: 70", "surface_m2: -70")
    with pytest.raises(DistrictError, match=f"^site/court.yaml:{line}: dwellings.flat-2.surface_m2 is -70; it must be"):
        read_district(site)


def test_a_folder_without_a_district_says_so(tmp_path: Path) -> None:
    with pytest.raises(DistrictError, match=r"holds no district\.yaml; give the folder that does"):
        read_district(tmp_path)


def test_a_file_that_would_not_be_read_is_refused(site: Path) -> None:
    (site / "annex.yml").write_text("use: plant\n", encoding="utf-8")
    with pytest.raises(DistrictError, match=r"site/annex\.yml: would not be read; let its name end in \.yaml"):
        read_district(site)


def test_a_building_has_a_plain_name(site: Path) -> None:
    (site / "Annex_2.yaml").write_text("use: plant\n", encoding="utf-8")
    with pytest.raises(DistrictError, match="is no building name; use lower case words joined by hyphens"):
        read_district(site)


def test_describes_what_was_read() -> None:
    facts = {fact.what: fact for fact in describe(read_district(MINI))}
    assert facts["buildings"].count == 2
    assert (facts["dwellings"].count, facts["dwellings"].detail) == (2, "120 m², 1 without a readable thermostat")
    assert facts["set points"].detail == "4 ours, 0 shared, 0 observe"
    assert facts["points"].detail.startswith("without any: cellar/supply, cellar/loop")  # named, for somebody to wire


def test_says_which_contract_does_not_hold_on_a_day() -> None:
    district = read_district(MINI)
    assert out_of_date(district, date(2026, 1, 1)) == []
    (late,) = out_of_date(district, date(2028, 1, 1))
    assert (
        str(late) == "contracts/landlord.yaml: valid_until is 2027-07-31, so it does not hold on 2028-01-01; "
        "add the contract that does"
    )
