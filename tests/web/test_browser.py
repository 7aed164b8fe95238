"""The pages in a real browser: no barrier that axe knows, no sideways scroll, readable, whole without a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.web.conftest import FilledSite
from tests.web.screenshots import PAGES, signed_in
from tests.web.weeks import HOME

SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll('body *')]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length
               && !e.closest('svg'))
  .map(e => parseFloat(getComputedStyle(e).fontSize)))"""
SMALL_TARGETS = """() => [...document.querySelectorAll('a, summary, button, input:not([type=hidden])')]
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
        self.complaints = [c for c in self.complaints if "404" not in c]
        assert self.complaints == [], path
        return self.page


@contextmanager
def window(browser: Browser, filled: FilledSite, address: str, who: str, width: int, scheme: str) -> Iterator[Watch]:
    with signed_in(browser, address, who, filled.codes.get(who, ""), width, scheme) as context:
        yield Watch(context.new_page(), address)


@pytest.mark.parametrize(
    ("width", "scheme", "language"), [(320, "light", "fr"), (390, "dark", "en"), (1280, "light", "fr")]
)
@pytest.mark.parametrize("who", list(PAGES))
def test_everybody_can_read_it(
    browser: Browser, filled: FilledSite, address: str, who: str, width: int, scheme: str, language: str
) -> None:
    with window(browser, filled, address, who, width, scheme) as watch:
        wide = width > 1000  # nothing new is expected there: every other page
        for name, path in PAGES[who][:: 2 if wide else 1]:
            page = watch.go(f"{path}?lang={language}")
            assert page.evaluate(SMALLEST_TEXT) >= 16, name
            assert page.evaluate(SMALL_TARGETS) == [], name
            assert page.evaluate(OVERLAPS) == [], name
            if width == 390:
                assert page.evaluate("document.documentElement.scrollHeight") <= TALLEST, name
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            if not wide:  # so each page is asked once in each theme
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
    page.get_by_role("button", name="Sign in").click()
    assert "opens nothing" in page.get_by_role("alert").inner_text()
    page.get_by_label("Your code").fill(filled.codes[HOME].lower())
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Saturday 24 October 2026"
    page.get_by_role("link", name="Fri 23 Oct").click()
    assert "9.83\u00a0kWh" in page.locator(".lead").inner_text()
    page.get_by_role("link", name="Year").click()
    page.get_by_text("Figures").click()
    page.get_by_role("link", name="September").last.click()
    assert page.get_by_role("heading", level=1).inner_text() == "September 2026"
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


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_colours_stand_out_from_their_paper() -> None:
    """WCAG 1.4.3 and 1.4.11: 4.5 to 1 for words, 3 to 1 for what is drawn; in both themes."""
    style = (Path(__file__).parents[2] / "ems" / "web" / "static" / "style.css").read_text()
    themes = []
    for block in style.split(":root{")[1:3]:
        pairs = [part.split(":") for part in block.split("}")[0].split(";") if part.strip().startswith("--")]
        themes.append({name.strip()[2:]: value.strip() for name, value in pairs})
    for theme in themes:
        theme = {k: "#" + "".join(2 * c for c in v[1:]) if len(v) == 4 else v for k, v in theme.items()}

        def contrast(ink: str, paper: str, theme: dict[str, str] = theme) -> float:
            high, low = sorted((luminance(theme[ink]), luminance(theme[paper])), reverse=True)
            return (high + 0.05) / (low + 0.05)

        for paper in ("paper", "card"):
            for ink in ("ink", "quiet", "link", "good", "bad", "warn"):
                assert contrast(ink, paper) >= 4.5, (ink, paper)
        for ink in ("grid", "sun", "battery", "heat", "cars", "buildings", "homes"):
            assert contrast(ink, "paper") >= 3, ink
