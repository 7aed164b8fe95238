"""People and their letters, the audit, and the state of the system."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import PackageNotFoundError, version

from fastapi import Response
from starlette.exceptions import HTTPException

from ems.district import Building
from ems.store import People, Role, StoreError, sqlite_concern
from ems.store.backup import last_backup
from ems.store.people import Person
from ems.store.questions import Questions
from ems.store.requests import Requests
from ems.web.access import Permission
from ems.web.letters import Letters
from ems.web.pages import Pages, Visit
from ems.web.paper import can_print

LINES, RECENT = 60, 20  # of the audit on one page, and of these at once in view
_SHOWN = ("highspy", "pyomo", "numpy", "lightgbm", "BAC0", "pymodbus", "fastapi", "sqlalchemy")  # what most depends on
INSTALLERS_DAYS = (1, 7, 30)

# Whom each may invite.
MAY_INVITE: dict[Role, tuple[Role, ...]] = {
    "manager": ("resident", "installer"),
    "admin": ("resident", "installer", "manager", "auditor", "admin"),
}
ROLE_NAMES: dict[Role, str] = {
    "resident": "Resident",
    "caregiver": "Helper of a resident",
    "manager": "Manager",
    "installer": "Installer",
    "auditor": "Auditor",
    "admin": "Administrator",
}


@dataclass(frozen=True)
class Homes:
    """The homes of one building, and who may sign in for them."""

    building: Building
    persons: list[Person]
    count: int
    without: list[str]  # homes for which there is no account


class Staff:
    """Adds the pages about people, what they did, and the machine."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        self.letters = Letters(pages, people)
        pages.route("/manager/people", Permission.MANAGER, self.show)
        pages.route("/manager/people", Permission.MANAGER, self.ask, "POST")
        pages.route("/manager/audit", Permission.AUDIT, self.audit)
        pages.route("/manager/system", Permission.MANAGER, self.system)

    def show(self, visit: Visit) -> Response:
        return self._show(visit)

    def _show(self, visit: Visit, trouble: str = "", status: int = 200) -> Response:
        persons = self.people.people(self.pages.clock())
        return self.pages.page(
            visit,
            "manager_people.html",
            status=status,
            trouble=trouble,
            staff=[person for person in persons if person.account.home is None],
            inhabited=self._inhabited(persons),
            can_print=can_print(),
            roles=[(role, ROLE_NAMES[role]) for role in MAY_INVITE[visit.who.role]],
            names=ROLE_NAMES,
            may_end=lambda account: account.role in MAY_INVITE[visit.who.role] and account.id != visit.who.id,
            days=INSTALLERS_DAYS,
            buildings=list(self.pages.district.buildings.values()),
            homes=list(self.pages.district.dwellings),
            chosen=visit.form.get("role", "resident"),
            typed=visit.form.get("name", ""),
            chosen_part=visit.form.get("part", ""),
            chosen_days=visit.form.get("days", ""),
        )

    def _inhabited(self, persons: Sequence[Person]) -> list[Homes]:
        """The buildings that people live in."""
        homes: dict[str, list[str]] = {}
        for name, dwelling in self.pages.district.dwellings.items():
            homes.setdefault(dwelling.building, []).append(name)
        known = {person.account.home for person in persons}
        return [
            Homes(
                self.pages.district.buildings[building],
                [person for person in persons if person.account.home in found],
                len(found),
                [home for home in found if home not in known],
            )
            for building, found in homes.items()
        ]

    def ask(self, visit: Visit) -> Response:
        now = self.pages.clock()
        match visit.given("do", 12):
            case "invite":
                return self._invite(visit)
            case "invite all":
                return self._invite_all(visit)
            case "end":
                key = visit.given("key", 12)
                person = next((p for p in self.people.people(now) if str(p.account.id) == key), None)
                if person is None or person.account.role not in MAY_INVITE[visit.who.role]:
                    raise HTTPException(404)
                if not self.people.end_access(person.account.id, visit.who, now):
                    raise HTTPException(404)
            case _:
                raise HTTPException(422)
        return visit.to("/manager/people")

    def _invite(self, visit: Visit) -> Response:
        """A letter with a code, shown once."""
        words = visit.words
        role = next((r for r in MAY_INVITE[visit.who.role] if r == visit.given("role", 20)), None)
        name = visit.given("name", 80)
        if role is None:
            raise HTTPException(422)
        if role == "resident" and name not in self.pages.district.dwellings:
            return self._show(visit, words.text("There is no home {name}; choose building/flat.", name=name), 422)
        if not name or (role != "resident" and "/" in name):
            return self._show(visit, words.text("Give a name without a slash."), 422)
        until = part = None
        if role == "installer":
            days, part = visit.given("days", 4), visit.given("part", 80)
            if days not in map(str, INSTALLERS_DAYS) or part not in self.pages.district.buildings:
                raise HTTPException(422)
            until = self.pages.clock() + timedelta(days=int(days))
        try:
            letter = self.letters.invite(visit, name, role, until=until, part=part)
        except ValueError:
            return self._show(visit, words.text("This name is somebody else's already; choose another."), 422)
        return self.letters.answer(visit, [letter], name.replace("/", "-"))

    def _invite_all(self, visit: Visit) -> Response:
        """Letters for the homes of a building that have no access yet."""
        building = visit.given("key", 80)
        inhabited = self._inhabited(self.people.people(self.pages.clock()))
        homes = next((one.without for one in inhabited if one.building.name == building), None)
        if homes is None or "resident" not in MAY_INVITE[visit.who.role]:
            raise HTTPException(422)
        if not homes:  # pressed twice: the letters went to whoever pressed first
            return self._show(visit, visit.words.text("Every home of this building has had its letter."), 409)
        return self.letters.answer(visit, self.letters.invite_homes(visit, homes), building)

    def audit(self, visit: Visit) -> Response:
        """The last lines. Auditors see no names of residents."""
        hidden = visit.who.role == "auditor"
        return self.pages.page(
            visit,
            "manager_audit.html",
            traces=self.people.trail.last(LINES),
            recent=RECENT,
            broken=self.people.trail.broken(),
            names=ROLE_NAMES,
            hidden=hidden,
        )

    def system(self, visit: Visit) -> Response:
        store = self.pages.store
        sealed: list[int] = []
        try:
            readings, run, sealed = store.count_readings(), store.journal.last_run(), store.sealed_days()
        except StoreError:
            readings, run = None, None
        folder = self.pages.folder
        concern = sqlite_concern()
        return self.pages.page(
            visit,
            "manager_system.html",
            record=self.pages.record(visit.words.language),
            version=_version("smartseille-ems"),
            sqlite=sqlite3.sqlite_version,
            concern="" if concern is None else concern.text,
            readings=readings,
            run=run,
            sealed=date.fromisoformat(str(sealed[-1])) if sealed else None,
            backup=None if folder is None else last_backup(folder),
            waiting=0 if folder is None else len(Requests(folder).waiting()) + len(Questions(folder).waiting()),
            versions=[("Python", platform.python_version()), *((name, _version(name)) for name in _SHOWN)],
            sizes=[
                (name, None if size is None else size / 1e6)
                for name, size in (("site.db", store.size_bytes()), ("people.db", self.people.size_bytes()))
            ],
            may_hand_back=self.pages.folder is not None,
        )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # from a checkout that was never installed
        return "?"
