"""`ems forecast backtest FILE`: forecasts of measured series as they would have been made, against what came.

A file has a column of UTC instants and one column per series (`*_kw`); columns `temp_air_c` and `*_wm2` are weather and
serve as a perfect weather forecast, which the report says. A site's own database (`site.db`) serves as well: its
metered powers, and what its weather station measured. Each origin knows only what lies before it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from markupsafe import escape
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ems.forecast.experience import Experience
from ems.forecast.protocol import forecast_many
from ems.series import Floats
from ems.slots import SLOT, Slots, floor
from ems.store import Store, StoreError

QUANTILES = (0.1, 0.5, 0.9)
HORIZON_H = 48
DATABASES = (".db", ".sqlite")
WEATHER = {"weather/outdoor_temperature_c": "temp_air_c", "weather/irradiance_w_per_m2": "ghi_wm2"}
ENOUGH_WEATHER = 0.7  # of the slots, measured
APART_H = 27  # between origins, so that they walk through the day
HISTORY_DAYS = 400
FANS = 6  # origins drawn for each series
WIDTH, HEIGHT = 720, 180

app = typer.Typer(help="Forecasts: how good they would have been.", no_args_is_help=True)
out, err = Console(), Console(stderr=True, soft_wrap=True)


@app.callback()
def _forecast() -> None:
    """Forecasts: how good they would have been."""


@dataclass(frozen=True)
class Trial:
    """One forecast of one series and what came: instants of the slots, quantiles [3, N], truth and last week [N]."""

    at: pd.DatetimeIndex
    quantiles: Floats
    truth: Floats
    last_week: Floats
    model: str


@dataclass(frozen=True)
class Score:
    """Of one series over all its trials; shares of the mean magnitude, `skill` is 1 - error / error of last week."""

    series: str
    error: float
    skill: float
    pinball: float
    coverage: float
    model: str


class UnfitFileError(ValueError):
    """A file that no backtest can be made of."""


def read_series(file: Path) -> pd.DataFrame:
    """The series and weather of a Parquet or CSV file on one UTC grid. Raises UnfitFileError."""
    if not file.is_file():
        raise UnfitFileError(f"{file} is no file; give a Parquet or CSV file, or a site's site.db")
    try:
        table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, index_col=0)
        index = pd.DatetimeIndex(pd.to_datetime(table.index, utc=True))
    except (OSError, ValueError, TypeError) as error:
        raise UnfitFileError(f"{file} cannot be read as instants and values: {error}") from error
    table = table.set_axis(index).select_dtypes("number").sort_index()
    table = table[~table.index.duplicated()]
    if not any(str(c).endswith("_kw") for c in table):
        raise UnfitFileError(
            f"{file} has no column that ends in _kw; it has {', '.join(map(str, table.columns)) or 'no numbers'}"
        )
    step = pd.Series(table.index).diff().mode()
    minutes = int(step.iloc[0].total_seconds() // 60) if len(step) else 0
    if minutes < 1 or 60 % minutes:
        raise UnfitFileError(f"{file} has a step of {minutes} minutes; steps divide an hour")
    return table.asfreq(f"{minutes}min")


def read_store(file: Path, only: str, *, sun: bool) -> pd.DataFrame:
    """The powers that a site's database keeps whose names hold `only`, and its weather. Raises UnfitFileError.

    Powers are those that flow into an asset; with `sun` those of photovoltaic arrays, turned round.
    """
    if not file.exists():
        raise UnfitFileError(f"{file} does not exist; a site keeps it in its folder, var/site/site.db by default")
    try:
        with Store.read_only(f"sqlite:///{file}") as store:
            newest = store.latest()
            names = sorted(p for p in newest if p.endswith("/power_kw") and only in p)
            if not names:
                raise UnfitFileError(f"{file} keeps no power whose name holds {only!r}")
            weather = {column: p for p in sorted(newest) for end, column in WEATHER.items() if p.endswith(end)}
            end = floor(max(s.at for s in newest.values()))
            slots = Slots(end - HISTORY_DAYS * 96 * SLOT, HISTORY_DAYS * 96)
            values = store.history([*names, *weather.values()], slots).values
    except StoreError as error:
        raise UnfitFileError(f"{file} cannot be read: {error}") from error
    index = pd.date_range(slots.start, periods=slots.count, freq=SLOT)
    columns = {p.replace("/power_kw", "_kw"): values[p] for p in names}
    columns = {n: -v if sun else v for n, v in columns.items() if np.isfinite(v).any()}
    if not columns:
        raise UnfitFileError(f"{file} keeps no quarter-hours of {', '.join(names[:5])}")
    known = np.flatnonzero(np.isfinite(np.stack(list(columns.values()))).any(axis=0))
    heard = {c: values[p] for c, p in weather.items() if np.isfinite(values[p][known[0] :]).mean() > ENOUGH_WEATHER}
    return pd.DataFrame(columns | heard, index=index).iloc[known[0] : known[-1] + 1]


def origins(count: int, per_day: int, horizon: int, blocks: int, per_block: int) -> list[int]:
    """Slots at which forecasts are made: blocks over the last 60 % of the series, origins 27 h apart in each."""
    apart = APART_H * per_day // 24
    first, last = max(count * 2 // 5, 28 * per_day), count - horizon - per_block * apart
    if last < first:
        raise UnfitFileError(f"{count // per_day} days are too short; give at least 60, or fewer origins a block")
    return [int(s) + k * apart for s in np.linspace(first, last, blocks) for k in range(per_block)]


def trials(table: pd.DataFrame, kind: str, tz: str, begins: list[int], progress: bool) -> dict[str, list[Trial]]:
    """What was forecast at each origin and what came, by series."""
    index = pd.DatetimeIndex(table.index)
    step = index[1] - index[0]
    per_day, horizon = pd.Timedelta(days=1) // step, pd.Timedelta(hours=HORIZON_H) // step
    names = [str(c) for c in table if str(c).endswith("_kw")]
    weather = [str(c) for c in table if c == "temp_air_c" or str(c).endswith("_wm2")]
    experience = Experience()
    found: dict[str, list[Trial]] = {n: [] for n in names}
    for begin in track(begins, "forecasting", console=err, disable=not progress):
        past, ahead = table.iloc[max(0, begin - HISTORY_DAYS * per_day) : begin], table.iloc[begin : begin + horizon]
        histories = {}
        for name in names:
            history = past[[name, *weather]].rename(columns={name: "y"})
            history.attrs = {"series_id": name, "kind": kind, "tz": tz, "step_min": step // pd.Timedelta(minutes=1)}
            histories[name] = history
        made = forecast_many(histories, dict.fromkeys(names, ahead[weather]), horizon, QUANTILES, experience)
        for name in names:
            values = table[name].to_numpy(dtype=float)
            at = np.arange(begin, begin + horizon)
            naive = values[at - 7 * per_day]
            frame = made[name]
            found[name].append(
                Trial(index[at], frame[list(QUANTILES)].to_numpy().T, values[at], naive, str(frame.attrs["model"]))
            )
    return found


def score(name: str, made: list[Trial]) -> Score | None:
    """None where nothing was measured to compare with."""
    truth, naive = (np.concatenate([getattr(t, k) for t in made]) for k in ("truth", "last_week"))
    quantiles = np.concatenate([t.quantiles for t in made], axis=1)
    known = np.isfinite(truth) & np.isfinite(naive)
    mean = np.abs(truth[known]).mean() if known.any() else 0.0
    if mean == 0:
        return None
    truth, naive, quantiles = truth[known], naive[known], quantiles[:, known]
    error = float(np.abs(truth - quantiles[1]).mean())
    levels = np.array(QUANTILES)[:, None]
    miss = truth - quantiles
    pinball = float(np.maximum(levels * miss, (levels - 1) * miss).mean())
    inside = float(((truth >= quantiles[0]) & (truth <= quantiles[2])).mean())
    naive_error = float(np.abs(truth - naive).mean())
    skill = 1 - error / naive_error if naive_error > 0 else 0.0
    return Score(name, error / mean, skill, pinball / mean, inside, made[-1].model)


def calibration(made: list[Trial]) -> list[float]:
    """The share of the truth below each quantile: as large as the quantile, when it is honest."""
    truth = np.concatenate([t.truth for t in made])
    quantiles = np.concatenate([t.quantiles for t in made], axis=1)
    known = np.isfinite(truth)
    return [float((truth[known] < q[known]).mean()) if known.any() else float("nan") for q in quantiles]


def report(file: Path, scores: list[Score], found: dict[str, list[Trial]]) -> str:
    """One page that needs nothing else: the table, a fan of quantiles for some origins of each series, calibration."""
    rows = "".join(
        f"<tr><td>{escape(s.series)}<td>{s.error:.3f}<td>{s.skill:.0%}<td>{s.pinball:.4f}<td>{s.coverage:.0%}"
        f"<td>{escape(s.model)}"
        for s in scores
    )
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Forecasts of {escape(file.name)}</title><style>{STYLE}</style>",
        f"<h1>Forecasts of {escape(file.name)}</h1>",
        f"<p>{HORIZON_H} h ahead, made as if at {sum(len(t) for t in found.values())} origins and compared with what "
        "came. Weather in the file served as a perfect weather forecast. Error and pinball loss are shares of the "
        "mean; skill is against the same time last week; 80 % should lie within the band. Times are UTC.</p>",
        "<div class=scroll><table><thead><tr><th>series<th>error<th>skill<th>pinball<th>in the band<th>model"
        f"</thead>{rows}</table></div>",
    ]
    for name, made in found.items():
        below = calibration(made)
        said = ", ".join(f"{b:.0%} below the {q:.0%} quantile" for q, b in zip(QUANTILES, below, strict=True))
        parts.append(f"<h2>{escape(name)}</h2><p>Of what came, {said}.</p>")
        for trial in made[:: max(1, len(made) // FANS)][:FANS]:
            parts.append(f"<figure>{fan(trial)}<figcaption>from {trial.at[0]:%Y-%m-%d %H:%M}: {escape(trial.model)}"
                         "</figcaption></figure>")  # fmt: skip
    return "\n".join(parts)


def fan(trial: Trial) -> str:
    """Band, median and truth as SVG."""
    low, median, high = trial.quantiles
    values = np.concatenate([trial.quantiles.ravel(), trial.truth[np.isfinite(trial.truth)], [0.0]])
    top, bottom = float(values.max()), float(values.min())
    x = np.linspace(0, WIDTH, len(median))

    def drawn(series: Floats) -> list[str]:
        y = (top - series) / max(top - bottom, 1e-9) * HEIGHT
        return [f"{a:.0f},{b:.0f}" for a, b in zip(x, y, strict=True) if np.isfinite(b)]

    band = " ".join(drawn(low) + drawn(high)[::-1])
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='from {bottom:.3g} to {top:.3g} kW'>"
        f"<polygon class=band points='{band}'/><polyline class=median points='{' '.join(drawn(median))}'/>"
        f"<polyline class=truth points='{' '.join(drawn(trial.truth))}'/></svg>"
        f"<span class=axis>{bottom:.3g} to {top:.3g} kW; band 10-90 %, dashed median, dark what came</span>"
    )


STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#10161f;--quiet:#4d5664;--rule:#c9cfd8;--band:#bcd9ea;--median:#04587c}
@media (prefers-color-scheme:dark){:root{--paper:#10161f;--ink:#e8edf2;--quiet:#aab4c2;--rule:#3a4452;--band:#1d4a63;
--median:#6aa9ff}}
body{font:1rem/1.45 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;background:var(--paper);
color:var(--ink);font-variant-numeric:tabular-nums}p,figcaption,.axis{color:var(--quiet)}figure{margin:0 0 1.2rem}
.axis{font-size:.85rem}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .6rem;border-top:1px solid var(--rule)}svg{width:100%;height:auto;display:block}
.band{fill:var(--band)}.median,.truth{fill:none;stroke-width:1.5}.median{stroke:var(--median);stroke-dasharray:5 3}
.truth{stroke:var(--ink)}
"""


@app.command()
def backtest(
    file: Annotated[
        Path,
        typer.Argument(
            help="Parquet or CSV (UTC instants, series *_kw, weather temp_air_c, *_wm2), or a site's site.db."
        ),
    ],
    kind: Annotated[str, typer.Option(help="What the series are: load, heat or pv.")] = "load",
    tz: Annotated[str, typer.Option("--time-zone", help="Whose wall clock people live by.")] = "Europe/Paris",
    only: Annotated[str, typer.Option(help="Of a database, only points whose names hold this.")] = "",
    blocks: Annotated[int, typer.Option(min=1, help="Stretches over the last 60 % of the file.")] = 3,
    per_block: Annotated[int, typer.Option(min=1, help="Origins in each, 27 h apart.")] = 4,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write a page with charts here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON and nothing else.")] = False,
) -> None:
    """Forecast a file's series as if at past origins, and compare with what came."""
    if kind not in ("load", "heat", "pv"):
        raise typer.BadParameter(f"{kind!r} is not known; give load, heat or pv", param_hint="--kind")
    try:
        sun = kind == "pv"
        table = read_store(file, only, sun=sun) if file.suffix in DATABASES else read_series(file)
        step = table.index[1] - table.index[0]
        per_day, horizon = pd.Timedelta(days=1) // step, pd.Timedelta(hours=HORIZON_H) // step
        begins = origins(len(table), per_day, horizon, blocks, per_block)
    except UnfitFileError as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from error
    found = trials(table, kind, tz, begins, progress=not as_json)
    scores = [s for s in (score(n, t) for n, t in found.items()) if s is not None]
    if report_file is not None:
        report_file.write_text(report(file, scores, found), encoding="utf-8")
    if as_json:
        answer: dict[str, Any] = {"origins": len(begins), "series": [asdict(s) for s in scores]}
        out.print(json.dumps(answer), soft_wrap=True, highlight=False, markup=False)
        return
    shown = Table("series", "error", "skill", "pinball", "in the band", "model")
    for s in scores:
        shown.add_row(s.series, f"{s.error:.3f}", f"{s.skill:.0%}", f"{s.pinball:.4f}", f"{s.coverage:.0%}", s.model)
    out.print(shown)
    if report_file is not None:
        out.print(f"Charts: {report_file}")
