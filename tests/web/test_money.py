"""What electricity would cost at the regulated price: which contract holds goes by the local day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from ems.district import District
from ems.web.consumption import local_day
from ems.web.money import Regulated
from tests.web.serving import PARIS


def test_a_new_price_holds_from_its_first_local_day_on(district: District) -> None:
    """Until 31 July 2026 one price, from 1 August a dearer one: a day that begins at 22 h UTC has its own."""
    [(name, before)] = [(n, c) for n, c in district.contracts.items() if c.kind == "home"]
    only = before.periods[list(before.periods)[-1]].model_copy(update={"energy_per_kwh": 0.2, "windows": ()})
    dearer = only.model_copy(update={"energy_per_kwh": 0.3})
    old = before.model_copy(update={"periods": {"base": only}, "valid_until": date(2026, 7, 31)})
    new = before.model_copy(update={"periods": {"base": dearer}, "valid_from": date(2026, 8, 1)})
    price = Regulated(replace(district, contracts={name: old, "new": new}))
    for day, euro in ((date(2026, 7, 31), 0.2), (date(2026, 8, 1), 0.3), (date(2026, 8, 2), 0.3)):
        slots = local_day(day, PARIS)
        assert price.euros(slots, [1 / slots.count] * slots.count) == pytest.approx(euro), day
