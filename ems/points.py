"""The names and units of quantities, and what is known of one: a sample with its quality.

One point name everywhere, `building/asset/quantity`. The unit is the suffix of the quantity: `power_kw`,
`supply_temperature_c`. A quantity without a known suffix has no unit and is refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Final

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_QUANTITY = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")

# Suffix -> (unit as a page prints it, dimension). The longest suffix that fits wins: `_m3_per_h` before `_h`.
UNITS: dict[str, tuple[str, str]] = {
    "m3_per_h": ("m³/h", "volume flow"),
    "per_kwh": ("€/kWh", "price"),
    "kg_per_kwh": ("kg/kWh", "carbon"),
    "m_per_s": ("m/s", "speed"),
    "w_per_m2": ("W/m²", "irradiance"),
    "kwh": ("kWh", "energy"),
    "kw": ("kW", "power"),
    "kvar": ("kvar", "reactive power"),
    "m3": ("m³", "volume"),
    "c": ("°C", "temperature"),
    "k": ("K", "temperature difference"),
    "a": ("A", "current"),
    "v": ("V", "voltage"),
    "hz": ("Hz", "frequency"),
    "s": ("s", "time"),
    "h": ("h", "time"),
    "ppm": ("ppm", "concentration"),
    "share": ("", "share"),  # a fraction 0-1
    "count": ("", "count"),
    "on": ("", "state"),  # 0 or 1
    "mode": ("", "state"),  # an enumeration, explained in its device type
}

# Units a maker's manual may use for a register, by dimension.
RAW_UNITS: dict[str, str] = {
    "W": "power", "kW": "power", "MW": "power", "mW": "power",
    "Wh": "energy", "kWh": "energy", "MWh": "energy", "varh": "reactive energy",
    "var": "reactive power", "kvar": "reactive power",
    "degC": "temperature", "K": "temperature difference",
    "A": "current", "mA": "current", "V": "voltage", "mV": "voltage", "Hz": "frequency",
    "m3": "volume", "l": "volume", "m3/h": "volume flow", "l/h": "volume flow",
    "s": "time", "ms": "time", "min": "time", "h": "time",
    "ppm": "concentration", "%": "share", "1": "share", "count": "count", "state": "state",
    "W/m2": "irradiance", "m/s": "speed",
}  # fmt: skip


class Quality(StrEnum):
    """How far a value may be believed. Only GOOD and SUBSTITUTED come with a value that may be used."""

    GOOD = "good"
    SUBSTITUTED = "substituted"  # a named stand-in: a held coarse series, a forecast
    MISSING = "missing"  # the device itself says it has no value
    IMPLAUSIBLE = "implausible"  # outside what this quantity can be, or a malformed answer
    STALE = "stale"  # the last good value is older than this point allows
    UNREACHABLE = "unreachable"  # no answer from the device or its bus


# Never changed once made, as the type checker sees to; `frozen` would make each twice as dear, and a sweep makes
# thousands.
@dataclass(slots=True, unsafe_hash=True)
class Sample:
    """One reading of a point. `value` is None whenever there is nothing to believe: missing is not zero.

    `raw` is what the device said where that is not believed: kept to be looked at, never to be reckoned with.
    """

    value: Final[float | None]
    quality: Final[Quality]
    at: Final[datetime]
    raw: Final[float | None] = field(default=None, compare=False)

    @property
    def is_good(self) -> bool:
        return self.quality is Quality.GOOD

    @property
    def usable(self) -> float | None:
        """The value if it may be used, else None."""
        # By identity: asked for every point of every sweep, and comparing enumerations of text is slow.
        return self.value if self.quality is Quality.GOOD or self.quality is Quality.SUBSTITUTED else None


def good(value: float, at: datetime) -> Sample:
    """A believed sample. A value that is not finite is MISSING."""
    return Sample(value, Quality.GOOD, at) if math.isfinite(value) else Sample(None, Quality.MISSING, at)


def point_name(building: str, asset: str, quantity: str) -> str:
    return f"{building}/{asset}/{quantity}"


def split_point(point: str) -> tuple[str, str, str]:
    """`building/asset/quantity` in its three parts. Raises ValueError when it is not such a name."""
    parts = point.split("/")
    if len(parts) != 3:
        raise ValueError(f"{point!r} is not a point; a point is building/asset/quantity")
    building, asset, quantity = parts
    return building, asset, quantity


def quantity_of(point: str) -> str:
    return split_point(point)[2]


@cache
def unit_suffix(quantity: str) -> str:
    """The unit suffix of a quantity. Raises ValueError when it has none: a number without a unit is no measurement."""
    for suffix in sorted(UNITS, key=len, reverse=True):
        if quantity == suffix or quantity.endswith("_" + suffix):
            return suffix
    raise ValueError(f"{quantity!r} ends in no unit; end it in one of {', '.join('_' + s for s in sorted(UNITS))}")


def unit_label(quantity: str) -> str:
    """The unit as a page prints it, for example `kW`."""
    return UNITS[unit_suffix(quantity)][0]


def dimension(quantity: str) -> str:
    return UNITS[unit_suffix(quantity)][1]


def is_counter(quantity: str) -> bool:
    """Whether the quantity only ever counts up: energy and volume registers."""
    return dimension(quantity) in ("energy", "volume")


def is_name(text: str) -> bool:
    """Whether a building or asset may be called this: lower case words joined by hyphens."""
    return _NAME.fullmatch(text) is not None


def is_quantity(text: str) -> bool:
    return _QUANTITY.fullmatch(text) is not None
