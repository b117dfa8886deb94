"""What a team puts around Flask for production: the usual extensions, as their READMEs say.

It does what the service does, as it is known from tutorials: limits on Redis, tokens and the user
of one, headers, CORS, validation, request ids, a log line of JSON, metrics, Sentry.
"""

import logging
import os
import time
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import sentry_sdk
from flask import Flask, Response, g, jsonify, request
from flask.typing import ResponseReturnValue
from flask_cors import CORS
from flask_jwt_extended import JWTManager, current_user, jwt_required
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_sqlalchemy import SQLAlchemy
from flask_talisman import Talisman
from prometheus_flask_exporter.multiprocess import GunicornInternalPrometheusMetrics
from pydantic import BaseModel, ConfigDict, StringConstraints
from pythonjsonlogger.json import JsonFormatter
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.redis import RedisIntegration
from sentry_sdk.integrations.sqlalchemy import SqlalchemyIntegration
from sqlalchemy import DateTime
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# What its own choice comes to where nothing else is installed: here it would import Django,
# FastAPI and celery too, which lie beside it only to be measured.
sentry_sdk.init(
    dsn=os.environ["SENTRY_DSN"],
    auto_enabling_integrations=False,
    integrations=[FlaskIntegration(), SqlalchemyIntegration(), RedisIntegration()],
)

handler = logging.StreamHandler()
handler.setFormatter(JsonFormatter())
log = logging.getLogger("requests")
log.addHandler(handler)
log.setLevel(logging.INFO)


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
app.config["JWT_SECRET_KEY"] = os.environ["JWT_SECRET"]
db.init_app(app)
jwt = JWTManager(app)
CORS(app)
Talisman(app, force_https=False)  # TLS ends at the proxy
GunicornInternalPrometheusMetrics(app)
limiter = Limiter(
    get_remote_address,
    app=app,
    default_limits=[os.environ["RATE_LIMIT_DEFAULT"]],
    storage_uri=os.environ["REDIS_URL"],
    headers_enabled=True,
)


def now() -> datetime:
    return datetime.now(UTC)


class User(db.Model):  # type: ignore[name-defined, misc]
    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str]


class Post(db.Model):  # type: ignore[name-defined, misc]
    __tablename__ = "posts"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    author_id: Mapped[UUID]
    title: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, onupdate=now)


class PostIn(BaseModel):
    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    body: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


class PostOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    author_id: UUID
    title: str
    body: str
    created_at: datetime
    updated_at: datetime


def shown(post: Post) -> dict[str, Any]:
    return PostOut.model_validate(post).model_dump(mode="json")


@jwt.user_lookup_loader
def user_of(_: dict[str, Any], data: dict[str, Any]) -> User | None:
    return db.session.get(User, UUID(data["sub"]))


@app.before_request
def begin() -> None:
    g.request_id = request.headers.get("X-Request-ID") or str(uuid.uuid4())
    g.started = time.perf_counter()


@app.after_request
def end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    line = {
        "request_id": g.request_id,
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "duration_ms": round((time.perf_counter() - g.started) * 1000, 2),
        "client": request.remote_addr,
    }
    log.info("request", extra=line)
    return response


@app.get("/health/live")
@limiter.exempt
def live() -> ResponseReturnValue:
    return {}


@app.get("/api/posts/<uuid:post_id>")
def show(post_id: UUID) -> ResponseReturnValue:
    return jsonify(shown(db.get_or_404(Post, post_id)))


@app.get("/api/posts")
def index() -> ResponseReturnValue:
    limit = request.args.get("limit", 20, type=int)
    posts = db.session.scalars(db.select(Post).order_by(Post.id.desc()).limit(limit))
    return jsonify({"items": [shown(post) for post in posts]})


@app.post("/api/posts")
@jwt_required()
def create() -> ResponseReturnValue:
    data = PostIn.model_validate(request.get_json())
    post = Post(author_id=current_user.id, title=data.title, body=data.body)
    db.session.add(post)
    db.session.commit()
    return jsonify(shown(post)), 201
