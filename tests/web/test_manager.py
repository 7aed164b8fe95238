"""A manager's pages: what is abnormal comes first, with its cause, and every decision can be looked up."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from ems.assets import Tank
from ems.district import District
from ems.points import Quality, Sample
from ems.slots import slot_number
from ems.store import Store, Trouble
from ems.web.comfort import State, comfort
from ems.web.live import Live
from tests.web.conftest import FilledSite
from tests.web.minute import NOW, decision, samples
from tests.web.test_pages import text_of
from tests.web.weeks import unruly

PATHS = ["/manager", "/manager/plan", "/manager/comfort", "/manager/hot-water", "/manager/decisions", "/access"]


def page(filled: FilledSite, path: str) -> str:
    answer = filled.client("manager").get(path)
    assert answer.status_code == 200, path
    return text_of(answer.text)


def test_the_worst_flat_comes_first_with_its_cause(district: District) -> None:
    flats = comfort(district, unruly(district))
    assert len(flats) == 385
    assert [f.off_k for f in flats[:9]] == sorted((f.off_k for f in flats[:9]), reverse=True)
    assert (flats[0].temperature_c, flats[0].off_k) == (17.1, pytest.approx(2.9))
    assert [f.cause for f in flats[:3]] == ["no heat arrives", "heat arrives, still warming up", "heating at its limit"]
    assert (flats[9].state, flats[9].cause) == (State.WARM, "heated although warm")
    assert (flats[10].state, flats[10].cause) == (State.SILENT, "the thermostat does not answer")
    assert flats[-1].cause == "no readable thermostat"
    order = [list(State).index(f.state) for f in flats]
    assert order == sorted(order)


def test_a_wish_below_the_band_is_no_licence_for_cold(district: District) -> None:
    name = next(n for n, d in district.dwellings.items() if d.thermostat and d.use == "home")
    shown = {
        f"{name}/temperature_c": Sample(17.9, Quality.GOOD, NOW),
        f"{name}/setpoint_c": Sample(15.0, Quality.GOOD, NOW),
    }
    worst = comfort(district, shown)[0]
    assert (worst.name, worst.state, worst.cause) == (name, State.COLD, "the wish is below the band")
    assert worst.off_k == pytest.approx(0.1)


def test_comfort_is_shown_worst_first_and_page_by_page(filled: FilledSite) -> None:
    text = page(filled, "/manager/comfort?lang=en")
    assert "Too cold 9 Too warm 1 Silent 1 As wished" in text
    assert "too cold, 2.9&nbsp;K · no heat arrives 17.1 °C 20.0 °C" in text
    assert "1 of 20" in text
    assert "20 of 20" in page(filled, "/manager/comfort?page=20&lang=en")
    assert "Horizon tower, flat" in page(filled, "/manager/comfort?building=horizon&lang=en")
    client = filled.client("manager")
    for query in ("building=shops", "building=x", "page=21", "page=0", "page=-1", "page=x"):
        assert client.get(f"/manager/comfort?{query}").status_code == 404, query


def test_the_tank_in_trouble_comes_first(filled: FilledSite, district: District) -> None:
    html = filled.client("manager").get("/manager/hot-water?lang=en").text
    third = list(district.of(Tank))[2].partition("/")[0]
    first = re.search(r"<summary><b>(.*?)</b>", html)
    assert first is not None and first[1].startswith(district.buildings[third].label.en)
    text = text_of(html)
    assert "Return of the circulation 48.6 °C ≥ 50 °C not kept" in text
    assert "Outlet, top of the tank 61.0 °C ≥ 55 °C kept" in text


def test_the_plan_stands_beside_what_was_measured(filled: FilledSite) -> None:
    html = filled.client("manager").get("/manager/plan?lang=en").text
    assert "Power balance, 4 h measured and 48 h planned, kW" in html
    assert 'class="now" d="M64 0v240"' in html  # after 16 quarter-hours of four units
    assert "Grid, as planned 4 h ago" in html
    assert "The grid gives at most 130 kW, on Sun 02:00." in text_of(html)


def test_a_decision_is_told_and_leads_to_the_one_before(filled: FilledSite) -> None:
    text = page(filled, "/manager/decisions?lang=en")
    assert "5,884 points read. Forecasts: 2, of which 1 stand in." in text
    assert "48 hours for €866" in text
    assert "battery, power setpoint: 10.0 kW x" in text
    assert "To homes and cars: 2; these are shown to nobody one by one." in text
    slot = slot_number(NOW)
    assert "Decision of 24 Oct 2026, 16:00" in page(filled, f"/manager/decisions/{slot - 1}?lang=en")
    assert "There is no decision of this quarter-hour." in page(filled, f"/manager/decisions/{slot - 5}?lang=en")
    client = filled.client("manager")
    for wrong in (str(slot + 1), "0", "-1", "x", "9" * 40):
        assert client.get(f"/manager/decisions/{wrong}").status_code == 404


@pytest.mark.parametrize("path", [*PATHS, "/buildings/jardins"])
def test_a_first_visit_is_light(filled: FilledSite, path: str) -> None:
    """Issue: at most 25 kB over the wire."""
    client = filled.client("manager")
    answer = client.get(path, headers={"accept-encoding": "gzip"})
    files = re.findall(r'"(/static/[^"]+)"', answer.text)
    sizes = [int(client.get(f, headers={"accept-encoding": "gzip"}).headers["content-length"]) for f in files]
    assert int(answer.headers["content-length"]) + sum(sizes) <= 25_000


def calm(district: District) -> dict[str, Sample]:
    """Everything measured, and nothing beyond a limit."""
    shown = samples(district)
    for tank in district.of(Tank):
        shown[f"{tank}/return_temperature_c"] = Sample(51.2, Quality.GOOD, NOW)
        shown[f"{tank}/mixed_temperature_c"] = Sample(48.1, Quality.GOOD, NOW)
    return shown


def test_an_alarm_that_was_seen_and_still_stands_is_no_all_clear(
    open_pages: Callable[..., TestClient], district: District, store_url: str
) -> None:
    client = open_pages(calm(district), decision(district), as_manager=True)
    assert "Nothing is abnormal." in client.get("/manager/abnormal?lang=en").text
    with Store.open(store_url) as store:
        store.alarms.raise_all([Trouble("weather-absent", "", "no weather file")], NOW - timedelta(minutes=50))
        assert "No weather forecast" in client.get("/manager/abnormal?lang=en").text
        (alarm,) = store.alarms.open()
        store.alarms.acknowledge(alarm.number, "chief", NOW)
    text = client.get("/manager/abnormal?lang=en").text
    assert "still stand: 1" in text and "Nothing is abnormal." not in text


def test_when_nothing_is_read_any_more_that_is_told_once_and_no_value_passes_for_one_of_now(
    open_pages: Callable[..., TestClient], district: District
) -> None:
    client = open_pages(calm(district), decision(district), NOW + timedelta(hours=1), as_manager=True)
    text = text_of(client.get("/manager/abnormal?lang=en").text)
    assert "No decision any more" in text and "Nothing has been read since 24 Oct 2026, 16:20" in text
    assert "Nothing is abnormal." not in text and "not good" not in text and "silent" not in text
    live = client.get("/manager?lang=en").text
    assert '<span data-live="grid">–</span>' in live and "<del>" in live and 'class="kw"' not in live


def test_what_homes_did_not_agree_to_is_no_fault_of_their_building(district: District) -> None:
    shown = samples(district)
    private = ("energy_kwh", "export_energy_kwh", "voltage_v")
    kept = {
        point: sample
        for point, sample in shown.items()
        if point.rpartition("/")[0] not in district.dwellings or point.rpartition("/")[2] not in private
    }
    assert len(kept) < len(shown)
    views = [[v for of in Live(district, s, NOW).sections().values() for v in of] for s in (shown, kept)]
    assert [v.troubled for v in views[0]] == [v.troubled for v in views[1]]


def test_where_nothing_is_known_nothing_is_called_well(bare: FilledSite) -> None:
    client = bare.client("manager")
    alarms = client.get("/manager/alarms?lang=en").text
    assert "cannot be read" in alarms and "No alarm stands" not in alarms
    assert "Too few nights" in client.get("/manager/leaks?lang=en").text
    assert "Nothing has been measured yet." in client.get("/manager/comfort?lang=en").text


def test_what_may_be_typed_is_told_as_it_is_typed(filled: FilledSite) -> None:
    text = page(filled, "/manager/holds?lang=en")
    assert "battery, power setpoint (−300 to 300 kW)" in text
    assert "roof, limit (0 to 1; 1 = 100 %)" in text
    assert "rooms, occupancy (1 own timetable, 2 occupied, 3 unoccupied)" in text
    assert "tank, charge (0 off, 1 on)" in text


def test_tanks_that_are_not_read_stand_in_one_line(open_pages: Callable[..., TestClient], district: District) -> None:
    shown = calm(district)
    for tank in district.of(Tank):
        shown[f"{tank}/top_temperature_c"] = Sample(None, Quality.UNREACHABLE, NOW)
    text = text_of(open_pages(shown, decision(district), as_manager=True).get("/manager/abnormal?lang=en").text)
    assert f"Tanks of which a sensor is not read: {len(district.of(Tank))}" in text
    assert "Outlet, top of the tank" not in text
