"""Questions about the plan lie in the site's folder until they are answered; a few at once, and not for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ems.store.questions import KEPT, MOST_WAITING, Answer, Case, Questions
from ems.store.requests import RequestError

NOW = datetime(2026, 10, 24, 14, 20, tzinfo=UTC)


def case(euro: float) -> Case:
    return Case({"energy": euro, "stores": -5.0}, 100.0, 0.0, 20.0, 5.2 + euro, 0.0, [1.0, 2.0])


def test_a_question_waits_until_it_is_answered(tmp_path: Path) -> None:
    questions = Questions(tmp_path)
    assert questions.waiting() == [] and questions.last(5) == []
    until = NOW + timedelta(hours=4)
    number = questions.ask("hold", "parking/battery/power_setpoint_kw", 12.5, "chief", NOW, until, "a test")
    found = questions.one(number)
    assert found is not None and found == questions.waiting()[0]
    assert (found.what, found.amount, found.until, found.reason, found.at) == ("hold", 12.5, until, "a test", NOW)
    assert questions.answer_of(number) is None
    answer = Answer(NOW, 12.5, NOW, 15, 0.25, {"now": case(40.0), "asked": case(44.0)})
    questions.answer(number, answer)
    assert questions.waiting() == [] and questions.answer_of(number) == answer
    assert (answer.more_euro, answer.more_carbon_kg) == (4.0, 4.0)  # 44 - 5 against 40 - 5
    assert Answer(NOW, 1.0, trouble="x").more_euro is None


def test_only_a_few_wait_at_once(tmp_path: Path) -> None:
    questions = Questions(tmp_path)
    numbers = [questions.ask("price", "", 1.2, "chief", NOW) for _ in range(MOST_WAITING)]
    with pytest.raises(RequestError, match="wait already"):
        questions.ask("price", "", 1.2, "chief", NOW)
    questions.answer(numbers[1], Answer(NOW, 1.0, trouble="x"))
    assert questions.ask("price", "", 1.2, "chief", NOW) == numbers[-1] + 1


def test_old_ones_are_forgotten_and_numbers_are_not_given_again(tmp_path: Path) -> None:
    questions = Questions(tmp_path)
    for _ in range(KEPT + 5):
        questions.answer(questions.ask("sun", "", 2.0, "chief", NOW), Answer(NOW, 1.0, trouble="x"))
    assert len(questions.last(1000)) <= KEPT + 1
    assert questions.one(1) is None and questions.answer_of(1) is None
    assert questions.ask("sun", "", 2.0, "chief", NOW) == KEPT + 6


def test_a_file_that_says_something_else_is_no_question(tmp_path: Path) -> None:
    questions = Questions(tmp_path)
    number = questions.ask("sun", "", 2.0, "chief", NOW)
    (tmp_path / "questions" / "000007.json").write_text("[]")
    (tmp_path / "questions" / "000008.json").write_text('{"number": 8}')
    (tmp_path / "questions" / "000001.answer").write_text("{")
    assert [q.number for q in questions.last(9)] == [number]
    assert questions.one(7) is None and questions.one(99) is None and questions.answer_of(number) is None
