"""Stores for tests: one in a file of its own, one on a PostgreSQL server of this machine where there is one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from ems.store import Store

SERVER = os.environ.get("EMS_TEST_POSTGRES", "postgresql+psycopg://127.0.0.1:5432/postgres")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/site.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The URL of a database of its own, dropped afterwards."""
    engine = create_engine(SERVER, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 2})
    name = f"ems_test_{uuid.uuid4().hex[:12]}"
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError as error:
        why = f"no PostgreSQL server at {SERVER} ({str(error.orig).splitlines()[0]}); apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    yield str(engine.url.set(database=name).render_as_string(hide_password=False))
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """The same test on both engines."""
    name = "url" if request.param == "sqlite" else "postgres_url"
    with Store.open(request.getfixturevalue(name), busy_timeout_s=0.2, attempts=2) as opened:
        yield opened
