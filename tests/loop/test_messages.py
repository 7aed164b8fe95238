"""People are told, by real peers on loopback: a mail server and a web server of a few lines."""

from __future__ import annotations

import asyncio
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ems.loop.events import Settings, Totals
from ems.loop.messages import Mail, Messages, MessagesError, Postman, read_messages
from ems.loop.patience import PatientStore
from ems.loop.watch import Watch
from ems.store import Store, Trouble

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
HOST = "127.0.0.1"


class MailServer(socketserver.StreamRequestHandler):
    """Takes one letter after another."""

    letters: list[tuple[str, str]] = []  # noqa: RUF012 - shared on purpose

    def handle(self) -> None:
        self.say("220 ready")
        to = ""
        while line := self.rfile.readline().decode().strip():
            match line.split()[0].upper():
                case "EHLO" | "HELO" | "MAIL" | "RSET":
                    self.say("250 ok")
                case "RCPT":
                    to += line
                    self.say("250 ok")
                case "DATA":
                    self.say("354 go on")
                    text = ""
                    while (part := self.rfile.readline().decode()) != ".\r\n":
                        text += part
                    self.letters.append((to, text))
                    self.say("250 kept")
                case "QUIT":
                    self.say("221 bye")
                    return

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class Hook(BaseHTTPRequestHandler):
    """Notes what is posted and asked."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012 - shared on purpose

    def do_GET(self) -> None:
        self.answer("")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def answer(self, body: str) -> None:
        self.asked.append((self.path, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[misc]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def postman(store: Store, messages: Messages, said: list[str]) -> Postman:
    watch = Watch(store, lambda: NOW, Totals(), lambda event: None)
    patient = PatientStore(store, Settings(owner="test"), watch)
    return Postman(messages, "Smartseille", patient, lambda kind, text: said.append(f"{kind}: {text}"))


def test_alarms_are_told_once_and_escalated_when_nobody_answers(tmp_path: Path) -> None:
    MailServer.letters, Hook.asked = [], []
    said: list[str] = []
    with (
        Store.open(f"sqlite:///{tmp_path / 'site.db'}") as store,
        serving(socketserver.TCPServer((HOST, 0), MailServer)) as mail_port,
        serving(HTTPServer((HOST, 0), Hook)) as hook_port,
    ):
        mail = Mail(host=HOST, port=mail_port, encrypted=False, sender="ems@x", to=["lea@x"], escalate_to=["boss@x"])
        hook = f"http://{HOST}:{hook_port}"
        one = postman(store, Messages(mail=mail, webhook=f"{hook}/alarm", heartbeat=f"{hook}/beat"), said)
        store.alarms.raise_all([Trouble("bus-silent", "mistral/meters", "no answer")], NOW)
        store.alarms.raise_all([Trouble("setpoint-held", "a/b/c_on")], NOW)  # a note: nobody is woken
        asyncio.run(one.round(NOW))
        asyncio.run(one.round(NOW + timedelta(minutes=1)))
        [(to, text)] = MailServer.letters
        assert "lea@x" in to and "mistral/meters" in text and "A bus does not answer" in text
        posted = [json.loads(body) for path, body in Hook.asked if path == "/alarm"]
        assert [a["kind"] for p in posted for a in p["alarms"]] == ["bus-silent"]
        assert [path for path, _ in Hook.asked].count("/beat") == 1
        asyncio.run(one.round(NOW + timedelta(minutes=31)))
        assert "boss@x" in MailServer.letters[1][0]
        store.alarms.acknowledge(1, "lea", NOW)
        asyncio.run(one.round(NOW + timedelta(minutes=90)))
        assert len(MailServer.letters) == 2
        asyncio.run(one.round(NOW.replace(hour=6) + timedelta(days=1)))
        assert "the day: 2 alarm(s) raised, 2 open" in MailServer.letters[2][1]
    assert said == []


def test_what_could_not_be_told_is_told_later(tmp_path: Path) -> None:
    MailServer.letters = []
    said: list[str] = []
    with Store.open(f"sqlite:///{tmp_path / 'site.db'}") as store:
        with serving(socketserver.TCPServer((HOST, 0), MailServer)) as port:
            pass  # the server is gone again
        mail = Mail(host=HOST, port=port, encrypted=False, sender="ems@x", to=["lea@x"])
        one = postman(store, Messages(mail=mail), said)
        store.alarms.raise_all([Trouble("bus-silent", "a")], NOW)
        asyncio.run(one.round(NOW))
        assert store.alarms.open()[0].notified_at is None
        with serving(socketserver.TCPServer((HOST, 0), MailServer)) as port:
            one.settings = Messages(mail=mail.model_copy(update={"port": port}))
            asyncio.run(one.round(NOW + timedelta(minutes=1)))
        assert store.alarms.open()[0].notified_at is not None
    assert len(MailServer.letters) == 1
    assert [s.partition(":")[0] for s in said] == ["alarm", "recovered"]


def test_settings_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "messages.yaml"
    assert read_messages(path) is None
    path.write_text("heartbeat: https://example.org/site\n")
    found = read_messages(path)
    assert found is not None and found.heartbeat_every_minutes == 5
    path.write_text("webhook: ftp://x\n")
    with pytest.raises(MessagesError, match="webhook"):
        read_messages(path)
    path.write_text("mial: {}\n")
    with pytest.raises(MessagesError, match="mial"):
        read_messages(path)
