"""role.sql and our sessions, with a real PostgreSQL and its own client."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.shell import Failed
from deploy.vps.host import postgres
from deploy.vps.host.layout import Host
from deploy.vps.host.runner import Runner
from service import devservers
from service.devservers import Postgres
from service.environment import ROOT
from tests.deploy.vps_host import make_host

ROLE = (ROOT / "deploy/vps/provision/role.sql").read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    folder = tmp_path_factory.mktemp("role")
    with Postgres(folder / "postgres") as found, pytest.MonkeyPatch.context() as patch:
        # The client beside the server: the machine may have none.
        patch.setenv("PATH", str(Path(devservers._postgres("psql")).parent), prepend=os.pathsep)
        as_superuser(found, ROLE)
        yield found


def as_superuser(server: Postgres, text: str) -> None:
    """As provision runs it."""
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-v", "password=hunter2", server.url]
    subprocess.run(command, input=text, text=True, check=True, capture_output=True)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return replace(make_host(tmp_path)[0], runner=Runner())


def told(server: Postgres) -> dict[str, str]:
    return postgres.connection(f"postgresql://slipway:hunter2@127.0.0.1:{server.port}/slipway")


def asked(host: Host, server: Postgres, query: str) -> list[list[str]]:
    with postgres.session(host, told(server)) as session:
        return session.ask(query)


def test_a_database_that_was_left_closed_is_opened_when_it_runs_again(
    host: Host, server: Postgres
) -> None:
    as_superuser(server, "ALTER DATABASE slipway ALLOW_CONNECTIONS false;")
    with pytest.raises(Failed, match="is not currently accepting connections"):
        asked(host, server, "SELECT 1;")
    as_superuser(server, ROLE)
    assert asked(host, server, "SELECT 1;") == [["1"]]


def test_what_a_client_said_at_its_end_is_told_and_not_that_nobody_listens() -> None:
    program = "read line; exec <&-; echo :END:; echo the server closed the connection >&2"
    with Runner().talk(["sh", "-c", program], {}) as talk:
        assert talk.ask("SELECT 1;") == []
        with pytest.raises(Failed, match="the database said: the server closed the connection"):
            talk.ask("SELECT 2;")


def test_the_limits_of_the_role_do_not_hold_for_our_own_sessions(
    host: Host, server: Postgres
) -> None:
    limits = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout');"
    command = [*postgres.psql("-w", "-c", limits)]
    usual = host.runner.run(command, env=postgres.environment(told(server)))
    assert usual == "5min\t30s\n"
    assert asked(host, server, limits) == [["0", "0"]]
