"""A study end to end, on a few quarter-hours of the small district."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ems.simulate.scenario import read_expected
from ems.study.command import flat, simulate
from ems.study.report import report
from ems.study.run import Case
from ems.study.study import Question, compare, digest, key_of, study
from tests.study.conftest import BUILDINGS

SCENARIOS = Path("scenarios")
runner = CliRunner()
app = typer.Typer()
app.command()(simulate)


@pytest.fixture(scope="module")
def question(tmp_path_factory: pytest.TempPathFactory) -> Question:
    """Half an hour of the evening peak without history, under three controllers."""
    changes = ("scenario.history_days=0",)
    case = Case(BUILDINGS, SCENARIOS / "evening-peak", "ours", 0, hours=0.5, changes=changes, horizon_slots=16)
    return Question(case, (1,), ("ours", "rules-tuned", "oracle"), tmp_path_factory.mktemp("runs"), workers=1)


def test_a_study_compares_resumes_and_reports(question: Question) -> None:
    found = study(question)
    answer = json.loads(json.dumps(compare(question, found)))  # it is one JSON line
    assert set(answer["J"]) == {"ours", "rules-tuned", "oracle"}
    for controller in answer["J"]:
        assert answer["J"][controller]["median"] == pytest.approx(sum(answer["cost"][controller].values()), abs=0.01)
    assert set(answer["saving_captured"]) == {"median", "worst"}
    assert isinstance(answer["worse_for_anybody"], list)
    assert answer["uncontrollable_eur"] > 0
    assert answer["fallbacks"] == {"ours": 0, "rules-tuned": 0, "oracle": 0}

    seen: list[bool] = []
    assert study(question, on_done=lambda case, known: seen.append(known)) == found
    assert seen == [True, True, True]  # nothing was run again

    page = report(answer, found, "Why this is worth a look.")
    assert page.count("<svg") >= 8
    assert "http" not in page.replace("http-equiv", "")  # it needs nothing else
    assert "<script" not in page
    assert "Why this is worth a look." in page

    assert flat(answer)["ours/J"] == answer["J"]["ours"]["median"]


def test_a_run_is_known_by_everything_that_it_depends_on(question: Question) -> None:
    case, base = question.case, digest(question.case)
    assert key_of(case, base) == key_of(replace(case), base)
    for other in (
        replace(case, seed=2),
        replace(case, controller="rules"),
        replace(case, hours=1.0),
        replace(case, changes=()),
        replace(case, replan_every=1),
        replace(case, horizon_slots=32),
    ):
        assert key_of(other, base) != key_of(case, base)
    assert digest(replace(case, scenario=SCENARIOS / "winter-week")) != base


def test_the_command_ends_with_one_json_line_and_compares_two_runs(tmp_path: Path) -> None:
    arguments = ["evening-peak", "--no-ours", "--opponents", "rules", "--hours", "0.5", "--workers", "1", "--json"]
    done = runner.invoke(app, [*arguments, "--folder", str(tmp_path), "--compare", "parking/battery.capacity_kwh=0"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert answer["first"]["changes"] == []
    assert answer["second"]["changes"] == ["parking/battery.capacity_kwh=0"]
    given = "battery_throughput_kwh"
    assert answer["first"]["kpi"]["rules"][given] > answer["second"]["kpi"]["rules"][given] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "is no scenario folder; there are"),
        (["winter-week", "--set", "batery.capacity_kwh=0"], "there is no batery"),
        (["winter-week", "--opponents", "rulez"], "rulez is no opponent"),
        (["winter-week", "--set", "scenario.buildings=[mistral]"], "name plant-c too"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = runner.invoke(app, [*arguments, "--folder", str(tmp_path)])
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", "").split())
    assert not list(tmp_path.iterdir())


def test_expected_figures_name_controllers() -> None:
    for folder in sorted(SCENARIOS.iterdir()):
        if (folder / "expected.yaml").is_file() and folder.name not in ("ordinary", "replay"):
            heads = {name.partition("/")[0] for name in read_expected(folder)}
            assert heads <= {"ours", "rules-tuned", "rules", "local", "oracle", "saving", "worse_for_anybody"}
