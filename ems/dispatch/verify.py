"""Did the last writes hold? Compares what we had confirmed with what the field shows now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ems.snapshot import Snapshot


@dataclass(frozen=True)
class Deviation:
    """A point that no longer stands where our command put it: a reboot, a person, or a watchdog that fired."""

    point: str
    commanded: float
    found: float

    def __str__(self) -> str:
        return f"{self.point} was commanded to {self.commanded:g} and stands at {self.found:g}"


def verify(confirmed: Mapping[str, float], snapshot: Snapshot, tolerance: float = 0.051) -> list[Deviation]:
    """Every confirmed point whose present value differs. What cannot be read now proves nothing either way."""
    deviations = []
    for point, commanded in confirmed.items():
        found = snapshot.value(point)
        if found is not None and abs(found - commanded) > tolerance:
            deviations.append(Deviation(point, commanded, found))
    return deviations
