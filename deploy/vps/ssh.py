"""Servers by plain OpenSSH: how a call is spelt and made. What its failures mean: failures.py.

Keys, jump hosts and the like are OpenSSH's own to configure (~/.ssh/config, or --ssh-config).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import Any, TypeVar

from deploy.shell import Failed, say, stop_if_interrupted
from deploy.vps.failures import OPERATOR, failure
from deploy.vps.servers import Server

CONNECT_WITHIN = 10  # seconds
GONE_AFTER = 30  # seconds of silence, though asked twice
ENTRY = "/usr/local/bin/slipway"
ABSENT = "ssh is not installed here (Debian: apt install openssh-client)"
REPOSITORY = "/srv/slipway/repository.git"

Given = TypeVar("Given")


def _options(*given: str) -> list[str]:
    return [word for each in given for word in ("-o", each)]


OPTIONS = _options(
    "BatchMode=yes",
    f"ConnectTimeout={CONNECT_WITHIN}",
    f"ServerAliveInterval={GONE_AFTER // 2}",
    "ServerAliveCountMax=2",
)


@dataclass(frozen=True)
class Ssh:
    """How this machine reaches servers."""

    config: Path | None = None  # of OpenSSH, in the place of the user's own
    control: Path | None = None  # a folder: all calls to a server share one connection

    def words(self, server: Server, *, user: str = OPERATOR, more: Sequence[str] = ()) -> list[str]:
        """`ssh … user@address`, for a remote command to follow."""
        shared: list[str] = []
        if self.control:
            path = f"{self.control}/%C"
            shared = _options("ControlMaster=auto", f"ControlPath={path}", "ControlPersist=60")
        where = ["-p", str(server.port), *more, f"{user}@{server.address}"]
        return [*self._program(), *shared, *where]

    def git(self) -> str:
        """What git is to call for a server (GIT_SSH_COMMAND)."""
        return join(self._program())

    def _program(self) -> list[str]:
        return [*(["ssh", "-F", str(self.config)] if self.config else ["ssh"]), *OPTIONS]


@contextmanager
def control_folder() -> Iterator[Path]:
    """For the sockets of kept connections. The path of one has at most 103 bytes on macOS, where
    $TMPDIR alone has half of them; ssh adds 58 to the folder's while it makes it."""
    short = "/tmp" if os.access("/tmp", os.W_OK) else None  # noqa: S108 (only ours may enter it)
    with tempfile.TemporaryDirectory(prefix="ssh-", dir=short) as folder:
        yield Path(folder)


@contextmanager
def connected(config: Path | None, servers: Sequence[Server]) -> Iterator[Ssh]:
    """One connection to each server, for as long as this lasts. Raises Failed without ssh."""
    if shutil.which("ssh") is None:
        raise Failed(ABSENT)
    with control_folder() as folder:
        ssh = Ssh(config, folder)
        try:
            yield ssh
        finally:
            for server in servers:
                subprocess.run(  # noqa: S603
                    ssh.words(server, more=("-O", "exit")), capture_output=True
                )


def call(
    ssh: Ssh, server: Server, *words: str, given: str = "", timeout: float | None = None
) -> str:
    """What `slipway …` printed on a server. Raises Failed, with what it said."""
    ended = _run(ssh, server, words, given, timeout)
    if ended.returncode:
        raise failure(server, ended.returncode, ended.stderr or ended.stdout)
    return ended.stdout


def ask(ssh: Ssh, server: Server, *words: str, given: str = "") -> Any:
    """What it answers, as JSON. Raises Failed."""
    said = call(ssh, server, *words, "--json", given=given)
    try:
        return json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        raise Failed(f"{server.name}: answered what is no JSON: {said[-200:]!r}") from None


def _begun(command: Sequence[str]) -> "subprocess.Popen[str]":
    """A call that is talked with; Ctrl-C is for us, who tell the server."""
    stop_if_interrupted()
    return subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def follow(
    ssh: Ssh, server: Server, *words: str, prefix: str = "", given: str | None = None
) -> None:
    """Pass on what a verb that changes something says, line by line. When this process ends, or is
    interrupted, the server is told by the end of its standard input, unless something is `given`
    there. Raises Failed, and KeyboardInterrupt though the server may have come to its end."""
    attended = ["--attended"] if given is None else []
    command = [*ssh.words(server), join([ENTRY, *words, *attended])]
    with _begun(command) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        wrong: list[str] = []
        reader = threading.Thread(target=wrong.extend, args=(running.stderr,))
        reader.start()
        if given is not None:
            with suppress(BrokenPipeError), running.stdin:  # what has ended says why
                running.stdin.write(given)
        try:
            _pass_on(running.stdout, prefix)
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
            told = "is told to stop, and " if given is None else ""
            say(f"… {server.name} {told}comes to an end (again: is left to itself)")
            running.stdin.close()
            _pass_on(running.stdout, prefix)
        reader.join()
    if interrupted or running.returncode == 130:
        raise KeyboardInterrupt
    if running.returncode:
        raise failure(server, running.returncode, "".join(wrong))
    for line in wrong:  # what it did in spite of it
        say(prefix + line.rstrip("\n"), sys.stderr)


def _pass_on(lines: Any, prefix: str) -> None:
    for line in lines:
        say(prefix + line.rstrip("\n"))


def shown(ssh: Ssh, server: Server, *words: str, tty: bool = False) -> int:
    """A command whose input and output are the terminal's: its exit code."""
    more = ("-t",) if tty else ()
    command = [*ssh.words(server, more=more), join([ENTRY, *words])]
    return subprocess.run(command).returncode  # noqa: S603


def passed_on(ssh: Ssh, server: Server, *words: str, prefix: str) -> int:
    """A command that only looks: what it says, with who says it; its exit code."""
    command = [*ssh.words(server), join([ENTRY, *words])]
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as running:
        _pass_on(running.stdout, prefix)
    return running.returncode


def each(servers: Sequence[Server], do: Callable[[Server], Given]) -> dict[str, Given | Failed]:
    """The same on all servers at once: by name, what came of it, or why nothing did."""

    def one(server: Server) -> Given | Failed:
        try:
            return do(server)
        except Failed as error:
            return error

    names = [server.name for server in servers]
    with ThreadPoolExecutor(max(1, len(servers))) as pool:
        try:
            return dict(zip(names, pool.map(one, servers), strict=True))
        except KeyboardInterrupt:
            say(f"… {', '.join(names)} come to an end first")
            raise


def all_of(servers: Sequence[Server], do: Callable[[Server], Given]) -> dict[str, Given]:
    """The same, if it did on all of them. Raises Failed, with what was wrong on which."""
    found = each(servers, do)
    if wrong := [str(one) for one in found.values() if isinstance(one, Failed)]:
        raise Failed("\n".join(wrong))
    return {name: one for name, one in found.items() if not isinstance(one, Failed)}


@contextmanager
def held(ssh: Ssh, server: Server, why: str) -> Iterator[str]:
    """A server's lock, and its token for calls that may pass. Raises Failed, with who has it."""
    command = [*ssh.words(server), join([ENTRY, "hold", why])]
    with _begun(command) as holding:
        assert holding.stdin is not None
        assert holding.stdout is not None
        assert holding.stderr is not None
        word, _, token = holding.stdout.readline().strip().partition(" ")
        if word != "held":
            said = holding.stderr.read()
            raise failure(server, holding.wait(), said)
        try:
            yield token
        finally:
            holding.stdin.close()
            holding.wait()


def _run(
    ssh: Ssh, server: Server, words: Sequence[str], given: str, timeout: float | None
) -> "subprocess.CompletedProcess[str]":
    command = [*ssh.words(server), join([ENTRY, *words])]
    stop_if_interrupted()
    try:
        return subprocess.run(  # noqa: S603
            command,
            input=given,
            text=True,
            errors="replace",
            capture_output=True,
            timeout=timeout,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{server.name}: `{words[0]}` took longer than {timeout:.0f} s") from None
