"""Every term of every asset type: the same matrix lowered and made by Pyomo itself, and a plan the checker passes."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
import pytest

from ems.assets import ASSET_FILES
from ems.optimise import check, plan
from ems.optimise.model import Composed
from ems.optimise.outline import outline_block
from ems.optimise.plan import outlook_of
from tests.assets.rich import SLOTS, rich_district, rich_forecasts, rich_snapshot
from tests.optimise.test_lower import assert_same, ordinary


@pytest.mark.parametrize("file", ASSET_FILES, ids=lambda f: f.__name__.rpartition(".")[2])
def test_every_rule_lowers_to_what_pyomo_makes(file: Any) -> None:
    outlook = outlook_of(rich_district(), rich_snapshot(), rich_forecasts(), SLOTS)
    fleet = {n: a for n, a in outlook.assets.items() if isinstance(a, tuple(file.TYPES))}
    assert fleet
    made = []
    for new_block in (outline_block, pyo.Block):
        model, block = pyo.ConcreteModel("district"), new_block()
        model.add_component("one", block)
        made.append(Composed(model, {}, file.build(block, fleet, outlook).costs, ()))
    assert_same(made[0].matrix(), ordinary(made[1]))


def test_all_of_it_together_is_planned_and_checked() -> None:
    here, known, expected = rich_district(), rich_snapshot(), rich_forecasts()
    result = plan(here, known, expected, SLOTS)
    assert check(here, known, expected, result) == ()
    assert {s.en for s in result.shortfalls} <= {"too cold", "too hot"}
    for name in ("house/laundry", "house/filter", "house/oven"):
        assert result.flow(name, "power_kw").sum() > 0, name
    assert result.flow("house/point-2", "power_kw").min() < -1.0  # gives back before the dear morning ends
    assert result.flow("house/meter", "from_members_kw").sum() > 1.0


def test_what_is_on_or_off_is_shaped_as_its_variable() -> None:
    outlook = outlook_of(rich_district(), rich_snapshot(), rich_forecasts(), SLOTS)
    found = 0
    for file in ASSET_FILES:
        fleet = {n: a for n, a in outlook.assets.items() if isinstance(a, tuple(file.TYPES))}
        model, block = pyo.ConcreteModel("district"), pyo.Block()
        model.add_component("one", block)
        for item in file.build(block, fleet, outlook).on_off:
            assert item.minimum.size == len(item.variable)
            assert (item.minimum >= 0).all()
            found += 1
    assert found >= 4
