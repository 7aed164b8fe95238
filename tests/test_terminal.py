"""Bars that a person can reckon, and a plan as it is shown."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ems.assets import BaseLoad, Battery
from ems.district import read_district
from ems.optimise import AT_LENGTH, Plan, Shortfall, plan
from ems.terminal import bars, plan_view
from ems.terminal.chart import stacked
from ems.terminal.plan import summed
from tests.optimise.small import HOURLY, MIDNIGHT, district, forecasts, snapshot, supply


def test_bars_stand_between_least_and_greatest() -> None:
    assert bars(np.array([0.0, 1.0, 6.0, 7.0])) == "▁▂▇█"


def test_a_level_row_is_level() -> None:
    assert bars(np.full(5, 3.0)) == "▁▁▁▁▁"


def test_many_values_become_means_of_columns() -> None:
    assert bars(np.array([0.0, 0.0, 7.0, 7.0]), width=2) == "▁█"


def test_layers_stand_on_one_another() -> None:
    """2 kW and 2 on top fill two lines of the first column; in the second 1 and nothing fill half of the lower one."""
    top, bottom = stacked([("red", np.array([2.0, 1.0])), ("blue", np.array([2.0, 0.0]))], 2, 2)
    assert (top.plain, bottom.plain) == ("█ ", "█▄")
    assert [str(span.style) for span in top.spans] == ["blue"]
    assert [str(span.style) for span in bottom.spans] == ["red", "red"]


HERE = district(
    supply(subscribed_kw=2.9),
    BaseLoad(name="house/load", supply="house/meter", use="home", yearly_kwh=1),
    Battery(
        name="house/cellar", supply="house/meter", capacity_kwh=10, charge_limit_kw=5, discharge_limit_kw=5,
        one_way_efficiency=1.0, wear_per_kwh=0.0,
    ),
    prices=[0.10] * 6 + [0.40] * 18,
    exceedance=0.1,
)  # fmt: skip


@pytest.fixture(scope="module")
def planned() -> Plan:
    known, expected = snapshot(house__cellar__stored_kwh=0.0), forecasts(house__load__power_kw=3.0)
    return plan(HERE, known, expected, HOURLY, effort=AT_LENGTH)


@pytest.mark.parametrize("columns", [80, 140])
def test_a_plan_is_shown_within_the_terminal(planned: Plan, columns: int) -> None:
    screen = StringIO()
    Console(file=screen, width=columns).print(plan_view(planned, HERE, 1.5, columns))
    shown = screen.getvalue()
    assert all(len(line) <= columns for line in shown.splitlines())
    chart = shown.partition("cost over the horizon")[0]
    assert "…" not in chart  # nothing of it is cut
    for words in ("price, ct/kWh", "batteries, kW", "instead of resting", "above the subscribed power", "none below"):
        assert words in shown
    assert "1 of 1 decisions worth a euro or a kWh explained" in shown


def test_a_plan_is_told_in_french(planned: Plan) -> None:
    screen = StringIO()
    Console(file=screen, width=200).print(plan_view(planned, HERE, 1.5, 80, "fr"))
    assert "au lieu de rester au repos" in screen.getvalue()
    assert "décaler une charge ou souscrire davantage" in screen.getvalue()


def test_the_homes_of_a_building_fall_short_in_one_line() -> None:
    here = read_district(Path("buildings"))
    homes = list(here.dwellings)[:2]
    one = Shortfall(homes[0], "trop froid", "too cold", 2.0, "K·h", MIDNIGHT, 3.0, "chauffer", "heat")
    other = replace(one, asset=homes[1], amount=1.0, cost=2.0)
    meter = replace(one, asset="school/tenant", en="electricity not served", cost=4.0)
    told = [(s.en, s.amount, s.cost, count) for s, count in summed([meter, one, other], here)]
    assert told == [("too cold", 3.0, 5.0, 2), ("electricity not served", 2.0, 4.0, 1)]
