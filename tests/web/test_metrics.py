"""The figures for a monitoring system."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi.testclient import TestClient

from ems.district import read_district
from ems.store import Store, Trouble
from ems.web import create_app

NOW = datetime(2026, 11, 20, 10, 1, tzinfo=UTC)


def test_metrics_say_whether_the_district_is_controlled(tmp_path: Path) -> None:
    url, now = f"sqlite:///{tmp_path / 'site.db'}", [NOW]
    client = TestClient(create_app(url, lambda: now[0], read_district(Path("buildings"))))
    assert "ems_controlled 0" in client.get("/metrics").text  # there is no site yet
    with Store.open(url) as store:
        record = {"slot": 1, "at": NOW.isoformat(), "plan": {"setpoints": []}, "way": "shifted", "counts": {"plans": 7}}
        store.save_decision(1, record)
        store.alarms.raise_all([Trouble("bus-silent", "a"), Trouble("setpoint-held", "b")], NOW)
    answer = client.get("/metrics")
    lines = answer.text.splitlines()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert {"ems_controlled 1", "ems_decision_age_seconds 0", "ems_plans 7"} <= set(lines)
    assert {'ems_way{way="shifted"} 1', 'ems_way{way="plan"} 0'} <= set(lines)
    assert {'ems_alarms_open{severity="urgent"} 1', 'ems_alarms_open{severity="warning"} 0'} <= set(lines)
    now[0] = NOW + timedelta(hours=1)
    assert "ems_controlled 0" in client.get("/metrics").text.splitlines()
