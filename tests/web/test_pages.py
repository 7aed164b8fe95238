"""What stands on the pages, in which language, and what never does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ems.district import District
from ems.points import Quality, Sample
from ems.store.ageing import OF_HOMES
from ems.web import create_app
from ems.web.app import HEADERS
from ems.web.live import Live
from tests.web.minute import NOW, SECRET, decision, samples


def text_of(html: str) -> str:
    """The words of a page, without tags, in one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_page_is_whole_without_a_script(client: TestClient) -> None:
    page = text_of(client.get("/?lang=en").text)
    assert "The district is being controlled" in page
    assert "Last decision 4 min ago, planned in 4.2 s" in page
    assert "Set points confirmed: 1 of 2, refused by the gate: 1" in page
    assert "Horizon tower" in page
    assert "charges at night" in page
    assert "too little: 1.2 kWh. Remedy: earlier" in page
    assert "no weather file" in page
    assert "energy bought €812.50" in page
    assert "surprise term €3.00" in page
    assert "not served" not in page  # a term that is nothing
    # By hand: 100 kW of buildings, 10 kW of battery at night, 20 kW of homes.
    assert "The grid gives at most 130 kW, on Sun 02:00." in page
    assert "The sun gives at most 40.0 kW, on Sun 13:00." in page


def test_the_banner_says_at_once_that_most_readings_are_gone(
    open_pages: Callable[..., TestClient], district: District
) -> None:
    """Buses fall silent between two cycles: the next decision, up to a quarter-hour away, is not waited for."""
    seen = samples(district)
    gone = {p: Sample(None, Quality.UNREACHABLE, s.at) for p, s in list(seen.items())[: len(seen) // 2 + 1]}
    few = dict(list(gone.items())[: len(seen) // 3])
    page = text_of(open_pages(seen | few, decision(district)).get("/?lang=en").text)
    assert "✓ The district is being controlled" in page
    page = text_of(open_pages(seen | gone, decision(district)).get("/?lang=en").text)
    assert "! Controlled, but most readings are missing" in page and "is being controlled" not in page
    assert f"{len(gone)} of {len(seen)} points give nothing to believe now" in page


def test_the_banner_says_that_nothing_was_read_in_the_last_quarter_hour(
    open_pages: Callable[..., TestClient], district: District
) -> None:
    client = open_pages(
        samples(district), decision(district), NOW + timedelta(minutes=22)
    )  # the decision is 26 minutes old, not lost
    assert "Controlled, but most readings are missing" in text_of(client.get("/?lang=en").text)


def test_french_comes_first_and_both_are_spoken(client: TestClient) -> None:
    french = client.get("/", headers={"accept-language": "it"})
    assert french.headers["content-language"] == "fr"
    assert "Le quartier est piloté" in french.text
    assert '<html lang="fr">' in french.text
    told = text_of(french.text)
    assert "énergie achetée 812,50 €" in told and "trop peu : 1,2 kWh" in told
    for headers, query in (
        ({"accept-language": "en-US,en;q=0.9,fr;q=0.8"}, ""),
        ({"accept-language": "fr"}, "?lang=en"),
    ):
        english = client.get(f"/{query}", headers=headers)
        assert english.headers["content-language"] == "en"
        assert "The district is being controlled" in english.text
    assert client.get("/?lang=xx", headers={"accept-language": "en"}).headers["content-language"] == "en"


def test_a_chosen_language_stays_chosen(client: TestClient) -> None:
    assert 'href="/sign-in?lang=en"' in client.get("/?lang=en").text
    assert 'href="/sign-in"' in client.get("/").text


def test_a_language_is_changed_on_the_same_page(manager: TestClient) -> None:
    page = manager.get("/manager/comfort?building=horizon&page=2&lang=en").text
    assert 'href="?building=horizon&amp;page=2&amp;lang=fr"' in page
    assert 'href="?building=horizon&amp;page=2&amp;lang=en"' in page


@pytest.mark.parametrize("path", ["/", "/buildings/horizon", "/buildings/jardins", "/buildings/parking"])
@pytest.mark.parametrize("language", ["fr", "en"])
def test_nothing_of_one_dwelling_stands_anywhere(
    open_pages: Callable[..., TestClient], district: District, path: str, language: str
) -> None:
    shown = samples(district)
    names = {d.partition("/")[2] for d in district.dwellings}
    prms = {d.prm for d in district.dwellings.values()}
    for dwelling in district.dwellings:
        point = f"{dwelling}/power_kw"
        if point in shown:
            shown[point] = Sample(SECRET, Quality.GOOD, NOW)
    record = decision(district)
    record["fallbacks"] = [f"{next(iter(district.dwellings))}: a stand-in"]
    page = open_pages(shown, record, as_manager=True).get(f"{path}?lang={language}").text
    words = set(re.findall(r"[a-z0-9-]+", page))
    assert not words & names
    assert not words & prms
    assert "secret" not in page
    assert "leaves at" not in page
    assert "point-07" not in page
    for trace in (str(SECRET), str(SECRET).replace(".", ","), "0.47 ", "0,47 "):
        assert trace not in page


def test_fewer_than_ten_homes_are_not_summed(open_pages: Callable[..., TestClient], district: District) -> None:
    shown = samples(district)
    homes = [d for d in district.dwellings if d.startswith("horizon/")]
    for dwelling in homes[9:]:
        shown[f"{dwelling}/power_kw"] = Sample(None, Quality.UNREACHABLE, NOW)
    page = text_of(open_pages(shown, None, as_manager=True).get("/buildings/horizon?lang=en").text)
    assert "power – unreachable 9 of 118 30 s" in page


def test_a_home_that_falls_silent_changes_no_sum_by_what_it_took(district: District) -> None:
    homes = [d for d in district.dwellings.values() if d.building == "horizon"]
    shown = {home.point("power_kw"): Sample(0.5, Quality.GOOD, NOW) for home in homes}
    whole = Live(district, shown, NOW).over(homes, "power_kw", mean=False)
    shown[homes[3].point("power_kw")] = Sample(None, Quality.UNREACHABLE, NOW)
    without = Live(district, shown, NOW).over(homes, "power_kw", mean=False)
    assert (whole.value, whole.known, whole.of) == (without.value, without.known, without.of) == (59.0, 118, 118)
    assert (whole.quality, without.quality) == (Quality.GOOD, Quality.SUBSTITUTED)


def test_a_building_shows_value_age_and_quality(open_pages: Callable[..., TestClient], district: District) -> None:
    shown = samples(district)
    shown["horizon/tank/top_temperature_c"] = Sample(61.25, Quality.GOOD, NOW - timedelta(seconds=90))
    shown["horizon/tank/return_temperature_c"] = Sample(None, Quality.UNREACHABLE, NOW - timedelta(minutes=40))
    page = text_of(open_pages(shown, decision(district), as_manager=True).get("/buildings/horizon?lang=en").text)
    assert "top temperature 61.2 °C good 90 s" in page
    assert "return temperature – unreachable 40 min" in page
    assert "Dwellings together 118" in page


def test_the_plan_of_a_building_is_told_in_one_language(manager: TestClient) -> None:
    page = text_of(manager.get("/buildings/parking?lang=en").text)
    assert "battery, power setpoint: 10.0 kW night" in page
    assert "nuit" not in page


def test_what_people_wrote_is_escaped(client: TestClient) -> None:
    page = client.get("/?lang=en").text
    assert "is odd &lt;b&gt;" in page


@pytest.mark.parametrize(
    ("minutes", "fallbacks", "state", "code"),
    [(4, [], "controlling", 200), (4, ["weather"], "degraded", 200), (31, [], "lost", 503)],
)
def test_health_says_whether_the_district_is_controlled(
    open_pages: Callable[..., TestClient],
    district: District,
    minutes: int,
    fallbacks: list[str],
    state: str,
    code: int,
) -> None:
    record = decision(district, at=NOW - timedelta(minutes=minutes)) | {"fallbacks": fallbacks}
    answer = open_pages(None, record).get("/healthz")
    assert answer.status_code == code
    assert answer.json() == {
        "state": state,
        "controlled": code == 200,
        "slot": record["slot"],
        "age_s": minutes * 60.0,
    }


def test_a_slot_without_a_plan_is_not_called_controlled(
    open_pages: Callable[..., TestClient], district: District
) -> None:
    client = open_pages(samples(district), decision(district) | {"plan": None})
    health = client.get("/healthz")
    assert (health.status_code, health.json()["state"]) == (503, "unplanned")
    page = text_of(client.get("/?lang=en").text)
    assert "No plan in this quarter-hour" in page
    assert "There is no plan yet." in page


def test_before_the_first_decision_the_page_says_so(open_pages: Callable[..., TestClient]) -> None:
    client = open_pages(as_manager=True)
    page = text_of(client.get("/?lang=en").text)
    assert "No decision yet" in page
    assert "Nothing has been measured yet." in page
    assert client.get("/healthz").status_code == 503
    assert client.get("/buildings/horizon?lang=en").status_code == 200


def test_a_store_that_does_not_exist_yet_is_no_error(tmp_path: Path, district: District) -> None:
    with TestClient(create_app(f"sqlite:///{tmp_path}/none.db", lambda: NOW, district)) as client:
        assert "No decision yet" in client.get("/?lang=en").text
        assert client.get("/healthz").json()["state"] == "none"
    assert not (tmp_path / "none.db").exists()


def test_a_record_with_little_in_it_is_shown_as_it_is(open_pages: Callable[..., TestClient]) -> None:
    client = open_pages(None, {"slot": 1, "at": NOW.isoformat(), "plan": {}, "events": ["started"]})
    assert "started" in client.get("/?lang=en").text


def test_an_unknown_page_is_404_in_words(manager: TestClient) -> None:
    for path in ("/buildings/nowhere?lang=en", "/nothing?lang=en", "/static/style.css?lang=en"):
        answer = manager.get(path)
        assert answer.status_code == 404
        assert "There is no such page" in answer.text
    assert manager.post("/").status_code == 405


def test_every_answer_carries_the_headers(manager: TestClient) -> None:
    static = re.findall(r'"(/static/[^"]+)"', manager.get("/").text)
    assert len(static) == 3
    for path in ("/", "/buildings/horizon", "/healthz", "/nothing", *static):
        answer = manager.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, path
        assert "unsafe" not in answer.headers["content-security-policy"]
        kept = (
            "immutable" if path in static else "no-store" if path in ("/healthz", "/nothing") else "private, no-cache"
        )
        assert kept in answer.headers["cache-control"], path


def test_a_page_that_fails_says_nothing_of_why(
    store_url: str, district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[datetime] = []

    def broken() -> datetime:
        calls.append(NOW)
        if len(calls) <= 2:  # the shelf asks first
            raise RuntimeError("password=hunter2")
        return NOW

    with TestClient(create_app(store_url, broken, district), raise_server_exceptions=False) as client:
        answer = client.get("/?lang=en")
    assert answer.status_code == 500
    assert "This page could not be made" in answer.text
    assert "hunter2" not in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


class Links(HTMLParser):
    """Every address a page names, and everything a strict policy forbids in it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.forbidden: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src", "action"):
                self.addresses.append(value or "")
            if name == "style" or name.startswith("on"):
                self.forbidden.append(f"{tag} {name}")
            if name == "id":
                self.ids.append(value or "")
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)
        if tag == "style" or (tag == "script" and not dict(attrs).get("src")):
            self.forbidden.append(tag)


@pytest.mark.parametrize("path", ["/", "/buildings/horizon", "/buildings/plant-a", "/nothing"])
def test_nothing_inline_and_nothing_from_elsewhere(manager: TestClient, path: str) -> None:
    links = Links()
    links.feed(manager.get(path).text)
    assert links.forbidden == []
    assert [a for a in links.addresses if not a.startswith(("/", "?", "#")) or a.startswith("//")] == []
    assert len(links.ids) == len(set(links.ids))
    assert links.headings.count("h1") == 1


def test_anybody_may_read_who_answers_for_data_what_is_kept_and_how_long(
    client: TestClient, tmp_path: Path, district: District
) -> None:
    page = text_of(client.get("/privacy?lang=en").text)
    assert "Association syndicale Smartseille" in page and "dpo@smartseille.example" in page
    assert OF_HOMES.quarters == timedelta(days=430) and OF_HOMES.days == timedelta(days=3 * 366)
    assert "Quarter-hours for 14 months, days for 3 years." in page
    assert "sums of at least 10 homes" in page and "3 place de Fontenoy" in page
    french = text_of(client.get("/privacy?lang=fr").text)
    assert "Les quarts d’heure pendant 14 mois, les jours pendant 3 ans." in unescape(french)
    assert "Ce que vous pouvez demander" in french
    assert 'href="/privacy' in client.get("/?lang=en").text
    unnamed = create_app(f"sqlite:///{tmp_path}/site.db", lambda: NOW, replace(district, data_protection=None))
    assert "It has not been entered yet." in TestClient(unnamed).get("/privacy?lang=en").text


def test_a_visit_is_small(client: TestClient) -> None:
    page = client.get("/", headers={"accept-encoding": "gzip"})
    assert page.headers["content-encoding"] == "gzip"
    size = int(page.headers["content-length"])
    for name in re.findall(r'"(/static/[^"]+)"', page.text):
        answer = client.get(name, headers={"accept-encoding": "gzip"})
        size += int(answer.headers["content-length"])
    assert size < 15_000
    folder = Path(__file__).parents[2] / "ems" / "web" / "static"
    assert (folder / "live.js").stat().st_size <= 4096


def test_large_print_stays_chosen_on_this_device(client: TestClient) -> None:
    assert 'class="large"' not in client.get("/?lang=fr").text
    page = client.get("/?lang=fr&large=yes")
    assert '<html lang="fr" class="large">' in page.text and 'href="?lang=fr&amp;large=no"' in page.text
    assert 'class="large"' in client.get("/sign-in").text  # another page, and nothing asked
    assert 'class="large"' not in client.get("/?large=no").text
    assert 'class="large"' not in client.get("/?large=<b>").text
