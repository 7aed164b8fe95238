"""Is it normal, in words: the last seven days against one's own past, and a month against similar homes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ems.assets import WeatherStation
from ems.district import District
from ems.store import People, Published, Store
from ems.web import consumption, usual
from ems.web.consumption import ELECTRICITY, HEAT, HOT_WATER, Days, number
from ems.web.similar import LEAST, Group, groups, summed
from ems.web.usual import PAST, WEEK, Verdict, degree_day
from ems.web.words import Words

SETTLED = timedelta(days=2)  # late readings come within this; then a month is told


@dataclass(frozen=True)
class Judged:
    """A week of one meter: what was used, what was to be expected, and what that means."""

    title: str
    used: str
    told: str
    verdict: Verdict


def outdoor(store: Store, district: District, first: date, last: date) -> dict[date, float]:
    """Means outdoors of civil days, degC, as far as they were measured."""
    stations = list(district.of(WeatherStation))
    if not stations:
        return {}
    rows = store.daily(f"{stations[0]}/outdoor_temperature_c", number(first), number(last))
    days = {number(d): d for i in range((last - first).days + 1) if (d := first + timedelta(days=i))}
    return {days[day]: total / n for day, n, _, total, *_ in rows if total is not None and n}


def week(
    store: Store, district: District, home: str, today: date, now: datetime, zone: ZoneInfo, words: Words, daily: bool
) -> list[Judged]:
    """The seven days that are over, by meter; one with too little past is not, nor is electricity without `daily`."""
    first = today - timedelta(days=WEEK + PAST)
    found = consumption.days(store, home, first, today - timedelta(days=1), now, zone)
    weather = outdoor(store, district, first, today)
    told = []
    for meter, title in _METERS:
        if meter == ELECTRICITY and not daily:
            continue
        judged = _judged(found, weather if meter == HEAT else {}, meter, words.text(title), words)
        if judged is not None:
            told.append(judged)
    return told


def _judged(found: Days, weather: dict[date, float], meter: str, title: str, words: Words) -> Judged | None:
    corrected = meter == HEAT
    if corrected and any(d not in weather for d in found.dates[-WEEK:]):
        return None
    past = [
        (amount, degree_day(weather[d]) if corrected else 0.0)
        for d, amount in zip(found.dates[:-WEEK], found.use[meter].amounts[:-WEEK], strict=True)
        if amount is not None and (not corrected or d in weather)
    ]
    used = [amount for amount in found.use[meter].amounts[-WEEK:] if amount is not None]
    known = usual.habit(past)
    if known is None or len(used) < WEEK:
        return None
    degrees = [degree_day(weather[d]) if corrected else 0.0 for d in found.dates[-WEEK:]]
    verdict = known.verdict(sum(used), degrees)
    # A range: beside a single figure, a week that differs as weeks of this home do would not look usual.
    low, high = (amount_of(meter, amount, words) for amount in known.usual(degrees))
    text = (
        words.text("Usual for you in this weather: {low} to {high}.", low=low, high=high)
        if corrected
        else words.text("Usual for you: {low} to {high}.", low=low, high=high)
    )
    return Judged(title, amount_of(meter, sum(used), words), text, verdict)


def amount_of(meter: str, amount: float | None, words: Words) -> str:
    """As residents read it: heat in whole kWh, for its meters count no finer; water in litres."""
    if amount is None:
        return "–"
    if meter == HEAT:
        return f"{words.number(amount)}\u00a0kWh"
    if meter == HOT_WATER:
        return words.text("{count} litres", count=words.number(amount * consumption.LITRES_PER_M3))
    return words.fine(meter, amount)


class Neighbours:
    """What similar homes used in a month that is over."""

    def __init__(self, store: Store, people: People, district: District) -> None:
        self._store = store
        self._people = people
        self._groups = groups(district)

    def group(self, home: str) -> Group | None:
        return self._groups.get(home)

    def told(self, group: Group, month: date, meter: str, today: date) -> Published | None:
        """As it was first told; None before the month is settled, and where too few homes were measured."""
        following = (month + timedelta(days=31)).replace(day=1)
        if today < following + SETTLED:
            return None
        known = self._people.published(group.name, month, meter)
        if known is not None:
            return known
        points = {f"{home}/{meter}": home for home in group.surface_m2}
        read = self._store.registers(list(points), [number(month), number(following)])
        pairs = {
            points[p]: (first, last) for p, (first, last) in read.items() if first is not None and last is not None
        }
        made = summed(group, month, meter, pairs)
        if made is not None:
            self._people.publish(made)
        return made

    def sentence(self, home: str, month: date, today: date, words: Words) -> str:
        """Heat and hot water of a home of the same size in the group; empty when nothing can be told."""
        group = self.group(home)
        if group is None:
            return ""
        heat, water = (self.told(group, month, meter, today) for meter in (HEAT, HOT_WATER))
        if heat is None and water is None:
            return ""
        mine = group.surface_m2[home]
        amounts = [
            amount_of(meter, told.amount / told.surface_m2 * mine, words)
            for meter, told in ((HEAT, heat), (HOT_WATER, water))
            if told is not None
        ]
        if len(amounts) == 1:
            return words.text("Similar homes, for a home of your size: {amount}.", amount=amounts[0])
        return words.text(
            "Similar homes, for a home of your size: {heat} of heat and {water} of hot water.",
            heat=amounts[0],
            water=amounts[1],
        )


def described(group: Group, building: str, words: Words) -> str:
    """Which homes are meant: the same words for everybody in the group."""
    count, rule = len(group.surface_m2), words.text(
        "Sums are told when at least {least} of them were measured, and once told they stay.", least=LEAST
    )  # fmt: skip
    if group.upto_m2 is not None:
        who = words.text(
            "Similar homes are the {count} homes of {building} of up to {m2} m².",
            count=count, building=building, m2=words.number(group.upto_m2, 1),
        )  # fmt: skip
    elif group.over_m2 is not None:
        who = words.text(
            "Similar homes are the {count} homes of {building} above {m2} m².",
            count=count, building=building, m2=words.number(group.over_m2, 1),
        )  # fmt: skip
    else:
        who = words.text("Similar homes are the {count} homes of {building}.", count=count, building=building)
    return f"{who} {rule}"


# Meter and what it is called.
_METERS = ((HEAT, "Heat"), (ELECTRICITY, "Electricity"), (HOT_WATER, "Hot water"))
