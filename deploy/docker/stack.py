"""How each step of a release is spelt: lists of words for Docker's CLI. Nothing is run here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.settings import ROOT, environment

NAME = "slipway"  # as in compose.yaml
FILES = ("compose.yaml", "compose.production.yaml")
COLOURS = ("blue", "green")
NGINX_IMAGE = "nginx:1.30-alpine"  # as in compose.yaml: it has a shell, tar and cat
EDGE = "/etc/nginx"  # where nginx sees the volume that holds its configuration


def other(colour: str) -> str:
    return COLOURS[1 - COLOURS.index(colour)]


@dataclass(frozen=True)
class Stack:
    """The compose project on the host that `docker` speaks to (DOCKER_HOST)."""

    project: str = field(default_factory=lambda: environment().get("COMPOSE_PROJECT_NAME", NAME))

    def compose(self, *words: str) -> list[str]:
        files = [word for name in FILES for word in ("--file", str(ROOT / name))]
        return [
            *("docker", "compose", "--ansi", "never", "--project-name", self.project),
            *files,
            *words,
        ]

    def environment(self, images: Mapping[str, str]) -> dict[str, str]:
        """What compose.production.yaml asks for: an image for each colour, IMAGE for the rest."""
        names = {"blue": "BLUE_IMAGE", "green": "GREEN_IMAGE", "rest": "IMAGE"}
        return {**environment(), **{names[which]: image for which, image in images.items()}}

    @property
    def lock(self) -> str:
        """The container that is the lock: its name is taken while a release runs."""
        return f"{self.project}-release"

    def take_lock(self, who: str) -> list[str]:
        """Lives until its standard input ends, so no longer than the one who holds it, be that
        over SSH; meanwhile it is our hand on the volume of nginx's configuration."""
        return [
            *("docker", "run", "--interactive", "--rm", "--name", self.lock),
            *("--label", f"released-by={who}", "--network", "none", "--user", "0"),
            *("--volume", f"{self.project}_edge:/edge", "--entrypoint", "cat", NGINX_IMAGE),
        ]

    def holder(self) -> list[str]:
        about = '{{index .Config.Labels "released-by"}} since {{.Created}}'
        return ["docker", "inspect", "--format", about, self.lock]

    def in_lock(self, *words: str) -> list[str]:
        return ["docker", "exec", "--interactive", self.lock, *words]

    def containers(self, service: str, *, running: bool = False) -> list[str]:
        """Ids, one a line."""
        words = ["ps", "--quiet"] if running else ["ps", "--quiet", "--all"]
        return self.compose(*words, service)

    def stateful(self) -> list[str]:
        """What holds data is started, and never replaced by a release."""
        return self.compose("up", "--detach", "--no-recreate", "--wait", "postgres", "redis")

    def migrate(self) -> list[str]:
        return self.compose("run", "--rm", "--no-deps", "--no-TTY", "migrate")

    def start(self, colour: str, replicas: int) -> list[str]:
        service = f"web-{colour}"
        options = ("--detach", "--no-build", "--no-deps", "--force-recreate")
        return self.compose("up", *options, "--scale", f"{service}={replicas}", service)

    def start_again(self, containers: Sequence[str]) -> list[str]:
        return ["docker", "start", *containers]

    def stop(self, colour: str) -> list[str]:
        """Within stop_grace_period, what is under way is finished; the containers stay."""
        return self.compose("stop", f"web-{colour}")

    def nginx_up(self) -> list[str]:
        return self.compose("up", "--detach", "--no-deps", "--wait", "nginx")

    def nginx(self, *words: str) -> list[str]:
        return self.compose("exec", "--no-TTY", "nginx", "nginx", *words)

    def nginx_workers(self) -> list[str]:
        return self.compose("top", "nginx")

    def replace_workers(self) -> list[str]:
        options = ("--detach", "--no-build", "--no-deps")
        return self.compose("up", *options, "worker", "scheduler")

    def smoke(self, container: str, url: str, version: str) -> list[str]:
        """deploy/smoke.py comes on standard input: it is not in the image."""
        words = ("python", "-", url, version, "--insecure")
        return ["docker", "exec", "--interactive", container, *words]


def servers_conf(colour: str) -> str:
    """The upstream of the colour that is to serve."""
    return f"""# Written by python -m deploy docker.
upstream web {{
    zone web 256k;
    least_conn;
    server web-{colour}:8000 resolve max_fails=2 fail_timeout=2s;
    keepalive 64;
    keepalive_timeout 60s;
}}
"""
