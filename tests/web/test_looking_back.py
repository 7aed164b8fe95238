"""What managers look back at: plants, peaks, nights, the sanitary log, reports (made-up weeks: `weeks.fill_past`)."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ems.assets import Plant, Supply, Tank
from ems.assets.heat_pump import cop_heating
from ems.district import District
from ems.slots import Slots
from ems.store import Store
from ems.web.past import Amounts, Past, month_before, month_of, summed, total
from ems.web.peaks import peak
from ems.web.plants import expected_quotient, quotient
from tests.web.conftest import FilledSite
from tests.web.minute import NOW
from tests.web.serving import PARIS
from tests.web.test_pages import text_of
from tests.web.weeks import LEAKING, fill_past


def page(filled: FilledSite, path: str, who: str = "manager") -> str:
    answer = filled.client(who).get(path)
    assert answer.status_code == 200, path
    return text_of(answer.text.replace("&nbsp;", " "))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, district: District) -> Iterator[Store]:
    folder: Path = tmp_path_factory.mktemp("past")
    with Store.open(f"sqlite:///{folder}/site.db") as opened:
        fill_past(opened, district, PARIS)
        yield opened


def test_months_begin_and_end() -> None:
    assert month_of(date(2028, 2, 9)) == (date(2028, 2, 1), date(2028, 2, 29))
    assert month_before(date(2026, 1, 31)) == date(2025, 12, 1)


def test_missing_is_not_zero_in_sums() -> None:
    assert total([None, None]) is None and total([None, 2.0]) == 2
    whole = Amounts((1.0, None, 4.0), (False, False, False))
    torn = Amounts((2.0, None, None), (True, False, False))
    assert summed([whole, torn]) == Amounts((3.0, None, 4.0), (True, False, True))


def test_a_day_of_which_a_part_is_missing_says_so(tmp_path: Path) -> None:
    """Of the second day 24 of 96 quarter-hours are known: 4 kW make 24 kWh of it, not 96. Today is not over."""
    begin = datetime(2026, 10, 19, 22, tzinfo=UTC)  # midnight in Paris
    kw, kwh = np.full(96 * 2 + 8, 4.0), 100.0 + np.arange(96 * 2 + 8)
    kw[96 + 24 : 96 * 2] = kwh[96 + 24 : 96 * 2] = np.nan
    slots = Slots(begin, kw.size)
    with Store.open(f"sqlite:///{tmp_path}/site.db") as store:
        store.save_series([("a/b/power_kw", slots, kw), ("a/b/energy_kwh", slots, kwh)])
        past = Past(store, date(2026, 10, 20), date(2026, 10, 22), date(2026, 10, 22))
        assert past.energy("a/b/power_kw") == Amounts((96.0, 24.0, 8.0), (False, True, False))
        assert past.known("a/b/power_kw") == [1.0, 0.25, 8 / 96]
        # The counter knows what passed in the dark: only its course is missing.
        assert past.counted("a/b/energy_kwh") == Amounts((96.0, 96.0, 7.0), (False, True, False))
        highest = peak(past, "a/b/power_kw")
        assert highest is not None and (highest.kw, highest.gaps) == (4.0, 1)
        assert peak(past, "a/b/voltage_v") is None
        tomorrow = Past(store, date(2026, 10, 22), date(2026, 10, 22), date(2026, 10, 23))
        assert tomorrow.energy("a/b/power_kw") == Amounts((2.0 * 4,), (True,))
        assert tomorrow.counted("a/b/energy_kwh") == Amounts((7.0,), (True,))


def test_a_counter_tells_each_days_energy(store: Store, district: District) -> None:
    """5 kW all day are 120 kWh; at 19:30 on one day a quarter-hour of 90 kW adds 85 / 4 kWh."""
    name = next(iter(district.of(Supply)))
    past = Past(store, date(2026, 10, 15), date(2026, 10, 20), NOW.date())
    assert past.counted(f"{name}/energy_kwh").days == pytest.approx([120.0, 120.0, 120.0, 120.0, 141.25, 120.0])
    nothing = Past(store, date(2026, 1, 1), date(2026, 1, 2), NOW.date())
    assert nothing.counted(f"{name}/energy_kwh") == Amounts((None, None), (False, False))
    assert max(d.highest for d in past.days(f"{name}/power_kw") if d is not None) == 90


def test_a_quotient_needs_something_that_ran(district: District) -> None:
    assert quotient(60.0, 20.0) == 3
    assert quotient(0.0, 4.9) is None and quotient(None, 20.0) is None
    plant = next(iter(district.of(Plant).values()))
    heating = float(cop_heating(plant.heating_leaving_c, 16.0, plant.carnot_share))
    assert expected_quotient(plant, {"heating_power_kw": 40.0}, 16.0) == pytest.approx(heating)
    assert expected_quotient(plant, {"heating_power_kw": 0.0, "cold_power_kw": None}, 16.0) is None


def test_the_plant_that_makes_least_of_its_electricity_is_told(filled: FilledSite) -> None:
    """60 kW of heat from 20 kW are 3.0, from 40 kW 1.5."""
    text = page(filled, "/manager/plants?lang=en")
    assert "Yesterday 3.0 kWh made per kWh taken, expected 4.1." in text
    assert "Yesterday 1.5 kWh made per kWh taken, expected 4.1. Look at the exchanger" in text


def test_peaks_stand_against_what_is_subscribed(filled: FilledSite, district: District) -> None:
    text = page(filled, "/manager/peaks?lang=en")
    supplies = sorted(district.of(Supply).values(), key=lambda s: s.subscribed_kw)
    least = supplies[0]  # 90 kW of 40
    assert f"PRM {least.prm}" in text and "90.0 kW · 225 % October 2026, Mon 19 Oct" in text
    assert text.index(least.prm) < text.index(supplies[3].prm)


def test_water_that_runs_at_night_names_its_home_and_is_noted(filled: FilledSite) -> None:
    """12 l an hour are 36 l in three hours; a meter of 10 l shows 30 or 40 of them."""
    text = page(filled, "/manager/leaks?lang=en")
    assert "Homes in which water never stops Les Calanques, flat 0305 before: 0.0 l/h" in text
    assert text.split("before: 0.0 l/h ")[1].split(" l/h")[0] in ("10.0", "13.3")
    assert text.count("flat") == 1
    looks = [t for t in filled.people.audit(20) if t.what == "water at night of a home"]
    assert {t.home for t in looks} == {LEAKING}


def test_nights_are_compared_with_the_nights_before(filled: FilledSite) -> None:
    """5 kW before and 6 now: by a fifth more, which is not told as a rise; a quarter would be."""
    text = page(filled, "/manager/leaks?lang=en")
    electricity = text.split("Electricity of common parts and tenants")[1]
    assert "Les Calanques 6.0 kW 5.0 kW" in electricity
    assert "rises" not in electricity


def test_the_sanitary_log_names_the_days_that_were_not_kept(filled: FilledSite, district: District) -> None:
    text = page(filled, "/manager/sanitary?lang=en")
    third = list(district.of(Tank))[2].partition("/")[0]
    first = text.split("stand in the reports. Reports ")[1]
    assert first.startswith(district.buildings[third].label.en)
    assert "days not kept: 18" in first
    assert "Thu 22 Oct 58.0 49.0 47.0 60 min" in first
    assert "pasteurised for 60 min" in text


def test_a_report_is_read_and_taken_away_as_the_same_figures(filled: FilledSite, district: District) -> None:
    text = page(filled, "/manager/reports/calanques/2026-10?lang=en")
    assert "The most: 141 kWh, Monday 19 October 2026." in text
    assert "Landlord bought" in text or "common parts bought" in text.lower()
    client = filled.client("manager")
    answer = client.get("/manager/reports/calanques/2026-10/table.csv?lang=en")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    bought = next(row for row in rows if len(row) > 1 and row[1] == "bought")
    assert rows[0][:6] == ["Of what", "What", "Unit", "Total", "Days with gaps", "2026-10-01"]
    known = [float(cell) for cell in bought[5:] if cell]
    assert sum(known) == pytest.approx(float(bought[3])) and 141.25 in known
    peak = next(row for row in rows if len(row) == 6 and row[1] == "30000000003290")
    assert peak[2:4] == ["90.0", "2026-10-19"]
    book = client.get("/manager/reports/calanques/2026-10/book.xlsx?lang=en")
    with zipfile.ZipFile(io.BytesIO(book.content)) as opened:
        assert "xl/worksheets/sheet1.xml" in opened.namelist()
        assert b"141.25" in opened.read("xl/worksheets/sheet1.xml")


def test_a_month_that_is_none_is_no_page(filled: FilledSite) -> None:
    client = filled.client("manager")
    for path in ("calanques/2026-13", "calanques/2026-11", "calanques/1999-12", "nowhere/2026-10", "calanques/x"):
        assert client.get(f"/manager/reports/{path}").status_code == 404, path


def test_an_auditor_reads_reports_in_which_nobody_is_named(filled: FilledSite) -> None:
    text = page(filled, "/manager/reports/calanques/2026-10?lang=en", "auditor")
    assert "dwellings together" in text.lower() and "flat-" not in text and "flat 0" not in text


def test_the_calendar_knows_holidays_schools_and_clocks(filled: FilledSite) -> None:
    text = page(filled, "/manager/calendar?lang=fr")
    for told in ("Armistice", "Vacances de Noël", "un jour de 25 heures", "lun. 29 mars"):
        assert told in text, told
    shut = text.split("Les jours fériés, restent fermés : ")[1].split("Jours de fermeture")[0]
    assert "Crèche" in shut and "Hôtel" not in shut
    assert text.index("un jour de 25 heures") < text.index("Armistice") < text.index("Vacances de Noël")


def test_meters_and_settings_say_where_they_come_from(filled: FilledSite) -> None:
    meters = page(filled, "/manager/meters?lang=en")
    assert "PRM 30000000003290" in meters and "hot water 65/65" in meters
    settings = page(filled, "/manager/settings?lang=en")
    assert "buildings/district.yaml" in settings and "Homes 18.0 19.0 21.0" in settings
    assert "landlord-c4.yaml" in settings


@pytest.mark.parametrize("name", ["plants", "peaks", "leaks", "sanitary", "calendar", "meters", "reports", "settings"])
def test_without_a_database_each_page_says_so(bare: FilledSite, name: str) -> None:
    assert bare.client("manager").get(f"/manager/{name}").status_code == 200


def test_days_are_those_of_the_site(store: Store) -> None:
    first = Past(store, NOW.date() - timedelta(days=1), NOW.date(), NOW.date())
    assert len(first.dates) == 2
