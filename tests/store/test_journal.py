"""The journal: a killed run resumes with what it had decided, and nothing is sent without an intent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Withheld, Written
from ems.slots import slot_number
from ems.store import JournalError, LeadershipLost, Lease, Store

NOW = datetime(2026, 11, 20, 10, 0, 5, tzinfo=UTC)
SLOT = slot_number(NOW)
TANK, CAR = "a/tank/setpoint_c", "a/car/limit_a"


@pytest.fixture
def fence(any_store: Store) -> int:
    lease = any_store.leadership.take("me", NOW)
    assert isinstance(lease, Lease)
    return lease.fence


def order(point: str, value: float | None, number: int = 0, slot: int = SLOT) -> Command:
    return Command(f"{slot}:{point}:{number}", point, value, expires_at=NOW + timedelta(minutes=20), reason="cheap")


def send(store: Store, fence: int, command: Command, outcome: Outcome) -> None:
    store.journal.commit_intents([command], fence, NOW)
    store.journal.record_outcomes({command.key: outcome})


def test_a_run_is_opened_resumed_and_closed(any_store: Store, fence: int) -> None:
    journal = any_store.journal
    assert journal.last_run() is None
    first = journal.open_run(SLOT, NOW, fence)
    assert (first.state, first.attempt, first.resumed, first.started_at) == ("running", 1, False, NOW)
    again = journal.open_run(SLOT, NOW + timedelta(seconds=9), fence)
    assert (again.attempt, again.resumed, again.started_at) == (2, True, NOW)
    journal.close_run(SLOT, "done", NOW + timedelta(seconds=20))
    done = journal.open_run(SLOT, NOW + timedelta(seconds=30), fence)
    assert (done.state, done.attempt) == ("done", 2)
    assert journal.last_run() == done


def test_a_slot_that_is_over_is_closed_as_missed(any_store: Store, fence: int) -> None:
    any_store.journal.open_run(SLOT, NOW, fence)
    any_store.journal.open_run(SLOT + 1, NOW + timedelta(minutes=15), fence)
    missed = any_store.journal.run(SLOT)
    assert missed is not None
    assert (missed.state, missed.finished_at) == ("missed", NOW + timedelta(minutes=15))
    assert any_store.journal.open_run(SLOT, NOW + timedelta(minutes=16), fence).state == "missed"


def test_a_run_is_not_closed_as_running(any_store: Store, fence: int) -> None:
    with pytest.raises(JournalError, match="is closed as done, failed or missed"):
        any_store.journal.close_run(SLOT, "running", NOW)
    with pytest.raises(JournalError, match="was never opened"):
        any_store.journal.close_run(SLOT, "done", NOW)


def test_a_step_is_computed_once(any_store: Store) -> None:
    calls = []

    def compute() -> tuple[float, ...]:
        calls.append(1)
        return (1.0, 2.5, len(calls))

    results = [any_store.journal.step(SLOT, "plan", compute, list, tuple) for _ in range(3)]
    assert results == [(1.0, 2.5, 1)] * 3
    assert len(calls) == 1
    assert any_store.journal.step(SLOT, "nothing", lambda: None, lambda x: x, lambda x: x) is None
    assert any_store.journal.recall(SLOT, "nothing") == (None,)
    assert any_store.journal.recall(SLOT, "other") is None


def test_a_damaged_step_is_refused(store: Store) -> None:
    store.journal.remember(SLOT, "plan", [1, 2, 3])
    store._database.write("damage", lambda c: c.exec_driver_sql("UPDATE step SET crc = crc + 1"))
    with pytest.raises(JournalError, match="damaged"):
        store.journal.recall(SLOT, "plan")


def test_intents_need_the_fence_that_stands(any_store: Store, fence: int) -> None:
    with pytest.raises(LeadershipLost, match="is not the one that stands"):
        any_store.journal.commit_intents([order(TANK, 60.0)], fence - 1)
    with pytest.raises(LeadershipLost, match="ended at"):
        any_store.journal.commit_intents([order(TANK, 60.0)], fence, NOW, leading_at=NOW + timedelta(minutes=2))
    assert any_store.journal.standing() == []


def test_nobody_leads_nobody_writes(store: Store) -> None:
    with pytest.raises(LeadershipLost, match="nobody leads"):
        store.journal.open_run(SLOT, NOW, 0)


def test_an_expired_command_is_refused(any_store: Store, fence: int) -> None:
    with pytest.raises(JournalError, match="have expired"):
        any_store.journal.commit_intents([order(TANK, 60.0)], fence, NOW + timedelta(minutes=20))


def test_the_same_intent_again_is_no_news_another_value_is_a_mixed_plan(any_store: Store, fence: int) -> None:
    journal = any_store.journal
    journal.commit_intents([order(TANK, 60.0)], fence)
    journal.commit_intents([order(TANK, 60.0)], fence)
    with pytest.raises(JournalError, match=r"an intent of 60\.0 is on record, and now it is 62\.0"):
        journal.commit_intents([order(CAR, 10.0), order(TANK, 62.0)], fence)
    assert [c.point for c in journal.standing()] == [TANK]  # all or none


def test_an_outcome_needs_an_intent(any_store: Store, fence: int) -> None:
    with pytest.raises(JournalError, match="an outcome without an intent"):
        any_store.journal.record_outcomes({"nobody:0": Written(1.0)})


def test_an_intent_stands_before_it_is_known_to_be_written(any_store: Store, fence: int) -> None:
    command = order(TANK, 60.0)
    any_store.journal.commit_intents([command], fence)
    assert any_store.journal.standing() == [command]
    assert any_store.journal.last_confirmed() == {}
    any_store.journal.record_outcomes({command.key: Written(60.0)})
    assert any_store.journal.standing() == [command]
    assert any_store.journal.last_confirmed() == {TANK: 60.0}
    assert any_store.journal.states([command.key, "other"]) == {command.key: "written"}


def test_what_stands_is_the_newest_that_may_have_reached_the_device(any_store: Store, fence: int) -> None:
    journal = any_store.journal
    send(any_store, fence, order(TANK, 60.0, 0), Written(60.0))
    send(any_store, fence, order(TANK, 62.0, 1), Unreachable("no answer"))
    assert [c.value for c in journal.standing()] == [62.0]
    assert journal.last_confirmed() == {TANK: 60.0}
    send(any_store, fence, order(TANK, 63.0, 2), Refused("out of range"))
    assert [c.value for c in journal.standing()] == [62.0]
    send(any_store, fence, order(TANK, 61.0, 3), Overridden(55.0, "priority 8"))
    assert [c.value for c in journal.standing()] == [61.0]  # somebody holds it, but our entry is in the array
    assert journal.last_confirmed() == {}


def test_only_a_relinquishing_that_arrived_releases(any_store: Store, fence: int) -> None:
    journal = any_store.journal
    send(any_store, fence, order(TANK, 60.0, 0), Written(60.0))
    send(any_store, fence, order(CAR, 16.0, 0), Written(16.0))
    send(any_store, fence, order(TANK, None, 1), Unreachable("no answer"))
    assert {c.point: c.value for c in journal.standing()} == {TANK: 60.0, CAR: 16.0}
    send(any_store, fence, order(TANK, None, 2), Written(None))
    assert {c.point: c.value for c in journal.standing()} == {CAR: 16.0}
    assert journal.last_confirmed() == {CAR: 16.0}
    keys = [order(TANK, None, n).key for n in range(3)]
    assert journal.states(keys) == dict(zip(keys, ("superseded", "superseded", "released"), strict=True))
    send(any_store, fence, order(CAR, None, 1), Overridden(10.0, "priority 8"))  # somebody else's, ours is gone
    assert journal.states([order(CAR, None, 1).key]) == {order(CAR, None, 1).key: "released"}
    assert journal.standing() == []
    send(any_store, fence, order(CAR, 16.0, 2), Written(16.0))
    send(any_store, fence, order(CAR, 18.0, 3), Written(18.0))
    assert journal.states([order(CAR, 0.0, 2).key]) == {order(CAR, 0.0, 2).key: "superseded"}
    send(any_store, fence, order(TANK, 58.0, 3), Written(58.0))
    assert journal.last_confirmed() == {CAR: 18.0, TANK: 58.0}


def test_what_is_on_record_can_be_read_by_others(store: Store) -> None:
    """Times are microseconds since 1970, and an outcome keeps what was read back, and who or why."""
    lease = store.leadership.take("me", NOW)
    assert isinstance(lease, Lease)
    send(store, lease.fence, order(TANK, 60.0), Overridden(55.0, "priority 8"))
    send(store, lease.fence, order(CAR, 16.0), Refused("too much"))
    sql = "SELECT expires_us, state, read_back, detail FROM command ORDER BY number"
    rows = store._database.read("test", lambda c: [tuple(r) for r in c.exec_driver_sql(sql)])
    expires_us = int((NOW + timedelta(minutes=20)).timestamp()) * 1_000_000
    assert rows == [
        (expires_us, "overridden", 55.0, "priority 8"),
        (expires_us, "refused", None, "too much"),
    ]


def test_steps_are_kept_two_days_and_commands_forty(store: Store) -> None:
    journal = store.journal
    lease = store.leadership.take("me", NOW)
    assert isinstance(lease, Lease)
    send(store, lease.fence, order(CAR, 16.0), Refused("no"))
    journal.remember(SLOT, "plan", 1)

    def after(slots: int, now: datetime) -> None:
        journal.open_run(SLOT + slots, now, lease.fence)
        journal.close_run(SLOT + slots, "done", now)

    after(192, NOW)
    assert journal.recall(SLOT, "plan") == (1,)
    after(193, NOW)
    assert journal.recall(SLOT, "plan") is None
    expired = NOW + timedelta(minutes=20)
    after(194, expired + timedelta(days=40))
    assert journal.states([order(CAR, 16.0).key])
    after(195, expired + timedelta(days=40, microseconds=1))
    assert journal.states([order(CAR, 16.0).key]) == {}


def test_what_is_withheld_never_stands(any_store: Store, fence: int) -> None:
    journal = any_store.journal
    expires = NOW + timedelta(minutes=20)
    wanted = [order(TANK, 60.0), order(CAR, None)]
    journal.commit_intents(wanted, fence, NOW, withheld=True)
    assert journal.states([c.key for c in wanted]) == dict.fromkeys([c.key for c in wanted], "withheld")
    assert journal.standing() == [] and journal.last_confirmed() == {}
    journal.record_outcomes({wanted[0].key: Withheld(60.0), wanted[1].key: Withheld(None)})
    assert journal.standing() == [] and journal.last_confirmed() == {}
    assert journal.withheld(expires, expires + timedelta(seconds=1)) == [wanted[0]]  # a release took nothing back
    assert journal.withheld(NOW, expires) == []
    assert journal.withheld(expires + timedelta(microseconds=1), expires + timedelta(hours=1)) == []
    # What a run before had written is not taken for given back by it.
    send(any_store, fence, order(CAR, 16.0, 1), Written(16.0))
    later = order(CAR, 10.0, 2)
    journal.commit_intents([later], fence, NOW, withheld=True)
    journal.record_outcomes({later.key: Withheld(10.0)})
    assert journal.last_confirmed() == {CAR: 16.0}


def test_old_steps_and_commands_are_forgotten_but_not_what_stands(any_store: Store, fence: int) -> None:
    journal = any_store.journal
    send(any_store, fence, order(TANK, 60.0, 0), Written(60.0))
    send(any_store, fence, order(CAR, 16.0, 0), Refused("no"))
    journal.remember(SLOT, "plan", 1)
    later = SLOT + 96 * 50
    journal.open_run(later, NOW + timedelta(days=50), fence)
    journal.close_run(later, "failed", NOW + timedelta(days=50), error="solver")
    assert journal.recall(SLOT, "plan") is None
    assert [c.point for c in journal.standing()] == [TANK]
    assert journal.states([order(CAR, 16.0, 0).key]) == {}
    with pytest.raises(JournalError, match="never opened"):
        journal.close_run(later + 1, "done", NOW)


def test_a_killed_process_resumes_with_the_same_plan(url: str) -> None:
    with Store.open(url) as first:
        lease = first.leadership.take("one", NOW)
        assert isinstance(lease, Lease)
        first.journal.open_run(SLOT, NOW, lease.fence)
        plan = first.journal.step(SLOT, "plan", lambda: 41, lambda x: x, int)
        first.journal.commit_intents([order(TANK, float(plan))], lease.fence, NOW)
    with Store.open(url) as second:  # nothing was closed or released by the first
        lease = second.leadership.take("two", NOW + timedelta(seconds=3))
        assert isinstance(lease, Lease)
        run = second.journal.open_run(SLOT, NOW + timedelta(seconds=3), lease.fence)
        assert run.resumed
        assert second.journal.step(SLOT, "plan", lambda: 99, lambda x: x, int) == plan
        assert second.journal.standing() == [order(TANK, 41.0)]
