"""A page is given again only while nothing it was made from has changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from fastapi.testclient import TestClient

from ems.district import District
from ems.store import People, Store
from ems.web import create_app
from ems.web.access import form_token
from tests.web.conftest import FilledSite, sign_in
from tests.web.minute import NOW, decision, samples
from tests.web.weeks import HOME


def test_who_holds_a_page_already_is_told_so(filled: FilledSite) -> None:
    client = filled.client(HOME)
    first = client.get("/my-home")
    again = client.get("/my-home", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert sum(len(k) + len(v) + 4 for k, v in again.headers.items()) <= 1000  # issue: at most 1 kB
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert client.get("/my-home", headers={"if-none-match": '"other"'}).text == first.text


def test_what_is_measured_is_seen_at_once(
    open_pages: Callable[..., TestClient], store_url: str, district: District
) -> None:
    client = open_pages(samples(district))
    assert "No decision yet" in client.get("/?lang=en").text
    with Store.open(store_url) as store:
        store.save_decision(1, decision(district))
    assert "The district is being controlled" in client.get("/?lang=en").text


def test_a_page_ages_with_the_minute(store_url: str, district: District, people: People) -> None:
    now = [NOW]
    with Store.open(store_url) as store:
        store.save_decision(1, decision(district))
    with TestClient(create_app(store_url, lambda: now[0], district, people)) as client:
        first = client.get("/?lang=en").headers["etag"]
        assert client.get("/?lang=en").headers["etag"] == first
        now[0] += timedelta(minutes=1)
        assert "Last decision 5\u00a0min ago" in client.get("/?lang=en").text


def test_nobody_gets_anothers_page(filled: FilledSite) -> None:
    mine, other = filled.client(HOME), filled.client("calanques/flat-0101")
    tag = mine.get("/my-home?lang=en").headers["etag"]
    answer = other.get("/my-home?lang=en", headers={"if-none-match": tag})
    assert answer.status_code == 200 and "4.98" not in answer.text
    assert filled.client().get("/my-home?lang=en", follow_redirects=False).status_code == 303


def test_an_ended_session_opens_no_kept_page(filled: FilledSite) -> None:
    client = filled.client(HOME)
    tag, session = client.get("/my-home").headers["etag"], client.cookies["session"]
    client.post("/sign-out", data={"token": form_token(session)})
    client.cookies.set("session", session)
    again = client.get("/my-home", headers={"if-none-match": tag}, follow_redirects=False)
    assert (again.status_code, again.headers["location"]) == (303, "/sign-in")


def test_a_session_that_ran_out_opens_no_kept_page(store_url: str, district: District, people: People) -> None:
    clock: list[datetime] = [NOW]
    code = people.invite("resident", "resident", HOME, NOW)
    with TestClient(create_app(store_url, lambda: NOW, district, people, lambda: clock[0])) as client:
        sign_in(client, code)
        assert client.get("/access", follow_redirects=False).status_code == 200
        clock[0] += timedelta(days=91)
        assert client.get("/access", follow_redirects=False).status_code == 303


def test_what_is_noted_is_made_each_time(filled: FilledSite) -> None:
    client = filled.client("manager")
    for _ in range(2):
        assert "etag" not in client.get(f"/manager/comfort/{HOME}").headers
    looked = filled.people.audit(2)
    assert [trace.what for trace in looked] == ["comfort of a home"] * 2
