"""The composition root: what the app is made of.

Add a feature: one import and one line in FEATURES, below those that it builds on.
"""

from functools import cache

import structlog
from flask import Flask, Response, request
from flask.typing import ResponseReturnValue

from service import (
    db,
    errors,
    flags,
    handover,
    health,
    home,
    idempotency,
    limits,
    logs,
    mail,
    metrics,
    openapi,
    redis,
    reports,
    server,
    smoke,
    storage,
    tokens,
)
from service import jobs
from service import posts  # sample
from service import uploads
from service import users
from service.edge import Edge, behind_proxies
from service.environment import ROOT
from service.settings import Settings
from service.tracing import Tracer

log = structlog.get_logger()

# The order is the law: a feature may import those above it, and no others.
FEATURES = (
    users,
    jobs,
    uploads,
    posts,  # sample
)


class Application(Flask):
    """Flask, with what must wrap the view itself."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Dispatch, once for each idempotency key, and again where a read lost its connection."""
        view = super().dispatch_request
        keyed = request.method == "POST" and "HTTP_IDEMPOTENCY_KEY" in request.environ
        if keyed and request.blueprint != "ops":  # which knows no users, and may be asked twice
            if (user := users.signed_in()) is not None:
                return idempotency.once(user.id, view)
        return db.once_more(view)


def create_app(settings: Settings | None = None, process: str = "web") -> Flask:
    """The app of a process of the service. Opens no connection; raises SettingsError."""
    found = settings or Settings.load()
    logs.configure(found)
    for each in found.warnings:
        log.warning(each)
    app = Application("service", root_path=str(ROOT / "service"), static_folder=None)
    app.extensions["settings"] = found
    app.extensions["keys"] = tokens.Keys(found)
    # Flask looks at three functions in each request, whether they are coroutines: 4 % of a read.
    app.ensure_sync = cache(app.ensure_sync)  # type: ignore[method-assign]
    app.config["MAX_CONTENT_LENGTH"] = found.max_content_length
    # A redirect would lose the body of a POST, or answer a probe of //health.
    app.url_map.strict_slashes = app.url_map.merge_slashes = False
    _compose(app, found, process)
    return app


def _compose(app: Flask, settings: Settings, process: str) -> None:
    errors.init_app(app)
    flags.init_app(app, settings)
    reports.init_app(app, settings)
    db.init_app(app, settings, process)
    redis.init_app(app, settings)
    handover.init_app(app, settings)
    mail.init_app(app, settings)
    limits.init_app(app, settings, server.processes(settings).count)
    storage.init_app(app, settings)
    health.init_app(app, settings)
    metrics.init_app(app, settings)
    app.extensions["tracer"] = tracer = _tracer(settings)
    openapi.init_app(app)
    home.init_app(app, settings, users.demo.EMAIL, users.demo.PASSWORD)
    app.register_blueprint(smoke.bp)
    if settings.ops_token:
        from service import ops  # so only those who have an operator's page pay for it

        ops.init_app(app, settings)
    for feature in FEATURES:
        app.register_blueprint(feature.bp)
    if settings.frontend_url:
        _allow_origins(app, settings)
    edge = Edge(app.wsgi_app, settings, tracer)
    app.wsgi_app = behind_proxies(edge, settings.proxy_hops)  # type: ignore[method-assign]


def _tracer(settings: Settings) -> Tracer | None:
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    from service import spans  # OpenTelemetry costs 75 ms and 7 MB, so only those who use it pay

    return spans.Tracer(settings)


def _allow_origins(app: Flask, settings: Settings) -> None:
    from flask_cors import CORS  # costs 60 µs a request, so only those who use it pay

    CORS(
        app,
        resources=r"/api/*",
        origins=list(settings.frontend_url),
        supports_credentials=True,
        always_send=False,
        expose_headers=["Location", "Retry-After", "X-Request-ID", *limits.HEADERS],
        max_age=600,
    )

    @app.after_request
    def vary(response: Response) -> Response:
        """Also where no origin was allowed: or a cache would give that answer to one that is."""
        if request.path.startswith("/api/"):
            response.vary.add("Origin")
        return response
