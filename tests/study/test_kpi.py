"""Scores that can be reckoned by hand, and runs that try to cheat."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from ems.assets import Battery
from ems.command import Setpoint
from ems.district import District
from ems.market import prices
from ems.points import split_point
from ems.simulate.scenario import Scenario
from ems.snapshot import Snapshot
from ems.study.kpi import START_WEAR_EUR, figures, value_of_stores
from ems.study.opponents import RuleBook, Rules
from ems.study.run import Case, Run, run_with, summary
from ems.study.study import captured, medians, worse
from tests.study.conftest import BUILDINGS, played


@pytest.fixture(scope="module")
def rules(small: District, evening: Scenario) -> Run:
    return played(small, evening, "rules")


class Emptying(Rules):
    """A cheat: keeps to the rules, but sells what the battery holds, or lets tanks and rooms run down."""

    spares: tuple[tuple[str, float], ...] = ()

    def setpoints(self, snapshot: Snapshot, at: datetime) -> Iterator[Setpoint]:
        instead = dict(self.spares)
        for setpoint in super().setpoints(snapshot, at):
            value = instead.get(split_point(setpoint.point)[2], setpoint.value)
            yield Setpoint(setpoint.point, value, setpoint.reason)


def cheated(small: District, evening: Scenario, rules: Run, **instead: float) -> Run:
    cheat = Emptying(small, RuleBook())
    cheat.spares = tuple(instead.items())
    return run_with(Case(BUILDINGS, rules.case.scenario, "cheat", 1), small, evening, lambda world: cheat)


def test_a_battery_sold_at_the_end_earns_nothing(small: District, evening: Scenario, rules: Run) -> None:
    cheat = cheated(small, evening, rules, power_setpoint_kw=-150.0)
    assert cheat.record.end.battery["parking/battery"] < rules.record.end.battery["parking/battery"] - 10
    assert cheat.figures.cost["energy"] < rules.figures.cost["energy"]  # its energy does look cheaper
    assert cheat.figures.score > rules.figures.score  # and is not


def test_tanks_and_rooms_run_down_at_the_end_earn_nothing(small: District, evening: Scenario, rules: Run) -> None:
    cheat = cheated(small, evening, rules, charge_on=0.0, enable_on=0.0)
    saved = sum(rules.figures.cost[t] - cheat.figures.cost[t] for t in ("energy", "network"))
    assert saved > 1.0  # it does look cheaper
    # And is not: what it really spares is the wear of a compressor's start.
    assert cheat.figures.score > rules.figures.score - START_WEAR_EUR


def test_stores_are_priced_cautiously_on_both_sides(small: District, rules: Run) -> None:
    record, battery = rules.record, small.asset("parking/battery", Battery)
    tariff = {n: prices(small.contracts["landlord-c4"], record.slots) for n in record.supplies}
    price = tariff[battery.supply].import_per_kwh
    more = replace(record.start, battery={"parking/battery": record.start.battery["parking/battery"] + 100})
    less = replace(record.start, battery={"parking/battery": record.start.battery["parking/battery"] - 100})
    # 100 kWh more spare 95 kWh at the cheapest price; 100 kWh less cost 100 / 0.95 kWh at the dearest.
    assert value_of_stores(small, record.start, more, record, tariff) == pytest.approx(95 * price.min())
    assert value_of_stores(small, record.start, less, record, tariff) == pytest.approx(-100 / 0.95 * price.max())
    assert value_of_stores(small, record.start, record.start, record, tariff) == 0


def test_the_same_seed_gives_the_same_figures_and_another_one_others(
    small: District, evening: Scenario, rules: Run
) -> None:
    assert played(small, evening, "rules").figures == rules.figures
    short = evening.model_copy(update={"days": 1 / 24})
    assert played(small, short, "local", seed=2).figures.score != played(small, short, "local").figures.score


def test_the_bill_is_what_the_meters_say(small: District, rules: Run) -> None:
    record, found = rules.record, figures(small, rules.record)
    price = prices(small.contracts["landlord-c4"], record.slots)
    bought, sold = record.import_kwh.sum(axis=1), record.export_kwh.sum(axis=1)  # all of one contract here
    assert found.cost["energy"] + found.uncontrollable["energy"] == pytest.approx(
        float(bought @ price.energy_per_kwh - sold @ price.export_per_kwh)
    )
    assert found.score == pytest.approx(sum(found.cost.values()))
    # Every supply point's balance: what it imports less what it exports is what its devices take.
    assert (bought - sold).sum() == pytest.approx(record.device_kwh.sum(), rel=1e-6)


def test_what_nobody_controls_is_the_same_for_everybody(small: District, evening: Scenario, rules: Run) -> None:
    local = played(small, evening, "local")
    assert local.figures.uncontrollable == pytest.approx(rules.figures.uncontrollable)
    assert local.record.setpoints_written == 0


def test_who_does_as_the_rules_do_captures_nothing(small: District, evening: Scenario, rules: Run) -> None:
    again = cheated(small, evening, rules)  # it changes no set point
    assert captured([again.figures.score], [rules.figures.score], [rules.figures.score - 10.0]) == {
        "median": 0.0,
        "worst": 0.0,
    }


def test_captured_by_hand() -> None:
    assert captured([100.0, 90.0], [100.0, 90.0], [80.0, 60.0]) == {"median": 0.0, "worst": 0.0}
    # By hand: 10 of 20 and 24 of 30.
    assert captured([90.0, 66.0], [100.0, 90.0], [80.0, 60.0]) == {"median": 0.65, "worst": 0.5}
    assert captured([100.0], [100.0], [100.0]) == {"median": None, "worst": None}


def test_nobody_is_worse_off_than_under_the_same_controller(rules: Run) -> None:
    mine = summary(rules)
    assert worse(mine, mine, 0.125, 1) == []
    colder = {**mine, "homes": {n: {**h, "too_cold_k_h": h["too_cold_k_h"] + 5} for n, h in mine["homes"].items()}}
    said = worse(colder, mine, 0.125, 1)
    assert len(said) == len(mine["homes"])
    assert said[0]["what"] == "K.h too cold"


def test_what_was_emitted_does_not_depend_on_what_it_is_priced_at(small: District, rules: Run) -> None:
    free = replace(small, values=small.values.model_copy(update={"carbon_per_kg": 0.0}))
    found = figures(free, rules.record)
    assert found.cost["carbon"] == 0.0
    assert found.kpi["emis_tot"] == pytest.approx(rules.figures.kpi["emis_tot"]) and found.kpi["emis_tot"] > 0


def test_a_figure_that_a_seed_does_not_have_is_not_zero() -> None:
    """Heating in a mean climate says nothing on mild days; that nobody's set point changed says zero."""
    climate, changes = "dwelling_heating_in_a_mean_climate_kwh_per_m2", "setpoint_changes_per_day/Tank"
    runs = [{"peak_kw": 5.0, climate: 4.0, changes: 6.0}, {"peak_kw": 7.0}]
    assert medians(runs) == {"peak_kw": 6.0, climate: 4.0, changes: 3.0}
