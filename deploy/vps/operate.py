"""What an operator wants of the servers, and which of them is asked for it."""

import getpass
import re
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from deploy.shell import Failed, say, step
from deploy.vps import code, rollout, session, table
from deploy.vps.restore import Restore, database
from deploy.vps.servers import Fleet, Server
from deploy.vps.ssh import Ssh, all_of, ask, call, each, follow, passed_on, shown

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def server(fleet: Fleet, name: str) -> Server:
    """Raises Failed."""
    for found in fleet.servers:
        if found.name == name:
            return found
    names = ", ".join(each.name for each in fleet.servers)
    raise Failed(f"{name} is none of the servers: {names}")


@dataclass(frozen=True)
class Operator:
    """Somebody at this machine."""

    root: Path
    fleet: Fleet
    ssh: Ssh
    who: str

    @property
    def single(self) -> Server | None:
        """The server, if there is but one: it does all by itself."""
        return self.fleet.servers[0] if len(self.fleet.servers) == 1 else None

    def _session(
        self, why: str, *, without_lost: bool = False
    ) -> AbstractContextManager[session.Session]:
        return session.session(self.fleet, self.ssh, self.who, why, without_lost=without_lost)

    def release(self, ref: str, canary: float) -> int:
        at = code.moment()
        commit = self._bring(ref)
        if server := self.single:
            if canary:
                raise Failed("--canary: there is but one server")
            words = ("release", commit, "--at", at, "--who", self.who)
            follow(self.ssh, server, *words)
            return 0
        with self._session(f"release of {ref}") as held:
            rollout.release(held, commit, at, canary)
        return 0

    def _bring(self, ref: str) -> str:
        """What the servers are to release: a commit that they have, or one that they can fetch."""
        if not code.taken_from_here(self.fleet):
            wanted = self.fleet.branch if ref == "HEAD" else ref
            first = session.running(self.fleet)[0]
            return str(ask(self.ssh, first, "resolve", wanted)["commit"])
        code.say_what_is_not_in_it(self.root, ref)
        commit = code.commit_of(self.root, ref)
        step(f"bring {commit[:12]} to the servers")
        code.push(self.root, self.ssh, session.running(self.fleet), commit)
        return commit

    def rollback(self, release: str | None) -> int:
        if server := self.single:
            words = ("rollback", release) if release else ("rollback",)
            follow(self.ssh, server, *words, "--who", self.who)
            return 0
        # Nothing that is down keeps the rest from going back.
        with self._session("rollback", without_lost=True) as held:
            rollout.rollback(held, release)
        return 0

    def status(self, *, as_json: bool) -> int:
        found = each(self.fleet.servers, lambda one: ask(self.ssh, one, "status"))
        return table.show(self.fleet, found, as_json=as_json)

    def logs(self, units: Sequence[str], on: str | None, lines: int, *, follow: bool) -> int:
        more = ("-f",) if follow else ()
        words = ("logs", *units, "-n", str(lines), *more)
        if on or self.single:
            return shown(self.ssh, server(self.fleet, on) if on else self.fleet.servers[0], *words)
        codes = each(
            self.fleet.servers,
            lambda one: passed_on(self.ssh, one, *words, prefix=f"{one.name}: "),
        )
        return int(any(codes.values()))

    def run(self, words: Sequence[str], on: str | None) -> int:
        words = words[1:] if words[:1] == ["--"] else words
        if not words:
            raise Failed("run: which command? Such as: run python -m service jobs")
        return shown(self.ssh, self._web(on), "run", *words, tty=sys.stdin.isatty())

    def console(self, on: str | None) -> int:
        return shown(self.ssh, self._web(on), "console", tty=True)

    def _web(self, on: str | None) -> Server:
        return server(self.fleet, on) if on else self.fleet.with_role("web")[0]

    def env_list(self, *, as_json: bool) -> int:
        asked = session.running(self.fleet)
        found = all_of(asked, lambda one: ask(self.ssh, one, "env", "list"))
        return table.show_variables(found, as_json=as_json)

    def env_set(self, pairs: Sequence[str]) -> int:
        given = "".join(f"{name}={value}\n" for name, value in map(_pair, pairs))
        return self._change_env(("env", "set"), given)

    def env_unset(self, names: Sequence[str]) -> int:
        return self._change_env(("env", "unset", *names), "")

    def _change_env(self, words: tuple[str, ...], given: str) -> int:
        if server := self.single:
            follow(self.ssh, server, *words, "--who", self.who, given=given)
            return 0
        with self._session(" ".join(words[:2])) as held:
            rollout.change(held, (*words, "--at", code.moment()), given)
        return 0

    def at_database(self, *words: str) -> int:
        """Back-ups are where the database is."""
        follow(self.ssh, database(self.fleet), *words, "--who", self.who)
        return 0

    def backups(self) -> int:
        say(call(self.ssh, database(self.fleet), "backups").strip())
        return 0

    def restore(self, backup: str, *, sure: bool) -> int:
        Restore(self.fleet, self.ssh, self.who).run(backup, sure=sure)
        return 0

    def maintenance(self, what: str) -> int:
        words = ("maintenance", what, "--who", self.who)
        say(call(self.ssh, self.fleet.front, *words).strip())
        return 0

    def balance(self, what: str, name: str | None) -> int:
        if self.fleet.balancer is None:
            raise Failed("there is no balancer in servers.toml")
        if what != "status":
            if not name:
                raise Failed(f"balance {what}: which server?")
            server(self.fleet, name)
        words = ("balance", what, *([name] if name and what != "status" else []))
        say(call(self.ssh, self.fleet.balancer, *words, "--who", self.who).strip())
        return 0

    def lock(self, what: str, why: str) -> int:
        if what == "on" and not why:
            raise Failed('lock on: why? Such as: lock on "the database is being moved"')
        words = ("lock", what, *([why] if what == "on" else []), "--who", self.who)
        for name, said in all_of(
            self.fleet.servers, lambda one: call(self.ssh, one, *words).strip()
        ).items():
            say(f"{name}: {said}")
        return 0


def _pair(text: str) -> tuple[str, str]:
    """NAME=VALUE; of a name alone, the value is typed unseen, or read. Raises Failed."""
    name, equals, value = text.partition("=")
    if not NAME.fullmatch(name):
        raise Failed(f"{name!r} is no variable's name: capital letters, digits and _")
    if not equals:
        asked = sys.stdin.isatty()
        value = getpass.getpass(f"{name}: ") if asked else sys.stdin.readline().rstrip("\n")
        if not value:
            raise Failed(f"{name}: no value was given. One that is empty: {name}=")
    if "\n" in value or "\r" in value:
        raise Failed(f"{name}: a value is one line")
    return name, value
