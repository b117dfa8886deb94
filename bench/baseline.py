"""Baseline B: bare Flask + SQLAlchemy ORM as their quick starts write it, nothing else on.

Do not tune it: it is what the service's costs are measured against.
"""

import os
from datetime import UTC, datetime
from uuid import UUID, uuid4

from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy import DateTime, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    pass


class Post(Base):
    __tablename__ = "posts"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    author_id: Mapped[UUID]
    title: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, onupdate=now)

    def to_dict(self) -> dict[str, str]:
        """Return the fields and formats that the service returns."""
        return {
            "id": str(self.id),
            "title": self.title,
            "body": self.body,
            "author_id": str(self.author_id),
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }


app = Flask(__name__)
engine = create_engine(os.environ["DATABASE_URL"])


@app.get("/health/live")
def live() -> ResponseReturnValue:
    return {}


@app.get("/api/posts/<uuid:post_id>")
def show(post_id: UUID) -> ResponseReturnValue:
    with Session(engine) as session:
        post = session.get(Post, post_id)
        if post is None:
            abort(404)
        return jsonify(post.to_dict())


@app.get("/api/posts")
def index() -> ResponseReturnValue:
    limit = request.args.get("limit", 20, type=int)
    with Session(engine) as session:
        posts = session.scalars(select(Post).order_by(Post.id.desc()).limit(limit))
        return jsonify({"items": [post.to_dict() for post in posts]})


@app.post("/api/posts")
def create() -> ResponseReturnValue:
    data = request.get_json()
    with Session(engine) as session:
        post = Post(author_id=UUID(data["author_id"]), title=data["title"], body=data["body"])
        session.add(post)
        session.commit()
        return jsonify(post.to_dict()), 201
