"""Staff sign in at their organisation's provider: the invited alone, by tokens that are right in everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc.jwk import RSAKey
from playwright.sync_api import Browser

from ems.district import District
from ems.store import People
from ems.store.challenges import LASTS
from ems.web import create_app
from ems.web.oidc import OpenIdProvider
from ems.web.organisation import BACK, Client, OrganisationError, read_client
from tests.web.minute import NOW
from tests.web.openid_peer import CLIENT, SECRET, OpenIdPeer
from tests.web.serving import free_port, served
from tests.web.weeks import HOME

ORIGIN = "https://ems.example"
ANNA = "anna@operator.example"


class Visitor:
    """A browser that goes from our door to the provider and back."""

    def __init__(self, store_url: str, district: District, people: People, peer: OpenIdPeer) -> None:
        self.now = NOW
        self.people = people
        self.peer = peer
        self.provider = OpenIdProvider(Client(peer.issuer, CLIENT, SECRET, "Ville de Marseille"))
        self.app = create_app(
            store_url, lambda: self.now, district, people, origin=ORIGIN, provider=self.provider
        )  # fmt: skip
        peer.now = lambda: self.now.timestamp()
        self.client = self.browser()

    def browser(self) -> TestClient:
        return TestClient(self.app, base_url=ORIGIN, raise_server_exceptions=False, follow_redirects=False)

    def leave(self) -> str:
        """To the provider; the address it sends us back to."""
        there = self.client.get("/sign-in/organisation").headers["location"]
        assert there.startswith(self.peer.issuer)
        return str(httpx.get(there).headers["location"]).removeprefix(ORIGIN)

    def sign_in(self) -> httpx.Response:
        return self.client.get(self.leave())

    @property
    def is_in(self) -> bool:
        return self.client.get("/access").status_code == 200


@pytest.fixture(scope="module")
def running() -> Iterator[OpenIdPeer]:
    with OpenIdPeer(ORIGIN + BACK, NOW.timestamp).running() as peer:
        yield peer


@pytest.fixture
def visitor(running: OpenIdPeer, store_url: str, district: District, people: People) -> Visitor:
    running.person = {"sub": "u-4711", "email": ANNA, "email_verified": True}
    running.claims, running.signs_with, running.algorithm = {}, running.published, "RS256"
    return Visitor(store_url, district, people, running)


def test_an_invited_manager_is_linked_by_address_and_known_by_subject(visitor: Visitor) -> None:
    visitor.people.invite(ANNA, "manager", None, NOW)
    assert "Ville de Marseille" in visitor.client.get("/sign-in").text
    answer = visitor.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/manager/abnormal")
    assert visitor.is_in
    assert [t.what for t in visitor.people.audit(2)] == ["signed in", "organisation linked"]
    visitor.client = visitor.browser()
    visitor.peer.person = {"sub": "u-4711", "email": "married@operator.example", "email_verified": True}
    assert visitor.sign_in().status_code == 303 and visitor.is_in  # a new address, the same person
    assert len(visitor.people.people(NOW)) == 1


def test_who_was_linked_unlinks_it_themselves(visitor: Visitor) -> None:
    visitor.people.invite(ANNA, "manager", None, NOW)
    other = visitor.people.account_of(visitor.people.invite("other", "manager", None, NOW), NOW)
    assert other is not None
    assert visitor.sign_in().status_code == 303
    for language, title in (("en", "My organisation"), ("fr", "Mon organisation")):
        text = visitor.client.get(f"/access?lang={language}").text
        assert title in text and visitor.peer.issuer in text
    token = visitor.client.get("/access").text.split('name="token" value="')[1].split('"')[0]

    def unlink(issuer: str) -> int:
        return visitor.client.post("/access/organisation", data={"token": token, "key": issuer}).status_code

    assert not visitor.people.identities.unlink(other.id, visitor.peer.issuer, ("other", "manager"), NOW)
    assert unlink("https://elsewhere.example") == 404
    assert unlink(visitor.peer.issuer) == 303 and unlink(visitor.peer.issuer) == 404
    last = visitor.people.audit(1)[0]
    assert (last.what, last.name) == ("organisation unlinked", ANNA)
    assert visitor.is_in and "My organisation" not in visitor.client.get("/access?lang=en").text
    # Somebody else of the same organisation may now be the one of this address, and the one of before is not.
    visitor.client, visitor.peer.person = visitor.browser(), {"sub": "u-4711", "email": None}
    assert visitor.sign_in().status_code == 422
    visitor.peer.person = {"sub": "u-4712", "email": ANNA, "email_verified": True}
    assert visitor.sign_in().status_code == 303


@pytest.mark.parametrize(
    "person",
    [
        {"sub": "u-1", "email": "nobody@operator.example", "email_verified": True},  # not invited
        {"sub": "u-1", "email": ANNA, "email_verified": False},
        {"sub": "u-1", "email": ANNA, "email_verified": "true"},
        {"sub": "u-1", "email": ANNA},
        {"sub": "u-1"},
        {"sub": ANNA},  # a subject is no address
        {"sub": "u-1", "email": "manager", "email_verified": True},  # nor is a name
        {"sub": "u-1", "email": HOME, "email_verified": True},
        {"sub": "u-1", "email": "flat@home.example", "email_verified": True},  # a resident's
    ],
)
def test_only_invited_staff_come_in(visitor: Visitor, person: dict[str, Any]) -> None:
    for name, role, home in ((ANNA, "manager", None), ("manager", "manager", None), (HOME, "resident", HOME),
                             ("flat@home.example", "resident", HOME)):  # fmt: skip
        visitor.people.invite(name, role, home, NOW)  # type: ignore[arg-type]
    visitor.peer.person = person
    answer = visitor.sign_in()
    assert answer.status_code == 422 and not visitor.is_in
    assert not any(t.what == "signed in" for t in visitor.people.audit(9))


def test_an_address_that_goes_to_a_new_person_opens_nothing(visitor: Visitor) -> None:
    visitor.people.invite(ANNA, "manager", None, NOW)
    assert visitor.sign_in().status_code == 303
    visitor.client = visitor.browser()
    visitor.peer.person = {"sub": "u-4712", "email": ANNA, "email_verified": True}
    assert visitor.sign_in().status_code == 422


def test_who_has_left_and_whose_time_is_over_stay_out(visitor: Visitor) -> None:
    until = NOW + timedelta(days=1)
    visitor.people.invite(ANNA, "installer", None, NOW, until=until, part="horizon")
    assert visitor.sign_in().headers["location"] == "/manager/devices"
    visitor.client, visitor.now = visitor.browser(), until
    assert visitor.sign_in().status_code == 422
    account = visitor.people.account(1, NOW)
    assert account is not None
    visitor.people.remove(account)
    assert visitor.people.identities.account_id(visitor.peer.issuer, "u-4711") is None


BENT: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "http://127.61.0.2"},
    "another audience": {"aud": "somebody-else"},
    "another party": {"azp": "somebody-else"},
    "many audiences and no party": {"aud": [CLIENT, "somebody-else"]},
    "another nonce": {"nonce": "guessed"},
    "no nonce": {"nonce": None},
    "ended": {"exp": int(NOW.timestamp()) - 120},
    "without an end": {"exp": None},
    "of tomorrow": {"iat": int(NOW.timestamp()) + 86_400},
    "of nobody": {"sub": None},
    "of an empty name": {"sub": ""},
}


@pytest.mark.parametrize("how", list(BENT))
def test_a_token_that_is_wrong_in_anything_opens_nothing(visitor: Visitor, how: str) -> None:
    visitor.people.invite(ANNA, "manager", None, NOW)
    visitor.peer.claims = BENT[how]
    assert visitor.sign_in().status_code == 422 and not visitor.is_in


def test_a_token_for_several_that_names_us_as_its_party_is_good(visitor: Visitor) -> None:
    visitor.people.invite(ANNA, "manager", None, NOW)
    visitor.peer.claims = {"aud": [CLIENT, "somebody-else"], "azp": CLIENT}
    assert visitor.sign_in().status_code == 303


def test_a_token_is_signed_by_a_key_of_the_provider_which_may_change_it(visitor: Visitor) -> None:
    visitor.people.invite(ANNA, "manager", None, NOW)
    assert visitor.sign_in().status_code == 303
    visitor.client, peer = visitor.browser(), visitor.peer
    peer.signs_with = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
    assert visitor.sign_in().status_code == 422  # nobody's key
    asked, before, peer.published = peer.asked_for_keys, peer.published, peer.signs_with
    assert visitor.sign_in().status_code == 303 and peer.asked_for_keys == asked + 1  # a new one
    peer.published = before


def test_who_comes_back_was_sent_in_time_by_this_browser_and_once(visitor: Visitor) -> None:
    visitor.people.invite(ANNA, "manager", None, NOW)
    back = visitor.leave()
    other = visitor.browser()
    other.get("/sign-in")
    assert other.get(back).status_code == 422  # another browser
    query = parse_qs(urlsplit(back).query)
    code, state = query["code"][0], query["state"][0]
    assert visitor.client.get(f"{BACK}?code={code}&state=guessed").status_code == 422
    assert visitor.client.get(f"{BACK}?code={code}").status_code == 422
    visitor.now += LASTS
    assert visitor.client.get(back).status_code == 422  # too late
    back = visitor.leave()
    assert visitor.client.get(back.replace("iss=", "iss=x")).status_code == 422  # the issuer of a mix-up
    assert visitor.client.get(back).status_code == 422  # its state was taken
    back = visitor.leave()
    assert visitor.client.get(f"{BACK}?error=access_denied&state={state}").status_code == 422
    assert visitor.client.get(back).status_code == 303
    assert visitor.client.get(back).headers["location"] == "/manager/abnormal"  # signed in already


def test_what_is_asked_of_the_provider(visitor: Visitor) -> None:
    asked = parse_qs(urlsplit(visitor.client.get("/sign-in/organisation").headers["location"]).query)
    again = parse_qs(urlsplit(visitor.client.get("/sign-in/organisation").headers["location"]).query)
    assert asked["scope"] == ["openid email"] and asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [ORIGIN + BACK]
    for secret in ("state", "nonce", "code_challenge"):
        assert len(asked[secret][0]) >= 43 and asked[secret] != again[secret]  # 256 bits each


def test_a_provider_that_does_not_answer_is_named_and_the_code_still_opens(
    store_url: str, district: District, people: People
) -> None:
    silent = OpenIdProvider(Client(f"http://127.61.0.9:{free_port('127.61.0.9')}", CLIENT))
    app = create_app(store_url, lambda: NOW, district, people, origin=ORIGIN, provider=silent)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        answer = client.get("/sign-in/organisation?lang=en")
        assert answer.status_code == 422 and "does not answer" in answer.text and 'id="code"' in answer.text
    with pytest.raises(OrganisationError, match="does not answer"):
        silent.address(ORIGIN + BACK, "state", "nonce", "verifier")


def test_a_document_that_speaks_for_another_issuer_is_refused(running: OpenIdPeer) -> None:
    with pytest.raises(OrganisationError, match="speaks for"):
        OpenIdProvider(Client(running.issuer + "/", CLIENT)).address(ORIGIN + BACK, "state", "nonce", "verifier")


def test_without_a_provider_there_is_nothing_of_it(store_url: str, district: District, people: People) -> None:
    with TestClient(create_app(store_url, lambda: NOW, district, people, origin=ORIGIN), base_url=ORIGIN) as client:
        assert "organisation" not in client.get("/sign-in?lang=en").text
        assert client.get("/sign-in/organisation").status_code == 404


def test_a_browser_goes_there_and_back_without_a_script(
    browser: Browser, store_url: str, district: District, people: People
) -> None:
    port = free_port()
    origin = f"http://localhost:{port}"
    people.invite(ANNA, "auditor", None, NOW)
    with OpenIdPeer(origin + BACK, NOW.timestamp).running() as peer:
        provider = OpenIdProvider(Client(peer.issuer, CLIENT, SECRET))
        app = create_app(store_url, lambda: NOW, district, people, origin=origin, provider=provider)
        with served(app, port):
            context = browser.new_context(java_script_enabled=False)
            page = context.new_page()
            page.set_default_timeout(20_000)
            page.goto(f"http://127.0.0.1:{port}/sign-in?lang=en")  # not under the site's name: it goes there first
            page.get_by_text("For staff").click()
            page.get_by_role("link", name="Sign in at your organisation").click()
            assert page.url.startswith(f"{origin}/sign-in")
            page.get_by_text("For staff").click()
            page.get_by_role("link", name="Sign in at your organisation").click()
            assert page.url.startswith(f"{origin}/manager/audit")
            assert "organisation linked" in page.inner_text("main")
            context.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "give issuer and client_id"),
        ("issuer: https://id.example", "give issuer and client_id"),
        ("{issuer: https://id.example, client_id: ems, realm: x}", "give issuer and client_id"),
        ("{issuer: https://id.example, client_id: 5}", "is a text"),
        ("{issuer: http://id.example, client_id: ems}", "is not https"),
        ("{issuer: [", "cannot be read"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "oidc.yaml"
    file.write_text(text)
    with pytest.raises(OrganisationError, match=said):
        read_client(file)
    with pytest.raises(OrganisationError, match="cannot be read"):
        read_client(tmp_path / "nothing.yaml")


def test_a_secret_is_its_owners_to_read(tmp_path: Path) -> None:
    file = tmp_path / "oidc.yaml"
    file.write_text("{issuer: https://id.example, client_id: ems, client_secret: s3cret}")
    file.chmod(0o640)
    with pytest.raises(OrganisationError, match="chmod 600"):
        read_client(file)
    file.chmod(0o600)
    assert read_client(file) == Client("https://id.example", "ems", "s3cret")


def test_without_the_extra_the_start_says_what_is_missing(tmp_path: Path) -> None:
    """A Python that has no joserfc: a folder in front of the others, whose module is not there."""
    (tmp_path / "joserfc.py").write_text("raise ModuleNotFoundError('No module named joserfc', name='joserfc')")
    file = tmp_path / "oidc.yaml"
    file.write_text("{issuer: https://id.example, client_id: ems}")
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from ems.__main__ import main; main()"
    asked = ["web", "--store", f"sqlite:///{tmp_path}/site.db", "--oidc", str(file)]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), *asked],
        capture_output=True, text=True, timeout=120, check=False, env={"COLUMNS": "300", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 2 and "pip install 'smartseille-ems[oidc]'" in done.stderr
