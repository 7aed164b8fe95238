"""Comfort flat by flat: the temperature against the resident's wish and the promised band, worst first, with the cause.

Of a home a manager sees this and no more. The heat meter only helps to name the cause; its value is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ems.assets import Dwelling
from ems.district import Comfort, District
from ems.points import Quality, Sample

BELOW_WISH_K = 1.0  # our own offset goes down to -1 K; beyond that it is no shift but cold
WARM_C = 26.0  # nothing cools a home; told so that somebody closes the shutters (assumption)
AT_LIMIT_SHARE = 0.9  # of what the emitters give at design temperature
NO_HEAT_KW = 0.05


class State(StrEnum):
    """How a flat is, worst first; that a home cannot be read at all is no news, and comes last."""

    COLD = "too cold"
    WARM = "too warm"
    SILENT = "silent"
    FINE = "as wished"
    UNKNOWN = "not readable"


CAUSES = (
    "no readable thermostat",
    "the thermostat does not answer",
    "its value is not believed",
    "heating at its limit",
    "no heat arrives",
    "heat arrives, still warming up",
    "heated although warm",
    "sun or warm weather",
    "nothing measured yet",
    "the wish is below the band",
)
_NO_THERMOSTAT, _SILENT, _DOUBTFUL, _LIMIT, _NO_HEAT, _WARMING, _HEATED, _SUN, _NOTHING, _LOW_WISH = CAUSES


@dataclass(frozen=True)
class Flat:
    """One dwelling: degC measured and wished, the band, and how far it is off (K, positive is worse)."""

    name: str
    dwelling: Dwelling
    band: Comfort
    temperature_c: float | None
    wish_c: float | None
    state: State
    off_k: float
    cause: str = ""


def comfort(district: District, samples: Mapping[str, Sample]) -> list[Flat]:
    """All flats, worst first."""
    flats = [_flat(name, dwelling, district, samples) for name, dwelling in district.dwellings.items()]
    order = list(State)
    return sorted(flats, key=lambda f: (order.index(f.state), -f.off_k, f.name))


def _flat(name: str, dwelling: Dwelling, district: District, samples: Mapping[str, Sample]) -> Flat:
    band = district.comfort[dwelling.use]
    measured = samples.get(f"{name}/temperature_c")
    temperature = None if measured is None else measured.usable
    asked = samples.get(f"{name}/setpoint_c")
    wish = None if asked is None else asked.usable
    if temperature is None:
        state = State.SILENT if dwelling.thermostat else State.UNKNOWN
        return Flat(name, dwelling, band, None, wish, state, 0.0, _why_unknown(dwelling, measured))
    # A wish beyond the band is met at its edge.
    due = band.floor_c if wish is None else min(max(wish, band.floor_c), band.ceiling_c)

    heat = samples.get(f"{name}/heat_power_kw")
    heat_kw = None if heat is None else heat.usable
    if temperature < band.floor_c or temperature <= due - BELOW_WISH_K:
        full_kw = dwelling.fabric.heating_w_per_m2 * dwelling.surface_m2 / 1000
        cause = ""
        if wish is not None and wish < band.floor_c:
            cause = _LOW_WISH  # told all the same: the floor is promised, and in a senior home somebody should ask
        elif heat_kw is not None:
            cause = _NO_HEAT if heat_kw < NO_HEAT_KW else _LIMIT if heat_kw >= AT_LIMIT_SHARE * full_kw else _WARMING
        return Flat(name, dwelling, band, temperature, wish, State.COLD, due - temperature, cause)
    if temperature > WARM_C:
        cause = "" if heat_kw is None else _HEATED if heat_kw >= NO_HEAT_KW else _SUN
        return Flat(name, dwelling, band, temperature, wish, State.WARM, temperature - WARM_C, cause)
    return Flat(name, dwelling, band, temperature, wish, State.FINE, due - temperature)


def _why_unknown(dwelling: Dwelling, sample: Sample | None) -> str:
    if not dwelling.thermostat:
        return _NO_THERMOSTAT
    if sample is None:
        return _NOTHING
    return _SILENT if sample.quality in (Quality.UNREACHABLE, Quality.STALE) else _DOUBTFUL
