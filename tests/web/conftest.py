"""A store filled as the control process fills it, and the pages over it, for everybody and for those who sign in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, sync_playwright

from ems.district import District, read_district
from ems.points import Sample
from ems.store import People, Store
from ems.web import create_app
from ems.web.invitation import agree, invite
from tests.conftest import absence
from tests.web.minute import NOW, decision, samples
from tests.web.serving import FLAGS, PARIS, chromium, served
from tests.web.weeks import HOME, ask, fill


@pytest.fixture(scope="session")
def district() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/site.db"


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with People.open(f"sqlite:///{tmp_path}/people.db") as opened:
        yield opened


@pytest.fixture
def open_pages(store_url: str, district: District, people: People) -> Iterator[Callable[..., TestClient]]:
    """Pages over a store with these samples and this record (none when not given), for everybody or for a manager."""
    clients: list[TestClient] = []

    def opened(
        shown: dict[str, Sample] | None = None,
        record: dict[str, Any] | None = None,
        now: datetime = NOW,
        *,
        as_manager: bool = False,
    ) -> TestClient:
        with Store.open(store_url) as store:
            if shown is not None:
                store.save_latest(shown)
            if record is not None:
                store.save_decision(record["slot"], record)
        client = TestClient(create_app(store_url, lambda: now, district, people), raise_server_exceptions=False)
        clients.append(client)
        if as_manager:
            assert sign_in(client, people.invite("manager", "manager", None, now)).status_code == 303
        return client

    yield opened
    for client in clients:
        client.close()


@pytest.fixture
def client(open_pages: Callable[..., TestClient], district: District) -> TestClient:
    return open_pages(samples(district), decision(district))


@pytest.fixture
def manager(open_pages: Callable[..., TestClient], district: District) -> TestClient:
    return open_pages(samples(district), decision(district), as_manager=True)


def everybody_else(people: People) -> dict[str, str]:
    """A code for one of each other role."""
    return {
        "caregiver": people.invite("daughter", "caregiver", HOME, NOW),
        "admin": people.invite("chief", "admin", None, NOW),
        "auditor": people.invite("auditor", "auditor", None, NOW),
        "installer": people.invite(
            "fitter", "installer", None, NOW, until=NOW + timedelta(days=30), part=HOME.partition("/")[0]
        ),
    }


@dataclass(frozen=True)
class FilledSite:
    """A site of some weeks, its pages, and a code for each who may sign in."""

    app: FastAPI
    codes: dict[str, str]
    people: People

    def client(self, who: str | None = None) -> TestClient:
        """A browser, signed in as `who`: manager, or the resident of a home."""
        client = TestClient(self.app, raise_server_exceptions=False)
        if who is not None:
            assert sign_in(client, self.codes[who]).status_code == 303
        return client


def sign_in(client: TestClient, code: str) -> Any:
    """Fill in the form and send it, as a browser would."""
    page = client.get("/sign-in?lang=en").text
    token = page.split('name="token" value="')[1].split('"')[0]
    return client.post("/sign-in?lang=en", data={"token": token, "code": code}, follow_redirects=False)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, district: District) -> Iterator[FilledSite]:
    folder = tmp_path_factory.mktemp("site")
    url = f"sqlite:///{folder}/site.db"
    with Store.open(url) as store:
        fill(store, district, PARIS)
    with People.open(f"sqlite:///{folder}/people.db") as people:
        codes = invite(people, district, NOW) | everybody_else(people)
        ask(people, folder)
        agree(people, NOW)
        yield FilledSite(create_app(url, lambda: NOW, district, people, folder=folder), codes, people)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory, district: District) -> Iterator[FilledSite]:
    """A site whose database is not there: nothing measured, nothing decided, but people sign in."""
    folder = tmp_path_factory.mktemp("bare")
    with People.open(f"sqlite:///{folder}/people.db") as people:
        codes = invite(people, district, NOW)
        yield FilledSite(create_app(f"sqlite:///{folder}/site.db", lambda: NOW, district, people), codes, people)


@pytest.fixture(scope="session")
def bare_address(bare: FilledSite) -> Iterator[str]:
    with served(bare.app) as at:
        yield at


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        absence("chromium is not on this machine; install it with: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def address(filled: FilledSite) -> Iterator[str]:
    """The pages on a free port of loopback."""
    with served(filled.app) as at:
        yield at
