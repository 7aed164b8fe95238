"""A short year: six Thursdays to Saturdays stand for it, so the bounds are wider than those of a year.

Offices are heated on few days, mostly Mondays in January: theirs is the figure that varies most.
"""

from ems.district import District
from ems.simulate.plant.plausibility import BOUNDS, Use, use_of_a_year

SHORT_YEAR_TOLERANCE = 0.45


def test_the_district_uses_what_such_a_district_uses(district: District) -> None:
    seen: list[tuple[int, int]] = []
    use = use_of_a_year(district, year=2026, seed=1, samples=6, days=3, progress=lambda a, b: seen.append((a, b)))
    assert use.faults(SHORT_YEAR_TOLERANCE) == []
    assert use.figures["heat_peak_kw"] < 2500
    assert use.figures["cold_peak_kw"] < 2800
    assert 3.0 <= use.figures["performance"] <= 4.5
    assert seen[-1] == (6, 6)


def test_a_fault_names_figure_value_and_range() -> None:
    middle = {name: (low + high) / 2 for name, (low, high) in BOUNDS.items()}
    use = Use(middle | {"dwelling_heating_kwh_per_m2": 40.0})
    assert use.faults() == ["dwelling_heating_kwh_per_m2 is 40.00; plausible is 10.20 to 23.00"]
