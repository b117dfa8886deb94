"""Who reads /ops: on a phone, in the dark, by a screen reader, with a keyboard."""

from itertools import pairwise
from typing import Any

from tests.browser.browser import PHONE, Browser
from tests.browser.colours import COLOURS, contrast, luminance
from tests.browser.jobs import failed
from tests.serving import Served

# What ends to the right of the screen, unless it is to be scrolled.
OUTSIDE = """
  return [...document.querySelectorAll("main *")]
    .filter((node) => node.checkVisibility() && !node.closest(".scrolls"))
    .filter((node) => node.getBoundingClientRect().right > innerWidth)
    .map((node) => node.outerHTML);
"""
LISTEN = """
  window.said = [];
  const note = ([{ target }]) => said.push(target.textContent);
  for (const node of document.querySelectorAll("[role=status]")) {
    new MutationObserver(note).observe(node, { childList: true });
  }
  return said.length;
"""


def test_a_phone_shows_it_without_scrolling_sideways(page: Browser, served: Served) -> None:
    with failed(served, "a_feature.jobs.with_a_very_long_name_of_its_own", "x" * 300) as id:
        page.wait_for(str(id), "#shown")
        for width, height in (PHONE, (320, 568)):
            page.look((width, height))
            assert page.run("return innerWidth") == width
            assert page.run("return document.documentElement.scrollWidth") <= width
            page.wait_until(lambda: page.run(OUTSIDE) == [], "something sticks out")


def test_every_text_can_be_read_in_light_and_dark(page: Browser, served: Served) -> None:
    with failed(served, "gone.jobs.read") as id:
        page.wait_for(str(id), "#shown")
        for scheme, title_is_light in (("light", False), ("dark", True)):
            page.look(scheme=scheme)
            shown = page.run(COLOURS)
            titles = [luminance(colour) > 0.5 for text, colour, _ in shown if "<h1" in text]
            assert titles == [title_is_light]
            assert [text for text, colour, behind in shown if contrast(colour, behind) < 4.5] == []
            assert len(shown) > 40


def test_it_has_landmarks_headings_and_names_for_a_screen_reader(
    page: Browser, served: Served
) -> None:
    def each(script: str) -> Any:
        return page.run(f"return [...document.querySelectorAll(arguments[0])].map({script})", what)

    with failed(served, "gone.jobs.heard") as id:
        page.wait_for(str(id), "#shown")
        what = "main, header"
        assert each("(node) => node.localName") == ["header", "main"]
        what = "h1, h2, h3"
        levels = [int(name[1]) for name in each("(node) => node.localName")]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        what = "section, table"
        for name in each("(n) => document.getElementById(n.getAttribute('aria-labelledby'))?.text"):
            assert name is None or name
        what = "th"
        assert set(each("(node) => node.scope")) == {"row", "col"}
        what = "section:not([aria-labelledby]), .chart:not([aria-label])"
        assert each("(node) => node.outerHTML") == []
        page.named("table", "Failed for good")
        page.named("button", "Retry gone.jobs.heard")


def test_a_screen_reader_is_told_of_changes_only(page: Browser) -> None:
    assert page.run(LISTEN) == 0
    page.run("return poll()")
    assert page.run("return said") == []
    page.run("showSilence()")
    assert page.run("return said") == [page.text("#summary")]


def test_a_keyboard_reaches_it_and_shows_where_it_is(page: Browser) -> None:
    page.command("Input.dispatchKeyEvent", type="keyDown", key="Tab", windowsVirtualKeyCode=9)
    assert page.run("return document.activeElement.textContent") == "Sign out"
    assert page.run("return getComputedStyle(document.activeElement).outlineWidth") == "2px"
