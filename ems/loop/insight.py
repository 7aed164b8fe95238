"""What the past tells a planner beyond the latest readings: states that nobody measures, how rooms really are, and
what cars do.

It lives where the planner lives, is fed with the history that forecasts are made from, and can be made anew from it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ems.assets import Dwelling, Zone
from ems.district import District
from ems.estimate import NO_HABITS, Identified, habits, learnt, observed, with_fabrics
from ems.series import History
from ems.slots import SLOT
from ems.snapshot import Snapshot

FIRST_LEARNS_AT = 4  # a planner that has just started has first to plan


class Insight:
    """Of one planner. `district` is the district as far as it is known: identified figures in the place of designed."""

    def __init__(self, district: District) -> None:
        self.district = district
        self.identified: dict[str, Identified] = {}
        self.habits = NO_HABITS
        self._designed = district
        self._states: dict[str, float] = {}
        self._until: datetime | None = None  # the end of the history that the states are of
        self._calls = 0
        rooms = [a for a in district.assets.values() if isinstance(a, Dwelling | Zone)]
        self._substations = list(dict.fromkeys(r.substation for r in rooms))

    def learn(self, history: History) -> bool:
        """Look at the history: all states, and one substation's rooms at a time, which takes seconds.

        Whether the district is now another than before: whoever keeps what follows from it begins anew.
        """
        self._states, self._until = observed(self.district, history), history.slots.end
        self.habits = habits(self.district, history)
        self._calls += 1
        if self._calls < FIRST_LEARNS_AT or not self._substations:
            return False
        name = self._substations[self._calls % len(self._substations)]
        before = self.identified.get(name)
        new = learnt(self._designed, name, history, before)
        if new is before:
            return False
        self.identified = {k: v for k, v in {**self.identified, name: new}.items() if v is not None}
        self.district = with_fabrics(self._designed, self.identified)
        return True

    def seen(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with what is to be expected of cars, and with the observed states where they are of its time."""
        snapshot = self.habits.informed(self.district, snapshot)
        if self._until is None or abs(snapshot.at - self._until) > SLOT:
            return snapshot
        return replace(snapshot, states=self._states)
