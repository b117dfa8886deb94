"""What touches the world: commands, requests, and time. Tests hand over one that writes down."""

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from deploy import shell
from deploy.vps.host import progress

ASK_WITHIN = 5  # seconds


class Runner:
    """The real one."""

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
