"""Limits that hold a plan back: which they are, and what one unit more would spare, shown by a re-solve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ems.optimise.matrix import Family, Positions
from ems.optimise.why.alone import Decision
from ems.optimise.why.whole import Whole

WORTH_ASKING = 0.02  # euro over the horizon, by the prices of the optimum


@dataclass(frozen=True)
class Words:
    """A limit's name, the unit of `by`, and how much more of it is tried. `side` is the sign of the duals of a row with
    two bounds: 1 for its lower one, -1 for its upper one; 0 where there is but one.
    """

    fr: str
    en: str
    unit: str
    by: float = 1.0
    side: int = 0


# Upper bounds of variables, and rows, by `block.component`.
UPPER = {
    "battery.energy_kwh": Words("sa capacité", "its capacity", "kWh"),
    "battery.charge_kw": Words("sa puissance de charge", "its charging power", "kW"),
    "battery.discharge_kw": Words("sa puissance de décharge", "its discharging power", "kW"),
    "charging.charge_kw": Words("la puissance des prises", "the power of the sockets", "kW"),
    "tank.energy_kwh": Words("le volume du ballon", "the tank's volume", "kWh"),
    "tank.charge_kw": Words("la puissance de charge du ballon", "the tank's charging power", "kW"),
    "zone.heating_kw": Words("les émetteurs de chaleur", "the heat emitters", "kW"),
    "zone.cold_kw": Words("les émetteurs de froid", "the cold emitters", "kW"),
    "substation.heating_kw": Words("la puissance de la sous-station", "the substation's power", "kW"),
    "substation.cold_kw": Words("le froid de la sous-station", "the substation's cold", "kW"),
    "supply.import_kw": Words("la limite physique d'achat", "the physical limit of purchase", "kW"),
    "supply.export_kw": Words("la limite d'injection", "the limit of export", "kW"),
    "deferrable.on_share": Words("sa plage horaire", "its window", "", 0.1),
}
ROWS = (
    ("charging.charged_by_departure", Words("l'énergie due au départ", "the energy due at departure", "kWh")),
    ("charging.leaves_charged", Words("l'énergie due au départ", "the energy due at departure", "kWh")),
    ("charging.stays_below_cable", Words("le câble", "the cable", "kW")),
    ("zone.stays_in_band", Words("le bas de la bande de confort", "the bottom of the comfort band", "K", 0.1, 1)),
    ("zone.stays_in_band", Words("le haut de la bande de confort", "the top of the comfort band", "K", 0.1, -1)),
    ("tank.stays_safely_hot", Words("le minimum sûr du ballon", "the tank's safe minimum", "kWh")),
    ("supply.stays_below_subscribed", Words("la puissance souscrite", "the subscribed power", "kW")),
    ("plant.has_so_many_circuits", Words("le nombre de circuits", "the number of circuits", "circuit", 0.1)),
    ("loop.takes_within_limit", Words("la limite de l'échangeur", "the exchanger's limit", "kW")),
    ("loop.rejects_within_limit", Words("la limite de l'échangeur", "the exchanger's limit", "kW")),
    ("deferrable.does_its_work", Words("le travail à faire", "the work to be done", "h", 0.1)),
)
OF_NOBODY = ("supply", "substation", "plant", "loop")  # blocks whose limits stand for themselves, not with a decision


@dataclass(frozen=True)
class Limit:
    """A limit of one asset, or of all that one decision is about: columns whose upper bound it is, or rows.

    `worth` is what `by` more of it may spare by the prices of the optimum, euro: right for a step small enough.
    """

    asset: str
    words: Words
    columns: Positions
    rows: Positions
    worth: float


def limits_of(whole: Whole, decision: Decision | None = None) -> list[Limit]:
    """The limits that bind, dearest first: those of a decision's own assets, or without one those of nobody's."""
    found = [limit for limit in _binding(whole, decision) if limit.worth >= WORTH_ASKING]
    return sorted(found, key=lambda limit: -limit.worth)


def _binding(whole: Whole, decision: Decision | None) -> Iterator[Limit]:
    m, nothing = whole.matrix, np.zeros(0, dtype=np.int64)
    for name, words in UPPER.items():
        for asset, at in _places(m.columns.get(name), name, decision):
            bind = at[
                (whole.reduced[at] < -1e-9) & (whole.planned.values[at] >= m.upper[at] - 1e-6) & (m.upper[at] > 0)
            ]
            yield Limit(asset, words, bind, nothing, float(-whole.reduced[bind].sum()) * words.by)
    for name, words in ROWS:
        for asset, at in _places(m.rows.get(name), name, decision):
            duals = whole.duals[at]
            bind = at[(np.abs(duals) > 1e-9) & (duals * words.side >= 0)]
            yield Limit(asset, words, nothing, bind, float(np.abs(whole.duals[bind]).sum()) * words.by)


def _places(family: Family | None, name: str, decision: Decision | None) -> Iterator[tuple[str, Positions]]:
    """Whose limit, and where it stands: all members of a decision together, else every asset for itself."""
    if family is None or not family.size:
        return
    of_nobody = name.partition(".")[0] in OF_NOBODY
    if decision is None and of_nobody:
        for i, member in enumerate(family.members[0]):
            yield str(member), family.positions[i].ravel()
    elif decision is not None and not of_nobody:
        own = {*decision.members, decision.asset}
        first = [m[0] if isinstance(m, tuple) else m for m in family.members[0]]
        at = [i for i, member in enumerate(first) if member in own]
        if at:
            yield decision.asset, family.positions[at].ravel()
