"""The API keeps to its own description, whatever is asked, and tells each only what is theirs."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import pyarrow.parquet as pq
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.web.conftest import FilledSite
from tests.web.minute import NOW
from tests.web.weeks import HOME

START, END = "2026-10-23T00:00:00Z", "2026-10-24T00:00:00Z"


def key(filled: FilledSite, who: str) -> dict[str, str]:
    account = filled.people.account_of(filled.codes[who], NOW)
    assert account is not None
    return {"Authorization": f"Bearer {filled.people.make_token(account, 'test', 'read', NOW)}"}


@pytest.fixture(scope="module")
def client(filled: FilledSite) -> TestClient:
    return filled.client()


@pytest.fixture(scope="module")
def keys(filled: FilledSite) -> dict[str, dict[str, str]]:
    return {who: key(filled, who) for who in ("manager", HOME)}


@pytest.fixture(scope="module")
def api_schema(filled: FilledSite) -> Any:
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", filled.app)


def asking(held: dict[str, str]) -> Any:
    def check(case: Any) -> None:
        # What is sound by its form may still be refused (a point that is not there), and the key is always sent.
        case.call_and_validate(headers=held, excluded_checks=[positive_data_acceptance, negative_data_rejection])

    return check


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["sound", "unsound"])
def test_every_answer_is_as_described(api_schema: Any, keys: dict[str, dict[str, str]], mode: GenerationMode) -> None:
    """No server error, no answer outside its description: status, headers, form and content."""
    asked = 0
    for found in api_schema.get_all_operations():
        operation = found.ok()
        held = keys[HOME if "/home" in operation.path else "manager"]

        if mode is GenerationMode.NEGATIVE and not operation.query:
            continue  # nothing can be asked wrongly
        quick = settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        quick(given(case=operation.as_strategy(generation_mode=mode))(asking(held)))()
        asked += 1
    assert asked >= 3


def test_without_a_key_there_is_nothing(api_schema: Any, client: TestClient) -> None:
    for found in api_schema.get_all_operations():
        path = found.ok().path
        for headers in ({}, {"Authorization": "Bearer nobody's"}, {"Authorization": "Basic x"}):
            answer = client.get(path, headers=headers)
            assert answer.status_code == (200 if path.endswith("/health") else 401), path


def test_what_is_not_known_is_refused(client: TestClient, keys: dict[str, dict[str, str]]) -> None:
    for path in ("/api/v1/buildings", "/api/v1/points", "/api/v1/plan"):
        answer = client.get(path, params={"home": HOME}, headers=keys["manager"])
        assert (answer.status_code, "home" in answer.json()["detail"]) == (400, True)


def test_a_cookie_opens_no_api(filled: FilledSite) -> None:
    answer = filled.client("manager").get("/api/v1/buildings")
    assert answer.status_code == 401 and "bearer" in answer.headers["www-authenticate"].lower()


@pytest.mark.parametrize("who", ["manager", HOME])
def test_each_key_opens_what_its_owner_may_see(filled: FilledSite, client: TestClient, who: str) -> None:
    mine = key(filled, who)
    home = client.get("/api/v1/home", headers=mine)
    points = client.get("/api/v1/points", headers=mine)
    assert (home.status_code, points.status_code) == ((403, 200) if who == "manager" else (200, 403))


def test_nothing_of_homes_or_cars_is_a_managers(filled: FilledSite, client: TestClient) -> None:
    mine = key(filled, "manager")
    for point in (f"{HOME}/energy_kwh", "parking/point-04/power_kw", "nowhere/x/power_kw", "../../x"):
        answer = client.get("/api/v1/history", params={"point": point, "start": START}, headers=mine)
        assert answer.status_code == 404, point
    offset, seen = 0, 0
    while offset is not None:
        page = client.get("/api/v1/points", params={"offset": offset, "limit": 500}, headers=mine).json()
        assert not any("/flat-" in item["point"] or "/point-" in item["point"] for item in page["items"])
        seen, offset = seen + len(page["items"]), page["next_offset"]
    assert seen == page["total"] > 100


def test_a_home_is_read_in_three_forms_that_agree(filled: FilledSite, client: TestClient) -> None:
    mine = key(filled, HOME)
    asked = {"quantity": "energy_kwh", "start": START, "end": END}
    found = client.get("/api/v1/home/history", params=asked, headers=mine).json()
    values = found["values"]
    assert len(values) == 96 and values[-1] > values[0] and found["quality"] == ["good"] * 96
    lines = client.get("/api/v1/home/history", params=asked | {"format": "csv"}, headers=mine).text.splitlines()
    assert lines[0] == "start_utc,value,quality" and lines[1].endswith(",good")
    assert lines[1].startswith("2026-10-23T00:00:00Z,")
    assert [float(line.split(",")[1]) for line in lines[1:]] == values
    parquet = client.get("/api/v1/home/history", params=asked | {"format": "parquet"}, headers=mine).content
    table = pq.read_table(io.BytesIO(parquet))
    assert (table["value"].to_pylist(), table["quality"].to_pylist()) == (values, found["quality"])


def test_a_long_history_comes_in_pieces(filled: FilledSite, client: TestClient) -> None:
    mine = key(filled, HOME)
    asked = {"quantity": "temperature_c", "start": "2026-08-01T00:00:00Z", "end": END}
    pieces, start = 0, asked["start"]
    while start is not None:
        answer = client.get("/api/v1/home/history", params=asked | {"start": start}, headers=mine).json()
        pieces, start = pieces + len(answer["values"]), answer["next_start"]
    assert pieces == 84 * 96


def test_an_ended_key_opens_nothing(filled: FilledSite, client: TestClient) -> None:
    account = filled.people.account_of(filled.codes["manager"], NOW)
    assert account is not None
    token = filled.people.make_token(account, "short", "read", NOW)
    asked = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/v1/plan", headers=asked).status_code == 200
    filled.people.end_token(account, filled.people.tokens(account, NOW)[-1].key, NOW)
    assert client.get("/api/v1/plan", headers=asked).status_code in (200, 401)
    for one in filled.people.tokens(account, NOW):
        filled.people.end_token(account, one.key, NOW)
    assert client.get("/api/v1/plan", headers=asked).status_code == 401


def test_a_key_opens_no_more_than_its_part(filled: FilledSite, client: TestClient) -> None:
    account = filled.people.account_of(filled.codes["manager"], NOW)
    assert account is not None
    opened = {
        scope: {"Authorization": f"Bearer {filled.people.make_token(account, 'part', scope, NOW)}"}
        for scope in ("read", "live", "history", "write")
    }
    history = f"/api/v1/history?point=parking/battery/power_kw&start={START}"
    for path, part in (("/api/v1/plan", "live"), (history, "history"), ("/api/v1/forecasts", "live")):
        found = {scope: client.get(path, headers=held).status_code for scope, held in opened.items()}
        assert found == {s: 200 if s in ("read", part) else 403 for s in opened}, path


def test_alarms_and_forecasts_come_page_by_page(filled: FilledSite, client: TestClient) -> None:
    held = key(filled, "manager")
    whole = client.get("/api/v1/alarms", headers=held).json()
    assert (whole["total"], whole["next_offset"]) == (2, None)
    first = client.get("/api/v1/alarms", params={"limit": 1}, headers=held).json()
    assert first["next_offset"] == 1 and first["items"] == whole["items"][:1]
    found = client.get("/api/v1/forecasts", params={"limit": 1}, headers=held).json()
    assert found["total"] == 2 and found["next_offset"] == 1
    (item,) = found["items"]
    assert item["point"].endswith("/homes/power_kw") and item["low"][0] < item["median"][0] < item["high"][0]


def test_a_report_is_read_in_three_forms_that_agree(filled: FilledSite, client: TestClient) -> None:
    path, held = "/api/v1/reports/calanques/2026-10", key(filled, "manager")
    found = client.get(path, headers=held).json()
    assert found["dates"][0] == "2026-10-01" and len(found["dates"]) == 24
    bought = next(line for line in found["lines"] if line["what"] == "bought")
    assert bought["total"] == pytest.approx(sum(v for v in bought["days"] if v is not None))
    assert [p["peak_kw"] for p in found["peaks"]] == [90.0]
    rows = client.get(path, params={"format": "csv"}, headers=held).text.splitlines()
    assert rows[0] == "asset,what,unit,day,value,partly"
    table = pq.read_table(io.BytesIO(client.get(path, params={"format": "parquet"}, headers=held).content))
    assert table.num_rows == len(rows) - 1 == 24 * len(found["lines"])
    assert table["value"].to_pylist() == [v for line in found["lines"] for v in line["days"]]
    days = [date.fromisoformat(day) for day in found["dates"]] * len(found["lines"])
    torn = [d for d, partly in zip(days, table["partly"].to_pylist(), strict=True) if partly]
    assert torn == [date.fromisoformat(day) for line in found["lines"] for day in line["partly"]]
    assert not any("flat-" in row for row in rows)
    for wrong in ("calanques/2026-13", "calanques/2026-11", "nowhere/2026-10"):
        assert client.get(f"/api/v1/reports/{wrong}", headers=held).status_code in (404, 422), wrong
    assert client.get(path, headers=key(filled, HOME)).status_code == 403
