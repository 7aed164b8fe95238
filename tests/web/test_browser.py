"""The pages in a real browser: no barrier that axe knows, no sideways scroll, readable, whole without a script."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from ems.web.words import Words
from tests.web.conftest import FilledSite
from tests.web.screenshots import PAGES, signed_in
from tests.web.weeks import HOME

SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll('body *')]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length
               && !e.closest('svg'))
  .map(e => parseFloat(getComputedStyle(e).fontSize)))"""
SMALL_TARGETS = """() => [...document.querySelectorAll(
    'a, summary, button, select, textarea, label.choice, input:not([type=hidden])')]
  .filter(e => !e.closest('label.choice') || e.matches('label.choice'))
  .filter(e => e.getClientRects().length && e.getBoundingClientRect().height < 44).map(e => e.textContent.trim())"""
# Words beside charts must not lie upon each other.
OVERLAPS = """() => [...document.querySelectorAll('.marks, .ticks')].flatMap(row => {
  const boxes = [...row.children].filter(e => e.textContent.trim() && getComputedStyle(e).color !== 'rgba(0, 0, 0, 0)')
    .map(e => { const r = document.createRange(); r.selectNodeContents(e); return [r.getBoundingClientRect(), e]; })
    .filter(([b]) => b.width);
  return boxes.slice(1).filter(([b], i) => {
    const a = boxes[i][0];
    return b.left < a.right - 1 && b.top < a.bottom - 1 && a.top < b.bottom - 1;
  }).map(([, e]) => e.textContent); })"""
AXE = {"resultTypes": ["violations"]}
TALLEST = 4 * 844  # a page is at most four screens of a phone


class Watch:
    """One window that goes from page to page and hears every complaint."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        page.set_default_timeout(20_000)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith(self.address):
            self.complaints.append(f"asked {url}")

    def go(self, path: str) -> Page:
        self.page.goto(self.address + path)
        # A page that is not there is meant to be in the list of pages.
        self.complaints = [c for c in self.complaints if "404" not in c and "503" not in c]
        assert self.complaints == [], path
        return self.page


@contextmanager
def window(browser: Browser, filled: FilledSite, address: str, who: str, width: int, scheme: str) -> Iterator[Watch]:
    with signed_in(browser, address, who, filled.codes.get(who, ""), width, scheme) as context:
        yield Watch(context.new_page(), address)


EVERY = bool(os.environ.get("EVERY_PAGE"))
# (width, theme, language, every so many pages). Each page once at 320 px in French, then each pair of width, theme and
# language on some pages; `make pages` asks every page for everything.
PAIRS = [(320, "light", "fr", 1), (390, "dark", "en", 3), (1280, "light", "en", 4), (1280, "dark", "fr", 4),
         (390, "light", "fr", 6), (320, "dark", "en", 6)]  # fmt: skip
ALL = [(w, s, lang, 1) for w in (320, 390, 1280) for s in ("light", "dark") for lang in ("fr", "en")]


@pytest.mark.parametrize(("width", "scheme", "language", "every"), ALL if EVERY else PAIRS)
@pytest.mark.parametrize("who", list(PAGES))
def test_everybody_can_read_it(
    browser: Browser, filled: FilledSite, address: str, who: str, width: int, scheme: str, language: str, every: int
) -> None:
    with window(browser, filled, address, who, width, scheme) as watch:
        for name, path in PAGES[who][(width // 100) % every :: every]:
            inspect(watch.go(f"{path}{'&' if '?' in path else '?'}lang={language}"), name, width)


@pytest.mark.parametrize("who", list(PAGES))
def test_everybody_can_read_it_when_nothing_is_there(
    browser: Browser, bare: FilledSite, bare_address: str, who: str
) -> None:
    with window(browser, bare, bare_address, who, 320, "light") as watch:
        for name, path in PAGES[who][:: 1 if EVERY else 2]:
            inspect(watch.go(f"{path}{'&' if '?' in path else '?'}lang=fr"), name, 320)


@pytest.mark.parametrize("who", list(PAGES))
def test_longer_words_fit_as_well(
    browser: Browser, filled: FilledSite, address: str, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A language whose words are four tenths longer overflows nowhere at 320 px."""
    written = Words.text

    def longer(self: Words, english: str, **values: object) -> str:
        text = written(self, english, **values)
        return text + " " + "ñandú " * max(1, round(0.4 * len(text) / 6)) if text else text

    monkeypatch.setattr(Words, "text", longer)
    with window(browser, filled, address, who, 320, "light") as watch:
        for name, path in PAGES[who][:: 1 if EVERY else 2]:
            page = watch.go(f"{path}{'&' if '?' in path else '?'}lang=fr&longer=1")
            assert "ñandú" in page.inner_text("main"), name
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, name


def inspect(page: Page, name: str, width: int) -> None:
    """What every page must be: readable, within reach, no wider than its window, and without a barrier."""
    assert page.evaluate(SMALLEST_TEXT) >= 16, name
    assert page.evaluate(SMALL_TARGETS) == [], name
    assert page.evaluate(OVERLAPS) == [], name
    if width == 390 and page.locator("html.large").count() == 0:  # large print takes its room
        assert page.evaluate("document.documentElement.scrollHeight") <= TALLEST, name
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    barriers = Axe().run(page, options=AXE).response["violations"]
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in barriers] == [], name


def test_it_is_whole_with_scripts_off(browser: Browser, filled: FilledSite, address: str) -> None:
    """Signing in, looking about and signing out, without a script."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{address}/?lang=en")
    assert page.locator("svg[role=img]").count() == 2
    page.get_by_text("Figures, hour by hour").first.click()
    assert page.locator("#hours tbody tr").count() == 48
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Your code").fill("wrong")
    page.get_by_role("button", name="Sign in").first.click()
    assert "opens nothing" in page.get_by_role("alert").inner_text()
    page.get_by_label("Your code").fill(filled.codes[HOME].lower())
    page.get_by_role("button", name="Sign in").first.click()
    assert page.get_by_role("heading", level=1).inner_text() == "Saturday 24 October 2026"
    page.get_by_role("link", name="Fri 23 Oct").click()
    assert "9.83\u00a0kWh" in page.locator(".lead").inner_text()
    page.get_by_role("link", name="Month", exact=True).click()
    page.get_by_role("link", name="The year 2026").click()
    page.get_by_text("Figures").click()
    page.get_by_role("link", name="September").last.click()
    assert page.get_by_role("heading", level=1).inner_text() == "September 2026"
    page.get_by_role("link", name="My data").click()
    page.get_by_role("link", name="My access").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.goto(f"{address}/my-home")
    assert re.search("/sign-in$", page.url)
    context.close()


def test_the_script_brings_new_values_and_leaves_folds_open(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.clock.install()
    page.goto(address + "/?lang=en")
    page.locator("#costs > summary").click()
    page.evaluate("document.querySelector('h1').textContent = 'old'")
    page.clock.run_for(31_000)
    page.get_by_role("heading", name="District now").wait_for()
    assert page.locator("#costs").get_attribute("open") is not None
    assert page.locator("#reasons").get_attribute("open") is None
    context.close()
