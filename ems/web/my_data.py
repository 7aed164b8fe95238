"""A resident's data: who looked, what was agreed to, everything as a file, who helps, and erasing it all."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from datetime import time, timedelta

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from ems.points import unit_label
from ems.slots import SLOT, Slots, floor
from ems.store import ELECTRIC, REGISTER, People, StoreError
from ems.web.access import SESSION, Permission, drop_cookie
from ems.web.pages import Pages, Visit

KEPT = timedelta(days=550)  # the longest that quarter-hours of a home are asked for
MOST_HELPERS = 5
SHOWN = 12  # lines of who looked

# One question per purpose, never two in one. What was not answered is no: the law asks for agreement beforehand.
PURPOSES: dict[str, str] = {
    "daily": "Keep and show me how much electricity I used, day by day.",
    "load curve": "Besides the days, keep and show me my electricity quarter-hour by quarter-hour.",
}


class MyData:
    """Adds the pages about a resident's data."""

    def __init__(self, pages: Pages, people: People) -> None:
        self.pages = pages
        self.people = people
        pages.route("/my-data", Permission.RESIDENT, self.show)
        pages.route("/my-data", Permission.RESIDENT, self.ask, "POST")
        pages.route("/my-data/export.json", Permission.RESIDENT, self.export_json)
        pages.route("/my-data/export.csv", Permission.RESIDENT, self.export_csv)
        pages.route("/my-data/erase", Permission.RESIDENT, self.sure)
        pages.route("/my-data/erase", Permission.RESIDENT, self.erase, "POST")

    def show(self, visit: Visit, code: str = "") -> Response:
        said = self.people.consents(visit.who)
        return self.pages.page(
            visit,
            "my_data.html",
            looked=self.people.looked_at(visit.home, SHOWN),
            purposes=[(purpose, text, said.get(purpose)) for purpose, text in PURPOSES.items()],
            helpers=self.people.helpers(visit.home),
            code=code,
        )

    def ask(self, visit: Visit) -> Response:
        now = self.pages.clock()
        match visit.given("do"):
            case "consent":
                purpose, answer = visit.given("purpose", 40), visit.given("answer", 8)
                if purpose not in PURPOSES or answer not in ("yes", "no"):
                    raise HTTPException(422)
                self.people.consent(visit.who, purpose, answer == "yes", now, until=self.pages.now())
            case "invite":
                known = {helper.name for helper in self.people.helpers(visit.home)}
                free = (n for i in range(MOST_HELPERS) if (n := f"{visit.home}/helper-{i + 1}") not in known)
                name = next(free, None)
                if name is None:
                    raise HTTPException(422)
                code = self.people.invite(name, "caregiver", visit.home, now)
                self.people.note(visit.who, "help given", visit.home, now)
                return self.show(visit, code)  # told once, hence no redirection
            case "end":
                key = visit.given("key", 12)
                if not key.isascii() or not key.isdigit():
                    raise HTTPException(404)
                if not self.people.end_access(int(key), visit.who, now, home=visit.home):
                    raise HTTPException(404)
            case _:
                raise HTTPException(422)
        return visit.to("/my-data")

    # Everything as a file

    def export_json(self, visit: Visit) -> Response:
        """What is known of this home and person, readable by machines and people."""
        home, now = visit.home, self.pages.now()
        wish = self.people.asked.comfort_wishes().get(home)
        content = {
            "format": "smartseille-ems/1",
            "made_at": now.isoformat(),
            "home": home,
            "account": {"name": visit.who.name, "role": visit.who.role},
            "consents": {
                purpose: {"given": given, "since": since.isoformat()}
                for purpose, (given, since) in self.people.consents(visit.who).items()
            },
            "wish": None if wish is None else {"offset_k": wish.offset_k, "shift": wish.shift,
                                               "since": wish.since.isoformat()},
            "messages": [
                {"kind": t.kind, "words": t.words, "sent": t.opened.isoformat(), "answer": t.answer,
                 "measured": t.measured}
                for t in self.people.tickets.of(home, 1000)
            ],
            "car": [
                {"point": d.asset, "km": d.km, "needed_kwh": d.needed_kwh, "at_once": d.at_once,
                 "said": d.made.isoformat(), "departs": d.departs.isoformat()}
                for d in self.people.asked.departures(now).values() if d.account_id == visit.who.id
            ],
            "reservations": [
                {"asset": r.asset, "km": r.km, "begins": r.begins.isoformat(), "ends": r.ends.isoformat()}
                for r in self.people.asked.reservations(now) if r.account_id == visit.who.id
            ],
            "sign_ins": [
                {"since": s.since.isoformat(), "last_seen": s.seen.isoformat()}
                for s in self.people.sessions(visit.who, self.pages.clock())
            ],
            "passkeys": [
                {"name": p.label, "since": p.since.isoformat(), "last_used": p.used and p.used.isoformat()}
                for p in self.people.passkeys.of(visit.who.id)
            ],
            "helpers": [helper.name for helper in self.people.helpers(home)],
            "who_looked": [
                {"at": t.at.isoformat(), "role": t.role, "what": t.what} for t in self.people.looked_at(home, 1000)
            ],
            "quarter_hours": {
                point: {"unit": unit_label(point.rpartition("/")[2]), "values": rows}
                for point, rows in self._series(visit)
            },
        }  # fmt: skip
        self.people.note(visit.who, "exported", home, self.pages.clock())
        body = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
        return Response(body, media_type="application/json", headers=_as_file(home, "json"))

    def export_csv(self, visit: Visit) -> Response:
        """One line per value: point, start of the quarter-hour (UTC), value, unit."""
        series = self._series(visit)
        self.people.note(visit.who, "exported", visit.home, self.pages.clock())

        def lines() -> Iterator[str]:
            yield "point,start_utc,value,unit\r\n"
            for point, rows in series:
                buffer = io.StringIO()
                writer = csv.writer(buffer)
                unit = unit_label(point.rpartition("/")[2])
                writer.writerows((point, at, value, unit) for at, value in rows)
                yield buffer.getvalue()

        headers = _as_file(visit.home, "csv")
        return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)

    def _series(self, visit: Visit) -> list[tuple[str, list[tuple[str, float]]]]:
        """Everything stored of the home, point by point: (start in UTC, value); what is missing is not there."""
        home, now = visit.home, floor(self.pages.now())
        slots = Slots(now - KEPT, KEPT // SLOT)
        points = sorted(p for p in self.pages.district.wires if p.startswith(home + "/"))
        agreed = self.people.asked.agreed(home)
        if "load curve" not in agreed:
            points = [p for p in points if p.rpartition("/")[2] not in ELECTRIC]
            if "daily" in agreed:
                points.append(f"{home}/{REGISTER}")
        try:
            history = self.pages.store.history(points, slots)
        except StoreError as error:
            raise HTTPException(503) from error
        starts = [at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in slots]
        midnight = [at.astimezone(self.pages.zone).time() == time() for at in slots]
        curve = "load curve" in agreed
        found = []
        for point in points:
            values = history.values[point].tolist()
            each = curve or not point.endswith(f"/{REGISTER}")  # else one reading a day
            rows = [
                (at, value)
                for at, value, begins in zip(starts, values, midnight, strict=True)
                if not math.isnan(value) and (each or begins)
            ]
            if rows:
                found.append((point, rows))
        return found

    # Erasing

    def sure(self, visit: Visit) -> Response:
        return self.pages.page(visit, "erase.html")

    def erase(self, visit: Visit) -> Response:
        """Deletes everything, and signs out: there is nobody any more to be signed in as."""
        if visit.given("sure", 8) != "yes":
            return visit.to("/my-data/erase")
        self.people.erase(visit.who, self.pages.now())
        response = visit.to("/")
        drop_cookie(visit.request, response, SESSION)
        return response


def _as_file(home: str, suffix: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{home.replace("/", "-")}.{suffix}"'}
