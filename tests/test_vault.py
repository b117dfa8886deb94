"""Secrets of a Vault: each way to sign in, both versions of its store, and what it may answer."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import secretstore, vault
from service.environment import ROOT
from service.stores import StoreError
from tests.ports import free_port
from tests.vault import (
    ROLE,
    ROLE_ID,
    ROOT_TOKEN,
    SECRET_ID,
    SERVICE_ACCOUNT,
    Vault,
    running,
)

CERTIFICATE = ROOT / "tests" / "localhost.pem"
HELD = {"JWT_SECRET": "a secret that Vault holds, and not for long"}
APPROLE = {"VAULT_ROLE_ID": ROLE_ID, "VAULT_SECRET_ID": SECRET_ID}


@pytest.fixture
def server() -> Iterator[Vault]:
    vault._tokens.clear()  # of a server before, which may have had this address
    with running() as started:
        started.secrets["slipway/production"] = HELD
        yield started


@pytest.fixture
def account(tmp_path: Path) -> str:
    """The file with the token of a pod's service account."""
    (tmp_path / "token").write_text(f"{SERVICE_ACCOUNT}\n")
    return str(tmp_path / "token")


def read(
    server: Vault,
    path: str = "kv/slipway/production",
    bound: float = secretstore.BOUND,
    **variables: str,
) -> dict[str, str]:
    """What the store has for these variables, asked anew."""
    given = {"SECRETS_FROM": f"vault://{path}", "VAULT_ADDR": server.url, **variables}
    return secretstore.values(given, True, bound)


def refusal(server: Vault, path: str = "kv/slipway/production", **variables: str) -> str:
    """Which variable is to be looked at, and why."""
    with pytest.raises(StoreError) as caught:
        read(server, path, **variables)
    assert ROOT_TOKEN not in str(caught.value)
    assert SECRET_ID not in str(caught.value)
    assert "\n" not in str(caught.value)
    return f"{caught.value.variable}: {caught.value}"


def test_a_token_reads_what_it_may(server: Vault) -> None:
    assert read(server, VAULT_TOKEN=ROOT_TOKEN) == HELD
    assert server.asked == ["GET kv/data/slipway/production"]


def test_an_approle_signs_in(server: Vault) -> None:
    assert read(server, **APPROLE) == HELD
    assert server.asked[0] == "POST auth/approle/login"


def test_a_pod_signs_in_with_its_service_account(server: Vault, account: str) -> None:
    assert read(server, VAULT_ROLE=ROLE, VAULT_SERVICE_ACCOUNT=account) == HELD
    assert server.asked[0] == "POST auth/kubernetes/login"


def test_a_way_to_sign_in_may_be_mounted_elsewhere(server: Vault, account: str) -> None:
    where = {"VAULT_SERVICE_ACCOUNT": account, "VAULT_AUTH_MOUNT": "cluster-7/"}
    assert read(server, VAULT_ROLE=ROLE, **where) == HELD
    assert server.asked[0] == "POST auth/cluster-7/login"


def test_the_token_of_a_login_is_used_until_it_ends(server: Vault) -> None:
    """Vault keeps each token that it has given for its lease: a month, unless it is told."""
    for _ in range(3):
        read(server, **APPROLE)
    assert server.asked.count("POST auth/approle/login") == 1
    server.tokens.clear()  # they are revoked
    assert read(server, **APPROLE) == HELD
    assert server.asked.count("POST auth/approle/login") == 2


def test_a_login_whose_token_has_ended_is_made_anew(server: Vault) -> None:
    server.lease = 1
    read(server, **APPROLE)
    time.sleep(1)
    server.tokens.clear()
    assert read(server, **APPROLE) == HELD
    assert server.asked[2] == "POST auth/approle/login"


def test_version_1_of_the_store_is_read_as_well(server: Vault) -> None:
    assert read(server, "old/slipway/production", VAULT_TOKEN=ROOT_TOKEN) == HELD


def test_a_namespace_is_named_in_each_request(server: Vault) -> None:
    server.namespace = "shop"
    assert read(server, VAULT_NAMESPACE="shop", **APPROLE) == HELD
    assert "refused the login" not in refusal(server, VAULT_TOKEN=ROOT_TOKEN)


def test_its_certificate_is_verified_by_the_authority_that_is_named() -> None:
    with running(CERTIFICATE) as server:
        server.secrets["app"] = HELD
        given = {
            "VAULT_TOKEN": ROOT_TOKEN,
            "VAULT_ADDR": server.url.replace("127.0.0.1", "localhost"),
        }
        assert read(server, "kv/app", **given, VAULT_CACERT=str(CERTIFICATE)) == HELD
        assert "its certificate is not valid: self-signed" in refusal(server, "kv/app", **given)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "SECRETS_FROM: vault:// needs one way to sign in, and no more: VAULT_TOKEN,"),
        ({"VAULT_TOKEN": "x", **APPROLE}, "needs one way to sign in, and no more"),
        ({"VAULT_ROLE_ID": ROLE_ID}, "VAULT_SECRET_ID: is needed with VAULT_ROLE_ID"),
        ({"VAULT_TOKEN": "x", "VAULT_ADDR": ""}, "VAULT_ADDR: is needed for vault://, as https"),
        ({"VAULT_TOKEN": "x", "VAULT_ADDR": "vault:8200"}, "VAULT_ADDR: is needed for vault://"),
        ({"VAULT_TOKEN": "x", "VAULT_CACERT": "/no"}, "VAULT_CACERT: names no file: /no"),
        (
            {"VAULT_ROLE": ROLE, "VAULT_SERVICE_ACCOUNT": "/no"},
            "VAULT_SERVICE_ACCOUNT: cannot be read, which VAULT_ROLE needs: /no: No such file",
        ),
    ],
)
def test_variables_that_do_not_do_are_told_by_name(
    server: Vault, variables: dict[str, str], said: str
) -> None:
    assert said in refusal(server, **variables)
    assert server.asked == []


@pytest.mark.parametrize(
    ("path", "variables", "said"),
    [
        (
            "kv/slipway/production",
            {"VAULT_TOKEN": "x"},
            "denied to read kv/data/slipway/production",
        ),
        ("secret/app", {"VAULT_TOKEN": ROOT_TOKEN}, "403 1 error occurred"),
        ("kv/nothing", {"VAULT_TOKEN": ROOT_TOKEN}, "there is no kv/data/nothing"),
        ("kv/gone", {"VAULT_TOKEN": ROOT_TOKEN}, "there is no kv/data/gone: it was deleted"),
        (
            "kv/app",
            {"VAULT_ROLE_ID": ROLE_ID, "VAULT_SECRET_ID": "x"},
            "it refused the login at auth/approle/login: 400 invalid role or secret ID",
        ),
        ("kv/numbers", {"VAULT_TOKEN": ROOT_TOKEN}, "has a value that is no text: METRICS_TOKEN"),
    ],
)
def test_what_it_does_not_give_is_told(
    server: Vault, path: str, variables: dict[str, str], said: str
) -> None:
    server.secrets |= {"gone": None, "numbers": {"METRICS_TOKEN": 5}}
    found = refusal(server, path, **variables)
    assert found.startswith(f"SECRETS_FROM: vault://{path} of {server.url} ")
    assert said in " ".join(found.split())


@pytest.mark.parametrize("fault", [503, 429, 412, 500])
def test_what_may_pass_is_waited_for(server: Vault, fault: int) -> None:
    server.faults += [fault, fault]
    assert read(server, VAULT_TOKEN=ROOT_TOKEN) == HELD
    assert len(server.asked) == 3


class Paused:
    """A clock that does not make one wait."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.sleep = self.pauses.append


def test_after_three_tries_it_is_given_up(server: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    server.faults += [503] * 9
    paused = Paused()
    monkeypatch.setattr(secretstore, "time", paused)
    assert "it answered 503 Vault is sealed (tries: 3, in " in refusal(server, VAULT_TOKEN="x")
    assert len(server.asked) == 3
    assert (len(paused.pauses), sum(paused.pauses) < 2) == (2, True)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (b"<html>", "what it holds is no JSON"),
        (b"[]", "what it holds is no object of JSON"),
        (b"{}", "its answer has no data"),
        (b'{"data": {"data": 1}}', "its answer has no data"),
    ],
)
def test_rubbish_is_no_secret(server: Vault, fault: bytes, said: str) -> None:
    server.faults.append(fault)
    assert said in refusal(server, VAULT_TOKEN=ROOT_TOKEN)


def test_a_login_without_a_token_is_none(server: Vault) -> None:
    server.faults.append(b'{"auth": {}}')
    assert "its answer to auth/approle/login has no token" in refusal(server, **APPROLE)


def test_a_server_that_is_down_is_told(server: Vault) -> None:
    down = f"http://127.0.0.1:{free_port()}"
    assert "Connection refused (tries: 3" in refusal(
        server, VAULT_TOKEN=ROOT_TOKEN, VAULT_ADDR=down
    )


def test_who_is_silent_is_not_waited_for_long(server: Vault) -> None:
    server.faults += [5.0] * 3
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"no answer within 1 s \(tries: 1, in \d\.\d s\)"):
        read(server, VAULT_TOKEN=ROOT_TOKEN, bound=1)
    assert time.monotonic() - began < 4
