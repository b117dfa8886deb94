"""The edge: one WSGI middleware around the app for ids, headers, the log, metrics and traces.

One layer instead of five pairs of hooks: what each request needs is done once, in 25 µs.
Change the headers that every response carries: `HEADERS`.
"""

import random
import re
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import structlog
from werkzeug.middleware.proxy_fix import ProxyFix

from service import errors, logs, metrics
from service.settings import Settings
from service.tracing import Tracer

log = structlog.get_logger()

# Of the OWASP secure headers project, those that mean something for an API.
# https://owasp.org/www-project-secure-headers/
HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
FRAMES = ("X-Frame-Options", "DENY")
CONTENT_SECURITY_POLICY = "default-src 'none'; frame-ancestors 'none'"
HSTS = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")

HEALTH = frozenset(("health", "health/live", "health/ready"))  # asked too often to be logged

_SANE_ID = re.compile(r"[\w.:=+/@-]{1,128}", re.ASCII)
# A name or an address, and a port that is left out if it is HTTP's own (RFC 9110 section 7.2).
_HOST = re.compile(r"([A-Za-z0-9._-]+(?::(?!80$)\d+)?|\[[0-9A-Fa-f:.]+\](?::(?!80$)\d+)?)(?::80)?")
_SENT_AS_IT_IS = "%/?:@!$&'()*+,;=~-._[]|"
_UNMATCHED = "unmatched"  # one label for all unknown paths, or scanners would fill the metrics
_OPERATORS = ("/metrics/", "/ops/")  # what is promised to users is measured by what they ask
_METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS".split())

Environ = dict[str, Any]


class Edge:
    """Wraps a WSGI app. What the app leaves in the environ is added to the response and log:

    `service.headers`: list of (name, value); `service.csp`: a page's own policy instead of
    the strict one; `service.user`: the id of who is signed in.
    """

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        settings: Settings,
        tracer: Tracer | None = None,
    ) -> None:
        self.app = app
        self.tracer = tracer
        self.https_only = settings.is_production and settings.https_only
        self.hops = settings.proxy_hops

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start = time.perf_counter()
        id = environ.get("HTTP_X_REQUEST_ID", "")
        if not _SANE_ID.fullmatch(id):
            id = f"{random.getrandbits(128):032x}"  # unique is enough, and it is no system call
        environ["service.request_id"] = id
        extra: list[tuple[str, str]] = []
        environ["service.headers"] = extra
        environ["REMOTE_ADDR"] = plain(environ.get("REMOTE_ADDR", ""))
        sent, route = "500", _UNMATCHED

        def respond(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            nonlocal sent, route
            sent = status
            # Flask lets go of the request when it returns: this is the time to ask.
            if (rule := getattr(environ.get("werkzeug.request"), "url_rule", None)) is not None:
                route = rule.rule
            headers += extra
            headers += HEADERS
            headers.append(("X-Request-ID", id))
            headers.append(
                ("Content-Security-Policy", environ.get("service.csp", CONTENT_SECURITY_POLICY))
            )
            headers.append(FRAMES)
            if self.https_only and is_https(environ, self.hops):
                headers.append(HSTS)
            return start_response(status, headers, *rest)

        if environ["PATH_INFO"].strip("/") in HEALTH:
            return self.app(environ, respond)
        token = logs.request_id.set(id)
        span = self.tracer.begin_request(environ) if self.tracer else None
        metrics.IN_FLIGHT.inc()
        try:
            if self.https_only and told_scheme(environ, self.hops) == "http":
                return _to_https(environ, respond)
            return self.app(environ, respond)
        finally:
            metrics.IN_FLIGHT.dec()
            method = _record(environ, sent, route, time.perf_counter() - start)
            if span:
                scheme = "https" if is_https(environ, self.hops) else "http"
                known = route if route != _UNMATCHED else None
                span.answered(environ, method, known, int(sent[:3]), scheme)
                span.end()
            logs.request_id.reset(token)


def told_scheme(environ: Environ, hops: int) -> str:
    """What the client speaks, `https` or `http`, as the outermost proxy that is trusted has it;
    nothing if none says. Most write the header anew, so there may be fewer words than proxies.
    """
    said = environ.get("HTTP_X_FORWARDED_PROTO", "") if hops else ""
    words = [word.strip() for word in said.split(",") if word.strip()]
    return words[-min(hops, len(words))] if words else ""


def is_https(environ: Environ, hops: int) -> bool:
    """Whether the client speaks https, as far as one can tell."""
    return (told_scheme(environ, hops) or environ["wsgi.url_scheme"]) == "https"


def _to_https(environ: Environ, respond: Callable[..., Any]) -> Iterable[bytes]:
    """The same, but not in the clear: some platforms (Heroku) leave that to us. 308 keeps the
    method and the body (RFC 9110 section 15.4.9)."""
    if (host := _HOST.fullmatch(environ.get("HTTP_HOST", ""))) is None:
        problem = errors.BadRequest("The Host header is not valid.")
        body = errors.body_of(problem, environ["PATH_INFO"], environ["service.request_id"])
        kind = ("Content-Type", "application/problem+json")
        respond("400 Bad Request", [kind, ("Content-Length", str(len(body)))])
        return [body]
    # As it was sent, byte for byte: what is decoded and encoded again may be another resource.
    target = re.sub(r"^https?://[^/?]*", "", environ["RAW_URI"], flags=re.I).encode("latin-1")
    location = f"https://{host[1]}{quote(target, safe=_SENT_AS_IT_IS)}"
    respond("308 Permanent Redirect", [("Location", location), ("Content-Length", "0")])
    return []


def plain(address: str) -> str:
    """An address as it is counted: that of an IPv4 client of a socket that takes both is IPv4."""
    return address[7:] if address.startswith("::ffff:") else address


def behind_proxies(app: Callable[..., Any], hops: int) -> Callable[..., Any]:
    """The app, which is told the client's address by so many proxies; none are believed for 0."""
    return ProxyFix(app, x_for=hops, x_proto=0, x_host=0) if hops else app


def _record(environ: Environ, status: str, route: str, seconds: float) -> str:
    """Count and log a request, a user's at least; its method, as it may be told."""
    method: str = environ["REQUEST_METHOD"]
    if method not in _METHODS:
        method = "OTHER"
    if not f"{route}/".startswith(_OPERATORS):
        metrics.observe(method, route, status, seconds)
    log.info(
        "request",
        method=method,
        path=environ["PATH_INFO"],
        route=route,
        status=int(status[:3]),
        duration_ms=round(seconds * 1000, 2),
        client=environ.get("REMOTE_ADDR"),
        user=environ.get("service.user"),
    )
    return method
