"""The smoke test: the one check after every deploy. Asks a running service what it must answer.

Runs by itself too, with Python alone: a release pipes it into a container. Add a check: a function
that raises Wrong, and its name in CHECKS. What it makes there, it removes.
"""

import argparse
import http.client
import ipaddress
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

INTERRUPTED = 130  # what `main` returns then
PATIENCE = 10  # seconds for each answer, to its last byte
LARGEST = 4 * 2**20  # bytes of an answer
IN_A_ROW = 3  # answers of the expected commit: the old one may be behind the same address
BREATH = 10  # seconds for which a service may do without Redis
# Of the addresses for documentation (RFC 5737): never a client's.
NOBODIES = ("203.0.113.77", "203.0.113.78", "203.0.113.79")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
FORWARDED = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"}
INTERNAL = ("development", "test")
INSIDE = (b"Traceback", b".py", b"psycopg", b"sqlalchemy")  # what no answer may have in it


Row = dict[str, Any]  # a check, its result (ok, failed, skipped), how long it took, and why


class Wrong(Exception):
    """An answer that is not what it must be."""


class Hopeless(Wrong):
    """What no waiting mends."""


class Skipped(Exception):
    """What cannot be looked at here: never "ok"."""


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Message
    body: bytes

    def json(self, path: str) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            said = f"{self.status} with what is no JSON: {self.body[:60]!r}"
            raise Wrong(f"{path} answers {said}{self.towards()}") from None

    def unlimited(self, path: str) -> "Answer":
        if self.status == 429:
            again = f", again in {wait} s" if (wait := self.headers["Retry-After"]) else ""
            raise Skipped(f"the limit of requests is used up: {path} answers 429{again}")
        return self

    def towards(self) -> str:
        return f", Location: {where}" if (where := self.headers["Location"]) else ""


@dataclass
class Service:
    """What is asked, what is known of it beforehand, and what was learnt."""

    scheme: str
    host: str
    port: int
    commit: str | None = None
    token: str | None = None
    timeout: float = 60  # seconds to get ready in, and for a job
    client: str | None = None  # our address, as it must see it
    verified: bool = True  # its certificate; not for the check of a host by itself
    web_only: bool = False  # worker and scheduler may be older, or not there yet
    at: str | None = None  # the address to ask, whatever the host's name stands for
    forwarded: bool = False  # ask as a proxy on this server would, to which TLS was spoken
    ours: str = ""  # the addresses of both ends
    theirs: str = ""
    begun: dict[str, Any] | None = None  # what POST /smoke said

    def ask(
        self,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """As `fetch`. Raises Skipped for an answer of a limiter: it says nothing of the service."""
        return self.fetch(path, method, headers, body).unlimited(path)

    def fetch(
        self,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One request on a connection of its own. No redirect is followed, and no proxy is used:
        it is this server that is asked. Raises Wrong without a whole answer."""
        connection, late, connected = self._connection(), threading.Event(), False
        try:
            connection.connect()
            connected = True
            watch = threading.Timer(PATIENCE, _end, (connection.sock, late))
            watch.start()
            try:
                self.ours = connection.sock.getsockname()[0]
                self.theirs = connection.sock.getpeername()[0]
                given = {"User-Agent": "smoke", **(FORWARDED if self.forwarded else {})}
                answer = _read(connection, path, method, {**given, **(headers or {})}, body)
            finally:
                watch.cancel()
            if late.is_set():  # what has no length ends where it is broken off
                raise TimeoutError
            return answer
        except (OSError, http.client.HTTPException) as error:
            if late.is_set() or (connected and isinstance(error, TimeoutError)):
                raise Wrong(f"{path} is not answered to the end within {PATIENCE} s") from None
            kind = Hopeless if isinstance(error, ssl.SSLCertVerificationError) else Wrong
            raise kind(f"{path} is not answered: {_why(error)}") from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        found = self._named()
        if self.at:
            where = (self.at, self.port)
            found._create_connection = lambda _, *rest: socket.create_connection(where, *rest)  # type: ignore[attr-defined]
        return found

    def _named(self) -> http.client.HTTPConnection:
        if self.scheme == "http":
            return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        context = ssl.create_default_context()
        if not self.verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(self.host, self.port, timeout=PATIENCE, context=context)

    def is_expected(self, version: object) -> bool:
        """The commit that is wanted, or one that begins as its seven characters or more do."""
        wanted = self.commit
        return (
            not wanted
            or version == wanted
            or (len(wanted) >= 7 and str(version).startswith(wanted))
        )

    def authorized(self) -> dict[str, str]:
        """Raises Skipped where there is no token, or it would be read on the way."""
        if not self.token:
            raise Skipped("needs the SMOKE_TOKEN that the service has")
        if self.scheme == "http" and is_public(self.theirs):
            raise Skipped("the token is not sent in the clear")
        return {"Authorization": f"Bearer {self.token}"}

    def begin(self) -> dict[str, Any]:
        """Begin a job, once, as somebody who lies about their address: what is said to that."""
        if self.begun is None:
            lie = {"X-Forwarded-For": ", ".join(NOBODIES)}
            answer = self.ask("/smoke", "POST", {**self.authorized(), **lie})
            if answer.status != 202:
                raise Wrong(f"/smoke answers {answer.status}: has the service this SMOKE_TOKEN?")
            self.begun = answer.json("/smoke")
        return self.begun


def is_public(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_global


def _end(connection: socket.socket, late: threading.Event) -> None:
    """A time-out of a socket is one for each byte, and bytes may drip for ever."""
    late.set()
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _read(
    connection: http.client.HTTPConnection,
    path: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes | None,
) -> Answer:
    connection.request(method, path, body, headers)
    found = connection.getresponse()
    if len(read := found.read(LARGEST + 1)) > LARGEST:
        raise Wrong(f"{path} answers with more than {LARGEST} bytes")
    if found.length:  # bytes that were announced, and did not come
        raise http.client.IncompleteRead(read, found.length)
    return Answer(found.status, found.headers, read)


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message} (--insecure takes any)"
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "no TLS is spoken there: http?"
    if isinstance(error, http.client.IncompleteRead):
        return "it breaks off in the middle"
    if isinstance(error, http.client.BadStatusLine):
        return f"it does not speak HTTP: {error}"
    return str(error) or type(error).__name__


def ready(service: Service) -> None:
    """Waits: a platform may still be starting it, or another release be behind the address.

    It and `health` fetch: these paths have no limit, so a 429 there is as wrong as any other."""
    deadline, said = time.monotonic() + service.timeout, ""
    in_a_row = 0
    while True:
        try:
            _is_ready(service)
            in_a_row += 1
            if in_a_row == IN_A_ROW or not service.commit:
                return
            continue
        except Hopeless:
            raise
        except Wrong as wrong:
            in_a_row = 0
            if time.monotonic() >= deadline:
                raise
            if str(wrong) != said:
                said = str(wrong)
                print(f"waiting: {said}", file=sys.stderr, flush=True)
        time.sleep(min(1, service.timeout / 10))


def _is_ready(service: Service) -> None:
    answer = service.fetch("/health/ready")
    told = answer.json("/health/ready")
    if answer.status != 200:
        raise Wrong(f"/health/ready answers {answer.status}: {json.dumps(told)[:200]}")
    if not isinstance(told, dict) or told.get("status") != "ready":
        raise Wrong("/health/ready answers 200, but is not this service's: no status")
    found = service.fetch("/health")
    version = found.json("/health").get("version")
    if not service.is_expected(version):
        hint = " (COMMIT_SHA is not set there)" if version == "unknown" else ""
        said = f"/health answers {found.status} of version {version}{hint}"
        raise Wrong(f"{said}, not {service.commit}")


def health(service: Service) -> None:
    """All parts: what is degraded serves, and is nothing to leave behind."""
    if service.web_only:
        raise Skipped("of web alone")
    deadline = time.monotonic() + service.timeout
    while (told := service.fetch("/health").json("/health")).get("status") != "healthy":
        if time.monotonic() >= deadline:
            down = {name: each.get("status") for name, each in told.get("checks", {}).items()}
            raise Wrong(f"/health says {told.get('status')}: {json.dumps(down)}")
        time.sleep(0.5)


def tls(service: Service) -> None:
    if service.scheme == "http":
        raise Skipped("it is asked by http")
    answer = service.ask("/openapi.json", "HEAD")
    if not answer.headers["Strict-Transport-Security"]:
        raise Wrong("no Strict-Transport-Security: it does not know of TLS (PROXY_HOPS)")


def redirect(service: Service) -> None:
    """Nothing is served in the clear where TLS is: redirected, or not answered at all."""
    if service.scheme == "http" or service.port != 443:
        raise Skipped("https is not at its usual port" if service.scheme == "https" else "no TLS")
    plain = Service("http", service.host, 80, at=service.at)
    try:
        answer = plain.ask("/openapi.json")
    except Wrong:
        return
    if 300 <= answer.status < 400:
        where = urlsplit(answer.headers["Location"] or "")
        if (where.scheme, where.hostname) != ("https", service.host):
            raise Wrong(f"http://{service.host} does not send to https there{answer.towards()}")
    elif answer.status < 300 or answer.headers["X-Request-ID"]:
        raise Wrong(f"http://{service.host}/openapi.json answers {answer.status} in the clear")


def headers(service: Service) -> None:
    sent = uuid4().hex
    answer = service.ask("/openapi.json", "HEAD", {"X-Request-ID": sent})
    for name, value in HEADERS.items():
        if not (found := answer.headers[name] or "nothing").startswith(value):
            raise Wrong(f"/openapi.json answers with {found} as {name}, and not with {value}")
    if answer.headers["X-Request-ID"] != sent:
        raise Wrong(f"/openapi.json answers with the X-Request-ID {answer.headers['X-Request-ID']}")


def limits(service: Service) -> None:
    """Counted in Redis: a 429 with these headers is a proof too, one without is a proxy's. After an
    answer of Redis that was slow, as the first may be, it is left alone for some seconds."""
    path, deadline = "/api/users/me", time.monotonic() + min(service.timeout, BREATH)
    while not ((answer := service.fetch(path)).headers["RateLimit-Limit"] or "").isdecimal():
        answer.unlimited(path)
        if time.monotonic() >= deadline:
            checks = service.fetch("/health").json("/health").get("checks", {})
            if checks.get("redis", {}).get("status") == "up":
                raise Skipped("Redis is slow for now: each process counts by itself")
            raise Wrong(f"{path} answers without RateLimit headers: is Redis there?")
        time.sleep(0.5)


def cors(service: Service) -> None:
    """No origin is allowed but those of FRONTEND_URL, which are known to who has the token."""
    if allowed := _preflight(service, "https://smoke.invalid"):
        raise Wrong(f"a browser may call it from anywhere: Access-Control-Allow-Origin: {allowed}")
    for origin in service.begin()["origins"] if service.token else ():
        if _preflight(service, origin) != origin:
            raise Wrong(f"a browser may not call it from {origin}, which FRONTEND_URL has")


def _preflight(service: Service, origin: str) -> str | None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    return service.ask("/api/users/me", "OPTIONS", asked).headers["Access-Control-Allow-Origin"]


def problems(service: Service) -> None:
    """Errors are problems (RFC 9457), with the request's id, and nothing of the inside."""
    for path, method, body, status in (
        (f"/smoke-test/{uuid4()}", "GET", None, 404),  # first: it has no limit that may be used up
        ("/api/users/me", "GET", None, 401),
        ("/api/users/me", "PUT", None, 405),
        ("/api/users", "POST", b"{", 400),
    ):
        sent = {"Content-Type": "application/json"} if body else {}
        answer = service.ask(path, method, sent, body)
        kind = answer.headers["Content-Type"]
        if answer.status != status or kind != "application/problem+json":
            raise Wrong(f"{method} {path} answers {answer.status}, {kind}{answer.towards()}")
        problem = answer.json(path)
        if problem.get("request_id") != answer.headers["X-Request-ID"]:
            raise Wrong(f"{method} {path} answers without a request id")
        if any(word in answer.body for word in INSIDE):
            raise Wrong(f"{method} {path} answers with what is inside")


def debug(service: Service) -> None:
    """Neither Werkzeug's debugger nor its server, nor the page of development."""
    asked = "/?__debugger__=yes&cmd=resource&f=style.css"
    if service.ask(asked).headers["Content-Type"] != "application/json":
        raise Wrong(f"{asked} is answered: this is a server of development")
    if "Werkzeug" in (service.ask("/console").headers["Server"] or ""):
        raise Wrong("Werkzeug's server answers, which is one of development")
    if service.token and (begun := service.begin())["debug"]:
        raise Wrong("it runs with debug on")
    if service.token and is_public(service.theirs) and begun["environment"] in INTERNAL:
        raise Wrong(f"APP_ENV is {begun['environment']}")


def document(service: Service) -> None:
    answer = service.ask("/openapi.json")
    if answer.status != 200 or not answer.json("/openapi.json").get("paths"):
        raise Wrong(f"/openapi.json answers {answer.status}, without paths")


def client(service: Service) -> None:
    """Rate limits and logs are of who asks: not of a proxy, and not of who they say they are."""
    seen = service.begin()["client"]
    if seen in NOBODIES:
        raise Wrong("it believes any X-Forwarded-For: PROXY_HOPS is larger than the proxies are")
    if service.client:
        if seen != service.client:
            raise Wrong(f"it takes us for {seen}, and not for {service.client}: see PROXY_HOPS")
    elif is_public(service.theirs):
        if not is_public(seen):
            raise Wrong(f"it takes us for {seen}, a proxy: PROXY_HOPS is less than the proxies are")
        raise Skipped(f"it takes us for {seen}: if you know your address, --client compares")
    elif not ipaddress.ip_address(service.theirs).is_loopback and seen != service.ours:
        raise Wrong(
            f"it takes us for {seen}, and we are {service.ours}: PROXY_HOPS is less than the"
            " proxies are (if addresses are translated on the way: --client says what is right)"
        )


def job(service: Service) -> None:
    """Through outbox and Redis to a worker, which must be of the same commit. Removes it."""
    path, deadline = f"/smoke/{service.begin()['job']}", time.monotonic() + service.timeout
    try:
        while True:
            found = service.ask(path, headers=service.authorized()).json(path)
            if found.get("status") == "succeeded":
                break
            if found.get("status") == "failed" or time.monotonic() >= deadline:
                raise Wrong(
                    f"the job is {found.get('status')} after {service.timeout:g} s:"
                    " are worker, scheduler and Redis there?"
                )
            time.sleep(0.2)
        if not service.is_expected(found["version"]):
            raise Wrong(f"the worker is of version {found['version']}, not {service.commit}")
    finally:
        removed = service.fetch(path, "DELETE", service.authorized()).status
    if removed != 204:
        raise Wrong(f"the job's row is not removed: DELETE {path} answers {removed}")


CHECKS: tuple[Callable[[Service], None], ...] = (
    ready,
    health,
    tls,
    redirect,
    headers,
    limits,
    cors,
    problems,
    debug,
    document,
    client,
    job,
)


def run(service: Service, *, as_json: bool = False) -> int:
    """Ask all of it, and print a line for each check: 0, or 1 with the first cause on stderr."""
    rows: list[Row] = []
    for row in look(service):
        rows.append(row)
        if not as_json:
            mark = "FAILED" if row["result"] == "failed" else row["result"]
            print(f"{row['check']:10} {mark:8} {row['ms']:6} ms  {row['why']}".rstrip(), flush=True)
    if as_json:
        print(json.dumps(rows, indent=2))
    failed = [row for row in rows if row["result"] == "failed"]
    if failed:
        print(f"failed: {failed[0]['check']}: {failed[0]['why']}", file=sys.stderr)
    elif skipped := [row["check"] for row in rows if row["result"] == "skipped"]:
        print(f"passed, but for what was not looked at: {', '.join(skipped)}", file=sys.stderr)
    return 1 if failed else 0


def look(service: Service) -> Iterator[Row]:
    """Ask all of it: what each check found. Without a service that is ready, none is asked."""
    is_ready = True
    for check in CHECKS:
        start = time.monotonic()
        try:
            if not is_ready:
                raise Skipped("not ready")
            check(service)
            result, why = "ok", ""
        except Skipped as reason:
            result, why = "skipped", str(reason)
        except Wrong as wrong:
            result, why = "failed", str(wrong)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # Not the error's words: who knows what is in them.
            result, why = "failed", f"an answer that no Slipway gives: {type(error).__name__}"
        is_ready = is_ready and not (check is ready and result == "failed")
        took = round(1000 * (time.monotonic() - start))
        yield {"check": check.__name__, "result": result, "ms": took, "why": why}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", type=address, help="https://api.example.com")
    parser.add_argument(
        "--commit", metavar="SHA", type=_commit, help="the COMMIT_SHA that it must say it is"
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=duration,
        default=60,
        help="to get ready in, and for a job (%(default)s)",
    )
    parser.add_argument(
        "--client", metavar="ADDRESS", type=ipaddress.ip_address, help="ours, as it must see it"
    )
    parser.add_argument(
        "--web-only", action="store_true", help="worker and scheduler may be older, or not there"
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument(
        "--insecure", action="store_true", help="accept any certificate: of a host by itself"
    )
    parser.add_argument(
        "--at", metavar="ADDRESS", type=ipaddress.ip_address, help="ask this server for the host"
    )
    parser.add_argument(
        "--forwarded", action="store_true", help="ask as a proxy on this server would (PROXY_HOPS)"
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="with the service's SMOKE_TOKEN (default: that variable); client and job need it",
    )


def service_of(found: argparse.Namespace, token: str | None) -> Service:
    """What the command line says. Raises Wrong for a file that is not there."""
    if found.token_file:
        try:
            token = found.token_file.read_text("ascii").strip()
        except OSError as error:
            raise Wrong(f"{found.token_file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise Wrong(f"{found.token_file} is no text with a token") from None
    if token and not re.fullmatch(r"(?!SMOKE_TOKEN=)[!-~]+", token):
        raise Wrong("SMOKE_TOKEN is one word, without NAME= before it, spaces or more lines")
    if found.client and not token:
        raise Wrong("--client needs the service's SMOKE_TOKEN, which tells whom it takes us for")
    scheme, host, port = found.url
    return Service(
        scheme,
        host,
        port,
        commit=found.commit,
        token=None if found.web_only else token,
        timeout=found.timeout,
        client=found.client and str(found.client),
        verified=not found.insecure,
        web_only=found.web_only,
        at=found.at and str(found.at),
        forwarded=found.forwarded,
    )


def address(text: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(text)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        (parts.hostname or "").encode("idna")
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{text!r} is no http:// or https:// URL") from None
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise argparse.ArgumentTypeError(f"{text!r} is not scheme and host alone")
    return parts.scheme, parts.hostname, port


def _commit(text: str) -> str:
    """The begin of one will do. Raises ArgumentTypeError for none at all: an empty variable."""
    if not re.fullmatch(r"[\w.-]{1,64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no commit")
    return text


def duration(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0
    if not 0 < found <= 3600:
        raise argparse.ArgumentTypeError("seconds from 1 to 3600 are needed")
    return found


def main(arguments: argparse.Namespace, token: str | None = None) -> int:
    """0 if all is well, else 1, or INTERRUPTED. The token is the service's SMOKE_TOKEN."""
    try:
        return run(service_of(arguments, token), as_json=arguments.json)
    except Wrong as wrong:
        print(f"failed: {wrong}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    words = argparse.ArgumentParser(prog="smoke", description=__doc__)
    add_arguments(words)
    sys.exit(main(words.parse_args()))
