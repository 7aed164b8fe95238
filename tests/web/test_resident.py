"""A resident's pages: one sentence, one number, and charts whose words say what the numbers say."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient

from ems.district import District
from ems.slots import Slots, floor
from ems.store import People
from ems.web import create_app
from ems.web.chart import Line
from ems.web.figures import temperatures
from ems.web.usual import Habit, Verdict
from ems.web.words import Words
from tests.web.conftest import FilledSite, sign_in
from tests.web.minute import NOW
from tests.web.serving import PARIS
from tests.web.test_pages import text_of
from tests.web.weeks import HOME


def page(filled: FilledSite, path: str) -> str:
    answer = filled.client(HOME).get(path)
    assert answer.status_code == 200, path
    return answer.text


def descriptions(html: str) -> list[str]:
    found = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    return [" ".join((ElementTree.fromstring(svg).findtext("desc") or "").split()) for svg in found]


def test_a_day_begins_with_one_sentence_and_one_number(filled: FilledSite) -> None:
    text = text_of(page(filled, "/my-home/day/2026-10-23?lang=en"))
    # By hand: 96 quarter-hours of 0.05, of which 6 are 0.18, 4 are 0.3, 15 are 0.22 and one is 0.75.
    total = 70 * 0.05 + 6 * 0.18 + 4 * 0.3 + 15 * 0.22 + 0.75
    assert total == pytest.approx(9.83)
    assert "Friday 23 October 2026 Electricity you used on this day 9.83 kWh" in text
    assert "A day of the week before: 9.83 kWh on average." in text
    assert "Every quarter-hour was measured." in text


def test_today_is_told_as_far_as_it_has_come(filled: FilledSite) -> None:
    text = text_of(page(filled, "/my-home?lang=en"))
    assert "Electricity you used today until 16:00 4.98 kWh Yesterday by the same time: 4.98 kWh." in text
    assert "Quarter-hours estimated: 5." in text
    assert "At 16:15 it was 20.8 °C in your home; your thermostat asks for 20.0 °C." in text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/my-home/day/2026-10-23?lang=en", "The most: 0.75 kWh, from 19:30 to 19:45."),
        ("/my-home/day/2026-10-23?lang=fr", "Le plus : 0,75 kWh, de 19:30 à 19:45."),
        ("/my-home/month/2026-10?lang=en", "The most: 9.83 kWh, on Thursday 1 October 2026."),
        ("/my-home/year/2026?lang=en", "The most: 295 kWh, in September 2026."),
    ],
)
def test_the_stated_peak_is_the_datas(filled: FilledSite, path: str, told: str) -> None:
    html = page(filled, path)
    assert descriptions(html)[0] == told
    assert told in text_of(html)


def test_the_drawn_peak_is_the_stated_one(filled: FilledSite) -> None:
    html = page(filled, "/my-home/day/2026-10-23?lang=en")
    bars = re.findall(r"M(\d+) 240v-(\d+)h3", html)
    highest = max(bars, key=lambda bar: int(bar[1]))
    assert int(highest[0]) / 4 == 4 * 19.5  # the quarter-hour of 19:30
    assert int(highest[1]) == round(0.75 / 0.8 * 240)  # on a scale up to 0.8
    assert len(bars) == 96


def test_each_euro_says_what_kind_it_is_and_the_sun_changes_no_bill(filled: FilledSite) -> None:
    # By hand: 22-6 h and, until October, 12-15 h are off-peak (0.1635); 6-22 h otherwise peak (0.2081), 1-6 h off-peak.
    text = text_of(page(filled, "/my-home/day/2026-10-23?lang=en"))
    # Off-peak from 1 to 6 h: 20 of 0.05; from 12 to 15 h: 4 of 0.3 and 8 of 0.05. The rest of 9.83 is peak.
    off_peak = 20 * 0.05 + 4 * 0.3 + 8 * 0.05
    assert f"about €{off_peak * 0.1635 + (9.83 - off_peak) * 0.2081:.2f}: an estimate at the regulated price" in text
    for path in ("/my-home", "/my-home/month", "/my-home/year", "/my-home/statement/2026-09"):
        text = text_of(page(filled, f"{path}?lang=fr"))
        assert text.count("€") == text.count("estimation au tarif réglementé"), path
        assert text.count("le soleil a donné") == text.count("cela ne change pas votre facture"), path
    assert "le soleil a donné" in text_of(page(filled, "/my-home?lang=fr"))


def test_a_week_is_judged_against_ones_own_past_and_similar_homes(filled: FilledSite) -> None:
    text = text_of(page(filled, "/my-home?lang=en"))
    # Each day of this made-up home is like the other: 9.83 kWh, 96 x 0.09 of heat, and 96 x 1.2 litres.
    assert "Electricity: 68.8 kWh , about the same. Usual for you: 58.5 kWh to 79.1 kWh." in text  # 15 % around 68.8
    assert "Heat: 60 kWh , about the same. Usual for you in this weather: 51 kWh to 70 kWh." in text
    # In September 58 others used 200 kWh each and this home 259; it has 52.2 m2, their mean is 52.293:
    # (58 x 200 + 259) / 59 x 52.2 / 52.293 = 200.6.
    assert "Similar homes, for a home of your size: 201 kWh of heat and 3,002 litres of hot water." in text
    assert "the 59 homes of Horizon tower of up to 72.7 m²" in text and "at least 11 of them were measured" in text


def test_a_statement_tells_readings_and_what_they_come_to(filled: FilledSite) -> None:
    text = text_of(page(filled, "/my-home/statement/2026-09?lang=en"))
    # 30 days of 96 quarter-hours of 0.09 kWh: 259.2; the meter counts whole kWh.
    assert "Horizon tower, flat 0101" in text and "Used 259" in text
    assert "in August 2026 –" in text and "in September 2025 –" in text
    assert "This statement is no bill." in text and "not complete" not in text
    assert "not complete" in text_of(page(filled, "/my-home/statement/2026-07?lang=en"))
    client = filled.client(HOME)
    assert client.get("/my-home/statement", follow_redirects=False).headers["location"] == "/my-home/statement/2026-09"
    for path in ("2026-10", "2026-13", "1999-01", "x"):
        assert client.get(f"/my-home/statement/{path}").status_code == 404
    # Nobody agreed to anything in the other home: its statement is there all the same.
    assert filled.client("calanques/flat-0101").get("/my-home/statement/2026-09").status_code == 200


def test_a_year_of_electricity_is_led_by_electricity(filled: FilledSite) -> None:
    text = text_of(page(filled, "/my-home/year?lang=en"))
    total = re.search(r"Electricity used in 2026 so far (\d+) kWh", text)
    # 70 days of 9.83 kWh each: 688.
    assert total is not None and total[1] == "688"
    assert "not agreed" not in text


def test_whom_to_call_stands_first_in_help_and_below_every_page(filled: FilledSite) -> None:
    answer = page(filled, "/my-home/help?lang=fr")
    told = "Astreinte chauffage et eau chaude : 04 65 71 00 00 7 jours sur 7, 24 heures sur 24"
    assert text_of(answer).split("Aide")[-1].lstrip().startswith(told)
    assert 'href="tel:0465710000"' in answer and "appelez le 112" in answer
    assert told in text_of(page(filled, "/my-home?lang=fr"))
    assert "tel:" not in filled.client("manager").get("/manager").text + filled.client().get("/").text


def test_where_nobody_is_on_call_no_number_is_shown(store_url: str, district: District, people: People) -> None:
    client = TestClient(create_app(store_url, lambda: NOW, replace(district, contact=None), people))
    assert sign_in(client, people.invite("a resident", "resident", HOME, NOW)).status_code == 303
    text = client.get("/my-home/help?lang=en").text
    assert "tel:" not in text and "call 112" in text and "I am cold" in text


def test_words_are_explained_in_both_languages(filled: FilledSite) -> None:
    assert "An amount of energy. A washing machine" in text_of(page(filled, "/my-home/help?lang=en"))
    assert "Une quantité d’énergie. Une machine à laver" in unescape(page(filled, "/my-home/help?lang=fr"))


def test_what_counts_as_usual_is_told_as_a_range_that_agrees_with_the_verdict() -> None:
    # By hand: 10 a day, single days 4 around it; a week may be 2 * 4 * sqrt(7) = 21.2 off.
    habit = Habit(each_day=10.0, each_degree=0.0, spread=4.0)
    assert habit.usual([0.0] * 7) == (pytest.approx(70 - 21.17, abs=0.01), pytest.approx(91.17, abs=0.01))
    verdicts = [habit.verdict(used, [0.0] * 7) for used in (48.8, 48.9, 91.1, 91.2)]
    assert verdicts == [Verdict.LESS, Verdict.SAME, Verdict.SAME, Verdict.MORE]


def test_a_temperature_that_stays_is_told_as_one() -> None:
    words = Words("en", PARIS)
    slots = Slots(floor(NOW), 2)
    shown = [temperatures([Line("Water", row, "l1")], slots, words, title="") for row in ([48.71, 48.7], [48.7, 49.0])]
    assert shown[0].description == "Water: 48.7\u00a0°C all the time."
    assert "lowest 48.7" in shown[1].description and "highest 49.0" in shown[1].description


def test_this_month_leads_to_the_statement_of_the_last(filled: FilledSite) -> None:
    assert 'href="/my-home/statement/2026-09"' in page(filled, "/my-home/month")
    assert "Statement of heat and hot water, September 2026" in page(filled, "/my-home/month/2026-09?lang=en")


def test_a_page_that_is_not_there_leaves_the_tabs(filled: FilledSite) -> None:
    html = filled.client(HOME).get("/my-home/day/x?lang=en").text
    assert "There is no such page" in html and 'class="tabs"' in html and "Sign in" not in html
    assert 'class="tabs"' not in filled.client().get("/nowhere").text


def test_a_day_without_data_says_so(filled: FilledSite) -> None:
    assert "Nothing was measured on this day." in page(filled, "/my-home/day/2026-01-05?lang=en")
    assert "Nothing was measured." in page(filled, "/my-home/month/2026-01?lang=en")
    assert "Rien n’a été mesuré." in page(filled, "/my-home/year/2025?lang=fr")


def test_days_to_come_and_days_that_are_none_are_404(filled: FilledSite) -> None:
    client = filled.client(HOME)
    for path in (
        "day/2026-10-25", "day/2026-2-3", "day/yesterday", "day/2026-13-01", "day/1999-01-01", "day/2026-10-23x",
        "month/2026-11", "month/2026-1", "year/2027", "year/26", "year/9999",
    ):  # fmt: skip
        assert client.get(f"/my-home/{path}").status_code == 404, path


def test_every_period_leads_to_the_one_before(filled: FilledSite) -> None:
    assert 'href="/my-home/day/2026-10-23?lang=en"' in page(filled, "/my-home?lang=en")
    assert 'href="/my-home/month/2026-09"' in page(filled, "/my-home/month")
    assert 'href="/my-home/month/2026-01"' in page(filled, "/my-home/month/2025-12")
    assert 'rel="next"' not in page(filled, "/my-home/year")


@pytest.mark.parametrize("path", ["/my-home", "/my-home/day/2026-10-23", "/my-home/month", "/my-home/year"])
def test_a_first_visit_is_light(filled: FilledSite, path: str) -> None:
    """Issue: at most 15 kB over the wire and three requests."""
    client = filled.client(HOME)
    answer = client.get(path, headers={"accept-encoding": "gzip"})
    files = re.findall(r'"(/static/[^"]+)"', answer.text)
    sizes = [int(client.get(f, headers={"accept-encoding": "gzip"}).headers["content-length"]) for f in files]
    assert 1 + len(files) <= 3
    assert int(answer.headers["content-length"]) + sum(sizes) <= 15_000
