from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ems.district import read_district
from ems.simulate.replay import Replay, ReplayError
from ems.simulate.scenario import Replayed, Scenario, ScenarioError, faults, read_expected, read_scenario
from ems.slots import Slots

START = datetime(2026, 3, 16, 6, 15, tzinfo=UTC)
SOURCE = datetime(2017, 1, 1, tzinfo=UTC)
POINTS = ("maple/meter/power_kw", "maple/roof/power_kw")
ROOT = Path(__file__).parents[2]


def scenario(**changes: object) -> Scenario:
    entry = {"point": POINTS[0], "file": "meter.csv", "column": "load_kw", "start": SOURCE, **changes}
    return Scenario(name="demo", start=START, replay=(Replayed.model_validate(entry),))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An hourly series 1, 2, missing, 4, a gap of an hour, 6 in CSV and Parquet."""
    frame = pd.DataFrame(
        {"load_kw": [1.0, 2.0, None, 4.0, 6.0], "words": ["a", "b", "c", "d", "e"]},
        index=pd.DatetimeIndex([SOURCE + timedelta(hours=h) for h in (0, 1, 2, 3, 5)], name="timestamp_utc"),
    )
    frame.to_csv(tmp_path / "meter.csv")
    frame.to_parquet(tmp_path / "meter.parquet")
    return tmp_path


@pytest.mark.parametrize("file", ["meter.csv", "meter.parquet"])
def test_holds_a_coarser_series_and_says_none_where_nothing_was_measured(data: Path, file: str) -> None:
    replay = Replay.read(scenario(file=file), data, POINTS)
    at = {
        m: replay.value_at(POINTS[0], START + timedelta(minutes=m))
        for m in (-1, 0, 59, 60, 120, 180, 239, 240, 300, 360)
    }
    assert at == {-1: None, 0: 1, 59: 1, 60: 2, 120: None, 180: 4, 239: 4, 240: None, 300: 6, 360: None}


def test_scale_turns_a_generator_round(data: Path) -> None:
    replay = Replay.read(scenario(point=POINTS[1], scale=-10), data, POINTS)
    assert replay.value_at(POINTS[1], START) == -10
    assert POINTS[1] in replay
    assert POINTS[0] not in replay


def test_means_are_missing_where_a_minute_is(data: Path) -> None:
    replay = Replay.read(scenario(start=SOURCE + timedelta(minutes=30)), data, POINTS)
    means = replay.means(POINTS[0], Slots(START, 3, minutes=60))
    # By hand: half an hour at 1 and half at 2; half at 2 and half missing; half missing.
    np.testing.assert_array_equal(means, [1.5, np.nan, np.nan])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"column": "lood_kw"}, ["lood_kw", "meter.csv", "load_kw, words"]),
        ({"column": "words"}, ["words", "not all numbers"]),
        ({"file": "meeter.csv"}, ["meeter.csv", "it holds meter.csv, meter.parquet"]),
        ({"point": "maple/metre/power_kw"}, ["maple/metre/power_kw", "did you mean maple/meter/power_kw?"]),
        ({"start": SOURCE - timedelta(days=1)}, ["2016-12-31", "runs from 2017-01-01"]),
    ],
)
def test_says_what_is_wrong(data: Path, changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ReplayError) as error:
        Replay.read(scenario(**changes), data, POINTS)
    for word in ["demo/scenario.yaml", *words]:
        assert word in str(error.value)


def test_without_the_data_folder_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"no data folder was given.*meter\.csv.*--data"):
        Replay.read(scenario(), None, POINTS)
    with pytest.raises(ReplayError, match=r"does not exist.*meter\.csv"):
        Replay.read(scenario(), tmp_path / "nowhere", POINTS)
    assert Replay.read(Scenario(start=START), None, POINTS).points == ()


def test_stamps_that_are_none_or_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "meter.csv").write_text("when,load_kw\nsoon,1\nlater,2\n")
    with pytest.raises(ReplayError, match="first column holds no time stamps"):
        Replay.read(scenario(), tmp_path, POINTS)
    (tmp_path / "meter.csv").write_text("when,load_kw\n2017-01-01T00:00Z,1\n2017-01-01T00:00Z,2\n")
    with pytest.raises(ReplayError, match="is there twice"):
        Replay.read(scenario(), tmp_path, POINTS)


class TestScenario:
    @pytest.mark.parametrize("name", ["ordinary", "replay"])
    def test_ours_can_be_read(self, name: str) -> None:
        found = read_scenario(ROOT / "scenarios" / name)
        assert found.name == name
        assert len(found.why) > 40
        assert read_expected(ROOT / "scenarios" / name)
        district = read_district(ROOT / "buildings")
        assert [e.point for e in found.replay if e.point not in district.wires] == []
        for contract in district.contracts.values():
            assert contract.valid_from <= found.start.date() <= contract.valid_until

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("start: 2026-03-10T05:00:00Z\nsed: 3", ["scenario.yaml: sed", "not a key that is known"]),
            ("seed: 3", ["start", "is missing; add it"]),
            ("start: 2026-03-10T05:07:00Z", ["begins on a quarter-hour"]),
            ("start: 2026-03-10T05:00:00", ["start", "timezone"]),
            ("start: 2026-03-10T05:00:00Z\ndays: -1", ["days", "is -1"]),
            ("[1, 2]", ["holds a list; write keys and values"]),
            ("start: [", ["is no YAML"]),
            (
                "start: 2026-03-10T05:00:00Z\nreplay: [{point: a/b, file: f, column: c, start: 2026-03-10T05:00:00Z}]",
                ["replay.0.point", "a point is building/asset/quantity"],
            ),
        ],
    )
    def test_refuses_and_says_why(self, tmp_path: Path, text: str, words: list[str]) -> None:
        (tmp_path / "scenario.yaml").write_text(text)
        (tmp_path / "why.md").write_text("Because.")
        with pytest.raises(ScenarioError) as error:
            read_scenario(tmp_path)
        for word in words:
            assert word in str(error.value)

    def test_a_scenario_says_why_and_an_unknown_one_names_the_others(self, tmp_path: Path) -> None:
        (tmp_path / "calm").mkdir()
        (tmp_path / "else").mkdir()
        (tmp_path / "calm" / "scenario.yaml").write_text("start: 2026-03-10T05:00:00Z")
        with pytest.raises(ScenarioError, match=r"storm is no scenario folder; there are calm in"):
            read_scenario(tmp_path / "storm")
        with pytest.raises(ScenarioError, match=r"why\.md is missing"):
            read_scenario(tmp_path / "calm")

    def test_expectations_name_what_differs(self, tmp_path: Path) -> None:
        (tmp_path / "expected.yaml").write_text(
            "plans: {value: 4}\ncost: {value: 10, tolerance: 1}\nwrites: {at_least: 5}"
        )
        expected = read_expected(tmp_path)
        assert faults(expected, {"plans": 4, "cost": 10.9, "writes": 5}) == []
        assert faults(expected, {"plans": 3, "cost": 11.1}) == [
            "plans is 3; expected 4 within 0",
            "cost is 11.1; expected 10 within 1",
            "writes is missing from the figures of the run",
        ]
