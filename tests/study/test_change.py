import pytest

from ems.assets import Battery, Tank
from ems.district import District
from ems.simulate.scenario import Scenario
from ems.study.change import ChangeError, changed


def test_one_asset_by_its_full_or_its_only_short_name(small: District, evening: Scenario) -> None:
    for path in ("parking/battery.charge_limit_kw=40", "battery.charge_limit_kw=40"):
        district, _ = changed(small, evening, [path])
        assert district.asset("parking/battery", Battery).charge_limit_kw == 40
    assert small.asset("parking/battery", Battery).charge_limit_kw == 150  # the given one stays as it was


def test_a_battery_without_capacity_is_no_battery(small: District, evening: Scenario) -> None:
    district, _ = changed(small, evening, ["battery.capacity_kwh=0"])
    assert not district.of(Battery)


def test_every_asset_of_a_name(whole: District, evening: Scenario) -> None:
    district, _ = changed(whole, evening, ["*/tank.minimum_hot_share=0.5"])
    assert {t.minimum_hot_share for n, t in district.of(Tank).items() if n.endswith("/tank")} == {0.5}


def test_contract_values_comfort_and_scenario(small: District, evening: Scenario) -> None:
    district, scenario = changed(
        small,
        evening,
        [
            "contract.landlord-c4.periods.HPH.energy_per_kwh=0.2",
            "values.carbon_per_kg=0.25",
            "comfort.home.floor_c=17",
            "scenario.days=0.5",
        ],
    )
    assert district.contracts["landlord-c4"].periods["HPH"].energy_per_kwh == 0.2
    assert district.values.carbon_per_kg == 0.25
    assert district.comfort["home"].floor_c == 17
    assert scenario.days == 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("batery.capacity_kwh=1", "there is no batery; a path begins with scenario, contract"),
        ("battery.capacity=1", "battery has no capacity; it has capacity_kwh"),
        ("battery.capacity_kwh=-1", "greater than 0"),
        ("contract.landlord.export_per_kwh=1", "there is no contract landlord; there are"),
        ("battery", "write path=value"),
        ("battery=3", "names no field"),
        ("scenario.dayz=3", "scenario has no dayz; it has"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(
    small: District, evening: Scenario, change: str, said: str
) -> None:
    with pytest.raises(ChangeError, match=said):
        changed(small, evening, [change])


def test_a_short_name_of_several_assets_is_not_guessed(whole: District, evening: Scenario) -> None:
    with pytest.raises(ChangeError, match=r"substation could be .*; give its full name, or \*/substation for all"):
        changed(whole, evening, ["substation.pump_kw=1"])
