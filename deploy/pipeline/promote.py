"""Promote and roll back: which step follows which, whatever the target.

Who fails the smoke test goes back by itself, and so does what fails half-way; where nothing has
changed yet, nothing is gone back from. What somebody stops, or CI, is left as it is.
"""

import argparse
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy import smoke
from deploy.history import cause
from deploy.pipeline.audit import Log
from deploy.pipeline.plan import GONE, Command, Plan, Release, Until, filled
from deploy.shell import Failed, run, say, show, step

FORMER = "FORMER"  # the name that each target gives to the version before
PAUSE = 5.0  # seconds between two looks at what was begun


@dataclass
class Session:
    """One call: what is to be done, with what, and what was found on the way."""

    plan: Plan
    release: Release
    root: Path
    environ: Mapping[str, str]
    log: Log
    url: str | None = None
    patience: float = 0  # seconds that the smoke test waits
    known: dict[str, str] = field(default_factory=dict)
    turned: bool = False  # a command has begun after which both versions may serve

    @property
    def version(self) -> str:
        return self.release.image or self.release.commit

    def promote(self, *, first: bool) -> None:
        """Raises Failed, after it went back if that was needed."""
        self._look(first=first)
        change = self.log.begin("promote", self.version)
        try:
            self.run(self.plan.promote(self.release))
            self._smoke(self.release.commit)
        except (Failed, KeyboardInterrupt) as failure:
            change.end(_why(failure))
            if not self.turned or isinstance(failure, KeyboardInterrupt):
                raise
            raise Failed(f"{failure}\n{self._gone_back()}") from failure
        change.end("ok")

    def rollback(self, to: str | None) -> None:
        """To the version before, or one that is named as the target names it. Raises Failed."""
        wanted = _wants(self.plan.back(self.release))
        if to and FORMER not in wanted:
            raise Failed("--to: it goes back to the version before alone; promote any other one")
        gone = self.log.gone_back_from()
        self.known[GONE] = "\n".join(version for _, version in gone)
        if to:
            self.known[FORMER] = to
        self.run(_needed(self.plan.before(self.release), wanted, set(self.known)))
        if not to:
            self._refuse({(name, self.known.get(name, "")) for name in wanted} & gone)
        self._back()

    def _refuse(self, gone: set[tuple[str, str]]) -> None:
        """Raises Failed if the version before is one that was gone back from already."""
        for name, version in gone:
            other = "name another one: --to" if name == FORMER else "promote another one"
            raise Failed(f"the version before, {version}, was itself gone back from; {other}")

    def run(self, commands: Sequence[Command]) -> None:
        for command in commands:
            self.turned |= command.turns
            self._run(command)

    def _look(self, *, first: bool) -> None:
        """What serves now; of a stage that has no version yet, as much as there is."""
        for command in self.plan.look(self.release):
            try:
                self._run(command)
            except Failed as failure:
                if not first:
                    raise Failed(
                        f"{failure}\nnothing has changed. If nothing serves there yet: --first"
                    ) from failure
                say(f"  as it is the first: {cause(failure)}")

    def _run(self, command: Command) -> None:
        words = command.spelt(self.known)
        step(shlex.join(words))
        given = filled(command.given, self.environ).encode()
        if command.until:
            self._wait(command, words, command.until)
        elif command.finds:
            said = run(words, given=given, env=self.environ, cwd=self.root)
            self._read(command, said)
        elif command.writes:
            said = run(words, env=self.environ, cwd=self.root)
            Path(filled(command.writes, self.known)).write_text(said)
        elif given:
            say(run(words, given=given, env=self.environ, cwd=self.root).strip())
        else:
            show(words, env=self.environ, cwd=self.root)

    def _wait(self, command: Command, words: Sequence[str], until: Until) -> None:
        """As long as for what answers. Raises Failed."""
        say(f"  until {until.what}")
        for _ in range(max(20, int(self.patience / PAUSE))):
            said = run(words, env=self.environ, cwd=self.root)
            try:
                if until.read(said, self.known):
                    return
            except (LookupError, TypeError, ValueError, AttributeError):
                raise _unread(until.what, command) from None
            time.sleep(min(PAUSE, self.patience / 20))
        raise Failed(f"not within {self.patience:g} s: {until.what}")

    def _read(self, command: Command, said: str) -> None:
        for each in command.finds:
            try:
                self.known[each.name] = each.read(said, self.known)
            except (LookupError, StopIteration, TypeError, ValueError, AttributeError):
                raise _unread(each.what, command) from None
            say(f"  {each.what}: {self.known[each.name] or 'there is none'}")

    def _smoke(self, commit: str | None) -> None:
        """Raises Failed. Whatever serves is looked at: without a commit, the former one."""
        if not self.url:
            say("no smoke test: no --url, and no DEPLOY_URL")
            return
        step(f"smoke test of {self.url}")
        wanted = ("--commit", commit) if commit else ()
        words = (self.url, "--timeout", f"{self.patience:g}", *wanted)
        parser = argparse.ArgumentParser()
        smoke.add_arguments(parser)
        self.turned = True
        code = smoke.main(parser.parse_args(words), self.environ.get("SMOKE_TOKEN"))
        if code == smoke.INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise Failed(f"{self.version} fails its smoke test at {self.url}")

    def _gone_back(self) -> str:
        """What came of it, in a line."""
        try:
            former = self._back(anyway=True)
        except Failed as failure:
            return f"It was not gone back from: {failure}"
        return f"Gone back to {former}."

    def _back(self, *, anyway: bool = False) -> str:
        """Which version serves again; `anyway`: whether or not it can be logged. Raises Failed."""
        commands = self.plan.back(self.release)
        wanted = sorted(_wants(commands))
        if missing := [name for name in wanted if not self.known.get(name)]:
            raise Failed(f"there is no version before this one: no {', '.join(missing)}")
        former = self.known.get(FORMER) or "the version before"
        change = self.log.begin("rollback", former, self._serving(wanted), anyway=anyway)
        step(f"back to {former}")
        try:
            self.run(commands)
            self._smoke(None)
        except (Failed, KeyboardInterrupt) as failure:
            change.end(_why(failure))
            raise
        change.end("ok")
        return former

    def _serving(self, names: Sequence[str]) -> dict[str, str]:
        """What is gone back from, by these names; not what serves though it was to be replaced."""
        names = [FORMER] if FORMER in names else names
        looking = replace(self, known={k: v for k, v in self.known.items() if k not in names})
        with suppress(Failed):  # it is for the log alone
            looking.run(_needed(self.plan.look(self.release), set(names), set(looking.known)))
        found = {name: looking.known.get(name, "") for name in names}
        return {name: said for name, said in found.items() if said not in ("", self.known[name])}


def _wants(commands: Sequence[Command]) -> set[str]:
    """What must have been found before all of them."""
    wanted: set[str] = set()
    for command in reversed(commands):
        wanted = (wanted - {each.name for each in command.finds}) | command.wants()
    return wanted


def _needed(commands: Sequence[Command], names: set[str], known: set[str]) -> list[Command]:
    """Of these, what finds the names that are not known, and what finds the names in those."""
    needed: list[Command] = []
    names = names - known
    for command in reversed(commands):
        if names & {each.name for each in command.finds}:
            needed.insert(0, command)
            names = names | (command.wants() - known)
    return needed


def _unread(what: str, command: Command) -> Failed:
    return Failed(f"{what} is not in what `{shlex.join(command.words)}` answered")


def _why(failure: BaseException) -> str:
    return f"failed: {cause(failure)}" if isinstance(failure, Failed) else "stopped"
