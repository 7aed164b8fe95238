"""Sheets for print: letters to whole buildings, and pages as PDF, for which nothing is fetched."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from ems.district import District
from ems.store import People
from ems.web import create_app
from ems.web.paper import can_print, pdf
from tests.conftest import absence
from tests.web.conftest import FilledSite, sign_in
from tests.web.minute import NOW
from tests.web.weeks import HOME

BUILDING = "mistral"  # has the fewest homes


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with People.open(f"sqlite:///{tmp_path}/people.db") as people:
        yield people


@pytest.fixture
def chief(people: People, tmp_path: Path, district: District) -> TestClient:
    app = create_app(f"sqlite:///{tmp_path}/site.db", lambda: NOW, district, people, folder=tmp_path)
    client = TestClient(app, base_url="http://127.0.0.1")
    sign_in(client, people.invite("chief", "manager", None, NOW))
    return client


@pytest.fixture
def printing() -> None:
    if not can_print():
        absence("Pango is not on this machine; install it with: apt-get install libpango-1.0-0 libpangoft2-1.0-0")


def sheets(document: bytes) -> int:
    """How many pages a PDF has."""
    assert document.startswith(b"%PDF-")
    streams = re.findall(rb"FlateDecode.*?stream\n(.*?)\nendstream", document, flags=re.DOTALL)
    objects = b"".join(zlib.decompressobj().decompress(stream) for stream in streams)
    return len(re.findall(rb"/Type\s*/Page(?!s)", objects))


def invite_all(client: TestClient, kind: str) -> Response:
    token = client.get("/manager/people").text.split('name="token" value="')[1].split('"')[0]
    form = {"token": token, "do": "invite all", "key": BUILDING, "as": kind}
    return client.post("/manager/people?lang=en", data=form)


def test_every_home_without_access_gets_its_own_code(chief: TestClient, people: People, district: District) -> None:
    homes = [name for name, home in district.dwellings.items() if home.building == BUILDING]
    kept = people.invite(homes[0], "resident", homes[0], NOW)
    page = invite_all(chief, "page").text
    codes = re.findall(r'class="big">([^<]+)<', page)
    invited = [people.account_of(code, NOW) for code in codes]
    assert [account and account.home for account in invited] == homes[1:]
    assert page.count('<article class="letter">') == page.count('class="qr"') == len(homes) - 1
    assert people.account_of(kept, NOW) is not None  # a letter that is out goes on opening
    answer = invite_all(chief, "page")
    assert answer.status_code == 409 and "has had its letter" in answer.text
    assert answer.text.count("letter sent") == len(homes) + 1  # the chief's too
    assert "homes with access: 50 of 50" in answer.text


@pytest.mark.usefixtures("printing")
def test_letters_as_pdf_are_a_sheet_each(chief: TestClient, people: People, district: District) -> None:
    count = sum(home.building == BUILDING for home in district.dwellings.values())
    assert sheets(invite_all(chief, "pdf").content) == count
    assert sum(p.invited for p in people.people(NOW)) == count + 1


@pytest.mark.usefixtures("printing")
def test_a_statement_as_pdf_is_one_sheet(filled: FilledSite) -> None:
    answer = filled.client(HOME).get("/my-home/statement/2026-09.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'attachment; filename="statement-2026-09.pdf"'
    assert sheets(answer.content) == 1


@pytest.mark.usefixtures("printing")
def test_what_is_printed_fetches_nothing(caplog: pytest.LogCaptureFixture) -> None:
    page = '<img src="http://127.0.0.1:9/a.png"><img src="file:///etc/hostname"><link rel="stylesheet" href="/b.css">'
    assert sheets(pdf(page, "http://127.0.0.1/", {"/c.css": b"p { color: red }"})) == 1
    refused = {"http://127.0.0.1:9/a.png", "file:///etc/hostname", "http://127.0.0.1/b.css"}
    assert {url for url in refused if f"{url} is none of the files" in caplog.text} == refused
