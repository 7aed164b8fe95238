"""Euros that can be told honestly: what the electricity of a home would cost at the regulated price.

The contract of a home is between its resident and a supplier, and is not known here. What is known is the regulated
price with its hours, and the home's quarter-hours. Every such euro says that it is an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo

from ems.district import District
from ems.market.contract import Contract, prices
from ems.slots import Slots


class Regulated:
    """The regulated price of a district's homes: one for all of them, and reckoned once for each day."""

    def __init__(self, district: District) -> None:
        self.contracts = [c for c in district.contracts.values() if c.kind == "home"]
        self._each = lru_cache(maxsize=100)(self._prices)

    def euros(self, slots: Slots, kwh: Sequence[float | None]) -> float | None:
        """What these amounts cost, without subscription.

        None when nothing is known, or not exactly one contract of homes holds over all of these slots.
        """
        each = self._each(slots)
        if each is None:
            return None
        known = [amount * price for amount, price in zip(kwh, each, strict=True) if amount is not None]
        return sum(known) if known else None

    def _prices(self, slots: Slots) -> list[float] | None:
        found = [c for c in self.contracts if _holds(c, slots)]
        return prices(found[0], slots).import_per_kwh.tolist() if len(found) == 1 else None


def _holds(contract: Contract, slots: Slots) -> bool:
    """Whether a contract holds over all of these slots; its days are local ones."""
    zone = ZoneInfo(contract.time_zone)
    first, last = (slots.at(i).astimezone(zone).date() for i in (0, slots.count - 1))
    return contract.valid_from <= first and last <= contract.valid_until
