"""A scenario: a folder that says when a run begins, what is replayed in it, and what is expected to come out.

`why.md` gives the reason in words, `scenario.yaml` the inputs, `expected.yaml` (optional) the figures with their
tolerances, so that a changed expectation is seen in review.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from ems import defaults
from ems.market.contract import Period
from ems.points import split_point
from ems.slots import floor


class ScenarioError(ValueError):
    """What is wrong with a scenario: file, key, value, and what would be right."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Replayed(_Part):
    """A point that shows a measured series instead of what the plant would give.

    `start` is the instant of the source that is shown when the scenario begins. Value = source x scale; a generator
    has a negative scale, because positive power flows into the asset.
    """

    point: str
    file: str  # in the data folder: .parquet, .csv or .csv.gz with UTC interval starts first
    column: str
    start: AwareDatetime
    scale: float = Field(default=1.0, allow_inf_nan=False)

    @field_validator("point")
    @classmethod
    def _is_point(cls, point: str) -> str:
        split_point(point)
        return point

    @field_validator("scale")
    @classmethod
    def _keeps_something(cls, scale: float) -> float:
        if scale == 0:
            raise ValueError("scale is 0, every value would be 0; leave the entry out, or give value = source x scale")
        return scale


class _Stretch(_Part):
    """Something that lasts from `begins` until `ends` (for good, when that is left out)."""

    begins: AwareDatetime
    ends: AwareDatetime | None = None

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        if self.ends is not None and self.ends <= self.begins:
            raise ValueError(f"ends is {self.ends.isoformat()}, not after begins ({self.begins.isoformat()})")
        return self

    def holds(self, instant: datetime) -> bool:
        return self.begins <= instant and (self.ends is None or instant < self.ends)


class PlantOut(_Stretch):
    """A plant room that does not run, whatever it is told. It reports its fault, as real ones do.

    `capacity_share` above 0: some of its circuits still run, and no fault is reported.
    """

    plant: str
    capacity_share: float = Field(default=0.0, ge=0, lt=1)


class Turned(_Stretch):
    """A share of all residents turns the thermostat by `change_k` at `begins`; at `ends` they turn it back."""

    share: float = Field(gt=0, le=1)
    change_k: float = Field(ge=-5, le=5, allow_inf_nan=False)


class Shifted(_Stretch):
    """Weather that differs from the generated one: added to what really happens and to what is forecast of it.

    The change comes and goes evenly over `over_hours`. `foreseen_share` of it is in the forecast, 1 for weather that a
    service knows, 0 for what surprises everybody.
    """

    outdoor_k: float = Field(default=0.0, ge=-20, le=20)
    seawater_k: float = Field(default=0.0, ge=-12, le=12)
    clear_share: float = Field(default=0.0, ge=0, le=1, description="how far the sky is cleared: 1 is without clouds")
    over_hours: float = Field(default=6.0, gt=0)
    foreseen_share: float = Field(default=1.0, ge=0, le=1)


class Scenario(_Part):
    """`scenario.yaml`. `name` and `why` come from the folder.

    `buildings` names a part of the district (empty: all of it), closed under its references. `periods` puts price
    periods before those of a contract, for example Tempo days, named by their local dates. `history_days` before the
    start are known to the forecast; the plant runs `warm_up_hours` on its own before it, so that walls and slabs stand
    where yesterday left them. `only_opponents`: too long to plan through; our controller and the oracle stay out.
    """

    name: str = ""
    why: str = ""
    start: AwareDatetime
    seed: int = Field(default=1, ge=0)
    days: float = Field(default=2, gt=0, le=400)
    replay: tuple[Replayed, ...] = ()
    buildings: tuple[str, ...] = ()
    history_days: int = Field(default=8, ge=0, le=60)
    warm_up_hours: float = Field(default=10, ge=0, le=240)
    plants_out: tuple[PlantOut, ...] = ()
    thermostats: tuple[Turned, ...] = ()
    weather: tuple[Shifted, ...] = ()
    periods: dict[str, dict[str, Period]] = {}
    only_opponents: bool = False
    changes: tuple[str, ...] = Field(default=(), description="of the district, as for --set: path=value")

    @field_validator("start")
    @classmethod
    def _on_a_slot(cls, start: datetime) -> datetime:
        if floor(start) != start:
            raise ValueError(f"start is {start.isoformat()}; a scenario begins on a quarter-hour")
        return start.astimezone(UTC)

    @model_validator(mode="after")
    def _one_source_each(self) -> Self:
        seen: set[str] = set()
        for entry in self.replay:
            if entry.point in seen:
                raise ValueError(f"{entry.point} is replayed twice; keep one entry")
            seen.add(entry.point)
        return self


class Expectation(_Part):
    """What one figure of a run should be: `value` within `tolerance`, and/or between two bounds.

    `whole_only`: of the whole scenario, not of its first hours; a year's use says nothing about a day.
    """

    whole_only: bool = False
    value: float | None = None
    tolerance: float = Field(default=0.0, ge=0)
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.value is None and self.at_least is None and self.at_most is None:
            raise ValueError("expects nothing; give value (and tolerance), at_least or at_most")
        return self

    def fault(self, found: float) -> str:
        """Why `found` is not what was expected, or an empty string."""
        if self.value is not None and not abs(found - self.value) <= self.tolerance:
            return f"is {found:g}; expected {self.value:g} within {self.tolerance:g}"
        if self.at_least is not None and not found >= self.at_least:
            return f"is {found:g}; expected at least {self.at_least:g}"
        if self.at_most is not None and not found <= self.at_most:
            return f"is {found:g}; expected at most {self.at_most:g}"
        return ""


def scenario_folder(asked: Path) -> Path:
    """The folder that is asked for: itself, or that of this name among the scenarios that ship."""
    shipped = asked if asked.is_dir() else defaults.folder("scenarios") / asked
    return shipped if (shipped / "scenario.yaml").is_file() else asked


def read_scenario(folder: Path) -> Scenario:
    """The scenario of a folder. Raises ScenarioError naming file, key and remedy."""
    if not folder.is_dir():
        around = folder.parent if any(folder.parent.glob("*/scenario.yaml")) else defaults.folder("scenarios")
        others = sorted(p.parent.name for p in around.glob("*/scenario.yaml"))
        raise ScenarioError(f"{folder} is no scenario folder; there are {', '.join(others)} in {around}")
    file = folder / "scenario.yaml"
    try:
        scenario = Scenario.model_validate(_mapping(file))
    except ValidationError as error:
        raise ScenarioError(_sentences(file, error)) from error
    why = folder / "why.md"
    if not why.is_file():
        raise ScenarioError(f"{why} is missing; say in a sentence or two what this scenario is for")
    return scenario.model_copy(update={"name": folder.name, "why": why.read_text(encoding="utf-8").strip()})


def read_expected(folder: Path) -> dict[str, Expectation]:
    """The expected figures of a scenario by name; empty when it expects none."""
    file = folder / "expected.yaml"
    if not file.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, Expectation]).validate_python(_mapping(file))
    except ValidationError as error:
        raise ScenarioError(_sentences(file, error)) from error


def faults(expected: Mapping[str, Expectation], found: Mapping[str, Any]) -> list[str]:
    """What a run's figures contradict, one sentence each."""
    said = []
    for name, expectation in expected.items():
        figure = found.get(name)
        if not isinstance(figure, int | float):
            said.append(f"{name} is missing from the figures of the run")
        elif fault := expectation.fault(float(figure)):
            said.append(f"{name} {fault}")
    return said


def _mapping(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ScenarioError(f"{file} is missing; a scenario needs it")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ScenarioError(f"{file}: is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ScenarioError(f"{file}: holds a {type(content).__name__}; write keys and values")
    return content


def _sentences(file: Path, error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"]) or "scenario"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "is not a key that is known here; remove it or correct its name"
        elif fault["type"] == "missing":
            message = "is missing; add it"
        elif fault["type"] != "value_error":
            message = f"is {fault['input']!r}; {message[0].lower()}{message[1:]}"
        lines.append(f"{file}: {key}: {message}")
    return "\n".join(lines)
