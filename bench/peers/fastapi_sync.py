"""FastAPI and SQLAlchemy's ordinary sessions, as their tutorials have them, nothing else on."""

import os
from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from bench.peers.posts import Page, Post, PostIn, PostOut

app = FastAPI()
engine = create_engine(os.environ["DATABASE_URL"])


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


@app.get("/health/live")
def live() -> dict[str, str]:
    return {}


@app.get("/api/posts/{post_id}", response_model=PostOut)
def show(post_id: UUID, session: SessionDep) -> Any:
    post = session.get(Post, post_id)
    if post is None:
        raise HTTPException(404, "Not found")
    return post


@app.get("/api/posts", response_model=Page)
def index(session: SessionDep, limit: int = 20) -> Any:
    return {"items": session.scalars(select(Post).order_by(Post.id.desc()).limit(limit)).all()}


@app.post("/api/posts", response_model=PostOut, status_code=201)
def create(data: PostIn, session: SessionDep) -> Any:
    post = Post(**data.model_dump())
    session.add(post)
    session.commit()
    session.refresh(post)
    return post
