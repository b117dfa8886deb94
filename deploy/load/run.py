"""Runs a load test: an account of its own, Locust in a process of its own, and what came of it.

Nothing is left behind: the account is deleted, with what it wrote.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from deploy.load import steps
from deploy.load.steps import Lines, Step
from deploy.shell import Failed
from service.environment import environment

PROFILE = Path(__file__).with_name("profile.py")
ENOUGH = 100_000  # requests in a window of the limit: a load test is no user
PATIENCE = 10  # seconds


def run(url: str, most: int, seconds: float, lines: Lines, must: int, picture: Path) -> int:
    """Play all steps; 1 if one of up to `must` clients crosses a line. Raises Failed."""
    print(f"{'clients':>8}{'requests/s':>12}{'p50':>10}{'p99':>10}{'failed':>9}", flush=True)
    found: list[Step] = []
    with signed_in(url) as token:
        for step in played(url, token, steps.doubling(most), seconds, picture):
            found.append(step)
            wrong = step.crosses(lines)
            print(f"{row(step)}  {'over: ' + ', '.join(wrong) if wrong else 'ok'}", flush=True)
    print("\n".join(["", *steps.advice(found, lines), "", f"latency over time: {picture}"]))
    if is_loopback(url):
        print("The clients took processors of the same machine: alone, it bears more.")
    bad = [step for step in found if step.clients <= must and step.crosses(lines)]
    return 1 if bad or not found else 0


def row(step: Step) -> str:
    times = f"{1000 * step.p50:>7.1f} ms{1000 * step.p99:>7.1f} ms"
    return f"{step.clients:>8}{step.rate:>12.0f}{times}{step.failed:>9}"


def played(
    url: str, token: str, clients: Sequence[int], seconds: float, picture: Path
) -> Iterator[Step]:
    """The steps as they end."""
    command = [sys.executable, "-m", "locust", "--locustfile", str(PROFILE), "--headless"]
    command += ["--host", url, "--html", str(picture), "--exit-code-on-error", "0"]
    command += ["--only-summary", "--skip-log-setup", "--stop-timeout", "5"]
    told = {
        "LOAD_TOKEN": token,
        "LOAD_STEPS": json.dumps(list(clients)),
        "LOAD_SECONDS": str(seconds),
    }
    said: list[str] = []
    with subprocess.Popen(  # noqa: S603
        command,
        env=environment() | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as locust:
        assert locust.stdout is not None
        try:
            for line in locust.stdout:
                if line.startswith('{"step"'):
                    yield Step(**json.loads(line)["step"])
                else:
                    said.append(line)
        except BaseException:
            locust.terminate()
            raise
    if locust.returncode:
        raise Failed(f"locust ended with {locust.returncode}:\n{''.join(said[-20:])}")


@contextmanager
def signed_in(url: str) -> Iterator[str]:
    """The access token of an account that is gone afterwards. Raises Failed."""
    body = {"email": f"load-{token_hex(6)}@example.com", "password": token_urlsafe(16)}
    ask(url, "POST", "/api/users", body)
    token = ask(url, "POST", "/api/auth/login", body)["access_token"]
    try:
        yield token
    finally:
        ask(url, "DELETE", "/api/users/me", token=token)


def ask(url: str, method: str, path: str, body: object = None, token: str = "") -> Any:
    """The answer's JSON. Raises Failed, also where the rate limit would be what is measured."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = Request(url + path, data, headers, method=method)  # noqa: S310
    try:
        with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            limit = int(answer.headers.get("RateLimit-Limit") or ENOUGH)
            text = answer.read()
    except HTTPError as error:
        raise Failed(f"{method} {url}{path} was answered {error.code}: {told(error)}") from None
    except (URLError, OSError, ValueError) as error:
        raise Failed(f"{method} {url}{path}: {getattr(error, 'reason', error)}") from None
    if limit < ENOUGH and path != "/api/auth/login" and method != "DELETE":
        raise Failed(
            f"{url} lets one user ask {limit} times: a load test would measure that. Start it for"
            ' this with RATE_LIMIT_DEFAULT="1000000 per minute"'
        )
    return json.loads(text) if text else None


def told(error: HTTPError) -> str:
    try:
        problem = json.loads(error.read())
        return str(problem.get("detail") or problem.get("title"))
    except ValueError:
        return error.reason


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
