"""Servers that a clone's servers.toml names, as their operator and as their users see them."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.chaos.load import Ask, Load, connect, failed
from tests.chaos.traffic import Traffic
from tests.deploy.docker.site import UNVERIFIED
from tests.deploy.servers.clone import Clone
from tests.deploy.servers.lab import Server
from tests.deploy.tables import SERVERS
from tests.people import PASSWORD
from tests.serving import Answer
from tests.waiting import until

# Seconds: 16 clients, TLS and all, leave half of two processors to what is done meanwhile, and stay
# below the 100 requests a second that nginx lets one address.
PAUSE = 0.4
DOMAIN = "api.example.com"
UNLIMITED = (
    "RATE_LIMIT_DEFAULT=1000000 per 1 hour",
    "RATE_LIMIT_LOGIN=1000000 per 1 hour",
)


class Counted(Load):
    """Clients whose jobs are counted too, when all of them are done."""

    lost = 0


class Fleet:
    """Some servers, each with its roles; the first of `front` takes the users' requests."""

    def __init__(
        self,
        clone: Clone,
        keys: Path,
        key: str,
        servers: Mapping[Server, Sequence[str]],
        **more: Any,
    ) -> None:
        self.clone, self.keys = clone, keys
        balancers = [server for server, has in servers.items() if "balancer" in has]
        self.front = (balancers or [s for s, has in servers.items() if "web" in has])[0]
        self.database = next(server for server, has in servers.items() if "database" in has)
        self._more = {"domain": DOMAIN, "tls": "self-signed", "keys": [key], **more}
        self.write_settings(servers)
        self._write_ssh_config()

    def write_settings(self, servers: Mapping[Server, Sequence[str]]) -> None:
        """As they are to be from now on."""
        self.roles = dict(servers)
        lines = [f"{name} = {json.dumps(value)}" for name, value in self._more.items()]
        for server, has in servers.items():
            lines += [
                f"[servers.{server.name}]",
                f'address = "{server.address}"',
                f'private = "{server.address}"',
                f"roles = {json.dumps(list(has))}",
            ]
        text = "\n".join(lines) + "\n"
        self.clone.first = self.clone.commit("our servers", {"deploy/servers.toml": text})

    @property
    def servers(self) -> list[Server]:
        return list(self.roles)

    def _write_ssh_config(self) -> None:
        """With a file of hosts of its own: an address may have been another server's before."""
        self.known_hosts = self.keys / f"known_hosts-{self.front.name}"
        self.config = self.keys / f"config-{self.front.name}"
        self.config.write_text(
            f"IdentityFile {self.keys}/key\nIdentitiesOnly yes\n"
            f"UserKnownHostsFile {self.known_hosts}\nStrictHostKeyChecking accept-new\n"
        )

    def config_of(self, key: Path) -> Path:
        """OpenSSH's configuration of who has another key, beside it."""
        config = key.with_name("config")
        config.write_text(self.config.read_text().replace(f"{self.keys}/key", str(key)))
        return config

    # As the operator sees it.

    def words(self, *words: str) -> list[str]:
        return ["vps", "--ssh-config", str(self.config), *words]

    def vps(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return self.clone.deploy(*self.words(*words), given=given)

    def ok(self, *words: str, given: str = "") -> str:
        """What a verb prints that must not fail."""
        ended = self.vps(*words, given=given)
        assert ended.returncode == 0, (words, ended.stdout[-3000:], ended.stderr[-3000:])
        return ended.stdout

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.vps("status", "--json").stdout))

    def commits(self) -> dict[str, str]:
        """What runs where anything does."""
        status = self.status().items()
        return {name: found["commit"] for name, found in status if found["commit"]}

    @property
    def git_ssh(self) -> str:
        """GIT_SSH_COMMAND of somebody who pushes."""
        return f"ssh -F {self.config}"

    # As its users see it.

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if body is not None:
            body, sent = json.dumps(body).encode(), {"Content-Type": "application/json", **sent}
        connection = connect(443, UNVERIFIED, self.front.address, DOMAIN)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def serving(self) -> str:
        """The version that answers."""
        return str(self.request("GET", "/health").json()["version"])

    @contextmanager
    def load(
        self, scenario: str, *, pause: float = PAUSE, keep_alive: bool = True
    ) -> Iterator[Counted]:
        """16 clients that read, write and sign up, each on one connection if it may keep it."""
        until(lambda: self.unfinished() == 0, seconds=60)
        start = time.monotonic()
        traffic = Traffic(self)  # type: ignore[arg-type]
        makes = (*(traffic.index, traffic.create, traffic.update) * 2, traffic.index, sign_up)
        makers = makes if keep_alive else [partial(_not_kept, make) for make in makes]
        address = self.front.address
        with Counted(
            443, *makers, tls=UNVERIFIED, pause=pause, address=address, name=DOMAIN
        ) as load:
            load.wait_for_more(50)
            yield load
            load.wait_for_more(50)
        seconds = time.monotonic() - start
        signed_up = {
            o.ask.body["email"]  # type: ignore[index]
            for o in load.outcomes
            if o.status == 201 and o.ask.path == "/api/users"
        }
        until(lambda: self.unfinished() == 0, seconds=60)
        load.lost = len(signed_up - self._welcomed_addresses())
        count = f"{len(load.outcomes)} | {len(failed(load.outcomes))} | {load.lost}"
        SERVERS.rows.append(f"| {scenario} | {count} | {seconds:.0f} |")

    def unfinished(self) -> int:
        return int(self.database.sql("SELECT count(*) FROM jobs WHERE status <> 'succeeded'")[0][0])

    def welcomed(self) -> int:
        """How many accounts were sent their mail."""
        query = "SELECT count(*) FROM effects WHERE key LIKE 'welcome:%'"
        return int(self.database.sql(query)[0][0])

    def _welcomed_addresses(self) -> set[str]:
        """Counted by name: a sign-up whose answer was lost may have come about."""
        query = "SELECT email FROM users JOIN effects ON key = 'welcome:' || users.id"
        return {email for (email,) in self.database.sql(query)}


def provisioned(
    folder: Path, keys: Path, key: str, servers: Mapping[Server, Sequence[str]], **more: Any
) -> Fleet:
    """Several servers with their first release."""
    fleet = Fleet(Clone(folder / "clone"), keys, key, servers, keep=3, **more)
    start = time.monotonic()
    fleet.ok("provision")
    seconds = time.monotonic() - start
    SERVERS.figures.append(f"{len(fleet.servers)} servers are provisioned in {seconds:.0f} s")
    fleet.ok("release")
    fleet.ok("env", "set", *UNLIMITED)
    return fleet


def _not_kept(make: Callable[[], Ask]) -> Ask:
    return make()._replace(keep_alive=False)


def sign_up() -> Ask:
    """What takes a while (a password is hashed), and leaves a job."""
    return Ask("POST", "/api/users", {"email": f"{uuid4().hex}@example.com", "password": PASSWORD})


def assert_none_failed(load: Counted) -> None:
    """Nothing failed, no job was lost, and all was answered as it should be."""
    assert failed(load.outcomes) == []
    assert {outcome.status for outcome in load.outcomes} <= {200, 201}
    assert load.lost == 0


def seconds_until_switched(fleet: Fleet, *words: str) -> float:
    """From the call of a verb that must not fail to the switch, which it says when it is done."""
    start, switched, said = time.monotonic(), 0.0, []
    with fleet.clone.begun(*fleet.words(*words)) as running:
        assert running.stdout is not None
        for line in running.stdout:
            said.append(line)
            if line.startswith("→ smoke test through nginx"):
                switched = time.monotonic() - start
        assert running.wait() == 0, "".join(said)[-3000:]
    assert switched, said
    return switched
