"""The short form of `benchmarks/plans.py`: any district is planned, or its question refused by name."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks import plans
from ems.optimise.divide import FEW


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_every_question_is_planned_or_answered(first: int) -> None:
    said: list[str] = []
    ends = plans.campaign(range(first, first + 50), lambda seed, end, why: said.append(f"{seed}: {end}: {why}"))
    assert said == []
    assert ends["planned"] + ends["answered"] == 50


def test_wrong_questions_of_every_kind_are_among_them() -> None:
    questions = [plans.question(seed) for seed in range(300)]
    wrong = Counter(q.wrong.rpartition("/")[0] or q.wrong for q in questions if q.wrong)
    assert wrong["house"] >= 3 and len({q.wrong for q in questions}) >= 8
    assert len({q.slots.minutes for q in questions}) == 12
    assert {92, 96, 100} <= {q.slots.count for q in questions}
    assert max(len(q.district.dwellings) for q in questions) > FEW
