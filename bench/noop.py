"""The job that does nothing but say that it ran."""

import os

import redis

from service.queue import job

_clients = {}


def done():
    client = _clients.get(os.getpid())
    if client is None:
        client = _clients[os.getpid()] = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.incr("bench:done")


@job()
def ours() -> None:
    done()


def plain() -> None:
    done()
