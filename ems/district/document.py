"""One YAML file: its data, and the line on which each key stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML that refuses a key given twice instead of taking the last one."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise UnreadableError(f"key {key!r} is a {type(key).__name__}; write it as a text, in quotes", line)
        if key in seen:
            raise UnreadableError(f"key {key!r} stands twice, first in line {seen[key]}; keep one", line)
        seen[key] = line
    loader.flatten_mapping(node)
    mapping: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return mapping


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class UnreadableError(ValueError):
    """A file that is no YAML mapping; says why, and in which line if that is known."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        self.problem, self.line = problem, line
        super().__init__(problem)


@dataclass(frozen=True)
class Document:
    """A file's mapping, and the tree of nodes it came from."""

    data: dict[str, Any]
    root: yaml.MappingNode

    def line(self, path: Sequence[int | str]) -> int:
        """The line, counted from 1, of a key; of the last part of the path that exists."""
        node: yaml.Node = self.root
        line = 1
        for part in path:
            if isinstance(node, yaml.MappingNode):
                found = next(((k, v) for k, v in node.value if k.value == part), None)
                if found is None:
                    break
                line, node = found[0].start_mark.line + 1, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                break
        return line


def read_document(path: Path) -> Document:
    """Read one YAML file. Raises UnreadableError when it is not a mapping of keys to values."""
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        try:
            root = loader.get_single_node()
            data = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise UnreadableError(f"is not readable YAML: {what}", mark.line + 1 if mark else None) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnreadableError(f"is not readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        found = "nothing" if data is None else f"a {type(data).__name__}"
        raise UnreadableError(f"holds {found}; a mapping of keys to values is expected")
    return Document(data, root)
