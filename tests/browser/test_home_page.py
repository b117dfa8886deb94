"""The page at `/` in development, as a person sees it in Chromium."""

import re
import shlex
from pathlib import Path

import pytest

from service.devservers import Redis
from service.users.demo import EMAIL, PASSWORD
from tests.browser.attempts import until_too_many
from tests.browser.browser import PHONE, Browser
from tests.browser.colours import COLOURS, contrast, luminance
from tests.serving import Served

# What the page says to a screen reader from now on.
LISTEN = """
  const summary = document.getElementById("summary");
  window.said = [];
  new MutationObserver(() => said.push(summary.textContent)).observe(summary, {childList: true});
  return summary.role;
"""


@pytest.fixture
def page(browser: Browser, served: Served) -> Browser:
    """The page, after the first answer."""
    browser.open(served.url)
    browser.wait_for("Every part is up.", "#summary")
    return browser


def rows(page: Browser) -> dict[str, str]:
    """What the table says of each part."""
    lines = [" ".join(line.split()) for line in page.text("#parts").splitlines()]
    return dict(line.split(" ", 1) for line in lines if line)


def test_each_part_is_named_with_its_state_and_latency(page: Browser, served: Served) -> None:
    found = rows(page)
    assert list(found) == ["web", *served.request("GET", "/health").json()["checks"]]
    assert {"database", "migrations", "redis"} < set(found)
    for said in found.values():
        assert re.fullmatch(r"up \d+\.\d ms", said)
    expected = r"Up for .+ · asked at \d\d:\d\d:\d\d"
    assert re.fullmatch(expected, page.text("#freshness"))


def test_it_says_what_runs(page: Browser, served: Served) -> None:
    about = served.request("GET", "/home.json").json()
    assert page.text("h1") == about["name"]
    assert page.text("#about") == f"version {about['version']} · development"
    assert page.run("return document.title") == f"{about['name']}: healthy"


def test_the_links_lead_somewhere(page: Browser, served: Served) -> None:
    links = page.run("return [...document.links].map((link) => [link.text, link.href])")
    assert {text for text, _ in links} == {"/docs", "/openapi.json", "/health", "/metrics"}
    for _, href in links:
        assert served.request("GET", href.removeprefix(served.url)).status == 200
    page.click("link", "/health")
    page.wait_for('"status":"healthy"')


def test_the_demo_sign_in_is_shown_and_works(page: Browser, served: Served) -> None:
    assert (page.text("#email"), page.text("#password")) == (EMAIL, PASSWORD)
    page.click("button", "Sign in")
    page.wait_for(f"Signed in as {EMAIL}; the token is good for 7 d.", "#said")
    curl, option, header, url = shlex.split(page.text("#command"))
    assert (curl, option, url) == ("curl", "-H", f"{served.url}/api/users/me")
    answer = served.request("GET", "/api/users/me", headers=dict([header.split(": ")]))
    assert (answer.status, answer.json()["email"]) == (200, EMAIL)


def test_what_is_shown_can_be_copied(page: Browser) -> None:
    both = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    page.command("Browser.grantPermissions", permissions=both)
    page.click("button", "Sign in")
    page.wait_for("Signed in")
    for name, copied in {
        "the e-mail address": EMAIL,
        "the password": PASSWORD,
        "the command": page.text("#command"),
        "the token": page.text("#command").split('"')[1].removeprefix("Authorization: Bearer "),
    }.items():
        page.click("button", f"Copy {name}")
        page.wait_for(f"Copied {name}.", "#copied")
        assert page.run("return navigator.clipboard.readText()") == copied


def test_without_a_clipboard_what_was_to_be_copied_is_selected(page: Browser) -> None:
    page.command("Browser.grantPermissions", permissions=[])  # so all others are denied
    page.click("button", "Copy the password")
    page.wait_for("This browser refuses the clipboard; the text is selected instead.", "#copied")
    assert page.run("return getSelection().toString()") == PASSWORD


def test_who_signs_in_too_often_is_told_so(page: Browser, served: Served) -> None:
    def said() -> str:
        page.click("button", "Sign in")
        page.wait_until(lambda: page.text("#said") != "Signing in …", "nothing was answered")
        return page.text("#said")

    last = until_too_many(served, "Too many requests: ", "Signed in as", said)
    assert re.search(r"\d are allowed in 3600 s\. Try again in ", last)
    assert not page.run("return document.querySelector('#signed-in').checkVisibility()")


def test_without_demo_data_it_says_how_to_make_it(page: Browser) -> None:
    page.run("about.demo.email = 'nobody@example.com'")
    page.click("button", "Sign in")
    page.wait_for("There is no such account. Make the demo data: python -m service seed", "#said")


def test_nothing_is_refused_by_its_policy_and_nobody_else_is_asked(
    page: Browser, served: Served
) -> None:
    page.click("button", "Sign in")
    page.wait_for("Signed in")
    assert page.complaints() == []
    assert page.hosts() == {f"127.0.0.1:{served.port}"}


def test_what_its_policy_must_refuse_would_be_seen(page: Browser, served: Served) -> None:
    page.run("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))")
    page.run("document.body.append(Object.assign(new Image(), {src: 'http://example.com/a.png'}))")
    page.wait_until(lambda: "example.com" in page.hosts(), "the image was not asked for")
    script, image = page.complaints()
    assert "Executing inline script violates" in script
    assert "Loading the image 'http://example.com/a.png' violates" in image


def test_what_is_down_is_shown_until_it_is_back(
    page: Browser, served: Served, own_redis: Redis
) -> None:
    try:
        own_redis.stop()
        page.wait_for("Degraded: redis down, worker down. The log of web says why.", "#summary")
        assert (rows(page)["web"][:3], rows(page)["redis"]) == ("up ", "down –")
        served.kill()
        page.wait_for("web does not answer, last seen at ", "#summary")
        assert rows(page) == dict.fromkeys(rows(page), "unknown –") | {"web": "does not answer –"}
        assert page.text("#freshness").endswith(" without an answer · asking again every 2 s")
    finally:
        own_redis.restart()
        served.kill()
        served.start()
    page.wait_for("Every part is up.", "#summary")
    assert rows(page)["redis"].startswith("up ")


def test_a_screen_reader_is_told_of_changes_only(page: Browser) -> None:
    assert page.run(LISTEN) == "status"
    page.run("return poll()")  # now, instead of within two seconds
    assert page.run("return said") == []
    page.run("showSilence()")
    assert page.run("return said") == [page.text("#summary")]


def test_a_phone_shows_it_without_scrolling_sideways(page: Browser) -> None:
    page.click("button", "Sign in")
    page.wait_for("Signed in")
    page.run("showSilence()")  # when the table is at its widest
    for width, height in (PHONE, (320, 568)):
        page.look((width, height))
        assert page.run("return innerWidth") == width
        assert page.run("return document.documentElement.scrollWidth") <= width


def test_every_text_can_be_read_in_light_and_dark(page: Browser) -> None:
    page.click("button", "Sign in")
    page.wait_for("Signed in")
    for scheme, title_is_light in (("light", False), ("dark", True)):
        page.look(scheme=scheme)
        shown = page.run(COLOURS)
        assert [luminance(c) > 0.5 for text, c, _ in shown if "<h1" in text] == [title_is_light]
        assert [text for text, colour, behind in shown if contrast(colour, behind) < 4.5] == []
        assert len(shown) > 30


def test_nothing_moves_for_who_does_not_want_it(page: Browser) -> None:
    script = "return getComputedStyle(document.querySelector('button')).transitionDuration"
    assert page.run(script) == "0s"
    page.look(motion="no-preference")
    assert page.run(script) != "0s"


def test_a_keyboard_reaches_it_and_shows_where_it_is(page: Browser) -> None:
    page.command("Input.dispatchKeyEvent", type="keyDown", key="Tab", windowsVirtualKeyCode=9)
    assert page.run("return document.activeElement.ariaLabel") == "Copy the e-mail address"
    assert page.run("return getComputedStyle(document.activeElement).outlineWidth") == "2px"


def test_without_chromium_the_tests_say_which_package_it_is_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match=r"chromium is missing.+ apt install chromium$"):
        Browser()
