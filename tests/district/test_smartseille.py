"""The district that ships: as large as the real one, sourced, and completed by an editor."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ems.assets import ChargePoint, Loop, Plant, Tank, Zone
from ems.defaults import folder
from ems.district import District, json_schemas, out_of_date, read_district
from ems.district.schema import schema_text

BUILDINGS = folder("buildings")
KINDS = {"devices": "device", "contracts": "contract", BUILDINGS.name: "building"}


def kind_of(path: Path) -> str:
    return "district" if path.name == "district.yaml" else KINDS[path.parent.name]


def plain(value: Any) -> Any:
    """YAML's dates as JSON writes them."""
    return json.loads(json.dumps(value, default=date.isoformat))


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(BUILDINGS)


def test_is_as_large_as_the_sources_say(district: District) -> None:
    homes = district.dwellings.values()
    assert len(homes) == 385
    assert sum(h.surface_m2 for h in homes) == pytest.approx(25_000, rel=0.01)
    surface_m2: Counter[str] = Counter()
    for zone in district.of(Zone).values():
        surface_m2[zone.use] += round(zone.surface_m2)
    assert (surface_m2["offices"], surface_m2["shops"]) == (27_500, 3_000)
    plants = district.of(Plant).values()
    assert sum(p.heat_kw * p.circuits for p in plants) == pytest.approx(2500, rel=0.05)
    assert sum(p.cold_kw * p.circuits for p in plants) == pytest.approx(2800, rel=0.05)
    assert len(plants) == 3 and len(district.of(Loop)) == 1
    assert {b.use for b in district.buildings.values()} >= {"senior", "creche", "school", "hotel", "shops", "parking"}


def test_one_home_in_six_or_seven_has_no_readable_thermostat(district: District) -> None:
    deaf = sum(not h.thermostat for h in district.dwellings.values())
    assert deaf / 385 == pytest.approx(0.15, abs=0.03)


def test_every_home_and_every_tank_is_measured_and_the_loop_is_only_observed(district: District) -> None:
    for home in district.dwellings:
        assert {"power_kw", "heat_energy_kwh"} & set(district.points_of(home)), home
    for tank in district.of(Tank):
        assert "top_temperature_c" in district.points_of(tank), tank
    for loop in district.of(Loop):
        assert not any(wire.commanded for wire in district.points_of(loop).values())
    for point in district.of(ChargePoint):
        assert district.points_of(point)["current_limit_a"].commanded


def test_contracts_hold_in_the_years_of_the_scenarios(district: District) -> None:
    assert not out_of_date(district, date(2026, 1, 15))


def test_every_file_says_where_its_figures_come_from() -> None:
    for path in BUILDINGS.glob("*.yaml"):
        note = yaml.safe_load(path.read_text(encoding="utf-8")).get("note", "")
        assert "assumption" in note or "(" in note, f"{path.name} names neither a source nor an assumption"
    for path in (BUILDINGS / "contracts").glob("*.yaml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["note"], path.name


@pytest.mark.parametrize("kind", sorted(json_schemas()))
def test_the_exported_schema_is_up_to_date(kind: str) -> None:
    path = BUILDINGS / "schema" / f"{kind}.json"
    assert path.read_text(encoding="utf-8") == schema_text(json_schemas()[kind]), "run make schemas"


@pytest.mark.parametrize("path", sorted(BUILDINGS.rglob("*.yaml")), ids=lambda p: p.relative_to(BUILDINGS).as_posix())
def test_an_editor_finds_the_schema_and_is_content(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    up = "" if path.parent == BUILDINGS else "../"
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={up}schema/{kind_of(path)}.json"
    jsonschema.Draft202012Validator(json_schemas()[kind_of(path)]).validate(plain(yaml.safe_load(text)))


def test_the_schema_refuses_what_the_reader_refuses() -> None:
    battery = {"type": "battery", "supply": "s", "capacity_kwh": 1, "charge_limit_kw": -1, "discharge_limit_kw": 1}
    building = {"label": {"fr": "a", "en": "a"}, "use": "plant", "assets": {"battery": battery}}
    validator = jsonschema.Draft202012Validator(json_schemas()["building"])
    assert not validator.is_valid(building)
    assert validator.is_valid({**building, "assets": {"battery": {**battery, "charge_limit_kw": 1}}})
