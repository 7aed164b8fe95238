"""Euros that can be told honestly: what the electricity of a home would cost at the regulated price.

The contract of a home is between its resident and a supplier, and is not known here. What is known is the regulated
price with its hours, and the home's quarter-hours. Every such euro says that it is an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence

from ems.district import District
from ems.market.contract import Contract, prices
from ems.slots import Slots


def regulated(district: District, slots: Slots) -> Contract | None:
    """The contract of homes that holds over all of these slots; None when there is none, or more than one."""
    first, last = slots.start.date(), slots.at(slots.count - 1).date()
    found = [
        c for c in district.contracts.values()
        if c.kind == "home" and c.valid_from <= first and last <= c.valid_until
    ]  # fmt: skip
    return found[0] if len(found) == 1 else None


def estimate(contract: Contract, slots: Slots, kwh: Sequence[float | None]) -> float | None:
    """What these amounts cost, euro, without subscription; None when nothing is known."""
    each = prices(contract, slots).import_per_kwh.tolist()
    known = [amount * price for amount, price in zip(kwh, each, strict=True) if amount is not None]
    return sum(known) if known else None
