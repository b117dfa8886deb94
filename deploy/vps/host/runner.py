"""What touches the world: commands, requests, and time. Tests hand over one that writes down."""

import http.client
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from deploy import shell
from deploy.vps.host import progress

ASK_WITHIN = 5  # seconds
_END = ":END:"


class Talk:
    """A program that is kept open, psql, which is told lines and answers with rows."""

    def __init__(self, running: "subprocess.Popen[str]") -> None:
        self._running = running

    def ask(self, *lines: str) -> list[list[str]]:
        """The rows of what is asked. Raises Failed with what PostgreSQL says."""
        said = self._running
        assert said.stdin is not None
        assert said.stdout is not None
        assert said.stderr is not None
        rows: list[list[str]] = []
        try:
            said.stdin.write("\n".join([*lines, f"\\echo {_END}", ""]))
            said.stdin.flush()
        except BrokenPipeError:  # it has ended, and says why; what is left would be written again
            with suppress(BrokenPipeError):
                said.stdin.close()
        for line in said.stdout:
            if line == f"{_END}\n":
                return rows
            rows.append(line.rstrip("\n").split("\t"))
        raise shell.Failed(f"the database said: {said.stderr.read().strip()}")


class Runner:
    """The real one."""

    @contextmanager
    def talk(self, command: Sequence[str], env: Mapping[str, str]) -> Iterator[Talk]:
        """Raises Failed if there is no such program."""
        pipe = subprocess.PIPE
        try:
            running = subprocess.Popen(  # noqa: S603
                command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
                env=env,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise shell.Failed(f"{command[0]} is not installed here") from None
        with running:
            try:
                yield Talk(running)
            finally:
                running.kill()

    def run(
        self,
        command: Sequence[str],
        *,
        given: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 600,
    ) -> str:
        return shell.run(command, given=given, env=env, timeout=timeout)

    def show(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        progress.show(command, env=env)

    def ask(self, port: int, path: str) -> tuple[int, dict[str, Any]]:
        """What a process on this server answers: a status (0 for none at all) and its JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_WITHIN)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            return answer.status, said if isinstance(said, dict) else {}
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def succeeds(self, command: Sequence[str]) -> bool:
        try:
            self.run(command)
        except shell.CommandFailed:
            return False
        return True

    def quietly(self, command: Sequence[str]) -> None:
        """What may fail where something has failed already, and must not hide that."""
        try:
            self.run(command)
        except shell.Failed as failure:
            progress.warn(f"also failed: {failure}")
