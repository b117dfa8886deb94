"""A worker of plain RQ, the default class, with the application imported before it forks."""

import os

import redis
from rq import Queue, Worker

import service.app  # noqa: F401

connection = redis.Redis.from_url(os.environ["REDIS_URL"])
Worker([Queue(connection=connection)], connection=connection).work(logging_level="WARNING")
