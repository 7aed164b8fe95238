"""The report of a study: one HTML file that needs nothing else, with charts drawn as SVG by `ems.web.chart`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from ems.study.kpi import TERMS
from ems.web.chart import Area, Line, draw

INKS = tuple(f"ink-{k}" for k in range(9))
STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#10161f;--quiet:#4d5664;--rule:#c9cfd8;
--c0:#04587c;--c1:#b35a00;--c2:#6b7480;--c3:#2a7f62;--c4:#8d3fc9;--c5:#a3210c;
--c6:#b8860b;--c7:#c2185b;--c8:#4b4f8a}
@media (prefers-color-scheme:dark){:root{--paper:#10161f;--ink:#e8edf2;--quiet:#aab4c2;--rule:#3a4452;
--c0:#6aa9ff;--c1:#f0a040;--c2:#98a2b0;--c3:#62c9a4;--c4:#c58cf5;--c5:#ff8a76;
--c6:#e6c34d;--c7:#f48fb1;--c8:#a9adf0}}
body{font:1rem/1.45 system-ui,sans-serif;margin:0 auto;max-width:70rem;
padding:1rem;background:var(--paper);color:var(--ink);font-variant-numeric:tabular-nums}
h2{margin:2rem 0 .3rem}p,figcaption{color:var(--quiet)}figcaption{margin-bottom:.7rem}figure{margin:0 0 1.5rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:right;padding:.25rem .6rem;border-top:1px solid var(--rule);font-weight:400}
th:first-child,td:first-child{text-align:left}thead th{color:var(--quiet);border:0}
.scroll{overflow-x:auto}
.plot{display:grid;grid-template-columns:3.4rem 1fr;gap:0 .4rem}.ticks{position:relative;height:14rem}
.ticks span{position:absolute;right:0;transform:translateY(-50%);color:var(--quiet);font-size:.85rem}
.plot svg{display:block;width:100%;height:14rem;overflow:visible}
.marks{grid-column:2;display:flex;color:var(--quiet);font-size:.85rem}
.marks span{flex:1 1 0;min-width:0;overflow:hidden;white-space:nowrap;
border-left:1px solid var(--rule);padding-left:.2rem}
.rule,.zero,.line{fill:none;vector-effect:non-scaling-stroke}.rule{stroke:var(--rule)}.zero{stroke:var(--ink)}
.line{stroke-width:2}.area{stroke:none;fill-opacity:.65}
.legend span{margin-right:1rem;white-space:nowrap}
.legend i{display:inline-block;width:1.2rem;height:.5rem;margin-right:.3rem}
""" + "".join(
    f"path.line.ink-{k}{{stroke:var(--c{k})}}path.area.ink-{k}{{fill:var(--c{k})}}i.ink-{k}{{background:var(--c{k})}}"
    for k in range(9)
)


def report(answer: Mapping[str, Any], found: Mapping[tuple[str, int], Mapping[str, Any]], why: str) -> str:
    """The whole page. Charts show the first seed."""
    seed = answer["seeds"][0]
    shown = [c for c in answer["J"] if (c, seed) in found]
    parts = [
        f"<h1>{escape(answer['scenario'])}</h1><p>{escape(why)}</p>",
        f"<p>{answer['hours']:g} h, seeds {escape(', '.join(map(str, answer['seeds'])))}"
        + (f", changed: {escape('; '.join(answer['changes']))}" if answer["changes"] else "")
        + f". A plan every {15 * answer['replan_every_slots']} minutes. "
        "Times are UTC.</p>",
        _verdict(answer),
        "<h2>Cost by term</h2><p>Euro over the run, mean of the seeds; what nobody controls "
        f"({answer['uncontrollable_eur']:.2f} euro) is not in it.</p>",
        _cost_chart(answer, shown),
        _table(
            ["term", *shown],
            [[t, *(f"{round(answer['cost'][c][t], 2) + 0.0:.2f}" for c in shown)] for t in TERMS]
            + [["J", *(f"{answer['J'][c]['median']:.2f}" for c in shown)]],
        ),
        _worse(answer["worse_for_anybody"]),
    ]
    for name in (c for c in ("ours", "rules-tuned") if c in shown):
        parts.append(_pictures(name, found[name, seed]["series"]))
    names = list(answer["kpi"][shown[0]])
    parts += [
        "<h2>All figures</h2><p>Median of the seeds; formulas and units in docs/kpi.md.</p>",
        _table(["figure", *shown], [[n, *(f"{answer['kpi'][c].get(n, 0.0):.4g}" for c in shown)] for n in names]),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(answer['scenario'])}: study</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def _verdict(answer: Mapping[str, Any]) -> str:
    rows = []
    for label, key in (("saved against rules-tuned", "saving"), ("could have been saved (oracle)", "saving_possible")):
        if (saving := answer[key]) is not None:
            rows.append([label, f"{saving['median_eur']:.2f} €", f"{saving['worst_eur']:.2f} €",
                         f"{100 * saving['median_share']:.1f} %"])  # fmt: skip
    shares = answer["saving_captured"]
    if shares is not None and shares["median"] is not None:
        rows.append(["captured share", f"{100 * shares['median']:.0f} %", f"{100 * shares['worst']:.0f} %", ""])
    return _table(["", "median seed", "worst seed", "of J"], rows) if rows else ""


def _worse(entries: Sequence[Mapping[str, Any]] | None) -> str:
    if entries is None:
        return ""
    if not entries:
        return "<h2>Worse for anybody</h2><p>Nobody is worse off than under rules-tuned.</p>"
    rows = [
        [f"{e['who']}: {e['what']}", f"{e['ours']:g}", f"{e['rules_tuned']:g}", str(e["seed"])] for e in entries[:60]
    ]
    more = f"<p>and {len(entries) - 60} more</p>" if len(entries) > 60 else ""
    return "<h2>Worse for anybody</h2>" + _table(["who and what", "ours", "rules-tuned", "seed"], rows) + more


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    body = "".join(
        f'<tr><th scope="row">{escape(r[0])}</th>' + "".join(f"<td>{escape(v)}</td>" for v in r[1:]) + "</tr>"
        for r in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _cost_chart(answer: Mapping[str, Any], shown: Sequence[str]) -> str:
    """One bar for each controller, terms stacked; six steps wide with a gap."""
    shown_terms = [t for t in TERMS if any(abs(answer["cost"][c][t]) > 0.005 for c in shown)]
    grouped: dict[str, list[str]] = {}
    for k, term in enumerate(shown_terms):
        grouped.setdefault(INKS[k % 9], []).append(term)
    areas = []
    for ink, terms in grouped.items():
        values: list[float] = []
        for c in shown:
            values += [sum(answer["cost"][c][t] for t in terms)] * 6 + [0.0] * 2
        areas.append(Area(", ".join(terms), values, ink))
    return _figure(areas, [], "Cost by term", "euro", list(shown))


def _pictures(name: str, series: Mapping[str, Any]) -> str:
    start, count = datetime.fromisoformat(series["start"]), series["count"]
    days = _day_marks(start, count)
    homes = series["homes_c"]
    parts = [f"<h2>{escape(name)}</h2>"]
    parts.append(
        _figure(
            [
                Area("buildings", series["loads_kw"], INKS[2]),
                Area("heat pumps", series["plants_kw"], INKS[5]),
                Area("cars", series["cars_kw"], INKS[3]),
                Area("battery", series["battery_kw"], INKS[4]),
                Area("sun", series["sun_kw"], INKS[1]),
            ],
            [Line("from the grid", series["import_kw"], INKS[0])],
            "Power balance", "kW", days,
        )
    )  # fmt: skip
    if homes:
        parts.append(
            _degrees(
                [(f"{label}: {home['name']}", home["values"]) for label, home in homes.items()],
                "Dwellings, by too cold",
                days,
            )
        )
    if series["zones_c"]:
        parts.append(_degrees(list(series["zones_c"].items())[:6], "Large zones", days))
    for tank, values in series["tank_c"].items():
        parts.append(_degrees([(f"{tank}, outlet", values), ("return", series["return_c"][tank])], "A tank", days))
    parts.append(_figure([], [Line("cars and bicycles", series["cars_kw"], INKS[3])], "Charging", "kW", days))
    if any(series["battery_kwh"]):
        parts.append(_figure([], [Line("stored", series["battery_kwh"], INKS[4])], "Battery", "kWh", days))
    parts.append(_figure([], [Line("of an imported kWh", series["price_per_kwh"], INKS[0])], "Price", "euro/kWh", days))
    parts.append(_degrees([("outdoors", series["outdoor_c"]), ("sea", series["seawater_c"])], "Weather", days))
    return "".join(parts)


def _day_marks(start: datetime, count: int) -> list[str]:
    days = max(math.ceil(count / 96), 1)
    if days == 1:
        return [(start + timedelta(minutes=15 * k)).strftime("%H:%M") for k in range(0, count, max(count // 6, 1))][:6]
    return [(start + timedelta(days=k)).strftime("%a %d %b") for k in range(days)]


def _degrees(lines: Sequence[tuple[str, Sequence[float]]], title: str, marks: Sequence[str]) -> str:
    """Temperatures: the axis begins near the lowest, not at zero."""
    base = 5 * math.floor(min(min(values) for _, values in lines) / 5)
    drawn = [Line(label, [v - base for v in values], INKS[k % 9]) for k, (label, values) in enumerate(lines)]
    return _figure([], drawn, title, "°C", marks, base=float(base))


def _figure(
    areas: Sequence[Area], lines: Sequence[Line], title: str, unit: str, marks: Sequence[str], base: float = 0.0
) -> str:
    chart = draw(areas, lines, title=title, description=f"{title}, {unit}")
    span = chart.ticks[0] - chart.ticks[-1]
    ticks = "".join(
        f'<span style="top:{100 * (chart.ticks[0] - t) / span:.1f}%">{t + base:g}</span>' for t in chart.ticks
    )
    entries = [(e.ink, e.label) for e in areas] + [(e.ink, e.label) for e in lines]
    legend = "".join(f'<span><i class="{ink}"></i>{escape(label)}</span>' for ink, label in entries)
    below = "".join(f"<span>{escape(m)}</span>" for m in marks)
    return (
        f"<figure><figcaption>{escape(title)}, {escape(unit)}</figcaption>"
        f'<div class="plot"><div class="ticks">{ticks}</div>'
        f'{Markup(chart.svg)}<div class="marks">{below}</div></div><div class="legend">{legend}</div></figure>'
    )
