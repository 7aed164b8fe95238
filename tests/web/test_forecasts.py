"""The page of forecasts: what was expected when each day began, against what came."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from ems.assets import BaseLoad
from ems.district import District
from ems.district.electricity import EVERYTHING, SUM, sums
from ems.estimate.arrivals import NAME as LIKE_DAYS
from ems.forecast import boosting, regression
from ems.forecast.models import MODELS
from ems.forecast.sums import NAME as SUMMED
from ems.slots import SLOT, Slots, floor
from ems.store import People, Store
from ems.web.app import create_app
from ems.web.forecasts import NAMES, REASONS, Issue, doubted, joined, leading, score, told
from ems.web.invitation import invite
from ems.web.record import Record
from ems.web.words import Words
from tests.web.conftest import FilledSite
from tests.web.minute import NOW, decision
from tests.web.serving import PARIS
from tests.web.test_looking_back import page

LEARNT = "55% boosted trees + 45% regression with trees, 12% better than naive"


def flat(begin: int, kw: float, count: int = 4) -> Issue:
    return Issue(begin, np.array([[kw - 1], [kw], [kw + 1]]) * np.ones(count), "same time last week", "")


def test_of_each_slot_the_latest_issue_counts() -> None:
    expected = joined([flat(2, 9.0), flat(-2, 5.0)], 8)
    np.testing.assert_array_equal(expected[1], [5, 5, 9, 9, 9, 9, np.nan, np.nan])


def test_a_score_can_be_reckoned_by_hand() -> None:
    """30 slots of 10 kW: expected 9 within 8 to 10, last week 6. Errors of a tenth and of four tenths."""
    truth = np.full(30, 10.0)
    expected = np.array([[8.0], [9.0], [10.0]]) * np.ones(30)
    found = score(expected, truth, np.full(30, 6.0))
    assert found is not None
    assert found.error == pytest.approx(0.1) and found.naive == pytest.approx(0.4)
    assert found.coverage == 1 and found.n == 30
    assert found.skill == pytest.approx(0.75)
    truth[:10] = np.nan
    assert score(expected, truth, np.full(30, 6.0)) is None  # twenty are too few
    assert score(expected, np.zeros(30), np.zeros(30)) is None  # and of nothing there is no share


def test_every_model_has_a_name_that_is_known_and_said_in_french() -> None:
    assert {m.name for m in MODELS} | {LIKE_DAYS, SUMMED, boosting.NAME, boosting.ON_LINES, regression.NAME} <= set(
        NAMES
    )
    assert leading(LEARNT) == "boosted trees" and leading("regression with trees") == "regression with trees"
    assert doubted("yesterday (not believed: 3 spikes)") == "3 spikes)" and doubted(LEARNT) == ""
    assert told(LEARNT, Words("fr", PARIS)) == (
        "55% arbres renforcés + 45% régression avec arbres, 12% de mieux que les modèles naïfs"
    )


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, district: District) -> Iterator[tuple[FilledSite, str]]:
    """Three weeks of one load at 20 kW, 10 kW a week before; forecast at 19 kW by another model since two days ago."""
    folder: Path = tmp_path_factory.mktemp("forecasts")
    url = f"sqlite:///{folder}/site.db"
    with Store.open(url) as store:
        point = next(iter(district.of(BaseLoad).values())).point("power_kw")
        count = 21 * 96
        begin = floor(NOW) - count * SLOT
        age_days = (count - np.arange(count)) / 96
        midnight = NOW.astimezone(PARIS).replace(hour=0, minute=0, second=0, microsecond=0)
        fresh = (floor(NOW) - midnight) / timedelta(days=1) + 7
        store.save_series([(point, Slots(begin, count), np.where(age_days <= fresh, 20.0, 10.0))])
        for days in range(8):
            at = midnight - timedelta(days=days)
            record = decision(district, at=at)
            forecast = {"median": [19.0] * 192, "low": [17.0] * 192, "high": [21.0] * 192, "fallback": ""}
            record["forecasts"][point] = forecast | {"model": LEARNT if days < 2 else "mean of four weeks"}
            store.save_decision(record["slot"], record)
    with People.open(f"sqlite:///{folder}/people.db") as people:
        codes = invite(people, district, NOW)
        yield FilledSite(create_app(url, lambda: NOW, district, people, folder=folder), codes, people), point


def test_the_page_tells_skill_coverage_model_and_why_it_changed(judged: tuple[FilledSite, str]) -> None:
    site, point = judged
    text = unescape(page(site, f"/manager/forecasts?lang=en&of={point.partition('/')[0]}"))
    # 1 kW of 20 are 5 %, last week's 10 kW of 20 are 50 %: nine tenths of the error are saved.
    assert "Error 5 % of the mean, last week's would have been 50 %: skill 90 %. 100 % lay within the band." in text
    assert "Model in use: 55% boosted trees" in text
    assert REASONS[2] in text


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, district: District) -> Iterator[FilledSite]:
    """Three weeks of 2 kW at each meter of the district, and of a car at each second socket from 9 to 10 h UTC."""
    folder: Path = tmp_path_factory.mktemp("sums")
    url = f"sqlite:///{folder}/site.db"
    midnight = NOW.astimezone(PARIS).replace(hour=0, minute=0, second=0, microsecond=0)
    slots = Slots(floor(NOW) - 21 * 96 * SLOT, 21 * 96)
    whole = f"{EVERYTHING}/{SUM}"
    members = sums(district)[whole]
    there = np.array([at.hour == 9 for at in slots])
    with Store.open(url) as store:
        rows = [(point, slots, np.full(slots.count, 2.0)) for point in members]
        for k in range(1, 33):
            socket = f"parking/point-{k:02}"
            rows.append((f"{socket}/state_mode", slots, np.where(there, 2.0 * (k % 2), 0.0)))
            rows.append((f"{socket}/session_energy_kwh", slots, np.full(slots.count, 5.0)))
        store.save_series(rows)
        for days in range(8):
            record = decision(district, at=midnight - timedelta(days=days))
            for point, kw in (
                (whole, 2.2 * len(members)),
                ("parking/charge-points/arrivals_count", 12.0),
                ("parking/charge-points/arriving_kwh", 60.0),
            ):
                rows_of = {"median": [kw] * 192, "low": [0.5 * kw] * 192, "high": [2 * kw] * 192}
                record["forecasts"][point] = rows_of | {"model": SUMMED, "fallback": ""}
            store.save_decision(record["slot"], record)
    with People.open(f"sqlite:///{folder}/people.db") as people:
        codes = invite(people, district, NOW)
        yield FilledSite(create_app(url, lambda: NOW, district, people, folder=folder), codes, people)


def test_the_district_is_the_sum_of_its_meters(together: FilledSite) -> None:
    text = unescape(page(together, "/manager/forecasts?lang=en"))  # the district comes first
    assert "Electricity together, less the sun's" in text
    # 2.2 kW expected of each where 2 came: a tenth. Last week was like this one.
    assert "Error 10 % of the mean, last week's would have been 0 %" in text
    assert "Model in use: sum of its meters" in text


def test_cars_are_counted_by_the_hour(together: FilledSite) -> None:
    text = unescape(page(together, "/manager/forecasts?lang=en&of=parking"))
    assert "Charge points: cars that come, each hour" in text
    # Sixteen cars come in one hour of the day, and take 5 kWh each; the other hours are free.
    assert "Expected 12 to 12; measured 0 – 16." in text
    assert "Expected 60.0 kWh to 60.0 kWh; measured 0.0 kWh – 80.0 kWh." in text


def test_the_doubt_of_the_grid_is_that_of_the_districts_sum(district: District) -> None:
    """Planned as ever; the sum may lie 5 kW below and 8 kW above its median. Its parts are not counted again."""
    record = decision(district)
    told = {"median": [50.0] * 192, "low": [45.0] * 192, "high": [58.0] * 192, "model": SUMMED, "fallback": ""}
    record["forecasts"] |= {f"{EVERYTHING}/{SUM}": told, f"hotel/{SUM}": told}
    made = Record(record, district, NOW, "en")
    assert made.grid_doubt is not None
    np.testing.assert_allclose(np.array(made.grid_doubt) - np.array(made.grid)[:, None], [[-5.0, 8.0]] * 192)
    old = decision(district)
    before = Record(old, district, NOW, "en").grid_doubt
    old["forecasts"][f"hotel/{SUM}"] = told
    assert Record(old, district, NOW, "en").grid_doubt == before


def test_other_buildings_are_a_link_away_and_unknown_ones_are_not_found(filled: FilledSite) -> None:
    client = filled.client("manager")
    assert "Prévisions" in client.get("/manager/forecasts?lang=fr").text
    assert client.get("/manager/forecasts?of=nowhere").status_code == 404


def test_without_a_database_the_page_says_so(bare: FilledSite) -> None:
    assert bare.client("manager").get("/manager/forecasts").status_code == 200
