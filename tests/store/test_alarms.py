"""Alarms: one per trouble, counted, seen, silenced for a while, and cleared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ems.store import KINDS, AlarmState, Severity, Store, StoreError, Trouble

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
BUS = Trouble("bus-silent", "mistral/meters", "no answer")
HELD = Trouble("setpoint-held", "mistral/tank/setpoint_c", "priority 8")
LATER = NOW + timedelta(hours=1)


def test_the_same_trouble_is_one_alarm_and_counted(any_store: Store) -> None:
    alarms = any_store.alarms
    assert alarms.raise_all([BUS, HELD], NOW) == 2
    assert alarms.raise_all([BUS], LATER) == 0
    urgent, note = alarms.open()
    assert (urgent.kind.severity, urgent.subject, urgent.times) == (Severity.URGENT, BUS.subject, 2)
    assert (urgent.raised_at, urgent.last_at) == (NOW, LATER)
    assert note.kind.severity is Severity.NOTE


def test_an_alarm_is_seen_silenced_and_cleared(any_store: Store) -> None:
    alarms = any_store.alarms
    alarms.raise_all([BUS], NOW)
    [alarm] = alarms.open()
    assert alarm.state(NOW) is AlarmState.RAISED
    assert alarms.acknowledge(alarm.number, "lea", LATER)
    assert not alarms.acknowledge(alarm.number, "noah", LATER)  # seen already
    assert alarms.shelve(alarm.number, "lea", LATER, LATER + timedelta(days=1))
    found = alarms.find(alarm.number)
    assert found is not None
    assert (found.acknowledged_by, found.shelved_by) == ("lea", "lea")
    assert found.state(LATER) is AlarmState.SHELVED
    assert found.state(LATER + timedelta(days=1)) is AlarmState.ACKNOWLEDGED  # the shelf has run out
    assert alarms.clear(BUS.kind, BUS.subject, LATER)
    assert not alarms.clear(BUS.kind, BUS.subject, LATER)
    assert alarms.open() == []
    [past] = alarms.since(NOW)
    assert past.state(LATER) is AlarmState.CLEARED
    assert not alarms.acknowledge(past.number, "lea", LATER)


def test_the_same_trouble_later_is_a_new_alarm(any_store: Store) -> None:
    alarms = any_store.alarms
    alarms.raise_all([BUS], NOW)
    alarms.clear(BUS.kind, BUS.subject, NOW)
    assert alarms.raise_all([BUS], LATER) == 1
    assert [a.raised_at for a in alarms.since(NOW)] == [LATER, NOW]
    alarms.forget(NOW + timedelta(days=500))
    assert [a.raised_at for a in alarms.since(NOW)] == [LATER]


def test_nothing_is_shelved_for_ever(store: Store) -> None:
    store.alarms.raise_all([BUS], NOW)
    for until in (NOW, NOW + timedelta(days=15)):
        with pytest.raises(StoreError, match="at most 14 days"):
            store.alarms.shelve(1, "lea", NOW, until)


def test_people_are_told_once(store: Store) -> None:
    store.alarms.raise_all([BUS], NOW)
    store.alarms.mark_notified([1], NOW)
    store.alarms.mark_notified([1], LATER, escalated=True)
    alarm = store.alarms.find(1)
    assert alarm is not None
    assert (alarm.notified_at, alarm.escalated_at) == (NOW, LATER)
    assert store.alarms.find(2) is None


def test_there_is_no_alarm_without_words() -> None:
    with pytest.raises(ValueError, match="is no kind of alarm"):
        Trouble("fire")
    for kind in KINDS.values():
        for words in (kind.fr, kind.en):
            assert all((words.title, words.cause, words.consequence, words.remedy)), kind.name


def test_an_asset_is_out_of_service_until_then(any_store: Store) -> None:
    any_store.save_maintenance("mistral/tank", "lea", "valve", LATER)
    assert any_store.out_of_service(NOW) == {"mistral/tank": ("lea", "valve", LATER)}
    assert any_store.out_of_service(LATER) == {}
    assert any_store.end_maintenance("mistral/tank")
    assert not any_store.end_maintenance("mistral/tank")
