"""What a person at a terminal sees: a plan as rows of bars with its costs and reasons, and the loop while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ems.assets import BaseLoad, Battery, BikeRoom, ChargePoint, Loop, Photovoltaic, Plant, Supply
from ems.district import District
from ems.loop.control import Control
from ems.market import prices
from ems.optimise import Plan
from ems.series import Floats
from ems.slots import SLOT, floor

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 48  # with its figures a row fits a terminal of 80 columns
EVENT_STYLES = {"alarm": "red", "fallback": "yellow", "recovered": "green"}

# Rows of the chart: a label, and the assets whose electricity it sums. Positive flows into the asset.
ROWS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("sun", (Photovoltaic,)),
    ("heat pumps", (Plant, Loop)),
    ("cars, bikes", (ChargePoint, BikeRoom)),
    ("batteries", (Battery,)),
    ("buildings", (BaseLoad,)),
    ("grid", (Supply,)),
)


def bars(values: Floats, width: int = WIDTH) -> str:
    """One row of block characters, the mean of each column between the row's least and greatest value.

    Four values between 0 and 7 kW in four columns: `bars([0, 1, 6, 7]) == "▁▂▇█"`.
    """
    columns = np.array([part.mean() for part in np.array_split(values, min(width, len(values)))])
    low, high = float(columns.min()), float(columns.max())
    if high - low < 1e-9:
        return BARS[0] * len(columns)
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in columns)


def chart(plan: Plan, district: District) -> Table:
    """The power balance of the horizon, one row per kind of asset, and the price on top."""
    zone = ZoneInfo(district.place.time_zone)
    first, last = plan.slots.start.astimezone(zone), plan.slots.end.astimezone(zone)
    table = Table(
        title=f"{first:%a %d %b %H:%M} to {last:%a %d %b %H:%M}, local time", title_justify="left", show_edge=False
    )
    table.add_column("")
    table.add_column("least", justify="right")
    table.add_column(
        "48 h" if plan.slots.count == 192 else f"{plan.slots.count * plan.slots.hours:.0f} h", no_wrap=True
    )
    table.add_column("greatest", justify="left")
    tariff = next((prices(district.contracts[s.contract], plan.slots) for s in district.of(Supply).values()), None)
    if tariff is not None:
        price = tariff.import_per_kwh * 100
        table.add_row("price, ct/kWh", f"{price.min():.1f}", bars(price), f"{price.max():.1f}")
    for label, kinds in ROWS:
        flows = [
            plan.flows[key]
            for name, asset in district.assets.items()
            if isinstance(asset, kinds) and (key := f"{name}/power_kw") in plan.flows
        ]
        if flows:
            total = np.sum(flows, axis=0)
            if label == "sun":
                total = 0.0 - total  # a person reads what the sun gives, not what flows into a roof
            table.add_row(f"{label}, kW", f"{total.min():.0f}", bars(total), f"{total.max():.0f}")
    return table


def costs(terms: Mapping[str, float]) -> Table:
    """Every euro of the objective by name; terms of nothing are left out."""
    table = Table("cost over the horizon", "EUR", show_edge=False)
    table.columns[1].justify = "right"
    for name, euro in sorted(terms.items(), key=lambda item: -abs(item[1])):
        if abs(euro) >= 0.005:
            table.add_row(name.replace("_", " "), f"{euro:.2f}")
    table.add_row("all", f"{sum(terms.values()):.2f}", style="bold")
    return table


def set_points(plan: Plan) -> Table:
    """The set points of the running quarter-hour, those of a kind and value together, with one reason."""
    kinds: dict[tuple[str, float], list[str]] = {}
    reasons: dict[tuple[str, float], str] = {}
    for setpoint in plan.setpoints:
        key = (setpoint.point.rpartition("/")[2], setpoint.value)
        kinds.setdefault(key, []).append(setpoint.point.rpartition("/")[0])
        reasons[key] = setpoint.reason.partition(" | ")[2] or setpoint.reason
    table = Table("set point now", "value", "where", "why", show_edge=False)
    for (quantity, value), assets in sorted(kinds.items(), key=lambda item: (item[0][0], -len(item[1]))):
        where = assets[0] if len(assets) == 1 else f"{len(assets)}, first {assets[0]}"
        table.add_row(quantity, f"{value:g}", where, reasons[quantity, value])
    return table


def plan_view(plan: Plan, district: District, seconds: float) -> Group:
    """All that a plan has to say to a person."""
    size = ", ".join(f"{n} {what}" for what, n in plan.size.items())
    parts: list[Table | Text] = [
        chart(plan, district),
        Text(""),
        costs(plan.cost_terms),
        Text(""),
        set_points(plan),
        Text(""),
    ]
    for reason in plan.reasons[:12]:
        parts.append(Text(f"why   {reason.asset}: {reason.en} ({reason.euro:.2f} EUR)"))
    for shortfall in plan.shortfalls[:12]:
        parts.append(
            Text(
                f"short {shortfall.asset}: {shortfall.en}, {shortfall.amount:.1f} {shortfall.unit} "
                f"from {shortfall.first_at:%a %H:%M} UTC; {shortfall.remedy_en}",
                style="yellow",
            )
        )
    for note in plan.notes[:12]:
        parts.append(Text(f"note  {note}", style="yellow"))
    if not plan.shortfalls:
        parts.append(Text("Nobody is left unserved."))
    parts.append(Text(f"{plan.status} in {seconds:.1f} s ({size})", style="dim"))
    return Group(*parts)


class LivePanel:
    """The loop while it runs, for a terminal that redraws: asks the control, keeps nothing."""

    def __init__(self, district: District) -> None:
        self.district = district
        self.address: str | None = None
        self.codes: dict[str, str] = {}
        self.control: Control | None = None
        self.doing: dict[str, str] = {}

    def progress(self, what: str, done: int, total: int) -> None:
        """How far something long has come; it leaves the panel when it is done."""
        if done >= total:
            self.doing.pop(what, None)
        else:
            self.doing[what] = f"{what}  {'█' * round(20 * done / total):░<20}  {done} of {total}"

    def __rich__(self) -> Panel:
        control = self.control
        if control is None:
            return Panel("\n".join(self.doing.values()) or "starting", title=self.district.label.en)
        totals, plan = control.totals, control.plan
        local = control.clock.now().astimezone(ZoneInfo(self.district.place.time_zone))
        figures = Table.grid(padding=(0, 2))
        for label, value in self._figures(control):
            figures.add_row(Text(label, style="dim"), value)
        parts: list[Table | Text] = [figures]
        if plan is not None:
            parts += [Text(""), chart(plan, self.district), Text("")]
            parts += [Text(f"why  {r.asset}: {r.en} ({r.euro:.2f} EUR)") for r in plan.reasons[:4]]
        parts += _events(control)
        parts += [Text(line, style="dim") for line in self.doing.values()]
        if self.codes:
            parts.append(Text("sign in as  " + "   ".join(f"{who} {code}" for who, code in self.codes.items())))
        where = f"   pages: {self.address}" if self.address else ""
        return Panel(
            Group(*parts),
            title=f"{self.district.label.en}  {local:%A %d %B %H:%M}",
            subtitle=f"{totals.plans} plans{where}   Ctrl-C gives every device back",
        )

    def _figures(self, control: Control) -> Iterable[tuple[str, str]]:
        totals, plan, seconds = control.totals, control.plan, control.seconds
        silent = [name for name, health in control.field.health.items() if not health.up]
        yield (
            "read",
            f"{totals.points_read} points, {totals.bad_quality} without a good value, "
            f"last sweep {seconds.get('sweep', 0):.1f} s{', silent: ' + ', '.join(silent) if silent else ''}",
        )
        yield "forecast", f"{seconds.get('forecast', 0):.1f} s, {totals.cold_starts} meters still on climatology"
        if plan is not None and totals.plan_seconds:
            yield (
                "plan",
                f"{plan.status} in {totals.plan_seconds[-1]:.1f} s, {plan.cost:.0f} EUR over "
                f"{plan.slots.count * plan.slots.hours:.0f} h, {len(plan.shortfalls)} shortfalls",
            )
        yield (
            "write",
            f"{totals.setpoints_confirmed} of {totals.setpoints_written} set points confirmed, "
            f"{totals.refused} refused, {totals.overridden} held by people",
        )
        yield "stored", f"{totals.readings_stored} readings, {totals.fallbacks} fallbacks"
        yield "next", f"decides again at {_next(control):%H:%M} UTC"


def _next(control: Control) -> datetime:
    return floor(control.clock.now()) + SLOT


def _events(control: Control) -> list[Table | Text]:
    recent = [e for e in control.events if e.kind != "info"][-4:]
    return [Text(str(event), style=EVENT_STYLES.get(event.kind, "")) for event in recent]
