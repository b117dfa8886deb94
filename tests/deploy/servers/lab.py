"""Real servers: systemd as process 1 and sshd, in containers of this machine's Docker engine."""

import os
import subprocess
from pathlib import Path
from typing import Self

from tests.deploy.docker.site import docker, succeeds
from tests.waiting import until

# Of this process: another may have servers of the same names.
NETWORK = f"slipway-servers-{os.getpid()}"
PREFIX = f"slipway-server-{os.getpid()}-"
IMAGE = "slipway-server"
FOLDER = Path(__file__).parent / "images" / "vps"
SUITES = ("trixie", "bookworm")  # of Debian


def is_built(suite: str) -> bool:
    return succeeds("image", "inspect", f"{IMAGE}:{suite}")


def build(suite: str) -> None:
    """The image of a server, in a minute; or at once, of what the engine has kept."""
    tag = ("--tag", f"{IMAGE}:{suite}", "--build-arg", f"SUITE={suite}")
    docker("build", "--quiet", *tag, str(FOLDER))


class Server:
    """A server as a provider hands it over: root comes in by key. Gone when the `with` ends."""

    def __init__(self, name: str, key: str, suite: str = "trixie", *options: str) -> None:
        self.name, self.container = name, PREFIX + name
        self.key, self._image, self._options = key, f"{IMAGE}:{suite}", options

    def __enter__(self) -> Self:
        docker(
            *("run", "--detach", "--privileged", "--network", NETWORK, "--hostname", self.name),
            *("--name", self.container, "--env", f"ROOT_KEY={self.key}", *self._options),
            self._image,
        )
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", self.container, check=False)

    def wait(self) -> None:
        """Until it lets in."""
        listening = ["ss", "-Hlnt", "sport = :22"]
        until(lambda: "22" in docker("exec", self.container, *listening, check=False), 60)

    @property
    def address(self) -> str:
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", "--format", form, self.container).strip()

    def sh(self, script: str, *, check: bool = True) -> str:
        """What a script prints there, as root, past SSH: to look, and to do harm."""
        return docker("exec", self.container, "bash", "-c", script, check=check)

    def sql(self, query: str) -> list[list[str]]:
        """Rows of its database, as text."""
        command = ("runuser", "-u", "postgres", "--", "psql", "-At", "-F", "\t", "-c", query)
        out = docker("exec", self.container, *command, "slipway")
        return [line.split("\t") for line in out.splitlines()]

    def stop(self) -> None:
        """In order, for good."""
        docker("stop", "--time", "60", self.container)

    def reboot(self) -> None:
        """In order, as `systemctl reboot` does; returns when it lets in again."""
        docker("restart", "--time", "60", self.container)
        self.wait()


class Network:
    """What the servers are in; with nobody else."""

    def __enter__(self) -> Self:
        if not succeeds("network", "inspect", NETWORK):
            docker("network", "create", NETWORK)
        return self

    def __exit__(self, *_: object) -> None:
        docker("network", "rm", NETWORK, check=False)


def new_key(folder: Path, name: str = "key") -> str:
    """The public half of a key that is made in a folder."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
    subprocess.run(command, check=True)
    return (folder / f"{name}.pub").read_text().strip()
