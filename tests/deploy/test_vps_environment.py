"""The service's variables on a server, as provisioning makes them and keeps them."""

import subprocess
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.provision import environment, variables
from deploy.vps.provision.connection import Ended
from deploy.vps.provision.secrets import Secrets
from tests.deploy.test_vps_provision import ONE, SECRETS, THREE, WEB, fleet, server

HEX = "0123456789abcdef" * 4  # as secrets are
NOW = Secrets(database=HEX, redis=HEX, jwt="777", smoke="550", metrics="3e7")
HOSTS = variables.hosts(THREE)
MANAGED = "postgresql://app:pw@db.example.net:5432/app?sslmode=require"


def test_the_environment_of_the_server_that_has_the_database() -> None:
    assert variables.variables(fleet(ONE), ONE, SECRETS) == {
        "APP_ENV": "production",
        "DATABASE_URL": "postgresql://slipway:d0@127.0.0.1:5432/slipway",
        "REDIS_URL": "redis://:4ed@127.0.0.1:6379/0",
        "JWT_SECRET": "777",
        "SMOKE_TOKEN": "550",
        "METRICS_TOKEN": "3e7",
        "PROXY_HOPS": "1",
        "HTTPS_ONLY": "true",
    }


def test_the_environment_of_another_server() -> None:
    found = variables.variables(THREE, WEB, SECRETS)
    assert found["DATABASE_URL"] == (
        "postgresql://slipway:d0@10.0.0.1:5432/slipway?sslmode=require"
    )
    assert found["REDIS_URL"] == "redis://:4ed@10.0.0.1:6379/0"


def test_without_a_database_of_ones_own_its_address_is_left_to_the_operator() -> None:
    own = server("one", "web", "worker")
    assert {"DATABASE_URL", "REDIS_URL"} & {*variables.variables(fleet(own), own, SECRETS)} == {*()}


def test_plain_http_is_not_sent_to_https_that_is_not_there() -> None:
    assert variables.variables(fleet(ONE, tls="none"), ONE, SECRETS)["HTTPS_ONLY"] == "false"


@pytest.mark.parametrize(
    ("tls", "old", "new"), [("self-signed", "false", "true"), ("none", "true", "false")]
)
def test_https_only_goes_with_tls(tls: str, old: str, new: str) -> None:
    wanted = variables.variables(fleet(ONE, tls=tls), ONE, SECRETS)
    text = "".join(f"{name}={value}\n" for name, value in {**wanted, "HTTPS_ONLY": old}.items())
    assert environment.differences(text, wanted, HOSTS) == ({}, {"HTTPS_ONLY": new})


def put(folder: Path, new: str, old: str, text: str) -> int:
    """As deploy does it; whose group no test has."""
    program = environment.PUT.replace("chgrp slipway", "true")
    command = ["sh", "-c", program, "put", str(folder), new, old]
    return subprocess.run(command, input=text.encode(), capture_output=True).returncode


def test_a_new_version_takes_the_place_of_the_one_it_was_made_from(tmp_path: Path) -> None:
    assert put(tmp_path, "1.env", "", "A=1\n") == 0
    assert put(tmp_path, "2.env", "1.env", "A=2\n") == 0
    assert (tmp_path / "current").readlink() == Path("2.env")
    assert (tmp_path / "1.env").read_text() == "A=1\n"
    assert (tmp_path / "2.env").stat().st_mode & 0o777 == 0o640
    assert put(tmp_path, "3.env", "1.env", "A=3\n") == 1  # somebody has set another since
    assert (tmp_path / "current").read_text() == "A=2\n"


def test_a_link_where_a_version_will_be_is_not_followed(tmp_path: Path) -> None:
    (aim := tmp_path / "aim").write_text("theirs")
    for name in (".1.env.new", "1.env", "current.new", ".current.new", "1.env.new"):
        (tmp_path / name).symlink_to(aim)
    assert put(tmp_path, "1.env", "", "A=1\n") == 0
    assert aim.read_text() == "theirs"


def test_what_is_read_is_the_version_and_its_text(tmp_path: Path) -> None:
    look = ["sh", "-c", environment.LOOK, "look", str(tmp_path)]
    assert subprocess.run(look, capture_output=True, check=True).stdout == b""
    assert put(tmp_path, "1.env", "", "A=1\n") == 0
    assert subprocess.run(look, capture_output=True, check=True).stdout == b"1.env\nA=1\n"


@pytest.mark.parametrize(
    "old",
    [
        f"postgresql://slipway:{'0' * 64}@10.0.0.1:5432/slipway?sslmode=require",  # a new database
        f"postgresql://slipway:{HEX}@10.9.9.9:5432/slipway?sslmode=require",  # or address
        "postgresql://slipway:typed@127.0.0.1:5432/slipway",
        f"'postgresql://slipway:{HEX}@127.0.0.1:5432/slipway'",
    ],
)
def test_an_address_that_provisioning_made_is_brought_up_to_date(old: str) -> None:
    wanted = variables.variables(THREE, WEB, NOW)
    text = "".join(f"{name}={value}\n" for name, value in wanted.items() if name != "DATABASE_URL")
    text += f"DATABASE_URL={old}\n"
    added, changed = environment.differences(text, wanted, HOSTS)
    assert (added, changed) == ({}, {"DATABASE_URL": wanted["DATABASE_URL"]})
    assert environment.differences(text, {}, HOSTS) == ({}, {})  # the role has gone


@pytest.mark.parametrize(
    "theirs",
    [
        MANAGED,
        "postgresql://slipway:pw@db.example.net:5432/slipway",
        f"postgresql://slipway:{HEX}@127.0.0.1:6432/slipway",  # a pooler
        f"postgresql://slipway:{HEX}@10.0.0.1:5432/another",
        "postgresql://slipway@10.0.0.1:port/slipway",
        "",
    ],
)
def test_an_address_that_somebody_set_is_left_alone(theirs: str) -> None:
    wanted = variables.variables(THREE, WEB, NOW)["DATABASE_URL"]
    assert variables.renewed(theirs, wanted, HOSTS) == theirs


def test_options_that_somebody_gave_an_address_stay() -> None:
    wanted = variables.variables(THREE, WEB, NOW)["DATABASE_URL"]
    old = f"postgresql://slipway:{'0' * 64}@10.0.0.1:5432/slipway?sslmode=require&x=1"
    assert variables.renewed(old, wanted, HOSTS) == f"{wanted}&x=1"


def test_an_address_that_no_role_gives_is_to_be_set() -> None:
    theirs = {"DATABASE_URL": MANAGED, "REDIS_URL": "rediss://:pw@redis.example.net:6380/0"}
    assert list(variables.unserved(theirs, {}, HOSTS)) == []
    ours = variables.variables(THREE, WEB, NOW)
    assert list(variables.unserved(ours, ours, HOSTS)) == []
    assert list(variables.unserved({**ours, "REDIS_URL": ""}, {}, HOSTS)) == [
        "no server has the role database, and DATABASE_URL still leads to 10.0.0.1:"
        " `vps env set DATABASE_URL`",
        "no server has the role redis, and REDIS_URL is not set: `vps env set REDIS_URL`",
    ]


def test_other_variables_are_the_operators_once_they_are_there() -> None:
    added, changed = environment.differences(
        "JWT_SECRET=mine\n", {"JWT_SECRET": "777", "A": "1"}, HOSTS
    )
    assert (added, changed) == ({"A": "1"}, {})


class Peer:
    """A stand-in of the line to another server."""

    def __init__(self, code: int, out: str = "") -> None:
        self.ended = Ended(code, out.encode(), b"")

    def as_root(self, command: list[str]) -> list[str]:
        return ["sudo", *command]

    def ask(self, command: list[str]) -> Ended:
        assert command == ["sudo", *environment.READ]
        return self.ended


def of(*peers: Peer) -> dict[str, str] | None:
    wanted = environment.Wanted({}, (), HOSTS)
    return environment.of_peers(peers, wanted)  # type: ignore[arg-type]


def test_a_new_server_gets_what_the_first_peer_that_answers_was_given() -> None:
    text = f"MAIL_FROM=ops\nHTTPS_ONLY=false\nREDIS_URL=redis://:{HEX}@127.0.0.1:6379/0\nDATABASE_URL={MANAGED}\n"
    found = of(Peer(255), Peer(1), Peer(0), Peer(0, f"1.env\n{text}"), Peer(0, "2.env\nA=1\n"))
    assert found == {"MAIL_FROM": "ops", "DATABASE_URL": MANAGED}


def test_a_fleet_that_is_new_has_nothing_to_give_and_a_silent_peer_may_have() -> None:
    assert of(Peer(1), Peer(0)) == {}
    assert of(Peer(255), Peer(1)) is None


def test_a_peer_whose_variables_cannot_be_read_is_no_empty_one() -> None:
    with pytest.raises(Failed, match="line 1"):
        of(Peer(0, "1.env\nA='1\n"))
