from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.feeds import Absent, forecast_from_json, forecast_to_json, read_weather_file, write_weather_file
from ems.series import Forecast
from ems.slots import Slots

NOW = datetime(2026, 3, 10, 5, tzinfo=UTC)
OUTDOOR, SUN = "station/weather/outdoor_temperature_c", "station/weather/irradiance_w_per_m2"


def made(issued_at: datetime = NOW, count: int = 4, start: datetime = NOW) -> dict[str, Forecast]:
    slots = Slots(start, count)
    middle = np.linspace(5, 9, count)
    return {
        p: Forecast(p, issued_at, slots, middle - 1, middle, middle + 1, model="weather service")
        for p in (OUTDOOR, SUN)
    }


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "feeds" / "weather.json"
    write_weather_file(file, made())
    read = read_weather_file(file, NOW + timedelta(hours=1) - timedelta(minutes=15), timedelta(hours=6))
    assert not isinstance(read, Absent)
    assert set(read) == {OUTDOOR, SUN}
    np.testing.assert_allclose(read[OUTDOOR].high, made()[OUTDOOR].high, atol=1e-4)
    assert read[SUN].issued_at == NOW
    assert [p.name for p in file.parent.iterdir()] == ["weather.json"]  # nothing half-written stays


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 2}, "version is 2; this reader knows 1"),
        ({"version": None}, "version is None"),
        ({"issued_at": "yesterday"}, "issued_at is 'yesterday'"),
        ({"issued_at": "2026-03-10T05:00:00"}, "issued_at is '2026-03-10T05:00:00'"),
        ({"issued_at": "2026-03-09T05:00:00Z"}, "24.0 h old; at most 12.0 h"),
        ({"issued_at": "2026-03-10T07:00:00Z"}, "2.0 h in the future"),
        ({"start": "2026-03-09T05:00:00Z"}, "ended at 2026-03-09T06:00:00"),
        ({"count": 5}, "has 4 values; count says 5"),
        ({"count": 0}, "count is 0"),
        ({"count": True}, "count is True; give a whole number"),
        ({"minutes": 7}, "minutes is 7"),
        ({"model": None}, "model is None"),
        ({"points": {}}, "points is empty"),
        ({"points": {OUTDOOR: 3}}, "is no object with low, median and high"),
        ({"points": {"outdoor": {k: [1] * 4 for k in ("low", "median", "high")}}}, "'outdoor' is not a point"),
        ({"points": {OUTDOOR: {"low": [1] * 4, "median": [1] * 4}}}, "high has no values"),
        ({"points": {OUTDOOR: {k: [1, 2, "3", 4] for k in ("low", "median", "high")}}}, "a value that is no number"),
        (
            {"points": {OUTDOOR: {k: [1, 2, 300, 4] for k in ("low", "median", "high")}}},
            "holds 300, which it cannot be",
        ),
        ({"points": {OUTDOOR: {k: [1, 2, float("nan"), 4] for k in ("low", "median", "high")}}}, "holds nan"),
        ({"points": {SUN: {k: [-5] * 4 for k in ("low", "median", "high")}}}, "holds -5"),
        ({"points": {OUTDOOR: {"low": [3] * 4, "median": [2] * 4, "high": [4] * 4}}}, "quantiles are not in order"),
    ],
)
def test_what_cannot_be_used_is_absent_with_its_reason(tmp_path: Path, change: dict[str, object], why: str) -> None:
    file = tmp_path / "weather.json"
    file.write_text(json.dumps(json.loads(forecast_to_json(made())) | change))
    absent = read_weather_file(file, NOW)
    assert isinstance(absent, Absent)
    assert why in absent.why
    assert "weather.json" in absent.why


def test_no_file_no_forecast(tmp_path: Path) -> None:
    assert read_weather_file(tmp_path / "w.json", NOW) == Absent("weather forecast w.json does not exist")
    assert isinstance(read_weather_file(tmp_path, NOW), Absent)  # a folder
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    assert isinstance(read_weather_file(tmp_path / "b.json", NOW), Absent)


@given(st.integers(0, 400))
def test_a_torn_file_is_absent(tmp_path_factory: pytest.TempPathFactory, kept: int) -> None:
    file = tmp_path_factory.getbasetemp() / "torn.json"
    text = forecast_to_json(made())
    file.write_text(text[: min(kept, len(text) - 1)])
    absent = read_weather_file(file, NOW)
    assert isinstance(absent, Absent)
    assert "no complete JSON" in absent.why


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_any_json_is_refused_in_words(content: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        forecast_from_json(json.dumps(content))


def test_one_file_is_one_forecast() -> None:
    mixed = made() | {SUN: made(issued_at=NOW - timedelta(hours=1))[SUN]}
    with pytest.raises(ValueError, match="differ in issue"):
        forecast_to_json(mixed)
    with pytest.raises(ValueError, match="at least one point"):
        forecast_to_json({})


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "weather.json"
    write_weather_file(file, made())
    before = file.read_bytes()
    with pytest.raises(ValueError, match="no forecast to write"):
        write_weather_file(file, {})
    assert file.read_bytes() == before
