"""What may leave the house, whatever the plan says. The last thing before the socket, called by the write gate alone.

Pure, and it imports nothing of `ems`: it shares no line with the planner, so that one mistake cannot pass both. Every
function answers with the reason for a refusal, or None. A measurement that is not there (None) never excuses a command
that needs it: missing is not zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Hygiene of recirculated hot water: outlet and return, degC (order of 30 Nov 2005; permanent mode).
OUTLET_FLOOR_C = 55.0
RETURN_FLOOR_C = 50.0
# Before charging may be inhibited the outlet must stand this far above its floor: one quarter-hour of a strong draw.
OUTLET_MARGIN_K = 2.0
MIDDLE_FLOOR_C = 50.0  # and the middle of the tank must be hot too: a hot outlet above a cold tank is gone at once
HEATING_TO_COOLING_K = 2.0  # heating and cooling set points stand at least this far apart
HOT_WATER_LIFT_K = 2.0  # a plant that charges a tank leaves at least this much warmer than the tank's set point
# A gate that is asked late in a quarter-hour judges by a sweep of its beginning; what is older judges nothing.
STALE_AFTER_S = 1200.0
# Powers of two, so that sums with limits are exact and a limit is tested to its last digit.
SAME = 2.0**-14  # values no further apart are one: a device gives back what it was told as a float32
TOLERANCE = 2.0**-20  # about a millionth: what rounding makes of a sum


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a device can take at one point."""

    minimum: float
    maximum: float
    ramp_per_slot: float | None = None  # largest change in a quarter-hour
    least_on_s: float = 0.0  # above 0 it stays there at least so long
    least_off_s: float = 0.0  # and at 0
    dead_band: float = 0.0  # a change that is no larger is not worth a write, except back to 0
    zero_or_at_least: float | None = None  # a charger takes 0 or its minimum current
    whole: bool = False  # states and modes


def _below(a: float, b: float) -> bool:
    return a < b - TOLERANCE


def _above(a: float, b: float) -> bool:
    return a > b + TOLERANCE


def outside_limits(value: float, limits: Limits) -> str | None:
    """Refuses what is no number, outside the range, or between zero and the smallest value the device can follow."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"{value!r} is no finite number"
    if _below(value, limits.minimum):
        return f"{value:g} is below the minimum of {limits.minimum:g}"
    if _above(value, limits.maximum):
        return f"{value:g} is above the maximum of {limits.maximum:g}"
    if limits.whole and _above(abs(value - round(value)), 0):
        return f"{value:g} is not a whole state"
    if limits.zero_or_at_least is not None and _above(value, 0) and _below(value, limits.zero_or_at_least):
        return f"{value:g} lies between 0 and the smallest value of {limits.zero_or_at_least:g}"
    return None


def too_fast(value: float, previous: float | None, limits: Limits) -> str | None:
    """Refuses a change larger than the device's ramp, and any change from where nobody knows."""
    if limits.ramp_per_slot is None:
        return None
    if previous is None:
        return f"where it stands is not known, and it may change by {limits.ramp_per_slot:g} in a quarter-hour"
    change = abs(value - previous)
    if _above(change, limits.ramp_per_slot):
        return f"a change of {change:g} from {previous:g} is more than {limits.ramp_per_slot:g} in a quarter-hour"
    return None


def outside_band(offset_k: float, setpoint_c: float | None, floor_c: float, ceiling_c: float) -> str | None:
    """Refuses an offset that takes a home out of its band; a resident's own choice outside it is never pushed further.

    `setpoint_c` is the resident's own set point. Unknown, only an offset of 0 is safe.
    """
    raised, lowered = _above(offset_k, 0), _below(offset_k, 0)
    if not raised and not lowered:
        return None
    if setpoint_c is None:
        return "the resident's set point is not known, so no offset is safe"
    target = setpoint_c + offset_k
    if lowered and _below(target, floor_c):
        return f"{setpoint_c:g} {offset_k:+g} is {target:g} degC, below the floor of {floor_c:g}"
    if raised and _above(target, ceiling_c):
        return f"{setpoint_c:g} {offset_k:+g} is {target:g} degC, above the ceiling of {ceiling_c:g}"
    return None


def heats_against_cooling(heating_c: float | None, cooling_c: float | None) -> str | None:
    """Refuses a heating set point closer than 2 K below the cooling one."""
    if heating_c is None or cooling_c is None:
        return None
    if _below(cooling_c - heating_c, HEATING_TO_COOLING_K):
        return (
            f"heating to {heating_c:g} and cooling to {cooling_c:g} degC are less than {HEATING_TO_COOLING_K:g} K apart"
        )
    return None


def starves_hot_water(outlet_c: float | None, middle_c: float | None, return_c: float | None) -> str | None:
    """Refuses to inhibit the charging of a tank that is not surely hot."""
    if outlet_c is None:
        return "the tank's outlet temperature is not known"
    if _below(outlet_c, OUTLET_FLOOR_C + OUTLET_MARGIN_K):
        return f"the outlet is at {outlet_c:g} degC and must stay {OUTLET_MARGIN_K:g} K above {OUTLET_FLOOR_C:g}"
    if middle_c is None:
        return "the temperature in the tank's middle is not known"
    if _below(middle_c, MIDDLE_FLOOR_C):
        return f"the tank's middle is at {middle_c:g} degC, below {MIDDLE_FLOOR_C:g}: too little of it is hot"
    if return_c is None:
        return "the recirculation's return temperature is not known"
    if _below(return_c, RETURN_FLOOR_C):
        return f"the recirculation returns at {return_c:g} degC and must stay at {RETURN_FLOOR_C:g}"
    return None


def stands_too_cool(setpoint_c: float) -> str | None:
    """Refuses a tank set point below the floor of the outlet, whatever its controller would take."""
    if _below(setpoint_c, OUTLET_FLOOR_C):
        return f"a tank at {setpoint_c:g} degC is no hot water: its outlet stays at {OUTLET_FLOOR_C:g} or more"
    return None


def leaves_too_cool(leaving_c: float, tank_setpoints_c: list[float], now_c: float | None = None) -> str | None:
    """Refuses a hot-water leaving temperature that cannot reach the tanks it charges.

    To raise it from what it is now is always allowed: it may take more than one slot to get there.
    """
    if now_c is not None and _above(leaving_c, now_c):
        return None
    if tank_setpoints_c and _below(leaving_c, max(tank_setpoints_c) + HOT_WATER_LIFT_K):
        return f"leaving at {leaving_c:g} degC cannot charge a tank to {max(tank_setpoints_c):g}"
    return None


def overfills(power_kw: float, stored_kwh: float | None, minimum_kwh: float, maximum_kwh: float) -> str | None:
    """Refuses to charge a full battery or to discharge an empty one. Unknown content: only rest is safe."""
    charges, drains = _above(power_kw, 0), _below(power_kw, 0)
    if not charges and not drains:
        return None
    if stored_kwh is None:
        return "the battery's content is not known"
    if charges and not _below(stored_kwh, maximum_kwh):
        return f"the battery holds {stored_kwh:g} of at most {maximum_kwh:g} kWh"
    if drains and not _above(stored_kwh, minimum_kwh):
        return f"the battery holds {stored_kwh:g} of at least {minimum_kwh:g} kWh"
    return None


def overloads(powers_kw: list[float], limit_kw: float) -> str | None:
    """Refuses a set of charging powers whose sum is more than their cable carries."""
    total = math.fsum(powers_kw)
    if _above(total, limit_kw):
        return f"together {total:.1f} kW, and the cable carries {limit_kw:g}"
    return None


def stops_recirculation(quantity: str, value: float) -> str | None:
    """Refuses whatever would stop or slow a hot-water recirculation, should a device ever offer it."""
    if "recirculation" in quantity and not _above(value, 0):
        return "the recirculation of hot water is never stopped"
    return None


def chills_people(heating_c: float, present_c: float | None, floor_c: float, *, occupied: bool) -> str | None:
    """Refuses to lower a zone's heating set point below its floor while people may be in it; raising it never harms."""
    if not occupied or not _below(heating_c, floor_c):
        return None
    if present_c is not None and not _below(heating_c, present_c):
        return None
    return f"heating to {heating_c:g} degC is below the floor of {floor_c:g} while people may be there"


def overdraws(
    power_kw: float, present_kw: float | None, supply_kw: float | None, own_kw: float | None, limit_kw: float
) -> str | None:
    """Refuses to charge a battery harder than its supply point's fuse leaves room for.

    `supply_kw` and `own_kw` are what supply point and battery draw now. Charging less than now is always allowed.
    """
    if not _above(power_kw, 0) or (present_kw is not None and not _above(power_kw, present_kw)):
        return None
    if supply_kw is None or own_kw is None:
        return "what the supply point carries now is not known"
    total = supply_kw - own_kw + power_kw
    if _above(total, limit_kw):
        return f"the supply point would carry {total:.1f} kW, and {limit_kw:g} is what its fuse takes"
    return None


def carries_too_much(value: float, present: float | None, supply_kw: float | None, limit_kw: float) -> str | None:
    """Refuses to raise a load while its supply point carries more than its fuse takes; to take less never harms."""
    if supply_kw is None or not _above(supply_kw, limit_kw):
        return None
    if present is not None and not _above(value, present):
        return None
    return f"the supply point carries {supply_kw:.1f} kW already, and {limit_kw:g} is what its fuse takes"


def switches_too_soon(value: float, present: float | None, unchanged_s: float | None, limits: Limits) -> str | None:
    """Refuses to switch what has run, or rested, for less than its least time.

    `unchanged_s` is how long it is known to stand on, or off, as it does; None: it was not seen to change.
    """
    if present is None or unchanged_s is None:
        return None
    is_on = _above(present, 0)
    if is_on == _above(value, 0):
        return None
    least_s = limits.least_on_s if is_on else limits.least_off_s
    if unchanged_s >= least_s:
        return None
    return f"it has been {'on' if is_on else 'off'} for {unchanged_s // 60:.0f} of at least {least_s / 60:g} min"


def changes_nothing(value: float, standing: float | None, found: float | None, limits: Limits) -> str | None:
    """Refuses a write that is not worth one: by our own command the point stands there already, or near enough.

    `standing` is what we last commanded, `found` what the point shows. Where they differ the command is needed.
    """
    if standing is None or found is None or abs(found - standing) > SAME:
        return None
    change = abs(value - standing)
    if change > SAME and (value == 0 or change > limits.dead_band):
        return None
    return f"it stands at {found:g} by our command, and a change of {change:g} is not worth a write"


def too_old(age_s: float) -> bool:
    """Whether a reading is too old to judge a command by, or from a time that has not come."""
    return _below(age_s, 0) or age_s > STALE_AFTER_S
