"""What is kept of homes: what each agreed to, the sum of its building, and after a no nothing of before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ems.district import District, read_district
from ems.loop.homes import Homes
from ems.points import Quality
from ems.slots import SLOT, Slots
from ems.store import ELECTRIC, Account, People, Store
from tests.loop.test_cycle import WINTER, Site
from tests.small_district import copy_small_district

MIDNIGHT = datetime(2026, 1, 20, 23, 0, tzinfo=UTC)  # in Marseille
AT = int(MIDNIGHT.timestamp())
ASKED = {"daily": frozenset({"mistral/flat-0101", "mistral/flat-0102"}), "load curve": frozenset({"mistral/flat-0101"})}


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


def test_each_home_is_kept_as_it_agreed_and_a_building_as_a_sum(district: District) -> None:
    flats = [name for name in district.dwellings if name.startswith("mistral/")]
    rows = [
        (f"{flat}/{q}", AT + 900 * i, 2.0, Quality.GOOD) for flat in flats for q in ELECTRIC for i in range(2)
    ]  # fmt: skip
    rows += [(p, AT, 9.0, Quality.GOOD) for p in ("mistral/flat-0103/temperature_c", "hotel/tenant/power_kw")]
    kept = [row[:3] for row in Homes(district).of_readings(rows, ASKED)]
    everything = {f"mistral/flat-0101/{q}" for q in ELECTRIC}
    assert {(p, at) for p, at, _ in kept if "/flat-" in p} == {
        *((p, AT + 900 * i) for p in everything for i in range(2)),
        ("mistral/flat-0102/energy_kwh", AT),
        ("mistral/flat-0103/temperature_c", AT),
    }
    assert [row for row in kept if "/flat-" not in row[0]] == [
        ("hotel/tenant/power_kw", AT, 9.0),
        ("mistral/homes/power_kw", AT, 100.0),  # fifty homes of 2 kW
        ("mistral/homes/power_kw", AT + 900, 100.0),
    ]


@pytest.mark.parametrize(("silent", "sums"), [(25, [100.0]), (26, [])])
def test_silent_homes_are_counted_like_the_others_and_too_many_are_no_sum(
    district: District, silent: int, sums: list[float]
) -> None:
    flats = [name for name in district.dwellings if name.startswith("mistral/")]
    rows = [
        (f"{flat}/power_kw", AT, None if i < silent else 2.0, Quality.MISSING if i < silent else Quality.GOOD)
        for i, flat in enumerate(flats)
    ]
    kept = Homes(district).of_readings(rows, {})
    assert [(value, quality) for _, _, value, quality in kept] == [(value, Quality.SUBSTITUTED) for value in sums]


@pytest.mark.parametrize("quality", [Quality.GOOD, Quality.SUBSTITUTED])
def test_a_sum_is_no_better_than_what_it_is_made_of(district: District, quality: Quality) -> None:
    flats = [name for name in district.dwellings if name.startswith("mistral/")]
    rows = [(f"{flat}/power_kw", AT, 2.0, quality if i == 7 else Quality.GOOD) for i, flat in enumerate(flats)]
    assert Homes(district).of_readings(rows, {}) == [("mistral/homes/power_kw", AT, 100.0, quality)]


def test_a_past_comes_home_by_home_and_is_kept_the_same_way(district: District) -> None:
    homes, slots = Homes(district), Slots(MIDNIGHT - 4 * SLOT, 96)
    flats = [name for name in district.dwellings if name.startswith("mistral/")]
    kept = []
    for flat in flats:
        kept += homes.of_series([(f"{flat}/{q}", slots, np.arange(96.0)) for q in ("power_kw", "energy_kwh")], ASKED)
    assert [(p, s.start, v.tolist()) for p, s, v in kept if "0102" in p] == [
        ("mistral/flat-0102/energy_kwh", MIDNIGHT, [4.0])
    ]
    (total,) = [v for p, _, v in kept if p == "mistral/homes/power_kw"]
    np.testing.assert_allclose(total, 50 * np.arange(96.0))
    assert {p for p, _, _ in kept} == {
        "mistral/flat-0101/power_kw", "mistral/flat-0101/energy_kwh", "mistral/flat-0102/energy_kwh",
        "mistral/homes/power_kw",
    }  # fmt: skip


def account(people: People, home: str) -> Account:
    found = people.account_of(people.invite(home, "resident", home, WINTER), WINTER)
    assert found is not None
    return found


def test_a_running_loop_keeps_what_was_agreed_to_and_forgets_after_a_no(tmp_path: Path) -> None:
    site = Site(read_district(copy_small_district(tmp_path)), tmp_path)
    home, other = list(site.district.dwellings)[:2]
    power = [f"{name}/power_kw" for name in (home, other)]
    with People.open(f"sqlite:///{tmp_path}/people.db") as people:
        mine = account(people, home)
        for purpose in ("daily", "load curve"):
            people.consent(mine, purpose, True, WINTER)
        site.run(3)
        slots = Slots(WINTER - SLOT, 4)
        with Store.read_only(site.url) as store:
            assert [np.isfinite(store.history(power, slots).values[p]).any() for p in power] == [True, False]
            besides = [f"{other}/heat_energy_kwh", "mistral/homes/power_kw"]
            assert all(np.isfinite(row).any() for row in store.history(besides, slots).values.values())
            assert f"{other}/energy_kwh" not in store.latest() and f"{home}/energy_kwh" in store.latest()
        people.consent(mine, "daily", False, site.world.now)
        site.run(1)
        with Store.read_only(site.url) as store:
            assert not np.isfinite(store.history(power, slots).values[power[0]]).any()
