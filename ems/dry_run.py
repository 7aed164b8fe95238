"""A plan that is only looked at: from the last readings of a running site, or from the simulated district."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from ems.district import District
from ems.estimate import sessions
from ems.feeds import Absent, read_weather_file
from ems.forecast import forecast, history_points
from ems.loop.asked import Wanted
from ems.loop.control import HISTORY
from ems.loop.people import wanted
from ems.loop.site import Site
from ems.optimise import AT_LENGTH, Effort, Plan, plan
from ems.series import Forecast, History
from ems.simulate.direct import DirectField
from ems.simulate.past import past
from ems.simulate.plant import World
from ems.simulate.scenario import read_scenario
from ems.simulate.weather import Weather
from ems.slots import SLOT, Slots, floor
from ems.snapshot import Snapshot
from ems.store import Asked, Store

PAST_DAYS = 2  # of the simulated district: enough for a day's habits, in seconds


@dataclass(frozen=True)
class Known:
    """What a plan starts from."""

    snapshot: Snapshot
    history: History
    weather: dict[str, Forecast]
    previous: Plan | None = None


def planned(district: District, known: Known, count: int, effort: Effort = AT_LENGTH) -> Plan:
    """Forecast, plan and explain `count` quarter-hours from what is known. Nothing is written anywhere."""
    slots = Slots(floor(known.snapshot.at), count)
    forecasts = forecast(district, known.history, known.weather, slots, known.snapshot.at)
    return plan(district, known.snapshot, forecasts, slots, known.previous, effort=effort)


def from_scenario(district: District, scenario: Path, seed: int) -> Known:
    """The simulated district at the start of a scenario, with two days of past."""
    begin = read_scenario(scenario).start
    weather = Weather(district.place, seed)
    world = World(district, start=begin, seed=seed, weather=weather)
    samples = asyncio.run(DirectField(district, world).sweep(begin))
    count = timedelta(days=PAST_DAYS) // SLOT
    window = Slots(floor(begin) - count * SLOT, count)
    wanted = set(history_points(district))
    series = past(district, end=floor(begin), days=PAST_DAYS, seed=seed, weather=weather)
    history = History(window, {p: values for p, _, values in series if p in wanted})
    snapshot = _with_people(district, Snapshot(at=begin, samples=samples), Wanted())
    return Known(snapshot, history, weather.forecast(begin, Slots(floor(begin), 240)))


def from_site(district: District, site: Site) -> Known:
    """The last readings and plan of a running site. Raises FileNotFoundError where no site has run."""
    if not (site.folder / "site.db").is_file():
        raise FileNotFoundError(f"{site.folder} holds no site.db; give the folder that `ems run` or `ems demo` keeps")
    with Store.read_only(site.store_url) as store:
        samples = store.latest()
        at = max((s.at for s in samples.values()), default=None)
        if at is None:
            raise FileNotFoundError(f"{site.folder / 'site.db'} holds no readings yet; let a sweep end first")
        count = HISTORY // SLOT
        history = store.history(history_points(district), Slots(floor(at) - count * SLOT, count))
        record = store.last_decision()
        seen = Snapshot(
            at=at, samples=samples, overrides=store.overrides(at), out_of_service=frozenset(store.out_of_service(at))
        )
    before = Plan.from_json(record["plan"]) if record and record.get("plan") else None
    weather = read_weather_file(site.weather_file, at)
    asked = _asked(site, at)
    history = replace(history, closed=asked.closed)
    snapshot = _with_people(district, seen, asked)
    return Known(snapshot, history, {} if isinstance(weather, Absent) else weather, before)


def _asked(site: Site, at: datetime) -> Wanted:
    """What people ask for, hold and work at, as the running site takes it."""
    if not (site.folder / "people.db").is_file():
        return Wanted()
    reading = Asked.read_only(site.people_url)
    try:
        return wanted(reading, at)
    finally:
        reading.close()


def _with_people(district: District, seen: Snapshot, asked: Wanted) -> Snapshot:
    """The snapshot with the sessions that follow from it, and with what people ask for."""
    return asked.on(district, replace(seen, sessions=sessions(district, seen, {}, asked.trips(seen.at))))
