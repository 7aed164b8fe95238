"""Pages off loopback go by certificate or through a named proxy; plain HTTP over a network is refused."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import uvicorn
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ems.web.listen import Listen, ListenError
from tests.conftest import absence
from tests.web.conftest import FilledSite


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    program = shutil.which("openssl")
    if program is None:
        absence("openssl is not on this machine; install it with: apt-get install openssl")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [str(program), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return cert, key


@pytest.mark.parametrize("host", ["0.0.0.0", "10.15.1.10", "::"])
def test_plain_http_stays_on_loopback(host: str, certificate: tuple[Path, Path]) -> None:
    with pytest.raises(ListenError, match="plain HTTP"):
        Listen(8000, host)
    assert Listen(8000, host, *certificate).address.startswith("https://")
    assert Listen(8000, host, proxy="10.15.1.1").proxy == "10.15.1.1"


def test_loopback_may_be_plain_and_believes_nobody_about_who_asks() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1"):
        assert Listen(8000, host).server["proxy_headers"] is False
    assert Listen(8000).address == "http://127.0.0.1:8000/"
    assert Listen(8000, proxy="127.0.0.1").arguments == [
        "--port",
        "8000",
        "--host",
        "127.0.0.1",
        "--proxy",
        "127.0.0.1",
    ]


@pytest.mark.parametrize("host", ["127.61.0.1", "::1"])
def test_behind_a_proxy_nobody_else_is_answered(host: str) -> None:
    """The proxy tells who asks and that it was https; whoever goes past it is told where to ask."""
    asked: list[tuple[str, str]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append((scope["client"][0], scope["scheme"]))
        await PlainTextResponse("a page")(scope, receive, send)

    told = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https"}
    site = Listen(8000, "0.0.0.0", proxy=host).before(app)
    answer = TestClient(site, client=(host, 5000)).get("/sign-in", headers=told)
    assert (answer.status_code, asked) == (200, [("203.0.113.7", "https")])
    for other in ("127.61.0.2", "::2", "not an address"):
        refused = TestClient(site, client=(other, 5000)).get("/sign-in", headers=told)
        assert refused.status_code == 403 and "reverse proxy" in refused.text
        assert refused.headers["content-type"].startswith("text/plain")
    assert len(asked) == 1
    alone = Listen(8000, "127.0.0.1")
    assert TestClient(alone.before(app), client=(host, 5000)).get("/", headers=told).status_code == 200
    assert asked[1:] == [(host, "http")]  # without a proxy nobody is believed


def test_the_proxy_is_known_at_a_socket_for_both_kinds_of_addresses() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("a page")(scope, receive, send)

    site = Listen(8000, "::", proxy="10.15.1.1").before(app)
    assert TestClient(site, client=("::ffff:10.15.1.1", 5000)).get("/").status_code == 200
    assert TestClient(site, client=("::ffff:10.15.1.2", 5000)).get("/").status_code == 403


@pytest.mark.parametrize(
    "origin",
    ["http://ems.example", "https://10.15.1.10", "https://[::1]", "https://ems.example/", "ems.example", "https://",
     "https://user@ems.example", "http://localhost:nine", "https://EMS.example"],
)  # fmt: skip
def test_an_origin_is_a_name_over_https(origin: str) -> None:
    with pytest.raises(ListenError, match="--origin"):
        Listen(8000, origin=origin)


def test_what_the_site_is_known_as(certificate: tuple[Path, Path]) -> None:
    assert Listen(8000).known_as == "http://localhost:8000"
    assert Listen(8000, origin="https://ems.example:8443").known_as == "https://ems.example:8443"
    assert Listen(8000, "10.15.1.10", *certificate).known_as is None  # an address is no name
    assert Listen(8000, proxy="127.0.0.1").known_as is None
    given = Listen(8000, origin="https://ems.example").arguments
    assert given[-2:] == ["--origin", "https://ems.example"]


def test_half_a_certificate_and_names_are_refused(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    with pytest.raises(ListenError, match="needs its key"):
        Listen(8000, tls_cert=certificate[0])
    with pytest.raises(ListenError, match="is no file"):
        Listen(8000, "127.0.0.1", certificate[0], tmp_path / "nothing")
    with pytest.raises(ListenError, match="as addresses"):
        Listen(8000, "localhost")


def test_the_pages_are_served_by_certificate(filled: FilledSite, certificate: tuple[Path, Path]) -> None:
    settings = Listen(0, "127.0.0.1", *certificate).server
    server = uvicorn.Server(uvicorn.Config(filled.app, log_level="error", timeout_graceful_shutdown=1, **settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.started
        port = server.servers[0].sockets[0].getsockname()[1]
        trusted = ssl.create_default_context(cafile=str(certificate[0]))
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/sign-in", context=trusted, timeout=30) as answer:
            assert answer.status == 200
            assert answer.headers["set-cookie"].startswith("__Host-visit=")
            assert "max-age" in answer.headers["strict-transport-security"]
    finally:
        server.should_exit = True
        thread.join(timeout=30)
