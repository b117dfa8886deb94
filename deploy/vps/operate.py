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
from deploy.vps.failures import Lost
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
        follow(self.ssh, self._database(), *words)
        return 0

    def backups(self) -> int:
        say(call(self.ssh, self._database(), "backups").strip())
        return 0

    def _database(self) -> Server:
        return self.fleet.database or session.running(self.fleet)[0]

    def restore(self, backup: str, *, sure: bool) -> int:
        if not sure:
            backup = self._agreed(backup)
        words = ("restore", backup, "--yes")
        if self.single:
            return self.at_database(*words)
        self._look_before_restore(backup)
        was_on = ask(self.ssh, self.fleet.front, "maintenance", "status")["maintenance"]
        self.maintenance("on")
        try:
            self.at_database(*words)
            self._catch_up()
        except (Failed, KeyboardInterrupt) as failure:
            known = isinstance(failure, Failed) and not isinstance(failure, Lost)
            self._maintenance_after(known=known and self._schema_is_up(), was_on=was_on)
            raise
        self._maintenance_after(known=True, was_on=was_on)
        return 0

    def _agreed(self, name: str) -> str:
        """The back-up that somebody has typed the name of. Raises Failed."""
        if sys.stdin.isatty():
            there = ask(self.ssh, self._database(), "backups")
            wanted = there.get("latest") if name == "latest" else name.removesuffix(".dump")
            lines = {each["name"]: each.get("line", wanted) for each in there["backups"]}
            if wanted not in lines:
                raise Failed(f"there is no back-up {name}, or nothing is in it: see `vps backups`")
            say(lines[wanted])
            if input("Replace the database by it? Type its name: ").strip() == wanted:
                return str(wanted)
        raise Failed("nothing was restored: --yes, or type the back-up's name")

    def _look_before_restore(self, name: str) -> None:
        """The site is closed for it: not for a name that is none. Raises Failed."""
        if (database := self.fleet.database) is None:
            raise Failed(
                "no server in servers.toml has the role database: restore where the database is"
            )
        if lock := ask(self.ssh, database, "status")["locked"]:
            raise Failed(f"releases are locked by {lock['who']}: {lock['why']}. `vps lock off`")
        said = ask(self.ssh, database, "backups")
        there = [each["name"] for each in said["backups"]]
        known = there if said.get("latest", "") is None else ["latest", *there]
        if name.removesuffix(".dump") not in known:
            names = "\n  ".join(["", *there]) if there else " none"
            raise Failed(f"{database.name}: there is no back-up {name}; there are:{names}")

    def _catch_up(self) -> None:
        """The back-up may be of an older schema than the code that serves."""
        web = self.fleet.with_role("web")[0]
        if serves := ask(self.ssh, web, "status")["release"]:
            follow(self.ssh, web, "migrate", serves, "--no-backup", "--who", self.who)

    def _schema_is_up(self) -> bool:
        """To the code that serves: as it was before, or the restore came so far."""
        web = self.fleet.with_role("web")[0]
        try:
            serves = ask(self.ssh, web, "status")["release"]
            return not serves or not ask(self.ssh, web, "migrate", serves, "--pending")["pending"]
        except Failed:
            return False

    def _maintenance_after(self, *, known: bool, was_on: bool) -> None:
        """As it was before, if the service can work with the database that there is now."""
        if not known:
            say(
                "maintenance stays on: the database may be another one by now, and its schema older"
            )
            say("than the code. `vps release` migrates it; look at it, then `vps maintenance off`")
        elif not was_on:
            self.maintenance("off")

    def maintenance(self, what: str) -> int:
        say(call(self.ssh, self.fleet.front, "maintenance", what).strip())
        return 0

    def balance(self, what: str, name: str | None) -> int:
        if self.fleet.balancer is None:
            raise Failed("there is no balancer in servers.toml")
        if what != "status":
            if not name:
                raise Failed(f"balance {what}: which server?")
            server(self.fleet, name)
        words = ("balance", what, *([name] if name and what != "status" else []))
        say(call(self.ssh, self.fleet.balancer, *words).strip())
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
