"""The page at `/`: in development the state of every part, elsewhere the name and version.

Change what the page shows: service/pages/home.html, .css and .js, which need no build.
"""

from flask import Flask, Response, jsonify, request, send_from_directory

from service.environment import ROOT, project
from service.settings import Settings

PAGES = ROOT / "service" / "pages"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def init_app(app: Flask, settings: Settings, email: str, password: str) -> None:
    """The e-mail address and password are those of the demo account, for developers to see."""

    def describe() -> Response:
        name, _ = project()
        return jsonify(name=name, version=settings.commit_sha, docs="/docs")

    def page() -> Response:
        request.environ["service.csp"] = CONTENT_SECURITY_POLICY
        return send_from_directory(PAGES, "home.html")

    def page_file(name: str) -> Response:
        return send_from_directory(PAGES, name)

    def page_data() -> Response:
        name, version = project()
        demo = {"email": email, "password": password}
        return jsonify(name=name, version=version, commit=settings.commit_sha, demo=demo)

    if settings.app_env != "development":
        app.add_url_rule("/", view_func=describe)
        return
    app.add_url_rule("/", view_func=page)
    app.add_url_rule(
        "/<any('home.css', 'home.js', 'home.svg', 'words.js'):name>", view_func=page_file
    )
    app.add_url_rule("/home.json", view_func=page_data)
