"""The page /ops, as an operator sees it in Chromium, and what its buttons do."""

import re
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from service.devservers import Postgres, Redis
from tests.browser.attempts import until_too_many
from tests.browser.browser import Browser
from tests.browser.conftest import OPS_TOKEN
from tests.browser.jobs import failed, status
from tests.serving import Served

LABEL = "The service’s OPS_TOKEN"
SCRIPT = "ValueError: <img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>"
# How many pixels of a chart have the colour of this variable, about.
PIXELS = """
  const [id, variable] = arguments;
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(${variable})`;
  const wanted = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  const canvas = document.querySelector(`#${id} canvas`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) {
    found += data[i + 3] > 128 && wanted.every((part, j) => Math.abs(part - data[i + j]) < 24);
  }
  return found;
"""
CLOSE = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
OPEN = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true")
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


def test_one_signs_in_by_typing_and_out_by_a_click(form: Browser, served: Served) -> None:
    form.type(LABEL, OPS_TOKEN)
    form.click("button", "Sign in")
    form.wait_for("Every part is up.", "#summary")
    (cookie,) = form.command("Network.getCookies", urls=[f"{served.url}/ops"])["cookies"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/ops")
    form.click("button", "Sign out")
    form.wait_for(LABEL)
    assert form.command("Network.getCookies", urls=[f"{served.url}/ops"])["cookies"] == []


def test_a_wrong_token_is_told_so_and_then_that_there_were_too_many(
    form: Browser, served: Served
) -> None:
    def said_of_a_wrong_one() -> str:
        form.type(LABEL, "a wrong one")
        form.run("window.before = true")
        form.click("button", "Sign in")
        form.wait_until(lambda: form.run("return !window.before"), "nothing was sent")
        form.wait_until(lambda: form.text("#said"), "nothing was answered")
        return form.text("#said")

    until_too_many(served, "Too many attempts.", "That is not the OPS_TOKEN", said_of_a_wrong_one)


def test_each_part_is_shown_and_what_runs_in_which_version(page: Browser) -> None:
    for id in ("database", "migrations", "redis", "worker", "scheduler"):
        assert re.search(rf"{id}\s+up\s+\d+\.\d ms", page.text("#parts"))
    page.wait_until(lambda: "web" in page.text("#processes"), "web is not listed")
    for kind in ("scheduler", "web", "worker"):
        assert re.search(rf"{kind}\s+unknown\s+\d+ \w+", page.text("#processes"))
    assert "unknown" in page.text("#versions")
    assert re.search(r"\d+ of \d+, \d+ active", page.text("#connections"))


def test_charts_are_drawn_of_what_is_asked(page: Browser, served: Served) -> None:
    def asked_and_shown() -> bool:
        for _ in range(20):
            served.request("GET", "/openapi.json")
        return all(page.run(PIXELS, *each) > 20 for each in lines)

    lines = [("rate", "--line-0"), ("latency", "--line-2"), ("errors", "--line-3")]
    lines += [("depth", "--line-0")]
    page.wait_until(asked_and_shown, "a chart has no line")
    assert re.search(r"requests \d+(\.\d)?/s", page.text("#traffic-title ~ .charts"))
    for id, word in {"rate": "requests", "latency": "p99", "errors": "5xx"}.items():
        label = page.run("return document.getElementById(arguments[0]).ariaLabel", id)
        assert re.match(rf"Chart, now: .*{word} [\d.]+", label)
    page.run("document.querySelector('details').open = true")
    assert re.search(r"\d\d:\d\d:\d\d\s+[\d.]+/s\s+[\d.]+ ms", page.text("#minutes"))


def test_a_chart_without_a_line_would_be_seen(page: Browser) -> None:
    page.run("draw = () => {}; plots.rate.setData([[], []])")
    page.wait_until(lambda: page.run(PIXELS, "rate", "--line-0") == 0, "there are such pixels")


def test_a_failed_job_is_tried_again_by_a_click(page: Browser, served: Served) -> None:
    with failed(served, "gone.jobs.retried") as id:
        page.wait_for(str(id), "#shown")
        page.click("button", "Retry gone.jobs.retried")
        page.wait_for("gone.jobs.retried will be tried again.", "#done")
        page.wait_until(lambda: str(id) not in page.text("#shown"), "it is still shown as failed")
        assert status(served, id) in (("retrying",), ("queued",), ("running",))


def test_a_failed_job_is_discarded_by_two_clicks(page: Browser, served: Served) -> None:
    with failed(served, "gone.jobs.discarded") as id:
        page.wait_for(str(id), "#shown")
        # A double click, or a key that is held, is one of them.
        page.run("const b = document.querySelector('.discard'); b.click(); b.click(); b.click();")
        page.wait_for("Really discard", "#shown")
        past = "return Date.now() - document.querySelector('.discard').dataset.sure > 500"
        page.wait_until(lambda: page.run(past), "the time of a double click does not end")
        assert status(served, id) == ("failed",)
        page.click("button", "Really discard gone.jobs.discarded")
        page.wait_for("gone.jobs.discarded is discarded.", "#done")
        assert status(served, id) is None
        focus = "return document.activeElement.id"  # when the row has gone, with the next look
        page.wait_until(lambda: page.run(focus) == "failed-title", "the focus is nowhere")


def test_a_script_in_an_error_is_read_and_not_run(page: Browser, served: Served) -> None:
    with failed(served, "<b>bold</b>", SCRIPT) as id:
        page.wait_for(SCRIPT, "#shown .error")
        page.wait_for("<b>bold</b>", "#shown .function")
        assert page.run("return document.querySelectorAll('#shown img, #shown b').length") == 0
        assert page.run("return window.hacked ?? null") is None
        assert page.complaints() == []
        assert page.hosts() == {f"127.0.0.1:{served.port}"}
        # The control: as HTML it would have run, were it not for the policy of the page.
        page.run("document.querySelector('#shown .error').innerHTML = arguments[0]", SCRIPT)
        page.wait_until(lambda: "inline" in "".join(page.complaints()), "nothing was refused")
        assert page.run("return window.hacked ?? null") is None
        assert status(served, id) == ("failed",)


def test_what_is_down_is_said_and_the_page_goes_on(
    page: Browser, served: Served, own_redis: Redis
) -> None:
    try:
        own_redis.stop()
        page.wait_for("redis down", "#summary")
        page.wait_for("Not to be had: ", "#redis-trouble")
        assert not page.run("return document.querySelector('#processes').checkVisibility()")
        assert page.text("#queues").startswith("high")
        before = page.text("#freshness")
        page.wait_until(lambda: page.text("#freshness") != before, "nothing is asked any more")
        served.kill()
        page.wait_for("web is not answering since ", "#summary")
    finally:
        own_redis.restart()
        served.kill()
        served.start()
    page.wait_for("Every part is up.", "#summary")
    page.wait_for("web", "#processes")
    assert page.text("#redis-trouble") == ""


def test_without_its_database_the_page_says_so_and_shows_the_rest(
    page: Browser, served: Served, postgres: Postgres
) -> None:
    name = urlsplit(served.environment["DATABASE_URL"]).path.removeprefix("/")
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        try:
            connection.execute(CLOSE.format(sql.Identifier(name)))
            connection.execute(END, (name,))
            page.wait_for("database down", "#summary")
            page.wait_for("Not to be had: ", "#jobs-trouble")
            assert not page.run("return document.querySelector('#shown').checkVisibility()")
            assert page.run("return document.querySelector('#processes').checkVisibility()")
            before = page.text("#freshness")
            page.wait_until(lambda: page.text("#freshness") != before, "nothing is asked any more")
        finally:
            connection.execute(OPEN.format(sql.Identifier(name)))
    page.wait_for("Every part is up.", "#summary")
    assert page.text("#jobs-trouble") == ""


def test_a_session_that_has_ended_shows_the_form(page: Browser) -> None:
    page.command("Network.clearBrowserCookies")
    page.wait_for(LABEL)
