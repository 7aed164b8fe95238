"""A store filled as the control process fills it, and the pages over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ems.district import District, read_district
from ems.points import Sample
from ems.store import Store
from ems.web import create_app
from tests.web.minute import NOW, decision, samples


@pytest.fixture(scope="session")
def district() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/site.db"


@pytest.fixture
def open_pages(store_url: str, district: District) -> Iterator[Callable[..., TestClient]]:
    """Pages over a store with these samples and this record; none of them when not given."""
    clients: list[TestClient] = []

    def opened(
        shown: dict[str, Sample] | None = None, record: dict[str, Any] | None = None, now: datetime = NOW
    ) -> TestClient:
        with Store.open(store_url) as store:
            if shown is not None:
                store.save_latest(shown)
            if record is not None:
                store.save_decision(record["slot"], record)
        client = TestClient(create_app(store_url, lambda: now, district), raise_server_exceptions=False)
        clients.append(client)
        return client

    yield opened
    for client in clients:
        client.close()


@pytest.fixture
def client(open_pages: Callable[..., TestClient], district: District) -> TestClient:
    return open_pages(samples(district), decision(district))
