"""Who sees what: one permission per route, nobody reaches another's page, forms come from our own pages only."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.district import District
from ems.store import People
from ems.web import create_app
from ems.web.access import Attempts, Permission, form_token
from tests.web.conftest import FilledSite, sign_in
from tests.web.minute import NOW
from tests.web.test_matrix import account
from tests.web.weeks import HOME

OTHER = "calanques/flat-0101"


def test_a_resident_sees_their_own_home_alone(filled: FilledSite) -> None:
    mine, other = filled.client(HOME), filled.client(OTHER)
    assert "4.98\u00a0kWh" in mine.get("/my-home?lang=en").text
    for path in ("/my-home", "/my-home/day/2026-10-23", "/my-home/month", "/my-home/year"):
        page = other.get(f"{path}?lang=en").text
        assert "4.98" not in page and "9.83" not in page and "Nothing was measured" in page
    # No address names a home; one that tries is no page.
    for path in (f"/my-home/{HOME}", f"/my-home/day/2026-10-23?home={HOME}", f"/manager/comfort/{HOME}"):
        assert "4.98" not in other.get(path).text


def test_a_manager_sees_warmth_and_no_electricity(filled: FilledSite) -> None:
    client = filled.client("manager")
    for path in ("/manager/comfort", f"/manager/comfort/{HOME}", "/manager/decisions", "/buildings/horizon"):
        page = client.get(f"{path}?lang=en").text
        assert "4.98" not in page and "9.83" not in page and "0.4711" not in page
    for path in ("/manager/comfort", f"/manager/comfort/{HOME}"):
        assert "kWh" not in client.get(f"{path}?lang=en").text


def test_looking_at_a_home_is_noted_and_told(filled: FilledSite) -> None:
    filled.client("manager").get(f"/manager/comfort/{HOME}")
    trace = filled.people.audit(1)[0]
    assert (trace.name, trace.what, trace.home) == ("manager", "comfort of a home", HOME)
    assert "comfort of a home" in filled.client(HOME).get("/my-data?lang=en").text


@pytest.mark.parametrize("who", ["manager", HOME, "caregiver", "admin", "installer", "auditor"])
def test_every_tab_opens(filled: FilledSite, who: str) -> None:
    client = filled.client(who)
    tabs = re.findall(r'href="([^"?]+)', client.get("/access").text.split('class="tabs"')[1].split("</nav>")[0])
    assert len(tabs) > 1
    assert {path: client.get(path).status_code for path in tabs} == dict.fromkeys(tabs, 200)


def test_an_auditor_finds_the_reports(filled: FilledSite) -> None:
    client = filled.client("auditor")
    assert 'href="/manager/reports"' in client.get("/manager/audit").text


@pytest.fixture
def code(people: People) -> str:
    return people.invite("resident", "resident", HOME, NOW)


def test_a_code_opens_a_session_that_scripts_cannot_read(
    open_pages: Callable[..., TestClient], people: People, code: str
) -> None:
    client = open_pages()
    client.cookies.set("session", "chosen-by-somebody-else")
    answer = sign_in(client, code.lower())
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("session="))
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie and "Secure" not in cookie
    assert "chosen-by-somebody-else" not in cookie
    assert answer.headers["location"] == "/my-home?lang=en"
    assert client.get("/my-home").status_code == 200
    assert [t.what for t in people.audit(5)] == ["signed in"]


def test_over_https_the_cookie_is_tied_to_the_host(
    store_url: str, district: District, people: People, code: str
) -> None:
    with TestClient(create_app(store_url, lambda: NOW, district, people), base_url="https://ems.example") as client:
        cookies = sign_in(client, code).headers.get_list("set-cookie")
    assert all(c.startswith("__Host-") and "Secure" in c and "HttpOnly" in c for c in cookies)


def test_wrong_codes_all_get_one_answer(open_pages: Callable[..., TestClient], people: People, code: str) -> None:
    client = open_pages()
    ended = people.invite("gone", "resident", OTHER, NOW - timedelta(days=61))
    answers = [sign_in(client, wrong) for wrong in ("AAAA-BBBB-CCCC", ended, "x", "", "0" * 400)]
    assert {a.status_code for a in answers} == {422}
    # But for what was typed, which stays to be compared with the letter.
    assert len({re.sub(r' value="[\w-]*"', "", a.text) for a in answers}) == 1
    assert 'value="AAAA-BBBB-CCCC"' in answers[0].text
    assert people.audit(5) == []


def test_a_wrong_password_is_told_beside_it_and_the_name_stays(open_pages: Callable[..., TestClient]) -> None:
    client = open_pages()
    token = client.get("/sign-in?lang=en").text.split('name="token" value="')[1].split('"')[0]
    page = client.post("/sign-in?lang=en", data={"token": token, "name": "chief", "password": "wrong horse"}).text
    told = page.split('id="by-name" open>')[1]
    assert "This name and password open nothing." in told and 'value="chief"' in told and "wrong horse" not in page


def test_an_address_has_ten_tries(open_pages: Callable[..., TestClient], code: str) -> None:
    client = open_pages()
    for _ in range(10):
        assert sign_in(client, "AAAA-BBBB-CCCC").status_code == 422
    answer = sign_in(client, code)
    assert answer.status_code == 429 and "quarter of an hour" in answer.text


def test_signing_in_forgives_earlier_tries(open_pages: Callable[..., TestClient], code: str) -> None:
    client = open_pages()
    for _ in range(3):
        for _ in range(9):
            sign_in(client, "AAAA-BBBB-CCCC")
        assert sign_in(client, code).status_code == 303
        client.cookies.clear()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 600)), max_size=60))
@settings(max_examples=50, deadline=None)
def test_no_address_ever_has_more_than_its_share(steps: list[tuple[int, int]]) -> None:
    attempts, now = Attempts(most=3, within=timedelta(seconds=900), addresses=4), NOW
    taken: dict[int, list[datetime]] = {}
    for who, pause in steps:
        now += timedelta(seconds=pause)
        if attempts.take(f"10.0.0.{who % 4}", now):
            taken.setdefault(who % 4, []).append(now)
            assert sum(1 for at in taken[who % 4] if now - at < timedelta(seconds=900)) <= 3
        assert len(attempts) <= 4


def test_a_subscribers_whole_network_is_one_address_and_memory_is_bounded() -> None:
    attempts = Attempts(most=1, addresses=5)
    assert attempts.take("2001:db8::1", NOW) and not attempts.take("2001:db8::2:3", NOW)
    for i in range(50):
        attempts.take(f"10.0.{i}.1", NOW)
    assert len(attempts) == 5
    assert Attempts(most=1).take("not an address", NOW)


def permission_of(site: FilledSite, path: str) -> Permission:
    known = {
        p.format(number="1"): permission for (p, m), permission in site.app.state.permissions.items() if m == "POST"
    }
    return known[path]


def unsafe(site: FilledSite) -> list[str]:
    return [path.format(number="1") for path, method in site.app.state.permissions if method == "POST"]


@pytest.mark.parametrize("who", [None, "manager", HOME])
@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, "none"),
        ({}, "wrong"),
        ({"sec-fetch-site": "cross-site"}, "right"),
        ({"sec-fetch-site": "same-site"}, "right"),
        ({"origin": "https://evil.example"}, "right"),
        ({"origin": "null"}, "right"),
    ],
)
def test_no_form_is_taken_from_elsewhere(
    filled: FilledSite, who: str | None, headers: dict[str, str], token: str
) -> None:
    client = filled.client(who)
    client.get("/sign-in")
    secret = client.cookies.get("session") or client.cookies.get("visit") or ""
    given = {"none": {"code": "x"}, "wrong": {"token": "0" * 64}, "right": {"token": form_token(secret)}}[token]
    for path in unsafe(filled):
        answer = client.post(path, data=given, headers=headers, follow_redirects=False)
        allowed = permission_of(filled, path).allows(account(who))
        assert answer.status_code == (403 if allowed else 404 if who else 303), path
    if who:
        assert client.get("/access").status_code == 200  # still signed in


def test_the_same_form_from_our_own_page_is_taken(filled: FilledSite) -> None:
    client = filled.client(HOME)
    token = form_token(client.cookies["session"])
    answer = client.post(
        "/sign-out", data={"token": token}, headers={"sec-fetch-site": "same-origin"}, follow_redirects=False
    )
    assert answer.status_code == 303
    assert client.get("/my-home", follow_redirects=False).headers["location"] == "/sign-in"


def test_a_session_is_ended_from_another_device(filled: FilledSite) -> None:
    here, there = filled.client(HOME), filled.client(HOME)
    page = here.get("/access?lang=en").text
    key = filled.people.key(there.cookies["session"])
    assert f'value="{key}"' in page
    token = form_token(here.cookies["session"])
    stranger = filled.client(OTHER)
    theirs = {"token": form_token(stranger.cookies["session"]), "key": key}
    assert stranger.post("/access/end", data=theirs).status_code == 404
    assert there.get("/my-home", follow_redirects=False).status_code == 200
    assert here.post("/access/end", data={"token": token, "key": key}, follow_redirects=False).status_code == 303
    assert there.get("/my-home", follow_redirects=False).status_code == 303
    assert here.get("/my-home", follow_redirects=False).status_code == 200


def test_forms_are_small_and_plain(filled: FilledSite) -> None:
    client = filled.client()
    assert client.post("/sign-in", data={"code": "A" * 5000}).status_code == 413
    assert client.post("/sign-in", files={"code": b"x"}).status_code == 415
    assert client.post("/sign-in", content=iter([b"a=b"]), headers={
        "content-type": "application/x-www-form-urlencoded"}).status_code == 413  # fmt: skip


def test_sessions_follow_peoples_time_not_the_sites(
    store_url: str, district: District, people: People, code: str
) -> None:
    clock = [datetime(2026, 11, 1, tzinfo=UTC)]
    code = people.invite("resident", "resident", HOME, clock[0])
    with TestClient(create_app(store_url, lambda: NOW, district, people, lambda: clock[0])) as client:
        assert sign_in(client, code).status_code == 303
        clock[0] += timedelta(days=89)
        assert client.get("/access", follow_redirects=False).status_code == 200
        clock[0] += timedelta(days=91)
        assert client.get("/access", follow_redirects=False).status_code == 303


def test_without_people_there_is_only_what_everybody_may_see(store_url: str, district: District) -> None:
    with TestClient(create_app(store_url, lambda: NOW, district)) as client:
        assert "/sign-in" not in client.get("/").text
        for path in ("/sign-in", "/manager", "/my-home", "/buildings/horizon"):
            assert client.get(path).status_code == 404
