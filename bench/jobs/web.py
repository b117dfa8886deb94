"""The service with two routes more: an insert, and the same insert with a job."""

from flask import Response

from bench.jobs.noop import ours
from service.app import create_app
from service.db import insert, session
from service.outbox import enqueue
from service.posts.models import Post
from service.posts.schemas import PostBody, PostOut
from service.users import current_user

app = create_app()


def create(with_job: bool) -> Response:
    user, body = current_user(), PostBody.read()
    post = insert(Post, author_id=user.id, title=body.title, body=body.body)
    if with_job:
        enqueue(session, ours)
    session.commit()
    return PostOut.response(post, 201, {"Location": f"/api/posts/{post.id}"})


app.add_url_rule("/api/bare", "bare", lambda: create(False), methods=["POST"])
app.add_url_rule("/api/with-job", "with_job", lambda: create(True), methods=["POST"])
