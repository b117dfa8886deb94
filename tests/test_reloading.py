"""SIGHUP to gunicorn's master, where it goes wrong; that no request fails is shown in chaos/."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from service import reloading
from service.environment import ROOT
from tests.children import surroundings
from tests.serving import variables

HANG_UP = """
import gc, runpy
from types import SimpleNamespace
found = runpy.run_path("gunicorn.conf.py")
assert not gc.isenabled()
found["on_reload"](SimpleNamespace(app=SimpleNamespace(callable=None)))
assert gc.isenabled()
"""


def test_after_a_signal_garbage_is_collected_as_before() -> None:
    """gunicorn's own hook when_ready is called at the start alone; the file is run again."""
    given = variables("postgresql://h/d", "redis://h/0")
    words = [sys.executable, "-c", HANG_UP]
    subprocess.run(words, cwd=ROOT, env=surroundings() | given, check=True, timeout=60)


class Application:
    """gunicorn's, whose app can be made anew or not."""

    app_uri = "tests.nowhere:app"

    def __init__(self, made: Any) -> None:
        self.callable: Any = "the last one"
        self._made = made

    def wsgi(self) -> None:
        if isinstance(self._made, Exception):
            raise self._made
        self.callable = self._made


def test_an_app_is_made_anew() -> None:
    application = Application("a new one")
    reloading.renew_app(application)
    assert application.callable == "a new one"


def test_an_app_that_cannot_be_made_leaves_the_last_one(caplog: pytest.LogCaptureFixture) -> None:
    application = Application(RuntimeError("boom"))
    reloading.renew_app(application)
    assert application.callable == "the last one"
    assert "the last one stays in force" in caplog.text


def test_an_app_that_could_not_be_imported_has_no_secrets() -> None:
    reloading.keep_secrets(lambda environ, start: [])
    reloading.renew_app(SimpleNamespace(callable=None))
