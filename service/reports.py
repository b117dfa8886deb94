"""Error reports to Sentry: off, and not even imported, without a SENTRY_DSN.

Change what a report holds: `capture`. By default it has no personal data.
"""

from typing import Any

from flask import Flask, has_request_context, request

from service.logs import hide
from service.settings import Settings

_state: dict[str, Any] = {}  # empty, or sentry_sdk and its options: one client for the process


def init_app(app: Flask, settings: Settings) -> None:
    if settings.sentry_dsn is None:
        return
    import sentry_sdk  # costs 0.15 s and 15 MB, so only those who use it pay

    traces = settings.sentry_traces_sample_rate
    options: dict[str, Any] = {
        "dsn": settings.sentry_dsn.get_secret_value(),
        "environment": settings.app_env,
        "release": settings.commit_sha,
        "send_default_pii": False,
        "max_request_body_size": "never",
        "include_local_variables": False,
        "before_send": _hide_credentials,
        "before_send_transaction": _hide_request,
        "auto_session_tracking": False,
        "traces_sample_rate": traces,
        # The integrations wrap every request, query and log line, which costs 250 µs a
        # request even when nothing fails. Errors are captured where they become a response.
        "default_integrations": False,
        "auto_enabling_integrations": False,
        "integrations": _tracing() if traces else [],
    }
    sentry_sdk.init(**options)
    _state.update(sdk=sentry_sdk, options=options)


def begin_anew() -> None:
    """In a process that was forked from one that may have reported: its client's locks and
    connection are the parent's."""
    if sdk := _state.get("sdk"):
        sdk.init(**_state["options"])


def _hide_credentials(event: Any, _: Any) -> Any:
    """The event without what an exception's text may quote: URLs with passwords, tokens."""
    event.pop("request", None)
    for each in event.get("exception", {}).get("values", ()):
        each["value"] = hide(each.get("value") or "")
    return event


def _hide_request(event: Any, _: Any) -> Any:
    """The transaction without headers and query: they may hold tokens and personal data."""
    event.pop("request", None)
    return event


def _tracing() -> list[Any]:
    from sentry_sdk.integrations.flask import FlaskIntegration
    from sentry_sdk.integrations.sqlalchemy import SqlalchemyIntegration

    return [FlaskIntegration(), SqlalchemyIntegration()]


def capture(error: BaseException, name: str | None = None, request_id: str | None = None) -> None:
    """Report an error with the request's id, method and route: not its address, body or headers.

    Outside a request, with what failed and the id of the request that it goes back to.
    """
    if not (sdk := _state.get("sdk")):
        return
    with sdk.new_scope() as scope:
        if has_request_context():
            rule = request.url_rule
            scope.set_tag("request_id", request.environ.get("service.request_id"))
            scope.set_transaction_name(f"{request.method} {rule.rule if rule else 'unmatched'}")
        elif name:
            scope.set_tag("request_id", request_id)
            scope.set_transaction_name(name)
        scope.capture_exception(error)


def flush(seconds: float = 2) -> None:
    """Send what is queued, before the process ends."""
    if sdk := _state.get("sdk"):
        sdk.flush(timeout=seconds)
