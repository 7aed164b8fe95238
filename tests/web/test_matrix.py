"""Every route with every role: each reaches what its permission says, nothing else, and never anything of another."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute

from ems.store import Account, People, Role
from ems.store.people import LIVING
from ems.web.access import ROLES, Permission, form_token
from tests.web.conftest import FilledSite
from tests.web.minute import NOW
from tests.web.screenshots import PAGES
from tests.web.weeks import HOME

OTHER = "calanques/flat-0101"
EXAMPLES = {"name": "horizon", "building": "horizon", "flat": "flat-0101", "slot": "1", "day": "2026-10-23",
            "month": "2026-09", "year": "2026", "number": "1", "home": HOME}  # fmt: skip
WHO: dict[str | None, Role | None] = {
    None: None, HOME: "resident", OTHER: "resident", "caregiver": "caregiver", "manager": "manager", "admin": "admin",
    "installer": "installer", "auditor": "auditor",
}  # fmt: skip


def account(who: str | None) -> Account | None:
    role = WHO[who]
    if role is None:
        return None
    return Account(1, "x", role, HOME if role in LIVING else None)


def test_every_route_declares_one_permission(filled: FilledSite) -> None:
    declared = filled.app.state.permissions
    assert all(isinstance(route, APIRoute) for route in filled.app.routes)
    found = sorted((r.path, m) for r in filled.app.routes if isinstance(r, APIRoute) for m in r.methods)
    assert found == sorted(declared) and len(found) == len(set(found))
    assert all(isinstance(permission, Permission) for permission in declared.values())
    assert set(ROLES) | {Permission.EVERYBODY, Permission.SIGNED_IN} == set(Permission)


NO_PAGES = ("/static", "/api", "/live", "/healthz", "/metrics", "/my-data/export")  # for programs, or files


def test_every_page_is_among_those_that_browsers_look_at(filled: FilledSite) -> None:
    looked = [path.partition("?")[0] for pages in PAGES.values() for _, path in pages]
    looked += ["/manager/decisions/1", "/my-home/month/2026-09", "/my-home/year/2026", "/my-home/statement"]  # alike
    files = (".csv", ".xlsx", ".parquet", ".pdf")
    for path, method in filled.app.state.permissions:
        if method == "GET" and not path.startswith(NO_PAGES) and not path.endswith(files):
            assert any(re.fullmatch(re.sub(r"{\w+}", ".+", path), one) for one in looked), path


@pytest.mark.parametrize("who", list(WHO))
def test_each_role_reaches_what_its_permission_says(filled: FilledSite, who: str | None) -> None:
    client = filled.client(who)
    asks = account(who)
    held: dict[str, str] = {}
    if who is not None and (known := filled.people.account_of(filled.codes[who], NOW)) is not None:
        held = {"Authorization": f"Bearer {filled.people.make_token(known, 'matrix', 'read', NOW)}"}
    for (path, method), permission in filled.app.state.permissions.items():
        if path.startswith("/static") or path == "/sign-out":
            continue
        if path == "/live":  # it never ends while the site runs, which it does here when a browser looks at it too
            assert permission is Permission.EVERYBODY
            continue
        address = path.format(**EXAMPLES)
        if path.startswith("/api"):  # a key, not a cookie
            answer = client.get(address, headers=held)
        elif method == "GET":
            answer = client.get(address, follow_redirects=False)
        else:  # a form of our own, with nothing in it
            secret = client.cookies.get("session") or client.cookies.get("visit") or ""
            answer = client.post(address, data={"token": form_token(secret)}, follow_redirects=False)
        told = (method, path, answer.status_code)
        assert answer.status_code < 500 or (path == "/healthz" and answer.status_code == 503), told
        if permission.allows(asks):
            assert answer.status_code not in (401, 403) or (asks is None and method == "POST"), told
            assert method == "POST" or answer.status_code in (200, 303, 503) or "{" in path or "/history" in path, told
        elif path.startswith("/api"):
            assert answer.status_code == (401 if asks is None else 403), told
        elif asks is None:
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in"), told
        else:
            assert answer.status_code == 404, told


# What belongs to one resident, and must stand in no answer to another: their use, their message, their wish, their key.
CANARY = "canary-7f3a"


@pytest.fixture(scope="module")
def marked(filled: FilledSite) -> FilledSite:
    """A resident who has left a mark wherever a resident can leave one."""
    client = filled.client(HOME)
    token = form_token(client.cookies["session"])
    for path, form in (
        ("/my-home/help", {"kind": "something else", "words": CANARY}),
        ("/my-home/comfort", {"do": "wish", "wish": "0.5", "shift": "no"}),
        ("/my-home/car", {"do": "leave", "point": "parking/point-03", "km": "77", "day": "tomorrow", "at": "06:40"}),
        ("/my-data", {"do": "consent", "purpose": "load curve", "answer": "yes"}),
    ):
        answer = client.post(path, data={"token": token, **form}, follow_redirects=False)
        assert answer.status_code == 303, path
    return filled


@pytest.mark.parametrize("who", [None, OTHER, "installer", "auditor"])
def test_nothing_of_a_resident_stands_in_an_answer_to_another(marked: FilledSite, who: str | None) -> None:
    client = marked.client(who)
    for path, method in marked.app.state.permissions:
        if method != "GET" or path.startswith("/static") or path == "/live":
            continue
        for query in ("", f"?home={HOME}", f"?building=horizon&flat=flat-0101&account=1&key={HOME}"):
            text = client.get(path.format(**EXAMPLES) + query).text
            for mark in (CANARY, r"\b9[.,]83", "06:40", r"\b4[.,]98"):
                assert re.search(mark, text) is None, (path, mark)
            assert HOME not in text.replace(query, ""), path


def test_a_resident_finds_their_own_marks(marked: FilledSite) -> None:
    client = marked.client(HOME)
    assert CANARY in client.get("/my-home/help").text
    assert "06:40" in client.get("/my-home/car").text
    assert CANARY in client.get("/my-data/export.json").text


def test_the_roles_are_those_of_the_store(people: People) -> None:
    assert {role for roles in ROLES.values() for role in roles} == set(WHO.values()) - {None}
