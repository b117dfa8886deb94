"""The documentation's site in Chromium, opened from a folder: nobody serves it."""

import subprocess
from pathlib import Path

import pytest

from service.environment import ROOT
from tests import site
from tests.browser.browser import PHONE, Browser

DESK = (1300, 900)  # wide enough for the navigation to be beside the page
# What reaches beyond the screen, unless it scrolls by itself, as tables and code do.
WIDE = """
const scrolls = e => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
const inside = e => e.matches("article") ? false : scrolls(e) || inside(e.parentElement);
return [...document.querySelectorAll("article *")]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !inside(e))
  .map(e => e.outerHTML.slice(0, 99));
"""
BRIGHTNESS = """
const colour = getComputedStyle(document.querySelector(arguments[0]))[arguments[1]];
const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(site.build(ROOT, folder), cwd=ROOT, check=True)
    return folder


def opened(browser: Browser, page: Path) -> Browser:
    browser.open(page.as_uri())
    browser.wait_for("Read on" if page.name == "index.html" else "")
    return browser


def test_the_front_page_leads_everywhere_and_asks_nobody(browser: Browser, built: Path) -> None:
    page = opened(browser, built / "index.html")
    page.look(DESK)
    for words in ("Start", "Try it", "Before it goes live", "When something is wrong", "Docker"):
        assert words in page.text(), words
    page.click("link", "One request, and its job")
    page.wait_for("Somebody signs up.")
    assert page.complaints() == []
    assert page.hosts() == set()


def test_the_search_finds_a_word_without_a_server(browser: Browser, built: Path) -> None:
    page = opened(browser, built / "index.html")
    page.run("document.querySelector('.sidebar-search').value = 'breaker'")
    page.run("document.querySelector('.sidebar-search').form.submit()")
    page.wait_for("Search Results")
    page.wait_for("Decisions", "#search-results")
    assert page.hosts() == set()


def test_who_wishes_it_dark_has_it_dark(browser: Browser, built: Path) -> None:
    page = opened(browser, built / "docs" / "operations.html")
    for scheme, is_dark in (("light", False), ("dark", True)):
        page.look(scheme=scheme)
        paper = page.run(BRIGHTNESS, "body", "backgroundColor")
        ink = page.run(BRIGHTNESS, "article p", "color")
        assert (paper < 0.3) == is_dark
        assert abs(paper - ink) > 0.5, (scheme, paper, ink)


@pytest.mark.parametrize(
    "name",
    ["index", "docs/configuration", "docs/rehearsals", "docs/degradation", "deploy/vps/README"],
)
def test_nothing_is_wider_than_a_phone(browser: Browser, built: Path, name: str) -> None:
    page = opened(browser, built / f"{name}.html")
    page.look(PHONE)
    assert page.run(WIDE) == []
    page.run("document.querySelector('article').firstElementChild.style.width = '900px'")
    assert page.run(WIDE) != []  # so it would be seen
