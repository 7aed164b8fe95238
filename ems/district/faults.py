"""What figures contradict among themselves, beyond what the type of each allows.

Each fault is (key, rest of the sentence).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ems.assets import (
    Asset,
    Battery,
    ChargePoint,
    Deferrable,
    Loop,
    Opening,
    Plant,
    Substation,
    Supply,
    Tank,
    Zone,
)
from ems.district.model import Comfort, Contact
from ems.market import Contract

Found = Iterator[tuple[str, str]]

HYGIENE_C = 55.0  # the least that leaves a recirculated hot-water tank (arrêté of 30 Nov 2005)
DEADBAND_K = 2.0  # heating and cooling stand at least so far apart
PHONE = re.compile(r"\+?[0-9][0-9 .-]*")  # no (0) after +33: dialled, it leads nowhere
FEWEST_DIGITS, MOST_DIGITS = 4, 15  # a French short number; the longest of ITU-T E.164
WAKE_A = 6.0  # below, a car does not charge (IEC 61851-1)


def asset_faults(asset: Asset) -> Found:
    """What the figures of one asset contradict."""
    match asset:
        case Supply():
            yield from _order(asset, "subscribed_kw", "physical_limit_kw", "kW", equal=True)
        case ChargePoint():
            yield from _order(asset, "minimum_current_a", "maximum_current_a", "A", equal=True)
            if asset.minimum_current_a < WAKE_A:
                yield (
                    "minimum_current_a",
                    f"is {asset.minimum_current_a:g}; a car needs at least {WAKE_A:g} A to charge",
                )
            if 0 < asset.fail_safe_current_a < WAKE_A or asset.fail_safe_current_a > asset.maximum_current_a:
                allowed = f"0, or {WAKE_A:g} to {asset.maximum_current_a:g} A"
                yield "fail_safe_current_a", f"is {asset.fail_safe_current_a:g}; write {allowed}"
            if asset.phase is not None and asset.phases == 3:
                yield "phase", f"is {asset.phase}; a socket on three phases hangs on all of them, leave it out"
            if 0 < asset.give_back_current_a < asset.minimum_current_a:
                least = f"0, or at least minimum_current_a, which is {asset.minimum_current_a:g} A"
                yield "give_back_current_a", f"is {asset.give_back_current_a:g}; write {least}"
            if asset.give_back_current_a > 0 and asset.give_back_efficiency == 0:
                yield "give_back_efficiency", "is 0; a battery gives something back, write about 0.85"
        case Battery():
            yield from _order(asset, "minimum_share", "maximum_share")
            if asset.one_way_efficiency == 0:
                yield "one_way_efficiency", "is 0; a battery gives something back, write about 0.95"
        case Tank():
            yield from _order(asset, "minimum_c", "maximum_c", "°C")
            if asset.minimum_c < HYGIENE_C:
                yield "minimum_c", f"is {asset.minimum_c:g}; a recirculated tank stays at {HYGIENE_C:g} °C or above"
            yield from _order(asset, "cold_water_c", "minimum_c", "°C")
            if asset.pasteurise_days:
                yield from _members("pasteurise_days", asset.pasteurise_days, 1, 7, "ISO weekdays, 1 is Monday")
                yield from _order(asset, "maximum_c", "pasteurisation_c", "°C", equal=True)
                begins, ends = asset.pasteurise_hours
                if not 0 <= begins < ends < 24:
                    yield "pasteurise_hours", f"are {begins:g} to {ends:g}; write two hours of one day, as 2 and 5"
                if asset.heater_kw == 0:
                    yield "heater_kw", "is 0; without a heater nothing reaches the temperature that kills"
        case Deferrable():
            if (asset.run_h is None) == (asset.energy_kwh is None):
                given = "both are" if asset.run_h is not None else "neither is"
                yield "run_h", f"or energy_kwh says what it has to do, and {given} given; give one of them"
            yield from _members("days", asset.days, 1, 7, "ISO weekdays, 1 is Monday")
            window_h = (asset.until_hour - asset.from_hour) % 24 or 24.0
            if asset.work_h > window_h:
                yield "until_hour", f"leaves a window of {window_h:g} h for {asset.work_h:g} h of work; widen it"
        case Loop():
            yield from _order(asset, "minimum_c", "maximum_c", "°C")
        case Plant():
            yield from _order(asset, "cold_leaving_c", "heating_leaving_c", "°C")
            yield from _order(asset, "heating_leaving_c", "hot_water_leaving_c", "°C", equal=True)
        case Substation():
            yield from _order(asset, "neutral_supply_c", "design_supply_c", "°C")
            yield from _order(asset, "design_outdoor_c", "neutral_outdoor_c", "°C")
        case Zone():
            yield from _zone_faults(asset)


def _zone_faults(zone: Zone) -> Found:
    yield from _order(zone, "heating_unoccupied_c", "heating_occupied_c", "°C", equal=True)
    if (zone.cooling_occupied_c is None) != (zone.cooling_unoccupied_c is None):
        missing = "cooling_occupied_c" if zone.cooling_occupied_c is None else "cooling_unoccupied_c"
        yield missing, "is missing; give both cooling set points, or none where nothing cools"
    elif zone.cooling_occupied_c is not None:
        yield from _order(zone, "cooling_occupied_c", "cooling_unoccupied_c", "°C", equal=True)
        least = zone.heating_occupied_c + DEADBAND_K
        if zone.cooling_occupied_c < least:
            yield (
                "cooling_occupied_c",
                f"is {zone.cooling_occupied_c:g}; {DEADBAND_K:g} K above heating, so at least {least:g}",
            )
        if zone.fabric.cooling_w_per_m2 == 0:
            yield "fabric.cooling_w_per_m2", "is 0, but the zone has cooling set points; say what its emitters take out"
    yield from ((f"opening.{key}", problem) for key, problem in _opening_faults(zone.opening))


def _opening_faults(opening: Opening) -> Found:
    yield from _members("days", opening.days, 1, 7, "ISO weekdays, 1 is Monday")
    if opening.from_hour == opening.until_hour:
        yield "until_hour", f"is {opening.until_hour:g}, like from_hour; write 0 and 24 for the whole day"
    elif opening.until_hour < opening.from_hour:  # nobody who asks whether a room is open looks at the day before
        wanted = "write two hours of one day, or 0 and 24 for the whole of it"
        yield "until_hour", f"is {opening.until_hour:g}, before from_hour, which is {opening.from_hour:g}; {wanted}"


def contract_faults(contract: Contract) -> Found:
    """What the figures of one contract contradict."""
    if contract.valid_until < contract.valid_from:
        yield "valid_until", f"is {contract.valid_until}, before valid_from {contract.valid_from}; swap them"
    yield from time_zone_faults(contract.time_zone)
    last = list(contract.periods)[-1]
    for name, period in contract.periods.items():
        if name == last and period.windows:
            yield f"periods.{name}.windows", "is given for the last period; leave it out, it takes what is left"
        elif name != last and not period.windows:
            yield (
                f"periods.{name}.windows",
                "is missing; only the last period has none, else those after it never apply",
            )
        for i, window in enumerate(period.windows):
            key = f"periods.{name}.windows.{i}"
            yield from _members(f"{key}.months", window.months, 1, 12, "months, 1 is January")
            yield from _members(f"{key}.days", window.days, 1, 7, "ISO weekdays, 1 is Monday")
            if window.from_hour == window.until_hour:
                yield f"{key}.until_hour", f"is {window.until_hour:g}, like from_hour; write 0 and 24 for the whole day"


def comfort_faults(comfort: Comfort) -> Found:
    """What the temperatures of one band contradict."""
    yield from _order(comfort, "floor_c", "default_c", "°C", equal=True)
    yield from _order(comfort, "default_c", "ceiling_c", "°C", equal=True)
    if comfort.cooling_c is not None and comfort.cooling_c < (least := comfort.ceiling_c + DEADBAND_K):
        yield (
            "cooling_c",
            f"is {comfort.cooling_c:g}; {DEADBAND_K:g} K above the ceiling of heating, so at least {least:g}",
        )


def contact_faults(contact: Contact) -> Found:
    """What nobody could read, or dial."""
    for key in ("label", "hours"):
        label = getattr(contact, key)
        yield from (
            (f"{key}.{language}", "is empty; residents read it, write it in both languages")
            for language in ("fr", "en")
            if not getattr(label, language).strip()
        )
    if not (PHONE.fullmatch(contact.phone) and FEWEST_DIGITS <= len(contact.dialled.lstrip("+")) <= MOST_DIGITS):
        yield "phone", f"is {contact.phone!r}; write what is dialled, as '04 91 00 00 00' or '+33 4 91 00 00 00'"


def time_zone_faults(time_zone: str) -> Found:
    """Whether a time zone exists."""
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield "time_zone", f"is {time_zone!r}, which is no time zone; write one as Europe/Paris"


def _order(entry: object, low: str, high: str, unit: str = "", *, equal: bool = False) -> Found:
    """That `low` stays below `high` (or may equal it)."""
    below, above = getattr(entry, low), getattr(entry, high)
    if below > above or (below == above and not equal):
        bound = "at least" if equal else "above"
        yield high, f"is {above:g}; it must be {bound} {low}, which is {below:g}{' ' + unit if unit else ''}"


def _members(key: str, values: tuple[int, ...], low: int, high: int, meaning: str) -> Found:
    if wrong := [v for v in values if not low <= v <= high]:
        yield key, f"holds {', '.join(map(str, wrong))}; write {low} to {high} ({meaning})"
    elif not values:
        yield key, f"is empty; write {low} to {high} ({meaning}), or leave it out"
