"""Headless Chromium, driven through chromedriver by the WebDriver protocol and nothing else.

https://www.w3.org/TR/webdriver2/
"""

import base64
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from service.launcher import spawn
from tests.ports import free_port

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage "
    "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
).split()
ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # nothing leaves the machine
START_LIMIT = 30.0  # seconds
PATIENCE = 30.0  # seconds until a page must show what is waited for
SIZE = (1000, 800)
PHONE = (360, 740)
_ASKED = "Network.requestWillBeSent"
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name of a reference


class Browser:
    """One window. Elements are found by what a person perceives: their role, name and text."""

    def __init__(self) -> None:
        self._chromium = _program("chromium", package="chromium")
        self._chromedriver = _program("chromedriver", package="chromium-driver")
        self._port = free_port()
        self._session = ""

    def __enter__(self) -> Self:
        self._profile = tempfile.mkdtemp(prefix="service-browser-")
        self._driver = spawn(
            [self._chromedriver, f"--port={self._port}"],
            env=os.environ | {"HOME": self._profile, "TMPDIR": self._profile},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def open(self, url: str) -> None:
        """Load a page in the light, on a desk; what the page before it has logged is forgotten."""
        self.look()
        self._call("POST", "/url", {"url": "about:blank"})
        self.complaints(), self.hosts()
        self._call("POST", "/url", {"url": url})

    def look(
        self, size: tuple[int, int] = SIZE, scheme: str = "light", motion: str = "reduce"
    ) -> None:
        """Emulate a screen of this size and a person's preferences."""
        width, height = size
        screen = {"width": width, "height": height, "mobile": width < 500}
        self.command("Emulation.setDeviceMetricsOverride", deviceScaleFactor=1, **screen)
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.command("Emulation.setEmulatedMedia", features=features)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script, the body of a function, returns; a promise is waited for."""
        return self._call("POST", "/execute/sync", {"script": script, "args": arguments})

    def text(self, selector: str = "body") -> str:
        """What is to be read there: hidden text is left out."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(self.run(script, selector))

    def wait_for(self, text: str, selector: str = "body") -> None:
        """Wait until this is to be read there."""
        self.wait_until(lambda: text in self.text(selector), f"{text!r} is not shown")

    def wait_until(self, condition: Callable[[], object], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                picture = self.screenshot(Path(tempfile.mkdtemp()) / "page.png")
                raise AssertionError(f"{otherwise}; see {picture}:\n{self.text()}")
            time.sleep(0.05)

    def named(self, role: str, name: str, within: str = "body") -> str:
        """The path of the element with this role and name, as a screen reader is told them."""
        query = {"using": "css selector", "value": f"{within} :is(a, button, table, input)"}
        for reference in self._call("POST", "/elements", query):
            path = f"/element/{reference[_ELEMENT]}"
            if self._call("GET", f"{path}/computedlabel") != name:
                continue
            if self._call("GET", f"{path}/computedrole") == role:
                return path
        raise AssertionError(f"there is no {role} {name!r} in:\n{self.text(within)}")

    def click(self, role: str, name: str, within: str = "body") -> None:
        self._call("POST", f"{self.named(role, name, within)}/click", {})

    def type(self, name: str, text: str) -> None:
        self._call("POST", f"{self.named('textbox', name)}/value", {"text": text})

    def complaints(self) -> list[str]:
        """Errors and warnings in the console, refused content among them, since the last call."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def hosts(self) -> set[str]:
        """Whom pages wanted to ask anything, since the last call."""
        entries = self._call("POST", "/se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in entries]
        asked = [each["params"] for each in events if each["method"] == _ASKED]
        urls = [each["request"]["url"] for each in asked]
        return {url.split("/")[2] for url in urls if url.startswith(("http", "ws"))}

    def screenshot(self, path: Path) -> Path:
        """The page to its end, as a PNG."""
        picture = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))
        return path

    def command(self, name: str, /, **parameters: object) -> Any:
        """A command of the Chrome DevTools Protocol, for what WebDriver has no word for."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def _begin(self) -> None:
        deadline = time.monotonic() + START_LIMIT
        while not self._is_ready():
            assert time.monotonic() < deadline, "chromedriver did not start"
            time.sleep(0.02)
        arguments = [*FLAGS, ONLY_HERE, f"--user-data-dir={self._profile}"]
        wanted = {
            "goog:chromeOptions": {"binary": self._chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{session['sessionId']}"

    def _end(self) -> None:
        """Leave no process and no file behind."""
        family = psutil.Process(self._driver.pid).children(recursive=True)
        if self._session:
            with contextlib.suppress(AssertionError, OSError):
                self._call("DELETE", "")
        self._driver.terminate()
        self._driver.wait(10)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self._call("GET", "/status")["ready"])
        return False

    def _call(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        sent = json.dumps(body or {}) if method == "POST" else None
        with contextlib.closing(connection):
            connection.request(method, self._session + path, sent)
            response = connection.getresponse()
            value = json.loads(response.read())["value"]
        assert response.status == 200, value["message"]
        return value


def _program(name: str, package: str) -> str:
    if (found := shutil.which(name)) is None:
        pytest.fail(f"{name} is missing, which these tests look through: apt install {package}")
    return found
