"""web with a route more: the name of the newest account, which may come from the replica."""

from flask import Response
from sqlalchemy import select

from service.app import create_app
from service.db import fetch
from service.rows import Prepared
from service.users.models import User

NEWEST = Prepared(select(User.name).order_by(User.id.desc()).limit(1))

app = create_app()


@app.get("/stale")
def newest() -> Response:
    return Response(fetch(NEWEST, stale=True)[0].name, content_type="text/plain")
