"""Use per m2 and its correction to a mean climate, by hand where it can be."""

from datetime import UTC, datetime

import numpy as np
import pytest

from ems.district import District
from ems.simulate.scenario import Scenario
from ems.simulate.weather import DAY_MEAN_K, normal_outdoor_c
from ems.slots import Slots
from ems.study.run import Run
from ems.study.use import degree_days, normal_degree_days
from tests.study.conftest import played

MONTH = Slots(datetime(2026, 1, 1, tzinfo=UTC), 31 * 96)


def test_degree_days_by_hand() -> None:
    # One day of 10 degC, half a day of 12 degC, half of 30: 8, and nothing, since its mean is 21.
    outdoor = np.concatenate([np.full(96, 10.0), np.full(48, 12.0), np.full(48, 30.0)])
    assert degree_days(outdoor, Slots(MONTH.start, 192)) == pytest.approx(8.0)
    # Half a day of 12 degC alone counts half.
    assert degree_days(np.full(48, 12.0), Slots(MONTH.start, 48)) == pytest.approx(3.0)


def test_a_mean_january_has_about_330_degree_days_and_a_mean_july_none() -> None:
    # January's mean is 7.4 degC: 31 x 10.6 = 329, and no day of it is above 18 degC.
    assert normal_degree_days(MONTH) == pytest.approx(329, rel=0.03)
    assert normal_degree_days(Slots(datetime(2026, 7, 1, tzinfo=UTC), 31 * 96)) < 1
    # Where the mean itself stands at 18 degC the days around it still need heat: s / sqrt(2 pi) each.
    may = Slots(datetime(2026, 5, 1, tzinfo=UTC), 31 * 96)
    nearest = int(np.argmin(np.abs(normal_outdoor_c(may) - 18.0)))
    day = Slots(may.at(nearest), 1)
    assert normal_degree_days(day) * 96 == pytest.approx(DAY_MEAN_K / np.sqrt(2 * np.pi), rel=0.02)


@pytest.fixture(scope="module")
def local(small: District, evening: Scenario) -> Run:
    return played(small, evening.model_copy(update={"days": 1 / 24}), "local")


def test_the_figures_of_a_run_are_those_of_its_truth(small: District, local: Run) -> None:
    kpi, totals = local.figures.kpi, local.record.totals
    surface = sum(d.surface_m2 for d in small.dwellings.values())
    assert kpi["dwelling_heating_kwh_per_m2"] * surface == pytest.approx(local.record.heat_kwh.sum())
    assert kpi["dwelling_hot_water_kwh_per_m2"] * surface == pytest.approx(totals["draw"].sum())
    assert kpi["dwelling_electricity_kwh_per_m2"] * surface == pytest.approx(kpi["homes_kwh"])
    assert "office_heating_kwh_per_m2" not in kpi  # there are none here
    assert 0 < kpi["heat_peak_kw"] < 1000
    ratio = kpi["degree_days_normal"] / kpi["degree_days"]
    assert kpi["dwelling_heating_in_a_mean_climate_kwh_per_m2"] == pytest.approx(
        kpi["dwelling_heating_kwh_per_m2"] * ratio
    )


def test_who_writes_nothing_is_under_local_control_all_the_time(local: Run, small: District, evening: Scenario) -> None:
    assert local.figures.kpi["local_control_share"] == 1.0
    rules = played(small, evening.model_copy(update={"days": 1 / 24}), "rules")
    assert rules.figures.kpi["local_control_share"] == 0.0
    assert rules.figures.kpi["overrides_per_day"] == local.figures.kpi["overrides_per_day"]
