"""Questions are answered beside the loop, by a process of its own that may fail."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from ems.loop.answers import keep_answering
from ems.store.questions import Questions

NOW = datetime(2026, 10, 24, 14, 20, tzinfo=UTC)


def test_a_question_to_a_site_that_never_ran_gets_its_trouble(tmp_path: Path) -> None:
    """The answering process does not even find the district: whoever asked is told, and nothing waits for ever."""
    questions = Questions(tmp_path)
    number = questions.ask("price", "", 1.2, "chief", NOW)

    async def ask() -> None:
        task = asyncio.create_task(keep_answering(tmp_path, tmp_path / "nowhere"))
        for _ in range(1200):
            if questions.answer_of(number) is not None:
                break
            await asyncio.sleep(0.1)
        task.cancel()

    asyncio.run(ask())
    answer = questions.answer_of(number)
    assert answer is not None and "ended with" in answer.trouble
    assert questions.waiting() == []
