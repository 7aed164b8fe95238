"""What the district needs forecast, what its history says of each, and the forecast itself.

Three kinds of quantity are expected: what is metered (loads, homes), what is reckoned from meters (heat drawn from a
tank, heat of people and equipment) and what the sky decides (weather, photovoltaics). Missing values stay missing all
the way; a building's sum is scaled up when at least half of its flats answered, and missing below that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from ems.assets import BaseLoad, Dwelling, Photovoltaic, Tank, Zone
from ems.district import District
from ems.forecast import sun, typical
from ems.forecast.calendar import Calendar, calendar, closed_on, on_days
from ems.forecast.experience import Experience
from ems.forecast.features import TEMPERATURE
from ems.forecast.learn import LEAST_DAYS
from ems.forecast.models import LONGEST_DAYS, Past, like_days
from ems.forecast.race import ENVELOPE, Outlook, race
from ems.forecast.routine import looked_up
from ems.forecast.sky import IRRADIANCE, OUTDOOR, clear_sky, weather_forecasts, weather_points
from ems.forecast.suspect import cleaned
from ems.series import Floats, Forecast, History, scaled_sum
from ems.slots import Slots, as_utc

HISTORY_DAYS = LONGEST_DAYS
MOST_DRAW_M3 = 0.6  # a flat's hot water in a slot; more is a meter exchange, not a bath
ENOUGH_FLATS = 0.5
ENOUGH_WEATHER = 0.7  # of the past, measured, before weather is learnt from
REFIT_AFTER = timedelta(hours=20)  # once a day
SILENT_H = 24.0  # a meter that has said nothing for so long is named
GAINS_SPREAD = 0.25  # of the gains: what no meter tells (assumption)
TANK_SENSORS = ("top_temperature_c", "middle_temperature_c", "bottom_temperature_c")


def history_points(district: District) -> list[str]:
    """The wired points whose past `forecast` uses, each once."""
    wanted = [*weather_points(district).values()]
    wanted += [load.point("power_kw") for load in district.of(BaseLoad).values()]
    for array in district.of(Photovoltaic).values():
        wanted += [array.point("power_kw"), array.point("limit_share")]
    metered = _homes(district)
    for tank in district.of(Tank).values():
        if tank.building in metered:
            wanted += [
                tank.point("top_temperature_c"),
                *(home.point("hot_water_m3") for home in metered[tank.building]),
            ]
        else:
            wanted += [tank.point(q) for q in ("charge_power_kw", "heater_on", *TANK_SENSORS)]
    for homes in metered.values():
        wanted += [home.point("power_kw") for home in homes]
    return [point for point in dict.fromkeys(wanted) if point in district.wires]


class _Meter(NamedTuple):
    """One row of the race: the point it is for, its past, and its climatology over past and horizon."""

    point: str
    past: Floats
    typical: Floats


def forecast(
    district: District,
    history: History,
    weather: Mapping[str, Forecast],
    slots: Slots,
    issued_at: datetime,
    experience: Experience | None = None,
) -> dict[str, Forecast]:
    """What is expected over `slots`, by point, knowing nothing after `issued_at`.

    `experience` is what was learnt so far; it learns anew once a day. Without it only the naive models race.

    Keys: weather points; `power_kw` of each base load, photovoltaic array (<= 0) and each building's `homes`; `draw_kw`
    of each tank (useful heat); `gains_kw` of each zone and each building's `homes` (people and equipment, without sun).
    `history` may lack points, slots and everything. Raises ValueError when the two grids do not fit.
    """
    issued_at = as_utc(issued_at)
    seen = _Seen(history, slots, issued_at)
    whole = calendar(seen.whole, district.place.time_zone)
    target = calendar(slots, district.place.time_zone)
    sky = clear_sky(district.place, whole)
    made = weather_forecasts(
        district, weather, {p: seen.of(p) for p in weather_points(district).values()}, whole, seen.known, target,
        issued_at, sky,
    )  # fmt: skip

    meters = _meters(district, seen, whole)
    if meters:
        per_day = whole.per_day
        believed = [cleaned(m.past, per_day) if len(m.past) else (m.past, []) for m in meters]
        outside = _outside(district, seen, made)
        past = Past(np.stack([b for b, _ in believed]), whole, np.stack([m.typical for m in meters]), outside)
        outlooks = race(past, np.arange(seen.first, seen.first + slots.count), known=seen.known)
        if experience is not None and seen.known == seen.first:
            outlooks = _learnt(experience, meters, past, outlooks, slots.count)
        outlooks = _shut(district, history.closed, meters, past, outlooks, seen)
        for meter, outlook, (_, found) in zip(meters, outlooks, believed, strict=True):
            strange = "; ".join(f for f in found if f != "no value is known")
            made[meter.point] = Forecast(
                meter.point, issued_at, slots, outlook.low, outlook.median, outlook.high,
                outlook.model + (f" (not believed: {strange})" if strange else ""), seen.silence(meter.past),
            )  # fmt: skip
        made |= _gains(district, meters, outlooks, whole, target, issued_at, history.closed)
    made |= _generation(district, seen, whole, target, made, issued_at, sky)
    return made


def _outside(district: District, seen: _Seen, made: Mapping[str, Forecast]) -> dict[str, Floats]:
    """Outdoor temperature [1, L], measured and then expected; nothing where too little of it was measured."""
    point = weather_points(district).get(OUTDOOR.name)
    if point is None:
        return {}
    measured = seen.of(point)
    if not len(measured) or np.isfinite(measured).mean() < ENOUGH_WEATHER:
        return {}
    whole = pd.Series(np.concatenate([measured, made[point].median])).interpolate(limit_direction="both")
    return {TEMPERATURE: whole.to_numpy()[None, :]}


def _learnt(
    experience: Experience, meters: list[_Meter], past: Past, raced: list[Outlook], count: int
) -> list[Outlook]:
    """The outlooks of what was learnt, where that beat the naive models on the meter's own last days."""
    key = (*(m.point for m in meters), past.calendar.slots.minutes, *past.weather)
    spoken = np.flatnonzero(np.isfinite(past.values).sum(axis=1) >= LEAST_DAYS * past.calendar.per_day)
    if not len(spoken):
        return raced
    group = past.only([int(k) for k in spoken])
    learnt, made = looked_up(experience, (*key, *(int(k) for k in spoken)), group, count, REFIT_AFTER)
    if made is None or isinstance(learnt, str):
        return raced
    outlooks = list(raced)
    for row, k in enumerate(spoken):
        if not learnt.skill[row] > 0:
            continue
        seen = group.values[row][np.isfinite(group.values[row])]
        low, median, high = np.clip(np.sort(made[:, row], axis=0), 0.0, ENVELOPE * max(float(seen.max()), 0.0))
        skill = f"{learnt.skill[row]:.0%} better than naive"
        model = "; ".join(x for x in (f"{learnt.model(row)}, {skill}", learnt.missing) if x)
        outlooks[int(k)] = Outlook(low, median, high, model, raced[int(k)].loss)
    return outlooks


def _shut(
    district: District,
    closed: Mapping[str, frozenset[date]],
    meters: list[_Meter],
    past: Past,
    outlooks: list[Outlook],
    seen: _Seen,
) -> list[Outlook]:
    """On days on which a room stays shut its load is that of the last Sundays, holidays and closed days.

    The quantiles keep their distance from the median, in shares of it.
    """
    found = list(outlooks)
    rooms = district.of(Zone)
    for name, days in closed.items():
        room = rooms.get(name)
        shut = on_days(past.calendar, days)
        if room is None or not shut[seen.first :].any():
            continue
        for load in district.of(BaseLoad).values():
            if (load.building, load.use) != (room.building, room.use):
                continue
            k = next(i for i, meter in enumerate(meters) if meter.point == load.point("power_kw"))
            calendar_of_it = closed_on(past.calendar, shut)
            usual = typical.base_load_kw(load, calendar_of_it)[None, :]
            alone = replace(past.only([k]), calendar=calendar_of_it, typical=usual)
            targets = np.arange(seen.first, seen.whole.count)
            median = like_days(alone, seen.known, targets)[0]
            before, there = found[k], shut[seen.first :]
            share = np.where(before.median > 0, median / np.maximum(before.median, 1e-9), 1.0)
            low, middle, high = (
                np.where(there, now, then)
                for now, then in (
                    (np.minimum(before.low * share, median), before.low),
                    (median, before.median),
                    (np.maximum(before.high * share, median), before.high),
                )
            )
            found[k] = Outlook(low, middle, high, f"{before.model}; closed days as Sundays", before.loss)
    return found


class _Seen:
    """The history on one grid with the horizon behind it, cut at the instant of issue.

    Slot 0 is the first of the past, `known` the first that may not be used, `first` the first of the horizon.
    """

    def __init__(self, history: History, slots: Slots, issued_at: datetime) -> None:
        if history.slots.minutes != slots.minutes:
            raise ValueError(
                f"history has slots of {history.slots.minutes} minutes, the horizon of {slots.minutes}; use one grid"
            )
        step = slots.minutes * 60
        begin, start = int(history.slots.start.timestamp()), int(slots.start.timestamp())
        if (start - begin) % step:
            raise ValueError(
                f"history begins at {history.slots.start.isoformat()}, off the grid of {slots.start.isoformat()}"
            )
        oldest = start - (HISTORY_DAYS + 1) * 86400
        self.skipped = max(oldest - begin, 0) // step
        self.step_s = step
        begin = min(max(begin, oldest), start)
        self.first = (start - begin) // step
        self.whole = Slots(
            datetime.fromtimestamp(begin, tz=slots.start.tzinfo), self.first + slots.count, slots.minutes
        )
        # A slot is known when it has ended; the horizon itself is never known.
        self.known = max(min((int(issued_at.timestamp()) - begin) // step, self.first), 0)
        self._history = history

    def of(self, point: str) -> Floats:
        """The past of a point, [first]; NaN where nothing is known."""
        values = np.full(self.first, np.nan)
        given = self._history.values.get(point)
        if given is not None:
            part = given[self.skipped :][: self.known]
            values[: len(part)] = np.where(np.isfinite(part), part, np.nan)
        return values

    def silence(self, past: Floats) -> str:
        """In words, that a meter which has spoken says nothing any more; "" otherwise, and at a cold start."""
        spoken = np.flatnonzero(np.isfinite(past))
        if not len(spoken):
            return ""
        hours = (self.known - 1 - spoken[-1]) * self.step_s / 3600
        return f"no measured value for {hours:.0f} h" if hours >= SILENT_H else ""


def _homes(district: District) -> dict[str, list[Dwelling]]:
    found: dict[str, list[Dwelling]] = {}
    for home in district.dwellings.values():
        found.setdefault(home.building, []).append(home)
    return found


def _meters(district: District, seen: _Seen, whole: Calendar) -> list[_Meter]:
    homes = _homes(district)
    meters = [
        _Meter(load.point("power_kw"), seen.of(load.point("power_kw")), typical.base_load_kw(load, whole))
        for load in district.of(BaseLoad).values()
    ]
    for building, flats in homes.items():
        # The sum is kept as such where homes are asked before anything of theirs is.
        point = f"{building}/homes/power_kw"
        metered = np.stack([seen.of(f.point("power_kw")) for f in flats])
        past, summed = seen.of(point), scaled_sum(metered, ENOUGH_FLATS)
        meters.append(_Meter(point, np.where(np.isfinite(past), past, summed), typical.homes_kw(flats, whole)))
    for tank in district.of(Tank).values():
        flats = homes.get(tank.building, [])
        draw = _metered_draw_kw(tank, flats, seen, whole) if flats else _balanced_draw_kw(tank, seen)
        usual = typical.draw_kw(tank, district.buildings[tank.building].use, whole)
        meters.append(_Meter(tank.point("draw_kw"), draw, usual))
    return meters


def _metered_draw_kw(tank: Tank, flats: list[Dwelling], seen: _Seen, whole: Calendar) -> Floats:
    """Useful heat of a building's hot water from its flats' meters, kW: volume x 1.163 kWh/m3K x (hot - cold).

    Hot is the tank's top as measured (60 degC where it was not), cold the mains water of the season. Counters are read
    at the start of each slot; one that goes back or leaps was exchanged, and says nothing there.
    """
    counted = np.stack([seen.of(f.point("hot_water_m3")) for f in flats])
    drawn = np.full_like(counted, np.nan)
    drawn[:, :-1] = np.diff(counted, axis=1)
    drawn[(drawn < 0) | (drawn > MOST_DRAW_M3)] = np.nan
    hot_c = seen.of(tank.point("top_temperature_c"))
    hot_c = np.where(np.isfinite(hot_c), hot_c, typical.HOT_WATER_C)
    heat_per_m3 = typical.WATER_KWH_PER_M3_K * (hot_c - typical.cold_water_c(tank, whole)[: seen.first])
    return np.asarray(scaled_sum(drawn, ENOUGH_FLATS) * np.maximum(heat_per_m3, 0) * 3600 / seen.step_s)


def _balanced_draw_kw(tank: Tank, seen: _Seen) -> Floats:
    """Useful heat drawn from a tank without meters behind it, kW: what went in and did not stay or get lost.

    Charge and heater, less recirculation and standing losses, less the change of stored heat by three temperatures,
    smoothed over five slots because sensors are coarse.
    """
    stored_kwh = (
        tank.volume_m3 * typical.WATER_KWH_PER_M3_K * np.mean([seen.of(tank.point(q)) for q in TANK_SENSORS], axis=0)
    )
    change_kw = np.full(len(stored_kwh), np.nan)
    if len(stored_kwh) > 2:
        change_kw[1:-1] = (stored_kwh[2:] - stored_kwh[:-2]) / 2 * 3600 / seen.step_s
    heater_kw = tank.heater_kw * seen.of(tank.point("heater_on")) if tank.heater_kw > 0 else 0.0
    losses_kw = tank.recirculation_loss_kw + tank.standing_loss_kw
    draw: Floats = seen.of(tank.point("charge_power_kw")) + heater_kw - losses_kw - change_kw
    finite = np.isfinite(draw)
    window = np.ones(min(5, max(len(draw), 1)))
    if not len(draw):
        return draw
    total = np.convolve(np.where(finite, draw, 0.0), window, "same")
    count = np.convolve(finite.astype(float), window, "same")
    return np.asarray(np.where(finite, np.maximum(total / np.maximum(count, 1), 0), np.nan))


def _gains(
    district: District,
    meters: list[_Meter],
    outlooks: list[Outlook],
    whole: Calendar,
    target: Calendar,
    issued_at: datetime,
    closed: Mapping[str, frozenset[date]],
) -> dict[str, Forecast]:
    """Heat of people and equipment. Nobody measures it; electricity is its witness.

    A zone's design gains are scaled by what the building's own load of the same use takes against its climatology (an
    office that is half empty in August takes less); a home's appliances warm as they are used.
    """
    expected = {meter.point: (meter, outlook) for meter, outlook in zip(meters, outlooks, strict=True)}
    made = {}
    begin = whole.slots.count - target.slots.count
    loads = district.of(BaseLoad).values()
    for zone in district.of(Zone).values():
        design = typical.zone_gains_kw(zone, target, on_days(target, closed.get(zone.name, frozenset())))
        witness = next((x for x in loads if x.building == zone.building and x.use == zone.use), None)
        share, model = 1.0, "timetable"
        if witness is not None:
            meter, outlook = expected[witness.point("power_kw")]
            if np.isfinite(meter.past).any():
                share = float(np.clip(outlook.median.sum() / meter.typical[begin:].sum(), 0.4, 1.5))
                model = "timetable and electricity"
        made[zone.point("gains_kw")] = _spread(zone.point("gains_kw"), design * share, target, issued_at, model)
    for building, flats in _homes(district).items():
        _, outlook = expected[f"{building}/homes/power_kw"]
        point = f"{building}/homes/gains_kw"
        gains = typical.homes_gains_kw(flats, target, outlook.median / typical.homes_mean_kw(flats))
        made[point] = _spread(point, gains, target, issued_at, "presence and electricity")
    return made


def _spread(point: str, median: Floats, target: Calendar, issued_at: datetime, model: str) -> Forecast:
    return Forecast(
        point, issued_at, target.slots, median * (1 - GAINS_SPREAD), median, median * (1 + GAINS_SPREAD), model
    )


def _generation(
    district: District,
    seen: _Seen,
    whole: Calendar,
    target: Calendar,
    made: Mapping[str, Forecast],
    issued_at: datetime,
    sky: pd.DataFrame,
) -> dict[str, Forecast]:
    """Photovoltaic arrays; without a weather station the usual clearness of the place."""
    arrays = district.of(Photovoltaic)
    if not arrays:
        return {}
    begin = seen.first
    ahead = sky.iloc[begin:].reset_index(drop=True)
    clear = sky["ghi"].to_numpy()
    point = weather_points(district).get(IRRADIANCE)
    irradiance = made[point] if point is not None else _usual_sun(ahead["ghi"].to_numpy(), target, issued_at)
    measured = seen.of(point) if point is not None else np.full(begin, np.nan)
    now = sun.clearness_now(measured, clear[:begin], seen.known, 60 // target.slots.minutes)
    lead_h = np.asarray((np.arange(target.slots.count) + begin - seen.known + 0.5) * target.slots.hours)
    ghi = sun.blended_ghi(irradiance, clear[begin:], now, lead_h)
    behind = calendar(Slots(seen.whole.start, max(begin, 1), seen.whole.minutes), district.place.time_zone)
    forecasts = {}
    for array in arrays.values():
        share = None
        if begin:
            share = sun.learnt_share(
                array,
                seen.of(array.point("power_kw")),
                seen.of(array.point("limit_share")),
                measured,
                sky.iloc[:begin],
                behind,
            )
        low, median, high = sun.generation_kw(array, ghi, ahead, target, share)
        model = "plane of array" if share is None else f"plane of array x {share:.2f} learnt"
        forecasts[array.point("power_kw")] = Forecast(
            array.point("power_kw"), issued_at, target.slots, low, median, high, model, irradiance.fallback
        )
    return forecasts


def _usual_sun(clear: Floats, target: Calendar, issued_at: datetime) -> Forecast:
    return Forecast(
        "sky/weather/irradiance_w_per_m2", issued_at, target.slots, 0.35 * clear, 0.8 * clear, clear,
        "climatology", "the district has no weather station",
    )  # fmt: skip
