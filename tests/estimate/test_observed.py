"""What a loop keeps at hand of the past is all that the observers look at."""

from datetime import UTC, datetime
from pathlib import Path

from ems.district import read_district
from ems.estimate import observed, observed_points
from ems.series import History
from ems.simulate.past import past
from ems.study.part import part


def test_the_observed_points_suffice() -> None:
    district = part(read_district(Path("buildings")), ("mistral", "city-offices", "plant-c", "parking", "station"))
    rows = past(district, end=datetime(2026, 1, 20, 6, tzinfo=UTC), days=1, seed=1)
    known = {point: (slots, values) for point, slots, values in rows}
    slots = next(iter(known.values()))[0]
    everything = History(slots, {p: values for p, (_, values) in known.items()})
    points = set(observed_points(district))
    kept = History(slots, {p: values for p, (_, values) in known.items() if p in points})
    states = observed(district, kept)
    assert states == observed(district, everything)
    assert set(states) == {"city-offices/rooms/mass_c", "mistral/tank/energy_kwh"}  # a simulated past has no flats' air
    assert "mistral/flat-0101/temperature_c" in points
