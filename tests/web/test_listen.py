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
    assert Listen(8000, host, proxy="10.15.1.1").server["forwarded_allow_ips"] == "10.15.1.1"


def test_loopback_may_be_plain_and_believes_nobody_about_who_asks() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1"):
        server = Listen(8000, host).server
        assert (server["proxy_headers"], server["forwarded_allow_ips"]) == (False, "")
    assert Listen(8000).address == "http://127.0.0.1:8000/"
    assert Listen(8000, proxy="127.0.0.1").arguments == [
        "--port",
        "8000",
        "--host",
        "127.0.0.1",
        "--proxy",
        "127.0.0.1",
    ]


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
