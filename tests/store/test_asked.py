"""What people ask for is kept, read by the control process, ended, and noted in a chain that shows a change."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from alembic.config import Config
from sqlalchemy import create_engine, text

from ems.store import Account, Asked, Closing, Departure, Hold, People, Reservation
from ems.store.asked import CLOSINGS_KEPT, MOST_CLOSINGS
from ems.store.people import LEAST_PASSWORD
from ems.store.tickets import CLOSED_KEPT, MOST_OPEN

NOW = datetime(2026, 10, 24, 14, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOME, OTHER = "horizon/flat-0101", "calanques/flat-0101"
WHO = ("chief", "manager")


@pytest.fixture
def people(tmp_path: Path):  # type: ignore[no-untyped-def]
    with People.open(f"sqlite:///{tmp_path}/people.db") as opened:
        yield opened


def account(people: People, name: str, home: str | None = None) -> Account:
    found = people.account_of(people.invite(name, "resident" if home else "manager", home, NOW), NOW)
    assert found is not None
    return found


def departure(asset: str, who: Account, hours: int = 5) -> Departure:
    return Departure(asset, who.id, 100.0, 18.0, 0.0, False, NOW, NOW + hours * HOUR)


def test_the_control_process_reads_what_was_asked_and_writes_nothing(people: People, tmp_path: Path) -> None:
    people.asked.wish_comfort(HOME, 0.5, True, (HOME, "resident"), NOW)
    people.asked.heat_now(HOME, NOW + HOUR, (HOME, "resident"), NOW)
    people.asked.hold(Hold("parking/battery/power_setpoint_kw", 0.0, "chief", "test", NOW, NOW + HOUR), "manager")
    people.asked.take_out("jardins/tank", "works", WHO, NOW)
    reading = Asked.read_only(f"sqlite:///{tmp_path}/people.db")
    assert reading.comfort_wishes()[HOME].offset_k == 0.5
    assert reading.heating_now(NOW) == {HOME: NOW + HOUR} and reading.heating_now(NOW + HOUR) == {}
    assert list(reading.holds(NOW)) == ["parking/battery/power_setpoint_kw"] and reading.holds(NOW + HOUR) == {}
    assert list(reading.maintenance()) == ["jardins/tank"]
    with pytest.raises(Exception, match="read-only"):
        reading.put_in("jardins/tank", WHO, NOW)
    reading.close()


def test_what_was_asked_is_ended_once(people: People) -> None:
    people.asked.take_out("x", "works", WHO, NOW)
    people.asked.take_out("x", "again", ("other", "manager"), NOW + HOUR)
    assert people.asked.maintenance()["x"].by == "chief"  # the first stands
    assert people.asked.put_in("x", WHO, NOW) and not people.asked.put_in("x", WHO, NOW)
    people.asked.hold(Hold("p", 1.0, "chief", "why", NOW, NOW + HOUR), "manager")
    assert people.asked.end_hold("p", WHO, NOW) and not people.asked.end_hold("p", WHO, NOW)
    people.asked.heat_now(HOME, NOW + HOUR, WHO, NOW)
    people.asked.heat_now(HOME, None, WHO, NOW)
    assert people.asked.heating_now(NOW) == {}


def test_a_charge_point_is_one_persons_until_the_car_leaves(people: People) -> None:
    mine, other = account(people, "a", HOME), account(people, "b", OTHER)
    assert people.asked.depart(departure("parking/point-01", mine), ("a", "resident"), HOME, NOW)
    assert not people.asked.depart(departure("parking/point-01", other), ("b", "resident"), OTHER, NOW)
    assert people.asked.depart(departure("parking/point-02", mine), ("a", "resident"), HOME, NOW)
    assert list(people.asked.departures(NOW)) == ["parking/point-02"]  # one car a person
    assert people.asked.depart(departure("parking/point-01", other), ("b", "resident"), OTHER, NOW)
    assert people.asked.departures(NOW + 6 * HOUR) == {}
    people.asked.forget_departure(other.id)
    assert list(people.asked.departures(NOW)) == ["parking/point-02"]


def test_a_message_is_answered_and_closed_by_those_it_concerns(people: People) -> None:
    who = ("resident", "resident")
    number = people.tickets.open(HOME, "too cold", "since noon", {"temperature_c": [[1, 17.5]]}, who, NOW)
    assert number is not None
    assert people.tickets.one(number).measured == {"temperature_c": [[1, 17.5]]}  # type: ignore[union-attr]
    assert people.tickets.answer(number, "tomorrow", NOW + 20 * HOUR, WHO, NOW)
    assert people.tickets.of(HOME)[0].comes == NOW + 20 * HOUR and people.tickets.of(OTHER) == []
    assert not people.tickets.close(number, OTHER, who, NOW)
    assert people.tickets.close(number, HOME, who, NOW) and not people.tickets.close(number, None, WHO, NOW)
    assert not people.tickets.answer(number, "late", None, WHO, NOW)
    assert [t.number for t in people.tickets.closed()] == [number] and people.tickets.waiting() == []
    for _ in range(MOST_OPEN):
        people.tickets.open(HOME, "idea", "", {}, who, NOW)
    assert people.tickets.open(HOME, "idea", "", {}, who, NOW) is None


def test_a_message_closed_years_ago_is_forgotten_when_somebody_sends_one(people: People) -> None:
    who = ("resident", "resident")
    old, open_still = (people.tickets.open(HOME, "too cold", "", {}, who, NOW) for _ in range(2))
    assert old is not None and people.tickets.close(old, HOME, who, NOW)
    people.tickets.open(OTHER, "idea", "a bench", {}, who, NOW + CLOSED_KEPT)
    assert {t.number for t in people.tickets.of(HOME)} == {old, open_still}
    people.tickets.open(OTHER, "idea", "a tree", {}, who, NOW + CLOSED_KEPT + HOUR)
    assert {t.number for t in people.tickets.of(HOME)} == {open_still}


def test_the_oldest_unanswered_message_comes_first(people: People) -> None:
    for hours in (0, 1, 2):
        people.tickets.open(HOME, "too hot", str(hours), {}, WHO, NOW + hours * HOUR)
    people.tickets.answer(people.tickets.waiting()[0].number, "soon", None, WHO, NOW)
    assert [t.words for t in people.tickets.waiting()] == ["1", "2", "0"]


def test_a_changed_line_of_the_audit_is_found(people: People, tmp_path: Path) -> None:
    for i in range(4):
        people.asked.take_out(f"part-{i}", "works", WHO, NOW)
    assert people.trail.broken() is None
    with sqlite3.connect(tmp_path / "people.db") as connection:
        connection.execute("UPDATE trail SET detail = 'part-9' WHERE id = 2")
    assert people.trail.broken() == 2
    with sqlite3.connect(tmp_path / "people.db") as connection:
        connection.execute("UPDATE trail SET detail = 'part-1' WHERE id = 2")
        connection.execute("DELETE FROM trail WHERE id = 3")
    assert people.trail.broken() == 4


def test_erasing_somebody_leaves_a_chain_that_holds_and_nothing_of_them(people: People, tmp_path: Path) -> None:
    mine = account(people, HOME, HOME)
    helper = people.account_of(people.invite("daughter", "caregiver", HOME, NOW, by=mine), NOW)
    assert helper is not None and [a.name for a in people.helpers(HOME)] == ["daughter"]
    people.set_password(mine, "a long password", NOW)
    people.asked.wish_comfort(HOME, -0.5, False, (HOME, "resident"), NOW)
    people.asked.depart(departure("parking/point-01", mine), (HOME, "resident"), HOME, NOW)
    people.tickets.open(HOME, "idea", "a bench", {}, (HOME, "resident"), NOW)
    people.consent(mine, "load curve", True, NOW)
    token = people.open_session(mine, NOW)
    lines = len(people.audit(100))
    people.erase(mine, NOW)
    assert people.visitor(token, NOW) is None and people.asked.erasures() == {HOME: NOW}
    assert people.trail.broken() is None and len(people.audit(100)) == lines + 1
    assert people.looked_at(HOME, 10) == [] and {t.name for t in people.audit(100)} == {None}
    with sqlite3.connect(tmp_path / "people.db") as connection:
        dump = "\n".join(line for line in connection.iterdump() if 'INTO "erasure"' not in line)
    assert HOME not in dump and "daughter" not in dump and "bench" not in dump
    with pytest.raises(ValueError, match="has no home"):
        people.erase(account(people, "chief"), NOW)


def test_a_password_replaces_the_code(people: People) -> None:
    code = people.invite(HOME, "resident", HOME, NOW)
    mine = people.account_of(code, NOW)
    assert mine is not None
    with pytest.raises(ValueError, match="at least 10"):
        people.set_password(mine, "x" * (LEAST_PASSWORD - 1), NOW)
    assert people.account_by_password(HOME, "a long password", NOW) is None
    people.set_password(mine, "a long password", NOW)
    assert people.account_of(code, NOW) is None
    assert people.account_by_password(HOME.upper() + " ", "a long password", NOW) == mine
    assert people.account_by_password(HOME, "a long passwort", NOW) is None
    assert people.account_by_password("nobody", "a long password", NOW) is None


def test_an_installers_access_ends_by_itself(people: People) -> None:
    with pytest.raises(ValueError, match="ends at an instant"):
        people.invite("fitter", "installer", None, NOW)
    fitter = people.account_of(people.invite("fitter", "installer", None, NOW, until=NOW + HOUR, part="horizon"), NOW)
    assert fitter is not None and fitter.part == "horizon"
    token = people.open_session(fitter, NOW)
    key = people.make_token(fitter, "x", "read", NOW)
    later = NOW + HOUR
    assert people.visitor(token, NOW) == fitter and people.bearer(key, NOW) == (fitter, "read")
    assert people.visitor(token, later) is None and people.bearer(key, later) is None


def test_keys_and_helpers_are_ended_by_their_owner(people: People) -> None:
    mine, other = account(people, "a", HOME), account(people, "b", OTHER)
    key = people.make_token(mine, "my computer", "read", NOW)
    name = people.tokens(mine, NOW)[0].key
    assert not people.end_token(other, name, NOW) and not people.end_token(mine, "no hex", NOW)
    assert people.end_token(mine, name, NOW) and people.bearer(key, NOW) is None
    helper = people.account_of(people.invite("c", "caregiver", HOME, NOW), NOW)
    assert helper is not None
    assert not people.end_access(helper.id, other, NOW, home=OTHER)
    assert not people.end_access(mine.id, other, NOW, home=OTHER) and not people.end_access(mine.id, mine, NOW)
    assert people.end_access(helper.id, mine, NOW, home=HOME) and people.helpers(HOME) == []
    assert [p.account.name for p in people.people(NOW)] == ["a", "b"]


def test_consents_stand_one_by_one(people: People) -> None:
    mine = account(people, "a", HOME)
    people.consent(mine, "daily", True, NOW)
    people.consent(mine, "load curve", False, NOW)
    people.consent(mine, "daily", False, NOW + HOUR)
    assert people.consents(mine) == {"daily": (False, NOW + HOUR), "load curve": (False, NOW)}


def test_who_was_not_asked_has_not_agreed_and_one_no_is_enough(people: People) -> None:
    mine, other = account(people, "a", HOME), account(people, "b", HOME)
    assert not people.agrees(HOME, "daily")
    people.consent(mine, "daily", True, NOW)
    assert people.agrees(HOME, "daily") and not people.agrees(HOME, "load curve") and not people.agrees(OTHER, "daily")
    people.consent(mine, "load curve", True, NOW)
    people.consent(other, "load curve", True, NOW)
    assert people.asked.agreed(HOME) == {"daily", "load curve"}
    # Quarter-hours hold the days: once somebody says no to these, the yes to those counts no more.
    people.consent(other, "daily", False, NOW, until=NOW + HOUR)
    assert people.asked.agreed(HOME) == frozenset()
    assert people.asked.agreements()["load curve"] == frozenset()
    assert not people.agrees(HOME, "daily")
    assert people.asked.withdrawals() == {(HOME, "daily"): NOW + HOUR}
    helper = people.account_of(people.invite("c", "caregiver", OTHER, NOW), NOW)
    assert helper is not None
    people.consent(helper, "daily", True, NOW)
    assert not people.agrees(OTHER, "daily")  # who helps cannot agree for who lives there


def test_a_reservation_is_one_persons_until_given_up(people: People) -> None:
    mine, other, who = account(people, "a", HOME), account(people, "b", OTHER), ("a", "resident")
    wanted = Reservation(0, "parking/point-33", mine.id, 50, 10.0, NOW + HOUR, NOW + 3 * HOUR)
    asked = people.asked
    assert asked.reserve(wanted, 1, 2, who, HOME, NOW)
    (kept,) = asked.reservations(NOW)
    assert replace(kept, number=0) == wanted and people.audit(1)[0].what == "reserved"
    theirs = replace(wanted, account_id=other.id)
    assert not asked.reserve(theirs, 1, 2, who, OTHER, NOW)
    assert asked.reserve(replace(theirs, begins=NOW + 3 * HOUR, ends=NOW + 4 * HOUR), 1, 2, who, OTHER, NOW)
    assert asked.reserve(replace(theirs, begins=NOW + HOUR / 2, ends=NOW + HOUR), 1, 2, who, OTHER, NOW)
    late = replace(theirs, begins=NOW + 9 * HOUR, ends=NOW + 10 * HOUR)
    assert not asked.reserve(late, 1, 2, who, OTHER, NOW)  # two are the most
    assert not asked.give_up(kept.number, other.id, who, OTHER, NOW)
    assert asked.give_up(kept.number, mine.id, who, HOME, NOW)
    assert [r.account_id for r in asked.reservations(NOW)] == [other.id, other.id]
    assert asked.reservations(NOW + 5 * HOUR) == []
    people.remove(other)
    assert asked.reservations(NOW) == []


@pytest.mark.parametrize(("places", "free"), [(2, False), (3, True)])
def test_a_room_of_bicycles_has_so_many_places_at_once(people: People, places: int, free: bool) -> None:
    mine, who = account(people, "a", HOME), ("a", "resident")
    stays = [(0, 2), (1, 3), (3, 4)]  # at most two at once while the fourth stands there, from 1.5 to 3.5
    for begins, ends in stays:
        wanted = Reservation(0, "horizon/bikes", mine.id, 0, 0.35, NOW + begins * HOUR, NOW + ends * HOUR)
        assert people.asked.reserve(wanted, 9, 9, who, HOME, NOW)
    wanted = replace(wanted, begins=NOW + 1.5 * HOUR, ends=NOW + 3.5 * HOUR)
    assert people.asked.reserve(wanted, places, 9, who, HOME, NOW) == free


def test_an_older_audit_is_chained_when_the_tables_are_renewed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    config = Config()
    steps = Path(__file__).parents[2] / "ems" / "store" / "people_migrations"
    config.set_main_option("script_location", str(steps))
    from alembic import command

    with create_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO audit (at_us, name, role, what, home) VALUES (1, 'm', 'manager', 'comfort of a home', :h)"
            ),
            {"w": "comfort of a home", "h": HOME},
        )
    with People.open(url) as people:
        assert [(t.name, t.home) for t in people.looked_at(HOME, 5)] == [("m", HOME)]
        people.note(account(people, "chief"), "handed back", None, NOW)
        assert people.trail.broken() is None


def test_closing_days_are_added_taken_back_and_forgotten(people: People) -> None:
    def closing(first: date, days: int) -> Closing:
        return Closing(0, "school/rooms", first, first + timedelta(days=days), "holidays", "chief")

    monday = date(2026, 10, 26)
    assert people.asked.close_room(closing(monday, 4), WHO, NOW)
    (kept,) = people.asked.closings()
    assert kept.days == [monday + timedelta(days=i) for i in range(5)] and kept.by == "chief"
    assert people.trail.last(1)[0].detail == "school/rooms 2026-10-26 2026-10-30"
    assert people.asked.open_room(kept.number, WHO, NOW) and not people.asked.open_room(kept.number, WHO, NOW)
    assert people.asked.closings() == [] and people.trail.last(1)[0].what == "closing days removed"
    old = (NOW - CLOSINGS_KEPT).date() - timedelta(days=3)
    people.asked.close_room(closing(old, 1), WHO, NOW - CLOSINGS_KEPT)
    for _ in range(MOST_CLOSINGS):
        assert people.asked.close_room(closing(monday, 0), WHO, NOW)
    assert {c.first for c in people.asked.closings()} == {monday}  # the old ones are gone
    assert not people.asked.close_room(closing(monday, 0), WHO, NOW)
