"""French says everything that English says, and numbers are written as each language writes them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from babel.messages.extract import extract_from_dir

from ems.assets import Dwelling
from ems.assets.zone import Orientation
from ems.district import District
from ems.points import Quality
from ems.store.trail import LOOKS, Deed
from ems.web.abnormal import MORE
from ems.web.api import SCOPES
from ems.web.calendars import KINDS as CALENDAR
from ems.web.comfort import CAUSES, State
from ems.web.figures import COSTS, LABELS
from ems.web.forecasts import NAMES, REASONS
from ems.web.help import SAYINGS
from ems.web.hot_water import SENSORS
from ems.web.leaks import KINDS as LEAKS
from ems.web.live import KINDS, SECTIONS
from ems.web.my_data import PURPOSES
from ems.web.pages import TABS
from ems.web.privacy import KEPT
from ems.web.record import OUTCOMES
from ems.web.reports import WAYS
from ems.web.resident import TITLES
from ems.web.scenarios import CHOICES
from ems.web.settings import ROOMS, VALUES
from ems.web.staff import ROLE_NAMES
from ems.web.usual import Verdict
from ems.web.warmth import CALLED, STEPS
from ems.web.words import Words, catalogue, chosen, plain, said, typeset

WEB = Path(__file__).parents[2] / "ems" / "web"
FRENCH = Words("fr", ZoneInfo("Europe/Paris"))
ENGLISH = Words("en", ZoneInfo("Europe/Paris"))


def in_code() -> set[str]:
    """Every text that the templates and the code hand to `_` or `text`."""
    found = extract_from_dir(
        str(WEB), [("**.py", "python"), ("templates/**.html", "jinja2")], keywords={"_": None, "text": None}
    )
    return {str(text) for _, _, text, _, _ in found}


def made_up(district: District) -> set[str]:
    """Texts chosen while a page is made."""
    quantities = {plain(w.quantity) for w in district.wires.values()}
    fixed = {*KINDS.values(), *SECTIONS, *LABELS.values(), *COSTS.values(), *(q.value for q in Quality)}
    fixed |= {text for tabs in TABS.values() for text, _ in tabs} | TITLES | set(OUTCOMES.values()) | set(CAUSES)
    fixed |= {state.value for state in State} | {name for _, name, *_ in SENSORS} | set(get_args(Orientation))
    fixed |= {text for pages in MORE.values() for title, _, line in pages for text in (title, line)} | set(MORE)
    fixed |= set(ROLE_NAMES.values()) | set(WAYS) | set(ROOMS.values()) | {text for text, _ in VALUES.values()}
    fixed |= {*NAMES, *REASONS}
    fixed |= {title for title, *_ in LEAKS.values()} | set(CALENDAR) | set(SCOPES.values())
    fixed |= {text for *_, text in CHOICES}
    fixed |= {*get_args(Deed), *LOOKS, *SAYINGS.values(), *PURPOSES.values(), *dict(STEPS).values()}
    fixed |= {verdict.value for verdict in Verdict} | CALLED
    fixed |= {text for line in KEPT for text in (line.what, line.why, line.how_long)}
    names = {n.partition("/")[2].replace("-", " ") for n, a in district.assets.items() if not isinstance(a, Dwelling)}
    names = {n for n in names if not re.fullmatch(r"point \d+", n)}
    return quantities | fixed | names | {"info", "fallback", "alarm", "recovered"}


def test_every_text_is_in_french(district: District) -> None:
    wanted = in_code() | made_up(district)
    assert len(in_code()) > 50
    assert wanted - catalogue("fr").keys() == set()


def test_no_text_is_left_over(district: District) -> None:
    assert catalogue("fr").keys() - in_code() - made_up(district) - {"homes", "dwellings together"} <= {
        "charge points together"
    }


@pytest.mark.parametrize(
    ("english", "french"),
    [
        (
            "no plan (UnbelievableError: the answer is for 22:30, asked was 23:30); the last plan is of "
            "2026-10-23 23:15, too old; fixed rules hold",
            "pas de plan (la réponse est pour 22:30, on attendait 23:30); le dernier plan date du 2026-10-23 23:15, "
            "trop ancien; des règles fixes s’appliquent",
        ),
        # What a library said stays as it is; its semicolon ends no clause.
        ("no plan (OSError: a; b); the last one is followed", "pas de plan (OSError: a; b); le précédent est suivi"),
        (
            "weather forecast: weather forecast w.json is 30 h old; at most 26 h are trusted; "
            "climatology and persistence stand in",
            "prévision météo\u00a0: le fichier w.json date de 30\u00a0h; on se fie à 26\u00a0h au plus; "
            "climatologie et persistance la remplacent",
        ),
        ("something new", "something new"),
    ],
)
def test_what_the_control_process_says_is_told_in_french_as_far_as_it_is_known(english: str, french: str) -> None:
    assert typeset(said(english, "fr"), "fr") == french
    assert said(english, "en") == english


def test_what_is_translated_of_the_control_process_is_what_it_says() -> None:
    code = " ".join(p.read_text(encoding="utf-8") for p in WEB.parent.rglob("*.py") if WEB not in p.parents)
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # a text over two lines
    for english in catalogue("fr", "control"):
        for part in re.split(r"{\w+}", re.sub(r"^\w+Error: ", "", english)):
            assert part in code, english


def test_places_to_fill_in_are_the_same() -> None:
    for english, french in (catalogue("fr") | catalogue("fr", "control")).items():
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", french)), english


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, None, "fr"),
        ("en", "fr", "en"),
        (None, "en", "en"),
        (None, "de,en;q=0.7,fr;q=0.3", "en"),
        (None, "en;q=0,fr", "fr"),
        (None, "fr-CA", "fr"),
        (None, "*;q=x,,;;", "fr"),
        ("../../etc", "en", "en"),
    ],
)
def test_a_language_is_chosen(asked: str | None, accepted: str | None, language: str) -> None:
    assert chosen(asked, accepted) == language


def test_numbers_are_written_as_each_language_writes_them() -> None:
    assert FRENCH.value("power_kw", 1234.5) == "1\u202f234\u00a0kW"
    assert ENGLISH.value("power_kw", 1234.5) == "1,234\u00a0kW"
    assert FRENCH.value("temperature_c", -3.25) == "−3,2\u00a0°C"
    assert ENGLISH.value("humidity_share", 0.456) == "46\u00a0%"
    assert (FRENCH.value("pump_on", 1.0), FRENCH.value("pump_on", 0.0)) == ("marche", "arrêt")
    assert ENGLISH.value("power_kw", None) == "–"
    assert ENGLISH.value("power_kw", -0.01) == "0.0\u00a0kW"
    assert (FRENCH.euro(1234.5), ENGLISH.euro(4.2)) == (FRENCH.number(1234.5, 2) + "\u00a0€", "€4.20")


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(seconds=59), "59\u00a0s ago"),
        (timedelta(minutes=3), "3\u00a0min ago"),
        (timedelta(hours=30), "30\u00a0h ago"),
        (timedelta(days=9), "9 days ago"),
        (timedelta(seconds=-5), "0\u00a0s ago"),
        (None, "never"),
    ],
)
def test_ages(age: timedelta | None, shown: str) -> None:
    assert ENGLISH.age(age) == shown


def test_french_is_typeset() -> None:
    said = typeset("L'eau : « à 55 °C », aujourd'hui ? {share} % d'{what}; 10:30 l/h", "fr")
    assert said == "L’eau\u00a0: «\u00a0à 55\u00a0°C\u00a0», aujourd’hui\u00a0? {share}\u00a0% d’{what}; 10:30 l/h"
    assert typeset("the gateway's : 5 %", "en") == "the gateway's : 5 %"
    for french in catalogue("fr").values():
        assert not re.search(r"\w'\w| [:;?!»%]|« ", french), french


def test_french_counts_the_first_of_a_month_otherwise() -> None:
    first, second = date(2026, 11, 1), date(2026, 11, 2)
    assert [FRENCH.long_day(d) for d in (first, second)] == ["dimanche 1er novembre 2026", "lundi 2 novembre 2026"]
    assert FRENCH.moment(datetime(2026, 11, 1, 8, 5, tzinfo=UTC)) == "1er nov. 2026, 09:05"
    assert ENGLISH.near_day(first) == "Sun 1 Nov"


def test_times_are_local() -> None:
    assert FRENCH.clock(datetime(2026, 7, 1, 17, 30, tzinfo=UTC)) == "19:30"
    assert ENGLISH.day(datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) == "Sun 02:30"
