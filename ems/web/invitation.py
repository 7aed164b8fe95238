"""Codes for the first people of a site: a manager, and the residents of two homes to try it with."""

from __future__ import annotations

from datetime import datetime

from ems.district import District
from ems.store import People
from ems.web.my_data import PURPOSES

TRIED = 2  # homes


def invite(people: People, district: District, now: datetime) -> dict[str, str]:
    """A new code for each: `manager`, and the names of two homes of different buildings, with a thermostat.

    Called again, the codes before end. `now` is real time: codes last for weeks of people's lives.
    """
    codes = {"manager": people.invite("manager", "manager", None, now)}
    buildings: set[str] = set()
    for name, dwelling in district.dwellings.items():
        if dwelling.thermostat and dwelling.building not in buildings and len(buildings) < TRIED:
            buildings.add(dwelling.building)
            codes[name] = people.invite(name, "resident", name, now)
    return codes


def agree(people: People, now: datetime) -> None:
    """The made-up residents of a demo say yes to every purpose, so that their pages have something to show."""
    for person in people.people(now):
        if person.account.role == "resident":
            for purpose in PURPOSES:
                people.consent(person.account, purpose, True, now)
