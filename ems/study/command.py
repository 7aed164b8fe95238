"""`ems simulate`: runs a study and says what came of it, as a table, a JSON line and a report."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ems import defaults
from ems.district import DistrictError
from ems.simulate.replay import Replay, ReplayError
from ems.simulate.scenario import ScenarioError, faults, read_expected, read_scenario, scenario_folder
from ems.study.change import ChangeError
from ems.study.kpi import TERMS
from ems.study.part import PartError
from ems.study.report import report
from ems.study.run import CONTROLLERS, Case, staged
from ems.study.study import ORACLE, OURS, Question, Result, compare, study

BUILDINGS = defaults.folder("buildings")
SHOWN = (
    "import_kwh", "peak_kw", "peak_over_subscribed", "self_consumption", "sun_used_on_site_kwh", "system_performance",
    "recovered_in_plants_kwh", "recovered_through_loop_kwh", "tdis_cold", "tdis_cold_homes_worst", "tdis_hot",
    "cool_outlet_minutes", "cool_return_minutes", "charging_missing_kwh", "cars_not_ready", "starts_per_day",
    "setpoint_changes_per_day",
)  # fmt: skip


def simulate(
    scenario: Annotated[Path, typer.Argument(help="Scenario folder, or the name of one in scenarios/.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from the scenario's own on.")] = 1,
    opponents: Annotated[
        str, typer.Option(help="Of rules-tuned, rules, local, oracle; with commas.")
    ] = "rules-tuned,rules,local,oracle",
    ours: Annotated[bool, typer.Option(help="Run our controller too.")] = True,
    hours: Annotated[float | None, typer.Option(min=0.25, help="Only the first hours.")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="path=value: changes district, contract or scenario.")
    ] = None,
    other: Annotated[
        list[str] | None, typer.Option("--compare", help="path=value: a second study with this too.")
    ] = None,
    replan_every: Annotated[int, typer.Option(min=1, help="Quarter-hours between two plans.")] = 4,
    horizon: Annotated[int, typer.Option(min=8, help="Quarter-hours planned ahead.")] = 96,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON line of figures.")] = False,
    page: Annotated[Path | None, typer.Option("--report", help="Write an HTML report here.")] = None,
    folder: Annotated[Path, typer.Option(help="Where finished runs are kept, so that a study can be resumed.")] = Path(
        "var/study"
    ),
    workers: Annotated[int | None, typer.Option(min=1, help="Runs at once; one for each core.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of measured series that the scenario replays.")] = None,
    buildings: Annotated[Path, typer.Option(help="Folder of the district.")] = BUILDINGS,
) -> None:
    """Our controller against honest opponents on the same plant and seeds, in virtual time."""
    err = Console(stderr=True)
    out = err if as_json else Console()
    place = scenario_folder(scenario)
    names = [n.strip() for n in opponents.split(",") if n.strip()]
    unknown = sorted(set(names) - set(CONTROLLERS))
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(unknown)} is no opponent; there are {', '.join(CONTROLLERS[1:])}", param_hint="--opponents"
        )
    case = Case(
        buildings, place, OURS, 0, hours=hours, changes=tuple(change or ()), replan_every=replan_every,
        horizon_slots=horizon, data=data,
    )  # fmt: skip
    try:
        described = read_scenario(place)
        chosen = tuple(c for c in CONTROLLERS if c in names or (ours and c == OURS))
        if described.only_opponents:
            chosen = tuple(c for c in chosen if c not in (OURS, ORACLE))
            err.print(f"{described.name} is too long to plan through: ours and oracle stay out")
        if not chosen:
            raise typer.BadParameter(
                "nobody is to run; name opponents, or leave --no-ours out", param_hint="--opponents"
            )
        first = tuple(range(described.seed, described.seed + seeds))
        questions = [Question(case, first, chosen, folder, workers or os.cpu_count() or 1)]
        if other:
            questions.append(replace(questions[0], case=replace(case, changes=(*case.changes, *other))))
        for question in questions:
            wired, asked = staged(question.case)  # whatever is wrong is said before anything runs
            Replay.asked(asked, data, wired.wires)
    except (ScenarioError, ReplayError, ChangeError, PartError, DistrictError) as error:
        err.print(str(error), style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    if page is not None:
        try:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.touch()  # what cannot be written is said now, not after hours of runs
        except OSError as error:
            raise typer.BadParameter(f"{page} cannot be written: {error.strerror}", param_hint="--report") from error
    answers, results = [], []
    try:
        for question in questions:
            found = _run(question, err)
            results.append(found)
            answers.append(compare(question, found))
    except KeyboardInterrupt:
        err.print(f"Broken off; runs that had ended are kept in {folder}, and the same command goes on from there.")
        raise typer.Exit(130) from None
    if len(answers) == 1:
        out.print(_table(answers[0]))
        _say(answers[0], out)
    else:
        out.print(_side_by_side(answers, list(other or ())))
    if page is not None:
        page.write_text(report(answers[-1], results[-1], described.why), encoding="utf-8")
        err.print(f"wrote {page}")
    said = _faults(place, answers[0])
    for fault in said:
        err.print(f"not as expected: {fault}", style="red", highlight=False)
    if as_json:
        sys.stdout.write(
            json.dumps(answers[0] if len(answers) == 1 else {"first": answers[0], "second": answers[1]}) + "\n"
        )
    if said:
        raise typer.Exit(1)


def _run(question: Question, err: Console) -> dict[tuple[str, int], Result]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    ) as bars:
        task = bars.add_task(question.case.scenario.name, total=len(question.cases()))

        def done(case: Case, known: bool) -> None:
            bars.update(task, advance=1, description=f"{case.scenario.name}: {case.controller}, seed {case.seed}")

        return study(question, on_done=done)


def _table(answer: Mapping[str, Any]) -> Table:
    names = list(answer["J"])
    table = Table(
        "",
        *names,
        title=f"{answer['scenario']}, {answer['hours']:g} h, {len(answer['seeds'])} seed(s)",
        title_justify="left",
    )
    for term in TERMS:
        table.add_row(f"{term}, euro", *(f"{round(answer['cost'][c][term], 2) + 0.0:.2f}" for c in names))
    table.add_row("J, euro", *(f"{answer['J'][c]['median']:.2f}" for c in names), end_section=True, style="bold")
    for kpi in SHOWN:
        table.add_row(kpi, *(f"{answer['kpi'][c].get(kpi, 0.0):.4g}" for c in names))
    return table


def _say(answer: Mapping[str, Any], out: Console) -> None:
    for label, key in (("saved against rules-tuned", "saving"), ("possible (oracle)", "saving_possible")):
        if (saving := answer[key]) is not None:
            out.print(
                f"{label}: median {saving['median_eur']:.2f} euro "
                f"({100 * saving['median_share']:.1f} % of J), worst seed {saving['worst_eur']:.2f}"
            )
    shares = answer["saving_captured"]
    if shares is not None:
        text = (
            "nothing could be saved"
            if shares["median"] is None
            else f"median {shares['median']:.2f}, worst seed {shares['worst']:.2f}"
        )
        out.print(f"captured: {text}")
    entries = answer["worse_for_anybody"]
    if entries is not None:
        out.print(f"worse for anybody: {len(entries) or 'nobody'}")
        for entry in entries[:8]:
            out.print(
                f"  {entry['who']}: {entry['what']} {entry['ours']:g}, "
                f"under rules-tuned {entry['rules_tuned']:g} (seed {entry['seed']})"
            )


def _side_by_side(answers: list[dict[str, Any]], changes: list[str]) -> Table:
    """Every controller as it was and with the changes."""
    names = list(answers[0]["J"])
    heads = [f"{c}{mark}" for c in names for mark in ("", " *")]
    table = Table("", *heads, title=f"{answers[0]['scenario']}; * with {', '.join(changes)}", title_justify="left")
    for term in TERMS:
        table.add_row(f"{term}, euro", *(f"{round(a['cost'][c][term], 2) + 0.0:.2f}" for c in names for a in answers))
    table.add_row(
        "J, euro", *(f"{a['J'][c]['median']:.2f}" for c in names for a in answers), end_section=True, style="bold"
    )
    for kpi in SHOWN:
        table.add_row(kpi, *(f"{a['kpi'][c].get(kpi, 0.0):.4g}" for c in names for a in answers))
    return table


def flat(answer: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a study by the names that `expected.yaml` uses: controller/figure."""
    found = {f"{c}/{k}": v for c, kpis in answer["kpi"].items() for k, v in kpis.items()}
    found |= {f"{c}/J": j["median"] for c, j in answer["J"].items()}
    for key in ("saving", "saving_possible", "saving_captured"):
        found |= {f"{key}/{k}": v for k, v in (answer[key] or {}).items() if v is not None}
    if answer["worse_for_anybody"] is not None:
        found["worse_for_anybody/count"] = float(len(answer["worse_for_anybody"]))
    return found


def _faults(place: Path, answer: Mapping[str, Any]) -> list[str]:
    """What contradicts `expected.yaml`; figures of controllers that did not run are not asked for."""
    ran = {
        *answer["J"],
        *(k for k in ("saving", "saving_possible", "saving_captured", "worse_for_anybody") if answer[k]),
    }
    whole = answer["hours"] >= 24 * read_scenario(place).days - 1e-6
    expected = {
        n: e
        for n, e in read_expected(place).items()
        if "/" in n and n.partition("/")[0] in ran and (whole or not e.whole_only)
    }
    return faults(expected, flat(answer))
