"""A test of a device reads it and writes again what stands there: through the gate, on record, and without a change."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ems.district import District, read_district
from ems.loop.control import Control
from ems.store import Store
from ems.store.checks import MOST_WAITING, Check, Checked, Checks, Seen, Tried
from ems.store.requests import Handover, RequestError
from tests.loop.test_cycle import WINTER, Site
from tests.small_district import copy_small_district

SUBSTATION, WEATHER = "mistral/substation", "station/weather"


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> District:
    return read_district(copy_small_district(tmp_path_factory.mktemp("small")))


def test_the_loop_reads_and_writes_again_what_stands(district: District, tmp_path: Path) -> None:
    site, checks = Site(district, tmp_path), Checks(tmp_path)
    number = checks.ask(SUBSTATION, "chief", WINTER)
    checks.ask(WEATHER, "chief", WINTER)
    stood: dict[str, float | None] = {}

    async def look(control: Control) -> None:
        stood.update({p: c.value for p, c in control.field.standing.items() if p.startswith(SUBSTATION)})
        await control._check_devices()  # nothing is asked for any more: nothing happens
        assert control.totals.refused == 0

    site.run(1, on_cycle=look)
    check, checked = checks.last()[SUBSTATION]
    assert check == Check(number, SUBSTATION, "chief", WINTER) and checked is not None
    assert checked.good == len(checked.seen) > 3
    assert stood and {t.point: (t.value, t.outcome, t.read_back) for t in checked.tried} == {
        point: (value, "written", value) for point, value in stood.items()
    }
    _, weather = checks.last()[WEATHER]
    assert weather is not None and weather.seen and weather.tried == []  # nothing is ever written there
    assert checks.waiting() == []
    with Store.read_only(site.url) as store:
        keys = [f"check-{number}:{point}" for point in stood]
        assert set(store.journal.states(keys)) == set(keys)
        assert store.journal.standing() == []  # and given back with everything else


def test_what_was_handed_back_is_read_and_not_written(district: District, tmp_path: Path) -> None:
    Handover(tmp_path).give("mistral", "chief", WINTER, "fire drill")
    checks = Checks(tmp_path)
    checks.ask(SUBSTATION, "chief", WINTER)
    Site(district, tmp_path).run(1)
    _, checked = checks.last()[SUBSTATION]
    assert checked is not None and checked.seen and checked.tried == []


def test_a_few_tests_wait_and_old_ones_are_forgotten(tmp_path: Path) -> None:
    checks = Checks(tmp_path)
    for i in range(MOST_WAITING):
        assert checks.ask(SUBSTATION, "chief", WINTER + timedelta(seconds=i)) == i + 1
    with pytest.raises(RequestError, match="wait already"):
        checks.ask(SUBSTATION, "chief", WINTER)
    made = Checked(WINTER, [Seen("a/b/c_kw", None, "missing")], [Tried("a/b/c_kw", 1.0, "gate", why="is above 0")])
    checks.answer(MOST_WAITING, made)
    assert checks.last()[SUBSTATION] == (checks.one(MOST_WAITING), made) and made.good == 0
    (tmp_path / "checks" / "000001.json").write_text("{")  # a torn file is no test
    assert [check.number for check in checks.waiting()] == [2, 3, 4]
    for _ in range(70):
        for waiting in checks.waiting():
            checks.answer(waiting.number, made)
        checks.ask(WEATHER, "chief", WINTER)
    assert len(list((tmp_path / "checks").glob("*.json"))) <= 62
