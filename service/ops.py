"""/ops: a page for operators, with what there is where there is no Grafana.

Only where there is an OPS_TOKEN; else nothing of this is imported. What it shows is made in
overview.py; how, in service/pages/ops.html, .css and .js, which need no build.
"""

from uuid import UUID

import structlog
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    jsonify,
    redirect,
    request,
    send_from_directory,
)
from pydantic import SecretStr
from pydantic_core import to_json
from sqlalchemy import select

from service import admission, failures, limits
from service.db import session
from service.edge import is_https
from service.errors import Forbidden, Unauthorized
from service.home import PAGES
from service.limits import TooManyRequests
from service.outbox import FAILED, Job
from service.overview import Overview
from service.settings import Settings, settings
from service.tokens import is_bearer

log = structlog.get_logger()

bp = Blueprint("ops", __name__, url_prefix="/ops")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
FILES = (
    *("ops.css", "ops.js", "words.js", "home.css", "home.svg"),
    *("uPlot.iife.min.js", "uPlot.min.css"),
)
OPEN = ("ops.page", "ops.file", "ops.sign_in", "ops.sign_out")  # without a session
SAID = "<!-- said -->"
WRONG = "That is not the OPS_TOKEN of this service."
TOO_OFTEN = "Too many attempts. Try again in {} s."


@bp.before_request
def check() -> None:
    """Raises Forbidden for what another site sends, Unauthorized without session or token."""
    if _has_bearer():  # which no other site can send; Basic may be a proxy's, in front of us
        if not is_bearer(_token(), request.headers["Authorization"]):
            limits.count("rate_limit_login")
            raise Unauthorized("The operator's page needs its token: Authorization: Bearer.")
    else:
        if request.method == "POST" and not admission.is_from_here(request):
            raise Forbidden("This was not sent by a page of this service.")
        if request.endpoint in OPEN:
            return
        if not _is_signed_in():
            raise Unauthorized("Sign in at /ops.")
    request.environ["service.user"] = "operator"


@bp.get("")
def page() -> Response:
    """The page, or the form to sign in with."""
    if _has_bearer() or _is_signed_in():
        return _html("ops.html")
    return _html("ops-sign-in.html")


@bp.get(f"/<any({', '.join(map(repr, FILES))}):name>")
def file(name: str) -> Response:
    kept = 86400 if name.startswith("uPlot") else None
    return send_from_directory(PAGES, name, max_age=kept)


@bp.post("/sign-in")
def sign_in() -> Response:
    """The cookie, for the token. This is for people: what is wrong comes back with the form."""
    try:
        limits.count("rate_limit_login")
    except TooManyRequests as refusal:
        found = _html("ops-sign-in.html", 429, TOO_OFTEN.format(refusal.headers["Retry-After"]))
        found.headers.update(refusal.headers)
        return found
    if not admission.is_token(_token(), request.form.get("token", "")):
        log.warning("operator", verb="sign in", refused=True, client=request.remote_addr)
        return _html("ops-sign-in.html", 401, WRONG)
    log.warning("operator", verb="sign in", client=request.remote_addr)
    found = redirect("/ops", 303)  # type: ignore[assignment]
    found.set_cookie(
        admission.COOKIE,
        admission.issue(_token()),
        max_age=admission.LIFETIME,
        path="/ops",
        secure=is_https(request.environ, settings().proxy_hops),
        httponly=True,
        samesite="Strict",
    )
    return found


@bp.post("/sign-out")
def sign_out() -> Response:
    found = redirect("/ops", 303)
    found.delete_cookie(admission.COOKIE, path="/ops")
    return found  # type: ignore[return-value]


@bp.get("/state.json")
def state() -> Response:
    overview: Overview = current_app.extensions["overview"]
    headers = {"Cache-Control": "no-store"}
    return Response(to_json(overview.snapshot()), headers=headers, mimetype="application/json")


@bp.post("/jobs/<uuid:id>/<any('retry', 'discard'):verb>")
def change(id: UUID, verb: str) -> Response:
    """Have a job that failed tried again, or forget it. The second time nothing changes: the
    answer has its status by then, null if there is none."""
    wanted = failures.retry() if verb == "retry" else failures.DISCARD
    done = failures.apply(wanted, Job.id == id, Job.status == FAILED)
    status = session.scalar(select(Job.status).where(Job.id == id))
    session.commit()
    about = {"verb": verb, "job": str(id), "function": done[0].function if done else None}
    log.warning("operator", **about, changed=bool(done), client=request.remote_addr)
    return jsonify(changed=bool(done), status=status)


def _has_bearer() -> bool:
    return request.headers.get("Authorization", "").lower().startswith("bearer ")


def _is_signed_in() -> bool:
    return admission.is_valid(_token(), request.cookies.get(admission.COOKIE, ""))


def _token() -> SecretStr:
    token = settings().ops_token
    assert token is not None, "or there were no such routes"
    return token


def _html(name: str, status: int = 200, said: str = "") -> Response:
    request.environ["service.csp"] = CONTENT_SECURITY_POLICY
    text = (PAGES / name).read_text().replace(SAID, said)
    return Response(text, status, {"Cache-Control": "no-store"}, mimetype="text/html")


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["overview"] = Overview(app, settings)
    app.register_blueprint(bp)
