"""Every page at 390 and 1280 px, in both themes and both languages, into var/screenshots, for people to look at.

python -m tests.web.screenshots            all
python -m tests.web.screenshots comfort    those whose name holds a word
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from ems.district import read_district
from ems.store import People, Store
from ems.web import create_app
from ems.web.invitation import agree, invite
from tests.web.minute import NOW
from tests.web.serving import FLAGS, PARIS, chromium, served
from tests.web.weeks import HOME, ask, fill

FOLDER = Path(__file__).parents[2] / "var" / "screenshots"

# Who sees which page; the rest of the tests goes through the same list.
PAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "": (("overview", "/"), ("sign-in", "/sign-in"), ("privacy", "/privacy"), ("nowhere", "/nowhere")),
    "manager": (
        ("abnormal", "/manager/abnormal"),
        ("more", "/manager/more"),
        ("alarms", "/manager/alarms"),
        ("messages", "/manager/messages"),
        ("message", "/manager/messages/1"),
        ("holds", "/manager/holds"),
        ("hand-back", "/manager/hand-back"),
        ("devices", "/manager/devices?building=horizon"),
        ("people", "/manager/people"),
        ("audit", "/manager/audit"),
        ("system", "/manager/system"),
        ("password", "/access/password"),
        ("keys", "/access/keys"),
        ("live", "/manager"),
        ("building", "/buildings/jardins"),
        ("plan", "/manager/plan"),
        ("comfort", "/manager/comfort"),
        ("flat", f"/manager/comfort/{HOME}"),
        ("hot-water", "/manager/hot-water"),
        ("sanitary", "/manager/sanitary"),
        ("plants", "/manager/plants"),
        ("forecasts", "/manager/forecasts"),
        ("peaks", "/manager/peaks"),
        ("leaks", "/manager/leaks"),
        ("calendar", "/manager/calendar"),
        ("what-ifs", "/manager/scenarios"),
        ("what-if", "/manager/scenarios/1"),
        ("what-if-waiting", "/manager/scenarios/3"),
        ("hold", "/manager/holds/3"),
        ("meters", "/manager/meters"),
        ("reports", "/manager/reports"),
        ("report", "/manager/reports/calanques/2026-10"),
        ("settings", "/manager/settings"),
        ("decision", "/manager/decisions"),
        ("manager-access", "/access"),
    ),
    HOME: (
        ("today", "/my-home"),
        ("yesterday", "/my-home/day/2026-10-23"),
        ("nothing", "/my-home/day/2026-01-05"),
        ("month", "/my-home/month"),
        ("year", "/my-home/year"),
        ("statement", "/my-home/statement/2026-09"),
        ("home-comfort", "/my-home/comfort"),
        ("car", "/my-home/car"),
        ("shared", "/my-home/shared"),
        ("help", "/my-home/help"),
        ("my-data", "/my-data"),
        ("erase", "/my-data/erase"),
        ("access", "/access"),
        ("large", "/my-home?large=yes"),  # the last one: the window keeps its large print
    ),
}


@contextmanager
def signed_in(browser: Browser, address: str, who: str, code: str, width: int, scheme: str) -> Iterator[BrowserContext]:
    """A browser window of its own, signed in unless `who` is nobody."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    if who:
        page = context.new_page()
        page.goto(f"{address}/sign-in")
        page.locator("#code").fill(code)
        with page.expect_navigation():
            page.locator("main button").first.click()
        # Left open: a page that is closed while another one loads may hang the browser for good.
        page.goto("about:blank")
    yield context
    context.close()


def main(words: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    district = read_district(Path(__file__).parents[2] / "buildings")
    with tempfile.TemporaryDirectory() as folder, People.open(f"sqlite:///{folder}/people.db") as people:
        url = f"sqlite:///{folder}/site.db"
        with Store.open(url) as store:
            fill(store, district, PARIS)
        codes = invite(people, district, NOW)
        ask(people, Path(folder))
        agree(people, NOW)
        app = create_app(url, lambda: NOW, district, people, folder=Path(folder))
        with served(app) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
            for who, pages in PAGES.items():
                for width in (390, 1280):
                    for scheme in ("light", "dark"):
                        with signed_in(browser, address, who, codes.get(who, ""), width, scheme) as context:
                            page = context.new_page()
                            for name, path in pages:
                                for language in ("fr", "en"):
                                    file = f"{name}-{width}-{scheme}-{language}.png"
                                    if words and not any(word in file for word in words):
                                        continue
                                    page.goto(f"{address}{path}{'&' if '?' in path else '?'}lang={language}")
                                    page.screenshot(path=FOLDER / file, full_page=True)
            browser.close()
    sys.stdout.write(f"{len(list(FOLDER.glob('*.png')))} in {FOLDER}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
