"""A plan for a person: chart, costs, assets, set points, reasons, shortfalls with remedies, and how good it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ems.assets import Battery, BikeRoom, ChargePoint, Dwelling, Loop, Photovoltaic, Plant, Supply, Tank, Zone
from ems.assets.deferrable import Deferrable
from ems.district import District
from ems.optimise import Plan, Reason, Shortfall
from ems.series import Floats
from ems.terminal.chart import HEIGHT, WIDTH, chart

Language = Literal["fr", "en"]
MOST_REASONS, MOST_ASSETS, MOST_SHORTFALLS, MOST_NOTES = 16, 36, 12, 12
BESIDE_CHART = 30  # columns that labels and figures take beside it

# What an asset of a kind takes (the quantities of its flows) and gives, kW.
TAKES: tuple[tuple[type, tuple[str, ...], tuple[str, ...], str], ...] = (
    (Supply, ("import_kw",), ("export_kw",), "power"),
    (Photovoltaic, (), ("used_kw",), "power"),
    (Battery, ("charge_kw",), ("discharge_kw",), "power"),
    (ChargePoint, ("charge_kw",), ("back_kw",), "power"),
    (BikeRoom, ("charge_kw",), (), "power"),
    (Deferrable, ("power_kw",), (), "power"),
    (Plant, ("power_kw",), (), "power"),
    (Loop, ("power_kw",), (), "power"),
    (Tank, ("charge_kw", "heater_kw"), (), "heat"),
    (Zone, ("heating_kw", "cold_kw"), (), "heat"),
    (Dwelling, ("heating_kw", "cold_kw"), (), "heat"),
)


@dataclass(frozen=True)
class Line:
    """What an asset, or some of a kind together, takes and gives over the horizon."""

    name: str
    what: str
    count: int
    takes_kw: Floats
    gives_kw: Floats


def lines(plan: Plan, district: District) -> list[Line]:
    """Assets that exchange energy; the homes of a building, and the charge points of a cable, in one line."""
    found: dict[tuple[str, str], Line] = {}
    for name, asset in district.assets.items():
        for kind, takes, gives, what in TAKES:
            if not isinstance(asset, kind):
                continue
            label = name
            if isinstance(asset, Dwelling):
                label = f"{asset.building}/homes"
            elif isinstance(asset, ChargePoint):
                label = asset.feeder
            taken, given = (_sum(plan, name, quantities) for quantities in (takes, gives))
            before = found.get((label, what))
            if before is not None:
                taken, given = before.takes_kw + taken, before.gives_kw + given
            count = 1 if before is None else before.count + 1
            found[label, what] = Line(label, what, count, taken, given)
            break
    return [line for line in found.values() if line.takes_kw.any() or line.gives_kw.any()]


def _sum(plan: Plan, name: str, quantities: tuple[str, ...]) -> Floats:
    return np.sum([plan.flow(name, q) for q in quantities], axis=0) if quantities else np.zeros(plan.slots.count)


def assets(plan: Plan, district: District) -> Table:
    """Energy and peak of every asset, and what its decision spares against doing nothing, most energy first."""
    spared = {r.asset: r for r in plan.reasons if r.against == "nothing" and r.kind != "both-sides"}
    table = Table("asset", "takes kWh", "gives kWh", "peak kW", "spares EUR", "kg CO2", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    hours = plan.slots.hours
    known = sorted(lines(plan, district), key=lambda line: (line.what, -float((line.takes_kw + line.gives_kw).sum())))
    before = ""
    for line in known[:MOST_ASSETS]:
        if line.what != before:
            table.add_row("heat and cold" if line.what == "heat" else "electricity", style="dim")
        before = line.what
        reason = spared.get(line.name)
        label = f"{line.name} ({line.count})" if line.count > 1 else line.name
        taken, given = float(line.takes_kw.sum()) * hours, float(line.gives_kw.sum()) * hours
        table.add_row(
            f"  {label}",
            f"{taken:.0f}" if taken >= 0.5 else "",
            f"{given:.0f}" if given >= 0.5 else "",
            f"{np.max(np.abs(line.takes_kw - line.gives_kw)):.0f}",
            "" if reason is None else f"{reason.euro:.2f}",
            "" if reason is None or reason.kg_co2 is None else f"{reason.kg_co2:.1f}",
        )
    if len(known) > MOST_ASSETS:
        table.add_row(f"  and {len(known) - MOST_ASSETS} more", style="dim")
    return table


def costs(terms: Mapping[str, float]) -> Table:
    """Every euro of the objective by name; terms of nothing are left out."""
    table = Table("cost over the horizon", "EUR", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name, euro in sorted(terms.items(), key=lambda item: -abs(item[1])):
        if abs(euro) >= 0.005:
            table.add_row(name.replace("_", " "), f"{euro:.2f}")
    table.add_row("all", f"{sum(terms.values()):.2f}", style="bold")
    return table


def set_points(plan: Plan, language: Language = "en") -> Table:
    """The set points of the running quarter-hour, those of a kind and value together, with one reason."""
    kinds: dict[tuple[str, float], list[str]] = {}
    reasons: dict[tuple[str, float], str] = {}
    for setpoint in plan.setpoints:
        key = (setpoint.point.rpartition("/")[2], setpoint.value)
        kinds.setdefault(key, []).append(setpoint.point.rpartition("/")[0])
        fr, _, en = setpoint.reason.partition(" | ")
        reasons[key] = fr if language == "fr" else en or fr
    table = Table("set point now", "value", "where", "why", box=None, pad_edge=False)
    for (quantity, value), where in sorted(kinds.items(), key=lambda item: (item[0][0], -len(item[1]))):
        place = where[0] if len(where) == 1 else f"{len(where)}: {where[0]}…"
        table.add_row(quantity, f"{value:g}", place, reasons[quantity, value])
    return table


def summed(shortfalls: Iterable[Shortfall], district: District) -> list[tuple[Shortfall, int]]:
    """Shortfalls, dearest first, those of the dwellings of one building as one with how many they are."""
    found: dict[tuple[str, str], tuple[Shortfall, int]] = {}
    for one in shortfalls:
        home = one.asset in district.dwellings
        key = (one.asset.partition("/")[0] if home else one.asset, one.en)
        if key in found and home:
            before, count = found[key]
            both = replace(
                before,
                amount=before.amount + one.amount,
                cost=before.cost + one.cost,
                first_at=min(before.first_at, one.first_at),
            )
            found[key] = (both, count + 1)
        else:
            found[key] = (one, 1)
    return sorted(found.values(), key=lambda pair: -pair[0].cost)


def _shortfalls(plan: Plan, district: District, language: Language) -> list[Text]:
    if not plan.shortfalls:
        return [Text("Nobody is left unserved." if language == "en" else "Personne ne manque de rien.")]
    told = []
    every = summed(plan.shortfalls, district)
    for one, count in every[:MOST_SHORTFALLS]:
        building = one.asset.partition("/")[0]
        homes = f"{count} homes of {building}" if language == "en" else f"{count} logements de {building}"
        who = homes if count > 1 else one.asset
        what, remedy = (one.en, one.remedy_en) if language == "en" else (one.fr, one.remedy_fr)
        since = "from" if language == "en" else "dès"
        amount, euro = f"{one.amount:.1f}", f"{one.cost:.2f}"
        if language == "fr":
            amount, euro = amount.replace(".", ","), euro.replace(".", ",")
        when = f"{one.first_at:%d/%m %H:%M} UTC"
        line = f"short {who}: {what}, {amount} {one.unit} {since} {when} ({euro} EUR); {remedy}"
        told.append(Text(line, style="yellow"))
    if len(every) > MOST_SHORTFALLS:
        told.append(Text(f"short and {len(every) - MOST_SHORTFALLS} more", style="yellow"))
    return told


def _reasons(plan: Plan, language: Language) -> list[Text]:
    order: dict[str, int] = {"nothing": 0, "previous": 1, "limit": 2}
    known: list[Reason] = sorted(plan.reasons, key=lambda r: (r.asset != "plan", order[r.against], -r.euro))
    told = []
    for reason in known[:MOST_REASONS]:
        line = Text("why   ")
        line.append(f"{reason.asset}: ", style="bold")
        line.append(reason.en if language == "en" else reason.fr)
        told.append(line)
    if len(known) > MOST_REASONS:
        told.append(Text(f"why   and {len(known) - MOST_REASONS} more; --json has all", style="dim"))
    return told


def _proof(plan: Plan, seconds: float) -> str:
    """How good the plan is, how long it took, how large it was, and how much of it is explained."""
    parts = [f"{plan.status} in {seconds:.1f} s"]
    if plan.bound is not None and plan.gap is not None:
        parts.append(f"{plan.cost:.2f} EUR, none below {plan.bound:.2f}: {100 * plan.gap:.2f} % from the best at most")
    parts.append(", ".join(f"{n} {what}" for what, n in plan.size.items()))
    if plan.explained.get("decisions"):
        e = plan.explained
        parts.append(
            f"{e['explained']} of {e['worthy']} decisions worth a euro or a kWh explained, {e['resolves']} re-solves"
        )
    return "\n".join(parts)


def plan_view(plan: Plan, district: District, seconds: float, columns: int = 80, language: Language = "en") -> Group:
    """All that a plan has to say to a person, for a terminal of so many columns."""
    width = max(WIDTH * ((columns - BESIDE_CHART) // WIDTH), WIDTH) if plan.slots.count >= WIDTH else plan.slots.count
    parts: list[Table | Text] = [
        chart(plan, district, width, HEIGHT),
        Text(""),
        costs(plan.cost_terms),
        Text(""),
        assets(plan, district),
        Text(""),
        set_points(plan, language),
        Text(""),
        *_reasons(plan, language),
        *_shortfalls(plan, district, language),
        *(Text(f"note  {note}", style="yellow") for note in plan.notes[:MOST_NOTES]),
        Text(_proof(plan, seconds), style="dim"),
    ]
    return Group(*parts)
