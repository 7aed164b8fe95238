"""States that no meter shows, estimated from those that do, and how the rooms really are."""

from ems.assets import Dwelling, Substation, Tank, WeatherStation, Zone
from ems.district import District
from ems.estimate.fabric import Identified, learnt, with_fabrics
from ems.estimate.habits import NO_HABITS, Habits, habit_points, habits
from ems.estimate.rooms import walls_c
from ems.estimate.sessions import Trip, sessions
from ems.estimate.tanks import SENSORS, hot_energies_kwh
from ems.series import History

__all__ = [
    "NO_HABITS", "Habits", "Identified", "Trip", "habits", "learnt", "observed", "observed_points", "sessions",
    "with_fabrics",
]  # fmt: skip


def observed(district: District, history: History) -> dict[str, float]:
    """All states that the plan begins with and no sensor shows alone, by `asset/state`, at the end of the history."""
    return {**walls_c(district, history), **hot_energies_kwh(district, history)}


def observed_points(district: District) -> list[str]:
    """The wired points whose past `observed`, `habits` and `learnt` look at, each once."""
    wanted = [
        asset.point(quantity)
        for kinds, quantities in (
            ((WeatherStation,), ("outdoor_temperature_c", "irradiance_w_per_m2")),
            ((Dwelling, Zone), ("temperature_c", "heat_power_kw")),
            ((Substation,), ("heat_power_kw", "cold_power_kw")),
            ((Tank,), (*SENSORS, "charge_power_kw")),
        )
        for asset in district.assets.values()
        if isinstance(asset, kinds)
        for quantity in quantities
    ]
    return [point for point in dict.fromkeys([*wanted, *habit_points(district)]) if point in district.wires]
