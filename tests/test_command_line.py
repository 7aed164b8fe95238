"""What a person types wrongly is told in a sentence: what, where, which value, what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ems.__main__ import main
from ems.campaign.record import Record, RecordError
from ems.simulate.scenario import scenario_folder

NOWHERE = "/nowhere"


def said_of(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int | str | None, str]:
    """How the command ended, and all it said, in one line without the frame around it."""
    monkeypatch.setattr(sys, "argv", ["ems", *words])
    try:
        main()
        code: int | str | None = 0
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    return code, " ".join((captured.out + captured.err).replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["schema", NOWHERE], "/nowhere is no folder"),
        (["district", "--speed", "0"], "is no speed; give a positive number"),
        (["district", "--data", NOWHERE], "ordinary/scenario.yaml replays nothing, so --data /nowhere would go unread"),
        (["district", "--scenario", "nope"], "nope is no scenario folder; there are august-empty"),
        (["demo", "--network", "300"], "Invalid value for '--network'"),
        (["run", "--port", "99999"], "Invalid value for '--port'"),
        (["run", "--cycles", "0"], "Invalid value for '--cycles'"),
        (["what-if", "--folder", NOWHERE], "/nowhere does not exist; give the folder that a site keeps"),
        (["web", "--store", "site.db"], "site.db is no URL; of a file it is sqlite:///site.db"),
        (["invite", "horizon/nobody"], "horizon/nobody is no dwelling of"),
        (["invite", "horizon"], "horizon is a building; give a person's name, or building/flat"),
        (["restore", NOWHERE], "/nowhere is no back-up"),
        (["forecast", "backtest", NOWHERE], "/nowhere is no file; give a Parquet or CSV file"),
        (["simulate", "ordinary", "--data", NOWHERE], "so --data /nowhere would go unread"),
        (["simulate", "ordinary", "--report", "/dev/null/report.html"], "/dev/null/report.html cannot be written"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    words: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = said_of(words, monkeypatch, capsys)
    assert code == 2, said
    assert sentence in said


def test_control_of_a_misspelt_building_is_not_said_to_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = said_of(["release", "horizn", "--take", "--folder", str(tmp_path)], monkeypatch, capsys)
    assert code == 2
    assert "horizn is no building; there are calanques" in said


def test_a_fault_of_the_system_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    words = ["run", "--folder", str(file), "--port", "0", "--no-restart"]
    code, said = said_of(words, monkeypatch, capsys)
    assert code == 2
    assert said.startswith(str(file))
    assert "Errno" not in said


def test_a_scenario_is_found_by_its_name_and_by_its_folder(tmp_path: Path) -> None:
    shipped = scenario_folder(Path("mid-season"))
    assert (shipped / "scenario.yaml").is_file()
    assert scenario_folder(shipped) == shipped
    assert scenario_folder(tmp_path / "mine") == tmp_path / "mine"  # refused by whoever reads it


def test_a_campaign_asks_for_the_folder_of_its_record_first(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no folder"):
        Record(tmp_path / "away" / "courses.jsonl")
