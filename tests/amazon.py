"""moto out of a wheel: an API server of AWS, whose Secrets Manager keeps what it is given."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection

from botocore.client import BaseClient
from botocore.session import Session
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAOFTESTS", "AWS_SECRET_ACCESS_KEY": "a key of the tests"}


class Amazon:
    """The server, and what an operator does with it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        # What a process is told of it, where a role would be on AWS.
        self.variables = {"AWS_ENDPOINT_URL": self.url, "AWS_REGION": REGION, **KEYS}

    def client(self, service: str) -> BaseClient:
        return Session().create_client(
            service,
            REGION,
            endpoint_url=self.url,
            aws_access_key_id="AKIAOFANOPERATOR",
            aws_secret_access_key="x",
        )

    def put(self, name: str, values: Mapping[str, object] | str | bytes) -> str:
        """Keep a secret; its ARN."""
        manager = self.client("secretsmanager")
        if isinstance(values, bytes):
            return str(manager.create_secret(Name=name, SecretBinary=values)["ARN"])
        text = values if isinstance(values, str) else json.dumps(values)
        try:
            return str(manager.put_secret_value(SecretId=name, SecretString=text)["ARN"])
        except manager.exceptions.ResourceNotFoundException:
            return str(manager.create_secret(Name=name, SecretString=text)["ARN"])

    @contextmanager
    def checking_rights(self) -> Iterator[dict[str, str]]:
        """Requests are allowed or denied as by IAM meanwhile; gives the keys of a user who may do
        nothing."""
        iam = self.client("iam")
        iam.create_user(UserName="nobody")
        key = iam.create_access_key(UserName="nobody")["AccessKey"]
        self._check_after("0")
        try:
            yield {
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            }
        finally:
            self._check_after("inf")

    def _check_after(self, requests: str) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", "/moto-api/reset-auth", requests)
        assert connection.getresponse().status == 200
        connection.close()


@contextmanager
def running() -> Iterator[Amazon]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        yield Amazon(server.get_host_and_port()[1])
    finally:
        server.stop()
