"""A plan's power by kind against the price, in block characters."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np
from rich.table import Table
from rich.text import Text

from ems.assets import BaseLoad, Battery, BikeRoom, ChargePoint, Loop, Photovoltaic, Plant, Substation, Supply, Tank
from ems.assets.deferrable import Deferrable
from ems.district import District
from ems.market import prices
from ems.optimise import Plan
from ems.series import Floats

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 48  # with its figures a row fits a terminal of 80 columns
HEIGHT = 8

# Rows of the chart: a label, its colour, and the assets whose electricity it sums. Positive flows into the asset.
ROWS: tuple[tuple[str, str, tuple[type, ...]], ...] = (
    ("sun", "yellow", (Photovoltaic,)),
    ("heat pumps", "red", (Plant, Loop, Substation, Tank)),
    ("cars, bikes", "green", (ChargePoint, BikeRoom)),
    ("batteries", "magenta", (Battery,)),
    ("machines", "cyan", (Deferrable,)),
    ("buildings", "blue", (BaseLoad,)),
    ("grid", "white", (Supply,)),
)
STACKED = ("buildings", "heat pumps", "machines", "cars, bikes", "batteries")  # what takes power, from the bottom up


def columns_of(values: Floats, width: int) -> Floats:
    """Means of as many equal parts as there are columns."""
    return np.array([part.mean() for part in np.array_split(values, min(width, len(values)))])


def bars(values: Floats, width: int = WIDTH) -> str:
    """One row of block characters, the mean of each column between the row's least and greatest value.

    Four values between 0 and 7 kW in four columns: `bars([0, 1, 6, 7]) == "▁▂▇█"`.
    """
    columns = columns_of(values, width)
    low, high = float(columns.min()), float(columns.max())
    if high - low < 1e-9:
        return BARS[0] * len(columns)
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in columns)


def stacked(layers: Sequence[tuple[str, Floats]], width: int, height: int = HEIGHT) -> list[Text]:
    """Columns of colour on one another, top line first: each layer is a colour and what it adds, not negative."""
    rows = np.array([columns_of(np.maximum(values, 0.0), width) for _, values in layers])
    tops = np.cumsum(rows, axis=0)
    scale = height / max(float(tops[-1].max()), 1e-9)
    lines = []
    for line in range(height - 1, -1, -1):
        text = Text()
        for column in range(rows.shape[1]):
            filled = min(max(float(tops[-1, column]) * scale - line, 0.0), 1.0)
            if filled < 1 / 16:
                text.append(" ")
                continue
            middle = (line + filled / 2) / scale
            layer = int(np.searchsorted(tops[:, column], middle))
            text.append(BARS[max(round(filled * 8) - 1, 0)], style=layers[min(layer, len(layers) - 1)][0])
        lines.append(text)
    return lines


def hours_axis(plan: Plan, district: District, width: int) -> str:
    """Local hours under the columns: every three or six of them, as there is room."""
    zone, count = ZoneInfo(district.place.time_zone), min(width, plan.slots.count)
    axis = [" "] * (count + 2)
    step = 3 if count / (plan.slots.count * plan.slots.hours) * 3 >= 5 else 6
    for i, start in enumerate(plan.slots.starts):
        local = start.astimezone(zone)
        if local.minute == 0 and local.hour % step == 0:
            at = i * count // plan.slots.count
            axis[at : at + 3] = f"{local.hour}h ".ljust(3)
    return "".join(axis).rstrip()


def powers(plan: Plan, district: District) -> dict[str, Floats]:
    """Electric power of each kind of asset, kW by slot; kinds without any are left out."""
    found = {}
    for label, _, kinds in ROWS:
        flows = [
            plan.flows[key]
            for name, asset in district.assets.items()
            if isinstance(asset, kinds) and (key := f"{name}/{_power(asset)}") in plan.flows
        ]
        if flows and np.any(flows):
            found[label] = np.sum(flows, axis=0)
    return found


def _power(asset: object) -> str:
    return "heater_kw" if isinstance(asset, Tank) else "power_kw"


def chart(plan: Plan, district: District, width: int = WIDTH, height: int = 0) -> Table:
    """The power balance of the horizon: the price, one row per kind of asset, and with a `height` all that takes power
    as columns on one another.
    """
    zone = ZoneInfo(district.place.time_zone)
    first, last = plan.slots.start.astimezone(zone), plan.slots.end.astimezone(zone)
    title = f"{first:%a %d %b %H:%M} to {last:%a %d %b %H:%M}, local time"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("least", justify="right", no_wrap=True)
    table.add_column(f"{plan.slots.count * plan.slots.hours:.0f} h", no_wrap=True)
    table.add_column("most", justify="right", no_wrap=True)
    rows = powers(plan, district)
    colours = {label: colour for label, colour, _ in ROWS}
    if height:
        layers = [(colours[k], rows[k]) for k in STACKED if k in rows]
        if layers:
            most = np.sum([columns_of(np.maximum(v, 0.0), width) for _, v in layers], axis=0)
            for i, line in enumerate(stacked(layers, width, height)):
                table.add_row("taken, kW" if i == 0 else "", "", line, f"{most.max():.0f}" if i == 0 else "")
    tariff = next((prices(district.contracts[s.contract], plan.slots) for s in district.of(Supply).values()), None)
    if tariff is not None:
        price = tariff.import_per_kwh * 100
        table.add_row(
            "price, ct/kWh", f"{price.min():.1f}", Text(bars(price, width), style="bold"), f"{price.max():.1f}"
        )
    table.add_row("", "", Text(hours_axis(plan, district, width), style="dim"), "")
    for label, row in rows.items():
        total = 0.0 - row if label == "sun" else row  # a person reads what the sun gives, not what flows into a roof
        name = Text(f"{label}, kW", style=colours[label])
        table.add_row(name, f"{total.min():.0f}", Text(bars(total, width), style=colours[label]), f"{total.max():.0f}")
    return table
