"""An earlier basis is a good start for the next quarter-hour, and one that leads astray is given up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ems.optimise.matrix import Matrix
from ems.optimise.model import compose
from ems.optimise.solve import Live, basis_of, fitted, solve
from ems.slots import Slots
from tests.optimise.large import START, large

SLOTS = Slots(START, 48)


@pytest.fixture(scope="module")
def two() -> tuple[Matrix, Matrix]:
    """A plan's programme and the next quarter-hour's."""
    town = large(40, zones=4, cars=6)
    first, then = (compose(replace(town.outlook(s), grouped=True)).matrix() for s in (SLOTS, Slots(SLOTS.at(1), 48)))
    return first, then


def test_moved_by_a_slot_a_basis_is_near_the_next_optimum(two: tuple[Matrix, Matrix]) -> None:
    first, then = two
    before, cold = solve(first), solve(then)
    basis = basis_of(before.raw_basis, first)
    assert basis is not None
    warm = solve(then, basis=fitted(basis, then, 1))
    assert warm.objective == pytest.approx(cold.objective, rel=1e-6)
    assert 0 < warm.iterations < cold.iterations / 3


def test_at_its_own_optimum_nothing_is_left_to_do(two: tuple[Matrix, Matrix]) -> None:
    first, _ = two
    found = solve(first)
    basis = basis_of(found.raw_basis, first)
    assert basis is not None
    assert solve(first, basis=fitted(basis, first)).iterations == 0


def test_a_basis_from_far_off_ends_in_the_same_optimum(two: tuple[Matrix, Matrix]) -> None:
    first, then = two
    basis = basis_of(solve(first).raw_basis, first)
    assert basis is not None
    far = solve(then, basis=fitted(basis, then, 30))
    assert far.objective == pytest.approx(solve(then).objective, rel=1e-6)


def test_after_a_trial_too_dear_the_next_begins_where_the_last_good_one_ended(two: tuple[Matrix, Matrix]) -> None:
    """Heat is refused to all rooms, then given back: told that the trial was too dear, nothing is left to do."""
    first, _ = two
    refused = first.upper.copy()
    refused[first.columns["zone.heating_kw"].slice] = 0.0
    live = Live(first)
    before = live.solution()
    cold = live.under(first.lower, refused, at_most=before.objective)
    assert cold.objective > before.objective + 1
    back = live.under(first.lower, first.upper)
    assert (back.objective, back.iterations) == (pytest.approx(before.objective), 0)
    live.under(first.lower, refused)  # whatever it costs
    assert live.under(first.lower, first.upper).objective == pytest.approx(before.objective)
