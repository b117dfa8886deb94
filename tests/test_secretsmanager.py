"""Secrets of AWS Secrets Manager: what is read, with which credentials, and what it may answer."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service import secretstore
from service.stores import StoreError
from tests import amazon
from tests.amazon import KEYS, REGION, Amazon
from tests.ports import free_port

HELD = {"JWT_SECRET": "a secret that AWS holds, and not for long"}


@pytest.fixture(scope="module")
def aws() -> Iterator[Amazon]:
    with amazon.running() as started:
        started.put("slipway/production", HELD)
        yield started


@pytest.fixture(autouse=True)
def _no_credentials_around(monkeypatch: pytest.MonkeyPatch, aws: Amazon) -> None:
    """botocore reads the environment by itself: there is nothing else in it than this server."""
    for name in (*KEYS, "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")


def read(name: str = "slipway/production", **variables: str) -> dict[str, str]:
    given = {"SECRETS_FROM": f"aws-secrets-manager://{name}", "AWS_REGION": REGION, **variables}
    return secretstore.values(given, fresh=True)


def refusal(name: str = "slipway/production", **variables: str) -> str:
    with pytest.raises(StoreError) as caught:
        read(name, **variables)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
    return f"{caught.value.variable}: {caught.value}"


def test_keys_in_variables_are_credentials() -> None:
    assert read(**KEYS) == HELD


def test_an_arn_tells_the_region(aws: Amazon) -> None:
    arn = aws.put("slipway/production", HELD)
    assert read(arn, AWS_REGION="", **KEYS) == HELD
    assert "AWS_REGION: aws-secrets-manager://slipway/production cannot be had: is needed" in (
        refusal(AWS_REGION="", **KEYS)
    )


def test_a_pod_is_given_credentials_for_its_token(
    aws: Amazon, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As EKS sets it up: STS gives keys of a role for the token of a service account."""
    token = tmp_path_factory.mktemp("eks") / "token"
    token.write_text("the token of a service account")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/slipway")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    assert read() == HELD


def test_who_has_no_credentials_is_told_what_there_could_be() -> None:
    assert "there are no credentials of AWS: no role of a task, pod or instance" in refusal()


def test_who_may_not_read_it_is_told_what_it_takes(aws: Amazon) -> None:
    with aws.checking_rights() as keys:
        found = refusal(**keys)
    assert found.startswith(
        "SECRETS_FROM: aws-secrets-manager://slipway/production cannot be had: 403: "
    )
    assert "user/nobody is not authorized to perform: secretsmanager:GetSecretValue" in found
    assert "kms:Decrypt" in found
    assert "tries" not in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("hello", "what it holds is no JSON"),
        ('["a"]', "what it holds is no object of JSON"),
        ({"METRICS_TOKEN": 5}, "has a value that is no text: METRICS_TOKEN"),
        (b"binary", "it is binary: an object of JSON is wanted"),
    ],
)
def test_what_is_no_object_of_texts_is_refused(
    aws: Amazon, held: dict[str, object] | str | bytes, said: str
) -> None:
    name = f"odd/{len(said)}"
    aws.put(name, held)
    assert said in refusal(name, **KEYS)


def test_a_secret_that_is_not_there_is_told() -> None:
    assert "ResourceNotFoundException: Secrets Manager can't find" in refusal("nothing", **KEYS)


def test_a_server_that_is_down_is_tried_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert "Could not connect to the endpoint URL" in (found := refusal(**KEYS))
    assert "(tries: 3, in " in found


@contextmanager
def answering(status: int, body: bytes, silence: float = 0) -> Iterator[str]:
    """The address of a server that says this to whatever it is asked."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            over.wait(silence)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def error(kind: str) -> bytes:
    return json.dumps({"__type": kind, "message": "as AWS says it"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "said", "is_tried_again"),
    [
        (400, error("ThrottlingException"), "ThrottlingException: as AWS says it", True),
        (500, error("InternalServiceError"), "InternalServiceError: as AWS says it", True),
        (503, b"<html>a proxy</html>", "cannot be had", True),
        (400, error("InvalidRequestException"), "InvalidRequestException: as AWS", False),
        (200, b"<html>a portal</html>", "its answer is none of Secrets Manager", False),
        (200, b'{"SecretString": "', "its answer is none of Secrets Manager", False),
        (200, b"{}", "its answer is none of Secrets Manager", False),
    ],
)
def test_what_is_odd_is_told_and_what_may_pass_is_tried_again(
    status: int, body: bytes, said: str, is_tried_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(status, body) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        found = refusal(**KEYS)
    assert said in found
    assert ("(tries: 3, in " in found) == is_tried_again
    assert "\n" not in found


def test_one_that_is_silent_is_waited_for_no_longer_than_for_any_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with answering(200, b"{}", silence=60) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        found = refusal(**KEYS)
    assert re.search(r"(Read timeout|no answer within).* \(tries: [23], in 1?\d\.\d s\)$", found)
