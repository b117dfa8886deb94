"""How a server is reached: plain OpenSSH, so that the operator's own configuration, agent and known
hosts count; and the same for pyinfra, whose own client (paramiko) knows less of them."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from gevent import subprocess
from pyinfra.api.command import StringCommand
from pyinfra.api.state import State
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, make_unix_command_for_host

from deploy.shell import Failed
from deploy.vps.servers import Server
from deploy.vps.ssh import Ssh

ANSWER_WITHIN = 1800  # seconds, for one command: apt on a slow line
FRESH = ("-o", "ControlMaster=no", "-o", "ControlPath=none")
OWN_FAILURE = 255  # of ssh
# A server that nobody here has met yet is taken for what it says; one that changed its key is not.
FIRST_CONTACT = ("-T", "-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR")


class Ended:
    """How a command on a server ended: 255 is ssh's own failure."""

    def __init__(self, code: int, out: bytes, said: bytes) -> None:
        self.code = code
        self.out = out.decode(errors="replace")
        self.said = said.decode(errors="replace")


class OpenSSH(BaseConnector):
    """pyinfra's way to a server; host.data.line says which way. Files go by standard input."""

    handles_execution = True

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        raise NotImplementedError("servers come from servers.toml")

    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> tuple[bool, CommandOutput]:
        timeout = arguments.pop("_timeout", None) or ANSWER_WITHIN
        given = arguments.pop("_stdin", None)
        codes = arguments.pop("_success_exit_codes", None) or [0]
        arguments.pop("_get_pty", None)
        spelt = make_unix_command_for_host(self.state, self.host, command, **arguments)
        line = cast(Line, self.host.data.line)
        try:
            ended = run([*line.words(), spelt.get_raw_value()], given or "", timeout)
        except Failed as failure:
            self.state.trigger_callbacks("lost", self.host, str(failure))
            return False, CommandOutput([])
        if ended.code == OWN_FAILURE:
            self.state.trigger_callbacks("lost", self.host, f"ssh: {ended.said.strip()}")
        return ended.code in codes, _output(ended)

    def put_file(self, *_: Any, **__: Any) -> bool:
        raise NotImplementedError("operations.files puts files")

    def get_file(self, *_: Any, **__: Any) -> bool:
        raise NotImplementedError("facts read files")


def use_openssh(state: State) -> None:
    """In the place of pyinfra's own. host.data has `line`."""
    for host in state.inventory:
        host.connector_cls = OpenSSH
        host.connector = OpenSSH(state, host)


@dataclass(frozen=True)
class Line:
    """The way to a server, for commands as its administrator; `fresh`: a new connection, as
    anybody's next one would be."""

    ssh: Ssh
    server: Server

    def ask(
        self,
        command: Sequence[str],
        *,
        given: str = "",
        user: str | None = None,
        fresh: bool = False,
        timeout: float = 60,
    ) -> Ended:
        return run([*self.words(user, fresh), shlex.join(command)], given, timeout)

    def as_root(self, command: Sequence[str]) -> list[str]:
        return [*command] if self.server.user == "root" else ["sudo", "-n", *command]

    def words(self, user: str | None = None, fresh: bool = False) -> list[str]:
        """`ssh … user@address`, for what is to be run there to follow as one argument."""
        more = (*FIRST_CONTACT, *(FRESH if fresh else ()))
        # The first value that ssh reads counts: without what would share a connection.
        ssh = replace(self.ssh, control=None) if fresh else self.ssh
        return ssh.words(self.server, user=user or self.server.user, more=more)


def run(command: Sequence[str], given: str, timeout: float) -> Ended:
    """Raises Failed if it takes longer than `timeout` seconds."""
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us: what runs on the server comes to its end
        ) as process:
            try:
                out, said = process.communicate(given.encode(), timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise Failed(f"no answer within {timeout:.0f} s") from None
    except FileNotFoundError:
        raise Failed(f"{command[0]} is not installed here, or not in PATH") from None
    return Ended(process.returncode, out, said)


def _output(ended: Ended) -> CommandOutput:
    out = [OutputLine("stdout", line) for line in ended.out.splitlines()]
    return CommandOutput(out + [OutputLine("stderr", line) for line in ended.said.splitlines()])
