"""Posts over HTTP."""

from uuid import UUID

from flask import Blueprint, Response

from service.db import insert, session
from service.openapi import describe
from service.posts.models import Post
from service.posts.schemas import PostBody, PostOut, PostPatch, PostQuery
from service.schemas import Page
from service.tokens import make_cursor, read_cursor
from service.users import current_user

bp = Blueprint("posts", __name__, url_prefix="/api/posts")


@bp.get("")
@describe(query=PostQuery, returns={200: Page[PostOut]})
def index() -> Response:
    """The newest posts."""
    query = PostQuery.read()
    before = None if query.cursor is None else read_cursor(query.cursor)
    posts = Post.newest(query.limit + 1, before, query.author)
    page, more = posts[: query.limit], len(posts) > query.limit
    cursor = make_cursor(page[-1].id) if more else None
    return Page[PostOut].response({"items": page, "next_cursor": cursor})


@bp.post("")
@describe(body=PostBody, returns={201: PostOut}, signed_in=True)
def create() -> Response:
    """Write a post."""
    user, body = current_user(), PostBody.read()
    post = insert(Post, author_id=user.id, title=body.title, body=body.body)
    session.commit()
    return PostOut.response(post, 201, {"Location": f"/api/posts/{post.id}"})


@bp.get("/<uuid:id>")
@describe(returns={200: PostOut})
def show(id: UUID) -> Response:
    """One post."""
    return PostOut.response(Post.show(id))


@bp.patch("/<uuid:id>")
@describe(body=PostPatch, returns={200: PostOut}, signed_in=True, problems=(403,))
def update(id: UUID) -> Response:
    """Change a post of yours."""
    user, body = current_user(), PostPatch.read()
    post = Post.of_author(id, user.id)
    post.edit(body.title, body.body)
    session.commit()
    return PostOut.response(post)


@bp.delete("/<uuid:id>")
@describe(returns={204: None}, signed_in=True, problems=(403,))
def destroy(id: UUID) -> Response:
    """Delete a post of yours."""
    session.delete(Post.of_author(id, current_user().id))
    session.commit()
    return Response(status=204)
