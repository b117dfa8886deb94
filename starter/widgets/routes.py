"""Widgets over HTTP."""

from uuid import UUID

from flask import Blueprint, Response

from service.db import insert, session
from service.openapi import describe
from service.schemas import Page
from service.tokens import make_cursor, read_cursor
from service.users import current_user
from starter.widgets.models import Widget
from starter.widgets.schemas import WidgetBody, WidgetOut, WidgetPatch, WidgetQuery

bp = Blueprint("widgets", __name__, url_prefix="/api/widgets")


@bp.get("")
@describe(query=WidgetQuery, returns={200: Page[WidgetOut]}, signed_in=True)
def index() -> Response:
    """Your widgets, the newest first."""
    user, query = current_user(), WidgetQuery.read()
    before = None if query.cursor is None else read_cursor(query.cursor)
    found = Widget.newest(user.id, query.limit + 1, before)
    page, more = found[: query.limit], len(found) > query.limit
    cursor = make_cursor(page[-1].id) if more else None
    return Page[WidgetOut].response({"items": page, "next_cursor": cursor})


@bp.post("")
@describe(body=WidgetBody, returns={201: WidgetOut}, signed_in=True)
def create() -> Response:
    """Make a widget."""
    user, body = current_user(), WidgetBody.read()
    made = insert(Widget, owner_id=user.id, name=body.name)
    session.commit()
    return WidgetOut.response(made, 201, {"Location": f"/api/widgets/{made.id}"})


@bp.get("/<uuid:id>")
@describe(returns={200: WidgetOut}, signed_in=True)
def show(id: UUID) -> Response:
    """One widget of yours."""
    return WidgetOut.response(Widget.show(id, current_user().id))


@bp.patch("/<uuid:id>")
@describe(body=WidgetPatch, returns={200: WidgetOut}, signed_in=True)
def update(id: UUID) -> Response:
    """Change a widget of yours."""
    user, body = current_user(), WidgetPatch.read()
    kept = Widget.of_owner(id, user.id)
    kept.edit(body.name)
    session.commit()
    return WidgetOut.response(kept)


@bp.delete("/<uuid:id>")
@describe(returns={204: None}, signed_in=True)
def destroy(id: UUID) -> Response:
    """Delete a widget of yours."""
    session.delete(Widget.of_owner(id, current_user().id))
    session.commit()
    return Response(status=204)
