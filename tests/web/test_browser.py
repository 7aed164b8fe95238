"""The pages in a real browser: no sideways scroll, words of a readable size, no complaint from the policy."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from ems.district import District
from ems.store import Store
from ems.web import create_app
from tests.web.minute import NOW, decision, samples

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        why = "chromium is not on this machine; install it with: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, district: District) -> Iterator[str]:
    """The pages on a free port of loopback."""
    url = f"sqlite:///{tmp_path_factory.mktemp('web')}/site.db"
    with Store.open(url) as store:
        store.save_latest(samples(district))
        record = decision(district)
        store.save_decision(record["slot"], record)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(create_app(url, lambda: NOW, district), host="127.0.0.1", port=port, log_level="error")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)


SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll('body *')]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length
               && !e.closest('svg'))
  .map(e => parseFloat(getComputedStyle(e).fontSize)))"""
SMALL_TARGETS = """() => [...document.querySelectorAll('a, summary')].filter(e => e.getClientRects().length)
  .filter(e => e.getBoundingClientRect().height < 44).map(e => e.textContent.trim())"""


def opened(browser: Browser, address: str, width: int, scheme: str, path: str, *, scripts: bool = True) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme=scheme,  # type: ignore[arg-type]
        java_script_enabled=scripts,
        service_workers="block",
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address + path)
    assert complaints == []
    assert [r for r in requests if not r.startswith(address)] == []
    return page


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (390, "dark"), (1280, "light")])
@pytest.mark.parametrize("path", ["/?lang=fr", "/?lang=en", "/buildings/jardins?lang=fr"])
def test_it_fits(browser: Browser, address: str, width: int, scheme: str, path: str) -> None:
    page = opened(browser, address, width, scheme, path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SMALLEST_TEXT) >= 16
    assert page.evaluate(SMALL_TARGETS) == []
    if width >= 390:
        assert page.evaluate("document.documentElement.scrollHeight") <= 4 * 844
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


def test_it_is_whole_with_scripts_off(browser: Browser, address: str) -> None:
    page = opened(browser, address, 390, "light", "/?lang=en", scripts=False)
    assert page.locator("svg[role=img]").count() == 2
    page.get_by_text("Figures, hour by hour").first.click()
    assert page.locator("#hours tbody tr").count() == 48
    page.context.close()


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
