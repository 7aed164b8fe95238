from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ems.assets import BaseLoad
from ems.district import District, read_district
from ems.forecast import HISTORY_DAYS, Experience, boosting, forecast, learn
from ems.forecast.experience import dump, load
from ems.series import Forecast, History
from ems.slots import Slots

NOW = datetime(2026, 3, 10, 5, tzinfo=UTC)
HORIZON = Slots(NOW, 192)
PAST = Slots(NOW - timedelta(days=HISTORY_DAYS), HISTORY_DAYS * 96)


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "TREES", 15)
    monkeypatch.setattr(boosting, "OUTER_TREES", 15)
    monkeypatch.setattr(boosting, "MOST_ROWS", 4000)
    monkeypatch.setattr(learn, "LINE_ROWS", 1200)
    monkeypatch.setattr(learn, "WIDE_ROWS", 4000)


def history(district: District) -> History:
    """Loads that follow the temperature of the day, which last week does not know and the weather does."""
    rng = np.random.default_rng(0)
    days = np.repeat(rng.normal(10, 5, HISTORY_DAYS), 96)
    hour = np.arange(PAST.count) % 96 / 4
    values = {"station/weather/outdoor_temperature_c": days}
    for load_ in district.of(BaseLoad).values():
        noise = 0.5 * rng.standard_normal(PAST.count)
        values[load_.point("power_kw")] = 40 + 10 * (hour > 8) - 1.5 * days + noise
    return History(PAST, values)


def weather(celsius: float) -> dict[str, Forecast]:
    point = "station/weather/outdoor_temperature_c"
    flat = np.full(HORIZON.count, celsius)
    return {point: Forecast(point, NOW, HORIZON, flat - 1, flat, flat + 1, "a service")}


def test_what_was_learnt_is_used_where_it_beats_the_naive_models_and_says_so(district: District) -> None:
    experience = Experience()
    point = next(iter(district.of(BaseLoad).values())).point("power_kw")
    made = {t: forecast(district, history(district), weather(t), HORIZON, NOW, experience) for t in (2.0, 18.0)}
    assert "better than naive" in made[2.0][point].model
    # By hand: 16 K between the two at 1.5 kW/K are 24 kW; few trees on half the load of five weeks see part of it.
    assert 5 < made[2.0][point].median.mean() - made[18.0][point].median.mean() < 28
    assert experience.changes == 1  # learnt once, used twice
    alone = forecast(district, history(district), weather(2.0), HORIZON, NOW)
    assert "better than naive" not in alone[point].model


def test_what_is_kept_says_the_same_after_a_restart(district: District) -> None:
    experience = Experience()
    first = forecast(district, history(district), weather(5.0), HORIZON, NOW, experience)
    restored = load(dump(experience))
    again = forecast(district, history(district), weather(5.0), HORIZON, NOW, restored)
    assert restored.changes == 0
    for point in first:
        np.testing.assert_allclose(first[point].median, again[point].median, rtol=1e-6)
        assert first[point].model == again[point].model


def test_what_is_no_kept_forecast_is_refused() -> None:
    with pytest.raises(ValueError, match="no kept forecasts"):
        load(b"something else")
