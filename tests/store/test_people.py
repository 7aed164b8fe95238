"""Accounts and sessions: one code, one account; nothing stored opens a door; what a manager looks at is noted."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from ems.store import Account, People, Store
from ems.store.people import ALPHABET, CODE_LASTS, MOST_SESSIONS, canonical
from ems.store.people_tables import metadata

NOW = datetime(2026, 10, 24, 14, 20, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def people(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[People]:
    sqlite = f"sqlite:///{tmp_path}/people.db"
    with People.open(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")) as opened:
        yield opened


def resident(people: People) -> Account:
    found = people.account_of(people.invite("resident", "resident", "horizon/flat-0101", NOW), NOW)
    assert found is not None
    return found


def test_a_code_finds_its_account_however_it_is_typed(people: People) -> None:
    code = people.invite("resident", "resident", "horizon/flat-0101", NOW)
    assert len(code) == 14 and set(code) <= {*ALPHABET, "-"}
    for typed in (code, code.lower(), code.replace("-", " "), f" {code.replace('-', '')} "):
        found = people.account_of(typed, NOW)
        assert found is not None and (found.role, found.home) == ("resident", "horizon/flat-0101")
    other = ("3" if code[0] == "2" else "2") + code[1:]
    for wrong in (other, "", "short", code + "A", "0" + code[1:]):
        assert people.account_of(wrong, NOW) is None


def test_a_code_runs_out_and_is_replaced(people: People) -> None:
    first = people.invite("manager", "manager", None, NOW)
    assert people.account_of(first, NOW + CODE_LASTS) is None
    second = people.invite("manager", "manager", None, NOW)
    assert people.account_of(first, NOW) is None
    assert people.account_of(second, NOW) is not None


def test_an_account_is_one_persons(people: People) -> None:
    resident(people)
    with pytest.raises(ValueError, match="already the resident of horizon/flat-0101"):
        people.invite("resident", "resident", "horizon/flat-0102", NOW)
    for role, home in (("resident", None), ("manager", "horizon/flat-0101")):
        with pytest.raises(ValueError, match="a resident has a home"):
            people.invite("x", role, home, NOW)  # type: ignore[arg-type]


def test_a_session_lasts_while_it_is_used(people: People) -> None:
    manager = people.account_of(people.invite("manager", "manager", None, NOW), NOW)
    assert manager is not None
    token = people.open_session(manager, NOW)
    for hours in (11, 22, 33):
        assert people.visitor(token, NOW + timedelta(hours=hours)) == manager
    assert people.visitor(token, NOW + timedelta(hours=45)) is None
    assert people.visitor("never", NOW) is None


def test_a_session_is_ended_by_its_owner_alone(people: People) -> None:
    mine, other = resident(people), people.account_of(people.invite("m", "manager", None, NOW), NOW)
    assert other is not None
    token = people.open_session(mine, NOW)
    key = people.key(token)
    assert [s.key for s in people.sessions(mine, NOW)] == [key]
    assert not people.end_session(other, key, NOW)
    assert not people.end_session(mine, "no hex", NOW)
    assert people.visitor(key, NOW) is None
    assert people.end_session(mine, key, NOW)
    assert people.visitor(token, NOW) is None


def test_sessions_are_bounded_and_go_with_their_account(people: People) -> None:
    mine = resident(people)
    tokens = [people.open_session(mine, NOW + timedelta(seconds=i)) for i in range(MOST_SESSIONS + 2)]
    later = NOW + timedelta(minutes=1)
    assert [people.visitor(t, later) is not None for t in tokens] == [False] * 2 + [True] * MOST_SESSIONS
    people.remove(mine)
    assert people.visitor(tokens[-1], later) is None
    assert len(people.audit(100)) == MOST_SESSIONS + 2


def test_the_audit_tells_a_home_who_looked(people: People) -> None:
    mine = resident(people)
    manager = people.account_of(people.invite("chief", "manager", None, NOW), NOW)
    assert manager is not None
    people.open_session(mine, NOW)
    people.note(manager, "comfort of a home", "horizon/flat-0101", NOW)
    people.note(manager, "comfort of a home", "horizon/flat-0102", NOW)
    people.note(manager, "comfort of all homes", None, NOW)
    seen = [(t.name, t.what, t.home) for t in people.looked_at("horizon/flat-0101", 10)]
    assert seen == [("chief", "comfort of all homes", None), ("chief", "comfort of a home", "horizon/flat-0101")]
    assert people.audit(10)[-1].what == "signed in"


def test_the_steps_make_what_the_classes_say(people: People) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    assert people._database.read("test", differences) == []


def test_nothing_in_the_file_opens_a_door(tmp_path: Path) -> None:
    file = tmp_path / "new" / "people.db"
    with People.open(f"sqlite:///{file}") as people:
        code = people.invite("resident", "resident", "horizon/flat-0101", NOW)
        token = people.open_session(resident(people), NOW)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    connection = sqlite3.connect(file)
    dump = "\n".join(connection.iterdump())
    connection.close()
    for secret in (code, code.replace("-", ""), token, code.encode().hex().upper(), token.encode().hex().upper()):
        assert secret not in dump


def test_both_stores_live_in_one_postgresql_database(postgres_url: str) -> None:
    with Store.open(postgres_url) as store, People.open(postgres_url) as people:
        store.save_decision(1, {"slot": 1})
        people.invite("manager", "manager", None, NOW)
    with Store.open(postgres_url) as store, People.open(postgres_url) as people:
        assert store.last_decision() == {"slot": 1}
        assert people.audit(1) == []


def test_a_code_is_written_one_way() -> None:
    assert canonical("abcd-efgh 2345") == "ABCDEFGH2345"
    for wrong in ("abcd-efgh-234", "abcd-efgh-2340", "abcd-efgh-234I"):
        assert canonical(wrong) is None
