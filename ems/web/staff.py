"""People and their letters, the audit, and the state of the system."""

from __future__ import annotations

import platform
import sqlite3
from datetime import date, timedelta
from importlib.metadata import PackageNotFoundError, version

import segno
from fastapi import Response
from markupsafe import Markup
from starlette.exceptions import HTTPException

from ems.store import Account, People, Role, StoreError, sqlite_concern
from ems.store.backup import last_backup
from ems.store.people import CODE_LASTS
from ems.store.questions import Questions
from ems.store.requests import Requests
from ems.web.access import Permission
from ems.web.pages import Pages, Visit

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


class Staff:
    """Adds the pages about people, what they did, and the machine."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/manager/people", Permission.MANAGER, self.show)
        pages.route("/manager/people", Permission.MANAGER, self.ask, "POST")
        pages.route("/manager/audit", Permission.AUDIT, self.audit)
        pages.route("/manager/system", Permission.MANAGER, self.system)

    def show(self, visit: Visit) -> Response:
        return self._show(visit)

    def _show(self, visit: Visit, trouble: str = "", status: int = 200) -> Response:
        return self.pages.page(
            visit,
            "manager_people.html",
            status=status,
            trouble=trouble,
            persons=self.people.people(self.pages.clock()),
            roles=[(role, ROLE_NAMES[role]) for role in MAY_INVITE[visit.who.role]],
            names=ROLE_NAMES,
            may_end=lambda account: account.role in MAY_INVITE[visit.who.role] and account.id != visit.who.id,
            days=INSTALLERS_DAYS,
            buildings=list(self.pages.district.buildings.values()),
            homes=list(self.pages.district.dwellings),
            chosen=visit.form.get("role", "resident"),
            typed=visit.form.get("name", ""),
        )

    def ask(self, visit: Visit) -> Response:
        now = self.pages.clock()
        match visit.given("do", 12):
            case "invite":
                return self._invite(visit)
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
        words, now = visit.words, self.pages.clock()
        role = next((r for r in MAY_INVITE[visit.who.role] if r == visit.given("role", 20)), None)
        name = visit.given("name", 80)
        if role is None:
            raise HTTPException(422)
        home = name if role == "resident" else None
        if role == "resident" and name not in self.pages.district.dwellings:
            return self._show(visit, words.text("There is no home {name}; choose building/flat.", name=name), 422)
        if not name or (role != "resident" and "/" in name):
            return self._show(visit, words.text("Give a name without a slash."), 422)
        until = part = None
        if role == "installer":
            days, part = visit.given("days", 4), visit.given("part", 80)
            if days not in map(str, INSTALLERS_DAYS) or part not in self.pages.district.buildings:
                raise HTTPException(422)
            until = now + timedelta(days=int(days))
        try:
            code = self.people.invite(name, role, home, now, until=until, part=part, by=visit.who)
        except ValueError:
            return self._show(visit, words.text("This name is somebody else's already; choose another."), 422)
        account = Account(0, name, role, home, part)
        base = str(visit.request.base_url).rstrip("/")
        return self.pages.page(
            visit,
            "letter.html",
            invited=account,
            code=code,
            address=f"{base}/sign-in",
            qr=drawn(f"{base}/sign-in?code={code}"),
            until=now + CODE_LASTS,
        )

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


def drawn(text: str) -> Markup:
    """A text as a QR code, in SVG whose colours come from the style sheet."""
    svg = segno.make(text, error="m").svg_inline(border=2, svgclass="qr", lineclass="qr-line", omitsize=True)
    return Markup(svg)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # from a checkout that was never installed
        return "?"
