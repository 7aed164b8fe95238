"""Prices by local time: days of 92 and 100 quarter-hours, solar off-peak, windows over midnight."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import yaml

from ems.market import Contract, prices
from ems.market.contract import Window, period_at
from ems.slots import Slots

PARIS = ZoneInfo("Europe/Paris")
FOLDER = Path(__file__).parents[2] / "buildings" / "contracts"
FILES = sorted(FOLDER.glob("*.yaml"))


def contract(path: Path) -> Contract:
    return Contract.model_validate({**yaml.safe_load(path.read_text()), "name": path.stem})


def local_day(day: date) -> Slots:
    start = datetime(day.year, day.month, day.day, tzinfo=PARIS)
    end = datetime.fromordinal(day.toordinal() + 1).replace(tzinfo=PARIS)
    return Slots(start, int((end.astimezone(UTC) - start.astimezone(UTC)).total_seconds()) // 900)


@pytest.mark.parametrize(("day", "count"), [(date(2026, 3, 29), 92), (date(2026, 6, 1), 96), (date(2026, 10, 25), 100)])
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_quarter_hour_of_every_day_has_a_price(path: Path, day: date, count: int) -> None:
    slots = local_day(day)
    found = prices(contract(path), slots)
    assert slots.count == count == found.energy_per_kwh.size
    assert np.isfinite(found.import_per_kwh).all() and (found.import_per_kwh > 0).all()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_off_peak_is_eight_hours_a_day_with_five_at_night(path: Path) -> None:
    """CRE: 8 h off-peak a day, at least 5 in a row at night; from April to October at least 2 between 11 and 17 h."""
    for day in (date(2026, 1, 14), date(2026, 7, 15)):
        found = prices(contract(path), local_day(day))
        off_peak = np.array([p in ("HCH", "HCB") for p in found.periods])
        assert off_peak.sum() == 32, (path.stem, day)
        if day.month in range(4, 11):
            assert off_peak[44:68].sum() >= 8
            assert not off_peak[28:40].any() and not off_peak[72:92].any()
        else:
            assert not off_peak[28:44].any() and not off_peak[68:84].any()


def test_the_hour_that_does_not_exist_is_left_out() -> None:
    """On 29 March 2026 the clock goes from 2 h to 3 h: a window from 2 to 3 h holds in no slot."""
    window = Window(from_hour=2, until_hour=3)
    assert not any(window.holds(start.astimezone(PARIS)) for start in local_day(date(2026, 3, 29)))
    assert sum(window.holds(start.astimezone(PARIS)) for start in local_day(date(2026, 10, 25))) == 8


def test_a_window_over_midnight() -> None:
    window = Window(from_hour=22, until_hour=6)
    holds = [window.holds(datetime(2026, 1, 14, hour, tzinfo=PARIS)) for hour in (21, 22, 23, 0, 5, 6)]
    assert holds == [False, True, True, True, True, False]


def test_a_period_that_nothing_covers_is_refused_with_a_remedy() -> None:
    gap = contract(FILES[0]).model_copy(update={"periods": {"only": next(iter(contract(FILES[0]).periods.values()))}})
    with pytest.raises(ValueError, match="let the last one have no windows"):
        period_at(gap, datetime(2026, 7, 1, 12, tzinfo=UTC))
