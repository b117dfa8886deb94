"""One browser, and a service in development with demo data, whose Redis may be stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from service import admission, demo
from service.app import create_app
from service.devservers import Postgres, Redis
from tests.browser.browser import Browser
from tests.children import Logs
from tests.conftest import make_settings
from tests.serving import Served, own_database, variables

SIGN_INS = 6  # of which a process that has to count by itself allows half
OPS_TOKEN = "a token of the tests, long enough for production"


@pytest.fixture(scope="package")
def own_redis(folder: Path) -> Iterator[Redis]:
    with Redis(folder / "browser-redis") as server:
        yield server


@pytest.fixture(scope="package")
def served(postgres: Postgres, own_redis: Redis) -> Iterator[Served]:
    database_url = own_database(postgres)
    settings = make_settings(database_url, own_redis.url)
    app = create_app(settings, "seed")
    demo.seed(app, settings)
    app.extensions["database"].engine.dispose()
    own = {"WORKER_CONCURRENCY": "1", "OPS_TOKEN": OPS_TOKEN}
    given = variables(database_url, own_redis.url) | own
    with (
        Logs(["-m", "service", "worker"], given, "worker started"),
        Logs(["-m", "service", "scheduler"], given, "scheduler leads"),
        Served(
            database_url,
            own_redis.url,
            APP_ENV="development",
            WEB_CONCURRENCY="1",
            RATE_LIMIT_LOGIN=f"{SIGN_INS} per hour",
            OPS_TOKEN=OPS_TOKEN,
        ) as server,
    ):
        yield server
        server.kill()  # in order it would wait 2 s for the browser to let go of its connections


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(autouse=True)
def not_limited(own_redis: Redis) -> None:
    """No test has signed in yet."""
    with redis.Redis.from_url(own_redis.url) as client:
        if keys := client.keys("limit:*"):
            client.delete(*keys)


@pytest.fixture
def form(browser: Browser, served: Served) -> Browser:
    """The page, to one who is not signed in."""
    browser.open("about:blank")
    browser.command("Network.clearBrowserCookies")
    browser.open(f"{served.url}/ops")
    return browser


@pytest.fixture
def page(form: Browser, served: Served) -> Browser:
    """The page, to one who is signed in, after its first answer."""
    url, value = f"{served.url}/ops", admission.issue(SecretStr(OPS_TOKEN))
    form.command("Network.setCookie", name=admission.COOKIE, value=value, url=url, path="/ops")
    form.open(url)
    form.wait_for("Every part is up.", "#summary")
    return form
