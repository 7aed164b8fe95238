"""What a site in shadow mode would have done, beside what its devices did on their own: `ems shadow report`.

Each quarter-hour is decided from where the devices really stand, for nothing was written before it. So what would have
been done is known per quarter-hour, and only there: what the building would have answered is not. Energy and cost are
told for batteries alone, whose power a set point is and whose own power is measured; they are of each quarter-hour by
itself, and their sum is no saving, for a battery that had been charged would have been decided otherwise next time.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from ems import defaults
from ems.assets import Battery, ChargePoint, Dwelling, Supply
from ems.command import Command
from ems.district import District, read_district
from ems.loop.clock import RealClock
from ems.loop.site import ClockReader, Site
from ems.market import prices
from ems.series import History
from ems.slots import SLOT, Slots, floor, slot_start
from ems.store import Store

SAME = 1e-4  # values nearer than this are one
KEPT_DAYS = 40  # commands older than this are forgotten
BUILDINGS = defaults.folder("buildings")

app = typer.Typer(help="What shadow mode (`ems run --shadow`) would have done.", no_args_is_help=True)
out = Console()


@dataclass(frozen=True)
class Moved:
    """What batteries would have taken more (or less, negative) than they did, quarter-hour by quarter-hour."""

    quarter_hours: int  # of which it is known: battery and supply point measured
    energy_kwh: float
    cost_eur: float


@dataclass(frozen=True)
class Line:
    """One point on one local day; the dwellings of a building, and the charge points of a car park, as one line.

    `wanted` is the mean of what would have been written, `found` the mean of what stood instead, in the unit of the
    point's name; None: it was never read. `differing` counts the quarter-hours in which the two were not the same.
    """

    day: date
    point: str
    points: int
    quarter_hours: int
    wanted: float
    found: float | None
    differing: int
    moved: Moved | None = None


def lines(commands: Iterable[Command], district: District, measured: History) -> list[Line]:
    """What would have been done per day and point. `measured` holds batteries' and supply points' mean power, kW."""
    zone = ZoneInfo(district.place.time_zone)
    groups: dict[tuple[date, str], list[Command]] = defaultdict(list)
    for command in commands:
        groups[_begins(command).astimezone(zone).date(), _shown_as(command.point, district)].append(command)
    return [_line(day, name, mine, district, measured) for (day, name), mine in sorted(groups.items())]


def measured_points(district: District) -> list[str]:
    """The points whose readings the report compares with."""
    batteries = district.of(Battery).values()
    return [p for b in batteries for p in (b.point("power_kw"), district.asset(b.supply, Supply).point("power_kw"))]


def _begins(command: Command) -> datetime:
    """The quarter-hour a command was decided in: the number its key begins with."""
    return slot_start(int(command.key.partition(":")[0]))


def _shown_as(point: str, district: District) -> str:
    """The point, or all of its kind in the building where it is a home's or a car's: nobody's own is shown."""
    asset, _, quantity = point.rpartition("/")
    if isinstance(district.assets.get(asset), Dwelling | ChargePoint):
        return f"{asset.partition('/')[0]}/*/{quantity}"
    return point


def _line(day: date, name: str, commands: list[Command], district: District, measured: History) -> Line:
    pairs = [(c.value, c.previous) for c in commands if c.value is not None]
    found = [stood for _, stood in pairs if stood is not None]
    return Line(
        day=day,
        point=name,
        points=len({c.point for c in commands}),
        quarter_hours=len({_begins(c) for c in commands}),
        wanted=fmean(value for value, _ in pairs),
        found=fmean(found) if found else None,
        differing=sum(1 for value, stood in pairs if stood is not None and abs(value - stood) > SAME),
        moved=_moved(name, commands, district, measured),
    )


def _moved(point: str, commands: list[Command], district: District, measured: History) -> Moved | None:
    asset = district.assets.get(point.rpartition("/")[0])
    if not isinstance(asset, Battery) or not point.endswith("/power_setpoint_kw"):
        return None
    supply = district.asset(asset.supply, Supply)
    slots = measured.slots
    tariff = prices(district.contracts[supply.contract], slots)
    known, energy_kwh, cost_eur = 0, 0.0, 0.0
    for command in commands:
        n = (_begins(command) - slots.start) // SLOT
        if command.value is None or not 0 <= n < slots.count:
            continue
        own_kw, at_supply_kw = (_at(measured.values, p, n) for p in (asset.point("power_kw"), supply.point("power_kw")))
        if own_kw is None or at_supply_kw is None:
            continue
        more_kw, bought, sold = command.value - own_kw, tariff.import_per_kwh[n], tariff.export_per_kwh[n]
        known += 1
        energy_kwh += more_kw * slots.hours
        before, after = (_euro_per_h(kw, bought, sold) for kw in (at_supply_kw, at_supply_kw + more_kw))
        cost_eur += (after - before) * slots.hours
    return Moved(known, energy_kwh, cost_eur)


def _euro_per_h(power_kw: float, bought: float, sold: float) -> float:
    return power_kw * (bought if power_kw > 0 else sold)


def _at(values: Mapping[str, Any], point: str, n: int) -> float | None:
    series = values.get(point)
    value = math.nan if series is None else float(series[n])
    return None if math.isnan(value) else value


@app.command()
def report(
    folder: Annotated[Path, typer.Option(help="Where the site keeps its database and files.")] = Path("var/site"),
    buildings: Annotated[Path, typer.Option(help="Folder of the district's YAML files.")] = BUILDINGS,
    days: Annotated[int, typer.Option(min=1, max=KEPT_DAYS, help="How many days back.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line.")] = False,
) -> None:
    """What would have been done per point and day, and what the devices did instead."""
    site, district = Site(folder), read_district(buildings)
    if not (folder / "site.db").is_file():
        raise FileNotFoundError(f"{folder} holds no site.db; give the folder that `ems run --shadow` keeps")
    now = ClockReader(site.clock_file, RealClock()).now()
    count = timedelta(days=days) // SLOT
    slots = Slots(floor(now) - (count - 1) * SLOT, count)
    with Store.read_only(site.store_url) as store:
        # A command of a quarter-hour expires two later.
        commands = store.journal.withheld(slots.start + 2 * SLOT, now + 3 * SLOT)
        found = lines(commands, district, store.history(measured_points(district), slots))
    if as_json:
        typer.echo(json.dumps([asdict(line) | {"day": line.day.isoformat()} for line in found]))
        return
    if not found:
        out.print(f"In the last {days} days nothing was withheld: shadow mode did not run in {folder}.")
        return
    out.print(_table(found))
    out.print(
        "Each quarter-hour was decided from where the devices stood. kWh and EUR are of each quarter-hour by itself: "
        "their sum is no saving. For all other points the difference is not known: nobody saw what the buildings "
        "would have answered."
    )


def _table(found: list[Line]) -> Table:
    table = Table(
        "day", "point", "points", "quarter-hours", "would have stood at", "stood at", "differing", "kWh", "EUR",
        title="Shadow mode: what would have been written, and what stood instead", title_justify="left",
    )  # fmt: skip
    for line in found:
        known = line.moved is not None and line.moved.quarter_hours > 0
        moved = (f"{line.moved.energy_kwh:+.1f}", f"{line.moved.cost_eur:+.2f}") if known and line.moved else ("", "")
        stood = "not read" if line.found is None else f"{line.found:.2f}"
        cells = (line.points, line.quarter_hours, f"{line.wanted:.2f}", stood, line.differing, *moved)
        table.add_row(line.day.isoformat(), line.point, *map(str, cells))
    return table
