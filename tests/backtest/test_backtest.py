from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ems.backtest import Trial, UnfitFileError, app, calibration, origins, read_series, read_store, score
from ems.forecast import boosting, learn
from ems.points import Quality, Sample
from ems.slots import Slots
from ems.store import Store


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "TREES", 20)
    monkeypatch.setattr(boosting, "OUTER_TREES", 15)
    monkeypatch.setattr(boosting, "MOST_ROWS", 4000)
    monkeypatch.setattr(learn, "LINE_ROWS", 1000)


def file_of(folder: Path, days: int = 90) -> Path:
    index = pd.date_range("2026-01-05", periods=days * 24, freq="1h", tz="UTC", name="timestamp_utc")
    rng = np.random.default_rng(0)
    load = 5 + 10 * ((index.dayofweek < 5) & (index.hour > 7) & (index.hour < 18)) + rng.standard_normal(len(index))
    file = folder / "series.csv"
    pd.DataFrame({"office_kw": load, "temp_air_c": 10 + 5 * np.sin(np.arange(len(index)) / 24)}, index).to_csv(file)
    return file


def test_a_score_reckoned_by_hand() -> None:
    at = pd.date_range("2026-01-05", periods=2, freq="1h", tz="UTC")
    trial = Trial(
        at, np.array([[8.0, 8.0], [9.0, 9.0], [11.0, 11.0]]), np.array([10.0, 12.0]), np.array([6.0, 8.0]), "m"
    )
    found = score("a", [trial])
    assert found is not None
    # By hand: errors 1 and 3 on a mean of 11; last week was off by 4 both times; 10 lies in the band, 12 does not.
    assert found.error == pytest.approx(2 / 11)
    assert found.skill == pytest.approx(0.5)
    assert found.coverage == 0.5
    # Pinball: 0.1 x (2 + 4), 0.5 x (1 + 3), 0.9 x 1 + 0.1 x 1, over six.
    assert found.pinball == pytest.approx((0.6 + 2.0 + 0.1 + 0.9) / 6 / 11)
    assert calibration([trial]) == [0.0, 0.0, 0.5]


def test_origins_walk_through_the_day_and_leave_room_for_the_truth() -> None:
    found = origins(100 * 24, 24, 48, 2, 3)
    assert len(found) == 6
    assert np.diff(found[:3]).tolist() == [27, 27]
    assert found[0] == 40 * 24
    assert found[-1] + 48 <= 100 * 24
    with pytest.raises(UnfitFileError, match="too short"):
        origins(30 * 24, 24, 48, 2, 3)


def test_a_table_and_a_page_come_out(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    arguments = [
        "backtest",
        str(file_of(tmp_path)),
        "--blocks",
        "1",
        "--per-block",
        "2",
        "--json",
        "--report",
        str(page),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (office,) = json.loads(result.stdout)["series"]
    assert office["skill"] > 0
    assert 0.4 <= office["coverage"] <= 1
    text = page.read_text()
    assert text.count("<svg") == 2
    assert "office_kw" in text


def test_an_unfit_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("t,a\n2026-01-01T00:00Z,1\n2026-01-01T01:00Z,2\n")
    with pytest.raises(UnfitFileError, match="no column that ends in _kw"):
        read_series(file)


class TestDatabase:
    START = datetime(2026, 1, 5, tzinfo=UTC)

    @pytest.fixture
    def site(self, tmp_path: Path) -> Path:
        """Two days of an office, a roof and a weather station, and half a day of a pump."""
        slots = Slots(self.START, 192)
        rows = {
            "horizon/offices/power_kw": np.full(192, 30.0),
            "horizon/roof/power_kw": np.full(192, -4.0),
            "station/weather/outdoor_temperature_c": np.full(192, 8.0),
            "horizon/pump/power_kw": np.where(np.arange(192) < 48, 1.0, np.nan),
        }
        with Store.open(f"sqlite:///{tmp_path}/site.db") as store:
            store.save_series([(p, slots, v) for p, v in rows.items()])
            store.save_latest({p: Sample(float(v[0]), Quality.GOOD, slots.end) for p, v in rows.items()})
        return tmp_path / "site.db"

    def test_its_powers_and_weather_are_read_on_one_grid(self, site: Path) -> None:
        table = read_store(site, "", sun=False)
        assert list(table) == ["horizon/offices_kw", "horizon/pump_kw", "horizon/roof_kw", "temp_air_c"]
        assert (len(table), table.index[0]) == (192, self.START)
        assert table["horizon/pump_kw"].notna().sum() == 48
        assert (table["temp_air_c"] == 8).all()

    def test_generation_is_turned_round(self, site: Path) -> None:
        assert (read_store(site, "roof", sun=True)["horizon/roof_kw"] == 4).all()

    def test_what_is_not_there_is_named(self, site: Path) -> None:
        with pytest.raises(UnfitFileError, match="no power whose name holds 'cellar'"):
            read_store(site, "cellar", sun=False)
        with pytest.raises(UnfitFileError, match=r"nowhere\.db does not exist"):
            read_store(site.parent / "nowhere.db", "", sun=False)
