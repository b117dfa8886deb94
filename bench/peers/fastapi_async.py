"""FastAPI and SQLAlchemy's asyncio extension with asyncpg, as their pages have them."""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.peers.posts import Page, Post, PostIn, PostOut

app = FastAPI()
engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:", 1)
)
# Not expired: an attribute that is read after the commit would wait for the database unawaited.
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


@app.get("/health/live")
async def live() -> dict[str, str]:
    return {}


@app.get("/api/posts/{post_id}", response_model=PostOut)
async def show(post_id: UUID, session: SessionDep) -> Any:
    post = await session.get(Post, post_id)
    if post is None:
        raise HTTPException(404, "Not found")
    return post


@app.get("/api/posts", response_model=Page)
async def index(session: SessionDep, limit: int = 20) -> Any:
    found = await session.scalars(select(Post).order_by(Post.id.desc()).limit(limit))
    return {"items": found.all()}


@app.post("/api/posts", response_model=PostOut, status_code=201)
async def create(data: PostIn, session: SessionDep) -> Any:
    post = Post(**data.model_dump())
    session.add(post)
    await session.commit()
    return post
