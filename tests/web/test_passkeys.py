"""Passkeys: made, used and removed in a real browser; and everything that a passkey must not open."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from playwright.sync_api import Browser, Page

from ems.district import District
from ems.store import People
from ems.store.challenges import LASTS
from ems.store.passkeys import MOST_PASSKEYS
from ems.web import create_app
from ems.web.access import form_token
from tests.web.authenticator import Authenticator
from tests.web.conftest import sign_in
from tests.web.minute import NOW
from tests.web.serving import free_port, served
from tests.web.test_browser import inspect
from tests.web.weeks import HOME

ORIGIN = "https://ems.example"
SCRIPT = "/static/passkey."


class Browsing:
    """A browser at the site's own name, and the time on its wall."""

    def __init__(self, store_url: str, district: District, people: People, origin: str | None = ORIGIN) -> None:
        self.now = NOW
        self.people = people
        self.app = create_app(store_url, lambda: self.now, district, people, origin=origin)
        self.client = self.other()

    def other(self) -> TestClient:
        return TestClient(self.app, base_url=ORIGIN, raise_server_exceptions=False, client=("203.0.113.9", 5000))

    def by_code(self, name: str = "resident", home: str | None = HOME) -> None:
        role: Any = "manager" if home is None else "resident"
        assert sign_in(self.client, self.people.invite(name, role, home, self.now)).status_code == 303

    def post(self, path: str, **form: str) -> Response:
        cookies = self.client.cookies
        secret = cookies.get("__Host-session") or cookies.get("__Host-visit") or ""
        return self.client.post(path, data={"token": form_token(secret), **form}, follow_redirects=False)

    def add(self, device: Authenticator, label: str = "my telephone") -> Response:
        options = self.post("/access/passkeys/challenge").json()
        return self.post("/access/passkeys", do="add", label=label, answer=device.make(options))

    def ask(self) -> dict[str, Any]:
        self.client.cookies.clear()
        self.client.get("/sign-in")
        found: dict[str, Any] = self.post("/sign-in/passkey/challenge").json()
        return found

    def enter(self, device: Authenticator) -> Response:
        return self.post("/sign-in/passkey", answer=device.sign(self.ask()))


@pytest.fixture
def browsing(store_url: str, district: District, people: People) -> Browsing:
    return Browsing(store_url, district, people)


@pytest.fixture
def device() -> Authenticator:
    return Authenticator(ORIGIN)


@pytest.mark.parametrize(("home", "start"), [(HOME, "/my-home"), (None, "/manager/abnormal")])
def test_a_passkey_opens_the_door(browsing: Browsing, device: Authenticator, home: str | None, start: str) -> None:
    browsing.by_code(home=home)
    assert browsing.add(device).headers["location"] == "/access"
    assert "my telephone" in browsing.client.get("/access").text
    for _ in range(2):
        answer = browsing.enter(device)
        assert (answer.status_code, answer.headers["location"]) == (303, start)
    assert browsing.client.get("/access").status_code == 200
    (kept,) = browsing.people.passkeys.of(1)
    assert (kept.count, kept.used, kept.label) == (2, NOW, "my telephone")
    assert [t.what for t in browsing.people.audit(4)] == ["signed in", "signed in", "passkey added", "signed in"]


def test_what_is_asked_of_a_device_names_nobody(browsing: Browsing, device: Authenticator) -> None:
    browsing.by_code()
    made = browsing.post("/access/passkeys/challenge").json()
    assert made["rp"]["id"] == "ems.example" and made["attestation"] == "none"
    assert made["authenticatorSelection"]["userVerification"] == "required"
    assert HOME not in json.dumps(made)  # the name of the account, not the home
    browsing.add(device)
    again = browsing.post("/access/passkeys/challenge").json()
    assert len(again["excludeCredentials"]) == 1 and again["user"]["id"] == made["user"]["id"]
    asked = browsing.ask()
    assert (asked["rpId"], asked["userVerification"], asked["allowCredentials"]) == ("ems.example", "required", [])


Bend = Callable[[Authenticator], Authenticator]
BENT: dict[str, Bend] = {
    "another origin": lambda d: bent(d, origin="https://ems.example.evil.test"),
    "another site": lambda d: bent(d, site="evil.test"),
    "a device that has not verified its user": lambda d: bent(d, verifies=False),
    "the handle of another": lambda d: bent(d, handle=b"another"),
    "an unknown passkey": lambda d: bent(d, credential=bytes(32)),
    "another key": lambda d: replace(d),
    "a copy that counts on from before": lambda d: bent(d, count=1),
}


def bent(device: Authenticator, **fields: Any) -> Authenticator:
    for name, value in fields.items():
        setattr(device, name, value)
    return device


@pytest.mark.parametrize("how", list(BENT))
def test_signing_in_is_refused(browsing: Browsing, device: Authenticator, how: str) -> None:
    browsing.by_code()
    browsing.add(bent(device, count=5))
    answer = browsing.enter(BENT[how](device))
    assert answer.status_code == 422 and "__Host-session" not in browsing.client.cookies, how
    assert browsing.client.get("/access", follow_redirects=False).status_code == 303
    assert browsing.people.audit(1)[0].what == "passkey added"


@pytest.mark.parametrize("how", ["another origin", "another site", "a device that has not verified its user"])
def test_adding_is_refused(browsing: Browsing, device: Authenticator, how: str) -> None:
    browsing.by_code()
    assert browsing.add(BENT[how](device)).status_code == 422
    assert browsing.people.passkeys.of(1) == []


def test_a_challenge_is_taken_once_in_time_and_by_the_browser_that_asked(
    browsing: Browsing, device: Authenticator
) -> None:
    browsing.by_code()
    browsing.add(device)
    answer = device.sign(browsing.ask())
    browsing.now += LASTS
    assert browsing.post("/sign-in/passkey", answer=answer).status_code == 422  # too late
    stolen = device.sign(browsing.ask())
    browsing.client.cookies.clear()
    browsing.client.get("/sign-in")
    assert browsing.post("/sign-in/passkey", answer=stolen).status_code == 422  # another browser
    asked = browsing.ask()
    visit = dict(browsing.client.cookies)
    answer = device.sign(asked)
    assert browsing.post("/sign-in/passkey", answer=answer).status_code == 303
    browsing.client.cookies.clear()
    browsing.client.cookies.update(visit)
    assert browsing.post("/sign-in/passkey", answer=answer).status_code == 422  # once
    # What was asked for to add a passkey signs nobody in.
    browsing.client.cookies.clear()
    browsing.by_code()
    made = browsing.post("/access/passkeys/challenge").json()
    browsing.client.cookies.clear()
    browsing.client.get("/sign-in")
    assert browsing.post("/sign-in/passkey", answer=device.sign(made)).status_code == 422


@pytest.mark.parametrize("answer", ["", "{}", "[]", "null", "x", '{"rawId": 5}', '{"rawId": "AAAA"}', '{"rawId": "é"}'])
def test_what_is_no_answer_is_refused(browsing: Browsing, device: Authenticator, answer: str) -> None:
    browsing.ask()
    assert browsing.post("/sign-in/passkey", answer=answer).status_code == 422
    browsing.by_code()
    browsing.post("/access/passkeys/challenge")
    assert browsing.post("/access/passkeys", do="add", label="x", answer=answer).status_code == 422


def test_a_passkey_is_one_accounts_and_ends_with_it(browsing: Browsing, device: Authenticator) -> None:
    browsing.by_code()
    browsing.add(device)
    assert browsing.add(device).status_code == 422  # known already
    (kept,) = browsing.people.passkeys.of(1)
    assert browsing.post("/sign-out").status_code == 303
    browsing.by_code("stranger", "calanques/flat-0101")
    assert browsing.post("/access/passkeys", do="end", key=kept.key).status_code == 404
    assert browsing.post("/access/passkeys", do="end", key="no key").status_code == 404
    assert browsing.add(device).status_code == 422  # somebody else's
    account = browsing.people.account(1, NOW)
    assert account is not None
    browsing.people.erase(account, NOW)
    assert browsing.people.passkeys.one(kept.credential) is None
    assert browsing.enter(device).status_code == 422


def test_a_passkey_is_removed(browsing: Browsing, device: Authenticator) -> None:
    browsing.by_code()
    browsing.add(device)
    (kept,) = browsing.people.passkeys.of(1)
    assert browsing.post("/access/passkeys", do="end", key=kept.key).status_code == 303
    assert browsing.people.audit(1)[0].what == "passkey removed"
    assert browsing.enter(device).status_code == 422


def test_an_installers_passkey_ends_with_their_access(browsing: Browsing, device: Authenticator) -> None:
    until = NOW + timedelta(days=1)
    code = browsing.people.invite("fitter", "installer", None, NOW, until=until, part="horizon")
    assert sign_in(browsing.client, code).status_code == 303
    browsing.add(device)
    assert browsing.enter(device).status_code == 303
    browsing.now = until
    assert browsing.enter(device).status_code == 422


def test_there_are_so_many_passkeys_and_tries_and_no_more(browsing: Browsing) -> None:
    browsing.by_code()
    for _ in range(MOST_PASSKEYS):
        assert browsing.add(Authenticator(ORIGIN)).status_code == 303
    assert browsing.add(Authenticator(ORIGIN)).status_code == 422
    for _ in range(10):
        browsing.ask()
    browsing.client.cookies.clear()
    browsing.client.get("/sign-in")
    assert browsing.post("/sign-in/passkey/challenge").status_code == 429


def test_two_answers_at_once_count_once(people: People, browsing: Browsing, device: Authenticator) -> None:
    browsing.by_code()
    browsing.add(device)
    (before,) = people.passkeys.of(1)
    assert people.passkeys.use(before, 1, NOW) and not people.passkeys.use(before, 1, NOW)


@pytest.mark.parametrize(("origin", "told"), [(None, None), ("https://elsewhere.example", "https://elsewhere.example")])
def test_where_the_site_has_another_name_passkeys_are_there_alone(
    store_url: str, district: District, people: People, origin: str | None, told: str | None
) -> None:
    browsing = Browsing(store_url, district, people, origin)
    pages = [browsing.client.get("/sign-in").text]
    browsing.by_code()
    pages.append(browsing.client.get("/access").text)
    for page in pages:
        assert SCRIPT not in page
        assert told is None or f'<a href="{told}' in page
    expected = 404 if origin is None else 200
    assert browsing.post("/access/passkeys/challenge").status_code == expected


# In a real browser


@pytest.fixture
def named(store_url: str, district: District, people: People) -> Iterator[str]:
    """The pages under a name that browsers allow passkeys for."""
    port = free_port()
    app = create_app(store_url, lambda: NOW, district, people, origin=f"http://localhost:{port}")
    with served(app, port):
        yield f"http://localhost:{port}"


def with_authenticator(page: Page) -> str:
    """Gives a window a device that verifies its user without asking; its number."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
               "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip
    return str(cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"])


@pytest.mark.parametrize("home", [HOME, None])
def test_a_passkey_is_made_used_and_removed_in_a_browser(
    browser: Browser, named: str, people: People, home: str | None
) -> None:
    role: Any = "manager" if home is None else "resident"
    code = people.invite("somebody", role, home, NOW)
    context = browser.new_context(viewport={"width": 320, "height": 844})
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    with_authenticator(page)
    page.goto(f"{named}/sign-in?lang=fr")
    inspect(page, "sign-in", 320)
    page.locator("#code").fill(code)
    page.get_by_role("button", name="Se connecter", exact=True).first.click()
    page.wait_for_url(re.compile("/my-home|/manager"))
    page.goto(f"{named}/access?lang=fr")
    inspect(page, "access", 320)
    page.get_by_label("Le nom que vous donnez").fill("Pixel <b>")
    page.get_by_role("button", name="Ajouter une clé").click()
    page.get_by_text("Pixel <b>").wait_for()
    inspect(page, "access with a passkey", 320)
    # The device knows that it holds one already.
    page.get_by_label("Le nom que vous donnez").fill("again")
    page.get_by_role("button", name="Ajouter une clé").click()
    page.get_by_role("alert").wait_for()
    assert len(people.passkeys.of(1)) == 1
    context.clear_cookies()
    page.goto(f"{named}/sign-in?lang=fr")
    page.get_by_text("Avec une clé d’accès", exact=True).click()
    page.get_by_role("button", name="Se connecter avec une clé").click()
    page.wait_for_url(re.compile("/my-home|/manager"))
    assert people.passkeys.of(1)[0].used == NOW
    page.goto(f"{named}/access?lang=fr")
    page.get_by_role("button", name="Retirer").click()
    page.wait_for_url(re.compile("/access.lang=fr$"))
    assert people.passkeys.of(1) == []
    context.clear_cookies()
    page.goto(f"{named}/sign-in?lang=fr")
    page.get_by_text("Avec une clé d’accès", exact=True).click()
    with page.expect_navigation():
        page.get_by_role("button", name="Se connecter avec une clé").click()
    assert "/sign-in/passkey" in page.url
    page.get_by_text("Cette clé d’accès n’ouvre rien ici.").wait_for()
    assert [c for c in complaints if "422" not in c and "503" not in c] == []  # refused, and a site without a store
    context.close()


def test_without_scripts_the_pages_say_that_passkeys_need_one(browser: Browser, named: str, people: People) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 844}, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{named}/sign-in?lang=en")
    page.get_by_text("With a passkey", exact=True).click()
    assert page.get_by_text("Your code and your password open the door as always").is_visible()
    assert page.get_by_role("button", name="Sign in with a passkey").count() == 0
    page.locator("#code").fill(people.invite("somebody", "resident", HOME, NOW))
    page.get_by_role("button", name="Sign in", exact=True).first.click()
    page.goto(f"{named}/access?lang=en")
    assert page.get_by_text("This browser cannot make a passkey").is_visible()
    assert page.get_by_role("button", name="Add a passkey").count() == 0
    context.close()


def test_the_script_is_small_and_on_two_pages(browsing: Browsing) -> None:
    assert (Path(create_app.__code__.co_filename).parent / "static" / "passkey.js").stat().st_size <= 2048
    browsing.by_code()
    pages = [p for p, m in browsing.app.state.permissions if m == "GET" and "{" not in p and p != "/live"]
    with_script = {p for p in pages if SCRIPT in browsing.client.get(p).text}
    assert with_script == {"/access"}  # and where one signs in
    browsing.client.cookies.clear()
    assert SCRIPT in browsing.client.get("/sign-in").text


def test_an_export_tells_of_passkeys_and_nothing_that_opens_a_door(
    open_pages: Callable[..., TestClient], store_url: str, district: District, people: People, device: Authenticator
) -> None:
    open_pages({}, None)  # a site with a store
    browsing = Browsing(store_url, district, people)
    browsing.by_code()
    browsing.add(device, "grey telephone")
    text = browsing.client.get("/my-data/export.json").text
    assert json.loads(text)["passkeys"] == [{"name": "grey telephone", "since": NOW.isoformat(), "last_used": None}]
    (kept,) = people.passkeys.of(1)
    assert kept.key not in text
