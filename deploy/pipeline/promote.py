"""Promote and roll back: which step follows which, whatever the target.

Who fails the smoke test goes back by itself, and so does what was broken off half-way; where
nothing has changed yet, nothing is gone back from.
"""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy import smoke
from deploy.history import cause
from deploy.pipeline.audit import Log
from deploy.pipeline.plan import Command, Plan, Release, filled
from deploy.shell import Failed, run, say, show, step

FORMER = "FORMER"  # the name that each target gives to the version before


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
        if to:
            self.known[FORMER] = to
        self.run(_needed(self.plan.before(self.release), wanted - set(self.known)))
        self._back()

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
        if command.finds:
            said = run(words, env=self.environ, cwd=self.root)
            self._read(command, said)
        elif command.writes:
            said = run(words, env=self.environ, cwd=self.root)
            Path(filled(command.writes, self.known)).write_text(said)
        elif command.given:
            given = filled(command.given, self.environ).encode()
            say(run(words, given=given, env=self.environ, cwd=self.root).strip())
        else:
            show(words, env=self.environ, cwd=self.root)

    def _read(self, command: Command, said: str) -> None:
        for each in command.finds:
            try:
                self.known[each.name] = each.read(said, self.known)
            except (LookupError, StopIteration, TypeError, ValueError, AttributeError):
                raise Failed(
                    f"{each.what} is not in what `{shlex.join(command.words)}` answered"
                ) from None
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
        if smoke.main(parser.parse_args(words), self.environ.get("SMOKE_TOKEN")):
            raise Failed(f"{self.version} fails its smoke test at {self.url}")

    def _gone_back(self) -> str:
        """What came of it, in a line."""
        try:
            former = self._back()
        except Failed as failure:
            return f"It was not gone back from: {failure}"
        return f"Gone back to {former}."

    def _back(self) -> str:
        """Which version serves again. Raises Failed."""
        commands = self.plan.back(self.release)
        wanted = sorted(_wants(commands))
        if missing := [name for name in wanted if not self.known.get(name)]:
            raise Failed(f"there is no version before this one: no {', '.join(missing)}")
        former = self.known.get(FORMER) or "the version before"
        change = self.log.begin("rollback", former)
        try:
            self.run(commands)
            self._smoke(None)
        except (Failed, KeyboardInterrupt) as failure:
            # The log may be what fails: what matters is said in any case.
            with suppress(Failed):
                change.end(_why(failure))
            raise
        change.end("ok")
        return former


def _wants(commands: Sequence[Command]) -> set[str]:
    return set().union(*(each.wants() for each in commands))


def _needed(commands: Sequence[Command], names: set[str]) -> list[Command]:
    """Of these, what finds the names, and what finds the names in those."""
    needed: list[Command] = []
    for command in reversed(commands):
        if names & {each.name for each in command.finds}:
            needed.insert(0, command)
            names = names | command.wants()
    return needed


def _why(failure: BaseException) -> str:
    return f"failed: {cause(failure)}" if isinstance(failure, Failed) else "stopped"
