"""The page at `/`: in development the state of every part, elsewhere the name and version."""

from typing import Any

from flask import Flask, Response, jsonify, request, send_from_directory

from service.settings import ROOT, Settings

PAGES = ROOT / "service" / "pages"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)


def init_app(app: Flask, settings: Settings) -> None:
    def describe() -> Any:
        body = {"name": app.config["NAME"], "version": settings.commit_sha, "docs": "/docs"}
        return jsonify(body)

    def page() -> Response:
        request.environ["service.csp"] = CONTENT_SECURITY_POLICY
        return send_from_directory(PAGES, "home.html")

    def page_file(name: str) -> Response:
        return send_from_directory(PAGES, f"home.{name}")

    if settings.app_env == "development":
        app.add_url_rule("/", view_func=page)
        app.add_url_rule("/home.<any(css, js):name>", view_func=page_file)
    else:
        app.add_url_rule("/", view_func=describe)
