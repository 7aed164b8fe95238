"""Alarms told to people: by e-mail and webhook, again to somebody else when nobody answers, and once a day in sum.

A heartbeat outward lets somebody notice silence: whoever expects it raises the alarm that a dead site cannot.
Nothing here may hold the loop: it runs beside it, with time-outs, and what could not be sent is tried again.
"""

from __future__ import annotations

import asyncio
import json
import smtplib
import ssl
import urllib.request
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ems.loop.patience import PatientStore
from ems.store import Alarm, AlarmState, Severity, StoreError

TIMEOUT_S = 20.0
TOLD = (Severity.URGENT, Severity.WARNING)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mail(_Entry):
    """A mail server and who is written to. The password stands in a file of its own, readable by this user alone."""

    host: str
    port: int = Field(default=587, ge=1, le=65535)
    encrypted: bool = True  # STARTTLS; without it only a server on this machine should be used
    user: str = ""
    password_file: Path | None = None
    sender: str
    to: list[str] = Field(min_length=1)
    escalate_to: list[str] = []


class Messages(_Entry):
    """`messages.yaml` in a site's folder."""

    mail: Mail | None = None
    webhook: str | None = Field(default=None, pattern="^https?://")
    heartbeat: str | None = Field(default=None, pattern="^https?://")
    heartbeat_every_minutes: int = Field(default=5, ge=1)
    escalate_after_minutes: int = Field(default=30, ge=1)
    digest_at_utc_hour: int = Field(default=6, ge=0, le=23)


class MessagesError(ValueError):
    """messages.yaml is not what it should be."""


def read_messages(path: Path) -> Messages | None:
    """The settings, or None without a file. Raises MessagesError with what is wrong."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Messages.model_validate(content or {})
    except FileNotFoundError:
        return None
    except (ValidationError, yaml.YAMLError) as error:
        raise MessagesError(f"{path}: {error}") from error


class Postman:
    """Tells people what is wrong, from the store's alarms."""

    def __init__(self, settings: Messages, site: str, store: PatientStore, say: Callable[[str, str], None]) -> None:
        self.settings = settings
        self.site = site
        self._store = store
        self._say = say
        self._beat_at: datetime | None = None
        self._digest_on: int | None = None
        self._failing: set[str] = set()

    async def round(self, now: datetime) -> None:
        """Tells what is new, escalates what nobody has seen, beats. Never raises."""
        if self._is_due(now):
            self._beat_at = now
            await self._try("heartbeat", self._beat)
        try:
            alarms = await self._store.at_once(self._store.store.alarms.open)
        except StoreError:
            return
        waiting = [a for a in alarms or [] if a.kind.severity in TOLD and a.state(now) is AlarmState.RAISED]
        new = [a for a in waiting if a.notified_at is None]
        if new and await self._tell(f"{len(new)} new alarm(s)", new, self._recipients()):
            await self._mark(new, now, escalated=False)
        after = timedelta(minutes=self.settings.escalate_after_minutes)
        mail = self.settings.mail
        late = [a for a in waiting if a.notified_at and not a.escalated_at and now - a.notified_at >= after]
        late = [a for a in late if a.kind.severity is Severity.URGENT]
        higher = [] if mail is None else mail.escalate_to
        if late and higher and await self._tell(f"nobody has seen {len(late)} urgent alarm(s)", late, higher):
            await self._mark(late, now, escalated=True)
        await self._digest(now, alarms or [])

    async def _digest(self, now: datetime, alarms: Sequence[Alarm]) -> None:
        today = now.toordinal()
        if now.hour != self.settings.digest_at_utc_hour or self._digest_on == today:
            return
        self._digest_on = today
        past = await self._store.at_once(lambda: self._store.store.alarms.since(now - timedelta(days=1)))
        title = f"the day: {len(past or [])} alarm(s) raised, {len(alarms)} open"
        await self._tell(title, list(alarms), self._recipients())

    def _is_due(self, now: datetime) -> bool:
        every = timedelta(minutes=self.settings.heartbeat_every_minutes)
        return self.settings.heartbeat is not None and (
            self._beat_at is None or not timedelta(0) <= now - self._beat_at < every
        )

    def _recipients(self) -> list[str]:
        return [] if self.settings.mail is None else self.settings.mail.to

    async def _mark(self, alarms: Sequence[Alarm], now: datetime, *, escalated: bool) -> None:
        numbers = [a.number for a in alarms]
        mark = self._store.store.alarms.mark_notified
        await self._store.at_once(lambda: mark(numbers, now, escalated=escalated))

    async def _tell(self, title: str, alarms: Sequence[Alarm], to: Sequence[str]) -> bool:
        """By every way there is. Returns whether one of them worked: then nobody needs to be told again."""
        told = False
        if self.settings.mail is not None and to:
            message = letter(self.settings.mail, f"[{self.site}] {title}", alarms, to)
            told |= await self._try("mail", lambda: send(self.settings.mail, message))  # type: ignore[arg-type]
        if self.settings.webhook is not None:
            body = {"site": self.site, "title": title, "alarms": [_as_json(a) for a in alarms]}
            told |= await self._try("webhook", lambda: post(str(self.settings.webhook), body))
        return told

    def _beat(self) -> None:
        request = urllib.request.Request(str(self.settings.heartbeat), method="GET")
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            pass

    async def _try(self, way: str, send_it: Callable[[], None]) -> bool:
        try:
            await asyncio.to_thread(send_it)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            if way not in self._failing:
                self._say("alarm", f"{way}: people could not be told: {error}")
            self._failing.add(way)
            return False
        if way in self._failing:
            self._failing.discard(way)
            self._say("recovered", f"{way}: people can be told again")
        return True


async def keep_telling(postman: Postman, now: Callable[[], datetime], every_s: float = 30.0) -> None:
    """One round after another, until it is cancelled."""
    while True:
        await postman.round(now())
        await asyncio.sleep(every_s)


def letter(mail: Mail, subject: str, alarms: Sequence[Alarm], to: Sequence[str]) -> EmailMessage:
    """An e-mail that says in French, then in English, what is wrong, what it means and what to do."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, mail.sender, ", ".join(to)
    parts = []
    for alarm in alarms:
        since = f"{alarm.raised_at:%Y-%m-%d %H:%M} UTC"
        for words in (alarm.kind.fr, alarm.kind.en):
            parts.append(
                f"{words.title} ({since}) {alarm.subject}\n{words.cause} {words.consequence}\n-> {words.remedy}"
            )
        parts.append(alarm.detail)
    message.set_content("\n\n".join(parts) or subject)
    return message


def send(mail: Mail, message: EmailMessage) -> None:
    """Hands a letter to the mail server. Raises OSError or SMTPException."""
    with smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_S) as server:
        if mail.encrypted:
            server.starttls(context=ssl.create_default_context())
        if mail.user and mail.password_file is not None:
            server.login(mail.user, mail.password_file.read_text(encoding="utf-8").strip())
        server.send_message(message)


def post(url: str, body: object) -> None:
    """Posts JSON. Raises OSError for anything but success."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S):
        pass


def _as_json(alarm: Alarm) -> dict[str, object]:
    return {
        "number": alarm.number,
        "kind": alarm.kind.name,
        "severity": alarm.kind.severity.value,
        "subject": alarm.subject,
        "title_fr": alarm.kind.fr.title,
        "title_en": alarm.kind.en.title,
        "detail": alarm.detail,
        "raised_at": alarm.raised_at.isoformat(),
        "times": alarm.times,
    }
