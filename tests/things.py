"""A feature of the tests' own, at /things: the chassis is tested without the sample's help.

A thing is a row of `users`, the one table that every product keeps.
"""

from typing import Annotated
from uuid import UUID, uuid4

from flask import Blueprint, Flask, Response
from pydantic import Field
from sqlalchemy import bindparam, func, select

from service.db import fetch, insert, session
from service.errors import NotFound
from service.rows import Prepared
from service.schemas import Body, Out, Query
from service.users import current_user
from service.users.models import User

BY_ID = Prepared(select(User).where(User.id == bindparam("id")))
OF_OWNER = select(func.count()).where(User.password_hash == bindparam("owner"))


class ThingBody(Body):
    name: str


class ThingQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class ThingOut(Out):
    id: UUID
    name: str


class Count(Out):
    count: int


def register(app: Flask) -> None:
    bp = Blueprint("things", __name__, url_prefix="/things")

    @bp.get("")
    def index() -> Response:
        """How many things are nobody's: none."""
        ThingQuery.read()
        return Count.response(Count(count=fetch(OF_OWNER, owner="")[0][0]))

    @bp.get("/mine")
    def mine() -> Response:
        return Count.response(Count(count=fetch(OF_OWNER, owner=str(current_user().id))[0][0]))

    @bp.post("")
    def create() -> Response:
        user, body = current_user(), ThingBody.read()
        email = f"{uuid4()}@things.example.com"
        thing = insert(User, email=email, name=body.name, password_hash=str(user.id))
        session.commit()
        return ThingOut.response(thing, 201, {"Location": f"/things/{thing.id}"})

    @bp.get("/<uuid:id>")
    def show(id: UUID) -> Response:
        if not (found := fetch(BY_ID, id=id)):
            raise NotFound("There is no such thing.")
        return ThingOut.response(found[0])

    app.register_blueprint(bp)
