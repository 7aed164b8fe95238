"""Every task of residents, and what managers do about alarms and holds, from end to end without a script."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from ems.district import District
from ems.store import People, Store
from ems.store.checks import Checked, Checks, Seen, Tried
from ems.store.requests import DISTRICT, Handover, Requests
from ems.web import create_app
from ems.web.invitation import agree
from tests.web.minute import NOW
from tests.web.serving import PARIS, served
from tests.web.weeks import DAYS, HOME, fill

OFFSET = 0.5


class Site:
    """A site of its own for each task, and a window without scripts."""

    def __init__(self, folder: Path, people: People, page: Page, address: str) -> None:
        self.folder = folder
        self.people = people
        self.page = page
        self.address = address

    def sign_in(self, name: str, role: str, home: str | None = None) -> Page:
        code = self.people.invite(name, role, home, NOW)  # type: ignore[arg-type]
        self.page.goto(f"{self.address}/sign-in?lang=en")
        self.page.get_by_label("Your code").fill(code)
        self.press("Sign in")
        return self.page

    def press(self, name: str) -> None:
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=name, exact=True).first.click()

    def resident(self, path: str, *, agreeing: bool = True) -> Page:
        self.sign_in(HOME, "resident", HOME)
        if agreeing:
            agree(self.people, NOW)
        self.page.goto(f"{self.address}{path}?lang=en")
        return self.page

    def manager(self, path: str) -> Page:
        self.sign_in("chief", "manager")
        self.page.goto(f"{self.address}{path}?lang=en")
        return self.page


@pytest.fixture(scope="module")
def filled_folder(tmp_path_factory: pytest.TempPathFactory, district: District) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    with Store.open(f"sqlite:///{folder}/site.db") as store:
        fill(store, district, PARIS)
    return folder


@pytest.fixture
def site(browser: Browser, filled_folder: Path, tmp_path: Path, district: District) -> Iterator[Site]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    with People.open(f"sqlite:///{tmp_path}/people.db") as people:
        url = f"sqlite:///{filled_folder}/site.db"
        with served(create_app(url, lambda: NOW, district, people, folder=tmp_path)) as address:
            page = context.new_page()
            page.set_default_timeout(20_000)
            yield Site(tmp_path, people, page, address)
            context.close()


def test_a_resident_wishes_and_heats_at_once(site: Site) -> None:
    page = site.resident("/my-home/comfort")
    page.get_by_label("A little warmer").check()
    page.get_by_label("No", exact=True).check()
    site.press("Save my wish")
    wish = site.people.asked.comfort_wishes()[HOME]
    assert (wish.offset_k, wish.shift) == (OFFSET, False)
    assert page.get_by_label("A little warmer").is_checked()
    site.press("Heat now, for two hours")
    assert site.people.asked.heating_now(NOW) == {HOME: NOW + timedelta(hours=2)}
    assert "until 18:20" in page.inner_text("main")
    site.press("Stop heating at once")
    assert site.people.asked.heating_now(NOW) == {}


def test_a_driver_says_when_the_car_leaves_or_charges_at_once(site: Site) -> None:
    page = site.resident("/my-home/car")
    page.get_by_label("Number on the charge point").select_option("parking/point-04")
    page.get_by_label("Kilometres to add").fill("90")
    page.get_by_label("at", exact=True).fill("06:40")
    site.press("Be ready then")
    said = site.people.asked.departures(NOW)["parking/point-04"]
    assert (said.km, said.needed_kwh, said.at_once) == (90, pytest.approx(18.0), False)
    assert f"{said.departs:%d %H:%M}" == "25 05:40"  # 6:40 the next morning, when winter time has begun
    assert "+90 km" in page.inner_text("main")
    site.press("Charge now, at once")
    assert site.people.asked.departures(NOW)["parking/point-04"].at_once
    site.press("My car has left")
    assert site.people.asked.departures(NOW) == {}
    page.get_by_label("I leave").select_option("today")
    page.get_by_label("at", exact=True).fill("06:40")
    site.press("Be ready then")
    assert "still to come" in page.get_by_role("alert").inner_text()


def test_a_shared_car_and_a_place_for_a_bicycle_are_reserved_and_given_back(site: Site) -> None:
    page = site.resident("/my-home/car")
    page.get_by_role("link", name="Shared cars and bicycles").click()
    car = page.locator("form", has=page.get_by_role("heading", name="A shared car"))
    car.get_by_label("Which day").select_option("2026-10-25")
    car.get_by_label("Kilometres you drive").fill("60")
    site.press("Reserve a car")
    (kept,) = site.people.asked.reservations(NOW)
    assert (kept.asset, kept.km, kept.needed_kwh) == ("parking/point-33", 60, pytest.approx(12.0))
    assert f"{kept.begins:%d %H:%M} {kept.ends:%d %H:%M}" == "25 08:00 25 11:00"  # winter time begins that night
    assert "Car at charge point 33" in page.inner_text("main")
    page.locator("#car-day").select_option("2026-10-25")
    page.locator("#car-from").fill("13:00")
    page.locator("#car-until").fill("15:00")
    site.press("Reserve a car")  # the first cannot be charged again within an hour: another one
    assert [r.asset for r in site.people.asked.reservations(NOW)] == ["parking/point-33", "parking/point-34"]
    site.press("Reserve a place")  # today at nine has been
    assert "still to come" in page.get_by_role("alert").inner_text()
    page.locator("#bicycle-from").fill("19:00")
    page.locator("#bicycle-until").fill("07:00")
    site.press("Reserve a place")
    assert site.people.asked.reservations(NOW)[0].asset == "horizon/bikes"
    page.locator("#bicycle-day").select_option("2026-10-26")
    site.press("Reserve a place")
    assert "3 reservations" in page.get_by_role("alert").inner_text()
    for _ in range(3):
        site.press("Give it back")
    assert site.people.asked.reservations(NOW) == []


def test_one_press_sends_a_message_and_the_answer_comes_with_a_time(site: Site) -> None:
    page = site.resident("/my-home/help")
    site.press("I am cold")
    page.get_by_label("Something else, in your words").fill("A bench, please <b>")
    site.press("Send as an idea for the district")
    assert "A bench, please <b>" in page.inner_text("main")
    ticket = site.people.tickets.waiting()[0]
    assert len(ticket.measured["values"][f"{HOME}/temperature_c"]) == 96
    page.context.clear_cookies()
    site.manager("/manager/messages")
    page.get_by_role("link", name="Read and answer").first.click()
    assert "Temperature" in page.inner_text("main")
    page.get_by_label("Your answer").fill("Somebody looks at the valve.")
    page.get_by_label("Somebody comes").select_option("2")
    site.press("Send the answer")
    page.context.clear_cookies()
    site.resident("/my-home/help")
    text = page.inner_text("main")
    assert "Somebody looks at the valve." in text and "24 Oct 2026, 18:20" in text
    site.press("It is well again")
    assert len(site.people.tickets.waiting()) == 1
    page.goto(f"{site.address}/my-data?lang=en")
    assert "a manager: message read" in page.inner_text("main")


def test_consents_are_changed_one_by_one_and_do_what_they_say(site: Site) -> None:
    page = site.resident("/my-data", agreeing=False)
    assert page.get_by_text("Not answered: no.").count() == 2
    for path in ("/my-home/day/2026-10-23", "/my-home/month", "/my-home/year"):
        page.goto(f"{site.address}{path}?lang=en")
        assert "9.83" not in page.content() and "you have not agreed to it" in page.inner_text("main")
    page.goto(f"{site.address}/my-data?lang=en")
    site.press("Yes: Keep and show me how much electricity I used, day by day.")
    account = site.people.people(NOW)[0].account
    assert {p: given for p, (given, _) in site.people.consents(account).items()} == {"daily": True}
    page.goto(f"{site.address}/my-home/day/2026-10-23?lang=en")
    assert "9.83" in page.inner_text("main") and page.locator("svg[role=img]").count() == 1  # temperature alone
    page.goto(f"{site.address}/my-data?lang=en")
    site.press("Yes: Besides the days, keep and show me my electricity quarter-hour by quarter-hour.")
    page.goto(f"{site.address}/my-home/day/2026-10-23?lang=en")
    assert page.locator("svg[role=img]").count() == 2 and "€" in page.inner_text("main")
    page.goto(f"{site.address}/my-data?lang=en")
    site.press("No: Keep and show me how much electricity I used, day by day.")
    assert list(site.people.asked.withdrawals()) == [(HOME, "daily")]
    page.goto(f"{site.address}/my-home/month?lang=en")
    assert "9.83" not in page.content()


def test_without_agreement_an_export_holds_no_electricity_and_with_days_one_reading_a_day(site: Site) -> None:
    def meter() -> list[str]:
        with page.expect_download() as file:
            page.get_by_role("link", name="Table (CSV)").click()
        rows = csv.DictReader(io.StringIO(Path(file.value.path()).read_text()))
        return [row["start_utc"] for row in rows if row["point"] == f"{HOME}/energy_kwh"]

    page = site.resident("/my-data", agreeing=False)
    assert meter() == []
    site.press("Yes: Keep and show me how much electricity I used, day by day.")
    starts = meter()
    assert len(starts) == DAYS and all(at.endswith("T22:00:00Z") for at in starts)  # midnight in summer


def test_everything_is_exported_and_is_what_was_stored(site: Site) -> None:
    page = site.resident("/my-data")
    with page.expect_download() as csv_file:
        page.get_by_role("link", name="Table (CSV)").click()
    with page.expect_download() as json_file:
        page.get_by_role("link", name="Everything (JSON)").click()
    rows = list(csv.DictReader(io.StringIO(Path(csv_file.value.path()).read_text())))
    energy = [row for row in rows if row["point"] == f"{HOME}/energy_kwh"]
    assert len(energy) == DAYS * 96 - 4 and {row["unit"] for row in energy} == {"kWh"}  # four are missing
    content = json.loads(Path(json_file.value.path()).read_text())
    again = content["quarter_hours"][f"{HOME}/energy_kwh"]["values"]
    assert [[row["start_utc"], float(row["value"])] for row in energy] == again  # to the last bit
    assert len(content["sign_ins"]) == 1
    assert (content["car"], content["reservations"], content["passkeys"], content["helpers"]) == ([], [], [], [])
    assert all(row["point"].startswith(HOME) for row in rows)


def test_a_helper_is_let_in_and_out(site: Site) -> None:
    page = site.resident("/my-data")
    site.press("Give somebody a code")
    code = page.locator("b.big").inner_text()
    helper = site.people.account_of(code, NOW)
    assert helper is not None and (helper.role, helper.home) == ("caregiver", HOME)
    site.press("End their access")
    assert site.people.account_of(code, NOW) is None


def test_who_asks_to_be_erased_is(site: Site) -> None:
    page = site.resident("/my-data")
    page.get_by_role("link", name="Erase everything about me").click()
    page.get_by_label("Yes, erase everything").check()
    site.press("Erase")
    assert site.people.people(NOW) == [] and site.people.asked.erasures() == {HOME: NOW}
    page.goto(f"{site.address}/my-home")
    assert page.url.endswith("/sign-in")


def test_a_password_opens_the_door_afterwards(site: Site) -> None:
    page = site.resident("/access/password")
    page.get_by_label("New password").fill("correct horse battery")
    site.press("Save")
    site.press("Sign out")
    page.goto(f"{site.address}/sign-in?lang=en")
    page.get_by_text("With a name and a password").click()
    page.get_by_label("Name").fill(HOME)
    page.get_by_label("Password").fill("correct horse battery")
    with page.expect_navigation():
        page.locator("#by-name button").click()
    assert page.url.startswith(f"{site.address}/my-home")


def test_a_manager_sees_and_puts_aside_an_alarm(site: Site) -> None:
    page = site.manager("/manager/alarms")
    site.press("I have seen it")
    site.press("Put aside")
    asked = sorted(r.do for r in Requests(site.folder).waiting().values())  # type: ignore[union-attr]
    assert asked == ["seen", "shelve"]
    assert page.get_by_text("passed on").count() == 2


def test_a_manager_holds_a_point_knowing_its_cost_and_takes_it_back(site: Site) -> None:
    page = site.manager("/manager/holds")
    page.get_by_label("Which point").select_option("parking/battery/power_setpoint_kw")
    page.get_by_label("At which value").fill("900")
    page.get_by_label("Why").first.fill("inverter test")
    page.get_by_label("For how long").select_option("8")
    site.press("What would it cost?")
    assert page.get_by_label("For how long").input_value() == "8"  # what was typed stays
    page.get_by_label("For how long").select_option("1")
    assert "-300" in page.get_by_role("alert").inner_text().replace("−", "-")
    page.get_by_label("At which value").fill("12,5")
    site.press("What would it cost?")
    assert site.people.asked.holds(NOW) == {}  # nothing before it is confirmed
    assert "against the plan" in page.inner_text("main") or "cannot be told" in page.inner_text("main")
    site.press("Hold it")
    hold = site.people.asked.holds(NOW)["parking/battery/power_setpoint_kw"]
    assert (hold.value, hold.by, hold.reason) == (12.5, "chief", "inverter test")
    assert hold.until == NOW + timedelta(hours=1)
    site.press("Give back to the plan")
    assert site.people.asked.holds(NOW) == {}


def test_a_manager_gives_control_back_and_takes_it_again(site: Site) -> None:
    page = site.manager("/manager/hand-back")
    page.get_by_label("Why").fill("fire drill")
    site.press("Hand the whole district back")
    assert Handover(site.folder).given()[DISTRICT].reason == "fire drill"
    page.goto(f"{site.address}/manager/abnormal?lang=en")
    assert "The whole district runs on its own" in page.inner_text("main")
    page.goto(f"{site.address}/manager/hand-back?lang=en")
    site.press("Take control of the district again")
    assert Handover(site.folder).given() == {}


def test_a_manager_closes_a_room_for_some_days_and_opens_it_again(site: Site) -> None:
    page = site.manager("/manager/calendar")
    page.get_by_text("Add closing days").click()
    page.get_by_label("Which room").select_option("city-offices/rooms")
    page.get_by_label("First day").fill("2026-10-30")
    page.get_by_label("Last day").fill("2026-10-29")
    page.get_by_label("Why").fill("bridge <b>")
    site.press("Close on these days")
    assert "before the first" in page.get_by_role("alert").inner_text()
    page.get_by_label("Last day").fill("2026-11-02")
    site.press("Close on these days")
    (kept,) = site.people.asked.closings()
    assert (kept.asset, f"{kept.first}", f"{kept.last}") == ("city-offices/rooms", "2026-10-30", "2026-11-02")
    assert "bridge <b> · chief" in page.inner_text("main")
    site.press("Remove")
    assert site.people.asked.closings() == []


def test_a_manager_has_a_device_tested(site: Site) -> None:
    page = site.manager("/manager/devices")
    page.goto(f"{site.address}/manager/devices?building=jardins&lang=en")
    with page.expect_navigation():
        page.get_by_role("button", name=re.compile("^Test ")).first.click()  # each says which device
    (check,) = Checks(site.folder).waiting()
    assert (check.by, check.asset.partition("/")[0]) == ("chief", "jardins")
    assert page.url.endswith("building=jardins&lang=en") and "Test asked for" in page.inner_text("main")
    assert site.people.audit(1)[0].what == "device tested"
    point = f"{check.asset}/setpoint_c"
    tried = [Tried(point, 60.0, "written", 60.0), Tried(point, 55.0, "gate", why="is above 50")]
    Checks(site.folder).answer(check.number, Checked(NOW, [Seen(point, 60.0, "good")], tried))
    page.reload()
    text = page.inner_text("main")
    assert "by chief" in text and "good values: 1 of 1" in text and "Confirmed (60.0" in text
    assert "Refused by the gate" in text


def test_a_manager_locks_a_device_and_invites_people(site: Site) -> None:
    page = site.manager("/manager/holds")
    page.get_by_label("Which device").select_option("jardins/tank")
    page.locator("#why").fill("   ")
    site.press("Lock for maintenance")
    assert "reason" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Which device").input_value() == "jardins/tank"
    page.locator("#why").fill("descaling")
    site.press("Lock for maintenance")
    assert list(site.people.asked.maintenance()) == ["jardins/tank"]
    site.press("In service again")
    assert site.people.asked.maintenance() == {}
    page.goto(f"{site.address}/manager/people?lang=en")
    page.get_by_label("Name, or the home").fill("calanques/flat-0101")
    site.press("Make the letter")
    assert page.locator("svg.qr").count() == 1
    found = site.people.account_of(page.locator("b.big").inner_text(), NOW)
    assert found is not None and (found.role, found.home) == ("resident", "calanques/flat-0101")
    assert [t.what for t in site.people.audit(1)] == ["invited"] and site.people.trail.broken() is None
