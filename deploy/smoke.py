"""A smoke test: what every running service must answer. Exit 0, or 1 with what was wrong.

Runs by itself too, with Python alone: a release pipes it into a container. Add a check of your
own: a line in CHECKS. They only read, for they are asked of production.
"""

import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

TIMEOUT = 10  # seconds for each answer
UNVERIFIED = (
    "--insecure"  # for the check of a host by itself, whose certificate has its public name
)


class Wrong(Exception):
    """An answer that is not what it must be."""


Answer = tuple[int, dict[str, str], Any]


def ask(url: str, path: str) -> Answer:
    """Status, headers (names in lower case) and JSON of an answer. Raises Wrong without one."""
    context = ssl.create_default_context()
    if UNVERIFIED in sys.argv:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url + path, headers={"User-Agent": "smoke"})  # noqa: S310
    # Not by way of a proxy that the environment may name: it is this server that is asked.
    direct = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*direct).open(request, timeout=TIMEOUT) as answer:
            status, headers, body = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        status, headers, body = error.code, error.headers, error.read()
    except OSError as error:
        raise Wrong(f"{path} is not answered: {error}") from error
    try:
        return status, {name.lower(): value for name, value in headers.items()}, json.loads(body)
    except ValueError:
        raise Wrong(f"{path} answers {status} with what is no JSON: {body[:100]!r}") from None


def ready(url: str, _: str | None) -> None:
    status, _headers, body = ask(url, "/health/ready")
    if status != 200:
        raise Wrong(f"/health/ready answers {status}: {json.dumps(body)}")


def version(url: str, wanted: str | None) -> None:
    status, _headers, body = ask(url, "/health")
    if wanted and body.get("version") != wanted:
        raise Wrong(f"/health answers {status} of version {body.get('version')}, not {wanted}")


def errors_are_problems(url: str, _: str | None) -> None:
    status, headers, body = ask(url, "/api/users/me")
    if status != 401 or headers["content-type"] != "application/problem+json":
        raise Wrong(f"/api/users/me without a token answers {status}, {headers['content-type']}")
    if not body.get("request_id") or headers.get("x-request-id") != body["request_id"]:
        raise Wrong("/api/users/me answers without a request id")


def document(url: str, _: str | None) -> None:
    status, _headers, body = ask(url, "/openapi.json")
    if status != 200 or not body.get("paths"):
        raise Wrong(f"/openapi.json answers {status}, without paths")


CHECKS: tuple[Callable[[str, str | None], None], ...] = (
    ready,
    version,
    errors_are_problems,
    document,
)


def run(url: str, wanted: str | None = None) -> int:
    """Ask all of it; a line for each check."""
    failed = 0
    for check in CHECKS:
        start = time.monotonic()
        try:
            check(url.rstrip("/"), wanted)
            said = "ok"
        except Wrong as wrong:
            failed, said = 1, f"FAILED: {wrong}"
        name = check.__name__.replace("_", " ")
        print(f"smoke  {name:20} {1000 * (time.monotonic() - start):5.0f} ms  {said}")
    return failed


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != UNVERIFIED]
    sys.exit(run(words[0], words[1] if len(words) > 1 else None))
