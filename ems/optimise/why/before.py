"""A decision as the previous plan had it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ems.assets import Dwelling, Zone
from ems.assets.zone import rooms
from ems.optimise.model import HELD_SLOTS
from ems.optimise.why.alone import Decision
from ems.optimise.why.whole import Whole
from ems.series import Floats


def kept(whole: Whole, decision: Decision, previous: Mapping[str, Floats]) -> Decision | None:
    """The same decision with `alone` being what the previous plan has for the next hours; None where it has nothing.

    Of a group of dwellings it has the sum. Later than HELD_SLOTS nobody relies on it.
    """
    outlook = whole.outlook
    fleet = {n: a for n, a in outlook.assets.items() if isinstance(a, Dwelling | Zone)}
    known = rooms(fleet, outlook) if decision.kind == "homes" else {}
    columns, values, places = [], [], []
    where = {int(c): i for i, c in enumerate(decision.columns)}
    for name, family in whole.matrix.columns.items():
        at = [p for p, n in enumerate(family.members[0])] if family.members and len(family.shape) == 2 else []
        for i in at:
            row = family.positions[i]
            if int(row[0]) not in where:
                continue
            member, quantity = str(family.members[0][i]), name.partition(".")[2]
            names = [m.name for m in known[member].members] if member in known else [member]
            rows = [previous.get(f"{n}/{quantity}") for n in names]
            told = [r for r in rows if r is not None]
            if len(told) < len(rows):
                continue
            together = np.sum(told, axis=0)
            soon = np.flatnonzero(np.isfinite(together[:HELD_SLOTS]))
            columns.append(row[soon])
            values.append(together[soon])
            places.append(np.array([where[int(c)] for c in row[soon]], dtype=np.int64))
    if not columns or not sum(c.size for c in columns):
        return None
    place = np.concatenate(places)
    return replace(
        decision,
        columns=np.concatenate(columns),
        alone=np.concatenate(values),
        kw=decision.kw[place],
        price_per_kwh=decision.price_per_kwh[place],
        gives=decision.gives[place],
    )
