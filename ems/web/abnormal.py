"""One page for the first minute of a manager's day: everything that is not as it should be, gravest first."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Response

from ems.points import Sample
from ems.store import People, StoreError
from ems.store.alarms import AlarmState
from ems.web.access import Permission
from ems.web.alarms import open_alarms
from ems.web.comfort import State, comfort
from ems.web.holds import handed_back
from ems.web.hot_water import TankView, tanks
from ems.web.live import Live
from ems.web.pages import Pages, Visit

MOST = 8  # alarms told at once
TROUBLED = 0.1  # of a building's points: fewer bad ones than this are a device, and the alarms tell it

# Name, address and one line about each page that is not a tab, in groups.
MORE: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Now": (
        ("Comfort", "/manager/comfort", "Every home against its wish, the worst first, with the cause"),
        ("Hot water", "/manager/hot-water", "Outlet, return and mixed water of each tank, against their limits"),
        ("Alarms", "/manager/alarms", "What is wrong, what it leads to, and what to do"),
        ("Devices", "/manager/devices", "Every device: last seen, how good its values are, what it was told"),
    ),
    "To act": (
        ("Hold a point", "/manager/holds", "Overrule the plan for a while; lock an asset for maintenance"),
        ("Give control back", "/manager/hand-back", "Leave a building, or the district, to its own devices"),
    ),
    "To look ahead": (
        ("What if", "/manager/scenarios", "Ask the planner what it would cost otherwise, and compare"),
        ("Calendar", "/manager/calendar", "Holidays, school, clock changes, tariffs"),
    ),
    "To look back": (
        ("Decisions", "/manager/decisions", "What was known, wanted, sent and found in each quarter-hour"),
        ("Plants", "/manager/plants", "What the heat pumps make of electricity, and what they should"),
        ("Forecasts", "/manager/forecasts", "What was expected of each meter, what came, and which model said so"),
        ("Peaks", "/manager/peaks", "Every supply point against its subscribed power"),
        ("Leaks", "/manager/leaks", "What runs at night though everybody sleeps"),
        ("Sanitary log", "/manager/sanitary", "Hot water day by day, for whoever inspects it"),
        ("Reports", "/manager/reports", "The month of each building, to print or as a table"),
    ),
    "The site": (
        ("Buildings and meters", "/manager/meters", "Supply points, contracts, and what each counter stands at"),
        ("Settings", "/manager/settings", "What is set, and in which file"),
        ("People", "/manager/people", "Who may sign in; letters with a code"),
        ("Audit", "/manager/audit", "Who did what, in a chain that shows if it was changed"),
        ("System", "/manager/system", "Versions, databases, the last run"),
        ("My access", "/access", "Where you are signed in; your password"),
    ),
}


class Abnormal:
    """Adds the page on which a manager begins, and the list of all the others."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/manager/abnormal", Permission.MANAGER, self.show, keep=True)
        pages.route("/manager/more", Permission.MANAGER, self.more, keep=True)

    def show(self, visit: Visit) -> Response:
        words, now = visit.words, self.pages.now()
        samples = self.pages.samples()
        standing = open_alarms(self.pages, words)
        alarms = [a for a in standing if a.state == AlarmState.RAISED.value]
        # Where nothing is read any more that is told once, and not of each home, tank and building.
        unread = self.pages.unread_since(samples)
        samples = samples if unread is None else {}
        flats = comfort(self.pages.district, samples) if samples else []
        counts = {s: sum(1 for f in flats if f.state is s) for s in (State.COLD, State.WARM, State.SILENT)}
        troubled = [t for t in self._tanks(visit, samples) if t.trouble] if samples else []
        views = [v for of in Live(self.pages.district, samples, now).sections().values() for v in of] if samples else []
        return self.pages.page(
            visit,
            "manager_abnormal.html",
            record=self.pages.record(words.language),
            alarms=alarms[:MOST],
            more=max(len(alarms) - MOST, 0),
            seen=len(standing) - len(alarms),
            unread=unread,
            waiting=[t for t in self.people.tickets.waiting() if t.answered is None],
            counts={state: count for state, count in counts.items() if count},
            tanks=[t for t in troubled if any(r.kept is False for r in t.trouble)],
            dumb=[t for t in troubled if all(r.kept is not False for r in t.trouble)],
            quiet=[v for v in views if v.total and v.troubled / v.total > TROUBLED],
            given=handed_back(self.pages),
            holds=list(self.people.asked.holds(now).values()),
            maintenance=list(self.people.asked.maintenance().values()),
            measured=bool(samples) or unread is not None,
        )

    def more(self, visit: Visit) -> Response:
        return self.pages.page(visit, "manager_more.html", more=MORE)

    def _tanks(self, visit: Visit, samples: Mapping[str, Sample]) -> list[TankView]:
        try:
            return tanks(self.pages.district, self.pages.store, samples, self.pages.now(), visit.words)
        except StoreError:
            return []
