"""Sentences of reasons, in French and English. Every figure in them comes from a re-solve."""

from __future__ import annotations

from dataclasses import dataclass

from ems.optimise.why.limits import Limit

TERMS: dict[str, tuple[str, str]] = {
    "energy": ("énergie achetée", "energy bought"),
    "network": ("réseau", "network"),
    "exceedance": ("dépassements de puissance", "exceeding the subscribed power"),
    "peak": ("pointe", "peak"),
    "wear": ("usure", "wear"),
    "comfort": ("confort", "comfort"),
    "hot_water": ("eau chaude", "hot water"),
    "charging": ("recharge", "charging"),
    "unserved": ("non servi", "not served"),
    "stores": ("chaleur et courant stockés", "heat and power stored"),
    "leaving_plan": ("changement de plan", "changing plans"),
    "deferred": ("travail non fait", "work not done"),
    "carbon": ("carbone", "carbon"),
    "part_load": ("démarrages", "starts"),
    "quiet": ("heures de silence", "quiet hours"),
}
WISHES = ("comfort", "hot_water", "charging", "unserved", "deferred")  # priced, on no bill


@dataclass(frozen=True)
class Amounts:
    """What a decision does and what would be done by itself: kWh taken and given, at marginal prices, euro per kWh."""

    kwh: float
    price: float
    alone_kwh: float
    alone_price: float
    given_kwh: float = 0.0
    given_price: float = 0.0
    hours: float = 0.0  # of circuits
    cold_share: float = 0.0  # of what is taken


def fr(number: float, digits: int = 2) -> str:
    return f"{number:.{digits}f}".replace(".", ",")


def deed(kind: str, a: Amounts) -> tuple[str, str]:
    """What is done, against what would be done by itself."""
    match kind:
        case "battery":
            takes = (f"charge {fr(a.kwh, 0)} kWh à {fr(a.price, 3)} €", f"charges {a.kwh:.0f} kWh at {a.price:.3f} EUR")
            gives = (
                f"rend {fr(a.given_kwh, 0)} kWh à {fr(a.given_price, 3)} €",
                f"gives back {a.given_kwh:.0f} kWh at {a.given_price:.3f} EUR",
            )
            does = [w for w, kwh in ((takes, a.kwh), (gives, a.given_kwh)) if kwh >= 0.5]
            rest = ("au lieu de rester au repos", "instead of resting")
            if not does:
                return f"reste au repos {rest[0]}", f"rests {rest[1]}"
            return f"{', '.join(w[0] for w in does)}, {rest[0]}", f"{', '.join(w[1] for w in does)}, {rest[1]}"
        case "cars" | "bikes":
            return _shifted(a, "recharge", "charges", "aussitôt", "at once")
        case "deferrable":
            return _shifted(a, "tourne pour", "runs for", "dès que possible", "as soon as possible")
        case "tank":
            return _shifted(a, "prend", "takes", "en restant plein", "to stay full")
        case "homes" | "zone":
            if a.cold_share > 0.99:
                return _shifted(a, "rafraîchit de", "cools by", "au thermostat", "by thermostat")
            if a.cold_share > 0.01:
                return _shifted(a, "chauffe et rafraîchit de", "heats and cools by", "au thermostat", "by thermostat")
            return _shifted(a, "chauffe de", "heats by", "au thermostat", "by thermostat")
        case "sun":
            lost = a.alone_kwh - a.kwh
            return (
                f"bride {fr(lost, 0)} kWh de soleil que personne ne prend ni ne paie",
                f"curtails {lost:.0f} kWh of sun that nobody takes or pays for",
            )
        case "both-sides":
            return (
                f"{fr(a.hours)} h de circuit font chaud et froid à la fois, au lieu de l'un après l'autre",
                f"{a.hours:.2f} circuit hours make heat and cold at once, instead of one after the other",
            )
        case _:
            return "tout ce qui est prévu, au lieu de chacun pour soi", "all that is planned, instead of each by itself"


def _shifted(a: Amounts, does_fr: str, does_en: str, alone_fr: str, alone_en: str) -> tuple[str, str]:
    if a.kwh < 0.5:
        return (
            f"attend, au lieu de {fr(a.alone_kwh, 0)} kWh {alone_fr} à {fr(a.alone_price, 3)} €",
            f"waits, instead of {a.alone_kwh:.0f} kWh {alone_en} at {a.alone_price:.3f} EUR",
        )
    if a.alone_kwh < 0.5:
        return (
            f"{does_fr} {fr(a.kwh, 0)} kWh à {fr(a.price, 3)} € le kWh, au lieu de rien {alone_fr}",
            f"{does_en} {a.kwh:.0f} kWh at {a.price:.3f} EUR a kWh, instead of none {alone_en}",
        )
    instead = f"au lieu de {fr(a.alone_kwh, 0)} kWh à {fr(a.alone_price, 3)} € {alone_fr}"
    otherwise = f"instead of {a.alone_kwh:.0f} kWh at {a.alone_price:.3f} EUR {alone_en}"
    return (
        f"{does_fr} {fr(a.kwh, 0)} kWh à {fr(a.price, 3)} € le kWh, {instead}",
        f"{does_en} {a.kwh:.0f} kWh at {a.price:.3f} EUR a kWh, {otherwise}",
    )


def spared(euro: float, kg_co2: float, mostly: str | None) -> tuple[str, str]:
    """The difference in euro and kg CO2; `mostly` is the term of the objective that is most of it.

    Of a wish it is said that its euro are a price, not a bill.
    """
    if euro < 0.005 and abs(kg_co2) < 0.05:
        return "le coût est le même", "the cost is the same"
    most_fr = most_en = ""
    if mostly:
        name_fr, name_en = TERMS.get(mostly, (mostly, mostly))
        priced_fr, priced_en = (", à son prix", ", at its price") if mostly in WISHES else ("", "")
        most_fr, most_en = f" (surtout {name_fr}{priced_fr})", f" (mostly {name_en}{priced_en})"
    if abs(kg_co2) < 0.05:
        return f"{fr(euro)} € de moins{most_fr}", f"{euro:.2f} EUR less{most_en}"
    if kg_co2 > 0:
        return (
            f"{fr(euro)} €{most_fr} et {fr(kg_co2, 1)} kg CO2 de moins",
            f"{euro:.2f} EUR{most_en} and {kg_co2:.1f} kg CO2 less",
        )
    return (
        f"{fr(euro)} € de moins{most_fr}, {fr(-kg_co2, 1)} kg CO2 de plus",
        f"{euro:.2f} EUR less{most_en}, {-kg_co2:.1f} kg CO2 more",
    )


def held_back(limit: Limit, euro: float) -> tuple[str, str]:
    """What binds, and what a little more of it would spare."""
    words, more = limit.words, f"{limit.words.by:g} {limit.words.unit}".strip()
    return (
        f"ce qui limite : {words.fr} ({fr(euro)} € pour {more.replace('.', ',')} de marge)",
        f"what binds: {words.en} ({euro:.2f} EUR for {more} more room)",
    )
