"""Machines with daily work and a clock of their own: they run when permitted, in their window, until it is done.

Without a master they are permitted, and run as soon as their window begins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ems.assets import Deferrable
from ems.simulate.plant.chance import spread
from ems.simulate.plant.day import MINUTES, Day

HOURS = 1 / 60


class Machines:
    """All deferrable loads."""

    def __init__(self, machines: Sequence[Deferrable], seed: int) -> None:
        n = len(machines)
        self.machines = machines
        self.true_kw = np.array([m.running_kw for m in machines]) * spread(seed, "machines", n, 0.05)
        self.work_h = np.array([m.work_h for m in machines])
        self.contiguous = np.array([m.contiguous for m in machines], dtype=bool)
        self.run_on = np.ones(n)
        self.done_h = np.zeros(n)
        self.running = np.zeros(n, dtype=bool)
        self.power_kw = np.zeros(n)
        self._open = np.zeros((MINUTES, n), dtype=bool)
        self._begins = np.zeros((MINUTES, n), dtype=bool)

    def prepare(self, day: Day) -> None:
        """In which minutes of the day each window is open, and begins. A window belongs to the day it begins on."""
        hour, today = day.local_hour, day.weekday
        yesterday = (today - 2) % 7 + 1
        for k, machine in enumerate(self.machines):
            begins, ends, days = machine.from_hour, machine.until_hour, machine.days
            if ends > begins:
                self._open[:, k] = np.isin(today, days) & (hour >= begins) & (hour < ends)
            else:
                late, early = np.isin(today, days) & (hour >= begins), np.isin(yesterday, days) & (hour < ends)
                self._open[:, k] = late | early
            self._begins[:, k] = np.isin(today, days) & (np.abs(hour - begins) < HOURS / 2)

    def step(self, minute: int) -> None:
        """One minute of the day."""
        self.done_h = np.where(self._begins[minute], 0.0, self.done_h)
        due = self._open[minute] & (self.done_h < self.work_h - 1e-9)
        goes_on: NDArray[np.bool_] = self.running & self.contiguous & (self.done_h < self.work_h - 1e-9)
        self.running = (due & (self.run_on > 0)) | goes_on
        self.power_kw = np.asarray(self.true_kw * self.running)
        self.done_h = self.done_h + HOURS * self.running
