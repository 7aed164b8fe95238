"""The JSON Schema of each kind of file, so that an editor completes and checks the YAML as it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ems.district.device import DeviceType
from ems.district.model import BuildingFile, DistrictFile
from ems.market import Contract

# Kind of file -> its model. The name of a building, device type or contract is that of its file, never a key in it.
MODELS: dict[str, type[BaseModel]] = {
    "district": DistrictFile,
    "building": BuildingFile,
    "device": DeviceType,
    "contract": Contract,
}


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file."""
    schema = MODELS[kind].model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    for part in parts:
        if part.get("properties", {}).get("name", {}).get("default") == "":
            del part["properties"]["name"]  # set by the reader
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def json_schemas() -> dict[str, dict[str, Any]]:
    """All of them, by kind."""
    return {kind: json_schema(kind) for kind in MODELS}


def write_schemas(folder: Path) -> list[Path]:
    """Write `schema/KIND.json` into a district's folder; the paths written."""
    target = folder / "schema"
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, schema in json_schemas().items():
        path = target / f"{kind}.json"
        path.write_text(schema_text(schema), encoding="utf-8")
        written.append(path)
    return written


def schema_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
