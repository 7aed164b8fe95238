"""People are told, by real peers on loopback: a mail server and a web server of a few lines."""

from __future__ import annotations

import asyncio
import json
import socketserver
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ems.loop.events import Settings, Totals
from ems.loop.messages import Mail, Messages, MessagesError, Postman, keep_telling, read_messages
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


def postman(store: Store, messages: Messages, said: list[str], controls: Callable[[], bool] = lambda: True) -> Postman:
    watch = Watch(store, lambda: NOW, Totals(), lambda event: None)
    patient = PatientStore(store, Settings(owner="test"), watch)
    return Postman(messages, "Smartseille", patient, lambda kind, text: said.append(f"{kind}: {text}"), controls)


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


class Stranger(socketserver.StreamRequestHandler):
    """Something that speaks no HTTP, at the port that somebody wrote down."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"SSH-2.0-nobody\r\n")


def test_a_hook_that_speaks_another_language_is_a_failure_like_any_other(tmp_path: Path) -> None:
    said: list[str] = []
    with (
        Store.open(f"sqlite:///{tmp_path / 'site.db'}") as store,
        serving(socketserver.TCPServer((HOST, 0), Stranger)) as port,
    ):
        one = postman(store, Messages(heartbeat=f"http://{HOST}:{port}/beat"), said)
        asyncio.run(one.round(NOW))
    assert said == ["alarm: heartbeat: people could not be told: SSH-2.0-nobody\r\n"]


def test_a_round_that_stumbles_is_not_the_last_one(tmp_path: Path) -> None:
    said: list[str] = []
    rounds: list[datetime] = []

    async def stumble(now: datetime) -> None:
        rounds.append(now)
        raise RuntimeError("a stone")

    async def two_rounds() -> None:
        task = asyncio.create_task(keep_telling(one, lambda: NOW, every_s=0.0))
        while len(rounds) < 2 and not task.done():
            await asyncio.sleep(0)
        task.cancel()

    with Store.open(f"sqlite:///{tmp_path / 'site.db'}") as store:
        one = postman(store, Messages(), said)
        one.round = stumble  # type: ignore[method-assign]
        asyncio.run(two_rounds())
    assert len(rounds) == 2
    assert said[0] == "info: people are told later: RuntimeError: a stone"


def test_a_database_that_takes_no_note_does_not_make_people_be_told_twice(tmp_path: Path) -> None:
    Hook.asked = []
    file = tmp_path / "site.db"
    with (
        Store.open(f"sqlite:///{file}", busy_timeout_s=0.01, attempts=1) as store,
        serving(HTTPServer((HOST, 0), Hook)) as port,
    ):
        one = postman(store, Messages(webhook=f"http://{HOST}:{port}/alarm"), [])
        store.alarms.raise_all([Trouble("bus-silent", "mistral/meters", "no answer")], NOW)
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for minute in range(3):
            asyncio.run(one.round(NOW + timedelta(minutes=minute)))
        assert len(Hook.asked) == 1
        other.execute("ROLLBACK")
        other.close()
        asyncio.run(one.round(NOW + timedelta(minutes=3)))
        assert len(Hook.asked) == 1
        assert store.alarms.open()[0].notified_at is not None  # so that it can escalate


def test_a_database_that_takes_no_alarm_is_told_of_from_memory(tmp_path: Path) -> None:
    Hook.asked = []
    file = tmp_path / "site.db"
    with (
        Store.open(f"sqlite:///{file}", busy_timeout_s=0.01, attempts=1) as store,
        serving(HTTPServer((HOST, 0), Hook)) as port,
    ):
        one = postman(store, Messages(webhook=f"http://{HOST}:{port}/alarm"), [])
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert asyncio.run(one._store.at_once(lambda: store.save_setpoints({"a/b/c_on": 1.0}, NOW))) is None
        for minute in (0, 5, 11, 12):
            asyncio.run(one.round(NOW + timedelta(minutes=minute)))
        other.close()
    [told] = [json.loads(body) for _, body in Hook.asked]
    assert [(a["kind"], a["raised_at"]) for a in told["alarms"]] == [("database-held", NOW.isoformat())]


def test_no_heartbeat_goes_out_while_nothing_is_controlled(tmp_path: Path) -> None:
    Hook.asked = []
    controlled = [True, False]
    with (
        Store.open(f"sqlite:///{tmp_path / 'site.db'}") as store,
        serving(HTTPServer((HOST, 0), Hook)) as port,
    ):
        one = postman(store, Messages(heartbeat=f"http://{HOST}:{port}/beat"), [], lambda: controlled.pop(0))
        asyncio.run(one.round(NOW))
        asyncio.run(one.round(NOW + timedelta(minutes=5)))
    assert [path for path, _ in Hook.asked] == ["/beat"]


def test_what_is_not_known_is_not_told_as_a_quiet_day(tmp_path: Path) -> None:
    Hook.asked = []
    six = NOW.replace(hour=6)
    file = tmp_path / "site.db"
    with (
        Store.open(f"sqlite:///{file}") as store,
        serving(HTTPServer((HOST, 0), Hook)) as port,
    ):
        one = postman(store, Messages(webhook=f"http://{HOST}:{port}/day"), [])
        store.alarms.raise_all([Trouble("setpoint-held", "a/b/c_on")], six)
        store.close()
        whole = file.read_bytes()
        file.write_bytes(b"no database at all" * 100)
        asyncio.run(one.round(six))
        assert Hook.asked == []
        store.close()
        file.write_bytes(whole)
        asyncio.run(one.round(six + timedelta(minutes=1)))
    [told] = [json.loads(body) for _, body in Hook.asked]
    assert told["title"] == "the day: 1 alarm(s) raised, 1 open"


def test_a_secret_in_the_settings_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "messages.yaml"
    for wrong in (
        "mail: {host: h, sender: a, to: [b], password: s3cret}",
        "webhook: hooks.example/s3cret",
        "webhook: https://hooks.example/s3cret: {",
    ):
        path.write_text(wrong)
        with pytest.raises(MessagesError) as found:
            read_messages(path)
        assert "s3cret" not in str(found.value)
        assert found.value.__suppress_context__


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
