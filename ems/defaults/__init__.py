"""The district and the scenarios that ship with the package, wherever it is installed."""

from __future__ import annotations

from pathlib import Path


def folder(name: str) -> Path:
    """`buildings` or `scenarios`: beside `ems/` in a checkout, inside this package in a wheel.

    Raises FileNotFoundError when it is in neither place.
    """
    here = Path(__file__).parent
    for place in (here / name, here.parents[1] / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"no folder {name} in {here} or {here.parents[1]}; pass the folder yourself")
