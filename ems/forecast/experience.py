"""What was learnt, kept between forecasts, and its text for a file: no pickle, so that a file can do no harm."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ems.forecast import boosting
from ems.forecast.learn import Learnt
from ems.forecast.network import Network
from ems.forecast.photovoltaic import Array
from ems.forecast.regression import Lines

VERSION = 6
NETWORKS = ("net", "wide")
Key = tuple[Any, ...]


@dataclass
class Experience:
    """What was learnt of groups of meters, by what identifies the group, and of plants by their series' id.

    `changes` counts the fits, so that a keeper of files knows when there is something new to keep.
    """

    learnt: dict[Key, Learnt] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    changes: int = 0

    def keep(self, key: Key, learnt: Learnt) -> None:
        self.learnt[key] = learnt
        self.changes += 1


def dump(experience: Experience) -> bytes:
    """The groups that have trees or lines, for `load`. Plants are learnt anew in seconds and are left out."""
    header: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    for n, (key, learnt) in enumerate(experience.learnt.items()):
        grown = learnt.trees
        trees = grown if isinstance(grown, str) else [b.model_to_string() for b in (*grown.boosters, grown.correction)]
        header.append({"key": list(key), "when": learnt.when, "trees": trees, "features": learnt.features})
        parts = {k: getattr(learnt, k) for k in ("shares", "margins", "sides", "skill")}
        for name in NETWORKS:
            net: Network | None = getattr(learnt, name)
            if net is None:
                continue
            parts |= {f"{name}_mean": net.mean, f"{name}_spread": net.spread, f"{name}_unit": np.float64(net.unit)}
            parts |= {f"{name}_weights_{k}": w for k, w in enumerate(net.weights)}
            parts |= {f"{name}_offsets_{k}": w for k, w in enumerate(net.offsets)}
        parts |= {"coefficients": learnt.lines.coefficients, "mean": learnt.lines.mean, "spread": learnt.lines.spread}
        arrays |= {f"{n}/{name}": values for name, values in parts.items()}
    text = json.dumps({"version": VERSION, "groups": header}).encode()
    out = io.BytesIO()
    np.savez_compressed(out, header=np.frombuffer(text, dtype=np.uint8), **arrays)
    return out.getvalue()


def load(content: bytes) -> Experience:
    """What `dump` wrote. Raises ValueError that says what is wrong with anything else."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays["header"].tobytes())
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(f"no kept forecasts: {error}") from error
    if header.get("version") != VERSION:
        raise ValueError(f"kept forecasts are of version {header.get('version')!r}; this reader knows {VERSION}")
    found = Experience()
    library = boosting.library()
    for n, group in enumerate(header["groups"]):
        trees: boosting.Trees | str
        if isinstance(group["trees"], str):
            trees = group["trees"]
        elif isinstance(library, str):
            continue  # learnt where the library was; to be learnt anew without
        else:
            *boosters, correction = (library.Booster(model_str=text) for text in group["trees"])
            trees = boosting.Trees(tuple(boosters), correction)
        part = {name.split("/", 1)[1]: values for name, values in arrays.items() if name.startswith(f"{n}/")}
        lines = Lines(part.pop("coefficients"), part.pop("mean"), part.pop("spread"))
        net, wide = (_network(part, name) for name in NETWORKS)
        if net is None:
            raise ValueError("no kept forecasts: a network is missing")
        found.learnt[tuple(group["key"])] = Learnt(
            when=group["when"], trees=trees, lines=lines, net=net, wide=wide, features=tuple(group["features"]), **part
        )
    return found


def _network(part: dict[str, Any], name: str) -> Network | None:
    """The network of that name, taken out of a group's arrays; None where none was kept."""
    layers = sum(k.startswith(f"{name}_weights_") for k in part)
    if not layers:
        return None
    return Network(
        part.pop(f"{name}_mean"), part.pop(f"{name}_spread"), float(part.pop(f"{name}_unit")),
        tuple(part.pop(f"{name}_weights_{k}") for k in range(layers)),
        tuple(part.pop(f"{name}_offsets_{k}") for k in range(layers)),
    )  # fmt: skip
