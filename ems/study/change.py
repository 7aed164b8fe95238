"""`--set path=value`: changes anything of district, contract or scenario, and refuses what does not exist.

    parking/battery.capacity_kwh=0     an asset by its full name, or by its short one when only one is called so
    */tank.volume_m3=4                 every asset of that short name
    contract.landlord-c4.export_per_kwh=0.10
    values.carbon_per_kg=0.25          district.yaml: values, comfort, place
    scenario.days=7                    scenario.yaml

A battery of capacity 0 is no battery: it leaves the district with its device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ems.assets import Battery
from ems.district import District
from ems.simulate.scenario import Scenario
from ems.study.part import without

M = TypeVar("M", bound=BaseModel)
HEADS = ("scenario", "contract", "values", "comfort", "place")


class ChangeError(ValueError):
    """A change that names nothing, or gives a value that is refused."""


def changed(district: District, scenario: Scenario, changes: Sequence[str]) -> tuple[District, Scenario]:
    """District and scenario with all changes made, in order. Raises ChangeError."""
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals or not path.strip():
            raise ChangeError(f"--set {change}: write path=value, for example parking/battery.capacity_kwh=0")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ChangeError(f"--set {change}: {text!r} is no value: {error}") from error
        district, scenario = _changed(district, scenario, path.strip(), value)
    return district, scenario


def _changed(district: District, scenario: Scenario, path: str, value: Any) -> tuple[District, Scenario]:
    head, _, rest = path.partition(".")
    keys = rest.split(".") if rest else []
    if not keys:
        raise ChangeError(f"--set {path}: names no field; write {path}.field=value")
    if head == "scenario":
        return district, _with(scenario, keys, value, path)
    if head == "contract":
        name = keys.pop(0)
        if name not in district.contracts:
            raise ChangeError(f"--set {path}: there is no contract {name}; there are {', '.join(district.contracts)}")
        contracts = {**district.contracts, name: _with(district.contracts[name], keys, value, path)}
        return replace(district, contracts=contracts), scenario
    if head == "values":
        return replace(district, values=_with(district.values, keys, value, path)), scenario
    if head == "place":
        return replace(district, place=_with(district.place, keys, value, path)), scenario
    if head == "comfort":
        use = keys.pop(0)
        if use not in district.comfort:
            raise ChangeError(f"--set {path}: there is no comfort of {use}; there are {', '.join(district.comfort)}")
        return replace(
            district, comfort={**district.comfort, use: _with(district.comfort[use], keys, value, path)}
        ), scenario
    for name in _assets(district, head, path):
        asset = district.assets[name]
        if isinstance(asset, Battery) and keys == ["capacity_kwh"] and value == 0:
            district = without(district, {name})
        else:
            district = replace(district, assets={**district.assets, name: _with(asset, keys, value, path)})
    return district, scenario


def _assets(district: District, head: str, path: str) -> list[str]:
    """The assets that a path means. Raises ChangeError when that is none, or not clear."""
    if head in district.assets:
        return [head]
    short = head.removeprefix("*/")
    named = [n for n in district.assets if n.partition("/")[2] == short]
    if head.startswith("*/") and named:
        return named
    if len(named) == 1:
        return named
    if named:
        several = ", ".join(named[:6])
        raise ChangeError(f"--set {path}: {head} could be {several}; give its full name, or */{short} for all of them")
    raise ChangeError(
        f"--set {path}: there is no {head}; a path begins with {', '.join(HEADS)}, "
        "or with an asset such as parking/battery"
    )


def _with(model: M, keys: Sequence[str], value: Any, path: str) -> M:
    """A copy of a model with one field, however deep, at another value; validated as if it stood in its file."""
    tree = model.model_dump()
    at: Any = tree
    for depth, key in enumerate(keys):
        known = sorted(at) if isinstance(at, dict) else []
        if not isinstance(at, dict) or key not in at:
            where = ".".join([path.partition(".")[0], *keys[:depth]])
            raise ChangeError(f"--set {path}: {where} has no {key}; it has {', '.join(known) or 'no fields'}")
        if depth < len(keys) - 1:
            at = at[key]
        else:
            at[key] = value
    try:
        return type(model).model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        raise ChangeError(f"--set {path}={value}: {first['msg'].removeprefix('Value error, ')}") from error
