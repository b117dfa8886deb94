"""Redis as a test wants it, however slow this machine is: the service's own client gives up after
0.15 s, and then requests are not counted for some seconds."""

import redis
from flask import Flask
from flask.testing import FlaskClient

PATIENCE = 30.0  # seconds


def patient(client: redis.Redis) -> None:
    """Have its connections wait, from the next one on."""
    wait = {"socket_connect_timeout": PATIENCE, "socket_timeout": PATIENCE}
    client.connection_pool.connection_kwargs.update(wait)


def empty(app: Flask) -> None:
    """Empty the Redis of an app."""
    url = app.extensions["settings"].redis_url.get_secret_value()
    with redis.Redis.from_url(url) as client:
        client.flushdb()


def counting(app: Flask) -> FlaskClient:
    """A client of an app, which has asked nothing yet, that counts each request in Redis."""
    patient(app.extensions["redis"])
    app.extensions["limits"].limiter._slow = PATIENCE
    return app.test_client()
