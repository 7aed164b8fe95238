"""Leadership: one at a time, and whoever lost it cannot commit an intent any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from ems.command import Command
from ems.store import HeldBy, LeadershipLost, Lease, Store, StoreBusy, leadership

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("url" if request.param == "sqlite" else "postgres_url"))


def test_one_leads_and_the_fence_only_rises(any_url: str) -> None:
    with Store.open(any_url) as one, Store.open(any_url) as two:
        first = one.leadership.take("one", NOW)
        assert first == Lease("one", 1, NOW + timedelta(seconds=45))
        assert two.leadership.take("two", NOW) == HeldBy("one", 1, NOW + timedelta(seconds=45), expired=False)
        frozen = two.leadership.take("two", NOW + timedelta(minutes=2))
        assert isinstance(frozen, HeldBy) and frozen.expired
        renewed = one.leadership.renew(first, NOW + timedelta(seconds=30))
        assert renewed.expires_at == NOW + timedelta(seconds=75)
        one.leadership.release(renewed, NOW + timedelta(seconds=31))
        second = two.leadership.take("two", NOW + timedelta(seconds=32))
        assert isinstance(second, Lease) and second.fence == 2


def test_a_leader_that_lost_its_lock_is_fenced(any_url: str) -> None:
    with Store.open(any_url) as one, Store.open(any_url) as two:
        first = one.leadership.take("one", NOW)
        assert isinstance(first, Lease)
        one.leadership.close()  # as if its process had died, but it goes on
        assert isinstance(two.leadership.take("two", NOW), Lease)
        with pytest.raises(LeadershipLost, match="another process holds it"):
            one.leadership.renew(first, NOW)
        with pytest.raises(LeadershipLost):
            one.journal.commit_intents([Command("k", "a/b/limit_a", 1.0, NOW + timedelta(minutes=15))], first.fence)
        assert two.journal.standing() == []


def end_locks(url: str) -> int:
    """What a restart of the server does to the sessions that hold advisory locks of this database; how many."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    sql = """
        SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """
    with engine.connect() as connection:
        ended = connection.execute(text(sql)).all()
    engine.dispose()
    return len(ended)


def test_a_lock_that_went_with_the_server_is_taken_again(postgres_url: str) -> None:
    with Store.open(postgres_url) as one, Store.open(postgres_url) as two:
        lease = one.leadership.take("one", NOW)
        assert isinstance(lease, Lease)
        assert end_locks(postgres_url) == 1
        renewed = one.leadership.renew(lease, NOW + timedelta(seconds=30))
        assert renewed.fence == lease.fence
        assert isinstance(two.leadership.take("two", NOW + timedelta(seconds=31)), HeldBy)


def dead_server(*_: object, **__: object) -> Engine:
    return create_engine("postgresql+psycopg://127.0.0.1:1/nobody", connect_args={"connect_timeout": 1})


class Ending:
    """An engine whose server goes down between the connection and the first word."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def connect(self) -> Connection:
        connection = self.engine.connect()
        connection.connection.driver_connection.close()  # type: ignore[union-attr]
        return connection

    def dispose(self) -> None:
        self.engine.dispose()


@pytest.mark.parametrize("when", ["it is away", "it goes down once more"])
def test_a_server_that_is_away_for_a_renewal_costs_no_lock(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def ending(*args: Any, **kwargs: Any) -> Ending:
        return Ending(create_engine(*args, **kwargs))

    with Store.open(postgres_url) as one, Store.open(postgres_url) as two:
        lease = one.leadership.take("one", NOW)
        assert isinstance(lease, Lease)
        assert end_locks(postgres_url) == 1
        with monkeypatch.context() as patched, pytest.raises(StoreBusy, match="take the lock"):
            patched.setattr(leadership, "create_engine", dead_server if when == "it is away" else ending)
            one.leadership.renew(lease, NOW + timedelta(seconds=10))
        lease = one.leadership.renew(lease, NOW + timedelta(seconds=20))
        assert end_locks(postgres_url) == 1  # it was taken again
        lease = one.leadership.renew(lease, NOW + timedelta(seconds=30))
        assert isinstance(two.leadership.take("two", NOW + timedelta(seconds=31)), HeldBy)


def test_whoever_is_first_after_a_restart_of_the_server_leads(postgres_url: str) -> None:
    with Store.open(postgres_url) as one, Store.open(postgres_url) as two:
        lease = one.leadership.take("one", NOW)
        assert isinstance(lease, Lease)
        assert end_locks(postgres_url) == 1
        taken = two.leadership.take("two", NOW + timedelta(seconds=10))
        assert isinstance(taken, Lease) and taken.fence == lease.fence + 1
        with pytest.raises(LeadershipLost, match="another process holds it"):
            one.leadership.renew(lease, NOW + timedelta(seconds=30))
        with pytest.raises(LeadershipLost):
            one.journal.commit_intents([Command("k", "a/b/limit_a", 1.0, NOW + timedelta(minutes=15))], lease.fence)


def test_the_server_asks_after_a_machine_that_vanished(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        store.leadership.take("one", NOW)
        assert store.leadership._session is not None
        told = store.leadership._session[1].execute(text("SHOW tcp_keepalives_idle")).scalar_one()
    assert str(told).rstrip("s") == "15"


def test_the_lock_goes_with_its_process(any_url: str) -> None:
    url = any_url
    program = (
        "import sys; from datetime import datetime, UTC; from ems.store import Store\n"
        "store = Store.open(sys.argv[1]); store.leadership.take('child', datetime(2026, 11, 20, 10, tzinfo=UTC))\n"
        "print('leads', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "leads\n"
        with Store.open(url) as store:
            assert isinstance(store.leadership.take("me", NOW), HeldBy)
            os.kill(child.pid, signal.SIGKILL)
            child.wait(timeout=10)
            lease = store.leadership.take("me", NOW)
            for _ in range(100):  # PostgreSQL hears of it when it reads the closed connection
                if isinstance(lease, Lease):
                    break
                Event().wait(0.1)
                lease = store.leadership.take("me", NOW)
            assert isinstance(lease, Lease) and lease.fence == 2
    finally:
        child.kill()
        child.communicate(timeout=10)
