"""Requests of people to the control process, as files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ems.store.requests import DISTRICT, Given, Handover, Request, RequestError, Requests

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def test_a_building_is_given_back_and_taken_again(tmp_path: Path) -> None:
    handover = Handover(tmp_path / "new")
    assert handover.given() == {}
    handover.give("mistral", "lea", NOW, "boiler inspection")
    handover.give(DISTRICT, "noah", NOW)
    assert Handover(tmp_path / "new").given() == {
        "mistral": Given("lea", NOW, "boiler inspection"),
        DISTRICT: Given("noah", NOW),
    }
    assert handover.take(DISTRICT)
    assert not handover.take(DISTRICT)
    assert list(handover.given()) == ["mistral"]


@pytest.mark.parametrize("content", ["", "[1]", '{"mistral": 1}', '{"mistral": {"by": "lea"}}', "null"])
def test_a_damaged_handover_is_refused_and_can_be_replaced(tmp_path: Path, content: str) -> None:
    handover = Handover(tmp_path)
    handover.file.write_text(content)
    with pytest.raises(RequestError, match="nothing is written to any device"):
        handover.given()
    handover.give("mistral", "lea", NOW)
    assert list(handover.given()) == ["mistral"]


def test_requests_wait_in_order_until_they_are_done(tmp_path: Path) -> None:
    inbox = Requests(tmp_path)
    shelf = Request("shelve", 3, "lea", NOW + timedelta(seconds=1), until=NOW + timedelta(days=1))
    seen = Request("seen", 2, "noah", NOW)
    inbox.ask(shelf)
    inbox.ask(seen)
    (inbox.folder / "zz.json").write_text('{"do": "burn", "alarm": 1}')
    waiting = inbox.waiting()
    assert list(waiting.values())[:2] == [seen, shelf]
    refused = list(waiting.values())[2]
    assert isinstance(refused, RequestError) and "neither seen nor shelve" in str(refused)
    for path in waiting:
        inbox.done(path)
    assert inbox.waiting() == {}
