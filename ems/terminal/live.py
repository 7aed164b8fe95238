"""The loop while it runs, for a terminal that redraws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ems.district import District
from ems.loop.control import Control
from ems.points import Sample
from ems.slots import SLOT, floor
from ems.terminal.chart import chart

EVENT_STYLES = {"alarm": "red", "fallback": "yellow", "recovered": "green"}


class Bill(Protocol):
    """What electricity has cost so far, euro."""

    euro: float


class TwoBills(Protocol):
    """Our bill beside that of a shadow under the rules (`ems.study.shadow`)."""

    @property
    def ours(self) -> Bill: ...
    @property
    def rules(self) -> Bill: ...
    @property
    def spared_eur(self) -> float: ...

    async def follow(self, samples: Mapping[str, Sample], now: datetime) -> None: ...


class LivePanel:
    """The loop while it runs, for a terminal that redraws: asks the control, keeps nothing."""

    def __init__(self, district: District) -> None:
        self.district = district
        self.address: str | None = None
        self.codes: dict[str, str] = {}
        self.control: Control | None = None
        self.doing: dict[str, str] = {}
        self.shadow: TwoBills | None = None

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
            parts += [Text(f"why  {r.asset}: {r.en}") for r in plan.reasons[:4]]
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
                f"{plan.slots.count * plan.slots.hours:.0f} h, "
                f"{'' if plan.gap is None else f'at most {100 * plan.gap:.1f} % above the best, '}"
                f"{len(plan.shortfalls)} shortfalls",
            )
        if self.shadow is not None and totals.plans > 1:
            yield (
                "cost",
                f"{self.shadow.ours.euro:.2f} EUR of electricity so far, {self.shadow.rules.euro:.2f} under the rules: "
                f"{self.shadow.spared_eur:+.2f} spared (not counting what stores hold)",
            )
        if control.settings.shadow:
            yield "shadow", f"{totals.withheld} set points would have been written; nothing is"
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
