"""A made-up site of a few weeks: one home whose figures can be reckoned by hand, and the hours before now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ems.assets import Battery, ChargePoint, Photovoltaic, Plant, Supply, Tank, WeatherStation
from ems.district import District
from ems.points import Quality, Sample
from ems.series import Floats
from ems.slots import SLOT, Slots, floor
from ems.store import Departure, Hold, People, Store, Trouble
from ems.store.questions import Answer, Case, Questions
from ems.store.requests import Handover
from tests.web.minute import NOW, decision, samples

HOME = "horizon/flat-0101"
LEAKING = "calanques/flat-0305"
DAYS = 70  # a whole month is among them
PEAK_KWH = 0.75  # at 19:30 local time, each day
BASE_KWH = 0.05


def local_hours(slots: Slots, zone: Any) -> Floats:
    local = [start.astimezone(zone) for start in slots]
    return np.array([at.hour + at.minute / 60 for at in local])


def used_kwh(slots: Slots, zone: Any) -> Floats:
    """Electricity per quarter-hour: a base load, and cooking that is highest from 19:30 to 19:45."""
    hours = local_hours(slots, zone)
    kwh = np.full(slots.count, BASE_KWH)
    kwh[(hours >= 6.5) & (hours < 8)] = 0.18
    kwh[(hours >= 12) & (hours < 13)] = 0.3
    kwh[(hours >= 18) & (hours < 22)] = 0.22
    kwh[hours == 19.5] = PEAK_KWH
    return kwh


def register(kwh: Floats, start: float) -> Floats:
    """Readings at the start of each slot of a meter that counts these amounts."""
    return start + np.concatenate([[0.0], np.cumsum(kwh)[:-1]])


def fill_home(store: Store, zone: Any, now: datetime = NOW, days: int = DAYS, *, gap: bool = False) -> None:
    """Weeks of one home until the last whole quarter-hour; with `gap`, four readings of this morning are missing."""
    count = 96 * days
    slots = Slots(floor(now) - count * SLOT, count)
    hours = local_hours(slots, zone)
    electricity = register(used_kwh(slots, zone), 1000.0)
    if gap:
        electricity[-16:-12] = np.nan
    warm = 20.2 + 0.6 * np.sin((hours - 9) / 24 * 2 * np.pi)
    store.save_series(
        [
            (f"{HOME}/energy_kwh", slots, electricity),
            (f"{HOME}/heat_energy_kwh", slots, np.floor(register(np.full(count, 0.09), 300.0))),
            (f"{HOME}/hot_water_m3", slots, np.floor(100 * register(np.full(count, 0.0012), 20.0)) / 100),
            (f"{HOME}/temperature_c", slots, np.round(warm, 1)),
            (f"{HOME}/setpoint_c", slots, np.where(hours >= 6, 20.0, 19.5)),
        ]
    )


def fill_surroundings(store: Store, district: District, zone: Any, now: datetime = NOW) -> None:
    """Weather and sun of the same weeks, and what the homes of one building used in the last whole month."""
    count = 96 * DAYS
    slots = Slots(floor(now) - count * SLOT, count)
    hours = local_hours(slots, zone)
    station = next(iter(district.of(WeatherStation)))
    outdoor = np.linspace(22.0, 12.0, count) + 4 * np.sin((hours - 9) / 24 * 2 * np.pi)
    series = [(f"{station}/outdoor_temperature_c", slots, np.round(outdoor, 1))]
    for i, name in enumerate(district.of(Photovoltaic)):
        bright = np.maximum(np.sin((hours - 7) / 12 * np.pi), 0.0) * ((hours > 7) & (hours < 19))
        series.append((f"{name}/energy_kwh", slots, np.round(register((5 + i) * bright, 5000.0), 1)))
    first, following = (
        datetime(NOW.year, month, 1, tzinfo=zone).astimezone(UTC) for month in (NOW.month - 1, NOW.month)
    )
    for home in (n for n in district.dwellings if n.startswith(HOME.partition("/")[0]) and n != HOME):
        for at, heat, water in ((first, 1000.0, 40.0), (following, 1200.0, 43.0)):
            day = Slots(at, 1)
            series.append((f"{home}/heat_energy_kwh", day, np.array([heat])))
            series.append((f"{home}/hot_water_m3", day, np.array([water])))
    store.save_series(series)


def fill(store: Store, district: District, zone: Any, now: datetime = NOW) -> None:
    """Everything that the pages show: a home, tanks, power of the last hours, decisions, and the latest values."""
    fill_home(store, zone, now, gap=True)
    fill_surroundings(store, district, zone, now)
    day = Slots(floor(now) - 96 * SLOT, 96)
    hours = local_hours(day, zone)
    series = []
    for i, tank in enumerate(district.of(Tank)):
        course = {
            "top_temperature_c": 59 + 2 * np.sin(hours + i),
            "bottom_temperature_c": 44 + 5 * np.sin(hours / 2 + i),
            "return_temperature_c": 52 + 1.2 * np.sin(hours * 2 + i) - (3 if i == 2 else 0),
            "mixed_temperature_c": 48 + np.sin(hours * 3 + i),
        }
        series += [(f"{tank}/{q}", day, np.round(v, 1)) for q, v in course.items()]
    recent = Slots(floor(now) - 20 * SLOT, 20)
    for name, asset in district.assets.items():
        if f"{name}/power_kw" in district.wires and name != HOME:
            kw = -3.0 if isinstance(asset, Photovoltaic) else 0.6
            kw = 0.0 if isinstance(asset, Battery | ChargePoint) else kw
            series.append((f"{name}/power_kw", recent, kw + 0.1 * np.sin(np.arange(20.0) / 5)))
    store.save_series(series)
    fill_past(store, district, zone, now)
    store.save_latest(unruly(district, now))
    store.alarms.raise_all(
        [
            Trouble("bus-silent", "mistral/homes", "mistral/homes does not answer: timed out"),
            Trouble("weather-absent", "", "no weather file"),
        ],
        now - timedelta(minutes=50),
    )
    for ago in (16, 2, 1, 0):
        record = decision(district, at=now - timedelta(minutes=4) - ago * SLOT)
        store.save_decision(record["slot"], record)


def fill_past(store: Store, district: District, zone: Any, now: datetime = NOW, days: int = 18) -> None:
    """Weeks of what managers look back at, until the last whole quarter-hour. By hand:

    each supply point buys 5 kW, and 6 between two and five in the last three nights; each plant makes 60 kW of heat
    from 20 kW, and in the last days plant-b from 40; one home of Les Calanques loses 12 l of cold water an hour in the
    last four nights; the third tank's return is at 49 degC for an hour each day, the first is pasteurised on one day.
    """
    count = 96 * days
    slots = Slots(floor(now) - count * SLOT, count)
    hours = local_hours(slots, zone)
    age = (count - np.arange(count)) / 96  # days before now
    night = (hours >= 2) & (hours < 5)
    series: list[tuple[str, Slots, Floats]] = []
    for name in district.of(Supply):
        kw = np.where(night & (age < 3), 6.0, 5.0)
        kw = np.where((hours == 19.5) & (age > 4) & (age < 5), 90.0, kw)
        older = kw.copy()
        older[-20:] = np.nan  # `fill` has these
        series += [(f"{name}/power_kw", slots, older), (f"{name}/energy_kwh", slots, register(kw / 4, 5000.0))]
    for i, name in enumerate(district.of(Plant)):
        kw = np.where((age < 2) & (i == 1), 40.0, 20.0)
        older = kw.copy()
        older[-20:] = np.nan
        series += [(f"{name}/{q}", slots, np.full(count, v)) for q, v in (
            ("heating_power_kw", 40.0), ("hot_water_power_kw", 20.0), ("cold_power_kw", 0.0), ("loop_entering_c", 16.0),
        )]  # fmt: skip
        starts = np.floor(register(kw / 200, 9.0))
        series += [(f"{name}/power_kw", slots, older), (f"{name}/starts_count", slots, starts)]
    before = Slots(slots.start, count - 96)  # `fill` has the last day of the tanks
    for i, name in enumerate(district.of(Tank)):
        cold = (i == 2) & (hours >= 4) & (hours < 5)
        warm = (i == 0) & (age > 6) & (age < 6.05)
        for q, row in (
            ("top_temperature_c", np.where(warm, 68.0, 58.0)),
            ("return_temperature_c", np.where(cold, 49.0, 52.0)),
            ("mixed_temperature_c", np.full(count, 47.0)),
        ):
            series.append((f"{name}/{q}", before, row[:-96]))
        series.append((f"{name}/pasteurisation_on", slots, warm * 1.0))
    flats = [n for n in district.dwellings if n.startswith("calanques/")]
    by_night = register(np.where(night, 0.0, 0.004), 30.0)
    leaking = register(np.where(night, np.where(age < 4, 0.003, 0.0), 0.004), 30.0)
    for name in flats:
        for q in ("cold_water_m3", "hot_water_m3"):
            row = leaking if (name, q) == (LEAKING, "cold_water_m3") else by_night
            series.append((f"{name}/{q}", slots, np.floor(100 * row) / 100))
    store.save_series(series)


def ask(people: People, folder: Path, now: datetime = NOW) -> None:
    """What people have asked: a message, a wish, a car that leaves, a hold, maintenance, a building handed back."""
    who, resident = ("chief", "manager"), ("a resident", "resident")
    account = people.account_of(people.invite("a driver", "resident", HOME, now), now)
    assert account is not None
    measured = {
        "start": (floor(now) - 96 * SLOT).isoformat(),
        "values": {f"{HOME}/temperature_c": [19.0 - i / 60 for i in range(96)], f"{HOME}/setpoint_c": [20.0] * 96},
    }
    number = people.tickets.open(HOME, "too cold", "Depuis ce matin.", measured, resident, now - timedelta(hours=3))
    assert number == 1
    people.tickets.open(HOME, "idea", "Un banc devant l'entrée, à l'ombre.", {}, resident, now - timedelta(hours=2))
    people.tickets.answer(2, "Merci, nous en parlons à la prochaine réunion.", None, who, now - timedelta(hours=1))
    leaves = now + timedelta(hours=14)
    people.asked.depart(
        Departure("parking/point-04", account.id, 80, 16.0, 0.0, False, now, leaves), resident, HOME, now
    )
    people.asked.hold(
        Hold("parking/battery/power_setpoint_kw", 0.0, "chief", "essai des onduleurs", now, now + timedelta(hours=4)),
        "manager",
    )
    people.asked.take_out("jardins/tank", "détartrage", who, now - timedelta(days=1))
    wonder(folder, now)
    Handover(folder).give("shops", "chief", now - timedelta(minutes=20), "travaux de l'enseigne")


def wonder(folder: Path, now: datetime = NOW) -> None:
    """Three questions of managers: one answered (50 euro and 12 kg more), one that failed, one that waits."""
    questions = Questions(folder)
    start, day = floor(now), np.arange(192) / 96
    cases = {
        name: Case(
            terms={"energy": 2400.0 + more, "network": 1070.0, "stores": -800.0, "comfort": more / 5},
            bought_kwh=21_000 - 4 * more, sold_kwh=120.0, peak_kw=600.0 - more, carbon_kg=1090.0 + 0.24 * more,
            short_euro=more / 5, grid_kw=np.round(450 + (150 - more) * np.sin(day * 2 * np.pi), 1).tolist(),
        )
        for name, more in (("now", 0.0), ("asked", 50.0))
    }  # fmt: skip
    questions.ask("price", "", 1.2, "chief", now - timedelta(hours=1))
    questions.answer(1, Answer(now, 44.0, start, 15, 0.8, cases))
    questions.ask("plant", "plant-a/heat-pumps", 0.0, "chief", now - timedelta(minutes=30))
    questions.answer(2, Answer(now, 600.0, trouble="no answer within 600 s"))
    until = now + timedelta(hours=4)
    questions.ask("hold", "parking/battery/power_setpoint_kw", 12.5, "chief", now, until, "essai des onduleurs")


def unruly(district: District, now: datetime = NOW) -> dict[str, Sample]:
    """The latest values, with homes that are cold, warm and silent, and a tank whose return is too cold."""
    shown = samples(district, now)
    at = now - timedelta(seconds=30)
    readable = [n for n, d in district.dwellings.items() if d.thermostat and n != HOME]
    for i, name in enumerate(readable[:9]):
        wish, warm, heat = 20.0, 17.1 + 0.2 * i, (0.0, 1.1, 9.0)[i % 3]
        shown[f"{name}/setpoint_c"] = Sample(wish, Quality.GOOD, at)
        shown[f"{name}/temperature_c"] = Sample(warm, Quality.GOOD, at)
        shown[f"{name}/heat_power_kw"] = Sample(heat, Quality.GOOD, at)
    shown[f"{readable[9]}/temperature_c"] = Sample(27.4, Quality.GOOD, at)
    shown[f"{readable[10]}/temperature_c"] = Sample(None, Quality.UNREACHABLE, at)
    for tank in district.of(Tank):
        shown[f"{tank}/bottom_temperature_c"] = Sample(44.0, Quality.GOOD, at)
        shown[f"{tank}/return_temperature_c"] = Sample(51.2, Quality.GOOD, at)
        shown[f"{tank}/mixed_temperature_c"] = Sample(48.1, Quality.GOOD, at)
    third = list(district.of(Tank))[2]
    shown[f"{third}/return_temperature_c"] = Sample(48.6, Quality.GOOD, at)
    return shown
