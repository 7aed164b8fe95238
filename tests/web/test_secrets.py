"""What must not be told: whether a name exists, whose session it is, and anything of a home that was erased."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ems.district import District
from ems.store import People, Store
from ems.web import create_app
from ems.web.access import form_token
from ems.web.invitation import agree
from tests.web.conftest import FilledSite, sign_in
from tests.web.minute import NOW
from tests.web.serving import PARIS
from tests.web.weeks import HOME, fill_home

OTHER = "calanques/flat-0101"


class Counting:
    """A password hasher that counts how often it is asked, and asks the real one."""

    def __init__(self, real: object) -> None:
        self.real = real
        self.verified: list[str] = []

    def verify(self, kept: str, password: str) -> bool:
        self.verified.append(kept)
        return bool(self.real.verify(kept, password))  # type: ignore[attr-defined]

    def hash(self, password: str) -> str:
        return str(self.real.hash(password))  # type: ignore[attr-defined]


def test_a_name_that_is_nobodys_costs_the_same_work_as_a_wrong_password(people: People) -> None:
    """As many argon2 computations, with the same parameters, whoever is asked for: time cannot tell a name."""
    account = people.account_of(people.invite("chief", "manager", None, NOW), NOW)
    assert account is not None
    people.set_password(account, "correct horse battery", NOW)
    invited = people.invite("no password yet", "manager", None, NOW)
    people._hasher = counting = Counting(people._hasher)  # type: ignore[assignment]
    work = {}
    for name in ("chief", "no password yet", "nobody at all", "", "chief\x00"):
        counting.verified.clear()
        assert people.account_by_password(name, "wrong", NOW) is None
        work[name] = [kept.rsplit("$", 2)[0] for kept in counting.verified]  # without salt and digest
    assert set(map(tuple, work.values())) == {tuple(work["chief"])} and len(work["chief"]) == 1
    assert work["chief"][0].startswith("$argon2id$")
    counting.verified.clear()
    assert people.account_by_password("chief", "correct horse battery", NOW) == account
    assert len(counting.verified) == 1 and invited


def test_both_wrong_answers_are_the_same_page(open_pages: Callable[..., TestClient], people: People) -> None:
    account = people.account_of(people.invite("chief", "manager", None, NOW), NOW)
    assert account is not None
    people.set_password(account, "correct horse battery", NOW)
    client = open_pages()

    def answer(name: str) -> tuple[int, str]:
        page = client.get("/sign-in?lang=en").text
        token = page.split('name="token" value="')[1].split('"')[0]
        form = {"token": token, "name": name, "password": "wrong wrong wrong"}
        got = client.post("/sign-in?lang=en", data=form, follow_redirects=False)
        return got.status_code, got.text.replace(token, "").replace(name, "")

    assert answer("chief") == answer("nobody")


def test_a_session_that_was_there_before_signing_in_is_not_the_one_after(
    open_pages: Callable[..., TestClient], people: People
) -> None:
    code = people.invite("resident", "resident", HOME, NOW)
    thief, victim = open_pages(), open_pages()
    page = thief.get("/sign-in")
    assert page.status_code == 200
    victim.cookies.set("visit", thief.cookies["visit"])  # planted beforehand, with a session of the thief's own
    victim.cookies.set("session", "planted-by-the-thief")
    token = form_token(thief.cookies["visit"])
    answer = victim.post("/sign-in", data={"token": token, "code": code}, follow_redirects=False)
    assert answer.status_code == 303
    fresh = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("session="))
    assert "planted" not in fresh
    for cookie in ("planted-by-the-thief", thief.cookies["visit"]):
        thief.cookies.set("session", cookie)
        assert thief.get("/my-home", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("path", ["/my-data/export.json", "/my-data/export.csv", "/api/v1/home", "/my-home"])
def test_no_word_in_an_address_or_a_header_turns_an_export_to_another_home(filled: FilledSite, path: str) -> None:
    client = filled.client(OTHER)
    for query in (f"?home={HOME}", f"?account=1&home={HOME}", f"?point={HOME}/energy_kwh", "?lang=../../horizon"):
        for headers in ({}, {"x-home": HOME, "x-forwarded-user": HOME, "x-original-url": f"/my-data?home={HOME}"}):
            answer = client.get(path + query, headers=headers)
            assert HOME not in answer.text.replace(query, ""), (path, query)


def test_the_live_stream_tells_nobody_of_a_home_or_a_car(filled: FilledSite, district: District) -> None:
    """It is one stream for all, so it holds what everybody may see: not one key or value of a dwelling."""
    from ems.web.ticks import Ticks

    ticks = next(
        route.endpoint.__closure__ for route in filled.app.routes if getattr(route, "path", "") == "/live"
    )  # fmt: skip
    keeper = next(cell.cell_contents for cell in ticks or () if callable(cell.cell_contents))
    stream = getattr(keeper, "__self__", None)
    assert isinstance(stream, Ticks)
    told = "".join(stream._news().values())
    assert told and not any(home in told for home in district.dwellings) and "point-" not in told


def test_who_is_erased_stands_in_no_table_no_kept_page_and_opens_nothing(tmp_path: Path, district: District) -> None:
    url = f"sqlite:///{tmp_path}/site.db"
    with Store.open(url) as store, People.open(f"sqlite:///{tmp_path}/people.db") as people:
        fill_home(store, PARIS)
        code = people.invite(HOME, "resident", HOME, NOW)
        agree(people, NOW)
        with TestClient(create_app(url, lambda: NOW, district, people)) as client:
            assert sign_in(client, code).status_code == 303
            token = form_token(client.cookies["session"])
            secret = "canary-9b1d"
            for path, form in (
                ("/my-home/help", {"kind": "something else", "words": secret}),
                ("/my-home/comfort", {"do": "wish", "wish": "0.5", "shift": "no"}),
                ("/my-home/comfort", {"do": "heat"}),
                ("/my-home/car", {"do": "leave", "point": "parking/point-03", "km": "77", "day": "tomorrow",
                                  "at": "06:40"}),
                ("/my-home/shared", {"do": "reserve", "what": "car", "day": "2026-10-25", "from": "09:00",
                                     "until": "11:00", "km": "30"}),
                ("/my-data", {"do": "consent", "purpose": "load curve", "answer": "no"}),
            ):  # fmt: skip
                assert client.post(path, data={"token": token, **form}, follow_redirects=False).status_code == 303, path
            assert "9.83" in client.get("/my-home/day/2026-10-23?lang=en").text
            cookies = dict(client.cookies)
            done = client.post("/my-data/erase", data={"token": token, "sure": "yes"}, follow_redirects=False)
            assert done.status_code == 303
            client.cookies.update(cookies)
            assert client.get("/my-home/day/2026-10-23?lang=en", follow_redirects=False).status_code == 303
        left = people._database.read("test", lambda c: "\n".join(c.connection.iterdump()))  # type: ignore[attr-defined]
    rows = [line for line in left.splitlines() if line.startswith("INSERT")]
    assert not any(secret in row for row in rows)
    # What stays: which home is to be deleted from the measurements, and until when.
    assert {row.split('"')[1] for row in rows if HOME in row} <= {"erasure", "withdrawal"}
