"""Servers, and what each is for: a fleet. Where it is written down: settings.py."""

import re
from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from deploy.shell import Failed

FILE = "deploy/servers.toml"
MOST_WEB_SERVERS = 6  # behind a balancer, whose nginx has an upstream for each set of them: 63

Role = Literal["web", "worker", "database", "redis", "balancer"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

_KEY = re.compile(r"(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\n]*)?")


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Backups(Strict):
    """When the database is saved, for how many days that is kept, and where else."""

    at: Text = "03:10"  # UTC
    keep_days: int = Field(default=14, ge=1, le=3650)
    copy_to: Text | None = None


class Monitoring(Strict):
    """Who asks the servers for metrics; nobody does by default, and nothing listens."""

    prometheus: tuple[Text, ...] = Field(default=(), strict=False)  # its addresses


class Server(Strict):
    """A server, and what it is for."""

    name: str
    address: Text
    port: int = Field(default=22, ge=1, le=65535)
    user: Text = "root"
    private: Text = ""  # where others reach it; its address unless given
    roles: tuple[Role, ...] = Field(min_length=1, strict=False)

    def has(self, role: Role) -> bool:
        return role in self.roles


class Fleet(Strict):
    """All servers of one deployment."""

    domain: Text
    tls: Literal["letsencrypt", "self-signed", "none"]
    email: Text | None = None
    keys: tuple[Text, ...] = Field(min_length=1, strict=False)
    ci_keys: tuple[Text, ...] = Field(default=(), strict=False)
    branch: Text = "main"
    repository: Text | None = None
    keep: int = Field(default=5, ge=2, le=100)
    backups: Backups = Backups()
    monitoring: Monitoring = Monitoring()
    servers: tuple[Server, ...] = Field(min_length=1, strict=False)

    def with_role(self, role: Role) -> tuple[Server, ...]:
        return tuple(server for server in self.servers if server.has(role))

    def _first(self, role: Role) -> Server | None:
        return next(iter(self.with_role(role)), None)

    @property
    def database(self) -> Server | None:
        return self._first("database")

    @property
    def redis(self) -> Server | None:
        return self._first("redis")

    @property
    def balancer(self) -> Server | None:
        """Who stands before the servers with web; none where the only one of these does so."""
        found = self._first("balancer")
        return None if found is None or self.with_role("web") == (found,) else found

    @property
    def front(self) -> Server:
        """Who takes the users' requests."""
        return self.balancer or self.with_role("web")[0]

    def document(self, server: Server) -> dict[str, Any]:
        """What the server itself knows of it: /etc/slipway/server.json."""
        return {
            "server": server.name,
            "servers": len(self.servers),
            "names": [each.name for each in self.servers],
            "roles": list(server.roles),
            "domain": self.domain,
            "tls": self.tls,
            "branch": self.branch,
            "repository": self.repository,
            "keep": self.keep,
            "database": self.database.name if self.database else None,
            "web_servers": [each.name for each in self.with_role("web")],
            "behind_balancer": self.balancer is not None,
            "backups": {"keep_days": self.backups.keep_days, "copy_to": self.backups.copy_to},
        }

    def with_keys(self) -> Self:
        """With the keys that files hold, read. Raises Failed."""
        found = {
            field: tuple(_key(f"{field}[{number}]", each) for number, each in enumerate(given))
            for field, given in (("keys", self.keys), ("ci_keys", self.ci_keys))
        }
        _check_that_they_differ(found)
        return self.model_copy(update=found)


def _check_that_they_differ(found: dict[str, tuple[str, ...]]) -> None:
    """Whatever their comments: sshd takes the first line that has a key, and who is to be kept out
    would come in by the other. Raises Failed."""
    seen: dict[tuple[str, ...], str] = {}
    for field, keys in found.items():
        for key in keys:
            without_comment = tuple(key.split()[:2])
            if first := seen.get(without_comment):
                wrong = "there twice" if first == field else f"one of {first} too: CI needs its own"
                raise Failed(f"{FILE}: {field}: {key[:40]}… is {wrong}")
            seen[without_comment] = field


def _key(path: str, given: str) -> str:
    """A public key: itself, or what the file of that name holds. Raises Failed."""
    text = given
    if given.startswith(("~", "/", ".")):
        file = Path(given).expanduser()
        try:
            text = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise Failed(f"{FILE}: {path}: {file} cannot be read: {reason}") from None
    if "PRIVATE KEY" in text:
        raise Failed(f"{FILE}: {path}: {given} is a private key: the public one ends in .pub")
    if not _KEY.fullmatch(text):
        raise Failed(f"{FILE}: {path}: is no public key, nor a file (~/…, /…) that holds one")
    if not _is_whole(*text.split()[:2]):
        raise Failed(
            f"{FILE}: {path}: is not whole, or not of the kind that it names: copy it again"
        )
    return text


def _is_whole(kind: str, encoded: str) -> bool:
    """A key is fields, each after its length, of which the first is its kind (RFC 4253, 6.6)."""
    try:
        left = b64decode(encoded, validate=True)
    except ValueError:
        return False
    fields: list[bytes] = []
    while left:
        end = 4 + int.from_bytes(left[:4], "big")
        if len(left) < end:
            return False
        fields.append(left[4:end])
        left = left[end:]
    fewest = 2 if kind == "ssh-ed25519" else 3
    return len(fields) >= fewest and fields[0] == kind.encode()
