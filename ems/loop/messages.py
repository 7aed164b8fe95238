"""Alarms told to people: by e-mail and webhook, again to somebody else when nobody answers, and once a day in sum.

A heartbeat outward lets somebody notice silence: whoever expects it raises the alarm that a dead site cannot.
Nothing here may hold the loop: it runs beside it, with time-outs, and what could not be sent is tried again.
"""

from __future__ import annotations

import asyncio
import http.client
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
from ems.store import KINDS, Alarm, AlarmState, Severity, StoreError

TIMEOUT_S = 20.0
HELD_TOLD_AFTER = timedelta(minutes=10)  # longer than a back-up or a load holds a database
TOLD = (Severity.URGENT, Severity.WARNING)


class _Entry(BaseModel):
    # A password in the wrong place, or the key in a hook's address, is not repeated to a log.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


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
    except ValidationError as error:
        raise MessagesError(f"{path}: {error}") from None
    except yaml.YAMLError as error:  # its own words quote the line
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        raise MessagesError(f"{path}: it is no YAML{where}") from None


class Postman:
    """Tells people what is wrong, from the store's alarms.

    The heartbeat goes out only while `controls` says that the district is controlled: a process that merely lives, and
    whose cycles fail, is silent like a dead one.
    """

    def __init__(
        self,
        settings: Messages,
        site: str,
        store: PatientStore,
        say: Callable[[str, str], None],
        controls: Callable[[], bool] = lambda: True,
    ) -> None:
        self.settings = settings
        self.site = site
        self._store = store
        self.say = say
        self._controls = controls
        self._held_since: datetime | None = None
        self._held_told = False
        self._beat_at: datetime | None = None
        self._digest_on: int | None = None
        self._failing: set[str] = set()
        self._told: set[int] = set()  # alarms, also those that the store could not be told of
        self._escalated: set[int] = set()

    async def round(self, now: datetime) -> None:
        """Tells what is new, escalates what nobody has seen, beats."""
        if self._is_due(now) and self._controls():
            self._beat_at = now
            await self._try("heartbeat", self._beat)
        await self._tell_of_the_store(now)
        try:
            alarms = await self._store.at_once(self._store.store.alarms.open)
        except StoreError:
            return
        waiting = [a for a in alarms or [] if a.kind.severity in TOLD and a.state(now) is AlarmState.RAISED]
        unmarked = [a for a in waiting if a.notified_at is None]
        new = [a for a in unmarked if a.number not in self._told]
        if unmarked and (not new or await self._tell(f"{len(new)} new alarm(s)", new, self._recipients())):
            await self._mark(unmarked, now, escalated=False)
        after = timedelta(minutes=self.settings.escalate_after_minutes)
        mail = self.settings.mail
        late = [a for a in waiting if a.notified_at and not a.escalated_at and now - a.notified_at >= after]
        late = [a for a in late if a.kind.severity is Severity.URGENT]
        higher = [] if mail is None else mail.escalate_to
        unseen = [a for a in late if a.number not in self._escalated]
        title = f"nobody has seen {len(unseen)} urgent alarm(s)"
        if late and higher and (not unseen or await self._tell(title, unseen, higher)):
            await self._mark(late, now, escalated=True)
        if alarms is not None:
            await self._digest(now, alarms)

    async def _tell_of_the_store(self, now: datetime) -> None:
        """A database that takes nothing takes no alarm either: this one is told from memory."""
        held = self._store.watch.standing.get(("database-held", ""))
        if held is None:
            self._held_since, self._held_told = None, False
            return
        since = self._held_since = self._held_since or now
        if not self._held_told and now - since >= HELD_TOLD_AFTER:
            alarm = Alarm(0, KINDS["database-held"], "", held, since, now, 1)
            self._held_told = await self._tell("the database takes nothing", [alarm], self._recipients())

    async def _digest(self, now: datetime, alarms: Sequence[Alarm]) -> None:
        today = now.toordinal()
        if now.hour != self.settings.digest_at_utc_hour or self._digest_on == today:
            return
        past = await self._store.at_once(lambda: self._store.store.alarms.since(now - timedelta(days=1)))
        if past is None:
            return  # nothing is known, which is not that nothing was
        self._digest_on = today
        title = f"the day: {len(past)} alarm(s) raised, {len(alarms)} open"
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
        told = self._escalated if escalated else self._told
        told.update(numbers)
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
        except (OSError, smtplib.SMTPException, http.client.HTTPException, ValueError) as error:
            if way not in self._failing:
                self.say("alarm", f"{way}: people could not be told: {error}")
            self._failing.add(way)
            return False
        if way in self._failing:
            self._failing.discard(way)
            self.say("recovered", f"{way}: people can be told again")
        return True


async def keep_telling(postman: Postman, now: Callable[[], datetime], every_s: float = 30.0) -> None:
    """One round after another, until it is cancelled."""
    while True:
        try:
            await postman.round(now())
        except Exception as error:  # whatever one round stumbles over, there is a next one
            postman.say("info", f"people are told later: {type(error).__name__}: {error}")
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
