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
from ems.study.kpi import figures, value_of_stores
from ems.study.opponents import RuleBook, Rules
from ems.study.run import Case, Run, run_with, summary
from ems.study.study import captured, worse
from tests.study.conftest import BUILDINGS, played


@pytest.fixture(scope="module")
def rules(small: District, evening: Scenario) -> Run:
    return played(small, evening, "rules")


class Emptying(Rules):
    """A cheat: keeps to the rules, but sells what the battery and the tank hold before the end."""

    def setpoints(self, snapshot: Snapshot, at: datetime) -> Iterator[Setpoint]:
        for setpoint in super().setpoints(snapshot, at):
            quantity = split_point(setpoint.point)[2]
            if quantity == "power_setpoint_kw":
                yield Setpoint(setpoint.point, -150.0, "cheat")
            elif quantity == "charge_on":
                yield Setpoint(setpoint.point, 0.0, "cheat")
            else:
                yield setpoint


def test_emptied_stores_earn_nothing(small: District, evening: Scenario, rules: Run) -> None:
    case = Case(BUILDINGS, rules.case.scenario, "cheat", 1)
    cheat = run_with(case, small, evening, lambda world: Emptying(small, RuleBook()))
    saved_on_the_bill = sum(rules.figures.cost[t] - cheat.figures.cost[t] for t in ("energy", "network"))
    assert cheat.record.end.battery["parking/battery"] < rules.record.end.battery["parking/battery"] - 10
    assert saved_on_the_bill > 0.5  # the cheat does look cheaper
    assert cheat.figures.score > rules.figures.score  # and is not


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


def test_who_does_nothing_captures_nothing() -> None:
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
