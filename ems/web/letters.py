"""Letters that let people in: one for each account, with a code to type and the same as a QR code.

They are shown once, as a page for printing or as PDF; of a code only its digest is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import segno
from fastapi import Response
from markupsafe import Markup

from ems.store import Account, People, Role
from ems.store.people import CODE_LASTS
from ems.web.pages import Pages, Visit


@dataclass(frozen=True)
class Letter:
    """What one letter says."""

    invited: Account
    code: str
    qr: Markup


class Letters:
    """Makes accounts, and the letters that open them."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages, self.people = pages, people

    def invite(
        self, visit: Visit, name: str, role: Role, *, until: datetime | None = None, part: str | None = None
    ) -> Letter:
        """A letter for who is called this, or lives in this home. Raises ValueError where the name is another's."""
        home = name if role == "resident" else None
        code = self.people.invite(name, role, home, self.pages.clock(), until=until, part=part, by=visit.who)
        return Letter(Account(0, name, role, home, part), code, drawn(f"{_address(visit)}?code={code}"))

    def invite_homes(self, visit: Visit, homes: Sequence[str]) -> list[Letter]:
        """A letter for each of these homes: for all or for none."""
        codes = self.people.invite_homes(homes, self.pages.clock(), visit.who)
        return [
            Letter(Account(0, home, "resident", home), code, drawn(f"{_address(visit)}?code={code}"))
            for home, code in zip(homes, codes, strict=True)
        ]

    def answer(self, visit: Visit, letters: Sequence[Letter], name: str) -> Response:
        """All of them, each on a sheet of its own; as PDF under this name where the form asked for it."""
        until = self.pages.clock() + CODE_LASTS
        page = self.pages.page(visit, "letter.html", letters=letters, address=_address(visit), until=until)
        return self.pages.printed(visit, page, name) if visit.given("as", 4) == "pdf" else page


def drawn(text: str) -> Markup:
    """A text as a QR code, in SVG whose colours come from the style sheet."""
    svg = segno.make(text, error="m").svg_inline(border=2, svgclass="qr", lineclass="qr-line", omitsize=True)
    return Markup(svg)


def _address(visit: Visit) -> str:
    return f"{str(visit.request.base_url).rstrip('/')}/sign-in"
