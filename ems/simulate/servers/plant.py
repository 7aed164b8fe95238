"""What the servers need of the world behind them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from numpy import float64
from numpy.typing import NDArray


class Plant(Protocol):
    """A world whose devices we serve: what they show now, and a way to tell them what to apply."""

    @property
    def now(self) -> datetime:
        """Site time."""

    @property
    def index(self) -> Mapping[str, int]:
        """Where each point's value stands in `values`."""

    @property
    def values(self) -> NDArray[float64]:
        """What each point's device shows now; NaN where it has no value."""

    def command(self, point: str, value: float) -> None:
        """What the device applies from now on."""
