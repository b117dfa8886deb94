"""The OpenAPI document, made from the routes and their schemas, and the page that shows it.

Describe a route: `@describe(...)` on the view, below `@bp.get(...)`. flask-openapi was weighed:
it doubles the time to import, works out a JSON Schema on each request with a query, and turns
400 and 415 into 422.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from flask import Flask, Response, abort, request, send_from_directory
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from pydantic_core import to_json

from service.environment import ROOT, project
from service.schemas import Body, Out, Query

View = TypeVar("View", bound=Callable[..., Any])

DOCS = ROOT / "service" / "pages" / "docs.html"
# Of what the package of Swagger UI holds, what the page asks for; oauth2-redirect.html is not.
SWAGGER_FILES = ("swagger-ui.css", "index.css", "swagger-ui-bundle.js", "favicon-32x32.png")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
_REFERENCE = "#/components/schemas/{model}"
_PATH_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
_SCHEMAS: dict[str, dict[str, str]] = {
    "uuid": {"type": "string", "format": "uuid"},
    "int": {"type": "integer"},
}


class FieldError(Out):
    field: str
    message: str


class ProblemOut(Out):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldError] = []


class Description(NamedTuple):
    """What a view takes and gives. `returns` maps a status to a schema, None for no body."""

    returns: Mapping[int, type[Out] | None]
    body: type[Body] | None
    query: type[Query] | None
    signed_in: bool
    problems: tuple[int, ...]


def describe(
    returns: Mapping[int, type[Out] | None],
    body: type[Body] | None = None,
    query: type[Query] | None = None,
    signed_in: bool = False,
    problems: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """Put a view into the document. Its docstring's first line is the summary, the rest the
    description; what follows from its arguments (401, 404, 415, …) need not be said."""

    def mark(view: View) -> View:
        view.description = Description(returns, body, query, signed_in, problems)  # type: ignore[attr-defined]
        return view

    return mark


def document(app: Flask) -> dict[str, Any]:
    """The document of an app's described routes, as OpenAPI 3.1.

    https://spec.openapis.org/oas/v3.1.1.html
    """
    described = list(_described(app))
    models: set[tuple[type[BaseModel], Any]] = {(ProblemOut, "serialization")}
    for _, _, _, about in described:
        models |= {(model, "validation") for model in (about.body, about.query) if model}
        models |= {(model, "serialization") for model in about.returns.values() if model}
    ordered = sorted(models, key=lambda pair: (pair[0].__name__, pair[1]))
    references, definitions = models_json_schema(ordered, ref_template=_REFERENCE)
    schemas = definitions.get("$defs", {})
    paths: dict[str, dict[str, Any]] = {}
    for path, method, view, about in described:
        operation = _operation(path, method, view, about, references, schemas)
        paths.setdefault(_PATH_PARAMETER.sub(r"{\2}", path), {})[method.lower()] = operation
    title, version = project()
    used = {name: schema for name, schema in schemas.items() if not name.endswith("Query")}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": used,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _described(app: Flask) -> Iterator[tuple[str, str, Callable[..., Any], Description]]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if about := getattr(view, "description", None):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield rule.rule, method, view, about


def _operation(
    path: str,
    method: str,
    view: Callable[..., Any],
    about: Description,
    references: Mapping[Any, Any],
    schemas: Mapping[str, Any],
) -> dict[str, Any]:
    summary, _, rest = (view.__doc__ or view.__name__).strip().partition("\n")
    feature = view.__module__.split(".")[1]
    operation: dict[str, Any] = {
        "operationId": f"{feature}_{view.__name__}",
        "tags": [feature],
        "summary": summary.rstrip("."),
        "responses": _responses(path, method, about, references),
    }
    if rest.strip():
        operation["description"] = " ".join(rest.split())
    if parameters := list(_parameters(path, method, about, schemas)):
        operation["parameters"] = parameters
    if about.body:
        content = {"application/json": {"schema": references[about.body, "validation"]}}
        operation["requestBody"] = {"required": True, "content": content}
    if about.signed_in:
        operation["security"] = [{"token": []}]
    return operation


def _parameters(
    path: str, method: str, about: Description, schemas: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for converter, name in _PATH_PARAMETER.findall(path):
        schema = _SCHEMAS.get(converter, {"type": "string"})
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if about.query:
        schema = schemas[about.query.__name__]
        for name, each in schema["properties"].items():
            required = name in schema.get("required", ())
            yield {"name": name, "in": "query", "required": required, "schema": each}
    if method == "POST" and about.signed_in:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Send the same key again to get the first response again.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        }


def _responses(
    path: str, method: str, about: Description, references: Mapping[Any, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, model in about.returns.items():
        found[str(status)] = {"description": HTTPStatus(status).phrase}
        if model:
            schema = references[model, "serialization"]
            found[str(status)]["content"] = {"application/json": {"schema": schema}}
    problems = {429, 503, *about.problems}
    problems |= {400, 413, 415, 422} if about.body else set()
    problems |= {422} if about.query else set()
    problems |= {401} if about.signed_in else set()
    problems |= {400, 409, 413, 422} if about.signed_in and method == "POST" else set()
    problems |= {404} if "<" in path else set()
    schema = references[ProblemOut, "serialization"]
    for status in sorted(problems):
        content = {"application/problem+json": {"schema": schema}}
        found[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    return found


def init_app(app: Flask) -> None:
    @cache
    def rendered() -> bytes:
        return to_json(document(app))

    @app.get("/openapi.json")
    def openapi() -> Response:
        return Response(rendered(), mimetype="application/json")

    @app.get("/docs")
    def docs() -> Response:
        request.environ["service.csp"] = CONTENT_SECURITY_POLICY
        return Response(DOCS.read_text(), mimetype="text/html")

    @app.get(f"/docs/<any({', '.join(map(repr, SWAGGER_FILES))}):name>")
    def docs_file(name: str) -> Response:
        if (found := find_spec("flask_swagger_ui")) is None or not found.origin:
            abort(404)
        return send_from_directory(Path(found.origin).parent / "dist", name, max_age=86400)

    @app.get("/docs/docs.js")
    def docs_script() -> Response:
        return send_from_directory(DOCS.parent, "docs.js")
