"""The page on privacy that everybody may read: who answers for personal data, what is kept, why, how long, and what one
may ask for (GDPR, article 13). What it says of times is taken from the code that forgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from fastapi import Response

from ems.store.ageing import OF_HOMES
from ems.store.people import SESSION_LASTS
from ems.store.tickets import CLOSED_KEPT
from ems.web.access import Permission
from ems.web.live import FEWEST_HOMES
from ems.web.pages import Pages, Visit

_MONTH = timedelta(days=30.44)
_YEAR = timedelta(days=365.25)


@dataclass(frozen=True)
class Kept:
    """One kind of data, in English: what, what for and by which right, and for how long."""

    what: str
    why: str
    how_long: str


KEPT = (
    Kept(
        "Heat, hot water, the temperature and the thermostat of your home",
        "To heat your home and to write your monthly statement; your contract and the law on individual heat metering "
        "ask for it.",
        "Quarter-hours for {months} months, days for {years} years.",
    ),
    Kept(
        "Your electricity",
        "To show it to you, only if you agreed to it.",
        "As long as you agree: quarter-hours for {months} months at most, days for {years} years. It is deleted when "
        "you take your agreement back.",
    ),
    Kept(
        "What you wish: warmer or cooler, when your car leaves, what you reserved",
        "To do as you wish; your contract asks for it.",
        "Until you wish something else, or the time is past.",
    ),
    Kept(
        "Your messages, with what was measured on the day before",
        "To answer you; we have an interest in that what is wrong is mended.",
        "For {closed} years after they are closed.",
    ),
    Kept(
        "Your access: codes, passkeys and the devices signed in",
        "So that nobody else sees your home; we have a duty to protect it.",
        "As long as the home is yours; a device that was not used for {session} days is signed out.",
    ),
    Kept(
        "Who did what in this system, and who looked at your home",
        "So that you can see it, and misuse be found; we have a duty to prove it.",
        "For good, under names that mean nothing without a list; you are taken off the list when you are erased.",
    ),
)


class Privacy:
    """Adds the page on privacy."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        pages.route("/privacy", Permission.EVERYBODY, self.show)

    def show(self, visit: Visit) -> Response:
        text = visit.words.text
        times = {
            "months": round(OF_HOMES.quarters / _MONTH),
            "years": round((OF_HOMES.days or timedelta()) / _YEAR),
            "closed": round(CLOSED_KEPT / _YEAR),
            "session": SESSION_LASTS["resident"].days,
        }
        return self.pages.page(
            visit,
            "privacy.html",
            kept=[(text(k.what), text(k.why), text(k.how_long, **times)) for k in KEPT],
            fewest=FEWEST_HOMES,
        )
