"""Leadership: one at a time, and whoever lost it cannot commit an intent any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from ems.command import Command
from ems.store import HeldBy, LeadershipLost, Lease, Store

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
        with pytest.raises(LeadershipLost, match="two leads with 2"):
            one.leadership.renew(first, NOW)
        with pytest.raises(LeadershipLost):
            one.journal.commit_intents([Command("k", "a/b/limit_a", 1.0, NOW + timedelta(minutes=15))], first.fence)
        assert two.journal.standing() == []


def test_the_lock_goes_with_its_process(url: str) -> None:
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
            assert isinstance(lease, Lease) and lease.fence == 2
    finally:
        child.kill()
        child.communicate(timeout=10)
