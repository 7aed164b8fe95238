"""What is wrong with a file, in a sentence: where, which key, which value, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

KeyPath = tuple[int | str, ...]


@dataclass(frozen=True)
class Refusal:
    """One fault: where it is, what stands there, and what would be right."""

    file: str
    key: str
    problem: str
    line: int | None = None  # counted from 1, where it is known

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}{' ' if self.key else ''}{self.problem}"


class DistrictError(ValueError):
    """A folder that is no district; `refusals` lists every fault."""

    def __init__(self, refusals: list[Refusal]) -> None:
        self.refusals = refusals
        super().__init__("\n".join(str(r) for r in refusals))


class FaultError(ValueError):
    """What a validator finds: the key below it, and the rest of the sentence."""

    def __init__(self, key: str, problem: str) -> None:
        self.key, self.problem = key, problem
        super().__init__(f"{key} {problem}")


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` when something known looks like it, else what there is, else nothing."""
    names = list(known)
    if close := difflib.get_close_matches(word, names, n=1):
        return f"; did you mean {close[0]}?"
    return f"; there is {', '.join(names)}" if 0 < len(names) <= 16 else ""


def explain_all(faults: Iterable[Mapping[str, Any]], schema: Mapping[str, Any]) -> list[tuple[KeyPath, str]]:
    """Pydantic's findings as key paths and sentences; a key that is only misspelt is not reported missing as well."""
    found = list(faults)
    meant = set()
    for fault in found:
        if fault["type"] == "extra_forbidden":
            *above, wrong = fault["loc"]
            known = _keys(tuple(above), schema)
            meant |= {(*above, right) for right in difflib.get_close_matches(str(wrong), known, n=1)}
    return [explain(f, schema) for f in found if not (f["type"] == "missing" and tuple(f["loc"]) in meant)]


# A pattern or kind of value, as a person would say it.
_PATTERNS = {r"^\d{14}$": "write its 14 digits, in quotes"}
_WANTED = {
    "float": "write a number",
    "int": "write a whole number",
    "bool": "write true or false",
    "string": "write a text, in quotes if need be",
    "date": "write a date as 2026-01-31",
    "finite": "write a finite number",
    "dict": "write a mapping, `key: value` lines below it",
    "model": "write a mapping, `key: value` lines below it",
    "mapping": "write a mapping, `key: value` lines below it",
    "list": "write a list, `- item` lines below it",
    "tuple": "write a list, `- item` lines below it",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def explain(fault: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[KeyPath, str]:
    """One of pydantic's findings as a key path and the rest of the sentence.

    `schema` is the JSON Schema of the file's model; it knows which keys would have been right and what they mean.
    """
    kind, value, loc = str(fault["type"]), fault["input"], tuple(fault["loc"])
    context: Mapping[str, Any] = fault.get("ctx", {})
    path, _ = _walk(loc, schema)
    if kind == "union_tag_invalid":
        known = [t.strip("' ") for t in str(context["expected_tags"]).split(",")]
        return (*path, "type"), f"is {context['tag']!r}, which is no asset type{near(context['tag'], known)}"
    if kind == "union_tag_not_found":
        tags = _asset_types(schema)
        return (*path, "type"), f"is missing; write one of {', '.join(tags)}"
    if kind == "extra_forbidden":
        return path, f"is not a key that is known here{near(str(path[-1]), _keys(loc[:-1], schema))}"
    if kind == "missing":
        meaning = _keys(loc[:-1], schema).get(str(loc[-1]), {}).get("description")
        return path, f"is missing; add it{': ' + meaning if meaning else ''}"
    if kind == "value_error":
        error = context["error"]
        if isinstance(error, FaultError):
            return (*path, *error.key.split(".")), error.problem
        return path, f"is {_shown(value)}; {error}"
    return path, f"is {_shown(value)}; {_remedy(kind, context, value, str(fault['msg']))}"


def _remedy(kind: str, context: Mapping[str, Any], value: object, message: str) -> str:
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        bound = context[key]
        signless = kind.startswith("greater") and bound == 0 and isinstance(value, int | float) and value < 0
        return f"it must be {words} {bound:g}" + (" (no signs here: the sign is in the flow)" if signless else "")
    if kind == "literal_error":
        known = [k.strip("' ") for k in str(context["expected"]).replace(" or ", ",").split(",")]
        closest = near(str(value), known)
        return f"write one of {', '.join(known)}" + (closest if "did you mean" in closest else "")
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"it must match {context['pattern']}")
    if kind in ("too_short", "string_too_short"):
        return f"give at least {context['min_length']}" + (" characters" if kind.startswith("string") else "")
    if kind == "int_from_float":
        return _WANTED["int"]
    return _WANTED.get(kind.split("_")[0], f"{message[0].lower()}{message[1:]}")


def _shown(value: object) -> str:
    match value:
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list():
            return "a list" if value else "an empty list"
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case _:
            return repr(value)


# Pydantic's location of a fault names the chosen member of a union too; the schema tells which part that is.


def _walk(loc: KeyPath, schema: Mapping[str, Any]) -> tuple[KeyPath, Mapping[str, Any]]:
    """The location as a person would point at it in the file, and the part of the schema that describes it."""
    path: list[int | str] = []
    node: Mapping[str, Any] = schema
    for part in loc:
        node = _resolved(node, schema)
        if "discriminator" in node:
            node = {"$ref": node["discriminator"]["mapping"].get(str(part), "")}
        else:
            path.append(part)
            node = _below(node, part)
    return tuple(path), _resolved(node, schema)


def _keys(loc: KeyPath, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keys that are known at a location, with what they mean."""
    keys: Mapping[str, Any] = _walk(loc, schema)[1].get("properties", {})
    return keys


def _below(node: Mapping[str, Any], part: int | str) -> Mapping[str, Any]:
    if isinstance(part, int):
        items: Mapping[str, Any] = node.get("items", {})
        return items
    below = node.get("properties", {}).get(part) or node.get("additionalProperties")
    return below if isinstance(below, Mapping) else {}


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references, and an optional value to what it is when it is there."""
    while True:
        if reference := node.get("$ref"):
            node = schema.get("$defs", {}).get(reference.rpartition("/")[2], {})
        elif "anyOf" in node and len(some := [n for n in node["anyOf"] if n.get("type") != "null"]) == 1:
            node = some[0]
        else:
            return node


def _asset_types(schema: Mapping[str, Any]) -> list[str]:
    assets = _below(schema, "assets").get("additionalProperties", {})
    return sorted(assets.get("discriminator", {}).get("mapping", {}))
