from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ems.assets import Fabric, Opening, Zone
from ems.assets.zone import ZoneUse
from ems.forecast.calendar import SUNDAY, WORKDAY, calendar
from ems.forecast.typical import zone_gains_kw
from ems.slots import Slots


def at_noon(year: int, month: int, day: int, zone: str = "Europe/Paris") -> tuple[int, bool | None]:
    """Kind of a day, and whether there is no school."""
    one = calendar(Slots(datetime(year, month, day, 11, tzinfo=UTC), 1), zone)
    return int(one.kind[0]), None if one.school is None else bool(one.school[0])


def test_school_holidays_of_zone_b_are_known_and_public_ones_are_sundays() -> None:
    # Aix-Marseille had its winter holidays from 14 February to 1 March 2026; Paris a week later.
    assert at_noon(2026, 2, 18) == (WORKDAY, True)
    assert at_noon(2026, 3, 4) == (WORKDAY, False)
    assert at_noon(2026, 7, 14) == (SUNDAY, True)
    assert at_noon(2026, 11, 11) == (SUNDAY, False)


@pytest.mark.parametrize(
    ("use", "said", "share"), [("offices", None, 0.12), ("shops", False, 1), ("hotel", True, 0.12)]
)
def test_whoever_stays_shut_on_a_public_holiday_gets_no_heat_of_people(
    use: ZoneUse, said: bool | None, share: float
) -> None:
    """At noon of Tuesday 14 July 2026, of 1000 m2 with 3 W/m2 of people: all of it, or what burns at night."""
    fabric = Fabric(
        loss_w_per_k_m2=1.0, light_wh_per_k_m2=15, mass_wh_per_k_m2=50, coupling_w_per_k_m2=6.5,
        solar_aperture_share=0.03, gains_w_per_m2=3, heating_w_per_m2=40,
    )  # fmt: skip
    opening = Opening(days=(1, 2, 3, 4, 5), from_hour=8, until_hour=19, closed_on_holidays=said)
    zone = Zone(use=use, surface_m2=1000, substation="a/station", fabric=fabric, opening=opening)
    noon = calendar(Slots(datetime(2026, 7, 14, 10, tzinfo=UTC), 1), "Europe/Paris")
    assert zone_gains_kw(zone, noon) == pytest.approx(3 * share)


def test_where_the_clock_is_not_of_paris_no_school_is_spoken_of() -> None:
    assert at_noon(2026, 7, 20, "Europe/Rome")[1] is None


@pytest.mark.parametrize("year", [2028, 2035, 2041])
def test_a_year_beyond_the_table_has_a_summer_and_weeks_of_school(year: int) -> None:
    whole = calendar(Slots(datetime(year, 1, 1, tzinfo=UTC), 365 * 24, 60), "Europe/Paris")
    assert whole.school is not None
    free = whole.school[11::24]  # at noon
    assert 95 <= free.sum() <= 140
    assert free[200:225].all()  # 20 July to 14 August
    assert not free[155:178].any()  # June, nearly


@pytest.mark.parametrize(
    ("day", "slots"), [(datetime(2026, 3, 29, tzinfo=UTC), 92), (datetime(2026, 10, 25, tzinfo=UTC), 100)]
)
def test_a_local_day_has_92_or_100_quarter_hours_when_the_clocks_change(day: datetime, slots: int) -> None:
    whole = calendar(Slots(day - timedelta(days=1), 3 * 96), "Europe/Paris")
    _, counts = np.unique(whole.local // 96, return_counts=True)
    assert slots in counts
