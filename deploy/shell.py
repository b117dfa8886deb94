"""Runs commands, and says which step is under way. A command is a list, no line for a shell."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

LAST_LINES = 15  # of what a failed command said

# Files that every command keeps open: so a lock that ends with them outlives us for as long as a
# command does that we have begun, though we are killed.
kept_open: set[int] = set()

_interrupted = False
_deferred = 0  # how many `uninterrupted` we are in


class Failed(Exception):
    """What was wanted did not come about; the message says what, why, and what to do."""


class CommandFailed(Failed):
    """A command ended with another code than 0."""

    def __init__(self, command: Sequence[str], code: int, said: str) -> None:
        self.said = said.strip()
        lines = "\n  ".join(["", *self.said.splitlines()[-LAST_LINES:]])
        super().__init__(f"{_shown(command)} ended with {code}:{lines}")


def _shown(command: Sequence[str]) -> str:
    """As one would say it: without the options that each call of Compose has."""
    return re.sub(r"^(docker compose) --ansi .*\.yaml ", r"\1 … ", " ".join(command))


def finish_commands() -> None:
    """From now on Ctrl-C ends us between two commands: none is left half done."""
    signal.signal(signal.SIGINT, _interrupt)


def stop_when_told() -> None:
    """From now on SIGTERM raises KeyboardInterrupt, at once: who sends it (CI, for a job that was
    cancelled) does not wait long. What follows, such as a line in a log, has that time."""
    signal.signal(signal.SIGTERM, _told)


def _told(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def finish_uninterrupted() -> None:
    """From now on Ctrl-C ends us at once, but not within `uninterrupted`: after that. So does who
    tells us to end (CI, for a job that was cancelled), and a terminal that is closed; but not under
    nohup. They may tell us twice, and mean it once."""
    signal.signal(signal.SIGINT, _interrupt_unless_deferred)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _told_unless_deferred)


def _told_unless_deferred(*_: object) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # SIG_IGN would be the commands' too
    _interrupt_unless_deferred()


def _interrupt_unless_deferred(*_: object) -> None:
    global _interrupted
    if not _deferred:
        raise KeyboardInterrupt
    _interrupted = True
    say("… stops when this has ended", sys.stderr)


def _interrupt(*_: object) -> None:
    global _interrupted
    if _interrupted and not _deferred:
        _interrupted = False
        raise KeyboardInterrupt
    _interrupted = True
    say("… stops when this has ended (again: at once)", sys.stderr)


def stop_if_interrupted() -> None:
    """Raises KeyboardInterrupt if Ctrl-C was pressed where it had to wait."""
    global _interrupted
    if _interrupted and not _deferred:
        _interrupted = False
        raise KeyboardInterrupt


@contextmanager
def uninterrupted() -> Iterator[None]:
    """For what must be done whoever presses what: to switch back, to clean up, to write down."""
    global _deferred
    _deferred += 1
    try:
        yield
    finally:
        _deferred -= 1


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line. Who reads may be gone (`… | tee log`): that is no reason to break off."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def run(
    command: Sequence[str],
    *,
    given: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 600,
) -> str:
    """What a command printed. Raises CommandFailed, and Failed if there is no such program or it
    takes longer than `timeout` seconds."""
    stop_if_interrupted()
    try:
        ended = subprocess.run(  # noqa: S603
            command,
            input=given or b"",  # never the caller's own, which is not ours to read
            env=env,
            cwd=cwd,
            capture_output=True,
            timeout=timeout,
            pass_fds=tuple(kept_open),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise Failed(_absent(command)) from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{_shown(command)} took longer than {timeout:.0f} s") from None
    out = ended.stdout.decode(errors="replace")
    if ended.returncode:
        raise CommandFailed(command, ended.returncode, out + ended.stderr.decode(errors="replace"))
    return out


def show(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> None:
    """A command that may take long: what it says is passed on as it comes, and it has all the time
    that it needs. Raises CommandFailed, and Failed if there is no such program."""
    stop_if_interrupted()
    said = ""
    try:
        running = subprocess.Popen(  # noqa: S603
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(kept_open),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise Failed(_absent(command)) from None
    with running:
        assert running.stdout is not None
        for line in running.stdout:
            said = line.decode(errors="replace").rstrip()
            say(f"  {said}")
    if running.returncode:
        raise CommandFailed(command, running.returncode, said)


def _absent(command: Sequence[str]) -> str:
    if command[0].startswith(".venv/"):
        return f"{command[0]} is not there: `make setup` makes it"
    return f"{command[0]} is not installed here, or not in PATH"


def succeeds(command: Sequence[str]) -> bool:
    try:
        run(command)
    except CommandFailed:
        return False
    return True


def quietly(command: Sequence[str], given: bytes | None = None) -> None:
    """What may fail where something has failed already, and must not hide that."""
    try:
        run(command, given=given)
    except Failed as failure:
        say(f"  also failed: {failure}", sys.stderr)


def step(text: str) -> None:
    """Say what is done now: a release takes a while, and who waits wants to know what for."""
    say(f"→ {text}")
