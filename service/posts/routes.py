"""Posts over HTTP."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import Blueprint, Response, send_file

from service.db import insert, session
from service.jobs.schemas import JobOut
from service.openapi import describe
from service.posts import jobs
from service.posts.models import Post, PostExport
from service.posts.schemas import PostBody, PostOut, PostPatch, PostQuery
from service.schemas import Page
from service.storage import LocalFiles, files
from service.tokens import make_cursor, read_cursor
from service.users import current_user

bp = Blueprint("posts", __name__, url_prefix="/api/posts")

LINK_LIFETIME = timedelta(hours=1)


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


@bp.post("/exports")
@describe(returns={202: JobOut}, signed_in=True, problems=(503,))
def export() -> Response:
    """Have all your posts written into a CSV file.

    It takes a while: ask for the job until it has succeeded. Its result has the file's URL.
    """
    user = current_user()
    files()
    id = jobs.ask_for_export(user.id)
    session.commit()
    job = JobOut(id=id, status="queued", progress=None, result=None, error=None)
    return JobOut.response(job, 202, {"Location": f"/api/jobs/{id}"})


@bp.get("/exports/<uuid:id>")
@describe(returns={302: None}, signed_in=True, problems=(503,))
def download(id: UUID) -> Response:
    """The file of an export, by the id of its job: where to fetch it for an hour."""
    file = PostExport.of_author(id, current_user().id).file
    if isinstance(store := files(), LocalFiles):
        return send_file(store.path(file), "text/csv", True, "posts.csv")
    url = store.download_url(file, "posts.csv", LINK_LIFETIME, datetime.now(UTC))
    return Response(status=302, headers={"Location": url})


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
