"""What a part of the plant shows and takes, so that the world can lay it out over the wired points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ems.series import Floats


@dataclass
class Counter:
    """A register that only counts up: `start` when the world began, then what came `since`, in whole steps.

    `step` is what the meter counts in, 0 for as fine as its register is.
    """

    start: Floats
    since: Callable[[], Floats]
    step: float = 0.0

    def shown(self, total: Floats) -> Floats:
        """What the register shows when it has counted `total`."""
        return np.floor(total / self.step + 1e-9) * self.step if self.step > 0 else total

    def read(self) -> Floats:
        return self.shown(self.start + self.since())


@dataclass(frozen=True)
class Panel:
    """The front of some equal devices.

    `assets` names them; `readings[quantity]()` gives one value each, in their order; `counters` likewise;
    `commands[quantity]` is the array that the devices apply, changed in place.
    """

    assets: tuple[str, ...]
    readings: Mapping[str, Callable[[], Floats]]
    counters: Mapping[str, Counter] = field(default_factory=dict)
    commands: Mapping[str, Floats] = field(default_factory=dict)
