"""Somebody else holds the database: the loop hears of it, loses nothing and goes on."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from ems.points import Quality, Sample
from ems.slots import Slots
from ems.store import Concern, Store, StoreBusy
from ems.store.database import Turn

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
AT = int(NOW.timestamp())


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[], sqlite3.Connection]]:
    """A second connection that takes the write lock when called; commit lets go."""
    opened: list[sqlite3.Connection] = []

    def hold() -> sqlite3.Connection:
        connection = sqlite3.connect(tmp_path / "site.db", isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN IMMEDIATE")
        opened.append(connection)
        return connection

    yield hold
    for connection in opened:
        connection.close()


def test_readings_are_kept_and_saved_later(url: str, holder: Callable[[], sqlite3.Connection]) -> None:
    heard: list[Concern] = []
    with Store.open(url, report=heard.append, busy_timeout_s=0.05, attempts=2) as store:
        other = holder()
        with pytest.raises(StoreBusy, match=r"cannot be used, tried for 0.05 s"):
            store.save_readings([("a/b/power_kw", AT, 1.0, Quality.GOOD)])
        with pytest.raises(StoreBusy):
            store.save_readings([("a/b/power_kw", AT + 900, 2.0, Quality.GOOD)])
        assert store.backlog == 2
        assert [c.name for c in heard if c.name == "store-busy"] == ["store-busy"] * 2
        other.execute("COMMIT")
        assert store.save_readings([("a/b/power_kw", AT + 1800, 3.0, Quality.GOOD)]) == 3
        assert store.backlog == 0
        assert store.history(["a/b/power_kw"], Slots(NOW, 3)).values["a/b/power_kw"].tolist() == [1.0, 2.0, 3.0]


def test_a_long_delivery_is_kept_whole(url: str, holder: Callable[[], sqlite3.Connection]) -> None:
    with Store.open(url, busy_timeout_s=0.02, attempts=1) as store:
        other = holder()
        with pytest.raises(StoreBusy):
            store.save_readings(("a/b/power_kw", AT + 900 * i, 1.0, Quality.GOOD) for i in range(60_000))
        assert store.backlog == 60_000
        other.execute("COMMIT")
        assert store.save_readings([]) == 60_000


def test_other_writes_wait_their_attempts_and_then_say_so(url: str, holder: Callable[[], sqlite3.Connection]) -> None:
    heard: list[Concern] = []
    with Store.open(url, report=heard.append, busy_timeout_s=0.03, attempts=3) as store:
        store.save_latest({"a/b/power_kw": Sample(0.0, Quality.GOOD, NOW)})
        other = holder()
        with pytest.raises(StoreBusy, match="save latest values"):
            store.save_latest({"a/b/power_kw": Sample(1.0, Quality.GOOD, NOW)})
        assert [c.name for c in heard].count("store-busy") == 3
        assert store.latest()["a/b/power_kw"].value == 0.0  # reading goes on meanwhile
        other.execute("COMMIT")
        store.save_latest({"a/b/power_kw": Sample(1.0, Quality.GOOD, NOW)})
        assert store.latest()["a/b/power_kw"].value == 1.0


def test_a_lock_that_ends_in_time_costs_nothing(url: str, holder: Callable[[], sqlite3.Connection]) -> None:
    heard: list[Concern] = []
    with Store.open(url, report=heard.append, busy_timeout_s=0.05, attempts=100) as store:
        other = holder()
        free = threading.Timer(0.2, lambda: other.execute("COMMIT"))
        free.start()
        store.save_decision(1, {"slot": 1})
        free.join()
        assert store.last_decision() == {"slot": 1}
        assert "store-busy" in [c.name for c in heard]


def test_postgresql_says_it_too(postgres_url: str) -> None:
    with Store.open(postgres_url, busy_timeout_s=0.1, attempts=2) as store:
        other = create_engine(postgres_url)
        with other.begin() as holder:
            holder.execute(text("LOCK TABLE reading, latest IN ACCESS EXCLUSIVE MODE"))
            with pytest.raises(StoreBusy, match="lock timeout"):
                store.save_readings([("a/b/power_kw", AT, 1.0, Quality.GOOD)])
            with pytest.raises(StoreBusy):
                store.latest()
        other.dispose()
        assert store.save_readings([]) == 1


def test_turns_are_taken_in_the_order_of_asking() -> None:
    turn = Turn()
    order: list[int] = []

    def work(number: int) -> None:
        with turn:
            order.append(number)

    with turn:
        threads = []
        for number in range(5):
            thread = threading.Thread(target=work, args=(number,))
            thread.start()
            threads.append(thread)
            while len(turn._waiting) < number + 2:
                pass
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_a_long_load_lets_the_loop_through(store: Store) -> None:
    slots = Slots(NOW, 3000)
    loop_was_served_after = []

    def load() -> Iterator[tuple[str, Slots, np.ndarray]]:
        for i in range(60):
            progress.append(i)
            yield f"a/x-{i}/power_kw", slots, np.ones(3000)

    progress: list[int] = []
    loader = threading.Thread(target=lambda: store.save_series(load()))
    loader.start()
    while not progress:
        pass
    store.save_latest({"a/b/power_kw": Sample(1.0, Quality.GOOD, NOW)})
    loop_was_served_after.append(len(progress))
    loader.join()
    assert loop_was_served_after[0] < 60
    assert store.count_readings() == 180_000
