"""Redis as a test wants it, however slow this machine is: the service's own client gives up after
0.15 s, and then requests are not counted for some seconds."""

import redis
from flask import Flask
from flask.testing import FlaskClient

from tests.waiting import until

SOMEBODY_ELSE = {"REMOTE_ADDR": "198.51.100.250"}


def empty(app: Flask) -> None:
    """Empty the Redis of an app."""
    url = app.extensions["settings"].redis_url.get_secret_value()
    with redis.Redis.from_url(url) as client:
        client.flushdb()


def counting(app: Flask) -> FlaskClient:
    """A client of an app that counts requests in Redis by now: it has connected."""
    client = app.test_client()
    path = "/api/nowhere"
    until(lambda: "RateLimit-Limit" in client.get(path, environ_base=SOMEBODY_ELSE).headers)
    return client
